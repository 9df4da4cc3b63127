"""One process at a time in a folder or a table of results."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from rmlib.errors import RmlibError
from rmlib.text.files import check_output


@contextmanager
def held(folder, name: str = "run") -> Iterator[None]:
    """Hold a folder's lock, which the system releases when this process ends, however it ends.

    A folder that is made for it and stays empty is removed again.

    Args:
        folder: made where it is missing.
        name: of the lock.

    Raises:
        RmlibError: another process holds it, and the message says which; or the folder cannot be
            written.
    """
    check_output(folder)
    folder = Path(folder).absolute()
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    file, holder = folder / f".{name}.lock", folder / f".{name}.holder"
    lock = FileLock(file)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            who = holder.read_text(encoding="utf8") if holder.exists() else "another process"
            raise RmlibError(
                f"{folder}: {who} is at work here; wait for it, or give another place"
            ) from None
    try:
        with writing(folder):
            now = datetime.now().isoformat(" ", "seconds")
            text = f"process {os.getpid()} on {platform.node()}, since {now},"
            holder.write_text(text, encoding="utf8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        file.unlink(missing_ok=True)
        for place in missing:
            if not any(place.iterdir()):
                place.rmdir()


@contextmanager
def writing(path) -> Iterator[None]:
    """Turn what goes wrong while files are written under a path into one sentence.

    Raises:
        RmlibError: the disk is full, read-only, or gone.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        advice = "give another path"
        if "No space left" in reason or "quota" in reason:
            advice = "free some space, then give the same command again"
        raise RmlibError(f"cannot write to {path}: {reason}; {advice}") from error
