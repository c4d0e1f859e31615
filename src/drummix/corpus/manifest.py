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
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from drummix.audio import make_folder, write_text
from drummix.corpus.groove import PartText
from drummix.errors import CorpusError
from drummix.plain_data import AnyFloat, Limits, Matching, Sized, Within, read_json
from drummix.plain_data.tables import read_rows
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

ITEM_LIMITS = Limits(n_bytes=64_000_000, any_number=True)
"""Of ``items/<item>.json``: every hit stands in it, and the peak of silence is minus infinity."""

TARGETS: tuple[Target, ...] = ("dry", "wet")

# Names become paths: they must not lead out of the corpus.
_PlainName = Annotated[
    str, Matching("[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}", "a plain file name of letters and digits")
]
_Text = Annotated[str, Sized(0, 1000)]
_Peak = Annotated[AnyFloat, Within(-math.inf, 1000.0)]


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
        kind: What is played, one of `kinds`.
    """

    item: _PlainName
    part: PartText
    kit: _PlainName
    performance: _Text
    style: _Text
    seed: int
    engineer: int
    licence: _Text
    rate_hz: Annotated[int, Within(1, 1_000_000)]
    n_samples: Annotated[int, Within(1, 1 << 32)]
    extension: _PlainName
    stem_peak_dbfs: _Peak
    dry_peak_dbfs: _Peak
    wet_peak_dbfs: _Peak
    sha256: Annotated[str, Sized(0, 64)]
    kind: Annotated[str, Sized(0, 100)] = "performance"

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


@dataclass(frozen=True)
class ItemRecord:
    """What ``items/<item>.json`` says of a complete item.

    Args:
        item: The item.
        checksums: File name under the kit's folder -> sha256.
    """

    takes_other_keys: ClassVar[bool] = True

    item: CorpusItem
    checksums: Mapping[str, str] = field(metadata={"key": "sha256"})


@dataclass(frozen=True)
class CorpusFile:
    """What ``corpus.json`` says of how a corpus was made.

    Args:
        settings: The settings by name, plain data.
    """

    takes_other_keys: ClassVar[bool] = True

    settings: Mapping[str, Any]


def read_manifest(corpus: Path, *, part: str | None = None) -> tuple[CorpusItem, ...]:
    """Items of a rendered corpus, all or those of one part.

    Raises:
        CorpusError: If there is no manifest, it is damaged, or the part has no items.
    """
    path = corpus / "manifest.csv"
    if not path.is_file():
        raise CorpusError(_no_manifest(corpus))
    items = read_rows(path, CorpusItem, error=CorpusError)
    chosen = tuple(item for item in items if part is None or item.part == part)
    if not chosen:
        parts = ", ".join(sorted({item.part for item in items})) or "none"
        wanted = "" if part is None else f" of part {part!r}"
        raise CorpusError(f"{path} has no items{wanted}; parts it has: {parts}")
    return chosen


def _no_manifest(corpus: Path) -> str:
    if (corpus / "corpus.json").is_file():
        return (
            f"{corpus} is not rendered to its end (no manifest.csv); "
            "run the same drummix corpus render again, it goes on where it stopped"
        )
    return f"{corpus} has no manifest.csv; render a corpus with: drummix corpus render"


def write_manifest(corpus: Path, items: Iterable[CorpusItem]) -> Path:
    """Write ``manifest.csv`` for these items, sorted by part and name."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [f.name for f in fields(CorpusItem)], lineterminator="\n")
    writer.writeheader()
    for item in sorted(items, key=lambda i: (i.part, i.item)):
        writer.writerow(asdict(item))
    return write_text(corpus / "manifest.csv", table.getvalue())


def write_item_record(
    corpus: Path, item: CorpusItem, *, checksums: Mapping[str, str], details: Mapping[str, Any]
) -> None:
    """Write ``items/<item>.json``, which marks the item as complete.

    Args:
        corpus: Folder of the corpus.
        item: The item.
        checksums: File name under the kit's folder -> sha256.
        details: What else to note, as plain data: the hits.
    """
    record = {"item": asdict(item), "sha256": dict(checksums), **details}
    make_folder(corpus / "items")
    write_text(corpus / "items" / f"{item.item}.json", json.dumps(record, indent=1) + "\n")


def read_item_record(corpus: Path, name: str) -> ItemRecord | None:
    """The record of a complete item, or None where a file of it is missing or half-written."""
    path = corpus / "items" / f"{name}.json"
    try:
        record = read_json(path, ItemRecord, error=CorpusError, limits=ITEM_LIMITS)
    except CorpusError:
        return None
    item = record.item
    if item.item != name:
        return None
    expected = {path.relative_to(corpus / item.kit).as_posix(): path for path in item.paths(corpus)}
    if set(record.checksums) != set(expected) or not all(
        path.is_file() for path in expected.values()
    ):
        return None
    return record


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def combined_sha256(checksums: Mapping[str, str]) -> str:
    """One checksum over named checksums, independent of their order."""
    lines = "".join(f"{name} {value}\n" for name, value in sorted(checksums.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
