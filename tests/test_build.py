"""A whole corpus: the same bytes every time, resumed after any stop, parts kept apart."""

import json
import multiprocessing
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

import made
from drummix import audio
from drummix.audio import Audio
from drummix.corpus import build, recording
from drummix.corpus.build import render_corpus
from drummix.corpus.checking import check_corpus
from drummix.corpus.groove import PerformedHit
from drummix.corpus.kinds import excerpt
from drummix.corpus.manifest import CorpusItem, file_sha256, read_manifest
from drummix.corpus.plan import CORPUS_RATE_HZ, CorpusSettings, kit_label, plan_corpus
from drummix.errors import CorpusError, OutputError, SettingError, WorkerError
from drummix.levels import peak_dbfs
from drummix.notices import Code, Notice
from drummix.pool import WorkerDied, each_result
from made import write_groove, write_kit


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_kit(folder / "kit a")
    write_kit(folder / "kit-b", rate_hz=48_000)
    write_groove(folder / "groove", {"train": 4, "validation": 1, "test": 2})
    return folder


def settings_for(sources: Path, *kits: str, **changes: Any) -> CorpusSettings:
    plain: dict[str, Any] = {
        "kits": tuple(str(sources / kit) for kit in kits or ("kit a",)),
        "groove": str(sources / "groove"),
        "hours": {"train": None, "test": None},
        "min_item_s": 1.0,
        "extension": "wav",
    }
    return CorpusSettings(**{**plain, **changes})


@pytest.fixture(scope="module")
def settings(sources: Path) -> CorpusSettings:
    return settings_for(sources)


