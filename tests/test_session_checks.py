"""A mix says of its files what `inspect` says, without reading them once more."""

from pathlib import Path

import numpy as np
import pytest

from drummix.audio import Audio, write
from drummix.inspection import inspect_session
from drummix.mixing import MixOptions, mix
from drummix.notices import Code, Severity
from drummix.session import open_session, stems

RATE_HZ = 44_100


def wrong_takes(folder: Path, rate_hz: int = RATE_HZ) -> Path:
    """A kit with one fault in each of some files; the snare is in the overheads, and inverted."""
    rng = np.random.default_rng(5)
    n_samples = 6 * rate_hz
    hits = np.zeros(n_samples)
    hits[rate_hz // 4 :: rate_hz // 2] = 1.0
    ring = np.exp(-np.arange(2000) / 150.0) * rng.standard_normal(2000)
    snare = 0.5 * np.convolve(hits, ring)[:n_samples]
    snare /= 1.5 * np.abs(snare).max()
    kick = np.clip(3.0 * np.roll(snare, 4000), -1.0, 1.0)
    tom = 0.1 * rng.standard_normal(n_samples)
    tracks = {
        "Kick.wav": [kick],
        "Snare.wav": [-snare],
        "HH.wav": [np.zeros(n_samples)],
        "Tom 1.wav": [tom],
        "Tom 2.wav": [tom],
        "Ride.wav": [tom[::-1] + 0.02],
        "OH.wav": [np.roll(0.5 * snare, delay) for delay in (60, 70)],
    }
    folder.mkdir()
    for name, channels in tracks.items():
        write(folder / name, Audio(np.stack(channels).astype(np.float32), rate_hz))
    return folder


FAULTS = {
    (Code.FILE_CLIPPED, "Kick.wav"),
    (Code.POLARITY_INVERTED, "Snare.wav"),
    (Code.FILE_SILENT, "HH.wav"),
    (Code.IDENTICAL_TWINS, "Tom 1.wav"),
    (Code.IDENTICAL_TWINS, "Tom 2.wav"),
    (Code.DC_OFFSET, "Ride.wav"),
}


@pytest.mark.parametrize("system", ["unity", "anchor", "forest-wet", "waveunet-dry"])
def test_a_mix_says_what_inspect_sees(tmp_path, system):
    takes = wrong_takes(tmp_path / "takes")
    seen = {(f.code, f.about) for report in inspect_session(takes) for f in report.findings}
    made = mix(takes, system=system)
    said = {(notice.code, notice.about) for notice in made.notices}
    assert seen == FAULTS
    assert said >= FAULTS
    warned = {(n.code, n.about) for n in made.notices if n.severity is Severity.WARNING}
    assert warned - {(Code.TEST_SIGNAL, "anchor")} == FAULTS


def test_faults_are_found_in_files_of_another_rate_than_the_sessions(tmp_path):
    takes = wrong_takes(tmp_path / "takes", 48_000)
    for name in ("Click 2.wav", "Room L.wav", "Room R.wav", "Perc.wav"):
        noise = 0.1 * np.random.default_rng(len(name)).standard_normal((1, 6 * 44_100))
        write(takes / name, Audio(noise.astype(np.float32), 44_100))
    made = mix(takes, system="unity", roles={"ignore": "Click 2.wav"})
    assert made.audio.rate_hz == 48_000
    assert {(notice.code, notice.about) for notice in made.notices} >= FAULTS


@pytest.mark.parametrize("system", ["unity", "waveunet-dry"])
def test_files_are_read_no_more_often_for_it(tmp_path, monkeypatch, system):
    takes = wrong_takes(tmp_path / "takes")
    opened: list[Path] = []
    real = stems.BlockReader

    def counted(path, **options):
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(stems, "BlockReader", counted)
    mix(takes, system=system)
    n_passes = 1 if system == "unity" else 2  # the second measures levels, as ever
    assert len(opened) == n_passes * 7


def test_what_is_checked_changes_no_bit(tmp_path):
    takes = wrong_takes(tmp_path / "takes")
    session = open_session(takes)
    mixer, _ = MixOptions(system="unity").make_mixer()
    plain = np.concatenate(list(mixer.plan(session).blocks()), axis=1)
    made = mix(takes, system="unity", true_peak_dbtp=0.0)
    gain = np.float32(10 ** (made.settings["level"]["gain_db"] / 20))
    np.testing.assert_allclose(made.audio.samples, plain * gain, atol=1e-6)
