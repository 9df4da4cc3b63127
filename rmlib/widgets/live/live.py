"""The training loop on a background thread, with controls that may change at any step.

    live = Live(Training(tagger, examples, Config()), evaluate=score)
    live.start()
    live.alpha = 10            # takes effect at the next step
    live.pause(); live.step(); live.resume(); live.stop()
    live.snapshot("before"); live.back_to("before")

Setting a control only stores a pending value. The training thread reads the pending values once per
step and records in `moves` what took effect when, so that a run can be replayed:
`sessions.replay(training, moves, steps)`.
"""

import atexit
import contextvars
import math
import threading
from collections.abc import Callable
from contextlib import contextmanager
from time import perf_counter

from rmlib.determinism import adopt_thread_count
from rmlib.errors import RmlibValueError
from rmlib.training.loop import Training

from .sessions import Session


def control(name: str, doc: str) -> property:
    """A property of `Live`: setting it stores a pending value, reading it gives the next value."""

    def get(self):
        with self._access():
            return self._pending.get(name, self.session.active[name])

    def put(self, value):
        if not callable(value):
            self.session.check(name, value)
        elif name != "alpha":
            raise RmlibValueError(f"{name} is a function; only alpha may be one")
        with self._change_state():
            self._pending[name] = value

    return property(get, put, doc=doc)


