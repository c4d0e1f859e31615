"""BeaqleJS 1.0: results as JSON, one participant a text file.

A list with an object a test set: `TestID`, `Runtime` in ms, `rating` {file: score} and `filename`;
the last object is the participant, `UserName`, `UserEmail`, `UserComment`. Test sets that were
skipped have neither. Order, plays and initial positions are not recorded; e-mail addresses are
not taken over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drummix.errors import TextFileError
from drummix.listening.interop.rows import imported_rating, named, number
from drummix.listening.ratings import read_text
from drummix.listening.results import Rating


def is_beaqle(text: str) -> bool:
    """Whether the text of a file starts as JSON does."""
    return text.lstrip().startswith(("[", "{"))


def read_beaqle(path: Path, *, study: str | None = None) -> Iterator[Rating]:
    """Read one participant's results of a MUSHRA test.

    Args:
        path: The text or JSON file.
        study: Name of the study; the tool writes none, so the folder's name if None.

    Raises:
        TextFileError: If it is damaged, or of a test without ratings.
    """
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise TextFileError(f"{path}{where}: not whole JSON; the file is cut or damaged") from error
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise TextFileError(
            f"{path} is JSON of another kind; expected a list of BeaqleJS's results"
        )
    tests = [entry for entry in found if "TestID" in entry and "rating" in entry]
    if not tests:
        raise TextFileError(f"{path} holds no ratings; only BeaqleJS's MUSHRA tests have any")
    person: Mapping[str, Any] = next((entry for entry in found if "UserName" in entry), {})
    session = str(person.get("UserName") or "").strip() or path.stem
    name = named(path, study, path.resolve().parent.name)
    for page, test in enumerate(tests, start=1):
        yield from _page(test, f"{path}, test {str(test['TestID'])!r}", page, (name, session))


def _page(
    test: Mapping[str, Any], where: str, page: int, names: tuple[str, str]
) -> Iterator[Rating]:
    if not isinstance(test["rating"], dict) or not test["rating"]:
        raise TextFileError(f"{where}: rating is no table of scores; the file is damaged")
    if not str(test["TestID"]).strip():
        raise TextFileError(f"{where}: TestID is empty; expected the test's name")
    page_s = math.nan
    if test.get("Runtime") is not None:
        page_s = number(test["Runtime"], where, "Runtime", 0.0, 1e10) / 1000.0
    for system, score in test["rating"].items():
        yield imported_rating(
            study=names[0],
            session=names[1],
            item=str(test["TestID"]),
            system=system,
            score=None if score is None else number(score, where, system, 0.0, 100.0),
            page=page,
            page_s=page_s,
        )
