"""The exercises on the two-part loss: three printed formulas, their repairs, and the total."""

from rmlib.exercises.framework.exercise import Lesson
from rmlib.exercises.framework.own_functions import Own

from .experiment import AGAINST_THRESHOLD
from .parts import BCE_FROM_LOGITS, SOFT_F1_REWARD
from .printed import PRINTED_CROSS_ENTROPY, PRINTED_F1, PRINTED_REWARD_LOSS
from .total import TOTAL_LOSS
from .training import BEST_THRESHOLD, F1_OF_DECISIONS, TRAIN

__all__ = ["BCE_FROM_LOGITS", "SOFT_F1_REWARD", "TOTAL_LOSS", "check", "own"]


check = Lesson(
    q1=PRINTED_CROSS_ENTROPY,
    q2=TRAIN,
    q3=BCE_FROM_LOGITS,
    q4=F1_OF_DECISIONS,
    q5=PRINTED_F1,
    q6=SOFT_F1_REWARD,
    q7=PRINTED_REWARD_LOSS,
    q8=TOTAL_LOSS,
    q9=BEST_THRESHOLD,
    q10=AGAINST_THRESHOLD,
)
own = Own(check)
