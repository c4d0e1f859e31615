"""The text of a file from outside: how large it may be, and what is no file at all."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from drummix.errors import DrummixError, in_one_line

_SHOWN_CHARACTERS = 60
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Limits:
    """How much a text may hold. The defaults suit files that people and drummix itself write.

    Args:
        n_bytes: Largest file, or text, in bytes.
        depth: How deep lists and objects may stand in one another.
        digits: Most digits of a whole number.
        characters: Longest single text.
        any_text: Take texts with NUL or half a surrogate pair, as file names may hold them.
        any_number: Take infinity and NaN.
    """

    n_bytes: int = 16_000_000
    depth: int = 32
    digits: int = 30
    characters: int = 1_000_000
    any_text: bool = False
    any_number: bool = False


LIMITS = Limits()


@dataclass(frozen=True)
class Place:
    """Where a text comes from, and what is raised where something in it is wrong.

    Args:
        name: The file's path, or what else a message calls the text.
        error: Class of the error.
        hint: What to do next; every message ends in it.
    """

    name: str
    error: type[DrummixError]
    hint: str = ""

    def refusal(self, problem: str) -> DrummixError:
        """The error for a problem, in one line."""
        hint = f"; {self.hint}" if self.hint else ""
        return self.error(f"{self.name}{problem}{hint}")


def place_of(source: Path | bytes, name: str | None, error: type[DrummixError], hint: str) -> Place:
    """The place of a source: its path, if it has one and no name is given."""
    usual = "the text" if isinstance(source, bytes) else str(source)
    return Place(usual if name is None else name, error, hint)


def read_text(
    source: Path | bytes,
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = LIMITS,
) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        source: A file, or its bytes.
        error: Class of the error that is raised.
        hint: What to do next; every message ends in it.
        name: What messages call the text; its path if it is None.
        limits: How much it may hold.

    Raises:
        error: If there is no such file, it is a folder or a device, it is too large, it cannot be
            read, or it is not UTF-8.
    """
    place = place_of(source, name, error, hint)
    content = read_bytes(source, place, limits.n_bytes)
    if content.startswith(_BYTE_ORDER_MARKS):
        raise place.refusal(" is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise place.refusal(
            f" is not UTF-8 (byte {problem.start} is {content[problem.start]:#04x}); "
            "save it as UTF-8"
        ) from None


def read_bytes(source: Path | bytes, place: Place, n_most: int) -> bytes:
    """The bytes of a source, if they are no more than that."""
    content = source if isinstance(source, bytes) else _bytes_of_file(source, place, n_most)
    if len(content) > n_most:
        raise place.refusal(f" has {len(content)} bytes; expected at most {n_most}")
    return content


def _bytes_of_file(path: Path, place: Place, n_most: int) -> bytes:
    # A pipe that nobody writes to must not hold us up.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_dir():
            raise place.refusal(" is a folder; expected a file")
        handle = os.open(path, flags)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise place.refusal(" is no ordinary file; expected a text file")
            if status.st_size > n_most:
                raise place.refusal(f" has {status.st_size} bytes; expected at most {n_most}")
            return file.read(n_most + 1)
    except FileNotFoundError:
        raise place.refusal(" does not exist") from None
    except (OSError, ValueError) as problem:  # a ValueError for a path with NUL
        reason = getattr(problem, "strerror", None) or problem
        raise place.refusal(f" cannot be read: {reason}") from None


def shown(value: object) -> str:
    """A value from outside, as a message shows it: in one line, and not longer than that."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number with very many digits"
    if isinstance(value, str):
        value = value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return in_one_line(repr(value))
