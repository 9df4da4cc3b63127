"""`mine`: the learner's own pieces, with the kit's in place of those that are missing."""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rmlib.errors import nearest
from rmlib.loss.objective import Loss, RewardObjective

from . import pieces
from .exercise import Exercise, judge


@dataclass(frozen=True)
class Home:
    """Where a piece is built.

    Attributes:
        lesson: its number.
        topic: the package of its exercises.
        exercise: the name of the `Exercise` there.
        says: what the piece does, for the table.
    """

    lesson: str
    topic: str
    exercise: str
    says: str


PIECES = {
    "bce_from_logits": Home("01", "two_part_loss", "BCE_FROM_LOGITS", "stable cross-entropy"),
    "soft_f1": Home("01", "two_part_loss", "SOFT_F1_REWARD", "F1 from soft counts"),
    "total_loss": Home("01", "two_part_loss", "TOTAL_LOSS", "L = L_p + αL_r, binary"),
    "total_gradient": Home("02", "gradients", "TOTAL_GRADIENT", "∂L/∂z by hand"),
    "gradient_is_right": Home("02", "gradients", "GRADIENT_CHECKER", "a gradient checker"),
    "token_loss": Home("03", "surrogates", "TOKEN_LOSS", "L over classes and tokens, with −100"),
    "cousin": Home("03", "surrogates", "COUSIN", "a reward of your choice"),
    "leave_one_out": Home("04", "sampling", "LEAVE_ONE_OUT", "advantages"),
    "score_function_loss": Home("04", "sampling", "SCORE_FUNCTION_LOSS", "the sampled loss"),
    "align": Home("05", "bert_ner", "ALIGN", "labels on subword tokens"),
    "pad_batch": Home("05", "bert_ner", "PAD_BATCH", "the batch"),
}


class Mine:
    """The learner's own objective: `mine.soft_f1` is the learner's piece if it passed its check.

    Otherwise it is the kit's, and one line says so. Shown at the end of a cell, it is the table of
    all pieces.
    """

    def __init__(self):
        self._said: set[str] = set()
        self._text: str | None = None
        self._functions: dict[str, Callable] = {}
        self._faults: dict[str, str] = {}

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in PIECES:
            raise AttributeError(f"there is no piece {name!r}; {nearest(name, PIECES)}")
        self._refresh()
        if name in self._functions:
            return self._functions[name]
        if name not in self._said:
            self._said.add(name)
            print(f"mine.{name}: the kit's stands in; {self._why_not(name)}")
        return exercise_of(name).solution

    def __dir__(self):
        return [*PIECES, "whose", "objective"]

    def whose(self) -> dict[str, str]:
        """For each piece "yours" or "the kit's"."""
        self._refresh()
        return {name: "yours" if name in self._functions else "the kit's" for name in PIECES}

    def objective(self, alpha: float) -> RewardObjective:
        """`mine.token_loss` in the form that the training loop and `transformers.Trainer` take."""
        return LearnersObjective(self.token_loss, alpha)

    def _why_not(self, name: str) -> str:
        if name in self._faults:
            return f"yours in {pieces.FILE} is not right: {self._faults[name]}"
        if "" in self._faults:
            return self._faults[""]
        return f"you build yours in lesson {PIECES[name].lesson}"

    def _refresh(self) -> None:
        """Read the pieces again if the text has changed, and check each of them."""
        try:
            text = pieces.read()
        except pieces.BrokenFile as reason:
            self._text, self._functions, self._faults = None, {}, {"": str(reason)}
            return
        if text == self._text:
            return
        self._text, self._functions, self._faults = text, {}, {}
        try:
            own = pieces.functions_in(text, {})
        except pieces.BrokenFile as reason:
            self._faults[""] = str(reason)
            return
        kit = {name: exercise_of(name).solution for name in PIECES if name not in own}
        own = pieces.functions_in(text, kit)
        for name in [name for name in PIECES if name in own]:
            if fault := _fault_of(name, own[name], text):
                self._faults[name] = fault
                own[name].__globals__[name] = exercise_of(name).solution  # for those that call it
            else:
                self._functions[name] = own[name]

    def __repr__(self) -> str:
        whose = self.whose()
        lines = [f"{'piece':20} {'lesson':7} {'whose':10} what it does"]
        for name, home in PIECES.items():
            lines.append(f"{name:20} {home.lesson:7} {whose[name]:10} {home.says}")
        return "\n".join([*lines, *self._fault_lines()])

    def _repr_markdown_(self) -> str:
        whose = self.whose()
        rows = ["| piece | lesson | whose | what it does |", "|---|---|---|---|"]
        for name, home in PIECES.items():
            sign = "**yours**" if whose[name] == "yours" else "the kit's"
            rows.append(f"| `{name}` | {home.lesson} | {sign} | {home.says} |")
        return "\n".join([*rows, "", *self._fault_lines()])

    def _fault_lines(self) -> list[str]:
        return [f"{name or pieces.FILE}: {fault}" for name, fault in self._faults.items()]


class LearnersObjective(RewardObjective):
    """L of a function `token_loss(z, y, alpha)`, in the form of the kit's objective.

    Args:
        token_loss: (logits (sentences, tokens, classes), labels (sentences, tokens), alpha) -> the
            loss, a scalar; alpha is `math.inf` for the reward alone.
        alpha: as in `RewardObjective`; may be set between two steps.
    """

    def __init__(self, token_loss: Callable, alpha: float = 1.0):
        super().__init__(alpha, "soft_f1")
        self.token_loss = token_loss

    def terms(self, z, y, items_per_sentence=None) -> Loss:
        """The loss of labelled items, z (items, classes) and y (items,).

        L_p is the learner's loss at alpha = 0, L_r that of the reward alone.
        """
        if len(y) == 0:
            return super().terms(z, y, items_per_sentence)
        with torch.no_grad():
            prediction = self.token_loss(z[None], y[None], 0.0)
            reward = self.token_loss(z[None], y[None], math.inf)
        return Loss(self.token_loss(z[None], y[None], self.alpha), prediction, reward)


def _fault_of(name: str, function: Callable, text: str) -> str:
    """What is wrong with a piece of the text; empty if it passes its check."""
    if pieces.calls_itself(pieces.segment(text, name), name):
        return f"it calls mine.{name}, which is itself"
    outcome = judge(exercise_of(name), function)
    return "" if outcome.outcome == "correct" else outcome.message or outcome.outcome


def exercise_of(name: str) -> Exercise:
    """The exercise of a piece."""
    home = PIECES[name]
    return getattr(
        importlib.import_module(f"rmlib.exercises.{home.topic}.exercises"), home.exercise
    )


mine = Mine()
