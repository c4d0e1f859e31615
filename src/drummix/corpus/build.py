"""Rendering a whole corpus: in parallel, resumable, the same bytes every time.

The same settings give the same files whatever the number of workers and however often the work
was stopped: an item depends on nothing but the settings and its own seed (see `plan`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from drummix.audio import Audio, make_folder, remove_leftovers, write_text
from drummix.audio import write as write_sound
from drummix.corpus.engineer import ReferenceMixes
from drummix.corpus.kit import Kit
from drummix.corpus.manifest import (
    TARGETS,
    CorpusFile,
    CorpusItem,
    combined_sha256,
    file_sha256,
    read_item_record,
    write_item_record,
    write_manifest,
)
from drummix.corpus.plan import (
    CorpusSettings,
    PlannedItem,
    kit_label,
    plan_corpus,
    synthkit_seed,
)
from drummix.corpus.recording import RecordingSession, licence_of, load_kit, taste_of
from drummix.corpus.render import Rendering
from drummix.errors import CorpusError, SettingError
from drummix.levels import peak_dbfs
from drummix.notices import Code, Notice, OnNotice
from drummix.plain_data import convert, parse_json
from drummix.pool import WorkerDied, check_is_shared, each_result
from drummix.roles import PAPER_ROLES

_LATER_SETTINGS: Mapping[str, Any] = {
    "kinds": (),
    "hold_out_kit": None,
    "perspective": "audience",
    "disturb": (),
}

Progress = Callable[[int, int, str], None]


def render_corpus(
    settings: CorpusSettings,
    folder: Path,
    *,
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
    on_notice: OnNotice | None = None,
) -> tuple[CorpusItem, ...]:
    """Render a corpus, going on where an earlier run of the same settings stopped.

    Args:
        settings: What to render.
        folder: Where; made if need be. A corpus made with other settings is not touched.
        workers: Processes that render at the same time; each holds a kit in memory. None for one,
            or one a core of the cluster.
        ray: Address of a Ray cluster to render on, or ``local``; None for no Ray.
        progress: Called with items done, items in all, and the name of the last one; first with
            the items that an earlier run completed and no name.
        on_notice: Called with each thing that a person should know, once.

    Returns:
        The items, also written to ``manifest.csv``.

    Raises:
        CorpusError: If the folder holds another corpus or a source is damaged.
        OutputError: If the folder cannot be written; what is complete stays and is not done again.
        SettingError: If `workers` is below 1.
        WorkerError: If there is no such cluster, or it does not see the folder.
    """
    if workers is not None and workers < 1:
        raise SettingError("workers", workers, "give 1 or more")
    if ray is not None:
        settings, folder = _anywhere(settings), folder.absolute()
    planned = plan_corpus(settings)
    _claim_folder(settings, folder)
    remove_leftovers(folder, is_deep=True)
    records = (read_item_record(folder, plan.name) for plan in planned)
    done = {record.item.item: record.item for record in records if record is not None}
    report = progress or (lambda n_done, n_all, name: None)
    report(len(done), len(planned), "")
    missing = [plan for plan in planned if plan.name not in done]
    said: list[Notice] = []
    clipped: dict[str, int] = {}
    rendering = _render_all(
        settings, missing, folder, workers=workers, ray=ray, on_notice=on_notice
    )
    with contextlib.closing(rendering):
        for rendered in rendering:
            done[rendered.item.item] = rendered.item
            for notice in rendered.notices:
                if on_notice is not None and notice not in said:
                    said.append(notice)
                    on_notice(notice)
            if rendered.n_clipped:
                clipped[rendered.item.item] = rendered.n_clipped
            report(len(done), len(planned), rendered.item.item)
    if on_notice is not None and clipped:
        most = max(sorted(clipped), key=lambda name: clipped[name])
        counts = {"n_items": len(clipped), "most_samples": clipped[most]}
        on_notice(Notice(Code.ITEMS_LIMITED, most, counts))
    write_manifest(folder, done.values())
    return tuple(sorted(done.values(), key=lambda item: (item.part, item.item)))


def _anywhere(settings: CorpusSettings) -> CorpusSettings:
    """The settings with paths that mean the same wherever a worker runs."""

    def absolute(kit: str) -> str:
        return kit if synthkit_seed(kit) is not None else str(Path(kit).absolute())

    held_out = settings.hold_out_kit
    return replace(
        settings,
        kits=tuple(map(absolute, settings.kits)),
        groove=str(Path(settings.groove).absolute()),
        hold_out_kit=None if held_out is None else absolute(held_out),
    )


@dataclass(frozen=True)
class _Rendered:
    """An item, and what a person should know about it."""

    item: CorpusItem
    notices: tuple[Notice, ...]
    n_clipped: int


def _render_all(
    settings: CorpusSettings,
    planned: Sequence[PlannedItem],
    folder: Path,
    *,
    workers: int | None,
    ray: str | None,
    on_notice: OnNotice | None,
) -> Generator[_Rendered]:
    died: dict[str, str] = {}
    try:
        with each_result(
            # Kit by kit, so that each worker loads every kit at most once.
            [plan for kit in settings.kits for plan in planned if plan.kit == kit],
            partial(_Renderer, settings, folder),
            name_of=lambda plan: plan.name,
            n_workers=workers,
            ray=ray,
            on_lost=None if on_notice is None else lambda plan, notice: on_notice(notice),
        ) as results:
            for plan, result in results:
                if isinstance(result, WorkerDied):
                    died[plan.name] = result.why
                    continue
                if ray is not None and read_item_record(folder, plan.name) is None:
                    raise CorpusError(
                        f"{plan.name} was rendered, but {folder} does not hold it here; every "
                        "machine of a cluster must see that folder at the same path"
                    )
                yield result
    finally:
        # The processes are gone, and could not clean up.
        remove_leftovers(folder, is_deep=True)
    if died:
        name, why = next(iter(died.items()))
        n_items = "1 item is" if len(died) == 1 else f"{len(died)} items are"
        raise CorpusError(
            f"{n_items} not rendered, {name}: {why}; run the same command again where there is "
            "more memory: complete items are kept"
        )


class _Renderer:
    """Renders items on one kit after the other; one kit at a time is in memory."""

    def __init__(self, settings: CorpusSettings, folder: Path) -> None:
        check_is_shared(folder)
        self._settings, self._folder = settings, folder
        self._loaded = ""
        self._recording: RecordingSession
        self._kit: Kit

    def result(self, plan: PlannedItem) -> _Rendered:
        """Render an item and write it to disk."""
        if self._loaded != plan.kit:
            self._load(plan.kit)
        take = self._recording.record(plan)
        rendering = take.rendering
        mixes = self._recording.mix(take)
        stems = take.disturbed(mixes.stems)
        details = {
            "unplayed_notes": list(rendering.unplayed_notes),
            "engineer": {"seed": self._settings.engineer, **self._recording.taste.to_mapping()},
            "tuning_semitones": take.tuning_semitones,
            "disturbance": None if take.disturbance is None else take.disturbance.to_mapping(),
            **_hit_details(rendering, self._kit),
        }
        item, n_clipped = self._write(plan, rendering, replace(mixes, stems=stems), details)
        return _Rendered(item, tuple(self._notices(item, rendering)), n_clipped)

    def _load(self, name: str) -> None:
        if self._loaded:
            # Freed before the next one is read.
            del self._recording, self._kit
            self._loaded = ""
        self._recording = RecordingSession(self._settings, load_kit(name))
        self._kit = self._recording.kit
        self._loaded = name

    def _notices(self, item: CorpusItem, rendering: Rendering) -> Iterator[Notice]:
        yield from (replace(notice, within=item.kit) for notice in self._kit.notices)
        for note in rendering.unplayed_notes:
            yield Notice(Code.NOTE_UNPLAYED, values={"note": note}, within=item.kit)

    def _write(
        self,
        plan: PlannedItem,
        rendering: Rendering,
        mixes: ReferenceMixes,
        details: dict[str, Any],
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
        write_item_record(self._folder, item, checksums=checksums, details=details)
        return item, n_clipped

    def _draft(self, plan: PlannedItem, rendering: Rendering, mixes: ReferenceMixes) -> CorpusItem:
        return CorpusItem(
            item=plan.name,
            part=plan.material.part,
            kit=kit_label(plan.kit),
            performance=plan.material.performance,
            style=plan.material.style,
            seed=plan.seed,
            engineer=self._settings.engineer,
            licence=licence_of(self._kit, plan),
            rate_hz=rendering.rate_hz,
            n_samples=rendering.n_samples,
            extension=self._settings.extension,
            stem_peak_dbfs=round(peak_dbfs(mixes.stems), 2),
            dry_peak_dbfs=round(peak_dbfs(mixes.dry), 2),
            wet_peak_dbfs=round(peak_dbfs(mixes.wet), 2),
            sha256="",
            kind=plan.material.kind,
        )


def _hit_details(rendering: Rendering, kit: Kit) -> dict[str, Any]:
    """Every hit of an item as plain data, and how many recordings there were to choose from."""
    instruments = sorted({hit.instrument for hit in rendering.hits})
    hits = [
        {
            **asdict(hit),
            "piece": str(hit.piece),
            "time_s": round(hit.time_s, 6),
            "stop_s": None if hit.stop_s is None else round(hit.stop_s, 6),
        }
        for hit in rendering.hits
    ]
    return {
        "recordings": {name: len(kit.instruments[name].hits) for name in instruments},
        "hits": hits,
    }


def _claim_folder(settings: CorpusSettings, folder: Path) -> None:
    """Note the settings in ``corpus.json``, or check that they are the ones noted there."""
    plain = asdict(settings)
    # What an older version did not know of is written only where it is not left alone.
    for name, usual in _LATER_SETTINGS.items():
        if plain[name] == usual:
            del plain[name]
    # Where the sources lie may differ from machine to machine; what they are may not.
    plain["kits"] = sorted(kit_label(kit) for kit in settings.kits)
    del plain["groove"]
    if settings.hold_out_kit is not None:
        plain["hold_out_kit"] = kit_label(settings.hold_out_kit)
    wanted = {"format": 1, "settings": plain, "taste": taste_of(settings).to_mapping()}
    wanted = json.loads(json.dumps(wanted))
    path = folder / "corpus.json"
    if path.is_file():
        _refuse_other_settings(path, wanted)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(f"{folder} is not empty and is no drummix corpus; choose another folder")
    make_folder(folder)
    write_text(path, json.dumps(wanted, indent=1) + "\n")


def _refuse_other_settings(path: Path, wanted: dict[str, Any]) -> None:
    hint = "render into another folder"
    found = parse_json(path, error=CorpusError, hint=hint)
    if found == wanted:
        return
    theirs = convert(found, CorpusFile, error=CorpusError, name=str(path), hint=hint).settings
    ours = wanted["settings"]
    names = (*ours, *(name for name in theirs if name not in ours))
    differing = [name for name in names if theirs.get(name) != ours.get(name)]
    if not differing:
        raise CorpusError(
            f"{path.parent} was made by a version of drummix whose engineer mixes otherwise; "
            "choose another folder"
        )
    name = differing[0]
    raise CorpusError(
        f"{path.parent} holds a corpus made with other settings ({name}: "
        f"{str(theirs.get(name, 'none'))[:200]}, not {ours.get(name, 'none')}); "
        "choose another folder"
    )
