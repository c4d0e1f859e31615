"""Rendered mixes beside human ones: each figure by theory, and the table says what is outside."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal
from typer.testing import CliRunner

from drummix.audio import Audio, make_folder, write
from drummix.cli import app
from drummix.corpus.hits import ItemHit, isolated_hits, read_item_hits
from drummix.corpus.kit import Piece
from drummix.corpus.manifest import CorpusItem, write_item_record, write_manifest
from drummix.effects.eq import Band, equalise
from drummix.errors import CorpusError, SettingError
from drummix.evaluation.calibration import calibrate, mix_figures, octave_differences_db
from drummix.evaluation.calibration_table import FIGURES, CalibrationTable, ItemFigures
from drummix.evaluation.reverb import WINDOWS_S, added_reverb_db, energy_after_hits_db

FloatArray = NDArray[np.float64]
NAMES = [figure.name for figure in FIGURES]


def bursts(rate_hz: int, *, seed: int = 0, duration_s: float = 6.0) -> FloatArray:
    """Noise bursts of a drum's length, two a second, alike in both channels as in a drum mix."""
    rng = np.random.default_rng(seed)
    n_samples = round(duration_s * rate_hz)
    since_s = np.arange(n_samples) / rate_hz % 0.5
    middle, sides = rng.standard_normal((1, n_samples)), rng.standard_normal((2, n_samples))
    return 0.1 * (middle + 0.3 * sides) * np.exp(-since_s / 0.03)


def reverb_of(rate_hz: int, *, t60_s: float, level_db: float) -> FloatArray:
    """A direct sound and, from 10 ms on, exponential noise whose energy density is known."""
    rng = np.random.default_rng(1)
    times_s = np.arange(round(1.5 * t60_s * rate_hz)) / rate_hz
    density = 10.0 ** (level_db / 10.0) * 10.0 ** (-6.0 * times_s / t60_s)
    tail = rng.standard_normal((2, times_s.size)) * np.sqrt(density / rate_hz)
    # Band-limited as the measure is, so that its level below 11 kHz is the whole of it.
    response = np.where(times_s >= 0.010, tail, 0.0)
    response[:, 0] += 1.0
    return response


def window_db(t60_s: float, level_db: float, start_s: float, end_s: float) -> float:
    """The energy that an exponential reverb has between two times, by integration."""
    decay = 6.0 * math.log(10.0) / t60_s
    share = (math.exp(-decay * start_s) - math.exp(-decay * end_s)) / decay
    return level_db + 10.0 * math.log10(share)


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 48_000])
@pytest.mark.parametrize(("t60_s", "level_db"), [(0.6, -6.0), (1.5, -12.0)])
def test_added_reverb_has_the_energy_of_the_response_that_added_it(
    rate_hz: int, t60_s: float, level_db: float
) -> None:
    dry = bursts(rate_hz)
    response = reverb_of(rate_hz, t60_s=t60_s, level_db=level_db)
    wet = signal.fftconvolve(dry, response, axes=1)[:, : dry.shape[1]]
    found = added_reverb_db(dry, wet, rate_hz)
    wanted = [window_db(t60_s, level_db, *window) for window in WINDOWS_S]
    # White noise in a window of 40 ms below 11 kHz has some 900 independent samples a channel:
    # its energy is known to 4.34 * sqrt(2 / 1800) = 0.15 dB, the rest is for the fit's ends.
    assert found == pytest.approx(wanted, abs=0.7)


def test_level_and_polarity_and_the_ring_of_the_drum_are_no_reverb() -> None:
    dry = bursts(44_100)
    for wet in (0.25 * dry, -2.0 * dry):
        assert max(added_reverb_db(dry, wet, 44_100)) < -60.0


def test_gain_that_moves_with_the_music_stays_below_human_reverb() -> None:
    dry = bursts(44_100)
    moving_gain = 1.0 + 0.3 * np.sin(2 * np.pi * 3.7 * np.arange(dry.shape[1]) / 44_100)
    found = added_reverb_db(dry, dry * moving_gain, 44_100)
    lowest = [figure.low for figure in FIGURES if figure.name.startswith("added_reverb")]
    # 3 dB below the lowest human value a second source adds at most 1.8 dB to it.
    assert all(level < low - 3.0 for level, low in zip(found, lowest, strict=True) if low)


