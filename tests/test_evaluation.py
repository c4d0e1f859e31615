"""Evaluation of a corpus whose figures are known beforehand, and the best static gains."""

import csv
import io
import itertools
import json
import math
import multiprocessing
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

import made
from drummix import audio
from drummix.cli import evaluate as cli_evaluate
from drummix.corpus.manifest import CorpusItem, read_manifest, write_manifest
from drummix.errors import CorpusError, SessionError, SettingError, WeightsError
from drummix.evaluation import EvaluationTable, evaluate, systems
from drummix.evaluation.items import choose_items, open_item
from drummix.evaluation.measuring import METRICS, measure
from drummix.evaluation.metrics import at_gain, lufs_difference_db, mr_stft_distance, si_sdr_db
from drummix.evaluation.oracles import fit_oracle
from drummix.evaluation.systems import targets_of
from drummix.evaluation.table import Failure, Measurement, Spread
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.base import MixPlan
from drummix.mixers.weights import parameter_shapes, write_model
from drummix.notices import Code, Notice
from drummix.roles import PAPER_ROLES, Role
from drummix.session import Session

RATE_HZ = 44_100
N_SAMPLES = 24_000
Signal = NDArray[np.float32]

# The dry mix of every item: multiples of 1/64, so that float16 weights hold them exactly.
DRY_GAINS = np.array([[40, 32, 10, 20, -12, 8, 64, 0], [40, 36, 5, 12, -24, 12, 0, 64]]) / 64
WET_GAINS = DRY_GAINS[::-1]
WET_NOISE_DB = -20.0
"""The wet mix has its sides swapped, and noise at this level, which no gain on the stems makes."""


def burst_stems(seed: int) -> Signal:
    """Eight microphones: decaying noise at intervals of their own, with bleed, -6 dBFS at most."""
    rng = np.random.default_rng(seed)
    close = rng.standard_normal((8, N_SAMPLES))
    for row, period in zip(close, range(5000, 13_000, 1000), strict=True):
        row *= np.exp(-(np.arange(N_SAMPLES) % period) / 1500)
    stems = close + 0.1 * close.sum(axis=0)
    return (0.5 * stems / np.abs(stems).max()).astype(np.float32)


def write_item(corpus: Path, name: str, *, kit: str, part: str, seed: int) -> CorpusItem:
    stems = burst_stems(seed)
    dry = (DRY_GAINS @ stems).astype(np.float32)
    noise = np.random.default_rng(1000 + seed).standard_normal(dry.shape)
    noise *= np.sqrt(np.sum(dry**2.0) / np.sum(noise**2)) * 10 ** (WET_NOISE_DB / 20)
    wet = WET_GAINS @ stems + noise
    mixes = {"dry": dry, "wet": wet}
    return made.write_item(corpus, name, stems, mixes, kit=kit, part=part, seed=seed)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    kits = ("maple", "maple", "maple", "birch", "birch")
    items = [
        write_item(folder, f"{kit}_{n}", kit=kit, part="test", seed=n) for n, kit in enumerate(kits)
    ]
    items.append(write_item(folder, "maple_9", kit="maple", part="validation", seed=9))
    write_manifest(folder, items)
    return folder


@pytest.fixture
def own_corpus(corpus: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(corpus, tmp_path / "corpus"))


def static_model(folder: Path, target: str, gains: NDArray[np.float64]) -> Path:
    """A Wave-U-Net whose last layer lets the stems through with these gains, and nothing else."""
    config = WaveUNetConfig(levels=2, filters=2)
    tensors = {n: np.zeros(s, dtype=np.float32) for n, s in parameter_shapes(config).items()}
    tensors["output.weight"][:, :8, 0] = gains
    # Far from the corpus's level: only stems left as recorded come out with these gains.
    card = made.model_card(config, target, input_levels="recorded")
    return write_model(folder, f"known-{target}", tensors, card)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "dry": static_model(folder, "dry", DRY_GAINS),
        "wet": static_model(folder, "wet", 2 * WET_GAINS),
    }


