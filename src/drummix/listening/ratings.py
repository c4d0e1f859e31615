"""The tidy table of ratings as a CSV file: one row a slider, read strictly.

In and out: `Rating` rows. What another tool did not record is an empty cell: NaN in `initial`,
`listen_s`, `volume_db` and `page_s`, -1 in `plays`, 0 in `slot`. A text that a spreadsheet would
compute has an apostrophe before it in the file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from drummix.audio import atomic_path
from drummix.errors import TextFileError
from drummix.listening.characters import cell_of, is_storable, storable, text_of
from drummix.listening.results import COLUMNS, Rating

ROLES = ("reference", "test", "anchor")
STATES = ("open", "submitted", "finished", "imported", "simulated")
"""`imported` came from another tool, `simulated` from no listener at all."""

UNKNOWN_PLAYS = -1
UNKNOWN_SLOT = 0
MAX_CELL_CHARS = 20_000


class _BadCellError(Exception):
    """What a cell was expected to be."""


def read_ratings_csv(path: Path) -> tuple[Rating, ...]:
    """Read a tidy table.

    Args:
        path: A CSV file with the columns of `COLUMNS`, in any order.

    Returns:
        Every row, in the file's order.

    Raises:
        TextFileError: If the file is missing or damaged: with its line, the value, and what was
            expected.
    """
    text = read_text(path, may_hold_zeros=True)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heading = next(reader, [])
        order = _order(path, heading)
        ratings = tuple(_rows(path, reader, order, len(heading)))
    except csv.Error as error:
        raise TextFileError(
            f"{path}, line {reader.line_num}: not CSV ({error}); export it again"
        ) from error
    if not ratings:
        raise TextFileError(f"{path} holds no ratings, only a heading; has anybody listened yet?")
    return ratings


def write_ratings_csv(ratings: Iterable[Rating], path: Path) -> Path:
    """Write a tidy table that `read_ratings_csv` reads back as it was."""
    with atomic_path(path) as temporary:
        temporary.write_text(ratings_to_csv(ratings), encoding="utf-8", newline="")
    return path


def ratings_to_csv(ratings: Iterable[Rating]) -> str:
    """The tidy table as text."""
    return csv_line(COLUMNS) + "".join(
        csv_line([_cell(*pair) for pair in zip(COLUMNS, astuple(rating), strict=True)])
        for rating in ratings
    )


def csv_line(cells: Sequence[str]) -> str:
    """One line of the table; a cell that holds a line break of either kind is quoted."""
    text = io.StringIO(newline="")
    # The writer quotes the characters of its own line end, and only these.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def read_text(path: Path, *, may_hold_zeros: bool = False) -> str:
    """The text of a results file.

    Args:
        path: The file.
        may_hold_zeros: Take zero bytes, which a comment of an older drummix may hold.

    Raises:
        TextFileError: If it is missing, a folder, or no UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise TextFileError(f"{path} does not exist; expected a file of ratings") from error
    except (IsADirectoryError, PermissionError) as error:
        raise TextFileError(f"{path} cannot be read ({error.strerror}); give a file") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise TextFileError(
            f"{path}, line {line}: not UTF-8 text; expected the file as it was exported"
        ) from error
    if "\0" in text and not may_hold_zeros:
        line = text[: text.index("\0")].count("\n") + 1
        raise TextFileError(
            f"{path}, line {line}: a zero byte; the file is damaged, export it again"
        )
    return text


def _order(path: Path, heading: Sequence[str]) -> Sequence[int]:
    """Position in the file of each of `COLUMNS`."""
    names = [name.strip() for name in heading]
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise TextFileError(f"{path}: columns are not separated by commas; export it with commas")
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise TextFileError(
            f"{path}, line 1: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}: for "
            "results of another tool, use drummix listen import"
        )
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or len(names) != len(COLUMNS):
        what = f"unknown column {unknown[0]!r}" if unknown else "a column stands twice"
        raise TextFileError(f"{path}, line 1: {what}; expected {', '.join(COLUMNS)}")
    return [names.index(name) for name in COLUMNS]


