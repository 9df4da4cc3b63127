"""The pieces of the learner's own loss, kept as source in `workbook/mine.py`.

A function that passes the check of an exercise with a `piece` is written there under that name, one
function a piece. The learner may edit the file by hand: an edited piece is never replaced without
being asked. Outside of a workbook the same text is kept in memory, as long as the kernel runs.
"""

import ast
import builtins
import hashlib
import inspect
import linecache
import math
import symtable
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType

import torch
import torch.nn.functional

from rmlib.text.files import write_atomically

from .exercise import Exercise, judge
from .progress import Notes, workbook

FILE = "mine.py"
HEADER = '''"""My own loss, piece by piece. A check keeps here what passes. Edit it as you like."""

import math

import torch
import torch.nn.functional as F

IGNORE = -100  # the label of an item that doesn't count
'''
IN_HEADER = {"math": math, "torch": torch, "F": torch.nn.functional, "IGNORE": -100}
SEARCHED = ("torch", "torch.nn.functional", "math", "rmlib.classroom", "rmlib")
MARKER = "### "  # of nbgrader's regions, which only the author's version of a lesson has

_memory = HEADER
_kept = Notes("pieces")  # piece -> SHA-256 of its source when its check passed


class NotKept(Exception):
    """A correct answer that can't stand in a file of its own; the message says why."""


class BrokenFile(Exception):
    """`mine.py` can't be run; the message names the line."""


def keep(exercise: Exercise, function: Callable, replace: bool = False) -> str:
    """Write a function that passed into `mine.py`; return one sentence about it.

    Args:
        exercise: has a `piece`.
        function: the learner's; it has passed the check.
        replace: also if the piece in the file was edited by hand.
    """
    name = exercise.piece
    try:
        own = source_of_piece(function, name)
        text = read()
        before = segment(text, name)
        edited = before is not None and _sha(before) != _kept.read().get(name)
        if edited and not replace and before.strip() != own.source.strip():
            return (
                f"{FILE} has a {name} that you edited by hand, and it stays; to replace it: "
                "run the same check with keep=True"
            )
        text = _with(text, exercise, own)
        passed = judge(exercise, functions_in(text, {})[name])
        if passed.outcome != "correct":
            raise NotKept(f"alone in {FILE} it doesn't pass: {passed.message}")
    except (NotKept, BrokenFile) as reason:
        return f"not kept as mine.{name}: {reason}"
    try:
        write(text)
    except OSError as error:
        return f"not kept as mine.{name}: {error}"
    _kept.update(**{name: _sha(segment(text, name))})
    return f"kept as mine.{name}" + (f" in {FILE}" if workbook() else "")


# The text ---------------------------------------------------------------------------------------


def read() -> str:
    """The text of `mine.py`, or the header alone.

    Raises:
        BrokenFile: it isn't UTF-8, or can't be read.
    """
    if (home := workbook()) is None:
        return _memory
    try:
        return (home / FILE).read_text(encoding="utf-8-sig")  # Windows' editors put a mark in front
    except FileNotFoundError:
        return HEADER
    except (UnicodeDecodeError, OSError) as error:
        reason = getattr(error, "strerror", None) or "it isn't UTF-8; save it with that encoding"
        raise BrokenFile(f"{FILE} can't be read: {reason}") from None


def write(text: str) -> None:
    """Store the text of `mine.py`."""
    global _memory
    if (home := workbook()) is None:
        _memory = text
    else:
        write_atomically(home / FILE, text.encode())


def forget() -> None:
    """Forget what is in memory; a file stays."""
    global _memory
    _memory = HEADER
    if workbook() is None:
        _kept.write({})