@pytest.fixture(scope="module")
def table(corpus: Path, models: dict[str, Path]) -> EvaluationTable:
    """Every system on every test item."""
    return evaluate(corpus, weights=list(models.values()))


def values(table: EvaluationTable, system: str, target: str, metric: str) -> list[float]:
    wanted = (system, target, metric)
    return [r.value for r in table.measurements if (r.system, r.target, r.metric) == wanted]


# --- the best static gains and filters


def blocks(stems: Signal, target: Signal, n_samples: int) -> Iterator[tuple[Signal, Signal]]:
    for start in range(0, stems.shape[1], n_samples):
        yield stems[:, start : start + n_samples], target[:, start : start + n_samples]


@pytest.mark.parametrize("n_block", [1000, 7777, N_SAMPLES])
def test_known_gains_are_found_in_any_block_size(n_block: int) -> None:
    stems = burst_stems(1)
    fit = fit_oracle(blocks(stems, DRY_GAINS @ stems, n_block))
    np.testing.assert_allclose(fit.filters[:, :, 0], DRY_GAINS, atol=1e-6)
    assert si_sdr_db(fit.mix(stems), DRY_GAINS @ stems) > 100.0


def test_no_other_gains_come_closer() -> None:
    stems, rng = burst_stems(2), np.random.default_rng(0)
    target = (np.tanh(3 * DRY_GAINS @ stems)).astype(np.float32)
    fit = fit_oracle([(stems, target)])
    best_db = si_sdr_db(fit.mix(stems), target)
    for scale in (1e-3, 1e-2, 0.1):
        other = fit.filters[:, :, 0] + scale * rng.standard_normal(fit.filters[:, :, 0].shape)
        assert si_sdr_db(other @ stems, target) < best_db


def test_silent_stems_get_no_gain_and_change_nothing() -> None:
    stems = burst_stems(3)
    stems[4] = 0.0
    stems[6] = 1e-7 * np.random.default_rng(0).standard_normal(N_SAMPLES)
    fit = fit_oracle([(stems, DRY_GAINS @ stems)])
    assert np.all(fit.filters[:, :, 0][:, [4, 6]] == 0.0)
    heard = [0, 1, 2, 3, 5, 7]
    np.testing.assert_allclose(fit.filters[:, :, 0][:, heard], DRY_GAINS[:, heard], atol=1e-5)


def test_all_silent_stems_give_a_silent_mix() -> None:
    silent = np.zeros((8, 100), dtype=np.float32)
    fit = fit_oracle([(silent, np.ones((2, 100)))])
    assert not fit.filters.any()
    assert not fit.mix(silent).any()


def test_twin_stems_share_the_gain() -> None:
    stems = burst_stems(4)
    stems[3] = stems[2]
    fit = fit_oracle([(stems, DRY_GAINS @ stems)])
    together = DRY_GAINS[:, 2] + DRY_GAINS[:, 3]
    # The ridge of 1e-9 leaves the pair free to tilt by rounding, not the sum.
    np.testing.assert_allclose(
        fit.filters[:, :, 0][:, 2] + fit.filters[:, :, 0][:, 3], together, atol=1e-5
    )
    np.testing.assert_allclose(fit.filters[:, :, 0][:, 2], together / 2, atol=1e-3)


def test_quiet_stems_count_as_much_as_loud_ones() -> None:
    """80 dB between two stems: the ridge must not shrink the gain of the quiet one."""
    stems = burst_stems(5)
    stems[0] *= 1e-4
    fit = fit_oracle([(stems, (DRY_GAINS @ stems).astype(np.float64))])
    np.testing.assert_allclose(fit.filters[:, :, 0][:, 0], DRY_GAINS[:, 0], rtol=1e-3)


