"""The training loop on a background thread, under controls that may change at any step. No widgets in here.

    live = Live(Training(tagger, examples, Config()), evaluate=score)
    live.start()
    live.alpha = 10            # heard at the next step
    live.pause(); live.step(); live.resume(); live.stop()
    live.snapshot("before"); live.back_to("before")

Setting a control only notes a wish; the training thread reads the wishes once a step and writes down, in `moves`, what
came into force when. So a run can be played again from its moves: `sessions.replay(training, moves, steps)`.
"""

import atexit
import contextvars
import math
import threading
from collections.abc import Callable
from contextlib import contextmanager
from time import perf_counter

from rmlib.determinism import usual_threads
from rmlib.errors import RmlibValueError

from .loop import Training
from .sessions import Session


def control(name: str, doc: str) -> property:
    """A property of `Live` that notes a wish and reads what is wished for, or in force."""

    def get(self):
        with self._touch():
            return self._wishes.get(name, self.session.in_force[name])

    def put(self, value):
        if not callable(value):
            self.session.check(name, value)
        elif name != "alpha":
            raise RmlibValueError(f"{name} is a function; only alpha may be one")
        with self._telling():
            self._wishes[name] = value

    return property(get, put, doc=doc)


class Live:
    """A `Session` on a thread of its own. Every method returns at once, but `join` and `wait`.

    Args:
        training: see `training.Training`; its `score` is not needed.
        evaluate: called on the training thread after every `every` steps; its dict goes into the history row.
        name: a new `Live` of the same name closes the one before it. `reopen` finds the one that is there instead.

    `listener` may be set to a function without arguments. It is called after every step, snapshot, way back and
    evaluation and at the end, on the training thread, and after every touch that changes something, on the thread that
    did it. So it has to return at once.

    An exception on the thread ends the training and is raised at the next touch, whatever it is, and at `join()`.
    """

    alpha = control("alpha", "The weight of the reward loss, or a function of the step that gives it (a schedule).")
    reward = control("reward", "The name of the reward type.")
    lr_factor = control("lr_factor", "What the learning rate of the schedule is multiplied with, 0 or more.")
    freeze = control("freeze", "What is frozen; what was frozen at the start cannot be thawed.")

    _open: dict[str, "Live"] = {}

    def __init__(self, training: Training, evaluate: Callable | None = None, every: int = 20, name: str = "live"):
        if before := Live._open.get(name):
            before.close()
        Live._open[name] = self
        self.name, self.session = name, Session(training, evaluate, every)
        self._change = threading.Condition()
        self._wishes: dict = {}  # control -> value, or a function of the step for alpha
        self._orders: list[tuple] = []  # snapshots and ways back, in their order, until the thread takes them
        self._ordered: set[tuple] = set()  # all there ever were
        self._allowed: float = 0  # steps that may be taken; inf while it runs
        self._speed = math.inf  # steps a second
        self._closing = self._finished = self._busy = False
        self._error: BaseException | None = None
        self.listener: Callable[[], None] | None = None
        # With the caller's context: what the listener starts may look there for the cell that it belongs to.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name=f"rmlib {name}", daemon=True)

    # What a reader does ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train until `pause`, `stop` or the end. Starting twice is starting once."""
        self.step(math.inf)

    resume = start

    def pause(self) -> None:
        """Hold after the step that is under way."""
        with self._telling():
            self._allowed = 0

    def step(self, steps: float = 1) -> None:
        """Take so many steps from here, then hold."""
        with self._telling():
            if not self._thread.is_alive() and not self._closing:
                self._thread.start()
            self._allowed = steps

    def stop(self) -> None:
        """End the training for good; history, moves and weights stay."""
        with self._telling():
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
            TimeoutError: it has not, after `timeout` seconds.
            Exception: the one that the thread ended with.
        """
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"still training after {timeout:g} s")
        with self._touch():
            pass

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until it holds: after the last step that `step` or `pause` left to do.

        Raises:
            TimeoutError: it does not, after `timeout` seconds.
        """
        with self._touch():
            idle = self._change.wait_for(
                lambda: not self._thread.is_alive() or self._error or not (self._busy or self._allowed or self._orders),
                timeout,
            )
        if not idle:
            raise TimeoutError(f"still training after {timeout:g} s")
        with self._touch():
            pass

    def snapshot(self, name: str) -> None:
        """Remember weights, optimizer and place in the run under a name, before the next step."""
        self._order("snapshot", name)

    def back_to(self, name: str) -> None:
        """Go back to a snapshot before the next step; the controls stay where they are."""
        if ("snapshot", name) not in self._ordered:
            self.session.check("back_to", name)
        self._order("back_to", name)

    @property
    def speed(self) -> float:
        """Steps a second, at most; inf is no limit."""
        return self._speed

    @speed.setter
    def speed(self, value: float):
        if not (isinstance(value, int | float) and value > 0):
            raise RmlibValueError(f"speed is {value!r}; expected a number above 0")
        with self._telling():
            self._speed = value

    # What it shows --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """ "new" (no step yet), "training", "holding", "finished" (all steps done) or "closed"."""
        with self._touch():
            if self._closing:
                return "closed"
            if self._finished:
                return "finished"
            if self._allowed:
                return "training"
            return "holding" if self.session.history else "new"

    @property
    def wished(self) -> dict:
        """What the next step will take, by control; a schedule as its function. Raises nothing."""
        return self.session.in_force | self._wishes

    @property
    def error(self) -> BaseException | None:
        """What the thread has ended with, not raised."""
        return self._error

    @property
    def history(self) -> list[dict]:
        """A copy of the rows so far, one a step: what was in force, the terms of the loss, the scores."""
        with self._touch():
            return list(self.session.history)

    @property
    def moves(self) -> list[dict]:
        """A copy of the moves so far, as `replay` takes them."""
        with self._touch():
            return list(self.session.moves)

    def _order(self, what: str, name: str) -> None:
        with self._telling():
            if not self._thread.is_alive() and not self._closing:
                self._thread.start()
            self._orders.append((what, name))
            self._ordered.add((what, name))

    def _touch(self):
        """The lock, as a context; raises what the thread ended with."""
        if self._error:
            raise self._error
        return self._change

    @contextmanager
    def _telling(self):
        """The lock; afterwards whoever waits looks again, and the listener is called."""
        with self._touch():
            yield
            self._change.notify_all()
        if self.listener:
            self.listener()

    def _run(self) -> None:
        usual_threads()
        try:
            while self._turn():
                pass
        except BaseException as error:
            self._error = error
        finally:
            with self._change:
                self._busy, self._allowed = False, 0
                self._change.notify_all()
            if self.listener:
                self.listener()

    def _turn(self) -> bool:
        """Wait for something to do and do it; False when the lab is closed."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            self._change.wait_for(lambda: self._closing or self._orders or self._allowed)
            if self._closing:
                return False
            orders, self._orders = self._orders, []
            wishes, allowed, speed = dict(self._wishes), self._allowed, self._speed
            self._busy = True
        start = perf_counter()
        for order in orders:
            self.session.apply(*order)
            self._finished = False
        if not allowed:
            if self.listener:
                self.listener()
            return True
        for control, value in wishes.items():
            self.session.apply(control, value(self.session.training.step) if callable(value) else value)
        row = self.session.advance()
        with self._change:
            self._finished = row is None
            self._allowed = 0 if row is None else max(self._allowed - 1, 0)
            self._change.notify_all()
        if self.listener:
            self.listener()
        with self._change:
            left = start + 1 / speed - perf_counter()
            if left > 0:  # a limit is not felt by the controls: any of them ends the wait
                slow = self._speed
                self._change.wait_for(
                    lambda: self._closing or self._orders or not self._allowed or self._speed != slow, left
                )
        return True


def reopen(name: str, make: Callable[[str], Live]) -> Live:
    """The lab of that name if it is open; else the one that `make(name)` makes: for a cell that is run twice."""
    lab = Live._open.get(name)
    if lab and not lab._closing and not lab._error:
        return lab
    return make(name)


@atexit.register
def _close_all() -> None:
    """A kernel that is left takes its labs along, each at the end of the step that is under way."""
    for live in Live._open.values():
        live.close()