def test_reverb_of_silence_has_no_value() -> None:
    dry = bursts(44_100, duration_s=1.0)
    assert np.isnan(added_reverb_db(dry, 0.0 * dry, 44_100)).all()
    assert np.isnan(added_reverb_db(0.0 * dry, dry, 44_100)).all()


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_energy_after_a_hit_is_that_of_its_decay(rate_hz: int) -> None:
    tau_s = 0.08
    times_s = np.arange(rate_hz) / rate_hz
    hit = np.where(times_s >= 0.25, np.exp(-(times_s - 0.25) / tau_s), 0.0)[np.newaxis]
    found = energy_after_hits_db(np.concatenate([hit, hit]), rate_hz, [0.25])

    def energy(start_s: float, end_s: float) -> float:
        return math.exp(-2 * start_s / tau_s) - math.exp(-2 * end_s / tau_s)

    wanted = [10 * math.log10(energy(*window) / energy(0.0, 0.010)) for window in WINDOWS_S]
    assert found == pytest.approx(wanted, abs=0.02)


def test_hits_without_their_whole_window_are_left_out() -> None:
    mix = bursts(44_100, duration_s=1.0)
    whole = energy_after_hits_db(mix, 44_100, [0.5])
    assert energy_after_hits_db(mix, 44_100, [0.5, 0.9]) == whole
    assert np.isnan(energy_after_hits_db(mix, 44_100, [0.9])).all()
    assert np.isnan(energy_after_hits_db(mix, 44_100, [])).all()


def hit(time_s: float, piece: Piece = Piece.SNARE) -> ItemHit:
    return ItemHit(time_s, piece, 90)


def test_only_hits_that_nothing_but_ignored_pieces_are_near_are_isolated() -> None:
    hits = [hit(1.0), hit(1.1, Piece.HIHAT), hit(2.0), hit(2.1, Piece.KICK), hit(3.0), hit(3.3)]
    alone = isolated_hits(hits, Piece.SNARE, before_s=0.1, after_s=0.2, ignored=(Piece.HIHAT,))
    assert [one.time_s for one in alone] == [1.0, 3.0, 3.3]
    strict = isolated_hits(hits, Piece.SNARE, before_s=0.1, after_s=0.2)
    assert [one.time_s for one in strict] == [3.0, 3.3]
    early = isolated_hits(hits, Piece.SNARE, before_s=0.4, after_s=0.2)
    assert [one.time_s for one in early] == [3.0]


def test_octaves_do_not_hear_level_but_every_shelf() -> None:
    rng = np.random.default_rng(0)
    dry = 0.1 * rng.standard_normal((2, 5 * 44_100)).astype(np.float32)
    assert np.abs(octave_differences_db(dry, 2.0 * dry, 44_100)).max() < 0.01
    shelved = equalise(dry, 44_100, [Band("high_shelf", 1000.0, 6.0)])
    octaves = octave_differences_db(dry, shelved, 44_100)
    # A shelf reaches its gain two octaves from its corner, within a tenth.
    assert octaves[-1] - octaves[0] == pytest.approx(6.0, abs=0.2)
    # K-weighted loudness follows the highs, so the lows are what falls behind.
    assert octaves[0] < -4.0
    assert octaves[-1] < 2.0


def test_octaves_of_silence_have_no_value() -> None:
    dry = bursts(44_100, duration_s=1.0)
    assert np.isnan(octave_differences_db(dry, 0.0 * dry, 44_100)).all()


def test_figures_are_those_of_the_mixes_they_are_named_after() -> None:
    dry = bursts(44_100)
    wet = np.stack([dry[0], 0.5 * dry[0]])
    found = mix_figures(dry, wet, 44_100, hits=[hit(0.5)])
    assert list(found) == NAMES
    assert found["correlation_wet"] == pytest.approx(1.0)
    # Middle 1 and sides 0.3 of independent noise: 1 / (1 + 0.09).
    assert found["correlation_dry"] == pytest.approx(1 / 1.09, abs=0.02)
    peak, rms = np.abs(wet).max(), np.sqrt(np.mean(np.square(wet)))
    assert found["crest_wet_db"] == pytest.approx(20 * np.log10(peak / rms), abs=1e-3)
    assert found["snare_dry_10_50_ms_db"] == pytest.approx(
        energy_after_hits_db(dry, 44_100, [0.5])[0], abs=1e-3
    )
    assert math.isnan(mix_figures(dry, wet, 44_100)["snare_dry_10_50_ms_db"])