@pytest.mark.parametrize("n_taps", [1, 33, 512])
def test_known_filters_are_found_where_they_are_short_enough(n_taps: int) -> None:
    rng = np.random.default_rng(7)
    stems = rng.standard_normal((3, 12_000)).astype(np.float32)
    filters = rng.standard_normal((2, 3, 33)) * np.exp(-np.arange(33) / 6.0)
    target = np.stack(
        [sum(np.convolve(stem, taps)[:12_000] for stem, taps in zip(stems, row, strict=True))
         for row in filters]
    )  # fmt: skip
    fit = fit_oracle(blocks(stems, target, 5000), n_taps=n_taps)
    found_db = si_sdr_db(fit.mix(stems), target)
    if n_taps < 33:
        assert found_db < 10.0
    else:
        assert found_db > 90.0
        np.testing.assert_allclose(fit.filters[:, :, :33], filters, atol=1e-4)


def test_gains_need_audio_of_one_length() -> None:
    with pytest.raises(SettingError, match="at least one block"):
        fit_oracle([])
    with pytest.raises(SettingError, match="100 samples long and the target 99"):
        fit_oracle([(np.zeros((8, 100)), np.zeros((2, 99)))])


# --- figures known beforehand


def test_a_network_of_known_gains_reaches_the_dry_target(table: EvaluationTable) -> None:
    for value in values(table, "waveunet-dry", "dry", "si_sdr_db"):
        assert value > 100.0
    # As recorded, and not turned down: the very level of the target.
    for value in values(table, "waveunet-dry", "dry", "lufs_difference_db"):
        assert value == pytest.approx(0.0, abs=1e-4)


def test_static_gains_reach_what_is_known(table: EvaluationTable) -> None:
    assert min(values(table, "static", "dry", "si_sdr_db")) > 100.0
    # The noise has a chance part that gains can follow: 8 of 24,000 dimensions, 0.001 dB.
    for value in values(table, "static", "wet", "si_sdr_db"):
        assert value == pytest.approx(-WET_NOISE_DB, abs=0.2)


def test_level_counts_in_sdr_and_loudness_alone(table: EvaluationTable) -> None:
    """The wet network gives the mix 6 dB too loud and without its noise, 20 dB down."""
    for value in values(table, "waveunet-wet", "wet", "si_sdr_db"):
        assert value == pytest.approx(20.0, abs=0.2)
    # |2 m - (m + n)|^2 is |m|^2 + |n|^2, as large as the target.
    for value in values(table, "waveunet-wet", "wet", "sdr_db"):
        assert value == pytest.approx(0.0, abs=0.2)
    # K-weighting hears the white noise a little more than the bursts.
    for value in values(table, "waveunet-wet", "wet", "lufs_difference_db"):
        assert value == pytest.approx(6.0, abs=0.2)
    for value in values(table, "waveunet-wet", "wet", "l1_relative"):
        assert value < 0.2


def test_unity_is_the_plain_sum_at_the_loudness_of_the_target(
    table: EvaluationTable, corpus: Path
) -> None:
    rows = [r for r in table.measurements if (r.system, r.target) == ("unity", "dry")]
    found = {r.metric: r.value for r in rows if r.item == "birch_3"}
    stems = burst_stems(3)
    dry = (DRY_GAINS @ stems).astype(np.float32)
    unity = np.stack([stems[:7].sum(axis=0), stems[[0, 1, 2, 3, 4, 5, 7]].sum(axis=0)])
    louder_db = lufs_difference_db(unity, dry, RATE_HZ)
    assert found["lufs_difference_db"] == pytest.approx(louder_db, abs=1e-3)
    assert found["si_sdr_db"] == pytest.approx(si_sdr_db(unity, dry), abs=1e-3)
    matched = at_gain(unity, -louder_db)
    assert found["mr_stft"] == pytest.approx(mr_stft_distance(matched, dry), abs=1e-4)


def test_systems_rank_as_they_must(table: EvaluationTable) -> None:
    for target in ("dry", "wet"):
        for metric, sign in (("si_sdr_db", -1), ("mr_stft", 1)):
            medians = [
                sign * float(np.median(values(table, system, target, metric)))
                for system in ("static", "unity", "anchor")
            ]
            assert medians == sorted(medians)


