"""Read a text file strictly: as UTF-8, or not at all."""

import re
from pathlib import Path

from rmlib.errors import RmlibValueError

UTF16 = (b"\xff\xfe", b"\xfe\xff")  # its byte-order marks


class CorpusError(RmlibValueError):
    """Labelled text that cannot be used; the message says where and what was expected."""


def short(value) -> str:
    """A value for an error message, at most 40 characters of it."""
    return repr(value if len(value) <= 40 else value[:40] + "...")


def read_text(path) -> str:
    """A whole file as text, with line ends "\\n".

    Line ends of Windows ("\\r\\n", also where a program doubled the "\\r") and of old Macs ("\\r")
    are taken as such, and byte-order marks at the start of lines, where files were joined, are
    left out.

    Raises:
        CorpusError: there is no such file, it cannot be read, or it is not UTF-8 text.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; expected a CoNLL file") from None
    except IsADirectoryError:
        raise CorpusError(f"{path} is a folder; expected a CoNLL file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character in it
        raise CorpusError(f"{str(path)!r} cannot be read: {error}") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        encoding, name = "WINDOWS-1252", "Windows-1252 or Latin-1"
        if data.startswith(UTF16):
            encoding = name = "UTF-16"
        raise CorpusError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; expected text in "
            f"UTF-8; if this file is in {name}, convert it: iconv -f {encoding} -t UTF-8 "
            f"{Path(path).name} > converted"
        ) from None
    text = re.sub(r"\r+\n", "\n", text)
    if "\n" not in text:
        text = text.replace("\r", "\n")
    text = re.sub(r"^\ufeff+", "", text, flags=re.MULTILINE)
    if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        line = text.count("\n", 0, control.start()) + 1
        raise CorpusError(
            f"{path}, line {line}: control character {control.group()!r}; "
            "expected text, not a binary file"
        )
    return text
