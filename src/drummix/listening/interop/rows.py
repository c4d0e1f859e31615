"""Rows that several tools' readers make alike."""

from __future__ import annotations

import math
from pathlib import Path

from drummix.errors import TextFileError
from drummix.listening.ratings import MAX_CELL_CHARS, UNKNOWN_PLAYS, UNKNOWN_SLOT
from drummix.listening.results import Rating


def imported_rating(
    *,
    study: str,
    session: str,
    item: str,
    system: str,
    score: float | None,
    page: int,
    slot: int = UNKNOWN_SLOT,
    initial: float = math.nan,
    repeat: int = 0,
    plays: int = UNKNOWN_PLAYS,
    listen_s: float = math.nan,
    moved: bool = True,
    page_s: float = math.nan,
    comment: str = "",
    is_open: bool = False,
) -> Rating:
    """A row of the tidy table; what the tool did not record stays unknown."""
    return Rating(
        study=study,
        session=session,
        listener=session,
        item=item,
        system=system,
        role=guessed_role(system),
        score=score,
        page=page,
        slot=slot,
        initial=initial,
        repeat=repeat,
        plays=plays,
        listen_s=listen_s,
        moved=moved,
        volume_db=math.nan,
        page_s=page_s,
        comment=comment[:MAX_CELL_CHARS],
        state="open" if is_open else "imported",
    )


def guessed_role(system: str) -> str:
    """The role that a name of another tool tells.

    >>> [guessed_role(name) for name in ("reference", "anchor35", "C1")]
    ['reference', 'anchor', 'test']
    """
    name = system.lower()
    if name.startswith(("reference", "hidden_reference", "hidden-reference")):
        return "reference"
    return "anchor" if name.startswith("anchor") else "test"


def number(text: object, where: str, what: str, low: float, high: float) -> float:
    """A number of another tool's file.

    Raises:
        TextFileError: If it is none, or out of its range.
    """
    try:
        value = math.nan if isinstance(text, bool) else float(str(text).strip())
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        shown = str(text)[:40]
        raise TextFileError(f"{where}: {what} is {shown!r}; expected a number, {low:g} to {high:g}")
    return value


def named(path: Path, study: str | None, found: str) -> str:
    """Name of the study: as given, else as found in the file, else the file's."""
    return study or found.strip() or path.stem
