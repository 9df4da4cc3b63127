"""The live lab: the controls of a running training, and a picture of what they do."""

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
from rmlib.widgets.entity_viewer import render
from rmlib.widgets.framework.explorer import (
    Explorer,
    alpha_slider,
    control,
    menu,
    slider,
)

from .dev_monitor import DevMonitor
from .figure import LivePicture, alt_text, short_number
from .live import Live
from .sessions import write_history, write_moves

FACTORS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SPEEDS = (0.5, 1.0, 2.0, 5.0, math.inf)
LINE = "line-height:1.4;margin:4px 0"
EVERY = 1.5  # seconds between two pictures that nobody asked for, at least
WRAP = {"flex_flow": "row wrap", "max_width": "100%"}


class LiveTraining(Explorer):
    """Controls and buttons for a `live.Live`, and a picture of the training.

    Show `lab.widget`, or use it from Python. The picture is drawn at once when a control is moved,
    the model is evaluated or the state changes, else about every 1.5 s. Each `Live` has one widget:
    the newest takes over, with the controls at the values that the `Live` has. An error on the
    training thread is shown, and raised by every property and method.

    Args:
        live: what trains; as a rule from `live.reopen`, so that the cell may be run again. Its
            `evaluate` may be a `DevMonitor`, whose sentences are then shown under the picture.
    """

    alpha = control(
        "alpha",
        "The weight of the reward loss, or a function of the step (a schedule); see `Live.alpha`.",
    )
    reward = control("reward", "The name of the reward type.")
    lr_factor = control("lr_factor", "What the learning rate of the schedule is multiplied with.")
    freeze = control("freeze", "What is frozen, one of `live.session.freezes`.")
    speed = control("speed", "The maximum of steps per second; `math.inf` is no limit.")

    def __init__(self, live: Live):
        level = "tokens" if isinstance(live.session.training.classifier, Tagger) else "classes"
        super().__init__(
            alpha=alpha_slider(),
            reward=menu("reward", [name for name, one in REWARDS.items() if level in one.levels]),
            lr_factor=slider("lr ×", [(f"{factor:g}", factor) for factor in FACTORS]),
            freeze=menu("freeze", live.session.freezes),
            speed=slider(
                "steps/s ≤", [(f"{v:g}" if v < math.inf else "no limit", v) for v in SPEEDS]
            ),
        )
        self.live = live
        self._picture = LivePicture()
        self._lock = threading.RLock()
        # by control, the value of the `Live` that this widget last read or set
        self._seen: dict = {}
        self._last_news: tuple = ()  # what the last picture was drawn for
        self._drawn_at = -math.inf
        self._message = ""
        self._make_page()
        self._follow()
        if not live.error and not live.history and "start" not in live.session.snapshots:
            live.snapshot("start")
        live.callback = self._on_news

    def _get_control(self, name: str):
        return getattr(self.live, name)

    def _set_control(self, name: str, value) -> None:
        setattr(self.live, name, value)
        self._follow()

    def _make_page(self) -> None:
        """Add the buttons and texts to the controls and the picture of `Explorer`."""
        for widget in self._controls.values():
            widget.layout.width, widget.style.description_width = "350px", "70px"
        self._toggle = self._button("train", "start or pause the training", self._train_or_pause)
        one = self._button("one step", "take one step, then hold", self.step)
        keep = self._button(
            "keep a snapshot", "remember the weights as they are now", self.snapshot
        )
        back = self._button("go back", "go back to the snapshot in the menu", self._go_back)
        save = self._button(
            "save", "write the history and the moves beside the notebook", self.save
        )
        self._snapshots = ipywidgets.Dropdown(
            options=[],
            description="snapshot",
            layout={"width": "260px"},
            style={"description_width": "70px"},
        )
        wide = {"max_width": "100%"}
        self._status = ipywidgets.HTML(layout=wide)
        self._progress = ipywidgets.HTML(layout=wide)
        self._sentences = ipywidgets.HTML(layout=wide)
        rows = self._controls.values(), (self._toggle, one, keep, save), (self._snapshots, back)
        rows = [ipywidgets.Box(list(row), layout=WRAP) for row in rows]
        self._box.children = [*rows, self._status, self._progress, self._image, self._sentences]

    def _button(self, label: str, tip: str, act) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label, tooltip=tip, layout={"width": "130px"})
        button.on_click(lambda _: self._try(act))
        return button

    # What a reader does ---------------------------------------------------------------------------

    def start(self) -> None:
        """Train until `pause` or the end."""
        self.live.start()

    def pause(self) -> None:
        """Pause after the current step."""
        self.live.pause()

    def step(self, steps: int = 1) -> None:
        """Take that many steps, then pause."""
        self.live.step(steps)

    def snapshot(self, name: str = "") -> None:
        """Keep the weights, the state of the optimizer and the position in the run.

        Args:
            name: left out, it is the number of steps.
        """
        self.live.snapshot(name or f"step {len(self.live.history)}")

    def back_to(self, name: str = "start") -> None:
        """Go back to a snapshot; the controls keep their values, and the history continues.

        Raises:
            RmlibValueError: there is no such snapshot.
        """
        self.live.back_to(name)

    def save(self, folder=".") -> tuple[Path, Path]:
        """Write NAME-history.csv (one row per step) and NAME-moves.json into a folder.

        `sessions.replay` reads the moves.
        """
        name = re.sub(r"[^\w.-]+", "-", self.live.name)
        history = write_history(self.live.session, Path(folder) / f"{name}-history.csv")
        moves = write_moves(self.live.session, Path(folder) / f"{name}-moves.json")
        self._say(f"Saved {history.name} and {moves.name} in {history.resolve().parent}.")
        return history, moves

    # What it shows --------------------------------------------------------------------------------

    @property
    def picture(self) -> Picture:
        """The widget's picture as it is now; waits until it is drawn.

        Raises:
            Exception: the training, or drawing, has failed.
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
        return self._picture.draw(rows, moves, self._seen), alt_text(rows, moves, self._seen)

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
        # A picture per second is too much for a screen reader: it reads out the status line.
        return ""

    def _status_line(self, state: str) -> str:
        """What changes at a move or an evaluation."""
        session = self.live.session
        now, error = session.active, self.live.error
        sentences = [f"<strong>{state}</strong>. Active: {_in_words(now)}."]
        pending = self.live.pending
        waiting = {
            name: pending[name]
            for name in now
            if pending[name] != now[name] and not callable(pending[name])
        }
        if waiting:
            sentences.append(f"The next step takes: {_in_words(waiting)}.")
        scored = next((row for row in reversed(session.history) if "f1" in row), None)
        if scored:
            sentences.append(f"Dev F1 {scored['f1']:.3f} after {scored['step_index'] + 1} steps.")
        sentences.append(html.escape(self._message))
        page = f'<p role="status" aria-live="polite" style="{LINE}">{" ".join(sentences)}</p>'
        if error:
            what = html.escape(f"The training has stopped. {type(error).__name__}: {error}")
            page = f'<p role="alert" style="{LINE}"><strong>{what}</strong></p>{page}'
        return page

    def _progress_line(self) -> str:
        """What changes at every step."""
        session = self.live.session
        training, rows = session.training, session.history[-20:]
        parts = [f"step {training.step} of {len(training)}"]
        if rows:
            last = rows[-1]
            parts[0] += f", epoch {last['epoch']}"
            parts.append(f"{tokens_per_second(rows):,.0f} subword tokens per second")
            parts.append(f"L_p {last['prediction']:.3f}, L_r {last['reward']:.3f}")
        return f'<p style="{LINE}">{"; ".join(parts)}</p>'

    def _tagged(self) -> str:
        """The sentences of the monitor with the tags of the last two evaluations."""
        monitor = self.live.session.evaluate
        if not isinstance(monitor, DevMonitor):
            return ""
        before, now = monitor.before, monitor.tags
        page = []
        for i, sentence in enumerate(monitor.shown):
            taggings = {"gold": sentence.tags}
            if before:
                taggings["before"] = before[i]
            if now:
                taggings["now"] = now[i]
            page.append(f'<div style="margin-bottom:14px">{render(sentence.words, taggings)}</div>')
        label = "sentences, tagged again at every evaluation"
        return f'<div role="group" aria-label="{label}">{"".join(page)}</div>'

    # How it works: callbacks set the `Live` only; the one thread of `self._redraw` shows everything

    def _on_news(self) -> None:
        """Ask for a picture, or leave it for later; the `Live` calls this on any thread."""
        session = self.live.session
        scored = len(session.history) // session.every if session.evaluate else 0
        news = (self._state(), scored, len(session.snapshots), self.live.pending, self.live.speed)
        due = news != self._last_news or monotonic() - self._drawn_at > EVERY
        if self._wanted.is_set() and due:
            self._last_news = news
            self._drawn_at = monotonic()
            self._redraw.put("now")

    def _moved(self, change) -> None:
        """Pass the value of a control on, unless the control has only followed the `Live`."""
        with self._lock:
            name = next(
                (name for name, widget in self._controls.items() if widget is change["owner"]), ""
            )
            value = self._controls[name].value
            if value == self._seen.get(name):
                return
            self._seen[name] = value
            self._try(lambda: setattr(self.live, name, value))

    def _follow(self) -> None:
        """Move the controls to the values of the `Live`, where they have such a stop."""
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
        """The value of a control of the `Live`; of a schedule, its current value."""
        value = self.live.speed if name == "speed" else self.live.pending[name]
        value = self.live.session.active[name] if callable(value) else value
        return str(value) if name == "freeze" else value

    def _state(self) -> str:
        try:
            return self.live.state
        except BaseException:  # the error of the training is raised to the reader and not in here
            return "failed"

    def _train_or_pause(self) -> None:
        if self.live.state == "training":
            self.pause()
        else:
            self.start()

    def _go_back(self) -> None:
        if self._snapshots.value:
            self.back_to(self._snapshots.value)

    def _try(self, act) -> None:
        """Do what a reader asked for by hand; an error is shown, for nobody could catch it."""
        try:
            self._message = ""
            act()
        except Exception as error:
            self._say(str(error) or type(error).__name__)

    def _say(self, text: str) -> None:
        self._message = text
        if self._wanted.is_set():
            self._redraw.put("now")


def tokens_per_second(rows: list[dict]) -> float:
    """Subword tokens per second in the last steps; the time of evaluations does not count."""
    tokens = seconds = 0.0
    for before, row in pairwise(rows):
        duration = row["seconds"] - before["seconds"]
        if duration > 0:  # going back to a snapshot turns the clock back, too
            tokens += row["tokens"]
            seconds += duration
    return tokens / seconds if seconds else 0.0


def _in_words(values: dict) -> str:
    """The values of some controls in words."""
    names = {"alpha": "α = {}", "reward": "{}", "lr_factor": "lr × {}", "freeze": "freeze {}"}
    return html.escape(
        ", ".join(names[name].format(_short(value)) for name, value in values.items())
    )


def _short(value) -> str:
    return value if isinstance(value, str) else short_number(value)
