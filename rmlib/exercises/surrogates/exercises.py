"""The exercises on surrogate rewards."""

from rmlib.exercises.framework.exercise import Lesson

from .as_printed import ADJUSTING_DICE
from .class_f1 import CLASS_F1
from .cousin import COUSIN, CousinCheck
from .jackknife import JACKKNIFE
from .parts import PARTS
from .settling import SETTLED
from .smooth_ap import SMOOTH_AP
from .token_loss import TOKEN_LOSS

__all__ = ["COUSIN", "TOKEN_LOSS", "check"]

check = Lesson(
    q1=CLASS_F1,
    q2=TOKEN_LOSS,
    q3=COUSIN,
    q4=SETTLED,
    q5=PARTS,
    q6=ADJUSTING_DICE,
    q7=JACKKNIFE,
    q8=SMOOTH_AP,
)
check.checks["q3"] = CousinCheck(COUSIN, "q3")
