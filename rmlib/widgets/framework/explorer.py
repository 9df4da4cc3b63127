"""The base of the explorers: controls above a picture that is drawn in the background.

An explorer is a subclass that passes its controls to `Explorer.__init__` and has a method
`draw(state)`:

    class LossExplorer(Explorer):
        alpha = control("alpha", "The weight of the reward loss.")

        def __init__(self, alpha=1.0):
            super().__init__(alpha=alpha_slider())
            self.alpha = alpha

        def draw(self, state):
            ...
            return figure, "what the figure shows, with its numbers"

By keyboard: Tab goes from control to control, the arrow keys move a slider, Space presses a button
or opens a menu. (JupyterLab itself uses the arrow keys on buttons and on closed menus.)
"""

import html
import math
import threading
from types import SimpleNamespace

import ipywidgets
from matplotlib.figure import Figure

from rmlib.errors import RmlibValueError, nearest
from rmlib.plots.figures import Picture, show

from .latest import Latest

ALPHAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, math.inf)
LOOK = {"style": {"description_width": "90px"}, "layout": {"width": "460px", "max_width": "100%"}}
# Without this, ipywidgets puts the label above the buttons.
IN_A_ROW = {"display": "flex", "flex_flow": "row wrap", "align_items": "baseline"}


def stop_name(alpha: float) -> str:
    """The name of a stop of the α slider."""
    return "reward alone" if alpha == math.inf else f"{alpha:g}"


def alpha_name(alpha: float) -> str:
    """An α in a sentence: "α = 3", or "reward alone"."""
    return "reward alone" if alpha == math.inf else f"α = {alpha:g}"


def loss_formula(alpha: float) -> str:
    """L at an α, with real subscripts in a figure."""
    special = {0: "$L_p$", 1: "$L_p$ + $L_r$", math.inf: "$L_r$"}
    return special.get(alpha, f"$L_p$ + {alpha:g}·$L_r$")


def alpha_slider() -> ipywidgets.SelectionSlider:
    """The slider for α: 0, then powers from 0.01 to 100, then the reward alone (`math.inf`)."""
    return ipywidgets.SelectionSlider(
        options=[(stop_name(a), a) for a in ALPHAS], value=1.0, description="α", **LOOK
    )


def menu(description: str, options) -> ipywidgets.Dropdown:
    """A menu; `options` are values, or (text, value) pairs."""
    return ipywidgets.Dropdown(options=options, description=description, **LOOK)


def buttons(description: str, options) -> ipywidgets.RadioButtons:
    """A few choices side by side; `options` are values, or (text, value) pairs."""
    look = LOOK | {"layout": LOOK["layout"] | IN_A_ROW}
    return ipywidgets.RadioButtons(
        options=options, description=description, orientation="horizontal", **look
    )


def slider(description: str, options) -> ipywidgets.SelectionSlider:
    """A slider over the given stops; `options` are values, or (text, value) pairs."""
    return ipywidgets.SelectionSlider(options=options, description=description, **LOOK)


def control(name: str, doc: str) -> property:
    """A property of an `Explorer` that reads and moves its control of that name.

    Setting it raises `RmlibValueError` for a value that the control does not have.
    """

    def get(self):
        return self._get_control(name)

    def put(self, value):
        self._set_control(name, value)

    return property(get, put, doc=doc)


def allowed(name: str, values: list, value):
    """The element of `values` that equals `value`.

    Raises:
        RmlibValueError: there is none; the message names the nearest.
    """
    for own in values:
        if own == value and isinstance(own, str) == isinstance(value, str):
            return own
    if all(isinstance(own, str) for own in values):
        raise RmlibValueError(f"{name} {value!r} is not in the menu; {nearest(value, values)}")
    if len(values) == 2:
        raise RmlibValueError(f"{name} is {value!r}; expected {min(values)} or {max(values)}")
    stops = ", ".join(f"{stop:g}" for stop in values)
    if not isinstance(value, int | float) or math.isnan(value):
        raise RmlibValueError(f"{name} is {value!r}; the slider has {stops}")
    close = min(
        (stop for stop in values if math.isfinite(stop)), key=lambda stop: abs(stop - value)
    )
    raise RmlibValueError(f"{name} is {value!r}; the slider has {stops}; did you mean {close:g}?")


class Explorer:
    """Controls above a picture. Show `explorer.widget`, or set the properties from Python.

    Setting a control, by hand or from Python, returns at once. A thread of its own draws the
    picture; of moves that come faster than that, only the latest is drawn. Nothing is drawn before
    the widget or its picture is accessed, so `__init__` of a subclass may move its controls and set
    what `draw` needs in any order.
    """

    def __init__(self, **controls: ipywidgets.Widget):
        self._controls = controls
        self._image = ipywidgets.HTML(layout={"max_width": "100%"})
        self._drawn: Picture | None = None
        self._wanted = threading.Event()  # from now on a move is drawn
        self._redraw = Latest(self._show)
        for widget in controls.values():
            widget.observe(self._moved, "value")
        self._box = ipywidgets.VBox([*controls.values(), self._image])

    def _get_control(self, name: str):
        return self._controls[name].value

    def _set_control(self, name: str, value) -> None:
        options = self._controls[name].options
        values = [option[1] if isinstance(option, tuple) else option for option in options]
        self._controls[name].value = allowed(name, values, value)

    def draw(self, state: SimpleNamespace) -> tuple[Figure, str]:
        """The figure of a state and its alt text.

        Runs in the background: it reads `state` and no control.
        """
        raise NotImplementedError

    @property
    def widget(self) -> ipywidgets.VBox:
        """The controls above the picture: the last line of a cell."""
        self._begin()
        return self._box

    @property
    def state(self) -> SimpleNamespace:
        """The values of the controls, by name."""
        return SimpleNamespace(**{name: widget.value for name, widget in self._controls.items()})

    @property
    def picture(self) -> Picture:
        """What the widget shows now; waits until it is drawn.

        Raises:
            Exception: drawing this state has failed.
        """
        self._begin()
        self._redraw.wait()
        return self._drawn

    @property
    def text(self) -> str:
        """The same in words and numbers."""
        return self.picture.text

    @property
    def png(self) -> bytes:
        """The same as the bytes of a PNG."""
        return self.picture.png

    @property
    def figure(self) -> Figure:
        """The same as a matplotlib figure; the next state may be drawn over it."""
        return self.picture.figure

    def _begin(self) -> None:
        if not self._wanted.is_set():
            self._wanted.set()
            self._redraw.put("now")

    def _moved(self, change) -> None:
        if self._wanted.is_set():
            self._redraw.put("now")

    def _show(self, when: str) -> None:
        """Draw and show the values that the controls have now.

        Read this late, they are the newest, whichever thread moved a control, in whichever order.
        """
        try:
            self._drawn = show(*self.draw(self.state))
        except Exception as error:
            words = html.escape(f"This state cannot be drawn. {type(error).__name__}: {error}")
            self._image.value = f'<p role="alert"><strong>{words}</strong></p>'
            raise  # to `picture`
        self._image.value = self._drawn.html + self._spoken(self._drawn.text)

    def _spoken(self, text: str) -> str:
        """The alt text under the picture, which a screen reader reads out when it changes."""
        return (
            f'<p role="status" aria-live="polite" style="line-height:1.4">{html.escape(text)}</p>'
        )
