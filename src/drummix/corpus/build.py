"""Rendering a whole corpus: which performance on which kit, in parallel, resumable.

The same settings and seed give the same files whatever the number of workers: every item has a
seed of its own, made from the corpus seed and the item's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from drummix import audio
from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.engineer import ReferenceMixes, Taste, mix_reference
from drummix.corpus.groove import PARTS, PerformedHit, Performance, read_groove_index, read_midi
from drummix.corpus.kit import Kit
from drummix.corpus.manifest import (
    TARGETS,
    CorpusItem,
    combined_sha256,
    file_sha256,
    read_item_record,
    write_item_record,
    write_manifest,
    write_text,
)
from drummix.corpus.render import HitPool, Rendering, render_performance
from drummix.corpus.studio import Studio
from drummix.corpus.synthkit import synth_kit
from drummix.errors import CorpusError, SettingError
from drummix.levels import peak_dbfs
from drummix.roles import PAPER_ROLES

SYNTHKIT = "synthkit"
"""Name that stands for the built-in kit where a kit folder is asked for."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class CorpusSettings:
    """How a corpus is made.

    Args:
        kits: DrumGizmo kit folders, or ``synthkit`` for the built-in kit.
        groove: Folder of the Groove MIDI Dataset.
        hours: Part -> hours of audio wanted; a part that is not named is left out. Fewer hours
            come out where the part's performances end before.
        engineer: Seed of the reference engineer's taste.
        seed: Seed of everything else.
        min_item_s: Shorter performances are left out.
        max_item_s: Longer ones are cut to an excerpt of this length.
        extension: ``flac`` or ``wav``, 24-bit both; WAV reads faster in training.

    Raises:
        SettingError: If a value is out of range or a part is unknown.
    """

    kits: tuple[str, ...]
    groove: str
    hours: Mapping[str, float]
    engineer: int = 1
    seed: int = 0
    min_item_s: float = 8.0
    max_item_s: float = 40.0
    extension: Literal["flac", "wav"] = "flac"

    def __post_init__(self) -> None:
        if not self.kits:
            raise SettingError(f"no kit given; name a DrumGizmo kit folder or {SYNTHKIT}")
        for part, hours in self.hours.items():
            if part not in PARTS:
                raise SettingError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
            if not hours > 0:
                raise SettingError(f"{hours} hours of part {part}; give more than 0")
        if not 0 < self.min_item_s <= self.max_item_s:
            raise SettingError(
                f"items of {self.min_item_s} to {self.max_item_s} s; give 0 < shortest <= longest"
            )
        if self.extension not in ("flac", "wav"):
            raise SettingError(f"files of type {self.extension!r}; give flac or wav")


@dataclass(frozen=True)
class PlannedItem:
    """An item before it is rendered: a performance on a kit."""

    name: str
    kit: str
    performance: Performance
    seed: int


def plan_corpus(settings: CorpusSettings) -> tuple[PlannedItem, ...]:
    """Choose performances for each part in a seeded order, the kits taking turns.

    Raises:
        CorpusError: If a part has no performance that is long enough.
    """
    index = read_groove_index(Path(settings.groove))
    planned: list[PlannedItem] = []
    for part, hours in settings.hours.items():
        eligible = [p for p in index if p.part == part and p.duration_s >= settings.min_item_s]
        if not eligible:
            raise CorpusError(
                f"{settings.groove} has no {part} performance of {settings.min_item_s} s or more"
            )
        order = np.random.default_rng(_seed(settings.seed, part)).permutation(len(eligible))
        total_s = 0.0
        for turn, choice in enumerate(order):
            if total_s >= hours * 3600:
                break
            performance = eligible[choice]
            kit = settings.kits[turn % len(settings.kits)]
            kit_name = Path(kit).name
            style = performance.style.split("/")[0]
            name = f"{kit_name}_{performance.id.replace('/', '-')}_{style}"
            planned.append(PlannedItem(name, kit, performance, _seed(settings.seed, name)))
            total_s += min(performance.duration_s, settings.max_item_s)
    return tuple(planned)


