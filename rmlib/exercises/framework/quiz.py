"""The questions of a lesson's self-test: what is asked, the choices, and an explanation for each choice."""

from dataclasses import dataclass

from rmlib.errors import RmlibValueError


@dataclass(frozen=True)
class Choice:
    """One answer to choose: `text`, whether it is `right`, and `because`: why it is right, or what is wrong with it."""

    text: str
    right: bool
    because: str


@dataclass(frozen=True)
class Question:
    """A question with choices, of which exactly one is right. Texts may hold $formulas$, but not those of the choices.

    Raises:
        RmlibValueError: fewer than two choices, two alike, not exactly one right, or one without an explanation.
    """

    text: str
    choices: tuple[Choice, ...]

    def __post_init__(self):
        texts = [choice.text for choice in self.choices]
        right = sum(choice.right for choice in self.choices)
        if len(set(texts)) != len(texts) or len(texts) < 2 or right != 1:
            raise RmlibValueError(f"{self.text!r} has the choices {texts}, {right} of them right; expected exactly one")
        if not all(choice.because.strip() for choice in self.choices):
            raise RmlibValueError(f"{self.text!r}: a choice has no explanation")


@dataclass(frozen=True)
class Number:
    """A question with a number for an answer.

    Attributes:
        right: the number; within: how far from it an answer may lie.
        because: why it is right.
        wrong: (number, explanation) pairs for answers that students often give.
        otherwise: what is said to any other number.
    """

    text: str
    right: float
    within: float
    because: str
    wrong: tuple[tuple[float, str], ...]
    otherwise: str

    def told(self, value: float) -> tuple[bool, str]:
        """(whether the number is right, the explanation)."""
        if abs(value - self.right) <= self.within:
            return True, self.because
        return False, next((why for number, why in self.wrong if abs(value - number) <= self.within), self.otherwise)
