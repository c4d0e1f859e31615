"""ENST-Drums on a small tree of its shape, and splits that leave a kit out."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.audio import Audio, make_folder, write
from drummix.cli import app
from drummix.corpus.engineer import ReferenceMixes, mix_reference
from drummix.corpus.enst import EnstTrack, open_enst, published_split
from drummix.corpus.enst_check import check_enst
from drummix.corpus.items import read_mix, read_stems
from drummix.corpus.manifest import TARGETS, CorpusItem, write_manifest
from drummix.corpus.opening import open_corpus
from drummix.corpus.patterns import pattern_hits
from drummix.corpus.render import render_performance
from drummix.corpus.splits import leave_kit_out, read_split, write_split
from drummix.corpus.studio import Studio
from drummix.corpus.synthkit import synth_kit
from drummix.corpus.taste import Taste
from drummix.errors import CorpusError, OutputError, SettingError
from drummix.levels import peak_dbfs
from drummix.notices import Code, Notice
from drummix.roles import PAPER_ROLES, Role

RATE_HZ = 22_050
"""Half of ENST's, for speed: nothing in the reader depends on it."""

N_SAMPLES = 8_000


@pytest.fixture(scope="module")
def mixes() -> ReferenceMixes:
    """A bar on the built-in kit as the reference engineer mixes it."""
    rng = np.random.default_rng(0)
    kit = synth_kit(0, rate_hz=RATE_HZ, hits_per_instrument=1)
    rendering = render_performance(kit, pattern_hits("rock", bars=1, rng=rng), rng=rng)
    return mix_reference(rendering, Studio.for_kit(kit), Taste.draw(rng))


def some_tracks() -> list[EnstTrack]:
    """Four tracks of each drummer: two of training, one of validation, one of test."""
    chosen = []
    for drummer in ("drummer_1", "drummer_2", "drummer_3"):
        for part, n_tracks in (("train", 2), ("validation", 1), ("test", 1)):
            of_part = [t for t in published_split() if (t.drummer, t.part) == (drummer, part)]
            chosen += of_part[-n_tracks:]
    return chosen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, mixes: ReferenceMixes) -> Path:
    """Twelve tracks in the published layout, each another stretch of the bar."""
    folder = tmp_path_factory.mktemp("enst")
    for number, track in enumerate(some_tracks()):
        stretch = slice(2_000 + 1_000 * number, 2_000 + 1_000 * number + N_SAMPLES)
        for slot, role in enumerate(PAPER_ROLES):
            if role is Role.TOM_MID_LOW and not track.has_tom_3:
                continue
            put(track.stem_path(folder, role), mixes.stems[slot : slot + 1, stretch])
        put(track.mix_path(folder, "dry"), mixes.dry[:, stretch])
        put(track.mix_path(folder, "wet"), mixes.wet[:, stretch])
    return folder


def put(path: Path, samples: Any, *, rate_hz: int = RATE_HZ) -> None:
    make_folder(path.parent)
    write(path, Audio(samples, rate_hz))


@pytest.fixture
def enst(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "enst"))


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["corpus", *(str(argument) for argument in arguments)])


def test_published_split_has_318_tracks_in_the_papers_parts() -> None:
    tracks = published_split()
    assert Counter(t.part for t in tracks) == {"train": 284, "validation": 20, "test": 14}
    assert Counter(t.drummer for t in tracks) == {
        "drummer_1": 97,
        "drummer_2": 105,
        "drummer_3": 116,
    }
    assert {t.drummer for t in tracks if t.has_tom_3} == {"drummer_3"}
    assert sum(t.part == "test" and t.kind == "phrase" for t in tracks) == 6
    assert len({t.name for t in tracks}) == 318


