"""Each thing that can be wrong with a file is found, and is not found where it is right."""

import json

import numpy as np
import pytest
from scipy.signal import lfilter

from drummix.audio import Audio, write
from drummix.errors import SessionError
from drummix.inspection import inspect_session
from drummix.levels import integrated_lufs, peak_dbfs, rms_dbfs
from drummix.notices import Code

RATE_HZ = 48_000


def noise(n_channels=1, n_samples=48_000, *, seed=0, peak=0.5):
    rng = np.random.default_rng(seed)
    return rng.uniform(-peak, peak, (n_channels, n_samples)).astype(np.float32)


def drum(*, seed, n_hits=40, pitch_hz=180.0, rate_hz=RATE_HZ):
    """Hits of one drum over 10 s: a decaying sine with a click in front."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(rate_hz // 4) / rate_hz
    hit = np.exp(-25.0 * time_s) * np.sin(2 * np.pi * pitch_hz * time_s)
    hit += np.exp(-400.0 * time_s) * rng.standard_normal(time_s.size)
    samples = np.zeros(10 * rate_hz)
    for start in rng.integers(0, samples.size - hit.size, n_hits):
        samples[start : start + hit.size] += rng.uniform(0.3, 1.0) * hit
    return samples


def heard(samples, *, delay_ms, gain, rate_hz=RATE_HZ):
    """A drum from afar: later, quieter, duller."""
    delay = round(delay_ms * rate_hz / 1000.0)
    return gain * lfilter(
        [0.6], [1.0, -0.4], np.concatenate([np.zeros(delay), samples])[: samples.size]
    )


def kit(*, invert=()):
    """A snare, a tom and two overheads that hear both, with some bleed and room noise."""
    snare, tom = drum(seed=1, pitch_hz=200.0), drum(seed=2, pitch_hz=110.0)
    rng = np.random.default_rng(3)
    mics = {
        "Snare Top": snare + heard(tom, delay_ms=1.5, gain=0.05),
        "SN Bot": -0.7 * heard(snare, delay_ms=0.2, gain=1.0),
        "Tom 1": tom + heard(snare, delay_ms=1.5, gain=0.05),
        "OH L": heard(snare, delay_ms=2.8, gain=0.3) + heard(tom, delay_ms=2.2, gain=0.3),
        "OH R": heard(snare, delay_ms=2.9, gain=0.3) + heard(tom, delay_ms=2.6, gain=0.2),
    }
    return {
        name: Audio(
            ((-0.2 if name in invert else 0.2) * (samples + rng.normal(0, 1e-3, samples.size)))[
                np.newaxis
            ],
            RATE_HZ,
        )
        for name, samples in mics.items()
    }


def problems(source, name, **kwargs):
    (report,) = [report for report in inspect_session(source, **kwargs) if report.name == name]
    return {finding.code for finding in report.findings}


def test_clean_session_has_no_findings(tmp_path):
    for seed, name in enumerate(["Kick.wav", "Snare.wav", "HH.wav"]):
        write(tmp_path / name, Audio(noise(seed=seed), RATE_HZ))
    assert all(report.findings == () for report in inspect_session(tmp_path))


def test_report_holds_what_the_file_holds(tmp_path):
    samples = noise(2, 96_000)
    write(tmp_path / "OH.wav", Audio(samples, RATE_HZ), subtype="PCM_24")
    (report,) = inspect_session(tmp_path)
    assert (report.name, report.roles) == ("OH.wav", ("overhead_left", "overhead_right"))
    assert (report.format, report.subtype) == ("WAV", "PCM_24")
    assert (report.rate_hz, report.n_channels, report.n_samples) == (RATE_HZ, 2, 96_000)
    assert report.duration_s == 2.0
    # 24 bits are within 1e-4 dB of the float samples at these levels.
    assert report.peak_dbfs == pytest.approx(peak_dbfs(samples), abs=1e-4)
    assert report.rms_dbfs == pytest.approx(rms_dbfs(samples), abs=1e-4)
    assert report.lufs == pytest.approx(integrated_lufs(samples, RATE_HZ), abs=1e-4)
    assert report.why == 'overhead: "oh"'


def test_reports_are_plain_json_without_infinities(tmp_path):
    write(tmp_path / "Kick.wav", Audio(np.zeros((1, 48_000)), RATE_HZ))
    (tmp_path / "Snare.wav").write_text("x")
    plain = [report.to_dict() for report in inspect_session(tmp_path)]
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again[0]["lufs"] is None
    assert again[0]["findings"][0]["code"] == "file_silent"


@pytest.mark.parametrize(
    ("peak", "expected"),
    [(0.0, Code.FILE_SILENT), (1e-5, Code.FILE_SILENT), (5e-3, Code.FILE_LOW_LEVEL), (0.02, None)],
)
def test_silent_and_quiet_files_are_found(peak, expected):
    audio = {"kick": Audio(noise(peak=peak), RATE_HZ)}
    assert problems(audio, "kick") == ({expected} if expected else set())


@pytest.mark.parametrize(
    ("run", "level", "is_clipped"),
    [(2, 1.0, False), (3, 1.0, True), (3, -1.0, True), (30, 1.0, True), (30, 0.999, False)],
)
@pytest.mark.parametrize("start", [100, (1 << 18) - 2, (1 << 18) - 20, 0])
def test_three_samples_at_full_scale_are_clipped_wherever_they_are(
    tmp_path, run, level, is_clipped, start
):
    samples = noise(n_samples=300_000)
    samples[0, start : start + run] = level
    write(tmp_path / "Kick.wav", Audio(samples, RATE_HZ), subtype="PCM_16")
    (report,) = inspect_session(tmp_path)
    clipped = [f for f in report.findings if f.code is Code.FILE_CLIPPED]
    assert bool(clipped) == is_clipped
    if clipped:
        first_s = round(start / RATE_HZ, 3)
        assert clipped[0].values == {"n_places": 1, "first_s": first_s}


def test_clipped_places_are_counted_in_all_channels():
    samples = noise(2)
    samples[0, 1_000:1_010] = samples[0, 5_000:5_010] = samples[1, 500:510] = 1.0
    (report,) = inspect_session({"OH": Audio(samples, RATE_HZ)})
    assert report.findings[0].values == {"n_places": 3, "first_s": 0.01}


@pytest.mark.parametrize(("offset", "is_found"), [(0.01, True), (-0.01, True), (0.0005, False)])
def test_dc_offset_is_found_with_its_sign(offset, is_found):
    samples = noise(n_samples=480_000, peak=0.05) + np.float32(offset)
    (report,) = inspect_session({"kick": Audio(samples, RATE_HZ)})
    assert report.dc_offset == pytest.approx(offset, abs=2e-4)
    assert (Code.DC_OFFSET in {f.code for f in report.findings}) == is_found


def test_mean_that_a_short_noise_has_by_chance_is_no_dc_offset():
    audio = {"kick": Audio(noise(n_samples=20_000, seed=5) + np.float32(0.002), RATE_HZ)}
    assert problems(audio, "kick") == set()


def test_mono_file_named_stereo_is_found(tmp_path):
    write(tmp_path / "OH.wav", Audio(np.repeat(noise(), 2, axis=0), RATE_HZ))
    assert problems(tmp_path, "OH.wav") == {Code.MONO_AS_STEREO}
    write(tmp_path / "OH.wav", Audio(noise(2), RATE_HZ))
    assert problems(tmp_path, "OH.wav") == set()


def test_identical_twins_name_each_other(tmp_path):
    write(tmp_path / "Kick.wav", Audio(noise(), RATE_HZ), subtype="PCM_16")
    write(tmp_path / "Snare.flac", Audio(noise(), RATE_HZ), subtype="PCM_16")
    write(tmp_path / "HH.wav", Audio(noise(seed=1), RATE_HZ), subtype="PCM_16")
    reports = {report.name: report for report in inspect_session(tmp_path)}
    assert reports["Kick.wav"].findings[0].values == {"others": ["Snare.flac"]}
    assert reports["Snare.flac"].findings[0].values == {"others": ["Kick.wav"]}
    assert reports["HH.wav"].findings == ()


def test_two_silent_files_are_silent_rather_than_twins():
    silence = Audio(np.zeros((1, 48_000)), RATE_HZ)
    assert problems({"kick": silence, "snare": silence}, "kick") == {Code.FILE_SILENT}


def test_other_rate_and_length_are_found(tmp_path):
    write(tmp_path / "Kick.wav", Audio(noise(seed=1), RATE_HZ))
    write(tmp_path / "Snare.wav", Audio(noise(seed=2), RATE_HZ))
    write(tmp_path / "HH.wav", Audio(noise(n_samples=40_000, seed=3), 44_100))
    assert problems(tmp_path, "HH.wav") == {Code.FILE_RESAMPLED, Code.FILE_PADDED}
    assert problems(tmp_path, "Kick.wav") == set()


# Nothing stops an inspection.


def test_everything_that_stops_a_session_is_a_finding(tmp_path):
    for name in ("Kick 1.wav", "Kick 2.wav", "foo.wav", "click.wav"):
        write(tmp_path / name, Audio(noise(seed=len(name) + ord(name[5])), RATE_HZ))
    write(tmp_path / "Room.wav", Audio(noise(5), RATE_HZ))
    (tmp_path / "Snare.wav").write_text("x")
    bad = noise(seed=9)
    bad[0, 24_000] = np.nan
    write(tmp_path / "HH.wav", Audio(bad, RATE_HZ), subtype="FLOAT")
    reports = {report.name: report for report in inspect_session(tmp_path)}
    found = {name: {f.code for f in report.findings} for name, report in reports.items()}
    assert Code.ROLE_CLAIMED_TWICE in found["Kick 1.wav"] & found["Kick 2.wav"]
    assert Code.ROLE_UNKNOWN in found["foo.wav"]
    assert Code.FILE_LEFT_OUT in found["click.wav"]
    assert Code.TOO_MANY_CHANNELS in found["Room.wav"]
    assert found["Snare.wav"] == {Code.FILE_UNREADABLE}
    assert found["HH.wav"] == {Code.FILE_UNREADABLE}
    assert reports["Snare.wav"].roles == ("snare",)
    assert reports["foo.wav"].peak_dbfs is not None
    for report in reports.values():
        assert all("\n" not in str(finding) for finding in report.findings)


def test_given_roles_count(tmp_path):
    write(tmp_path / "foo.wav", Audio(noise(), RATE_HZ))
    (report,) = inspect_session(tmp_path, roles={"snare": "foo.wav"})
    assert report.roles == ("snare",)
    assert report.findings == ()


def test_folder_without_files_is_refused(tmp_path):
    with pytest.raises(SessionError):
        inspect_session(tmp_path)


# Polarity.


def test_kit_with_right_polarity_has_no_findings():
    for report in inspect_session(kit()):
        assert report.findings == (), report


@pytest.mark.parametrize("name", ["Snare Top", "Tom 1", "OH R"])
def test_inverted_microphone_is_found_with_a_confidence(name):
    reports = {report.name: report for report in inspect_session(kit(invert=(name,)))}
    (finding,) = [f for f in reports[name].findings if f.code is Code.POLARITY_INVERTED]
    assert 0.35 <= finding.values["confidence"] <= 1.0


def test_bottom_microphone_that_was_turned_already_is_found():
    assert problems(kit(invert=("SN Bot",)), "SN Bot") == {Code.POLARITY_INVERTED}


def test_two_microphones_of_unrelated_noise_are_not_called_inverted():
    audio = {name: Audio(noise(n_samples=480_000, seed=seed), RATE_HZ)
             for seed, name in enumerate(["Snare", "Tom 1", "OH L", "OH R"])}  # fmt: skip
    assert all(report.findings == () for report in inspect_session(audio))


def test_copy_of_an_overhead_as_a_tom_is_a_twin_and_not_inverted():
    # The correlation's peak is at no delay at all; what is seen at a tom's delay are its ripples.
    overhead = Audio(noise(n_samples=480_000), RATE_HZ)
    audio = {"Tom 1": overhead, "OH L": overhead, "OH R": Audio(noise(seed=1), RATE_HZ)}
    assert problems(audio, "Tom 1") == {Code.IDENTICAL_TWINS}


def test_session_of_low_rate_is_a_finding_and_has_no_loudness(tmp_path):
    write(tmp_path / "Kick.wav", Audio(noise(n_samples=3000), 3000))
    [report] = inspect_session(tmp_path)
    assert [finding.code for finding in report.findings] == [Code.RATE_TOO_LOW]
    assert report.to_dict()["lufs"] is None
