"""The self-test of a lesson: questions, and an explanation for every answer."""

import html

import ipywidgets

from rmlib.errors import RmlibValueError
from rmlib.exercises.framework.quiz import Number, Question

WIDE = {"width": "auto", "max_width": "100%"}
SIGNS = {True: ("✓ right", "#00694d"), False: ("✗ not right", "#9c3d00")}


class SelfTest:
    """The questions of a lesson as a widget.

    Show `test.widget`, or answer from Python: `test.answer(1, "a choice")`. A choice is checked at
    once, and may be changed. A number is checked when Enter or the button is pressed. By keyboard:
    Tab goes to the choices, Space picks one.

    Args:
        questions: `Question`s and `Number`s.

    Raises:
        RmlibValueError: no question.
    """

    def __init__(self, questions):
        if not questions:
            raise RmlibValueError("there are 0 questions; expected at least 1")
        self.questions = tuple(questions)
        self._outcomes: list[bool | None] = [None] * len(self.questions)
        self._explanations = [""] * len(self.questions)
        self._pages = [ipywidgets.HTMLMath(layout=WIDE) for _ in self.questions]
        self._score = ipywidgets.HTML()
        self._fields = [
            self._field(number, question) for number, question in enumerate(self.questions)
        ]
        self._count()
        rows = []
        for number, question in enumerate(self.questions):
            text = f"<p><strong>{number + 1}.</strong> {html.escape(question.text)}</p>"
            rows.append(ipywidgets.HTMLMath(text, layout=WIDE))
            rows += [*self._fields[number], self._pages[number]]
        self._box = ipywidgets.VBox([*rows, self._score])

    @property
    def widget(self) -> ipywidgets.VBox:
        """The questions: the last line of a cell."""
        return self._box

    @property
    def outcomes(self) -> list[bool | None]:
        """For each question whether its answer is right; None: it has no answer."""
        return list(self._outcomes)

    def answer(self, number: int, value) -> str:
        """Answer a question and return the explanation.

        Args:
            number: of the question, from 1.
            value: the text of a choice, or a number.

        Raises:
            RmlibValueError: no such question or choice.
        """
        if not 1 <= number <= len(self.questions):
            raise RmlibValueError(f"question {number}; expected 1 to {len(self.questions)}")
        question = self.questions[number - 1]
        field = self._fields[number - 1][0]
        if isinstance(question, Question):
            texts = [choice.text for choice in question.choices]
            if value not in texts:
                raise RmlibValueError(
                    f"question {number} has no choice {value!r}; expected one of {texts}"
                )
            field.value = value
        else:
            field.value = str(value)
            self._check_number(number - 1)
        return self._explanations[number - 1]

    def _field(self, number: int, question) -> list[ipywidgets.Widget]:
        if isinstance(question, Number):
            field = ipywidgets.Text(
                placeholder="a number", continuous_update=False, layout={"width": "160px"}
            )
            field.observe(lambda _: self._check_number(number), "value")
            button = ipywidgets.Button(description=f"check answer {number + 1}")
            button.on_click(lambda _: self._check_number(number))
            return [field, button]
        texts = [choice.text for choice in question.choices]
        field = ipywidgets.RadioButtons(options=texts, value=None, layout=WIDE)
        field.observe(lambda change: self._check_choice(number, change["new"]), "value")
        return [field]

    def _check_choice(self, number: int, text: str) -> None:
        choice = next((c for c in self.questions[number].choices if c.text == text), None)
        if choice:
            self._explain(number, choice.right, choice.because)

    def _check_number(self, number: int) -> None:
        text = self._fields[number][0].value.strip().replace(",", ".").replace("−", "-")
        try:
            value = float(text)
        except ValueError:
            self._explain(number, None, f"{text!r} is no number; write one such as 0.25")
        else:
            self._explain(number, *self.questions[number].explain(value))

    def _explain(self, number: int, right: bool | None, because: str) -> None:
        self._outcomes[number] = right
        sign, colour = SIGNS.get(right, ("○ not answered", "#444444"))
        look = f"border-left:6px solid {colour};padding:2px 10px;margin:0 0 8px"
        words = f"<strong>{sign}.</strong> {html.escape(because)}"
        page = f'<div role="status" aria-live="polite" style="{look}">{words}</div>'
        self._explanations[number] = f"{sign}. {because}"
        self._pages[number].value = page
        self._count()

    def _count(self) -> None:
        right = sum(outcome is True for outcome in self._outcomes)
        self._score.value = f'<p role="status">{right} of {len(self.questions)} right</p>'