@pytest.mark.parametrize(
    ("name", "kind", "style"),
    [
        ("040_phrase_disco_complex_medium_sticks", "phrase", "disco"),
        ("067_phrase_shuffle-blues_simple_medium_brushes", "phrase", "shuffle-blues"),
        ("139_MIDI-minus-one_soul-120-marvin-gaye_sticks", "minus-one", "soul"),
        ("148_MIDI-minus-one_funk-101_sticks", "minus-one", "funk"),
        ("101_solo_jazz-rock_rods", "solo", "jazz-rock"),
        ("004_hits_low-tom_sticks_x5", "hits", "hits"),
    ],
)
def test_style_comes_from_the_name(name: str, kind: str, style: str) -> None:
    assert EnstTrack("train", "drummer_1", name, kind, False).style == style


def test_whole_tracks_become_items_with_the_published_parts(whole: Path) -> None:
    corpus = open_enst(whole)
    assert [item.item for item in corpus.items] == sorted(
        (track.name for track in some_tracks()),
        key=[track.name for track in published_split()].index,
    )
    assert len(corpus.part("train")) == 6
    assert {item.kit for item in corpus.part("test")} == {"drummer_1", "drummer_2", "drummer_3"}
    assert {(item.rate_hz, item.n_samples) for item in corpus.items} == {(RATE_HZ, N_SAMPLES)}
    assert len(corpus.left_out) == 318 - 12


def test_every_microphone_comes_in_the_slot_of_its_role(whole: Path, mixes: ReferenceMixes) -> None:
    corpus = open_enst(whole)
    for number, track in enumerate(some_tracks()):
        [item] = [item for item in corpus.items if item.item == track.name]
        stretch = slice(2_000 + 1_000 * number, 2_000 + 1_000 * number + N_SAMPLES)
        expected = mixes.stems[:, stretch].copy()
        if not track.has_tom_3:
            # The kit had no third tom: silence, as for the paper's authors.
            expected[PAPER_ROLES.index(Role.TOM_MID_LOW)] = 0.0
        stems = read_stems(corpus.folder, item)
        # 24 bits: half a step of rounding.
        np.testing.assert_allclose(stems, expected, atol=2.0**-24)
        assert (item.stem_path(whole, Role.TOM_MID_LOW) is None) is not track.has_tom_3


@pytest.mark.parametrize("target", TARGETS)
def test_targets_are_raw_or_at_full_scale_by_switch(target: Any, whole: Path) -> None:
    corpus = open_enst(whole)
    for item in corpus.part("test"):
        raw = read_mix(corpus.folder, item, target)
        normalised = read_mix(corpus.folder, item, target, peak_normalised=True)
        assert np.abs(normalised).max() == pytest.approx(1.0, abs=1e-6)
        np.testing.assert_allclose(normalised, raw / np.abs(raw).max(), atol=1e-6)
        peaks = {"dry": item.dry_peak_dbfs, "wet": item.wet_peak_dbfs}
        assert peaks[target] == pytest.approx(peak_dbfs(raw))


def first(enst: Path) -> EnstTrack:
    return some_tracks()[0]


def rewrite(
    path: Path, shape: tuple[int, int], *, rate_hz: int = RATE_HZ, level: float = 0.1
) -> None:
    put(path, np.full(shape, level, np.float32), rate_hz=rate_hz)


