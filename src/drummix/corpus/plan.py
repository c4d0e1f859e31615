"""What a corpus will hold: settings, and which performance goes on which kit.

Belongs here: everything that is decided before a sound is read. The same settings give the same
plan everywhere; each item has a seed of its own, made from the corpus seed and the item's name.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from drummix.corpus.disturbance import DISTURBANCES, RENDERED_DISTURBANCES
from drummix.corpus.drumgizmo_xml import find_kit_file, instrument_notes
from drummix.corpus.groove import PARTS, Performance, read_groove_index
from drummix.corpus.kinds import KINDS, PERFORMANCE, Material, performances_of, single_strokes
from drummix.corpus.synthkit import NOTE_MAP
from drummix.corpus.taste import Perspective
from drummix.errors import CorpusError, SettingError

SYNTHKIT = "synthkit"
"""Name that stands for the built-in kit where a kit folder is asked for; ``synthkit-7`` is another,
of seed 7."""

CORPUS_RATE_HZ = 44_100
"""Sample rate of every corpus, the paper's; kits at other rates are resampled."""

MAX_ITEM_S = 3600.0
"""Longest item: it is held in memory, all its microphones, while it is rendered."""

EXTENSIONS = ("flac", "wav")


@dataclass(frozen=True)
class CorpusSettings:
    """How a corpus is made.

    Args:
        kits: DrumGizmo kit folders, or ``synthkit`` (``synthkit-1``, ...) for a built-in kit; their
            order does not matter.
        groove: Folder of the Groove MIDI Dataset.
        hours: Part -> hours of audio wanted, or None for all there is; a part that is not named
            is left out. Fewer hours come out where the part's performances end before.
        engineer: Seed of the reference engineer's taste.
        seed: Seed of everything else.
        min_item_s: Shorter performances are left out.
        max_item_s: Longer ones are cut to an excerpt of this length.
        extension: ``flac`` or ``wav``, 24-bit both; WAV reads faster in training.
        kinds: Kinds of ENST-Drums to make (see `kinds`), which share the hours; performances of
            any kind if none is named.
        hold_out_kit: The one of `kits` that plays the test part, alone; no other part has it.
        perspective: From where the mixes see the kit: ``audience`` or ``drummer``.
        disturb: Disturbances of the stems (see `disturbance`); ``tuning`` changes the mixes too.

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
    kinds: tuple[str, ...] = ()
    hold_out_kit: str | None = None
    perspective: Perspective = "audience"
    disturb: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_kits(self.kits)
        if not self.hours:
            raise SettingError(
                "hours", {}, f"name some of {', '.join(PARTS)}", problem="names no part"
            )
        for part, hours in self.hours.items():
            if part not in PARTS:
                known = f"known: {', '.join(PARTS)}"
                raise SettingError("hours", part, known, problem=f"has an unknown part {part!r}")
            if hours is not None and not (math.isfinite(hours) and hours > 0):
                much = f"asks for {hours} hours of part {part}"
                raise SettingError("hours", hours, "give more than 0", problem=much)
        if not 0 < self.min_item_s <= self.max_item_s <= MAX_ITEM_S:
            raise SettingError(
                "min_item_s",
                self.min_item_s,
                f"give 0 < shortest <= longest <= {MAX_ITEM_S:g}",
                problem=f"asks for items of {self.min_item_s:g} to {self.max_item_s:g} s",
            )
        if self.extension not in EXTENSIONS:
            raise SettingError("extension", self.extension, f"give {' or '.join(EXTENSIONS)}")
        for name, value in (("engineer", self.engineer), ("seed", self.seed)):
            if value < 0:
                raise SettingError(name, value, "give 0 or more")
        _check_names("kinds", self.kinds, KINDS)
        _check_names("disturb", self.disturb, (*DISTURBANCES, *RENDERED_DISTURBANCES))
        _check_names("perspective", (self.perspective,), ("audience", "drummer"))
        for part in self.hours:
            if not self.kits_of(part):
                raise SettingError(
                    "hold_out_kit",
                    self.hold_out_kit,
                    "name another kit, or leave the part out",
                    problem=f"is {self.hold_out_kit}, so that no kit is left for part {part}",
                )

    def kits_of(self, part: str) -> tuple[str, ...]:
        """The kits of a part, in the order of their names.

        Raises:
            SettingError: If the kit to hold out is none of the kits.
        """
        kits = tuple(sorted(self.kits, key=kit_label))
        if self.hold_out_kit is None:
            return kits
        held_out = kit_label(self.hold_out_kit)
        if held_out not in map(kit_label, kits):
            raise SettingError(
                "hold_out_kit",
                held_out,
                "name its folder among the kits too",
                problem=f"is {held_out}, none of {', '.join(map(kit_label, kits))}",
            )
        return tuple(kit for kit in kits if (kit_label(kit) == held_out) == (part == "test"))


def _check_names(parameter: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise SettingError(
                parameter, name, f"known: {', '.join(known)}", problem=f"names {name!r}"
            )
        if names.count(name) > 1:
            raise SettingError(parameter, name, "name each once", problem=f"names {name} twice")


def _check_kits(kits: tuple[str, ...]) -> None:
    if not kits:
        raise SettingError(
            "kits", (), f"name a DrumGizmo kit folder or {SYNTHKIT}", problem="is empty"
        )
    labels = [kit_label(kit) for kit in kits]
    for label in labels:
        if labels.count(label) > 1:
            twice = f"holds two kits called {label}"
            raise SettingError("kits", label, "rename the folder of one of them", problem=twice)


@dataclass(frozen=True)
class PlannedItem:
    """An item before it is rendered: what is played, on a kit.

    Args:
        name: Name of the item, unique in its corpus, and of its files.
        kit: The kit as the settings name it.
        material: What is played.
        seed: Seed of the item's excerpt, round robin and disturbances.
    """

    name: str
    kit: str
    material: Material
    seed: int


def synthkit_seed(kit: str) -> int | None:
    """Seed of a built-in kit by its name; None for the folder of another.

    >>> synthkit_seed("synthkit"), synthkit_seed("synthkit-7"), synthkit_seed("kits/synthkit")
    (0, 7, None)
    """
    found = re.fullmatch(rf"{SYNTHKIT}(?:-([0-9]{{1,9}}))?", kit)
    return int(found.group(1) or 0) if found else None


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
        why = f"holds {kit!r}, which has no name to call it by"
        raise SettingError("kits", kit, "give its folder", problem=why)
    return label


def plan_corpus(settings: CorpusSettings) -> tuple[PlannedItem, ...]:
    """Choose what each part plays, in a seeded order, the kits taking turns.

    Raises:
        CorpusError: If a kit is not there, or there is nothing for a kind or a part.
    """
    for kit in settings.kits:
        if synthkit_seed(kit) is None:
            find_kit_file(Path(kit))
    index = read_groove_index(Path(settings.groove))
    return tuple(item for part in settings.hours for item in _plan_part(settings, part, index))


# What there is least of goes first, so that others can take the hours that it leaves.
_PLAN_ORDER = ("hits", "solo", "minus-one", "phrase", PERFORMANCE)


def _plan_part(
    settings: CorpusSettings, part: str, index: Sequence[Performance]
) -> list[PlannedItem]:
    hours = settings.hours[part]
    left_s = math.inf if hours is None else hours * 3600
    kinds = [kind for kind in _PLAN_ORDER if kind in (settings.kinds or (PERFORMANCE,))]
    planned: list[PlannedItem] = []
    for turn, kind in enumerate(kinds):
        wanted_s = left_s / (len(kinds) - turn)
        queue = deque(_materials(settings, part, kind, [p for p in index if p.part == part]))
        kind_s = 0.0
        while queue and kind_s < wanted_s:
            kit, material = queue.popleft()
            name = _item_name(kit, material)
            planned.append(PlannedItem(name, kit, material, _seed(settings.seed, name)))
            kind_s += material.duration_s
        left_s = max(0.0, left_s - kind_s)
    return planned


def _materials(
    settings: CorpusSettings, part: str, kind: str, index: Sequence[Performance]
) -> list[tuple[str, Material]]:
    """All that a part could play of a kind, and on which kit."""
    kits = settings.kits_of(part)
    purpose = part if kind == PERFORMANCE else f"{part}/{kind}"
    rng = np.random.default_rng(_seed(settings.seed, purpose))
    if kind == "hits":
        strokes = [(kit, one) for kit in kits for one in single_strokes(part, _notes_of(kit))]
        return [strokes[choice] for choice in rng.permutation(len(strokes))]
    found = performances_of(
        index,
        kind,
        settings.kinds,
        min_s=settings.min_item_s,
        max_s=settings.max_item_s,
        rng=rng,
    )
    if not found:
        what = "performance" if kind == PERFORMANCE else f"performance for kind {kind}"
        raise CorpusError(
            f"{settings.groove} has no {part} {what} of {settings.min_item_s} s or more; "
            "leave it out or allow shorter items"
        )
    return [(kits[turn % len(kits)], material) for turn, material in enumerate(found)]


def _notes_of(kit: str) -> tuple[int, ...]:
    """The lowest note of each instrument of a kit."""
    if synthkit_seed(kit) is None:
        return tuple(sorted(instrument_notes(Path(kit)).values()))
    lowest: dict[str, int] = {}
    for note, name in sorted(NOTE_MAP.items()):
        lowest.setdefault(name, note)
    return tuple(lowest.values())


def _item_name(kit: str, material: Material) -> str:
    words = _words(material)
    return f"{kit_label(kit)}_{re.sub(r'[^A-Za-z0-9_-]+', '-', words)}"


def _words(material: Material) -> str:
    if material.kind == "hits":
        return material.performance.replace("hits/", "hits_")
    first, n_more = material.performances[0].id, len(material.performances) - 1
    words = first.replace("/", "-") + (f"-and-{n_more}" if n_more else "")
    words += f"_{material.style.split('/')[0]}"
    return words if material.kind == PERFORMANCE else f"{material.kind}_{words}"


def _seed(corpus_seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{corpus_seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
