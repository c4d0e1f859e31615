"""Results that are kept, so that an evaluation goes on where it stopped.

One file an item and system holds the numbers and what they came from: the item's checksum, the
weights', the settings, and drummix itself. A result that came from anything else is not used.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from drummix.audio import make_folder, write_text
from drummix.corpus.items import SessionItem
from drummix.corpus.manifest import file_sha256
from drummix.errors import TextFileError
from drummix.notices import Code, Notice
from drummix.plain_data import PathText, read_json

FORMAT = 1
Values = Mapping[str, Mapping[str, float]]
"""Target -> metric -> value."""

PACKAGE = Path(__file__).resolve().parents[1]
_ROOMS = ("levels", "gain_staging.py", "audio", "roles", "session", "effects", "mixers")


@dataclass(frozen=True)
class ResultKey:
    """All that a result depends on.

    Args:
        item: Checksum of the item's files.
        system: Name of the system.
        weights: Checksum of its weights; empty where it has none.
        as_recorded: Whether the stems' levels were left alone.
        drummix: Version of drummix and checksum of the code that mixes and measures.
    """

    item: str
    system: str
    weights: str
    as_recorded: bool
    drummix: str


@dataclass(frozen=True)
class StoredResult:
    """What a system did on an item.

    Args:
        values: Target -> metric -> value; NaN where a metric has none.
        mixes: File name in the item's folder of mixes -> gain in dB it was stored with.
    """

    values: Values
    mixes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Refusal:
    """Why a kept result is not the one that is wanted.

    Args:
        reason: What differs: ``weights``, ``item``, ``levels`` or ``drummix``; or ``damaged``.
        before: What it came from.
        now: What is wanted.
    """

    reason: str
    before: str = ""
    now: str = ""


@dataclass(frozen=True)
class _Kept:
    """A result as a file holds it; null for a value that is none."""

    takes_other_keys: ClassVar[bool] = True

    key: Mapping[str, Any]
    values: Mapping[str, Mapping[str, float | None]]
    mixes: Mapping[PathText, float]


class ResultCache:
    """The results under a report's folder.

    Args:
        folder: Folder of the report; made if missing.

    Attributes:
        refused: System and reason -> number of results that were found and not used for it.
    """

    def __init__(self, folder: Path) -> None:
        self._results = folder / "cache"
        self._mixes = folder / "mixes"
        self.refused: Counter[tuple[str, Refusal]] = Counter()
        make_folder(self._results)
        make_folder(self._mixes)

    def mixes_folder(self, item: str) -> Path:
        """Where the mixes of an item lie."""
        return self._mixes / item

    def read(self, item: str, key: ResultKey) -> StoredResult | None:
        """The result of a system on an item, if it is there and came from the same things."""
        path = self._path(item, key.system)
        if not path.exists():
            return None
        try:
            kept = read_json(path, _Kept, error=TextFileError)
        except TextFileError:
            self.refused[key.system, Refusal("damaged")] += 1
            return None
        if (reason := _difference(kept.key, key)) is not None:
            self.refused[key.system, reason] += 1
            return None
        values = {target: _with_nan(of_target) for target, of_target in kept.values.items()}
        stored = StoredResult(values, kept.mixes)
        folder = self.mixes_folder(item)
        return stored if all((folder / name).is_file() for name in stored.mixes) else None

    def write(self, item: str, key: ResultKey, result: StoredResult) -> None:
        """Keep a result, atomically."""
        plain = {
            "format": FORMAT,
            "key": asdict(key),
            "values": {t: _without_nan(of_target) for t, of_target in result.values.items()},
            "mixes": dict(result.mixes),
        }
        path = self._path(item, key.system)
        make_folder(path.parent)
        write_text(path, json.dumps(plain, indent=1, allow_nan=False) + "\n")

    def notices(self) -> tuple[Notice, ...]:
        """What was found and not used, one for each system and reason."""
        return tuple(
            Notice(Code.RESULTS_MADE_ANEW, system, {"n_results": n, **asdict(refusal)})
            for (system, refusal), n in sorted(self.refused.items())
        )

    def _path(self, item: str, system: str) -> Path:
        return self._results / item / f"{system}.json"


def item_checksum(corpus: Path, item: SessionItem) -> str:
    """The checksum that a corpus gives an item, or one of its files where it gives none."""
    if item.sha256:
        return item.sha256
    found = [file_sha256(path) for path in item.paths(corpus) if path.is_file()]
    return hashlib.sha256("".join(found).encode()).hexdigest()


@functools.cache
def code_identity() -> str:
    """Version of drummix, and a checksum of the modules that mixes and numbers come from."""
    folders = [PACKAGE / room for room in _ROOMS]
    modules = [path for room in folders for path in ([room] if room.is_file() else room.rglob("*"))]
    modules += (PACKAGE / "evaluation").glob("*")
    total = hashlib.sha256()
    for path in sorted(path for path in modules if path.suffix == ".py"):
        total.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{importlib.metadata.version('drummix')}, code {total.hexdigest()[:16]}"


def _difference(found: Mapping[str, Any], key: ResultKey) -> Refusal | None:
    """Why a kept result is not the one that is wanted; None if it is."""
    wanted = asdict(key)
    if found == wanted:
        return None
    if found.get("weights") != key.weights:
        theirs, ours = str(found.get("weights"))[:16] or "none", key.weights[:16] or "none"
        return Refusal("weights", theirs, ours)
    if found.get("item") != key.item:
        return Refusal("item")
    if found.get("as_recorded") != key.as_recorded:
        return Refusal("levels")
    return Refusal("drummix", str(found.get("drummix")), key.drummix)


def _with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def _without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