def kick(enst: Path) -> Path:
    return first(enst).stem_path(enst, Role.KICK)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9_000])


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no wet mix": (lambda e: first(e).mix_path(e, "wet").unlink(), "is missing"),
    "no kick": (lambda e: kick(e).unlink(), "is missing"),
    "cut off": (lambda e: cut(kick(e)), "is cut off"),
    "no sound": (lambda e: kick(e).write_text("not a sound"), "is not a sound file"),
    "empty": (lambda e: kick(e).write_bytes(b""), "is empty"),
    "stereo": (lambda e: rewrite(kick(e), (2, N_SAMPLES)), "has 2 channels; expected 1"),
    "other rate": (
        lambda e: rewrite(kick(e), (1, N_SAMPLES), rate_hz=48_000),
        "is at 48000 Hz, the track at 22050 Hz",
    ),
    "too short": (lambda e: rewrite(kick(e), (1, 4_000)), "lasts 0.181 s, the track 0.363 s"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_broken_track_is_left_out_and_said(name: str, enst: Path) -> None:
    damage, problem = DAMAGE[name]
    damage(enst)
    corpus = open_enst(enst)
    assert len(corpus.items) == 11
    [left] = [left for left in corpus.left_out if left.item == first(enst).name]
    assert problem in left.problem
    [notice] = corpus.notices("train")
    assert (notice.code, notice.about) == (Code.SESSIONS_LEFT_OUT, str(enst))
    assert (notice.values["n_sessions"], notice.values["part"]) == (284 - 5, "train")
    report = check_enst(enst)
    [found] = [found for found in report.tracks if found.track == first(enst)]
    assert found.duration_s is None
    assert [line for line in found.problems if problem in line] == list(found.problems)


def test_silence_and_damage_behind_the_header_are_found_by_listening_only(enst: Path) -> None:
    rewrite(kick(enst), (1, N_SAMPLES), level=0.0)
    headers, heard = check_enst(enst, listen=False), check_enst(enst)
    assert [f.problems for f in headers.tracks if f.track == first(enst)] == [()]
    assert [f.problems for f in heard.tracks if f.track == first(enst)] == [
        (f"{kick(enst)} is silent throughout",)
    ]


def test_check_does_not_depend_on_the_workers(whole: Path) -> None:
    assert check_enst(whole, workers=2) == check_enst(whole)


def test_mixes_that_the_split_does_not_name_are_reported(enst: Path) -> None:
    stranger = enst / "drummer_2" / "wet_mix" / "999_phrase_polka_sticks.wav"
    rewrite(stranger, (2, N_SAMPLES))
    assert check_enst(enst, listen=False).strangers == (stranger,)
    assert "1 mixes on disk are not in the published split" in run("enst", enst).stderr


def test_slightly_longer_files_are_cut_to_the_shortest(enst: Path) -> None:
    rewrite(kick(enst), (1, N_SAMPLES + 500))
    corpus = open_enst(enst)
    assert len(corpus.items) == 12
    assert read_stems(enst, corpus.items[0]).shape == (8, N_SAMPLES)


def test_third_tom_that_is_there_after_all_is_heard(enst: Path) -> None:
    rewrite(first(enst).stem_path(enst, Role.TOM_MID_LOW), (1, N_SAMPLES))
    stems = read_stems(enst, open_enst(enst).items[0])
    assert stems[PAPER_ROLES.index(Role.TOM_MID_LOW)].max() == pytest.approx(0.1, abs=1e-6)


def test_missing_third_tom_of_the_third_drummer_is_a_problem(enst: Path) -> None:
    third = next(track for track in some_tracks() if track.has_tom_3)
    third.stem_path(enst, Role.TOM_MID_LOW).unlink()
    assert third.name in {left.item for left in open_enst(enst).left_out}


def test_folder_without_a_drummer_or_without_a_whole_track_is_one_line(tmp_path: Path) -> None:
    for command in ("enst", "calibrate"):
        result = run(command, tmp_path / "gone")
        assert (result.exit_code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1
    with pytest.raises(CorpusError, match="holds no drummer_1/audio"):
        open_enst(tmp_path)
    make_folder(tmp_path / "drummer_3" / "audio")
    with pytest.raises(CorpusError, match=r"has no whole track of ENST-Drums: .* is missing"):
        open_corpus(tmp_path)


def test_summary_counts_what_is_usable_and_says_what_is_not(whole: Path) -> None:
    result = run("enst", whole)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[1] == ["train", "6", "284", "2.2", "s"]
    assert rows[4][:3] == ["drummer_1", "4", "97"]
    assert rows[-1] == ["all", "12", "318", "4.4", "s"]
    assert result.stderr == "note: 306 tracks cannot be used; --check says why\n"


def test_check_prints_a_line_per_problem_and_exits_1(enst: Path) -> None:
    rewrite(kick(enst), (1, N_SAMPLES), level=0.0)
    result = run("enst", enst, "--check")
    assert result.exit_code == 1
    assert f"{kick(enst)} is silent throughout" in result.stdout.splitlines()
    # Nothing of 306 tracks is there: nine files each, ten of the third drummer's.
    assert result.stdout.count(" is missing") == 9 * (93 + 101) + 10 * 112
    plain = json.loads(run("enst", enst, "--json").stdout)
    assert len(plain["tracks"]) == 318
    assert plain["tracks"][0]["duration_s"] is None


def test_held_out_kit_is_all_of_the_test_part_and_nowhere_else(whole: Path) -> None:
    items = open_enst(whole).items
    for drummer in ("drummer_1", "drummer_2", "drummer_3"):
        split = leave_kit_out(items, drummer, validation_share=0.25)
        part_of = split.part_of()
        assert len(part_of) == len(items)
        assert {i.item for i in items if i.kit == drummer} == set(split.parts["test"])
        assert Counter(part_of.values()) == {"train": 6, "validation": 2, "test": 4}


def named_item(name: str, kit: str) -> CorpusItem:
    return CorpusItem(
        item=name,
        part="train",
        kit=kit,
        performance="p",
        style="rock",
        seed=0,
        engineer=0,
        licence="",
        rate_hz=44_100,
        n_samples=10,
        extension="wav",
        stem_peak_dbfs=0.0,
        dry_peak_dbfs=0.0,
        wet_peak_dbfs=0.0,
        sha256="",
    )


def test_validation_follows_the_seed_and_hardly_moves_with_new_items() -> None:
    items = [named_item(f"{kit}{n}", kit) for kit in "abc" for n in range(100)]
    split = leave_kit_out(items, "a", validation_share=0.2, seed=1)
    assert len(split.parts["validation"]) == 2 * 20
    assert split == leave_kit_out(items[::-1], "a", validation_share=0.2, seed=1)
    other = leave_kit_out(items, "a", validation_share=0.2, seed=2)
    assert set(other.parts["validation"]) != set(split.parts["validation"])
    assert len(leave_kit_out(items, "a", validation_share=0.4).parts["validation"]) == 2 * 40
    more = leave_kit_out([*items, named_item("b100", "b")], "a", validation_share=0.2, seed=1)
    assert len(set(more.parts["validation"]) ^ set(split.parts["validation"])) <= 2


@pytest.mark.parametrize(
    ("kits", "kit", "share", "problem"),
    [
        ("ab", "z", 0.1, "kit is 'z'; there are a, b"),
        ("a", "a", 0.1, "kit is a, the only kit"),
        ("ab", "a", 0.0, "validation_share is 0"),
        ("ab", "a", 1.0, "validation_share is 1"),
        ("ab", "a", float("nan"), "validation_share is nan"),
        ("ab", "a", 0.9, "leaves nothing to train on"),
    ],
)
def test_split_that_cannot_be_is_refused(kits: str, kit: str, share: float, problem: str) -> None:
    items = [named_item(f"{name}{n}", name) for name in kits for n in range(2)]
    with pytest.raises(SettingError, match=problem):
        leave_kit_out(items, kit, validation_share=share)


def test_split_file_opens_as_the_corpus_in_its_parts(enst: Path, tmp_path: Path) -> None:
    result = run("split", enst, "--hold-out", "drummer_2", "-o", tmp_path / "two.json")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'two.json'}\n"
    assert result.stderr.splitlines()[-1] == (
        "train 6, validation 2, test 4 items; drummer_2 is held out"
    )
    corpus = open_corpus(tmp_path / "two.json")
    assert {item.kit for item in corpus.part("test")} == {"drummer_2"}
    assert {item.kit for item in corpus.part("train")} == {"drummer_1", "drummer_3"}
    # What the split was made of moves with it: the corpus is noted relative to the file.
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(tmp_path / "two.json", moved / "two.json")
    shutil.move(enst, moved / "enst")
    item = open_corpus(moved / "two.json").part("test")[0]
    assert read_stems(moved, item).any()


def test_split_of_a_rendered_corpus_keeps_its_items(tmp_path: Path) -> None:
    items = [named_item(f"{kit}{n}", kit) for kit in "ab" for n in range(3)]
    write_manifest(tmp_path, items)
    opened = open_corpus(tmp_path)
    assert opened.items == tuple(items)
    split = leave_kit_out(opened.items, "b")
    path = write_split(tmp_path / "b.json", split, corpus=tmp_path)
    assert read_split(path) == (split, tmp_path / ".")
    assert {item.item for item in open_corpus(path).part("test")} == {"b0", "b1", "b2"}
    write_manifest(tmp_path, items[:-1])
    with pytest.raises(CorpusError, match=r"names 1 item\(s\) that .* has not, the first b2"):
        open_corpus(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "it is a list; expected a table"),
        (
            '{"format": "drummix split 2", "corpus": "c", "parts": {}}',
            "format is .drummix split 2.",
        ),
        (
            '{"format": "drummix split 1", "corpus": "c", "held_out_kit": "a", "seed": 0, '
            '"validation_share": 0.1, "parts": {"train": ["x"], "validation": ["x"], "test": []}}',
            "an item is in two parts",
        ),
    ],
    ids=["half", "a list", "another format", "an item in two parts"],
)
def test_damaged_split_is_one_line(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(CorpusError, match=problem):
        open_corpus(path)


def test_split_of_a_split_or_with_another_suffix_is_refused(tmp_path: Path) -> None:
    items = [named_item(f"{kit}{n}", kit) for kit in "ab" for n in range(3)]
    write_manifest(tmp_path, items)
    split = leave_kit_out(items, "b")
    path = write_split(tmp_path / "b.json", split, corpus=tmp_path)
    other = write_split(tmp_path / "c.json", split, corpus=path)
    with pytest.raises(CorpusError, match="which is a file; expected a corpus"):
        open_corpus(other)
    with pytest.raises(SettingError, match=r"ends in \.json"):
        write_split(tmp_path / "manifest.csv", split, corpus=tmp_path)
    with pytest.raises(OutputError):
        write_split(tmp_path / "gone" / "c.json", split, corpus=tmp_path)


def test_calibration_measures_enst_as_it_does_a_rendered_corpus(whole: Path) -> None:
    result = run("calibrate", whole, "--part", "test", "--json")
    assert result.exit_code == 0
    plain = json.loads(result.stdout)
    assert plain["kits"] == {"drummer_1": 1, "drummer_2": 1, "drummer_3": 1}
    assert all(item["crest_dry_db"] > 6.0 for item in plain["items"])
    assert all(item["snare_dry_10_50_ms_db"] is None for item in plain["items"])


def test_training_takes_enst_with_the_missing_tom_silent(whole: Path) -> None:
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from drummix.mixers.architecture import WaveUNetConfig
    from drummix.nn.clips import ClipSource
    from drummix.nn.config import ClipSettings

    notices: list[Notice] = []
    source = ClipSource.from_corpora(
        [str(whole)],
        "train",
        target="wet",
        config=WaveUNetConfig(levels=2, filters=2),
        settings=ClipSettings(bottleneck_frames=60, peak_normalised=True),
        rate_hz=RATE_HZ,
        on_notice=notices.append,
    )
    assert len(source.items) == 6
    assert (notices[0].values["n_sessions"], notices[0].values["part"]) == (278, "train")
    corpus = open_enst(whole)
    context = source.config.context_frames
    for index, item in enumerate(corpus.part("train")):
        stems, mix = source.clip(index, 3_000)
        start = 3_000 - context
        expected = read_stems(whole, item)[:, start : start + source.input_frames]
        assert torch.equal(stems, torch.from_numpy(expected))
        normalised = read_mix(whole, item, "wet", peak_normalised=True)
        np.testing.assert_allclose(
            mix, normalised[:, 3_000 : 3_000 + source.output_frames], atol=1e-6
        )


def test_evaluation_takes_a_split_of_enst(whole: Path, tmp_path: Path) -> None:
    from drummix.evaluation import evaluate

    split = leave_kit_out(open_enst(whole).items, "drummer_1")
    path = write_split(tmp_path / "one.json", split, corpus=whole)
    table = evaluate(path, systems=["static", "unity"])
    assert table.kits == {"drummer_1": 4}
    assert table.failures == ()
    found = {(row.item, row.system, row.target) for row in table.measurements}
    assert len(found) == 4 * 2 * 2
