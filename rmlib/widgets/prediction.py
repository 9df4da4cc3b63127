"""Predictions: what the learner commits to before a cell runs, and how it came out.

    predict("e1", "Where does the printed formula push this item?", "up", "down", "nowhere")
    ...
    happened("e1", "up")
    came_true()

An answer can be changed until `happened` has shown the result; then it stands. It is kept in the
workbook, so that it is there again after a restart of the kernel.
"""

import html
import math
from dataclasses import dataclass

import ipywidgets

from rmlib.errors import RmlibValueError, nearest
from rmlib.exercises.framework.progress import Notes

MOST_CHOICES = 4
WIDE = {"width": "auto", "max_width": "100%"}
GREEN, ORANGE, GREY = "#00694d", "#9c3d00", "#444444"

_notes = Notes("predictions")  # id -> {"said": …, "true": whether it came true; None: not yet}
_asked: dict[str, "Prediction"] = {}


class Prediction:
    """A question with its field: the last line of a cell.

    By keyboard: Tab goes to the choices, Space picks one; a number is taken with Enter.

    Args:
        id: "lesson-number.name" or the like, unique in the course; the answer is kept under it.
        question: plain text; `$formulas$` are shown.
        choices: two to four texts; none: the answer is a number.

    Raises:
        RmlibValueError: one choice, more than four, or two alike.
    """

    def __init__(self, id: str, question: str, *choices: str):
        if choices and not 2 <= len(set(choices)) == len(choices) <= MOST_CHOICES:
            raise RmlibValueError(
                f"prediction {id!r} has the choices {list(choices)}; expected 2 to {MOST_CHOICES} "
                "different ones, or none for a number"
            )
        self.id = id
        self.question = question
        self.choices = choices
        fixed = _note(id).get("true") is not None
        if choices:
            value = self._field_value()
            self._field = ipywidgets.RadioButtons(options=choices, value=value, layout=WIDE)
        else:
            self._field = ipywidgets.Text(
                value=self._field_value(),
                placeholder="a number",
                continuous_update=False,
                layout={"width": "160px"},
            )
        self._field.disabled = fixed
        self._status = ipywidgets.HTML()
        self._field.observe(self._take, "value")
        title = ipywidgets.HTMLMath(
            f"<p><strong>Predict first.</strong> {html.escape(question)}</p>", layout=WIDE
        )
        self._show()
        self.widget = ipywidgets.VBox([title, self._field, self._status])

    @property
    def said(self) -> str | float | None:
        """The answer; None: there is none yet, or it is one that isn't offered any more."""
        said = _note(self.id).get("said")
        fits = said in self.choices if self.choices else isinstance(said, int | float)
        return said if fits else None

    def _field_value(self) -> str | None:
        """The answer as the field shows it."""
        if self.choices:
            return self.said
        return "" if self.said is None else f"{self.said:g}"

    def answer(self, value) -> None:
        """Answer from Python, as the mouse does: the text of a choice, or a number.

        Raises:
            RmlibValueError: no such choice.
        """
        if self.choices and value not in self.choices:
            raise RmlibValueError(
                f"{self.id}: no choice {value!r}; {nearest(str(value), self.choices)}"
            )
        if not self._field.disabled:
            self._field.value = value if self.choices else str(value)

    def _take(self, change) -> None:
        if self._field.disabled:  # the answer stands
            self._field.value = self._field_value()
            return
        value = change["new"]
        if not self.choices:
            value = number(value)
        if value is not None:
            _notes.update(**{self.id: {"said": value, "true": None}})
        self._show(wrong=value is None and str(change["new"] or "").strip() != "")

    def _show(self, wrong: bool = False) -> None:
        if wrong:
            text = "that is no number; write one such as 0.25"
        elif self.said is None:
            text = "not answered yet"
        else:
            said = self.said if self.choices else f"{self.said:g}"
            text = f"noted: {said}. Run on to see what happens."
        self._status.value = f'<p role="status" aria-live="polite">{html.escape(text)}</p>'

    def _fix(self) -> None:
        """From now on the answer stands."""
        self._field.disabled = True

    def __repr__(self) -> str:
        return f"Predict first. {self.question} {' / '.join(self.choices) or 'a number'}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.widget._repr_mimebundle_(include=include, exclude=exclude)


@dataclass(frozen=True)
class Result:
    """What was predicted and what happened, shown by the last line of a cell.

    Attributes:
        said: the answer; None: there was none.
        happened: the right choice or number.
        true: whether the prediction came true; None: there was none.
    """

    said: str | float | None
    happened: str | float
    true: bool | None

    def __repr__(self) -> str:
        what = f"what happened: {_shown(self.happened)}"
        if self.true is None:
            return f"○ no prediction; {what}"
        sign = "✓ it came true" if self.true else "✗ it came out differently"
        return f"{sign}; you said: {_shown(self.said)}; {what}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        colour = {True: GREEN, False: ORANGE, None: GREY}[self.true]
        look = f"border-left:6px solid {colour};padding:4px 10px"
        text = html.escape(repr(self))
        return {
            "text/html": f'<div role="status" style="{look}">{text}</div>',
            "text/plain": repr(self),
        }


def predict(id: str, question: str, *choices: str) -> Prediction:
    """Ask for a prediction: the last line of a cell. See `Prediction`."""
    _asked[id] = Prediction(id, question, *choices)
    return _asked[id]


def happened(id: str, value, within: float = 0.0) -> Result:
    """What was predicted and what happened: the last line of the cell that decides it.

    Args:
        id: of a question that was asked above.
        value: one of its choices, or the number.
        within: how far a predicted number may be from it, in the same unit.

    Raises:
        RmlibValueError: no such question was asked in this kernel, or the value is no choice of it.
    """
    if id not in _asked:
        raise RmlibValueError(f"prediction {id!r} wasn't asked: run its question's cell first")
    question = _asked[id]
    if question.choices and value not in question.choices:
        raise RmlibValueError(
            f"{id}: {value!r} is no choice; {nearest(str(value), question.choices)}"
        )
    said = question.said
    if said is None:  # the question stays open
        return Result(None, value, None)
    question._fix()
    if question.choices:
        true = said == value
    else:
        value = float(value)
        true = abs(said - value) <= within
    _notes.update(**{id: {"said": said, "true": true}})
    return Result(said, value, true)


def came_true() -> str:
    """How many of the predictions that were asked in this kernel came true, in one line."""
    outcomes = [_note(id).get("true") for id in _asked]
    line = f"{outcomes.count(True)} of your {len(outcomes)} predictions came true"
    if missing := outcomes.count(None):
        line += f"; {missing} without an answer"
    return line


def _note(id: str) -> dict:
    """What is kept about a question; what somebody else wrote there counts as nothing."""
    note = _notes.read().get(id)
    return note if isinstance(note, dict) else {}


def forget_predictions() -> None:
    """Forget all answers, so that the lessons can be taken again."""
    _notes.write({})
    _asked.clear()


def number(text: str) -> float | None:
    """The number that a text stands for; decimal commas, minus signs and percent are understood."""
    text = text.strip().replace(",", ".").replace("−", "-")
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (100 if share else 1)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown(value) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
