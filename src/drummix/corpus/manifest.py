"""What a rendered corpus holds: one row an item, readable by people and programs.

Layout of a corpus (after ENST-Drums, with a kit where ENST has a drummer)::

    corpus.json                      how it was made: seed, engineer's taste, kits, versions
    manifest.csv                     one row an item
    <kit>/audio/<mic>/<item>.<ext>   the eight microphones, mono
    <kit>/dry_mix/<item>.<ext>       the targets, stereo
    <kit>/wet_mix/<item>.<ext>
    items/<item>.json                hits and checksums of one item; written last, so that an
                                     item with this file is complete
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from drummix.audio import atomic_path
from drummix.errors import CorpusError
from drummix.roles import Role

Target = Literal["dry", "wet"]

MICROPHONE_FOLDERS: Mapping[Role, str] = {
    Role.KICK: "kick",
    Role.SNARE: "snare",
    Role.HIHAT: "hi-hat",
    Role.TOM_MID: "tom_1",
    Role.TOM_LOW: "tom_2",
    Role.TOM_MID_LOW: "tom_3",
    Role.OVERHEAD_LEFT: "overhead_L",
    Role.OVERHEAD_RIGHT: "overhead_R",
}
"""ENST's folder names; tom_1 is its mid, tom_2 its low and tom_3 its mid-low tom."""

TARGETS: tuple[Target, ...] = ("dry", "wet")


@dataclass(frozen=True)
class CorpusItem:
    """One rendered session, a row of ``manifest.csv``.

    Args:
        item: Name of the item, unique in the corpus, and of its files.
        part: ``train``, ``validation`` or ``test``.
        kit: Name of the kit, and of the folder that holds the files.
        performance: Id of the performance in its dataset.
        style: Style of the performance.
        seed: Seed of the item's round robin and excerpt.
        engineer: Seed of the engineer's taste.
        licence: Licences of the kit and the performance.
        rate_hz: Sample rate in Hz.
        n_samples: Length of every file in samples.
        extension: ``wav`` or ``flac``.
        stem_peak_dbfs: Highest peak of any stem.
        dry_peak_dbfs: Peak of the dry mix.
        wet_peak_dbfs: Peak of the wet mix.
        sha256: Checksum over the checksums of the item's files.
    """

    item: str
    part: str
    kit: str
    performance: str
    style: str
    seed: int
    engineer: int
    licence: str
    rate_hz: int
    n_samples: int
    extension: str
    stem_peak_dbfs: float
    dry_peak_dbfs: float
    wet_peak_dbfs: float
    sha256: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate_hz

    def stem_path(self, corpus: Path, role: Role) -> Path:
        """File of one microphone."""
        folder = corpus / self.kit / "audio" / MICROPHONE_FOLDERS[role]
        return folder / f"{self.item}.{self.extension}"

    def mix_path(self, corpus: Path, target: Target) -> Path:
        """File of a target mix."""
        return corpus / self.kit / f"{target}_mix" / f"{self.item}.{self.extension}"

    def paths(self, corpus: Path) -> list[Path]:
        """All ten files, microphones first."""
        return [
            *(self.stem_path(corpus, role) for role in MICROPHONE_FOLDERS),
            *(self.mix_path(corpus, target) for target in TARGETS),
        ]


def read_manifest(corpus: Path, *, part: str | None = None) -> tuple[CorpusItem, ...]:
    """Items of a rendered corpus, all or those of one part.

    Raises:
        CorpusError: If there is no manifest, it is damaged, or the part has no items.
    """
    path = corpus / "manifest.csv"
    if not path.is_file():
        raise CorpusError(
            f"{corpus} has no manifest.csv; render a corpus with: drummix corpus render"
        )
    kinds = {field.name: field.type for field in fields(CorpusItem)}
    items = []
    with path.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            items.append(_item_from_row(row, kinds, f"{path}, line {number}"))
    chosen = tuple(item for item in items if part is None or item.part == part)
    if not chosen:
        parts = sorted({item.part for item in items})
        raise CorpusError(f"{path} has no items of part {part!r}; it has {parts}")
    return chosen


def _item_from_row(row: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> CorpusItem:
    if set(row) != set(kinds) or None in row.values():
        raise CorpusError(f"{where}: the columns are not those of a drummix corpus manifest")
    convert = {"int": int, "float": float, "str": str}
    try:
        item = CorpusItem(**{name: convert[kinds[name]](text) for name, text in row.items()})
    except ValueError as error:
        raise CorpusError(f"{where}: {error}") from None
    for name in (item.item, item.kit, item.extension):
        if not name or Path(name).name != name:
            raise CorpusError(f"{where}: {name!r} is not a plain file name")
    return item


def write_manifest(corpus: Path, items: Iterable[CorpusItem]) -> Path:
    """Write ``manifest.csv`` for these items, sorted by part and name."""
    table = io.StringIO()
    names = [field.name for field in fields(CorpusItem)]
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    for item in sorted(items, key=lambda i: (i.part, i.item)):
        writer.writerow(asdict(item))
    return write_text(corpus / "manifest.csv", table.getvalue())


def write_text(path: Path, text: str) -> Path:
    """Write a text file beside its target and rename it."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_item_record(
    corpus: Path, item: CorpusItem, *, hits: list[dict[str, Any]], checksums: Mapping[str, str]
) -> None:
    """Write ``items/<item>.json``, which marks the item as complete."""
    record = {"item": asdict(item), "sha256": dict(checksums), "hits": hits}
    write_text(corpus / "items" / f"{item.item}.json", json.dumps(record, indent=1) + "\n")


def read_item_record(corpus: Path, name: str) -> dict[str, Any] | None:
    """The record of a complete item, or None where it is missing or half-written."""
    path = corpus / "items" / f"{name}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["item"] = CorpusItem(**record["item"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if not all(file.is_file() for file in record["item"].paths(corpus)):
        return None
    return record if isinstance(record, dict) else None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def combined_sha256(checksums: Mapping[str, str]) -> str:
    """One checksum over named checksums, independent of their order."""
    lines = "".join(f"{name} {value}\n" for name, value in sorted(checksums.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def check_corpus(corpus: Path) -> list[str]:
    """Verify every file of a corpus against its checksums.

    Returns:
        One line a problem; empty when the corpus is whole.
    """
    problems = []
    for item in read_manifest(corpus):
        record = read_item_record(corpus, item.item)
        if record is None:
            problems.append(f"{item.item}: incomplete; run the same corpus render again")
            continue
        for name, expected in record["sha256"].items():
            path = corpus / item.kit / name
            if not path.is_file():
                problems.append(f"{item.item}: {path} is missing")
            elif file_sha256(path) != expected:
                problems.append(f"{item.item}: {path} is damaged (sha256 differs)")
    return problems
