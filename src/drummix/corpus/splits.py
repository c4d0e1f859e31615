"""Which items are for training, validation and test: other splits than a corpus's own.

Leave one kit out: a network that was trained on the same kit has heard its drums and its room.
All items of one kit (one drummer of ENST-Drums) become the test part, and nothing else does.

A split can be kept as a small file that names its corpus; wherever a corpus is asked for, the file
can be given in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drummix.audio import write_text
from drummix.corpus.groove import PARTS
from drummix.corpus.items import SessionItem
from drummix.errors import CorpusError, SettingError
from drummix.plain_data import PathText, read_json

FORMAT = "drummix split 1"
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """Parts of a corpus by the names of its items.

    Args:
        held_out_kit: The kit whose items are the test part.
        validation_share: Share of the other items that are for validation.
        seed: Seed of their choice.
        parts: Part -> names of its items, sorted.
    """

    held_out_kit: str
    validation_share: float
    seed: int
    parts: Mapping[str, tuple[str, ...]]

    def part_of(self) -> dict[str, str]:
        """Item -> part."""
        return {item: part for part, items in self.parts.items() for item in items}


@dataclass(frozen=True)
class _PlainSplit:
    """A split as a file holds it."""

    format: Literal["drummix split 1"]
    corpus: PathText
    held_out_kit: str
    validation_share: float
    seed: int
    parts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if set(self.parts) != set(PARTS):
            raise CorpusError(f"parts are {', '.join(self.parts)}; expected {', '.join(PARTS)}")
        names = [name for items in self.parts.values() for name in items]
        if len(set(names)) < len(names):
            raise CorpusError("an item is in two parts, or twice in one")


def leave_kit_out(
    items: Sequence[SessionItem],
    kit: str,
    *,
    validation_share: float = VALIDATION_SHARE,
    seed: int = 0,
) -> Split:
    """Hold a kit out for test, and part of every other kit for validation.

    The choice follows from the seed and the items' names: an item that joins the corpus moves
    none but those at the limit.

    Args:
        items: Items of a corpus; the parts they come in are ignored.
        kit: The kit, or the drummer, to hold out.
        validation_share: Share of each other kit's items for validation, rounded, at least one.
        seed: Another seed is another choice.

    Raises:
        SettingError: If there is no such kit, it is the only one, or the share is out of range.
    """
    if not 0.0 < validation_share < 1.0:
        raise SettingError("validation_share", validation_share, "give more than 0 and less than 1")
    by_kit: dict[str, list[str]] = {}
    for item in items:
        by_kit.setdefault(item.kit, []).append(item.item)
    kits = ", ".join(sorted(by_kit))
    if kit not in by_kit:
        raise SettingError("kit", kit, f"there are {kits or 'none'} to hold out")
    if len(by_kit) == 1:
        raise SettingError(
            "kit", kit, "nothing would be left to train on", problem=f"is {kit}, the only kit"
        )
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    parts["test"] = by_kit.pop(kit)
    for names in by_kit.values():
        shuffled = sorted(
            names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()
        )
        n_validation = max(1, round(validation_share * len(names)))
        parts["validation"] += shuffled[:n_validation]
        parts["train"] += shuffled[n_validation:]
    if not parts["train"]:
        raise SettingError("validation_share", validation_share, "it leaves nothing to train on")
    return Split(
        kit, validation_share, seed, {part: tuple(sorted(names)) for part, names in parts.items()}
    )


def write_split(path: Path, split: Split, *, corpus: Path) -> Path:
    """Keep a split as a file beside, or anywhere near, its corpus.

    Args:
        path: The file, ``.json``.
        split: The split.
        corpus: Folder of the corpus; noted relative to the file.

    Raises:
        SettingError: If the file is not called ``.json``.
        OutputError: If it cannot be written.
    """
    if path.suffix.lower() != ".json":
        raise SettingError("path", str(path), "give a split a name that ends in .json")
    plain = {
        "format": FORMAT,
        "corpus": os.path.relpath(corpus.absolute(), path.absolute().parent),
        "held_out_kit": split.held_out_kit,
        "validation_share": split.validation_share,
        "seed": split.seed,
        "parts": {part: list(items) for part, items in split.parts.items()},
    }
    return write_text(path, json.dumps(plain, indent=1) + "\n")


def read_split(path: Path) -> tuple[Split, Path]:
    """A split and the folder of its corpus.

    Raises:
        CorpusError: If the file is not a split.
    """
    hint = "make it with drummix corpus split"
    found = read_json(path, _PlainSplit, error=CorpusError, hint=hint)
    split = Split(found.held_out_kit, found.validation_share, found.seed, found.parts)
    return split, path.parent / found.corpus
