"""Rendering a whole corpus: in parallel, resumable, the same bytes every time.

The same settings give the same files whatever the number of workers and however often the work
was stopped: an item depends on nothing but the settings and its own seed (see `plan`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drummix.audio import Audio
from drummix.audio import write as write_sound
from drummix.corpus import processes
from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.engineer import ReferenceMixes, mix_reference
from drummix.corpus.groove import PerformedHit, read_midi
from drummix.corpus.kit import Kit
from drummix.corpus.manifest import (
    TARGETS,
    CorpusItem,
    combined_sha256,
    file_sha256,
    make_folder,
    read_item_record,
    remove_leftovers,
    write_item_record,
    write_manifest,
    write_text,
)
from drummix.corpus.plan import (
    CORPUS_RATE_HZ,
    SYNTHKIT,
    CorpusSettings,
    PlannedItem,
    kit_label,
    plan_corpus,
)
from drummix.corpus.render import Rendering, render_performance
from drummix.corpus.strokes import HitPool
from drummix.corpus.studio import Studio
from drummix.corpus.synthkit import synth_kit
from drummix.corpus.taste import Taste
from drummix.errors import CorpusError, SettingError
from drummix.levels import peak_dbfs
from drummix.roles import PAPER_ROLES

# Enough for the test part to have three of them.
_SYNTHKIT_HITS = 12

Progress = Callable[[int, int, str], None]
Notice = Callable[[str], None]


def render_corpus(
    settings: CorpusSettings,
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    notice: Notice | None = None,
) -> tuple[CorpusItem, ...]:
    """Render a corpus, going on where an earlier run of the same settings stopped.

    Args:
        settings: What to render.
        folder: Where; made if need be. A corpus made with other settings is not touched.
        workers: Processes that render at the same time; each holds a kit in memory.
        progress: Called with items done, items in all, and the name of the last one; first with
            the items that an earlier run completed and no name.
        notice: Called with each thing that a person should know, once, in one line.

    Returns:
        The items, also written to ``manifest.csv``.

    Raises:
        CorpusError: If the folder holds another corpus or a source is damaged.
        OutputError: If the folder cannot be written; what is complete stays and is not done again.
        SettingError: If `workers` is below 1.
    """
    if workers < 1:
        raise SettingError(f"{workers} workers; give 1 or more")
    planned = plan_corpus(settings)
    _claim_folder(settings, folder)
    remove_leftovers(folder)
    records = (read_item_record(folder, plan.name) for plan in planned)
    done = {record.item.item: record.item for record in records if record is not None}
    report = progress or (lambda n_done, n_all, name: None)
    report(len(done), len(planned), "")
    missing = [plan for plan in planned if plan.name not in done]
    said: set[str] = set()
    for rendered in _render_all(settings, missing, folder, workers):
        done[rendered.item.item] = rendered.item
        for line in rendered.notices:
            if notice is not None and line not in said:
                said.add(line)
                notice(line)
        report(len(done), len(planned), rendered.item.item)
    write_manifest(folder, done.values())
    return tuple(sorted(done.values(), key=lambda item: (item.part, item.item)))


def load_kit(name: str) -> Kit:
    """A DrumGizmo kit by its folder, or the built-in kit by the name ``synthkit``."""
    if name == SYNTHKIT:
        return synth_kit(rate_hz=CORPUS_RATE_HZ, hits_per_instrument=_SYNTHKIT_HITS)
    return read_kit(Path(name), rate_hz=CORPUS_RATE_HZ)


def excerpt(
    hits: Sequence[PerformedHit], max_s: float, *, rng: np.random.Generator
) -> tuple[PerformedHit, ...]:
    """The strokes of a random stretch of at most `max_s` seconds, moved to start at 0 s."""
    if not hits:
        return ()
    first_s, last_s = hits[0].time_s, hits[-1].time_s
    start_s = first_s + max(0.0, last_s - first_s - max_s) * float(rng.random())
    return tuple(
        replace(hit, time_s=hit.time_s - start_s)
        for hit in hits
        if start_s <= hit.time_s < start_s + max_s
    )


@dataclass(frozen=True)
class _Rendered:
    """An item, and what a person should know about it."""

    item: CorpusItem
    notices: tuple[str, ...]


def _render_all(
    settings: CorpusSettings, planned: Sequence[PlannedItem], folder: Path, workers: int
) -> Iterator[_Rendered]:
    # Kit by kit, so that a process holds one kit in memory at a time.
    for kit in settings.kits:
        of_kit = [plan for plan in planned if plan.kit == kit]
        if workers == 1 or len(of_kit) < 2:
            yield from _render_here(settings, folder, of_kit)
        else:
            yield from _render_in_processes(settings, folder, of_kit, workers)


def _render_here(
    settings: CorpusSettings, folder: Path, planned: Sequence[PlannedItem]
) -> Iterator[_Rendered]:
    if planned:
        worker = _Worker(settings, folder, planned[0].kit)
        for plan in planned:
            yield worker.render(plan)


def _render_in_processes(
    settings: CorpusSettings, folder: Path, planned: Sequence[PlannedItem], workers: int
) -> Iterator[_Rendered]:
    with ProcessPoolExecutor(min(workers, len(planned)), initializer=processes.start) as pool:
        futures = [pool.submit(_render_in_process, settings, folder, plan) for plan in planned]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise CorpusError(
                "a rendering process was ended from outside (out of memory?); "
                "run the same command again with fewer workers: complete items are kept"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_loaded: _Worker | None = None


def _render_in_process(settings: CorpusSettings, folder: Path, plan: PlannedItem) -> _Rendered:
    """Render an item in a process of its own, which keeps the kit for the next one."""
    # Not in the pool's initializer: what goes wrong there reaches nobody.
    global _loaded
    if _loaded is None:
        _loaded = _Worker(settings, folder, plan.kit)
    return _loaded.render(plan)


class _Worker:
    """A kit loaded and set up, ready to render items."""

    def __init__(self, settings: CorpusSettings, folder: Path, kit: str) -> None:
        self._settings, self._folder = settings, folder
        self._kit = load_kit(kit)
        self._studio = Studio.for_kit(self._kit)
        self._taste = Taste.draw(np.random.default_rng(settings.engineer))

    def render(self, plan: PlannedItem) -> _Rendered:
        """Render an item and write it to disk."""
        pool: HitPool = "test" if plan.performance.part == "test" else "train"
        rng = np.random.default_rng(plan.seed)
        hits = excerpt(read_midi(plan.performance.path), self._settings.max_item_s, rng=rng)
        try:
            rendering = render_performance(self._kit, hits, rng=rng, pool=pool)
        except CorpusError as error:
            raise CorpusError(f"performance {plan.performance.id}: {error}") from None
        mixes = mix_reference(rendering, self._studio, self._taste)
        item, n_clipped = self._write(plan, rendering, mixes)
        return _Rendered(item, tuple(self._notices(item, rendering, n_clipped)))

    def _notices(self, item: CorpusItem, rendering: Rendering, n_clipped: int) -> Iterator[str]:
        yield from (f"{item.kit}: {line}" for line in self._kit.notices)
        for note in rendering.unplayed_notes:
            yield f"{item.kit}: no instrument for note {note}; its strokes are left out"
        if n_clipped:
            yield f"{item.item}: {n_clipped} samples went beyond full scale and were limited"

    def _write(
        self, plan: PlannedItem, rendering: Rendering, mixes: ReferenceMixes
    ) -> tuple[CorpusItem, int]:
        """Write the files and, last, the record; also tell how many samples were limited."""
        draft = self._draft(plan, rendering, mixes)
        tracks = [*(mixes.stems[i : i + 1] for i in range(len(PAPER_ROLES))), mixes.dry, mixes.wet]
        paths = [
            *(draft.stem_path(self._folder, role) for role in PAPER_ROLES),
            *(draft.mix_path(self._folder, target) for target in TARGETS),
        ]
        checksums, n_clipped = {}, 0
        for path, samples in zip(paths, tracks, strict=True):
            make_folder(path.parent)
            n_clipped += write_sound(path, Audio(samples, rendering.rate_hz))
            checksums[path.relative_to(self._folder / draft.kit).as_posix()] = file_sha256(path)
        item = replace(draft, sha256=combined_sha256(checksums))
        write_item_record(self._folder, item, checksums=checksums, details=_details(rendering))
        return item, n_clipped

    def _draft(self, plan: PlannedItem, rendering: Rendering, mixes: ReferenceMixes) -> CorpusItem:
        return CorpusItem(
            item=plan.name,
            part=plan.performance.part,
            kit=kit_label(plan.kit),
            performance=plan.performance.id,
            style=plan.performance.style,
            seed=plan.seed,
            engineer=self._settings.engineer,
            licence=f"kit: {self._kit.licence}; performance: CC BY 4.0 (Groove MIDI Dataset)",
            rate_hz=rendering.rate_hz,
            n_samples=rendering.n_samples,
            extension=self._settings.extension,
            stem_peak_dbfs=round(peak_dbfs(mixes.stems), 2),
            dry_peak_dbfs=round(peak_dbfs(mixes.dry), 2),
            wet_peak_dbfs=round(peak_dbfs(mixes.wet), 2),
            sha256="",
        )


def _details(rendering: Rendering) -> dict[str, Any]:
    """What the record of an item says about its sound, as plain data."""
    hits = [
        {**asdict(hit), "piece": str(hit.piece), "time_s": round(hit.time_s, 6)}
        for hit in rendering.hits
    ]
    return {"unplayed_notes": list(rendering.unplayed_notes), "hits": hits}


def _claim_folder(settings: CorpusSettings, folder: Path) -> None:
    """Note the settings in ``corpus.json``, or check that they are the ones noted there."""
    taste = Taste.draw(np.random.default_rng(settings.engineer))
    plain = asdict(settings)
    # Where the sources lie may differ from machine to machine; what they are may not.
    plain["kits"] = sorted(kit_label(kit) for kit in settings.kits)
    del plain["groove"]
    wanted = {"format": 1, "settings": plain, "taste": taste.to_mapping()}
    path = folder / "corpus.json"
    if path.is_file():
        _refuse_other_settings(path, wanted)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(f"{folder} is not empty and is no drummix corpus; choose another folder")
    make_folder(folder)
    write_text(path, json.dumps(wanted, indent=1) + "\n")


def _refuse_other_settings(path: Path, wanted: dict[str, Any]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found == wanted:
            return
        theirs, ours = found["settings"], wanted["settings"]
        differing = [name for name in ours if theirs.get(name) != ours[name]]
    except (ValueError, KeyError, AttributeError, TypeError):
        raise CorpusError(f"{path} is damaged; render into another folder") from None
    name = differing[0] if differing else "taste"
    raise CorpusError(
        f"{path.parent} holds a corpus made with other settings ({name}: "
        f"{theirs.get(name, 'another')}, not {ours.get(name, 'this')}); choose another folder"
    )
