"""A check that widgets work here: the browser has to answer the kernel."""

import ipywidgets

WAITING = (
    "[....] widgets: waiting for the browser. If this line stays, save, reload the page and run "
    "the cell again; the lessons can be read, but not moved."
)
ANSWERED = "[OK]   widgets: the browser has answered."


def check_widgets() -> ipywidgets.Widget:
    """A line that says [OK] as soon as the browser has set a value that the kernel waits for.

    The kernel receives the answer only between cells, so the line changes by itself, a moment after
    it is shown.
    """
    line = ipywidgets.HTML()
    question = ipywidgets.IntText(1)
    answer = ipywidgets.IntText(0)
    # The link exists in the browser only: Python alone never sets the answer.
    link = ipywidgets.jsdlink((question, "value"), (answer, "value"))

    def show(text: str) -> None:
        style = "white-space:pre-wrap;margin:0"
        line.value = f'<pre role="status" aria-live="polite" style="{style}">{text}</pre>'

    answer.observe(lambda change: show(ANSWERED), "value")
    show(WAITING)
    line.parts = (question, answer, link)  # they have to live as long as the line
    return line