def test_silent_mix_has_no_figure_and_fails_nothing() -> None:
    dry = bursts(44_100)
    found = mix_figures(dry, 0.0 * dry, 44_100)
    assert {name for name, value in found.items() if not math.isnan(value)} == {
        "crest_dry_db",
        "correlation_dry",
    }


def write_item(
    corpus: Path, name: str, kit: str, *, part: str = "test", seed: int = 0
) -> CorpusItem:
    """An item with mixes of bursts; the wet one is wider."""
    dry = bursts(44_100, seed=seed, duration_s=2.0)
    n_samples = dry.shape[1]
    item = CorpusItem(
        item=name,
        part=part,
        kit=kit,
        performance="drummer1/session1/1",
        style="rock",
        seed=1,
        engineer=1,
        licence="CC0",
        rate_hz=44_100,
        n_samples=n_samples,
        extension="wav",
        stem_peak_dbfs=-3.0,
        dry_peak_dbfs=-9.0,
        wet_peak_dbfs=-4.0,
        sha256="",
    )
    rng = np.random.default_rng(seed + 100)
    wide = dry + 0.1 * np.abs(dry).max() * rng.standard_normal(dry.shape)
    for target, mix in (("dry", dry), ("wet", wide)):
        path = corpus / kit / f"{target}_mix" / f"{name}.wav"
        make_folder(path.parent)
        write(path, Audio(mix.astype(np.float32), 44_100))
    details = {"hits": [{"time_s": 0.5, "piece": "snare", "velocity": 90}]}
    write_item_record(corpus, item, checksums={}, details=details)
    return item


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    items = [
        write_item(folder, "a", "one", seed=1),
        write_item(folder, "b", "one", seed=2),
        write_item(folder, "c", "two", seed=3),
        write_item(folder, "d", "two", part="train", seed=4),
    ]
    write_manifest(folder, items)
    return folder


def copy_of(corpus: Path, target: Path) -> Path:
    for path in corpus.rglob("*"):
        if path.is_file():
            make_folder((target / path.relative_to(corpus)).parent)
            (target / path.relative_to(corpus)).write_bytes(path.read_bytes())
    return target


def test_corpus_is_measured_item_by_item_whatever_the_workers(corpus: Path) -> None:
    seen: list[tuple[int, int]] = []
    table = calibrate(corpus, part="test", progress=lambda n, of, _: seen.append((n, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert table.kits == {"one": 2, "two": 1}
    assert [item.values["snare_wet_10_50_ms_db"] for item in table.items] != 3 * [math.nan]
    assert calibrate(corpus, part="test", workers=2).to_mapping() == table.to_mapping()
    assert len(calibrate(corpus, limit=2).items) == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda c: (c / "one/wet_mix/a.wav").unlink(), "wet_mix/a.wav cannot be read"),
        (lambda c: cut(c / "one/wet_mix/a.wav"), "is cut off"),
        (
            lambda c: (c / "items/a.json").unlink(),
            "a.json does not exist; delete it if it is there",
        ),
        (lambda c: (c / "items/a.json").write_text("{"), "a.json is not JSON"),
        (lambda c: (c / "items/a.json").write_text('{"hits": [{}]}'), "a.json: hits[0] has no key"),
        (
            lambda c: write(c / "one/dry_mix/a.wav", Audio(np.ones((1, 9), np.float32), 48_000)),
            "has 1 channel(s), 9 samples at 48000 Hz; expected 2, 88200 at 44100 Hz",
        ),
    ],
    ids=["missing mix", "cut mix", "no record", "half a record", "no times", "another mix"],
)
def test_damaged_item_is_one_line_and_the_others_are_measured(
    damage: Callable[[Path], Any], problem: str, corpus: Path, tmp_path: Path
) -> None:
    broken = copy_of(corpus, tmp_path / "c")
    damage(broken)
    result = CliRunner().invoke(app, ["corpus", "calibrate", str(broken), "--part", "test"])
    assert result.exit_code == 1
    assert result.stdout.startswith("Part test, 2 items (one 1, two 1).")
    # On a slow machine a line of progress comes before.
    line, count = result.stderr.splitlines()[-2:]
    assert line.startswith("drummix: a: ")
    assert problem in line
    assert count == "drummix: 1 of 3 items are not in the figures"