def test_every_system_is_measured_on_every_item_by_every_metric(table: EvaluationTable) -> None:
    counts = Counter((row.system, row.target) for row in table.measurements)
    each = 5 * len(METRICS)
    assert counts == {
        ("waveunet-dry", "dry"): each,
        ("waveunet-wet", "wet"): each,
        ("forest-dry", "dry"): each,
        ("forest-wet", "wet"): each,
        **{(s, t): each for s in ("static", "unity", "anchor") for t in ("dry", "wet")},
    }
    assert table.kits == {"birch": 2, "maple": 3}
    assert table.failures == ()


def test_models_are_named_with_their_checksum(
    table: EvaluationTable, models: dict[str, Path]
) -> None:
    card = json.loads((models["dry"] / "model.json").read_text())
    assert table.models["waveunet-dry"] == f"known-dry, sha256 {card['sha256'][:16]}"
    assert set(table.models) == {"waveunet-dry", "waveunet-wet", "forest-dry", "forest-wet"}


def test_workers_change_nothing_but_the_time(corpus: Path, table: EvaluationTable) -> None:
    seen: list[tuple[int, int, str]] = []
    parallel = evaluate(
        corpus, systems=["unity", "static"], workers=2, progress=lambda *call: seen.append(call)
    )
    expected = [r for r in table.measurements if r.system in ("unity", "static")]
    assert sorted(map(str, parallel.measurements)) == sorted(map(str, expected))
    assert [call[:2] for call in seen] == [(n, 5) for n in range(1, 6)]


def test_a_process_that_is_ended_from_outside_changes_no_number(
    corpus: Path, table: EvaluationTable
) -> None:
    notices: list[Notice] = []

    def end_all_once(n_done: int, n_all: int, item: str) -> None:
        if n_done == 1:
            for child in multiprocessing.active_children():
                child.kill()

    found = evaluate(
        corpus, systems=["unity"], workers=2, on_notice=notices.append, progress=end_all_once
    )
    expected = [row for row in table.measurements if row.system == "unity"]
    assert sorted(map(str, found.measurements)) == sorted(map(str, expected))
    assert {notice.code for notice in notices} == {Code.TRIED_AGAIN}
    assert {notice.about for notice in notices} <= set(found.items)


def test_a_stopped_evaluation_leaves_no_process_and_no_unfinished_file(
    corpus: Path, tmp_path: Path
) -> None:
    def stop(n_done: int, n_all: int, item: str) -> None:
        # As a process leaves it that is ended while it writes.
        made.leave_behind(tmp_path / "mixes" / item / "unity.flac")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(corpus, systems=["unity"], workers=2, folder=tmp_path, progress=stop)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.rglob("*.partial*"))


def test_another_part_has_other_items(corpus: Path) -> None:
    found = evaluate(corpus, part="validation", systems=["unity"])
    assert {row.item for row in found.measurements} == {"maple_9"}


def test_metrics_of_no_mix_are_none() -> None:
    assert measure({}, burst_stems(0)[:2], RATE_HZ) == {}


@pytest.mark.parametrize(
    ("system", "targets"),
    [("waveunet-dry", ("dry",)), ("forest-wet", ("wet",)), ("anchor", ("dry", "wet"))],
)
def test_a_system_is_compared_with_its_own_target(system: str, targets: tuple[str, ...]) -> None:
    assert targets_of(system) == targets


# --- which items


def test_kits_take_turns_and_fewer_items_are_among_more(corpus: Path) -> None:
    items = read_manifest(corpus, part="test")
    orders = [choose_items(items, limit=n) for n in (1, 2, 4, 5, 99, None)]
    for fewer, more in itertools.pairwise(orders):
        assert more[: len(fewer)] == fewer
    assert [item.kit for item in orders[2]] == ["birch", "maple", "birch", "maple"]
    assert set(orders[-1]) == set(items)


