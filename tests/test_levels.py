"""Levels against their definitions, BS.1770's check tones and pyloudnorm."""

import numpy as np
import pyloudnorm
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from drummix.errors import SettingError
from drummix.levels import (
    GatedLoudness,
    LoudnessMeter,
    crest_db,
    db_to_gain,
    gain_to_db,
    integrated_lufs,
    peak_dbfs,
    rms_dbfs,
    true_peak_dbtp,
)
from drummix.levels.metering import _k_weighting

RATES_HZ = [44_100, 48_000, 96_000]


def sine(frequency_hz, rate_hz, *, duration_s=5.0, peak_db=0.0, phase=0.0):
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (10 ** (peak_db / 20) * np.sin(2 * np.pi * frequency_hz * time_s + phase))[np.newaxis]


def bursts(rate_hz, *, n_channels=2, duration_s=12.3, seed=1):
    """Noise whose level jumps every 100 ms over 70 dB, so that both gates matter."""
    rng = np.random.default_rng(seed)
    n_samples = round(duration_s * rate_hz)
    level_db = rng.uniform(-75.0, -5.0, n_samples * 10 // rate_hz + 1)
    gain = np.repeat(10 ** (level_db / 20), rate_hz // 10)[:n_samples]
    return (gain * rng.uniform(-1.0, 1.0, (n_channels, n_samples))).astype(np.float32)


@given(st.floats(-119.0, 60.0))
def test_gain_of_a_level_is_that_level(level_db):
    assert gain_to_db(db_to_gain(level_db)) == pytest.approx(level_db, abs=1e-9)


def test_arrays_are_converted_one_by_one_and_zero_stops_at_the_floor():
    levels_db = gain_to_db(np.array([1.0, -0.1, 0.0]), floor_db=-90.0)
    np.testing.assert_allclose(levels_db, [0.0, -20.0, -90.0])
    np.testing.assert_allclose(db_to_gain(np.array([0.0, -20.0])), [1.0, 0.1])


def test_full_scale_sine_peaks_at_0_and_has_3_01_db_crest():
    samples = sine(100.0, 48_000, duration_s=1.0)
    assert peak_dbfs(samples) == pytest.approx(0.0, abs=1e-9)
    assert rms_dbfs(samples) == pytest.approx(-10 * np.log10(2), abs=1e-9)
    assert crest_db(samples) == pytest.approx(10 * np.log10(2), abs=1e-9)


@pytest.mark.parametrize("n_samples", [0, 100])
def test_silence_is_at_the_floor_and_has_no_crest(n_samples):
    samples = np.zeros((2, n_samples), dtype=np.float32)
    assert peak_dbfs(samples) == rms_dbfs(samples) == -120.0
    assert crest_db(samples) == 0.0
    assert integrated_lufs(samples, 48_000) == -np.inf
    assert true_peak_dbtp(samples, 48_000) == -120.0


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    ("n_channels", "peak_db", "expected_lufs"), [(1, 0.0, -3.01), (2, -23.0, -23.0)]
)
def test_997_hz_reads_as_bs1770_says(rate_hz, n_channels, peak_db, expected_lufs):
    # BS.1770 prints its coefficients for 48 kHz; elsewhere the shelf's gain at 997 Hz differs a
    # little, so the tolerance is EBU Tech 3341's 0.1 LU less a margin.
    samples = np.repeat(sine(997.0, rate_hz, peak_db=peak_db), n_channels, axis=0)
    assert integrated_lufs(samples, rate_hz) == pytest.approx(expected_lufs, abs=0.03)


def test_weighting_is_what_bs1770_prints_at_48_khz():
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    shelf += [1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(_k_weighting(48_000), [shelf, high_pass], rtol=0, atol=1e-11)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, *RATES_HZ])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_loudness_equals_pyloudnorm(rate_hz, n_channels):
    samples = bursts(rate_hz, n_channels=n_channels)
    meter = pyloudnorm.Meter(rate_hz, filter_class="DeMan")
    reference = meter.integrated_loudness(samples.T.astype(np.float64))
    assert integrated_lufs(samples, rate_hz) == pytest.approx(reference, abs=1e-6)