class Live:
    """A `Session` on a thread of its own. All methods except `join` and `wait` return at once.

    Args:
        training: what is trained; its `score` is not needed.
        evaluate: called on the training thread after every `every` steps; its dict goes into the
            row of the history.
        every: steps between two evaluations.
        name: a new `Live` closes an older one of the same name. `reopen` returns the older one.

    `callback` may be set to a function without arguments, which must return at once. It is called
    on the training thread after every step, snapshot, return to a snapshot and evaluation and at
    the end, and on the caller's thread after every change of a control.

    An exception on the training thread ends the training. It is raised by the next access to the
    `Live` and by `join()`.
    """

    alpha = control(
        "alpha",
        "The weight of the reward loss, or a function of the step that gives it (a schedule).",
    )
    reward = control("reward", "The name of the reward type.")
    lr_factor = control("lr_factor", "The factor of the scheduled learning rate, 0 or more.")
    freeze = control("freeze", "What is frozen; what was frozen at the start cannot be thawed.")

    _open: dict[str, "Live"] = {}

    def __init__(
        self,
        training: Training,
        evaluate: Callable | None = None,
        every: int = 20,
        name: str = "live",
    ):
        if before := Live._open.get(name):
            before.close()
        Live._open[name] = self
        self.name = name
        self.session = Session(training, evaluate, every)
        self._change = threading.Condition()
        self._pending: dict = {}  # control -> value, or a function of the step for alpha
        # Snapshots and returns to them, in order, until the thread executes them; and all so far.
        self._orders: list[tuple] = []
        self._ordered: set[tuple] = set()
        self._allowed: float = 0  # steps that may be taken; inf while it runs
        self._speed = math.inf  # steps per second
        self._closing = False
        self._finished = False
        self._busy = False
        self._error: BaseException | None = None
        self.callback: Callable[[], None] | None = None
        # With the caller's context, in which ipykernel looks up the cell that output belongs to.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._run,), name=f"rmlib {name}", daemon=True
        )

    # Controls -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Train until `pause`, `stop` or the end. Calling it twice changes nothing."""
        self.step(math.inf)

    resume = start

    def pause(self) -> None:
        """Hold after the current step."""
        with self._change_state():
            self._allowed = 0

    def step(self, steps: float = 1) -> None:
        """Take this many steps from here, then hold."""
        with self._change_state():
            if not self._thread.is_alive() and not self._closing:
                self._thread.start()
            self._allowed = steps

    def stop(self) -> None:
        """End the training for good; history, moves and weights stay."""
        with self._change_state():
            self._closing = True

    def close(self) -> None:
        """Stop and wait for the thread to end; raises nothing."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the run has ended.

        Raises:
            TimeoutError: it is still training after `timeout` seconds.
            Exception: the one that ended the training thread.
        """
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"still training after {timeout:g} s")
        with self._access():
            pass

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until it holds, after the last step that `step` or `pause` allowed.

        Raises:
            TimeoutError: it is still training after `timeout` seconds.
            Exception: the one that ended the training thread.
        """

        def is_idle() -> bool:
            if self._error or not self._thread.is_alive():
                return True
            return not (self._busy or self._allowed or self._orders)

        with self._access():
            idle = self._change.wait_for(is_idle, timeout)
        if not idle:
            raise TimeoutError(f"still training after {timeout:g} s")
        with self._access():
            pass

    def snapshot(self, name: str) -> None:
        """Store weights, optimizer and position under a name, before the next step."""
        self._order("snapshot", name)

    def back_to(self, name: str) -> None:
        """Go back to a snapshot before the next step; the controls stay where they are."""
        if ("snapshot", name) not in self._ordered:
            self.session.check("back_to", name)
        self._order("back_to", name)

    @property
    def speed(self) -> float:
        """Maximum steps per second; inf is no limit."""
        return self._speed

    @speed.setter
    def speed(self, value: float):
        if not (isinstance(value, int | float) and value > 0):
            raise RmlibValueError(f"speed is {value!r}; expected a number above 0")
        with self._change_state():
            self._speed = value

    # State --------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """ "new" (no step yet), "training", "holding", "finished" (all steps done) or "closed"."""
        with self._access():
            if self._closing:
                return "closed"
            if self._finished:
                return "finished"
            if self._allowed:
                return "training"
            return "holding" if self.session.history else "new"

    @property
    def pending(self) -> dict:
        """The value of each control in the next step; a schedule is a function. Never raises."""
        return self.session.active | self._pending

    @property
    def error(self) -> BaseException | None:
        """The exception that ended the training thread, or None."""
        return self._error

    @property
    def history(self) -> list[dict]:
        """A copy of the rows so far, one per step: controls, terms of the loss, scores."""
        with self._access():
            return list(self.session.history)

    @property
    def moves(self) -> list[dict]:
        """A copy of the moves so far, as `replay` takes them."""
        with self._access():
            return list(self.session.moves)

    def _order(self, what: str, name: str) -> None:
        with self._change_state():
            if not self._thread.is_alive() and not self._closing:
                self._thread.start()
            self._orders.append((what, name))
            self._ordered.add((what, name))

    def _access(self):
        """The lock, as a context manager; raises what ended the training thread."""
        if self._error:
            raise self._error
        return self._change

    @contextmanager
    def _change_state(self):
        """The lock for a change; afterwards waiting threads are notified and `callback` called."""
        with self._access():
            yield
            self._change.notify_all()
        if self.callback:
            self.callback()

    def _run(self) -> None:
        adopt_thread_count()
        try:
            while self._turn():
                pass
        except BaseException as error:
            self._error = error
        finally:
            with self._change:
                self._busy = False
                self._allowed = 0
                self._change.notify_all()
            if self.callback:
                self.callback()

    def _turn(self) -> bool:
        """Wait for something to do and do it; False once it is closed."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            self._change.wait_for(lambda: self._closing or self._orders or self._allowed)
            if self._closing:
                return False
            orders, self._orders = self._orders, []
            pending = dict(self._pending)
            allowed = self._allowed
            self._busy = True
        start = perf_counter()
        for order in orders:
            self.session.apply(*order)
            self._finished = False
        if not allowed:
            if self.callback:
                self.callback()
            return True
        for name, value in pending.items():
            if callable(value):  # a schedule
                value = value(self.session.training.step)
            self.session.apply(name, value)
        row = self.session.advance()
        with self._change:
            self._finished = row is None
            self._allowed = 0 if row is None else max(self._allowed - 1, 0)
            self._change.notify_all()
        if self.callback:
            self.callback()
        self._wait_for_speed(start)
        return True

    def _wait_for_speed(self, start: float) -> None:
        """Wait until the next step is due; any change of a control ends the wait."""
        with self._change:
            speed = self._speed
            remaining = start + 1 / speed - perf_counter()
            if remaining > 0:
                self._change.wait_for(
                    lambda: (
                        self._closing or self._orders or not self._allowed or self._speed != speed
                    ),
                    remaining,
                )


def reopen(name: str, make: Callable[[str], Live]) -> Live:
    """The open `Live` of that name, or else `make(name)`: for a cell that may be run twice."""
    lab = Live._open.get(name)
    if lab and not lab._closing and not lab._error:
        return lab
    return make(name)


@atexit.register
def _close_all() -> None:
    """When the interpreter exits, end every training after its current step."""
    for live in Live._open.values():
        live.close()