def functions_in(text: str, stand_ins: dict[str, Callable]) -> dict[str, Callable]:
    """The functions and classes that the text of `mine.py` defines, by name.

    Args:
        text: of the file.
        stand_ins: what a piece may call although the text doesn't define it.

    Raises:
        BrokenFile: the text isn't Python, or raises something when it is run.
    """
    home = workbook()
    where = str(home / FILE) if home else f"<{FILE}>"
    linecache.cache[where] = (len(text), None, text.splitlines(keepends=True), where)
    namespace = {"__name__": "mine", "__file__": where, **stand_ins}
    try:
        exec(compile(text, where, "exec"), namespace)
    except SyntaxError as error:
        raise BrokenFile(f"{FILE}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        line = error.__traceback__.tb_next.tb_lineno if error.__traceback__.tb_next else "?"
        raise BrokenFile(f"{FILE}, line {line}: {type(error).__name__}: {error}") from None
    defined = {node.name for node in ast.parse(text).body if hasattr(node, "name")}
    return {name: namespace[name] for name in defined}


def segment(text: str, name: str) -> str | None:
    """The lines of one function or class of the text, decorators included; None: there is none."""
    span = _span(text, name)
    return None if span is None else "".join(text.splitlines(keepends=True)[slice(*span)])


def _span(text: str, name: str) -> tuple[int, int] | None:
    """First line and end of a definition, counted from 0.

    Raises:
        BrokenFile: the text isn't Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise BrokenFile(f"{FILE}, line {error.lineno}: {error.msg}") from None
    for node in tree.body:
        if getattr(node, "name", None) == name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return first - 1, node.end_lineno
    return None


def _with(text: str, exercise: Exercise, own: "Piece") -> str:
    """The text with a piece in it, in the place of its earlier version or at the end."""
    span = _span(text, exercise.piece)
    lines = text.splitlines(keepends=True)
    if span is None:
        title = f"\n\n# {exercise.title}: passed {exercise.id}\n"
        text = text.rstrip("\n") + "\n" + title + own.source
    else:
        text = "".join([*lines[: span[0]], own.source, *lines[span[1] :]])
    missing = [line for line in own.imports if line not in text.splitlines()]
    if missing:
        lines = text.splitlines(keepends=True)
        tree = ast.parse(text)
        last = max(
            (n.end_lineno for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)),
            default=0,
        )
        lines[last:last] = [line + "\n" for line in missing]
        text = "".join(lines)
    return text


# One function ------------------------------------------------------------------------------------


class Piece:
    """Source that can stand alone, and the import lines that it needs."""

    def __init__(self, source: str, imports: list[str]):
        self.source = source
        self.imports = imports


def source_of_piece(function: Callable, name: str) -> Piece:
    """The source of a function from a notebook, and the imports that it needs.

    Raises:
        NotKept: its source is not to be had, it has another name, or it uses something that only
            the notebook has.
    """
    function = inspect.unwrap(function)
    if getattr(function, "__name__", None) != name:
        found = getattr(function, "__name__", type(function).__name__)
        raise NotKept(f"its name is {found}; name it {name}")
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise NotKept("its source can't be found: run its cell again") from None
    lines = [line for line in source.splitlines() if not line.strip().startswith(MARKER)]
    source = "\n".join(lines).rstrip() + "\n"
    if calls_itself(source, name):
        raise NotKept(f"it calls mine.{name}, which is itself")
    known = vars(builtins).keys() | {name}
    imports = []
    values = getattr(function, "__globals__", None)
    if values is None:  # a class
        values = vars(sys.modules[function.__module__])
    for used in sorted(_globals_of(source) - known):
        line = _import_of(used, values.get(used))
        if line is None:
            raise NotKept(
                f"it uses {used}, which only this notebook has: make it an argument or define it "
                f"inside the function (if {used} is a piece itself, pass its check first)"
            )
        if line:
            imports.append(line)
    return Piece(source, imports)


def calls_itself(source: str, name: str) -> bool:
    """Whether a piece's source uses `mine.NAME` of its own name."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == name and ast.unparse(node.value) == "mine"
        for node in ast.walk(ast.parse(source))
    )


def _globals_of(source: str) -> set[str]:
    """The names that the source takes from around it."""
    found, tables = set(), [symtable.symtable(source, FILE, "exec")]
    defined = {s.get_name() for s in tables[0].get_symbols() if s.is_assigned()}
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                found.add(symbol.get_name())
    return found - defined


def _import_of(name: str, value) -> str | None:
    """The import line for a global; "" if none is needed, None if it can't be imported."""
    if name in IN_HEADER and (value is IN_HEADER[name] or name == "IGNORE" and value == -100):
        return ""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"
    if isinstance(value, FunctionType) and segment(read(), name) is not None:
        return ""  # another piece
    for module in (getattr(value, "__module__", None), *SEARCHED):
        if module == "__main__" or module not in sys.modules:
            continue
        if getattr(sys.modules[module], name, None) is value and value is not None:
            return f"from {module} import {name}"
    return None


def _sha(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()