def test_quiet_part_10_lu_below_is_gated_out():
    # EBU Tech 3341, case 3: -36, -23, -36 LUFS reads -23.0.
    rate_hz = 48_000
    parts = [
        np.repeat(sine(997.0, rate_hz, duration_s=duration_s, peak_db=peak_db), 2, axis=0)
        for duration_s, peak_db in ((10.0, -36.0), (60.0, -23.0), (10.0, -36.0))
    ]
    assert integrated_lufs(np.concatenate(parts, axis=1), rate_hz) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(("peak_db", "is_heard"), [(-66.0, True), (-68.0, False)])
def test_what_lies_below_minus_70_lufs_has_no_loudness(peak_db, is_heard):
    # A mono tone reads 3.01 below its peak.
    samples = sine(997.0, 48_000, peak_db=peak_db)
    assert np.isfinite(integrated_lufs(samples, 48_000)) == is_heard


def test_less_than_one_gating_block_has_no_loudness():
    samples = sine(997.0, 48_000, duration_s=0.399)
    assert integrated_lufs(samples, 48_000) == -np.inf
    assert np.isfinite(integrated_lufs(sine(997.0, 48_000, duration_s=0.4), 48_000))


@pytest.mark.parametrize("rate_hz", [11_025, *RATES_HZ])
@pytest.mark.parametrize("block_samples", [1_000, 4_410, 65_536])
def test_meter_reads_the_same_whatever_the_blocks(rate_hz, block_samples):
    samples = bursts(rate_hz, duration_s=4.0)
    meter = LoudnessMeter(rate_hz, 2)
    for start in range(0, samples.shape[1], block_samples):
        meter.add(samples[:, start : start + block_samples])
    assert meter.integrated_lufs() == pytest.approx(integrated_lufs(samples, rate_hz), abs=1e-9)
    assert meter.true_peak_dbtp() == pytest.approx(true_peak_dbtp(samples, rate_hz), abs=1e-5)


def test_meter_without_true_peak_reads_the_same_loudness():
    samples = bursts(48_000, n_channels=1)
    meter = GatedLoudness(48_000, 1)
    meter.add(samples)
    assert meter.integrated_lufs() == integrated_lufs(samples, 48_000)


def test_meter_may_be_read_on_the_way_and_goes_on():
    samples = bursts(48_000, duration_s=3.0)
    half = samples.shape[1] // 2
    meter = LoudnessMeter(48_000, 2)
    meter.add(samples[:, :half])
    assert meter.true_peak_dbtp() == pytest.approx(
        true_peak_dbtp(samples[:, :half], 48_000), abs=1e-5
    )
    meter.add(samples[:, half:])
    assert meter.true_peak_dbtp() == pytest.approx(true_peak_dbtp(samples, 48_000), abs=1e-5)


@pytest.mark.parametrize("n_samples", [5_000, 20_000])
@pytest.mark.parametrize("n_before_end", [40, 400, 900])
def test_true_peak_near_the_end_of_a_stream_is_found(n_samples, n_before_end):
    # The oversampler still holds the last samples back when the meter is read.
    samples = np.zeros((1, n_samples), dtype=np.float32)
    samples[0, -n_before_end : -n_before_end + 2] = 0.9
    meter = LoudnessMeter(48_000, 1)
    for start in range(0, n_samples, 1_000):
        meter.add(samples[:, start : start + 1_000])
    assert meter.true_peak_dbtp() == pytest.approx(true_peak_dbtp(samples, 48_000), abs=1e-4)
    assert meter.true_peak_dbtp() > gain_to_db(0.9) + 1.0