def test_corpus_that_was_not_rendered_to_its_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text("{}")
    result = CliRunner().invoke(app, ["corpus", "calibrate", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert "is not rendered to its end" in line


@pytest.mark.parametrize("time_s", ["NaN", "-1", '"soon"'])
def test_hit_at_no_time_is_a_damaged_record(time_s: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "items")
    hits = f'{{"hits": [{{"time_s": {time_s}, "piece": "snare", "velocity": 1}}]}}'
    (tmp_path / "items" / "a.json").write_text(hits)
    with pytest.raises(CorpusError, match=r"a\.json: hits\[0\]\.time_s is "):
        read_item_hits(tmp_path, "a")


def test_workers_and_limit_out_of_range_are_refused(corpus: Path) -> None:
    with pytest.raises(SettingError, match="workers is 0"):
        calibrate(corpus, workers=0)
    with pytest.raises(SettingError, match="limit is 0"):
        calibrate(corpus, limit=0)


def table_of(*crests_db: float) -> CalibrationTable:
    inside = {figure.name: math.nan if figure.low is None else figure.low for figure in FIGURES}
    return CalibrationTable(
        "test",
        tuple(
            ItemFigures(f"i{n}", "kit", {**inside, "crest_dry_db": crest_db})
            for n, crest_db in enumerate(crests_db)
        ),
        (),
    )


def test_figure_is_outside_when_fewer_than_nine_in_ten_items_are_inside() -> None:
    nine = table_of(*(9 * [18.0]), 27.1)
    assert nine.outside() == ()
    assert nine.verdict().startswith("Every figure with a human range")
    eight = table_of(*(8 * [18.0]), 17.9, 27.1)
    assert [row.figure.name for row in eight.outside()] == ["crest_dry_db"]
    assert eight.verdict().splitlines()[1] == (
        "- crest, dry (dB): 8 of 10 items inside, median 18.0, human 18.0 to 27.0"
    )


def test_items_without_a_value_count_neither_inside_nor_outside() -> None:
    table = table_of(18.0, math.nan)
    [crest] = [row for row in table.summary() if row.figure.name == "crest_dry_db"]
    assert (crest.n_inside, crest.spread.n, crest.inside) == (1, 1, "1 of 1")
    assert table.outside() == ()
    assert table.to_mapping()["items"][1]["crest_dry_db"] is None


def test_table_without_items_says_so() -> None:
    assert table_of().verdict() == "No item could be measured."
    assert "0 items (none)" in table_of().to_text()


def test_ranges_are_those_of_the_human_mixes() -> None:
    ranges = {figure.name: (figure.low, figure.high) for figure in FIGURES}
    assert ranges["crest_dry_db"] == (18.0, 27.0)
    assert ranges["crest_wet_db"] == (17.0, 25.0)
    assert ranges["correlation_dry"] == ranges["correlation_wet"] == (0.86, 0.98)
    assert ranges["octave_1000_hz_db"] == (-3.0, 3.0)
    assert ranges["added_reverb_10_50_ms_db"] == (-22.0, -16.0)
    assert ranges["added_reverb_50_100_ms_db"] == (-25.0, -19.0)
    assert ranges["added_reverb_100_200_ms_db"] == (-32.0, -21.0)
    assert ranges["snare_wet_10_50_ms_db"] == (None, None)


def test_command_prints_text_markdown_or_json(corpus: Path) -> None:
    def run(*options: str) -> Any:
        return CliRunner().invoke(app, ["corpus", "calibrate", str(corpus), *options])

    text, markdown = run(), run("--markdown", "--limit", "1")
    plain = run("--json", "--limit", "2")
    assert [result.exit_code for result in (text, markdown, plain)] == [0, 0, 0]
    assert text.stdout.startswith("Part all, 4 items (one 2, two 2).\n\nfigure ")
    assert "By kit, medians." in text.stdout
    assert "Outside, with fewer than 90% of the items" in text.stdout
    assert "\n| figure " in markdown.stdout
    assert len(json.loads(plain.stdout)["figures"]) == 3 * len(FIGURES)
    assert run("--json", "--markdown").exit_code == 2
    assert "no items of part 'validation'" in run("--part", "validation").stderr


def test_values_do_not_depend_on_the_other_items(corpus: Path, tmp_path: Path) -> None:
    alone = copy_of(corpus, tmp_path / "c")
    items = [item for item in calibrate(corpus).items if item.item == "a"]
    write_manifest(alone, [replace(write_item(alone, "a", "one", seed=1))])
    assert calibrate(alone).items == tuple(items)
