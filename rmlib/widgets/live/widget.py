"""The live lab: α, the reward type and more are moved while a model trains, and the picture answers."""

import html
import math
import re
import threading
from itertools import pairwise
from pathlib import Path
from time import monotonic

import ipywidgets
from matplotlib.figure import Figure

from rmlib.loss.rewards import REWARDS
from rmlib.models.encoder import Tagger
from rmlib.plots.figures import Picture
from rmlib.training.dev_monitor import Watch
from rmlib.training.live import Live
from rmlib.training.sessions import write_history, write_moves
from rmlib.widgets.entity_viewer import render
from rmlib.widgets.framework.explorer import Explorer, alpha_slider, menu, slider, stop_name

from .figure import LivePicture, words

FACTORS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SPEEDS = (0.5, 1.0, 2.0, 5.0, math.inf)
LINE = "line-height:1.4;margin:4px 0"
EVERY = 1.5  # seconds between two pictures that nobody asked for, at least
WRAP = {"flex_flow": "row wrap", "max_width": "100%"}


def lever(name: str, doc: str) -> property:
    """A property that reads and sets the control of that name of the `Live`; the widget's control follows."""

    def put(self, value):
        setattr(self.live, name, value)
        self._follow()

    return property(lambda self: getattr(self.live, name), put, doc=doc)