@pytest.fixture(scope="module")
def whole(settings: CorpusSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus rendered in one go."""
    folder = tmp_path_factory.mktemp("whole") / "corpus"
    render_corpus(settings, folder)
    return folder


def checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_rendering_twice_gives_the_same_bytes_whatever_the_number_of_workers(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    render_corpus(settings, tmp_path / "two", workers=2)
    assert checksums(tmp_path / "two") == checksums(whole)
    # Six items of eight microphones, two mixes and a record; corpus.json and manifest.csv.
    assert len(checksums(whole)) == 6 * 11 + 2
    assert check_corpus(whole) == []


def test_order_of_kits_does_not_matter(sources: Path, tmp_path: Path) -> None:
    hours = {"test": None}
    one = render_corpus(settings_for(sources, "kit a", "kit-b", hours=hours), tmp_path / "one")
    other = render_corpus(settings_for(sources, "kit-b", "kit a", hours=hours), tmp_path / "other")
    assert one == other
    assert {item.kit for item in one} == {"kit-a", "kit-b"}


@pytest.mark.parametrize("change", [{"seed": 1}, {"engineer": 2}], ids=str)
def test_each_seed_changes_the_sound(
    change: dict[str, int], settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    # One item will do; a test item has but one recording of each instrument to choose from.
    few = replace(settings, hours={"train": 1e-4}, **change)
    [item] = render_corpus(few, tmp_path / "c")
    [same] = [other for other in read_manifest(whole) if other.item == item.item]
    assert item.sha256 != same.sha256


def test_manifest_tells_what_the_files_hold(whole: Path) -> None:
    for item in read_manifest(whole):
        stems = [audio.read(path) for path in item.paths(whole)[:8]]
        dry, wet = (audio.read(path) for path in item.paths(whole)[8:])
        assert {stem.n_samples for stem in (*stems, dry, wet)} == {item.n_samples}
        assert [stem.n_channels for stem in (*stems, dry, wet)] == [1] * 8 + [2, 2]
        assert item.rate_hz == CORPUS_RATE_HZ == dry.rate_hz
        assert item.dry_peak_dbfs == pytest.approx(peak_dbfs(dry.samples), abs=0.01)
        assert item.wet_peak_dbfs == pytest.approx(peak_dbfs(wet.samples), abs=0.01)
        assert item.stem_peak_dbfs == pytest.approx(
            max(peak_dbfs(stem.samples) for stem in stems), abs=0.01
        )
        assert item.licence == "kit: CC0; performance: CC BY 4.0 (Groove MIDI Dataset)"
        assert item.item == f"kit-a_{item.performance.replace('/', '-')}_{item.style.split('/')[0]}"
        assert item.kind == "performance"
        record = json.loads((whole / "items" / f"{item.item}.json").read_text())
        assert len(record["hits"]) == 16
        assert record["unplayed_notes"] == []
        assert record["engineer"]["seed"] == item.engineer == 1
        assert record["engineer"]["faders_db"]["kick"] < 0.0
        assert (record["disturbance"], record["tuning_semitones"]) == (None, 0.0)
        # Of four recordings each.
        assert record["recordings"] == dict.fromkeys(
            {hit["instrument"] for hit in record["hits"]}, 4
        )


def test_flac_holds_what_wav_holds(settings: CorpusSettings, whole: Path, tmp_path: Path) -> None:
    flac = replace(settings, extension="flac", hours={"test": None})
    for item in render_corpus(flac, tmp_path / "c"):
        for path in item.paths(tmp_path / "c"):
            twin = whole / path.relative_to(tmp_path / "c").with_suffix(".wav")
            np.testing.assert_array_equal(audio.read(path).samples, audio.read(twin).samples)


def samples_heard(corpus: Path, *parts: str) -> set[tuple[str, int]]:
    heard = set()
    for item in read_manifest(corpus):
        if item.part in parts:
            record = json.loads((corpus / "items" / f"{item.item}.json").read_text())
            heard |= {(hit["instrument"], hit["sample"]) for hit in record["hits"]}
    return heard


def test_test_items_share_neither_performance_nor_recording_with_training(
    settings: CorpusSettings, tmp_path: Path
) -> None:
    parts = replace(settings, hours={"train": None, "validation": None, "test": None})
    items = render_corpus(parts, tmp_path / "c")
    by_part = {
        part: {item.performance for item in items if item.part == part} for part in parts.hours
    }
    assert [len(performances) for performances in by_part.values()] == [4, 1, 2]
    assert not set.intersection(*by_part.values())
    trained_on = samples_heard(tmp_path / "c", "train", "validation")
    tested_on = samples_heard(tmp_path / "c", "test")
    assert not trained_on & tested_on
    assert {sample for _, sample in tested_on} == {2}
    assert {sample for _, sample in trained_on} == {0, 1, 3}


def test_held_out_kit_plays_the_test_part_alone(sources: Path, tmp_path: Path) -> None:
    both = settings_for(sources, "kit a", "kit-b", hours={"train": 2e-3, "test": None})
    held_out = replace(both, hold_out_kit=str(sources / "kit-b"))
    items = render_corpus(held_out, tmp_path / "c")
    assert {(item.part, item.kit) for item in items} == {("train", "kit-a"), ("test", "kit-b")}
    assert check_corpus(tmp_path / "c") == []
    # The same performance on the same kit is the same item, held out or not.
    usual = {plan.name: plan for plan in plan_corpus(both)}
    shared = [plan for plan in plan_corpus(held_out) if plan.name in usual]
    assert shared
    assert all(usual[plan.name] == plan for plan in shared)


def test_disturbances_change_the_stems_and_never_the_mixes(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    kinds = ("gain", "polarity", "noise")
    disturbed = replace(settings, disturb=kinds, hours={"test": None})
    for item in render_corpus(disturbed, tmp_path / "c"):
        record = json.loads((tmp_path / "c" / "items" / f"{item.item}.json").read_text())
        gains_db = record["disturbance"]["gains_db"]
        assert len(set(gains_db)) == 8
        assert record["disturbance"]["delays_ms"] == [0.0] * 8
        for slot, path in enumerate(item.paths(tmp_path / "c")):
            twin = whole / path.relative_to(tmp_path / "c")
            same = np.array_equal(audio.read(path).samples, audio.read(twin).samples)
            assert same == (slot >= 8)
    # On top of gain, delays leave the gains as they were.
    more = replace(disturbed, disturb=("gain", "delay"))
    [one, *_] = render_corpus(more, tmp_path / "d")
    record = json.loads((tmp_path / "d" / "items" / f"{one.item}.json").read_text())
    before = json.loads((tmp_path / "c" / "items" / f"{one.item}.json").read_text())
    assert record["disturbance"]["gains_db"] == before["disturbance"]["gains_db"]


def test_stems_beyond_full_scale_are_told_of_in_one_line(
    settings: CorpusSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_clipped = iter([0] * 10 + [7] + [0] * 9)

    def write_some_clipped(target: Path, samples: Audio) -> int:
        return audio.write(target, samples) + next(n_clipped)

    monkeypatch.setattr(build, "write_sound", write_some_clipped)
    said: list[Notice] = []
    items = render_corpus(
        replace(settings, hours={"test": None}), tmp_path / "c", on_notice=said.append
    )
    assert len(items) == 2
    [notice] = said
    assert notice.code is Code.ITEMS_LIMITED
    assert notice.values == {"n_items": 1, "most_samples": 7}
    assert notice.about in {item.item for item in items}


def test_tuning_is_heard_in_stems_and_mixes_and_noted(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    tuned = replace(settings, disturb=("tuning",))
    semitones = set()
    for item in render_corpus(tuned, tmp_path / "c"):
        record = json.loads((tmp_path / "c" / "items" / f"{item.item}.json").read_text())
        semitones.add(record["tuning_semitones"])
        assert record["disturbance"] is None
        same = [
            file_sha256(path) == file_sha256(whole / path.relative_to(tmp_path / "c"))
            for path in item.paths(tmp_path / "c")
        ]
        # Microphones that hear nothing stay silent.
        assert (record["tuning_semitones"] == 0.0) == all(same)
    assert len(semitones) > 2
    assert all(-3.0 <= s <= 3.0 and s % 0.5 == 0.0 for s in semitones)


def test_perspective_of_the_drummer_mirrors_the_mixes(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    mirrored = replace(settings, perspective="drummer", hours={"test": None})
    for item in render_corpus(mirrored, tmp_path / "c"):
        for path in item.paths(tmp_path / "c"):
            found = audio.read(path).samples
            twin = audio.read(whole / path.relative_to(tmp_path / "c")).samples
            # Stems are one channel; a step of 24 bits is 1.2e-7, and buses sum in another order.
            np.testing.assert_allclose(found, twin[::-1], atol=1e-6)


def test_stopped_rendering_goes_on_where_it_stopped(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "c"

    def stop_after_two(n_done: int, n_all: int, name: str) -> None:
        if n_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_corpus(settings, folder, progress=stop_after_two)
    with pytest.raises(CorpusError, match="not rendered to its end"):
        check_corpus(folder)
    steps: list[tuple[int, int]] = []
    render_corpus(settings, folder, progress=lambda done, n_all, name: steps.append((done, n_all)))
    assert steps == [(n, 6) for n in range(2, 7)]
    assert checksums(folder) == checksums(whole)


@pytest.mark.parametrize(
    "damage",
    [
        lambda c, item: (c / "items" / f"{item.item}.json").unlink(),
        lambda c, item: item.paths(c)[3].unlink(),
        lambda c, item: (c / "items" / f"{item.item}.json").write_text('{"item": {"item"'),
        lambda c, item: made.leave_behind(item.paths(c)[9]),
    ],
    ids=["record", "file", "half a record", "leftover"],
)
def test_what_is_missing_is_rendered_again_and_nothing_else(
    damage: Callable[[Path, CorpusItem], object], settings: CorpusSettings, tmp_path: Path
) -> None:
    few, folder = replace(settings, hours={"test": None}), tmp_path / "c"
    kept, damaged = render_corpus(few, folder)
    before = checksums(folder)
    untouched = {path: path.stat().st_mtime_ns for path in kept.paths(folder)}
    damage(folder, damaged)
    render_corpus(few, folder)
    assert checksums(folder) == before
    assert {path: path.stat().st_mtime_ns for path in kept.paths(folder)} == untouched


def test_full_disk_leaves_a_corpus_that_can_be_finished(
    settings: CorpusSettings, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = count()

    def write_until_full(target: Path, samples: Audio) -> int:
        if next(written) >= 25:
            raise OutputError(f"{target} cannot be written: No space left on device; free space")
        return audio.write(target, samples)

    monkeypatch.setattr(build, "write_sound", write_until_full)
    with pytest.raises(OutputError, match="No space left"):
        render_corpus(settings, tmp_path / "c")
    assert not (tmp_path / "c" / "manifest.csv").exists()
    assert len(list((tmp_path / "c" / "items").iterdir())) >= 2
    monkeypatch.undo()
    render_corpus(settings, tmp_path / "c")
    assert checksums(tmp_path / "c") == checksums(whole)


def test_file_that_another_process_cannot_write_is_one_line_and_the_rest_is_kept(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "c"
    render_corpus(settings, folder)
    last = max(read_manifest(folder), key=lambda item: item.item)
    (folder / "items" / f"{last.item}.json").unlink()
    blocked = last.paths(folder)[9]
    blocked.unlink()
    blocked.mkdir()
    (blocked / "in the way").touch()
    first = min(read_manifest(folder), key=lambda item: item.item)
    (folder / "items" / f"{first.item}.json").unlink()
    with pytest.raises(OutputError, match=re.escape(str(blocked))):
        render_corpus(settings, folder, workers=2)
    assert not list(folder.rglob("*.partial*"))
    (blocked / "in the way").unlink()
    blocked.rmdir()
    render_corpus(settings, folder, workers=2)
    assert checksums(folder) == checksums(whole)


def test_process_ended_from_outside_is_told_and_its_item_rendered_again(
    settings: CorpusSettings, whole: Path, tmp_path: Path
) -> None:
    notices: list[Notice] = []

    def end_all_once(n_done: int, n_all: int, name: str) -> None:
        if n_done == 2:
            for child in multiprocessing.active_children():
                child.kill()

    render_corpus(
        settings, tmp_path / "c", workers=2, progress=end_all_once, on_notice=notices.append
    )
    told = [notice for notice in notices if notice.code is Code.TRIED_AGAIN]
    assert {notice.about for notice in told} <= {item.item for item in read_manifest(whole)}
    assert told
    assert checksums(tmp_path / "c") == checksums(whole)


def test_item_that_ends_its_process_again_and_again_is_named_and_the_rest_rendered(
    settings: CorpusSettings, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = read_manifest(whole)[1].item

    @contextmanager
    def died(*arguments: Any, **options: Any) -> Iterator[Any]:
        with each_result(*arguments, **options) as results:
            yield (
                (plan, WorkerDied("it was ended from outside again") if plan.name == item else done)
                for plan, done in results
            )

    monkeypatch.setattr(build, "each_result", died)
    with pytest.raises(CorpusError, match=f"1 item is not rendered, {item}: it was ended .*again"):
        render_corpus(settings, tmp_path / "c")
    assert len(list((tmp_path / "c" / "items").iterdir())) == 6


def test_folder_that_a_worker_does_not_see_is_one_line(
    settings: CorpusSettings, tmp_path: Path
) -> None:
    with pytest.raises(WorkerError, match=r"gone is not there on .* at the same path"):
        build._Renderer(settings, tmp_path / "gone")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seed": 5}, r"seed: 0, not 5"),
        ({"engineer": 2}, "engineer: 1, not 2"),
        ({"max_item_s": 30.0}, "max_item_s: 40.0, not 30.0"),
        ({"extension": "flac"}, "extension: wav, not flac"),
        ({"hours": {"train": None}}, "hours: "),
        ({"kinds": ("phrase",)}, r"kinds: none, not \['phrase'\]"),
        ({"perspective": "drummer"}, "perspective: none, not drummer"),
        ({"disturb": ("gain",)}, r"disturb: none, not \['gain'\]"),
    ],
    ids=str,
)
def test_corpus_made_with_other_settings_is_not_touched(
    changes: dict[str, Any], name: str, settings: CorpusSettings, whole: Path
) -> None:
    before = checksums(whole)
    with pytest.raises(CorpusError, match=f"made with other settings \\({name}"):
        render_corpus(replace(settings, **changes), whole)
    assert checksums(whole) == before


def test_corpus_of_other_kits_is_not_touched(sources: Path, whole: Path) -> None:
    with pytest.raises(CorpusError, match=r"kits: \['kit-a'\], not \['kit-a', 'kit-b'\]"):
        render_corpus(settings_for(sources, "kit a", "kit-b"), whole)


def test_sources_may_have_moved(sources: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(sources)
    moved = settings_for(tmp_path / "elsewhere")
    assert render_corpus(moved, whole) == tuple(
        sorted(read_manifest(whole), key=lambda item: (item.part, item.item))
    )


def test_folder_of_something_else_is_not_touched(settings: CorpusSettings, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("draft")
    with pytest.raises(CorpusError, match="not empty and is no drummix corpus"):
        render_corpus(settings, tmp_path)
    with pytest.raises(CorpusError, match="not empty and is no drummix corpus"):
        render_corpus(settings, tmp_path / "thesis.txt")
    (tmp_path / "thesis.txt").rename(tmp_path / "corpus.json")
    with pytest.raises(CorpusError, match=r"corpus\.json is not JSON .*; render into another"):
        render_corpus(settings, tmp_path)
    assert (tmp_path / "corpus.json").read_text() == "draft"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"groove": "gone"}, r"gone has no info\.csv"),
        ({"kits": ("gone",)}, "gone does not exist; give the folder of a DrumGizmo kit"),
        ({"hours": {"validation": None}, "min_item_s": 3.0}, "no validation performance of 3.0 s"),
    ],
    ids=["groove", "kit", "too short"],
)
def test_missing_data_is_one_line_and_makes_no_folder(
    changes: dict[str, Any], problem: str, settings: CorpusSettings, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=problem) as error:
        render_corpus(replace(settings, **changes), tmp_path / "c")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_kit_is_one_line_whatever_the_number_of_workers(
    workers: int, settings: CorpusSettings, tmp_path: Path
) -> None:
    kit = write_kit(tmp_path / "kit")
    (kit / "Snare" / "3.wav").write_text("not a sound")
    with pytest.raises(CorpusError, match=r"kit file missing or damaged: .*3\.wav"):
        render_corpus(replace(settings, kits=(str(kit),)), tmp_path / "c", workers=workers)


def test_performance_that_is_no_midi_file_is_one_line_and_the_rest_is_kept(
    settings: CorpusSettings, tmp_path: Path
) -> None:
    groove = write_groove(tmp_path / "groove", {"train": 2, "test": 2})
    whole_file = (groove / "test1.mid").read_bytes()
    (groove / "test1.mid").write_text("not a MIDI file")
    mended = replace(settings, groove=str(groove))
    with pytest.raises(CorpusError, match=r"test1\.mid cannot be read as a MIDI file"):
        render_corpus(mended, tmp_path / "c")
    n_kept = len(list((tmp_path / "c" / "items").iterdir()))
    (groove / "test1.mid").write_bytes(whole_file)
    steps: list[int] = []
    render_corpus(mended, tmp_path / "c", progress=lambda done, *_: steps.append(done))
    assert steps[0] == n_kept >= 2
    assert steps[-1] == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_unknown_notes_are_said_once_and_noted_in_the_item(
    workers: int, settings: CorpusSettings, tmp_path: Path
) -> None:
    groove = write_groove(tmp_path / "groove", {"test": 3}, notes=(54, 56))
    said: list[Notice] = []
    one_part = replace(settings, groove=str(groove), hours={"test": None})
    items = render_corpus(one_part, tmp_path / "c", workers=workers, on_notice=said.append)
    assert said == [
        Notice(Code.NOTE_UNPLAYED, values={"note": note}, within="kit-a") for note in (54, 56)
    ]
    record = json.loads((tmp_path / "c" / "items" / f"{items[0].item}.json").read_text())
    assert record["unplayed_notes"] == [54, 56]


def test_performance_that_the_kit_cannot_play_names_it(
    settings: CorpusSettings, tmp_path: Path
) -> None:
    groove = write_groove(tmp_path / "groove", {"test": 1})
    track = mido.MidiTrack([mido.Message("note_on", note=54, velocity=9, time=10)])
    mido.MidiFile(tracks=[track]).save(groove / "test0.mid")
    one_part = replace(settings, groove=str(groove), hours={"test": None})
    with pytest.raises(CorpusError, match=r"performance drummer1/test/0: kit .* \[54\]"):
        render_corpus(one_part, tmp_path / "c")


def test_hours_are_reached_and_hardly_passed(settings: CorpusSettings) -> None:
    for n_items, hours in ((1, 0.0001), (1, 1.5 / 3600), (2, 1.6 / 3600), (4, 99.0)):
        planned = plan_corpus(replace(settings, hours={"train": hours}))
        assert len(planned) == n_items


def test_kits_take_turns_and_each_performance_is_played_once(sources: Path) -> None:
    planned = plan_corpus(settings_for(sources, "kit a", "kit-b"))
    train = [plan for plan in planned if plan.material.part == "train"]
    assert [kit_label(plan.kit) for plan in train] == ["kit-a", "kit-b", "kit-a", "kit-b"]
    assert len({plan.material.performance for plan in planned}) == len(planned) == 6
    assert len({plan.seed for plan in planned}) == 6


def test_built_in_kits_of_other_seeds_are_other_kits(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("synthkit", "synthkit-7")
    planned = plan_corpus(settings_for(sources, hours={"test": None}, kits=names))
    assert {kit_label(plan.kit) for plan in planned} == set(names)
    made: list[int] = []
    monkeypatch.setattr(recording, "synth_kit", lambda seed, **options: made.append(seed))
    for name in names:
        recording.load_kit(name)
    assert made == [0, 7]


def test_a_part_is_planned_the_same_whatever_the_other_parts(settings: CorpusSettings) -> None:
    both = plan_corpus(settings)
    alone = plan_corpus(replace(settings, hours={"test": None}))
    assert [plan for plan in both if plan.material.part == "test"] == list(alone)


def test_excerpt_has_the_length_asked_for_and_starts_at_zero() -> None:
    hits = [PerformedHit(3.0 + 0.1 * n, 42, 64, 0.5) for n in range(100)]
    starts = set()
    for seed in range(5):
        cut = excerpt(hits, 2.0, rng=np.random.default_rng(seed))
        assert 0.0 <= cut[0].time_s < 0.1
        assert cut[-1].time_s < 2.0
        assert len(cut) in (20, 21)
        assert cut[0].openness == 0.5
        starts.add(cut[0].time_s)
    assert len(starts) == 5


def test_short_performance_is_kept_whole_and_starts_at_zero() -> None:
    hits = [PerformedHit(time_s, 42, 64) for time_s in (3.0, 3.5, 4.0)]
    cut = excerpt(hits, 40.0, rng=np.random.default_rng(0))
    assert [hit.time_s for hit in cut] == [0.0, 0.5, 1.0]
    assert excerpt((), 40.0, rng=np.random.default_rng(0)) == ()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kits": ()}, "kits is empty"),
        ({"kits": ("x/kit", "y/kit")}, "holds two kits called kit"),
        ({"hours": {}}, "hours names no part"),
        ({"hours": {"dev": 1.0}}, "unknown part 'dev'; known: train, validation, test"),
        ({"hours": {"train": 0.0}}, "0.0 hours of part train; give more than 0"),
        ({"hours": {"train": float("nan")}}, "nan hours"),
        ({"hours": {"train": float("inf")}}, "inf hours"),
        ({"min_item_s": 0.0}, "items of 0 to 40 s"),
        ({"min_item_s": 50.0}, "items of 50 to 40 s"),
        ({"extension": "mp3"}, "extension is 'mp3'; give flac or wav"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
        ({"engineer": -1}, "engineer is -1; give 0 or more"),
        (
            {"kinds": ("hits", "loops")},
            "kinds names 'loops'; known: hits, phrase, solo, minus-one",
        ),
        ({"kinds": ("hits", "hits")}, "kinds names hits twice"),
        ({"disturb": ("wow",)}, "disturb names 'wow'; known: gain"),
        ({"perspective": "stage"}, "perspective names 'stage'; known: audience, drummer"),
        ({"hold_out_kit": "kits/other"}, "hold_out_kit is other, none of kit-a; name its folder"),
        ({"hold_out_kit": "kit a"}, "hold_out_kit is kit a, so that no kit is left for part train"),
    ],
    ids=str,
)
def test_setting_out_of_range_is_refused(
    changes: dict[str, Any], problem: str, settings: CorpusSettings
) -> None:
    with pytest.raises(SettingError, match=problem):
        replace(settings, **changes)


def test_no_workers_are_refused(settings: CorpusSettings, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="workers is 0"):
        render_corpus(settings, tmp_path / "c", workers=0)
