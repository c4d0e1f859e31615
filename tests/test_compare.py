"""`drummix compare`: files of other length, rate, channel count and level, and what is said."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from drummix import audio
from drummix.cli import compare as cli_compare
from drummix.errors import AudioFileError, MissingExtraError, SettingError
from drummix.evaluation import compare
from drummix.evaluation.comparing import best_lag
from drummix.evaluation.measuring import METRICS
from drummix.notices import Code, Notice

RATE_HZ = 44_100
N_SAMPLES = 2 * RATE_HZ
Signal = NDArray[np.float32]


def drums(seed: int = 1) -> Signal:
    """Stereo bursts with little above 8 kHz, so that resampling takes little away."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((2, N_SAMPLES)))
    spectrum[:, np.fft.rfftfreq(N_SAMPLES, 1 / RATE_HZ) > 8000] = 0.0
    burst = np.fft.irfft(spectrum, N_SAMPLES) * np.exp(-(np.arange(N_SAMPLES) % 11_000) / 2000)
    return (0.3 * burst / np.abs(burst).max()).astype(np.float32)


def put(path: Path, samples: Signal, *, rate_hz: int = RATE_HZ) -> Path:
    audio.write(path, audio.Audio(samples, rate_hz), subtype="FLOAT")
    return path


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return put(tmp_path / "ref.wav", drums())


def test_a_file_against_itself_has_no_error(reference: Path, tmp_path: Path) -> None:
    found = compare(reference, [put(tmp_path / "same.wav", drums())])
    [values] = found.values.values()
    assert values["si_sdr_db"] == 120.0
    assert values["mr_stft"] == 0.0
    assert set(values) == {metric.name for metric in METRICS}
    assert found.notices == ()


def test_another_rate_is_resampled_and_said(reference: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "48k.wav", audio.resample(drums(), RATE_HZ, 48_000), rate_hz=48_000)
    found = compare(reference, [other])
    # Bursts begin at once: what they have above the resampler's pass band is lost, 49 dB down.
    # A shift of one sample would leave 2 dB.
    assert found.values[other]["si_sdr_db"] > 45.0
    rates = {"from_hz": 48_000, "to_hz": 44_100}
    assert Notice(Code.COMPARED_RESAMPLED, "48k.wav", rates) in found.notices


@pytest.mark.parametrize("rate_hz", [48_000, 96_000])
def test_files_at_any_rate_have_the_metrics_that_they_have_at_44_1_khz(
    tmp_path: Path, rate_hz: int
) -> None:
    sounds = {"ref": drums(), "mix": drums() + 0.3 * drums(2)}
    values = []
    for one_hz in (RATE_HZ, rate_hz):
        files = [
            put(
                tmp_path / f"{name}-{one_hz}.wav",
                audio.resample(sound, RATE_HZ, one_hz),
                rate_hz=one_hz,
            )
            for name, sound in sounds.items()
        ]
        found = compare(files[0], files[1:])
        values.append(found.values[files[1]])
        said = {notice.about for notice in found.notices if notice.code is Code.COMPARED_RESAMPLED}
        assert said == (set() if one_hz == RATE_HZ else {files[0].name})
        assert found.to_mapping()["rate_hz"] == RATE_HZ
    for name, value in values[0].items():
        # Bursts begin at once, and what they have above the resampler's pass band is lost.
        limit = 1.0 if name.endswith("_hz") else 0.02
        assert values[1][name] == pytest.approx(value, rel=0.02, abs=limit), name