def test_the_order_of_the_manifest_does_not_matter_but_is_not_kept(corpus: Path) -> None:
    [template, *_] = read_manifest(corpus, part="test")
    items = [replace(template, item=f"item_{n:02}") for n in range(20)]
    assert choose_items(items[::-1], limit=7) == choose_items(items, limit=7)
    assert choose_items(items, limit=None) != tuple(items)


def test_microphones_keep_their_roles_whatever_the_files_are_called(own_corpus: Path) -> None:
    """An item called after another microphone must not be heard as that one."""
    item = write_item(own_corpus, "kick_room_left", kit="snare", part="test", seed=3)
    opened = open_item(own_corpus, item, ("dry",))
    assert {stem.role for stem in opened.session.stems} == set(PAPER_ROLES)
    rows = [stem.role for stem in opened.session.stems]
    expected = burst_stems(3)[[PAPER_ROLES.index(role) for role in rows]]
    np.testing.assert_array_equal(opened.session.read(), expected)


# --- the table


def some_table(**changes: object) -> EvaluationTable:
    rows = tuple(
        Measurement(f"i{n}", kit, "rock", "unity", "dry", metric.name, value)
        for metric in METRICS
        for n, (kit, value) in enumerate([("a", 1.0), ("a", 2.0), ("b", 4.0), ("b", math.nan)])
    )
    base = EvaluationTable("test", {"a": 2, "b": 2}, ("unity",), {}, rows, ())
    return replace(base, **changes)  # type: ignore[arg-type]


def test_csv_is_tidy_and_leaves_what_has_no_value_empty(table: EvaluationTable) -> None:
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert list(rows[0]) == ["item", "kit", "style", "system", "target", "metric", "value"]
    assert len(rows) == len(table.measurements)
    first = table.measurements[0]
    assert float(rows[0]["value"]) == pytest.approx(first.value, rel=1e-5)
    assert (rows[0]["item"], rows[0]["metric"]) == (first.item, first.metric)
    assert list(csv.DictReader(io.StringIO(some_table().to_csv())))[3]["value"] == ""


def test_summary_is_the_median_and_quartiles_without_nan() -> None:
    [first, *_] = some_table().summary()
    assert (first.system, first.target, first.metric) == ("unity", "dry", "si_sdr_db")
    assert first.spread == Spread(n=3, median=2.0, q1=1.5, q3=3.0, low=1.0, high=4.0)
    [in_b, *_] = some_table().summary(kit="b")
    assert in_b.spread == Spread(n=1, median=4.0, q1=4.0, q3=4.0, low=4.0, high=4.0)


def test_spread_of_nothing_has_no_value() -> None:
    spread = Spread.of([math.nan])
    assert spread.n == 0
    assert math.isnan(spread.median)


def test_markdown_shows_median_quartiles_range_and_kits() -> None:
    text = some_table().to_markdown()
    assert "Part test, 4 items (a 2, b 2)" in text
    assert "| dry    | unity  | 3     | 2.0         | 1.5 to 3.0 | 1.0 to 4.0 | 2.00 " in text
    assert "| target | system | a, SI-SDR (dB) | a, MR-STFT | b, SI-SDR (dB) | b, MR-STFT |" in text
    assert "| dry    | unity  | 1.5            | 1.50       | 4.0            | 4.00       |" in text


def test_markdown_tables_have_as_many_cells_in_every_line(table: EvaluationTable) -> None:
    for grid in table.grids():
        lines = grid.to_markdown().splitlines()[2:]
        assert len({line.count("|") for line in lines}) == 1
        assert len({len(line) for line in lines}) == 1
        assert len(lines) == 4 + 8


def test_text_of_a_terminal_is_narrow_enough(table: EvaluationTable) -> None:
    assert max(len(line) for line in table.to_text().splitlines()) <= 120