class LiveTraining(Explorer):
    """Levers and buttons for a `live.Live`, and what comes of them. Show `lab.widget`, or drive it from Python.

    The picture is drawn at once when a lever is moved, something is evaluated or the state changes, else every 1.5 s
    or so. Each `Live` has one of these: the newest takes over, with all levers where the `Live` has them.

    Args:
        live: what trains; as a rule from `live.reopen`, so that the cell may be run again. Its `evaluate` may be a
            `watch.Watch`, whose sentences are then shown under the picture.

    An error on the training thread is shown, and raised by every property and method.
    """

    alpha = lever("alpha", "The weight of the reward loss, or a function of the step (a schedule); see `Live.alpha`.")
    reward = lever("reward", "The name of the reward type.")
    lr_factor = lever("lr_factor", "What the learning rate of the schedule is multiplied with.")
    freeze = lever("freeze", "What is frozen, one of `live.session.freezes`.")
    speed = lever("speed", "Steps a second, at most; `math.inf` is no limit.")

    def __init__(self, live: Live):
        level = "tokens" if isinstance(live.session.training.classifier, Tagger) else "classes"
        super().__init__(
            alpha=alpha_slider(),
            reward=menu("reward", [name for name, one in REWARDS.items() if level in one.levels]),
            lr_factor=slider("lr ×", [(f"{factor:g}", factor) for factor in FACTORS]),
            freeze=menu("freeze", live.session.freezes),
            speed=slider("steps/s ≤", [(f"{v:g}" if v < math.inf else "no limit", v) for v in SPEEDS]),
        )
        self.live = live
        self._picture = LivePicture()
        self._lock = threading.RLock()
        self._seen: dict = {}  # by lever, where the `Live` was when this widget last looked, or was set to
        self._told: tuple = ()  # what the last picture was of
        self._drawn_at, self._said = -math.inf, ""
        self._make_page()
        self._follow()
        if not live.error and not live.history and "start" not in live.session.snapshots:
            live.snapshot("start")
        live.listener = self._heard

    def _make_page(self) -> None:
        """What there is beside the levers and the picture of `Explorer`, and where it stands."""
        for widget in self._controls.values():
            widget.layout.width, widget.style.description_width = "350px", "70px"
        self._toggle = self._button("train", "start or pause the training", self._train_or_pause)
        one = self._button("one step", "take one step, then hold", self.step)
        keep = self._button("keep a snapshot", "remember the weights as they are now", self.snapshot)
        back = self._button("go back", "go back to the snapshot in the menu", self._go_back)
        save = self._button("save", "write the history and the moves beside the notebook", self.save)
        self._snapshots = ipywidgets.Dropdown(
            options=[], description="snapshot", layout={"width": "260px"}, style={"description_width": "70px"}
        )
        self._status, self._progress, self._sentences = (ipywidgets.HTML(layout={"max_width": "100%"}) for _ in "123")
        rows = self._controls.values(), (self._toggle, one, keep, save), (self._snapshots, back)
        rows = [ipywidgets.Box(list(row), layout=WRAP) for row in rows]
        self._box.children = [*rows, self._status, self._progress, self._image, self._sentences]

    def _button(self, label: str, tip: str, act) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label, tooltip=tip, layout={"width": "130px"})
        button.on_click(lambda _: self._try(act))
        return button

    # What a reader does ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train until `pause` or the end."""
        self.live.start()

    def pause(self) -> None:
        """Hold after the step that is under way."""
        self.live.pause()

    def step(self, steps: int = 1) -> None:
        """Take so many steps, then hold."""
        self.live.step(steps)

    def snapshot(self, name: str = "") -> None:
        """Remember the weights, the optimizer and the place in the run; left out, the name is the number of steps."""
        self.live.snapshot(name or f"step {len(self.live.history)}")

    def back_to(self, name: str = "start") -> None:
        """Go back to a snapshot; the levers stay where they are, and the history goes on.

        Raises:
            RmlibValueError: there is no such snapshot.
        """
        self.live.back_to(name)

    def save(self, folder=".") -> tuple[Path, Path]:
        """Write NAME-history.csv (a row a step) and NAME-moves.json (for `sessions.replay`) into a folder."""
        name = re.sub(r"[^\w.-]+", "-", self.live.name)
        history = write_history(self.live.session, Path(folder) / f"{name}-history.csv")
        moves = write_moves(self.live.session, Path(folder) / f"{name}-moves.json")
        self._say(f"Saved {history.name} and {moves.name} in {history.resolve().parent}.")
        return history, moves

    # What it shows --------------------------------------------------------------------------------------------------

    @property
    def picture(self) -> Picture:
        """The widget's picture as it is now; waits until it is drawn.

        Raises:
            Exception: the one that the training, or drawing, has ended with.
        """
        self._wanted.set()
        self._redraw.put("now")
        self._redraw.wait()
        if self.live.error:
            raise self.live.error
        return self._drawn

    def draw(self, state) -> tuple[Figure, str]:
        session = self.live.session
        rows, moves = session.history.copy(), session.moves.copy()
        return self._picture.draw(rows, moves, self._seen), words(rows, moves, self._seen)

    def _show(self, when: str) -> None:
        state = self._state()
        self._follow()
        self._status.value, self._progress.value = self._status_line(state), self._progress_line()
        self._toggle.description = "pause" if state == "training" else "train"
        names, chosen = tuple(self.live.session.snapshots), self._snapshots.value
        if names != self._snapshots.options:
            self._snapshots.options = names
            self._snapshots.value = chosen or names[0]
        self._sentences.value = self._tagged()
        super()._show(when)
        self._drawn_at = monotonic()

    def _spoken(self, text: str) -> str:
        return ""  # a picture a second is too much for a screen reader: the status line tells what is new

    def _status_line(self, state: str) -> str:
        """What changes at a move or an evaluation."""
        session = self.live.session
        now, error = session.in_force, self.live.error
        said = [f"<strong>{state}</strong>. In force: {_spelled(now)}."]
        wished = self.live.wished
        waiting = {name: wished[name] for name in now if wished[name] != now[name] and not callable(wished[name])}
        if waiting:
            said.append(f"The next step takes: {_spelled(waiting)}.")
        scored = next((row for row in reversed(session.history) if "f1" in row), None)
        if scored:
            said.append(f"Dev F1 {scored['f1']:.3f} after {scored['tick'] + 1} steps.")
        said.append(html.escape(self._said))
        page = f'<p role="status" aria-live="polite" style="{LINE}">{" ".join(said)}</p>'
        if error:
            what = html.escape(f"The training has stopped. {type(error).__name__}: {error}")
            page = f'<p role="alert" style="{LINE}"><strong>{what}</strong></p>{page}'
        return page

    def _progress_line(self) -> str:
        """What changes at every step."""
        session = self.live.session
        training, rows = session.training, session.history[-20:]
        said = [f"step {training.step} of {len(training)}"]
        if rows:
            terms = f"L_p {rows[-1]['prediction']:.3f}, L_r {rows[-1]['reward']:.3f}"
            said = [f"{said[0]}, epoch {rows[-1]['epoch']}", f"{pace(rows):,.0f} pieces a second", terms]
        return f'<p style="{LINE}">{"; ".join(said)}</p>'

    def _tagged(self) -> str:
        """The sentences of the watch, as they are tagged after the last evaluation and were after the one before."""
        watch = self.live.session.evaluate
        if not isinstance(watch, Watch):
            return ""
        before, now = watch.before, watch.tags
        page = []
        for number, sentence in enumerate(watch.shown):
            rows = {"gold": sentence.tags} | ({"before": before[number]} if before else {})
            rows |= {"now": now[number]} if now else {}
            page.append(f'<div style="margin-bottom:14px">{render(sentence.words, rows)}</div>')
        return f'<div role="group" aria-label="sentences, tagged again at every evaluation">{"".join(page)}</div>'

    # How it works: callbacks set the `Live` only; all is shown by the one thread of `self._redraw` --------------------

    def _heard(self) -> None:
        """The `Live` has something new, on whichever thread: ask for a picture, or leave it for later."""
        session = self.live.session
        scored = len(session.history) // session.every if session.evaluate else 0
        told = (self._state(), scored, len(session.snapshots), self.live.wished, self.live.speed)
        if self._wanted.is_set() and (told != self._told or monotonic() - self._drawn_at > EVERY):
            self._told, self._drawn_at = told, monotonic()
            self._redraw.put("now")

    def _moved(self, change) -> None:
        """A lever has another value: by hand it is a wish; where the lever has followed the `Live`, it is none."""
        with self._lock:
            name = next((name for name, widget in self._controls.items() if widget is change["owner"]), "")
            value = self._controls[name].value
            if value == self._seen.get(name):
                return
            self._seen[name] = value
            self._try(lambda: setattr(self.live, name, value))

    def _follow(self) -> None:
        """Move the levers to where the `Live` has its controls, as far as they have such a stop."""
        with self._lock:
            for name, widget in self._controls.items():
                value = self._where(name)
                if value == self._seen.get(name):
                    continue
                self._seen[name] = value
                stops = [stop[1] if isinstance(stop, tuple) else stop for stop in widget.options]
                if value in stops:
                    widget.value = value

    def _where(self, name: str):
        """The value of a control of the `Live`; of a schedule, what it has come to."""
        value = self.live.speed if name == "speed" else self.live.wished[name]
        value = self.live.session.in_force[name] if callable(value) else value
        return str(value) if name == "freeze" else value

    def _state(self) -> str:
        try:
            return self.live.state
        except BaseException:  # whatever the training has ended with, it is raised to the reader and not in here
            return "failed"

    def _train_or_pause(self) -> None:
        (self.pause if self.live.state == "training" else self.start)()

    def _go_back(self) -> None:
        if self._snapshots.value:
            self.back_to(self._snapshots.value)

    def _try(self, act) -> None:
        """For what is done by hand: an error is shown, for there is nobody to raise it to."""
        try:
            self._said = ""
            act()
        except Exception as error:
            self._say(str(error) or type(error).__name__)

    def _say(self, text: str) -> None:
        self._said = text
        if self._wanted.is_set():
            self._redraw.put("now")


def pace(rows: list[dict]) -> float:
    """Word pieces a second of the last steps; evaluations are not counted."""
    pairs = [(one["pieces"], one["seconds"] - last["seconds"]) for last, one in pairwise(rows)]
    pairs = [(pieces, seconds) for pieces, seconds in pairs if seconds > 0]  # a way back turns the clock back, too
    return sum(pieces for pieces, _ in pairs) / sum(seconds for _, seconds in pairs) if pairs else 0.0


def _spelled(values: dict) -> str:
    """What is in force, or some of it, in words."""
    names = {"alpha": "α = {}", "reward": "{}", "lr_factor": "lr × {}", "freeze": "freeze {}"}
    return html.escape(", ".join(names[name].format(_short(value)) for name, value in values.items()))


def _short(value) -> str:
    return value if isinstance(value, str) else stop_name(float(f"{value:.3g}"))
