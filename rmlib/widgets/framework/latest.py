"""Drawing in the background, of the latest state only."""

import contextvars
import threading
from collections.abc import Callable


class Latest:
    """Calls `draw(state)` on a thread of its own, for the newest state only.

    The thread starts when there is something to draw and ends when everything is drawn.

    Args:
        draw: takes a state; it is never called twice at the same time.
    """

    def __init__(self, draw: Callable[[object], None]):
        self._draw = draw
        self._change = threading.Condition()
        self._waiting: list = []  # empty, or the newest state
        self._busy = False
        self._error: Exception | None = None

    def put(self, state) -> None:
        """Ask for a drawing of `state` and return at once; a state that still waits is dropped."""
        with self._change:
            self._waiting = [state]
            if not self._busy:
                self._busy = True
                # With the caller's context: ipykernel 7.0 looks there for the cell that a widget
                # belongs to.
                run = contextvars.copy_context().run
                threading.Thread(
                    target=run, args=(self._run,), name="rmlib redraw", daemon=True
                ).start()

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until the newest state is drawn.

        Raises:
            TimeoutError: it took longer than `timeout` seconds.
            Exception: the last drawing has failed; again at every call until one succeeds.
        """
        with self._change:
            if not self._change.wait_for(lambda: not self._busy, timeout):
                raise TimeoutError(f"still drawing after {timeout:g} s")
            if self._error:
                raise self._error

    def _run(self) -> None:
        while True:
            with self._change:
                if not self._waiting:
                    self._busy = False
                    self._change.notify_all()
                    return
                state = self._waiting.pop()
                self._error = None
            try:
                self._draw(state)
            except Exception as error:  # kept for wait(): nobody catches an error of a thread
                with self._change:
                    self._error = error
