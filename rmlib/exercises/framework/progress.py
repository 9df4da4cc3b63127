"""Where a learner's progress is kept: in the workbook that the kernel runs in."""

import json
import os
from pathlib import Path

from rmlib.text.files import write_atomically

FOLDER = ".rmlib"


def workbook() -> Path | None:
    """The workbook that this kernel runs in, or None.

    A kernel starts in the folder of its notebook. That is a workbook if `rmlib lab` or
    `rmlib workbook` made it. Elsewhere, and while nbgrader grades, nothing is written: progress
    lasts as long as the kernel.
    """
    if os.environ.get("NBGRADER_EXECUTION"):
        return None
    here = Path.cwd()
    return here if (here / FOLDER / "manifest.json").is_file() else None


class Notes:
    """A dict that is kept in `workbook/.rmlib/NAME.json`, or in memory outside of a workbook.

    A missing or damaged file counts as empty. What cannot be written is kept in memory.
    """

    def __init__(self, name: str):
        self.name = name
        self._memory: dict = {}

    def read(self) -> dict:
        if (home := workbook()) is None:
            return dict(self._memory)
        try:
            stored = json.loads((home / FOLDER / f"{self.name}.json").read_bytes())
        except (OSError, ValueError):
            return dict(self._memory)
        return stored if isinstance(stored, dict) else {}

    def update(self, **values) -> None:
        """Set some keys, and keep the others."""
        self.write(self.read() | values)

    def write(self, values: dict) -> None:
        self._memory = dict(values)
        if (home := workbook()) is not None:
            text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            try:
                write_atomically(home / FOLDER / f"{self.name}.json", text.encode())
            except OSError:
                return  # a full disk or a read-only folder must not stop a lesson
