"""Do widgets work here? The browser has to answer the kernel, and only a real round trip can tell."""

import ipywidgets

WAITING = (
    "[....] widgets: waiting for the browser. If this line stays, save, reload the page and run the cell again; "
    "the lessons can be read, but not moved."
)
ANSWERED = "[OK]   widgets: the browser has answered."


def check_widgets() -> ipywidgets.Widget:
    """A line that says [OK] as soon as the browser has set a value that the kernel waits for.

    The kernel hears the answer only between cells, so the line changes by itself, a moment after it is shown.
    """
    line = ipywidgets.HTML()
    asked, answer = ipywidgets.IntText(1), ipywidgets.IntText(0)
    link = ipywidgets.jsdlink((asked, "value"), (answer, "value"))  # lives in the browser, and only there

    def show(text: str) -> None:
        line.value = f'<pre role="status" aria-live="polite" style="white-space:pre-wrap;margin:0">{text}</pre>'

    answer.observe(lambda change: show(ANSWERED), "value")
    show(WAITING)
    line.parts = (asked, answer, link)  # they have to live as long as the line
    return line