def test_json_is_strict_and_complete() -> None:
    failure = Failure("i4", "anchor", "broken")
    plain = some_table(failures=(failure,)).to_mapping()
    text = json.dumps(plain, allow_nan=False)
    read = json.loads(text)
    assert read["measurements"][3]["value"] is None
    assert read["failures"] == [{"item": "i4", "system": "anchor", "message": "broken"}]
    [first, *_] = read["summary"]
    assert (first["kit"], first["n"], first["median"]) == ("", 3, 2.0)
    assert {row["kit"] for row in read["summary"]} == {"", "a", "b"}


def test_one_kit_needs_no_breakdown() -> None:
    assert len(some_table(kits={"a": 4}).grids()) == 2


# --- what goes wrong


def test_a_missing_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"has no manifest\.csv"):
        evaluate(tmp_path / "nowhere", systems=["unity"])


def test_a_part_without_items_is_said(corpus: Path) -> None:
    with pytest.raises(CorpusError, match="no items of part 'train'"):
        evaluate(corpus, part="train", systems=["unity"])


def test_unknown_and_missing_systems_are_said(corpus: Path) -> None:
    with pytest.raises(SettingError, match=r"systems names 'untiy'; use .*unity.*static"):
        evaluate(corpus, systems=["unity", "untiy"])
    with pytest.raises(SettingError, match="systems is empty"):
        evaluate(corpus, systems=[])


@pytest.mark.parametrize("option", ["limit", "workers"])
def test_limit_and_workers_below_one_are_said(corpus: Path, option: str) -> None:
    with pytest.raises(SettingError, match="give 1 or more"):
        evaluate(corpus, systems=["unity"], **{option: 0})


def test_weights_that_fit_no_system_are_said(corpus: Path, models: dict[str, Path]) -> None:
    with pytest.raises(SettingError, match="add systems='waveunet-wet'"):
        evaluate(corpus, systems=["waveunet-dry"], weights=[models["wet"]])
    with pytest.raises(SettingError, match="both for waveunet-dry"):
        evaluate(corpus, systems=["waveunet-dry"], weights=[models["dry"], models["dry"]])
    with pytest.raises(WeightsError):
        evaluate(corpus, systems=["waveunet-dry"], weights=[corpus])


def damage(corpus: Path, item: CorpusItem, how: str) -> None:
    stem = item.stem_path(corpus, Role.SNARE)
    if how == "missing":
        stem.unlink()
    elif how == "not audio":
        stem.write_text("not audio")
    elif how == "truncated":
        stem.write_bytes(stem.read_bytes()[:5000])
    elif how == "short":
        audio.write(stem, audio.Audio(np.zeros((1, 9)), RATE_HZ))
    elif how == "other rate":
        audio.write(stem, audio.Audio(np.zeros((1, N_SAMPLES)), 48_000))
    elif how == "silent target":
        audio.write(item.mix_path(corpus, "wet"), audio.Audio(np.zeros((2, N_SAMPLES)), RATE_HZ))
    else:
        audio.write(item.mix_path(corpus, "dry"), audio.Audio(np.zeros((1, N_SAMPLES)), RATE_HZ))


@pytest.mark.parametrize(
    ("how", "workers", "says"),
    [
        ("missing", 1, "snare.*maple_1.wav"),
        ("missing", 2, "snare.*maple_1.wav"),
        ("not audio", 1, "snare.*maple_1.wav"),
        ("truncated", 1, "snare.*maple_1.wav"),
        ("short", 1, "9 samples.*expected 1, 24000 at 44100 Hz"),
        ("other rate", 1, "48000 Hz; expected"),
        ("silent target", 1, "wet_mix.*is silent"),
        ("mono target", 1, r"1 channel\(s\).*expected 2"),
    ],
)
def test_a_broken_item_is_named_and_the_others_go_on(
    own_corpus: Path, how: str, workers: int, says: str
) -> None:
    items = {item.item: item for item in read_manifest(own_corpus)}
    damage(own_corpus, items["maple_1"], how)
    write_manifest(own_corpus, [items["maple_0"], items["maple_1"], items["birch_4"]])
    found = evaluate(own_corpus, systems=["unity"], workers=workers)
    [failure] = found.failures
    assert (failure.item, failure.system) == ("maple_1", "")
    assert re.search(says, failure.message)
    assert str(failure).startswith("maple_1: ")
    assert {row.item for row in found.measurements} == {"maple_0", "birch_4"}
    assert found.n_items == 3


