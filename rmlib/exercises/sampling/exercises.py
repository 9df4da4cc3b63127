"""The exercises on rewards that one can only sample."""

from rmlib.exercises.framework.exercise import Lesson
from rmlib.exercises.framework.own_functions import Own

from .estimator import EXPECTED_REWARD, LEAVE_ONE_OUT, MEAN_AND_VARIANCE, SCORE_FUNCTION_LOSS
from .training import ONE_WORD, OWN_METRIC, SAMPLED_STEP

check = Lesson(
    q1=EXPECTED_REWARD,
    q2=LEAVE_ONE_OUT,
    q3=MEAN_AND_VARIANCE,
    q4=SCORE_FUNCTION_LOSS,
    q5=OWN_METRIC,
    q6=SAMPLED_STEP,
    q7=ONE_WORD,
)
own = Own(check)