def render_corpus(
    settings: CorpusSettings,
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[CorpusItem, ...]:
    """Render a corpus, going on where an earlier run of the same settings stopped.

    Args:
        settings: What to render.
        folder: Where; made if need be. A corpus made with other settings is not touched.
        workers: Processes that render at the same time.
        progress: Called with items done, items in all, and the name of the last one.

    Returns:
        The items, also written to ``manifest.csv``.

    Raises:
        CorpusError: If the folder holds another corpus or a source is damaged.
    """
    planned = plan_corpus(settings)
    _claim_folder(settings, folder)
    done: dict[str, CorpusItem] = {}
    for plan in planned:
        record = read_item_record(folder, plan.name)
        if record is not None:
            done[plan.name] = record["item"]
    missing = [plan for plan in planned if plan.name not in done]
    for number, item in enumerate(_render_all(settings, missing, folder, workers), start=1):
        done[item.item] = item
        if progress is not None:
            progress(len(planned) - len(missing) + number, len(planned), item.item)
    write_manifest(folder, done.values())
    return tuple(sorted(done.values(), key=lambda item: (item.part, item.item)))


def _render_all(
    settings: CorpusSettings, planned: Sequence[PlannedItem], folder: Path, workers: int
) -> Iterator[CorpusItem]:
    # Kit by kit, so that a worker holds one kit in memory at a time.
    for kit in settings.kits:
        of_kit = [plan for plan in planned if plan.kit == kit]
        if workers <= 1 or len(of_kit) < 2:
            worker = _Worker(settings, kit, folder) if of_kit else None
            for plan in of_kit:
                assert worker is not None
                yield worker.render(plan)
            continue
        with ProcessPoolExecutor(
            workers, initializer=_start_worker, initargs=(settings, kit, folder)
        ) as pool:
            futures = [pool.submit(_render_in_worker, plan) for plan in of_kit]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


class _Worker:
    """A kit loaded and set up, ready to render items."""

    def __init__(self, settings: CorpusSettings, kit: str, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.kit = load_kit(kit)
        self.studio = Studio.for_kit(self.kit)
        self.taste = Taste.draw(np.random.default_rng(settings.engineer))

    def render(self, plan: PlannedItem) -> CorpusItem:
        pool: HitPool = "test" if plan.performance.part == "test" else "train"
        rng = np.random.default_rng(plan.seed)
        hits = excerpt(read_midi(plan.performance.path), self.settings.max_item_s, rng=rng)
        rendering = render_performance(self.kit, hits, rng=rng, pool=pool)
        mixes = mix_reference(rendering, self.studio, self.taste)
        return self._write(plan, rendering, mixes)

    def _write(self, plan: PlannedItem, rendering: Rendering, mixes: ReferenceMixes) -> CorpusItem:
        draft = CorpusItem(
            item=plan.name,
            part=plan.performance.part,
            kit=Path(plan.kit).name,
            performance=plan.performance.id,
            style=plan.performance.style,
            seed=plan.seed,
            engineer=self.settings.engineer,
            licence=f"kit: {self.kit.licence}; performance: CC BY 4.0 (Groove MIDI Dataset)",
            rate_hz=rendering.rate_hz,
            n_samples=rendering.n_samples,
            extension=self.settings.extension,
            stem_peak_dbfs=round(peak_dbfs(mixes.stems), 2),
            dry_peak_dbfs=round(peak_dbfs(mixes.dry), 2),
            wet_peak_dbfs=round(peak_dbfs(mixes.wet), 2),
            sha256="",
        )
        checksums = {}
        tracks = [*(mixes.stems[i : i + 1] for i in range(len(PAPER_ROLES))), mixes.dry, mixes.wet]
        paths = [
            *(draft.stem_path(self.folder, role) for role in PAPER_ROLES),
            *(draft.mix_path(self.folder, target) for target in TARGETS),
        ]
        for path, samples in zip(paths, tracks, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            audio.write(path, audio.Audio(samples, rendering.rate_hz))
            checksums[path.relative_to(self.folder / draft.kit).as_posix()] = file_sha256(path)
        item = CorpusItem(**{**asdict(draft), "sha256": combined_sha256(checksums)})
        hits = [
            {**asdict(hit), "piece": str(hit.piece), "time_s": round(hit.time_s, 6)}
            for hit in rendering.hits
        ]
        write_item_record(self.folder, item, hits=hits, checksums=checksums)
        return item


_worker: _Worker | None = None


def _start_worker(settings: CorpusSettings, kit: str, folder: Path) -> None:
    global _worker
    _worker = _Worker(settings, kit, folder)


def _render_in_worker(plan: PlannedItem) -> CorpusItem:
    assert _worker is not None
    return _worker.render(plan)


def load_kit(name: str) -> Kit:
    """A DrumGizmo kit by its folder, or the built-in kit by the name ``synthkit``."""
    return synth_kit() if name == SYNTHKIT else read_kit(Path(name))


def excerpt(
    hits: Sequence[PerformedHit], max_s: float, *, rng: np.random.Generator
) -> tuple[PerformedHit, ...]:
    """The strokes of a random stretch of at most `max_s` seconds, moved to start at 0 s."""
    if not hits:
        return ()
    first_s, last_s = hits[0].time_s, hits[-1].time_s
    start_s = first_s + max(0.0, last_s - first_s - max_s) * float(rng.random())
    return tuple(
        PerformedHit(hit.time_s - start_s, hit.note, hit.velocity, hit.openness)
        for hit in hits
        if start_s <= hit.time_s < start_s + max_s
    )


def _seed(corpus_seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{corpus_seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "little")


def _claim_folder(settings: CorpusSettings, folder: Path) -> None:
    """Note the settings in ``corpus.json``, or check that they are the ones noted there."""
    taste = Taste.draw(np.random.default_rng(settings.engineer))
    plain = asdict(settings)
    # Where the sources lie may differ from machine to machine; what they are may not.
    plain["kits"] = [Path(kit).name for kit in settings.kits]
    del plain["groove"]
    plain["kits"] = sorted(plain["kits"])
    text = json.dumps({"format": 1, "settings": plain, "taste": taste.to_mapping()}, indent=1)
    path = folder / "corpus.json"
    if path.is_file():
        if path.read_text(encoding="utf-8").strip() != text:
            raise CorpusError(
                f"{folder} holds a corpus made with other settings (see its corpus.json); "
                "choose another folder"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(f"{folder} is not empty and is no drummix corpus; choose another folder")
    (folder / "items").mkdir(parents=True, exist_ok=True)
    write_text(path, text + "\n")