class _FailingMixer:
    name = "unity"

    def plan(self, session: object, *, progress: object = None) -> object:
        raise SessionError("the mixer has no idea")


class _NanMixer:
    name = "unity"

    def plan(self, session: Session, *, progress: object = None) -> MixPlan:
        blocks = [np.full((2, N_SAMPLES), np.nan, dtype=np.float32)]
        return MixPlan("unity", session, {}, (), lambda: iter(blocks))


@pytest.mark.parametrize(
    ("mixer", "says"),
    [(_FailingMixer, "no idea"), (_NanMixer, "by unity holds a sample that is not a number")],
)
def test_a_failing_system_is_named_and_the_others_go_on(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, mixer: type, says: str
) -> None:
    real = systems.make_mixer

    def make(name: str, options: object) -> object:
        return (mixer(), ()) if name == "unity" else real(name, options)

    monkeypatch.setattr(systems, "make_mixer", make)
    found = evaluate(corpus, systems=["unity", "anchor"], limit=2)
    assert [failure.system for failure in found.failures] == ["unity", "unity"]
    assert says in found.failures[0].message
    assert len(values(found, "anchor", "dry", "si_sdr_db")) == 2


# --- the command line


def run(*arguments: object) -> object:
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_evaluate.register(app)
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_command_prints_the_table_and_writes_every_number(corpus: Path, tmp_path: Path) -> None:
    result = run(
        corpus, "--systems", "unity, anchor", "--limit", 2, "--csv", tmp_path / "numbers.csv"
    )
    assert result.exit_code == 0, result.output
    assert "Part test, 2 items (birch 1, maple 1)" in result.stdout
    rows = list(csv.DictReader((tmp_path / "numbers.csv").open()))
    assert len(rows) == 2 * 2 * 2 * len(METRICS)
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.csv"]


def test_command_prints_markdown_or_json(corpus: Path, models: dict[str, Path]) -> None:
    options = (corpus, "--part", "validation", "--systems", "waveunet-dry,static")
    markdown = run(*options, "--weights", models["dry"], "--markdown", "--workers", 2)
    assert markdown.stdout.count("| dry    | waveunet-dry |") == 2
    assert "- waveunet-dry: known-dry, sha256" in markdown.stdout
    plain = json.loads(run(*options, "--weights", models["dry"], "--json").stdout)
    assert (plain["part"], plain["items"]) == ("validation", 1)
    both = run(*options, "--markdown", "--json")
    assert both.exit_code == 2


def test_command_says_what_is_broken_at_the_end_and_exits_1(own_corpus: Path) -> None:
    items = {item.item: item for item in read_manifest(own_corpus)}
    damage(own_corpus, items["birch_3"], "missing")
    result = run(own_corpus, "--systems", "unity")
    assert result.exit_code == 1
    assert "Part test, 5 items" in result.stdout
    first, last = result.stderr.splitlines()[-2:]
    assert first.startswith("drummix: birch_3: ")
    assert last == "drummix: 1 of 5 items are not, or not wholly, in the figures"


def test_command_checks_the_csv_before_the_work(corpus: Path, tmp_path: Path) -> None:
    result = run(corpus, "--systems", "unity", "--csv", tmp_path / "nowhere" / "numbers.csv")
    assert "nowhere does not exist" in str(result.exception)
    assert "evaluating" not in result.stderr


def test_the_best_filters_are_the_same_for_any_number_of_blas_threads(corpus: Path) -> None:
    tables = set()
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads, user_api="blas"):
            tables.add(repr(evaluate(corpus, systems=["filters"]).measurements))
    assert len(tables) == 1
