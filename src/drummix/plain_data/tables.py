"""CSV within limits: one dataclass a row."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from drummix.errors import DrummixError
from drummix.plain_data.files import Limits, Place, place_of, read_text
from drummix.plain_data.typed import convert, fields_by_key, takes_other_keys

_T = TypeVar("_T")
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
TABLE_LIMITS = Limits(n_bytes=64_000_000, characters=4096)


def read_rows(
    source: Path | bytes,
    kind: type[_T],
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = TABLE_LIMITS,
) -> tuple[_T, ...]:
    """Read a CSV file with a header line.

    Args:
        source: A file, or its bytes.
        kind: A dataclass whose fields are named as the columns; a column whose field has a
            default may be missing, one that is not a field is passed over where the class takes
            other keys, and an empty cell is None where the field may be.
        error: Class of the error that is raised.
        hint: What to do next; every message ends in it.
        name: What messages call the table; its path if it is None.
        limits: How much it may hold; `characters` is for one cell.

    Raises:
        error: If it cannot be read; if columns are missing, unknown or there twice; if a row has
            more or fewer cells; or if a cell is of another type or out of range, with its line.
    """
    place = place_of(source, name, error, hint)
    text = read_text(source, error=error, hint=hint, name=name, limits=limits)
    fields = fields_by_key(kind)
    lines = _lines(text, place, limits)
    _, header = next(lines, (1, []))
    _check_header(header, fields, place, takes_other_keys(kind))
    rows = []
    for number, cells in lines:
        where = f"{place.name}, line {number}"
        if len(cells) != len(header):
            raise Place(where, error, hint).refusal(
                f" has {len(cells)} cells; expected {len(header)}, as many as there are columns"
            )
        plain = {
            column: _plain(fields[column][1], cell)
            for column, cell in zip(header, cells, strict=True)
            if column in fields
        }
        rows.append(convert(plain, kind, error=error, name=where, hint=hint))
    return tuple(rows)


def _lines(text: str, place: Place, limits: Limits) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is not empty."""
    if "\0" in text:
        raise place.refusal(" holds NUL; expected a table as text")
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            longest = max(map(len, cells), default=0)
            if longest > limits.characters:
                raise place.refusal(
                    f", line {reader.line_num} has a cell of {longest} characters; expected at "
                    f"most {limits.characters}"
                )
            if cells:
                yield reader.line_num, cells
    except csv.Error as problem:
        raise place.refusal(f", line {reader.line_num} is no line of a table ({problem})") from None


def _check_header(
    header: list[str], fields: Mapping[str, Any], place: Place, takes_others: bool
) -> None:
    needed = [
        column
        for column, (field, _) in fields.items()
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    missing = [column for column in needed if column not in header]
    if missing:
        raise place.refusal(f" lacks the columns {', '.join(missing)}")
    twins = sorted({column for column in header if header.count(column) > 1})
    if twins:
        raise place.refusal(f" has the column {twins[0]} twice")
    other = [column for column in header if column not in fields]
    if other and not takes_others:
        raise place.refusal(
            f" has a column {other[0][:60]!r} too many; expected {', '.join(fields)}"
        )


def _plain(hint: Any, cell: str) -> Any:
    """What a cell says in a type; the cell itself where it says nothing of the kind."""
    if typing.get_origin(hint) is Annotated:
        return _plain(typing.get_args(hint)[0], cell)
    arms = typing.get_args(hint)
    if type(None) in arms:
        return None if not cell else _plain(next(a for a in arms if a is not type(None)), cell)
    text = cell.strip()
    if hint is int and _WHOLE.fullmatch(text):
        return int(text)
    if hint is float:
        try:
            return float(text)
        except ValueError:
            return cell
    return cell