def test_a_longer_mix_is_compared_over_what_is_shared(reference: Path, tmp_path: Path) -> None:
    longer = put(tmp_path / "long.wav", np.pad(drums(), ((0, 0), (0, RATE_HZ // 2))))
    found = compare(reference, [longer])
    assert found.values[longer]["si_sdr_db"] == 120.0
    lengths = {"longer_s": 0.5, "shared_s": 2.0}
    assert found.notices == (Notice(Code.COMPARED_LONGER, "long.wav", lengths),)


def test_a_mix_of_other_music_is_refused(reference: Path, tmp_path: Path) -> None:
    short = put(tmp_path / "short.wav", drums()[:, : RATE_HZ // 2])
    with pytest.raises(AudioFileError, match=r"short.wav is 0.50 s long but .*ref.wav 2.00 s"):
        compare(reference, [short])


def test_mono_is_heard_from_both_sides_and_said(reference: Path, tmp_path: Path) -> None:
    mono = put(tmp_path / "mono.wav", drums()[:1])
    found = compare(reference, [mono])
    assert found.values[mono]["si_sdr_left_db"] == 120.0
    assert found.values[mono]["si_sdr_right_db"] < 10.0
    assert Notice(Code.COMPARED_MONO, "mono.wav") in found.notices


@pytest.mark.parametrize("late", [480, -300])
def test_a_shifted_mix_is_said_and_aligned_when_asked(
    reference: Path, tmp_path: Path, late: int
) -> None:
    shifted = np.roll(np.pad(drums(), ((0, 0), (600, 600))), late, axis=1)[:, 600:-600]
    mix = put(tmp_path / "late.wav", shifted)
    as_it_lies = compare(reference, [mix])
    assert as_it_lies.values[mix]["si_sdr_db"] < 5.0
    lag = {"late_samples": late}
    assert as_it_lies.notices[0] == Notice(Code.COMPARED_LATE, "late.wav", lag)
    aligned = compare(reference, [mix], align=True)
    assert aligned.values[mix]["si_sdr_db"] > 100.0
    assert aligned.notices == (Notice(Code.COMPARED_ALIGNED, "late.wav", lag),)


def test_lag_is_found_in_either_polarity_and_is_zero_for_silence() -> None:
    signal = drums()
    assert best_lag(-np.roll(signal, 77, axis=1), signal, 1000) == 77
    assert best_lag(0 * signal, signal, 1000) == 0


def test_a_silent_mix_has_open_values_and_a_silent_reference_is_refused(
    reference: Path, tmp_path: Path
) -> None:
    silent = put(tmp_path / "silent.wav", 0 * drums())
    found = compare(reference, [silent])
    assert found.values[silent]["si_sdr_db"] == -120.0
    assert found.notices[0] == Notice(Code.COMPARED_SILENT, "silent.wav")
    plain = json.loads(json.dumps(found.to_mapping(), allow_nan=False))
    assert plain["mixes"][0]["metrics"]["lufs_difference_db"] is None
    with pytest.raises(AudioFileError, match=r"silent.wav is silent: there is nothing"):
        compare(silent, [reference])


def test_wrong_files_are_said(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"nowhere.wav"):
        compare(reference, [tmp_path / "nowhere.wav"])
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioFileError, match=r"text.wav"):
        compare(reference, [tmp_path / "text.wav"])
    surround = put(tmp_path / "surround.wav", np.concatenate([drums(), drums(2)]))
    with pytest.raises(AudioFileError, match="has 4 channels; expected 1 or 2"):
        compare(reference, [surround])
    with pytest.raises(SettingError, match=r"names .*ref.wav twice"):
        compare(reference, [reference, reference])
    with pytest.raises(SettingError, match="name at least one"):
        compare(reference, [])


def test_a_model_of_hearing_orders_mixes_or_says_what_is_missing(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "zimtohrli", None)
        with pytest.raises(MissingExtraError, match=r"drummix\[perceptual\]"):
            compare(reference, [reference], is_perceptual=True)
    pytest.importorskip("zimtohrli", reason="zimtohrli is not installed")
    noise = np.random.default_rng(5).standard_normal((2, N_SAMPLES)).astype(np.float32)
    mixes = [
        put(tmp_path / f"{n}.wav", drums() + np.float32(gain) * noise)
        for n, gain in enumerate((0.0, 0.001, 0.05))
    ]
    found = compare(reference, mixes, is_perceptual=True)
    distances = [values["zimtohrli"] for values in found.values.values()]
    assert distances[0] == 0.0
    assert distances == sorted(distances)
    assert distances[2] > distances[1]
    assert found.grid().rows[-1][0] == "Zimtohrli distance"


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_compare.register(app)
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_command_prints_a_column_a_mix_and_writes_every_number(
    reference: Path, tmp_path: Path
) -> None:
    half = put(tmp_path / "half.wav", 0.5 * drums())
    mono = put(tmp_path / "mono.wav", drums()[:1])
    done = run(reference, half, mono, "--csv", tmp_path / "numbers.csv")
    assert done.exit_code == 0, done.output
    assert "half.wav" in done.stdout.splitlines()[2]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("loudness")]
    assert "-6.0" in line
    assert "note: mono.wav is mono" in done.stderr
    rows = list(csv.DictReader((tmp_path / "numbers.csv").open()))
    assert len(rows) == 2 * len(METRICS)
    assert json.loads(run(reference, half, "--json").stdout)["mixes"][0]["file"] == str(half)
    assert run(reference, half, "--markdown").stdout.count("|") > 100
    assert run(reference, half, "--markdown", "--json").exit_code == 2