def _rows(path: Path, reader: Any, order: Sequence[int], n_columns: int) -> Iterator[Rating]:
    seen: dict[tuple[str, str, str, int, int], int] = {}
    roles: dict[str, tuple[str, int]] = {}
    for cells in reader:
        line = reader.line_num
        if not cells:
            continue
        if len(cells) != n_columns:
            raise TextFileError(
                f"{path}, line {line}: {len(cells)} cells instead of {n_columns}; the line is cut "
                "or damaged: export it again, or take the line out"
            )
        rating = _rating(path, line, [cells[position] for position in order])
        key = (rating.session, rating.item, rating.system, rating.repeat, int(rating.page == 0))
        if key in seen:
            raise TextFileError(
                f"{path}, line {line}: session {rating.session} rates {rating.system} on "
                f"{rating.item} again (first on line {seen[key]}); keep one of them, or number "
                "the second in the column repeat"
            )
        seen[key] = line
        role, first_line = roles.setdefault(rating.system, (rating.role, line))
        if role != rating.role:
            raise TextFileError(
                f"{path}, line {line}: {rating.system} is {rating.role!r} here and {role!r} on "
                f"line {first_line}; a system has one role"
            )
        yield rating


def _rating(path: Path, line: int, cells: Sequence[str]) -> Rating:
    values: dict[str, Any] = {}
    for name, cell in zip(COLUMNS, cells, strict=True):
        try:
            text = text_of(cell)
            values[name] = _PARSERS[name](text if name == "comment" else text.strip())
        except _BadCellError as error:
            shown = cell if len(cell) <= 40 else f"{cell[:40]}..."
            raise TextFileError(f"{path}, line {line}: {name} is {shown!r}; {error}") from None
    return Rating(**values)


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if (name, value) in (("plays", UNKNOWN_PLAYS), ("slot", UNKNOWN_SLOT)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.10g}" if isinstance(value, float) else cell_of(storable(str(value)))


def _name(cell: str) -> str:
    if not cell:
        raise _BadCellError("expected a name")
    if not is_storable(cell):
        raise _BadCellError("expected a name without control characters")
    return _text(cell)


def _text(cell: str) -> str:
    if len(cell) > MAX_CELL_CHARS:
        raise _BadCellError(f"expected at most {MAX_CELL_CHARS} characters")
    return storable(cell)


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def parse(cell: str) -> str:
        if cell not in choices:
            raise _BadCellError(f"expected one of {', '.join(choices)}")
        return cell

    return parse


def _number(low: float, high: float, unknown: float | None = math.nan) -> Callable[[str], Any]:
    def parse(cell: str) -> float | None:
        if not cell:
            return unknown
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise _BadCellError(f"expected a number from {low:g} to {high:g}")
        return value

    return parse


def _count(unknown: int | None = None) -> Callable[[str], int]:
    def parse(cell: str) -> int:
        if not cell and unknown is not None:
            return unknown
        if not (cell.isascii() and cell.isdigit() and len(cell) < 10):
            raise _BadCellError("expected a whole number from 0 up")
        return int(cell)

    return parse


def _truth(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise _BadCellError("expected true or false")
    return cell.lower() == "true"


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "study": _name,
    "session": _name,
    "listener": _name,
    "item": _name,
    "system": _name,
    "role": _one_of(ROLES),
    "score": _number(0.0, 100.0, None),
    "page": _count(),
    "slot": _count(UNKNOWN_SLOT),
    "initial": _number(0.0, 100.0),
    "repeat": _count(),
    "plays": _count(UNKNOWN_PLAYS),
    "listen_s": _number(0.0, 1e7),
    "moved": _truth,
    "volume_db": _number(-200.0, 100.0),
    "page_s": _number(0.0, 1e7),
    "comment": _text,
    "state": _one_of(STATES),
}