def test_true_peak_of_a_steady_level_has_no_overshoot_from_the_meter_itself():
    level = np.minimum(1.0, np.minimum(np.arange(30_000), np.arange(30_000)[::-1]) / 2_000)
    samples = (0.5 * level)[np.newaxis].astype(np.float32)
    meter = LoudnessMeter(48_000, 1)
    meter.add(samples[:, :20_000])
    assert true_peak_dbtp(samples, 48_000) == pytest.approx(gain_to_db(0.5), abs=0.01)
    meter.add(samples[:, 20_000:])
    assert meter.true_peak_dbtp() == pytest.approx(gain_to_db(0.5), abs=0.01)
    still_on = LoudnessMeter(48_000, 1)
    still_on.add(samples)
    still_on.add(samples[:, ::-1][:, :1])
    assert still_on.true_peak_dbtp() == pytest.approx(gain_to_db(0.5), abs=0.01)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_true_peak_of_a_quarter_rate_sine_lies_3_01_db_above_its_samples(rate_hz):
    samples = sine(rate_hz / 4, rate_hz, duration_s=0.5, peak_db=-6.0, phase=np.pi / 4)
    fade = np.minimum(1.0, np.arange(samples.shape[1]) / 2_000)
    samples = samples * fade * fade[::-1]
    assert peak_dbfs(samples) == pytest.approx(-6.0 - 3.01, abs=0.01)
    # BS.1770 allows +0.2 / -0.4 dB for this tone; a long filter does better.
    assert true_peak_dbtp(samples, rate_hz) == pytest.approx(-6.0, abs=0.05)


def test_peak_between_samples_is_found_though_samples_were_louder_before():
    # Only what could exceed the highest so far is oversampled: samples of 0.6 between which the
    # waveform reaches 0.849 come after samples of 0.7, in another block.
    rate_hz = 48_000
    before = sine(1_000.0, rate_hz, duration_s=0.2) * 0.7
    after = sine(rate_hz / 4, rate_hz, duration_s=0.2, phase=np.pi / 4) * 0.6 * np.sqrt(2)
    fade = np.minimum(1.0, np.arange(after.shape[1]) / 2_000)
    meter = LoudnessMeter(rate_hz, 1)
    meter.add(before)
    assert meter.true_peak_dbtp() == pytest.approx(gain_to_db(0.7), abs=0.1)
    meter.add(after * fade * fade[::-1])
    assert meter.true_peak_dbtp() == pytest.approx(gain_to_db(0.6 * np.sqrt(2)), abs=0.05)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_true_peak_agrees_with_another_oversampler(rate_hz):
    # Noise up to 0.4 of the rate, where both filters are flat.
    noise = np.random.default_rng(5).standard_normal((2, 40_000))
    smooth = sosfilt(butter(12, 0.7, output="sos"), noise).astype(np.float32)
    oversampled = soxr.resample(smooth.T, rate_hz, 4 * rate_hz, quality="VHQ")
    assert true_peak_dbtp(smooth, rate_hz) == pytest.approx(peak_dbfs(oversampled), abs=0.02)


@pytest.mark.parametrize("n_silent", [0, 48_000])
def test_loudness_is_of_what_sounds_whatever_silence_came_before(n_silent):
    # The filters forget in silence what would only slow them down.
    tone = sine(997.0, 48_000, duration_s=2.0, peak_db=-20.0)
    samples = np.concatenate([tone, np.zeros((1, n_silent)), tone], axis=1)
    meter = GatedLoudness(48_000, 1)
    for start in range(0, samples.shape[1], 4_800):
        meter.add(samples[:, start : start + 4_800])
    reference = pyloudnorm.Meter(48_000, filter_class="DeMan").integrated_loudness(samples[0])
    assert meter.integrated_lufs() == pytest.approx(reference, abs=1e-5)


@settings(deadline=None)
@given(st.integers(1, 5_000), st.integers(0, 2**31))
def test_true_peak_is_never_below_the_sample_peak(n_samples, seed):
    samples = np.random.default_rng(seed).uniform(-1.0, 1.0, (1, n_samples)).astype(np.float32)
    assert true_peak_dbtp(samples, 48_000) >= peak_dbfs(samples)


@pytest.mark.parametrize("level_db", [-40.0, -6.0, 6.0])
def test_gain_moves_every_level_by_itself(level_db):
    samples = 0.5 * sine(997.0, 48_000, duration_s=1.0)
    louder = samples * db_to_gain(level_db)
    for measure in (peak_dbfs, rms_dbfs, lambda x: integrated_lufs(x, 48_000)):
        assert measure(louder) - measure(samples) == pytest.approx(level_db, abs=1e-6)


@pytest.mark.parametrize("rate_hz", [1000, 3363, 7999])
def test_rates_without_k_weighting_have_no_loudness(rate_hz):
    with pytest.raises(SettingError, match=f"rate_hz is {rate_hz}; loudness needs"):
        integrated_lufs(np.zeros((1, rate_hz), np.float32), rate_hz)
