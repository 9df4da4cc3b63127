"""Calls a learner's function and returns, whatever it raises and however long it runs."""

import contextlib
import contextvars
import ctypes
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Callable

import psutil

SECONDS = 10.0
MEGABYTES = 2000
GRACE = 5.0  # seconds that code may take to stop after it was interrupted
POLL = 0.02  # seconds between two looks at the clock and the memory
OUT_OF_MEMORY = ("allocate", "out of memory")


class LearnersError(Exception):
    """What went wrong in a learner's code, in one sentence that names the line.

    Args:
        id: "raises", "too-slow" or "too-much-memory".
        message: the sentence.
    """

    def __init__(self, id: str, message: str):
        super().__init__(message)
        self.id = id


class TimeUp(BaseException):
    """Raised inside code that runs too long.

    Not an Exception, so that `except Exception` does not catch it.
    """


class TooMuchMemory(BaseException):
    """Raised inside code that takes too much memory."""


def call(function: Callable, *args, seconds: float = SECONDS, megabytes: int = MEGABYTES):
    """function(*args), on a thread of its own that is stopped when it exceeds a limit.

    Args:
        seconds: limit on the computing time; three times as many by the clock, since a machine may
            be busy.
        megabytes: limit on the memory that the call may add to this process.

    Raises:
        LearnersError: it raised something, ran too long, or took too much memory.
    """
    done = threading.Event()
    result = {}

    def work():
        try:
            result["value"] = function(*args)
        except BaseException as error:  # the learner's SystemExit and KeyboardInterrupt as well
            result["error"] = error
        finally:
            done.set()

    # With the caller's context: what the learner prints belongs to the cell that runs the check.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    with _address_space(megabytes):
        thread.start()
        stopped, frames = _watch(thread, done, seconds, megabytes)
    error = result.get("error")
    if error is None and "value" in result and stopped is None:
        return result["value"]
    frames = frames or traceback.extract_tb(error.__traceback__ if error else None)
    failure = _explain(error, stopped, _where(function, frames), seconds, megabytes)
    if not done.is_set():
        message = f"{failure} It does not stop and keeps running: restart the kernel."
        failure = LearnersError(failure.id, message)
    raise failure from None


def _watch(
    thread: threading.Thread, done: threading.Event, seconds: float, megabytes: int
) -> tuple:
    """Wait for the end; (None, None), or why it was stopped and the frames it was in."""
    process = psutil.Process()
    begin = time.monotonic()
    memory_before = process.memory_info().rss
    stopped = frames = stopped_at = None
    while not done.wait(POLL):
        clock = time.monotonic() - begin
        if stopped is None:
            if clock > seconds and (clock > 3 * seconds or _computed(process, thread) > seconds):
                stopped = TimeUp
            elif process.memory_info().rss - memory_before > megabytes * 1e6:
                stopped = TooMuchMemory
            if stopped is None:
                continue
            stopped_at = clock
            frame = sys._current_frames().get(thread.ident)
            frames = traceback.extract_stack(frame) if frame else []
        _raise_in(thread, stopped)  # repeatedly: code that catches everything gets the next one
        if clock > stopped_at + GRACE:  # it sleeps or computes where nothing can be raised
            break
    return stopped, frames


def _computed(process: psutil.Process, thread: threading.Thread) -> float:
    """Seconds of computing time of the thread."""
    return sum(
        one.user_time + one.system_time for one in process.threads() if one.id == thread.native_id
    )


def _raise_in(thread: threading.Thread, kind: type) -> None:
    """Raise an exception in another thread; it arrives at the next line of Python there."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(kind))


@contextlib.contextmanager
def _address_space(megabytes: int):
    """On Linux, refuse memory beyond the limit before it is used; elsewhere, rely on `_watch`."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + int(megabytes * 1e6)
    if soft != resource.RLIM_INFINITY:
        wanted = min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _explain(error, stopped, where: str, seconds: float, megabytes: int) -> LearnersError:
    """What to raise for an error or a stop."""
    if stopped is TimeUp:
        message = f"your code was stopped after {seconds:g} seconds{where}: an endless loop?"
        return LearnersError("too-slow", message)
    out_of_memory = isinstance(error, MemoryError) or any(
        word in str(error) for word in OUT_OF_MEMORY
    )
    if stopped is TooMuchMemory or out_of_memory:
        message = f"your code was stopped: it needs more than {megabytes:,} MB of memory{where}"
        return LearnersError("too-much-memory", message)
    detail = f": {str(error).strip()}" if str(error) else ""
    return LearnersError("raises", f"your code ends in {type(error).__name__}{detail}{where}")


def _where(function, frames) -> str:
    """The last line of the learner's own code among these frames."""
    own_file = getattr(getattr(function, "__code__", None), "co_filename", None)
    own = [frame for frame in frames if frame.filename == own_file]
    if not own:
        own = [frame for frame in frames if "rmlib" not in frame.filename]
    if not own:
        return ""
    line = linecache.getline(own[-1].filename, own[-1].lineno).strip()
    return f" (line {own[-1].lineno}{': ' if line else ''}{line})"
