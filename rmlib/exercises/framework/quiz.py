"""The questions of a self-test: a text, the choices, and an explanation per choice."""

from dataclasses import dataclass

from rmlib.errors import RmlibValueError


@dataclass(frozen=True)
class Choice:
    """One answer to choose.

    Attributes:
        id: stable, unique within the question.
        text: what is chosen.
        right: whether it is right.
        because: why it is right, or what is wrong with it.
    """

    id: str
    text: str
    right: bool
    because: str


@dataclass(frozen=True)
class Question:
    """A question with choices, of which exactly one is right.

    Attributes:
        id: stable and unique in the kit, "topic.name".
        text: may hold $formulas$; the texts of the choices may not.
        choices: at least two.

    Raises:
        RmlibValueError: fewer than two choices, two alike, not exactly one right, or one without an
            explanation.
    """

    id: str
    text: str
    choices: tuple[Choice, ...]

    def __post_init__(self):
        texts = [choice.text for choice in self.choices]
        ids = {choice.id for choice in self.choices}
        right = sum(choice.right for choice in self.choices)
        distinct = len(set(texts)) == len(ids) == len(texts)
        if not distinct or len(texts) < 2 or right != 1:
            raise RmlibValueError(
                f"{self.id} has the choices {texts}, {right} of them right; expected exactly one"
            )
        if not all(choice.because.strip() for choice in self.choices):
            raise RmlibValueError(f"{self.id}: a choice has no explanation")


@dataclass(frozen=True)
class WrongNumber:
    """An answer that students often give to a `Number`.

    Attributes:
        id: stable, unique within the question.
        value: the number.
        because: what is wrong with it.
    """

    id: str
    value: float
    because: str


@dataclass(frozen=True)
class Number:
    """A question that asks for a number.

    Attributes:
        id: stable and unique in the kit, "topic.name".
        text: may hold $formulas$.
        right: the number.
        within: how far from it an answer may lie.
        because: why it is right.
        wrong: answers that students often give.
        otherwise: the explanation for any other number.
    """

    id: str
    text: str
    right: float
    within: float
    because: str
    wrong: tuple[WrongNumber, ...]
    otherwise: str

    def explain(self, value: float) -> tuple[bool, str]:
        """(whether the number is right, the explanation)."""
        if abs(value - self.right) <= self.within:
            return True, self.because
        for wrong in self.wrong:
            if abs(value - wrong.value) <= self.within:
                return False, wrong.because
        return False, self.otherwise
