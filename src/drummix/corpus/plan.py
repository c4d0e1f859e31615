"""What a corpus will hold: settings, and which performance goes on which kit.

Belongs here: everything that is decided before a sound is read. The same settings give the same
plan everywhere; each item has a seed of its own, made from the corpus seed and the item's name.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from drummix.corpus.drumgizmo_xml import find_kit_file
from drummix.corpus.groove import PARTS, Performance, read_groove_index
from drummix.errors import CorpusError, SettingError

SYNTHKIT = "synthkit"
"""Name that stands for the built-in kit where a kit folder is asked for."""

CORPUS_RATE_HZ = 44_100
"""Sample rate of every corpus, the paper's; kits at other rates are resampled."""

EXTENSIONS = ("flac", "wav")


@dataclass(frozen=True)
class CorpusSettings:
    """How a corpus is made.

    Args:
        kits: DrumGizmo kit folders, or ``synthkit`` for the built-in kit; their order does not
            matter.
        groove: Folder of the Groove MIDI Dataset.
        hours: Part -> hours of audio wanted, or None for all there is; a part that is not named
            is left out. Fewer hours come out where the part's performances end before.
        engineer: Seed of the reference engineer's taste.
        seed: Seed of everything else.
        min_item_s: Shorter performances are left out.
        max_item_s: Longer ones are cut to an excerpt of this length.
        extension: ``flac`` or ``wav``, 24-bit both; WAV reads faster in training.

    Raises:
        SettingError: If a value is out of range, a part is unknown, or a kit is named twice.
    """

    kits: tuple[str, ...]
    groove: str
    hours: Mapping[str, float | None]
    engineer: int = 1
    seed: int = 0
    min_item_s: float = 8.0
    max_item_s: float = 40.0
    extension: Literal["flac", "wav"] = "flac"

    def __post_init__(self) -> None:
        _check_kits(self.kits)
        if not self.hours:
            raise SettingError(f"no part given; name some of {', '.join(PARTS)}")
        for part, hours in self.hours.items():
            if part not in PARTS:
                raise SettingError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
            if hours is not None and not (math.isfinite(hours) and hours > 0):
                raise SettingError(f"{hours} hours of part {part}; give more than 0")
        if not 0 < self.min_item_s <= self.max_item_s < math.inf:
            raise SettingError(
                f"items of {self.min_item_s} to {self.max_item_s} s; give 0 < shortest <= longest"
            )
        if self.extension not in EXTENSIONS:
            raise SettingError(f"files of type {self.extension!r}; give {' or '.join(EXTENSIONS)}")
        for name, value in (("engineer", self.engineer), ("seed", self.seed)):
            if value < 0:
                raise SettingError(f"{name} {value}; give 0 or more")


def _check_kits(kits: tuple[str, ...]) -> None:
    if not kits:
        raise SettingError(f"no kit given; name a DrumGizmo kit folder or {SYNTHKIT}")
    labels = [kit_label(kit) for kit in kits]
    for label in labels:
        if labels.count(label) > 1:
            raise SettingError(f"two kits are called {label}; rename the folder of one of them")


@dataclass(frozen=True)
class PlannedItem:
    """An item before it is rendered: a performance on a kit.

    Args:
        name: Name of the item, unique in its corpus, and of its files.
        kit: The kit as the settings name it.
        performance: The performance.
        seed: Seed of the item's excerpt and round robin.
    """

    name: str
    kit: str
    performance: Performance
    seed: int


def kit_label(kit: str) -> str:
    """Name of a kit in a corpus: that of its folder.

    >>> kit_label("kits/My Kit/"), kit_label("kits/drs/drumkit.xml"), kit_label("synthkit")
    ('My-Kit', 'drs', 'synthkit')
    """
    path = Path(kit)
    folder = path.parent if path.suffix.lower() == ".xml" else path
    # Not resolved: a link is known by its own name.
    name = folder.absolute().name if folder.name not in ("", "..") else folder.resolve().name
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    if not label:
        raise SettingError(f"kit {kit!r} has no name to call it by; give its folder")
    return label


def plan_corpus(settings: CorpusSettings) -> tuple[PlannedItem, ...]:
    """Choose performances for each part in a seeded order, the kits taking turns.

    Raises:
        CorpusError: If a kit is not there, or a part has no performance that is long enough.
    """
    for kit in settings.kits:
        if kit != SYNTHKIT:
            find_kit_file(Path(kit))
    index = read_groove_index(Path(settings.groove))
    planned: list[PlannedItem] = []
    for part, hours in settings.hours.items():
        eligible = [p for p in index if p.part == part and p.duration_s >= settings.min_item_s]
        if not eligible:
            raise CorpusError(
                f"{settings.groove} has no {part} performance of {settings.min_item_s} s or more; "
                "leave the part out or allow shorter items"
            )
        wanted_s = math.inf if hours is None else hours * 3600
        planned += _plan_part(settings, part, eligible, wanted_s)
    return tuple(planned)


def _plan_part(
    settings: CorpusSettings, part: str, eligible: list[Performance], wanted_s: float
) -> list[PlannedItem]:
    kits = sorted(settings.kits, key=kit_label)
    order = np.random.default_rng(_seed(settings.seed, part)).permutation(len(eligible))
    planned: list[PlannedItem] = []
    total_s = 0.0
    for turn, choice in enumerate(order):
        if total_s >= wanted_s:
            break
        performance = eligible[choice]
        kit = kits[turn % len(kits)]
        name = _item_name(kit, performance)
        planned.append(PlannedItem(name, kit, performance, _seed(settings.seed, name)))
        total_s += min(performance.duration_s, settings.max_item_s)
    return planned


def _item_name(kit: str, performance: Performance) -> str:
    style = performance.style.split("/")[0]
    words = f"{performance.id.replace('/', '-')}_{style}"
    return f"{kit_label(kit)}_{re.sub(r'[^A-Za-z0-9_-]+', '-', words)}"


def _seed(corpus_seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{corpus_seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
