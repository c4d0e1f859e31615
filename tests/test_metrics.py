"""Metrics: known values, invariants, silent cases, and equality with a reference library."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from drummix.errors import SettingError
from drummix.evaluation import spectral
from drummix.evaluation.metrics import (
    at_gain,
    crest_difference_db,
    l1_relative,
    left_right_correlation,
    level_matched,
    lufs_difference_db,
    mr_stft_distance,
    octave_balance_error_db,
    octave_band_levels_db,
    sdr_db,
    si_sdr_db,
    sum_difference_mr_stft_distance,
)
from drummix.evaluation.spectral import MIN_SAMPLES, OCTAVE_CENTRES_HZ, mr_stft_distances
from drummix.levels import integrated_lufs

RATE_HZ = 44_100
Signal = NDArray[np.float32]


def noise(seed: int, *, channels: int = 2, n_samples: int = 20_000, rms: float = 0.1) -> Signal:
    rng = np.random.default_rng(seed)
    return (rms * rng.standard_normal((channels, n_samples))).astype(np.float32)


def orthogonal_noise(to: Signal, seed: int, *, ratio_db: float) -> Signal:
    """Noise without any part of `to`, its energy `ratio_db` below that of `to`."""
    other = noise(seed, channels=to.shape[0], n_samples=to.shape[1]).astype(np.float64)
    exact = to.astype(np.float64)
    other -= np.vdot(other, exact) / np.vdot(exact, exact) * exact
    other *= np.sqrt(np.vdot(exact, exact) / np.vdot(other, other)) * 10 ** (-ratio_db / 20)
    return other.astype(np.float32)


def tone(frequency_hz: float, *, amplitude: float = 0.5, seconds: float = 2.0) -> Signal:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return np.tile(amplitude * np.sin(2 * np.pi * frequency_hz * time_s), (2, 1)).astype(np.float32)


# Two reference signals that any machine makes alike: no random generator, no fast math.
def chirped(start_hz: float, *, decay: float) -> Signal:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    phase = 2 * np.pi * (start_hz * time_s + 2000 * time_s**2)
    left = 0.5 * np.sin(phase) * np.exp(-decay * time_s)
    right = 0.4 * np.cos(1.5 * phase) * np.exp(-0.5 * decay * time_s)
    return np.stack([left, right]).astype(np.float32)


# --- SI-SDR and SDR


@pytest.mark.parametrize("ratio_db", [-10.0, 0.0, 20.0, 60.0])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_si_sdr_of_orthogonal_noise_is_its_ratio(ratio_db: float, channels: int) -> None:
    target = noise(1, channels=channels)
    mix = target + orthogonal_noise(target, 2, ratio_db=ratio_db)
    # float32 rounding is 7 digits down: at 60 dB it adds under 0.001 dB.
    assert si_sdr_db(mix, target) == pytest.approx(ratio_db, abs=1e-3)


@pytest.mark.parametrize("gain", [0.01, -1.0, 30.0])
def test_si_sdr_does_not_depend_on_the_mix_level_or_polarity(gain: float) -> None:
    target = noise(1)
    mix = target + orthogonal_noise(target, 2, ratio_db=12.0)
    assert si_sdr_db(gain * mix, target) == pytest.approx(12.0, abs=1e-3)


def test_si_sdr_shares_one_scale_between_channels() -> None:
    """Channels of energy 1 and 1 scaled by 1 and 3: alpha is 2, ratio (4 + 4) / (1 + 1)."""
    target = np.array([[1.0, 0.0], [0.0, 1.0]])
    mix = np.array([[1.0, 0.0], [0.0, 3.0]])
    assert si_sdr_db(mix, target) == pytest.approx(10 * math.log10(4.0))
    assert si_sdr_db(mix[:1], target[:1]) == 120.0


def test_si_sdr_removes_no_mean() -> None:
    """A constant offset as strong as the target is distortion: 0 dB."""
    target = np.array([[1.0, -1.0, 1.0, -1.0]])
    assert si_sdr_db(target + 1.0, target) == pytest.approx(0.0, abs=1e-6)


def test_sdr_counts_a_level_error() -> None:
    target = noise(1)
    assert sdr_db(0.9 * target, target) == pytest.approx(20.0, abs=1e-4)
    assert sdr_db(-target, target) == pytest.approx(-6.0206, abs=1e-4)


def test_ratios_end_at_120_db() -> None:
    target = noise(1)
    assert (si_sdr_db(target, target), sdr_db(target, target)) == (120.0, 120.0)
    assert sdr_db(1e7 * target, target) == -120.0


def test_long_signals_lose_no_digits() -> None:
    """A minute of audio, 100 dB: with sums in float32 the scale would be off by more than that."""
    target = np.tile(noise(1, channels=1, n_samples=10_000), (1, 260))
    error = np.tile(orthogonal_noise(target[:, :10_000], 2, ratio_db=100.0), (1, 260))
    assert si_sdr_db(target + error, target) == pytest.approx(100.0, abs=0.005)


# --- L1, loudness, crest, correlation


def test_l1_relative_of_a_scaled_mix_is_the_relative_error() -> None:
    target = noise(1)
    assert l1_relative(1.25 * target, target) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("gain_db", [-17.5, 0.0, 6.0])
def test_lufs_difference_of_a_gain_is_the_gain(gain_db: float) -> None:
    target = tone(997.0)
    assert lufs_difference_db(at_gain(target, gain_db), target, RATE_HZ) == pytest.approx(
        gain_db, abs=1e-4
    )


def test_level_matched_mix_has_the_loudness_of_its_reference() -> None:
    target, mix = tone(997.0, amplitude=0.1), noise(3, n_samples=2 * RATE_HZ, rms=0.3)
    matched = level_matched(mix, target, RATE_HZ)
    assert integrated_lufs(matched, RATE_HZ) == pytest.approx(
        integrated_lufs(target, RATE_HZ), abs=1e-3
    )
    # One gain: the sound is the same.
    assert si_sdr_db(matched, mix) > 110.0


def test_crest_difference_of_sine_and_square_is_3_db() -> None:
    sine = tone(441.0)
    assert crest_difference_db(np.sign(sine + 1e-9), sine) == pytest.approx(-3.0103, abs=1e-3)


def test_left_right_correlation_of_mono_opposite_and_independent_channels() -> None:
    mono = noise(1, channels=1, n_samples=200_000)
    left, right = noise(2, n_samples=200_000)
    assert left_right_correlation(np.concatenate([mono, 0.3 * mono])) == pytest.approx(1.0)
    assert left_right_correlation(np.concatenate([mono, -mono])) == pytest.approx(-1.0)
    # The standard deviation of a chance correlation is 1 / sqrt(200,000) = 0.0022.
    assert left_right_correlation(np.stack([left, right])) == pytest.approx(0.0, abs=0.01)


def test_left_right_correlation_of_a_shared_part_is_its_share_of_the_power() -> None:
    left, right = noise(2, n_samples=400_000)
    shared = np.sqrt(3.0) * noise(4, channels=1, n_samples=400_000)[0]
    found = left_right_correlation(np.stack([left + shared, right + shared]))
    assert found == pytest.approx(0.75, abs=0.01)


# --- multi-resolution STFT


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_mr_stft_of_a_gain_is_its_deviation_plus_its_logarithm(gain: float) -> None:
    """Magnitudes scale by g: spectral convergence is |1 - g|, log distance |ln g|."""
    target = noise(1)
    expected = abs(1.0 - gain) + abs(math.log(gain))
    # Loud white noise: hardly a bin lies near the floor of 1e-4.
    assert mr_stft_distance(gain * target, target) == pytest.approx(expected, abs=1e-4)


def test_mr_stft_hears_no_polarity() -> None:
    target = noise(1)
    assert mr_stft_distance(-target, target) == 0.0


@pytest.mark.parametrize("block_bins", [1, 5_000, 1 << 24])
def test_mr_stft_does_not_depend_on_the_block_size(
    block_bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_samples = 4_000 if block_bins == 1 else 40_000
    mix, target = noise(1, n_samples=n_samples), noise(2, n_samples=n_samples)
    expected = mr_stft_distance(mix, target)
    monkeypatch.setattr(spectral, "_BLOCK_BINS", block_bins)
    assert mr_stft_distance(mix, target) == pytest.approx(expected, rel=1e-5)


def test_mr_stft_of_several_mixes_is_that_of_each() -> None:
    target, mixes = noise(1), [noise(2), 0.1 * noise(3), noise(1)]
    each = [mr_stft_distance(mix, target) for mix in mixes]
    assert mr_stft_distances(mixes, target) == each
    assert each[2] == 0.0
    assert mr_stft_distances([], target) == []


# What auraloss 0.4.0 (with torch 2.13) says of the same signals.
PINNED_MR_STFT = 0.334325
PINNED_SUM_DIFFERENCE = 0.413966


def test_mr_stft_equals_the_pinned_values_of_auraloss() -> None:
    mix, target = chirped(200.0, decay=4.0), chirped(210.0, decay=5.0)
    assert mr_stft_distance(mix, target) == pytest.approx(PINNED_MR_STFT, abs=1e-4)
    assert sum_difference_mr_stft_distance(mix, target) == pytest.approx(
        PINNED_SUM_DIFFERENCE, abs=1e-4
    )


def _drums(n_samples: int) -> tuple[Signal, Signal]:
    envelope = np.exp(-np.arange(n_samples) % 9000 / 900).astype(np.float32)
    target = noise(1, n_samples=n_samples) * envelope
    return 0.7 * target + 0.02 * noise(2, n_samples=n_samples), target


@pytest.mark.parametrize(
    "pair",
    [
        lambda: (noise(1), noise(2)),
        lambda: _drums(50_001),
        lambda: (chirped(200.0, decay=4.0), chirped(210.0, decay=5.0)),
        lambda: (np.zeros((2, 30_000), dtype=np.float32), noise(1, n_samples=30_000)),
        lambda: (noise(1, n_samples=MIN_SAMPLES), noise(2, n_samples=MIN_SAMPLES)),
        lambda: (noise(1, channels=1), noise(2, channels=1)),
    ],
    ids=["noise", "drums", "chirps", "silent mix", "shortest", "mono"],
)
def test_mr_stft_equals_auraloss(pair: Callable[[], tuple[Signal, Signal]]) -> None:
    freq = pytest.importorskip("auraloss.freq", reason="auraloss is not installed")
    import torch

    mix, target = pair()
    batch = torch.from_numpy(mix[np.newaxis]), torch.from_numpy(target[np.newaxis])
    assert mr_stft_distance(mix, target) == pytest.approx(
        float(freq.MultiResolutionSTFTLoss()(*batch)), abs=1e-4
    )
    if mix.shape[0] == 2:
        theirs = freq.SumAndDifferenceSTFTLoss([1024, 2048, 512], [120, 240, 50], [600, 1200, 240])
        assert sum_difference_mr_stft_distance(mix, target) == pytest.approx(
            float(theirs(*batch)), abs=1e-4
        )


def test_sum_and_difference_hear_a_narrowed_image() -> None:
    """Half the side: the middle is untouched, the side's distance is 0.5 + ln 2, the mean half."""
    target = noise(1)
    middle, side = (target[0] + target[1]) / 2, (target[0] - target[1]) / 2
    narrow = np.stack([middle + side / 2, middle - side / 2])
    expected = (0.5 + math.log(2.0)) / 2
    assert sum_difference_mr_stft_distance(narrow, target) == pytest.approx(expected, abs=1e-3)


# --- octave bands


def test_white_noise_rises_by_3_db_an_octave() -> None:
    # Seen through 2.7 Hz bins, 40 s: the lowest band averages 8 bins of 214 frames.
    levels_db = octave_band_levels_db(noise(1, channels=1, n_samples=40 * RATE_HZ), RATE_HZ)
    # The highest band ends at 22,050 instead of 22,627 Hz, so it is left out here.
    np.testing.assert_allclose(np.diff(levels_db[:-1]), 10 * math.log10(2.0), atol=0.25)
    assert np.sum(10 ** (levels_db / 10)) == pytest.approx(1.0)


@pytest.mark.parametrize("band", [2, 5, 8])
def test_a_tone_lies_in_its_own_octave(band: int) -> None:
    levels_db = octave_band_levels_db(tone(OCTAVE_CENTRES_HZ[band]), RATE_HZ)
    assert levels_db[band] == pytest.approx(0.0, abs=0.01)
    assert np.all(np.delete(levels_db, band) < -50.0)


def test_octave_balance_ignores_level_and_measures_a_tilt() -> None:
    low, high = tone(250.0), tone(4000.0)
    target = low + high
    assert octave_balance_error_db(0.1 * target, target, RATE_HZ) == pytest.approx(0.0, abs=1e-3)
    # Half and half (-3.01 dB each) becomes 1 : 4 in power, -6.99 and -0.97 dB.
    tilted = octave_band_levels_db(low + 2 * high, RATE_HZ) - octave_band_levels_db(target, RATE_HZ)
    assert tilted[3] == pytest.approx(-3.979, abs=0.01)
    assert tilted[7] == pytest.approx(2.041, abs=0.01)


def test_octave_balance_leaves_out_bands_that_are_empty_in_both() -> None:
    """At 4 kHz sample rate nothing is above 2 kHz: seven bands count, not ten."""
    rate_hz = 4000
    target = noise(1, n_samples=60 * rate_hz)
    louder_top = target - 0.5 * np.roll(target, 1, axis=1)
    tilt_db = octave_band_levels_db(louder_top, rate_hz) - octave_band_levels_db(target, rate_hz)
    expected_db = float(np.mean(np.abs(tilt_db[:7])))
    found_db = octave_balance_error_db(louder_top, target, rate_hz)
    # The band of 2 kHz is cut at 1.41 to 2 kHz; those of 4 kHz and above are empty.
    assert found_db == pytest.approx(expected_db)


# --- silence divides nothing

SILENT = np.zeros((2, 20_000), dtype=np.float32)


def test_against_a_silent_target_ratios_have_no_value() -> None:
    for mix in (noise(1), SILENT):
        assert math.isnan(si_sdr_db(mix, SILENT))
        assert math.isnan(sdr_db(mix, SILENT))
        assert math.isnan(l1_relative(mix, SILENT))
        assert math.isnan(lufs_difference_db(mix, SILENT, RATE_HZ))
        assert math.isnan(crest_difference_db(mix, SILENT))
        assert math.isnan(octave_balance_error_db(mix, SILENT, RATE_HZ))


def test_a_silent_mix_is_the_worst_or_has_no_value() -> None:
    target = noise(1)
    assert si_sdr_db(SILENT, target) == -120.0
    assert sdr_db(SILENT, target) == 0.0
    assert l1_relative(SILENT, target) == 1.0
    assert math.isnan(lufs_difference_db(SILENT, target, RATE_HZ))
    assert math.isnan(crest_difference_db(SILENT, target))
    assert math.isnan(octave_balance_error_db(SILENT, target, RATE_HZ))


def test_mr_stft_is_finite_for_silence() -> None:
    assert mr_stft_distance(SILENT, SILENT) == 0.0
    # All of the target's magnitudes are missing but 1e-4 each: spectral convergence is near 1.
    assert 1.0 < mr_stft_distance(SILENT, noise(1)) < 20.0
    assert math.isfinite(mr_stft_distance(noise(1), SILENT))
    mono = np.tile(noise(1, channels=1), (2, 1))
    assert sum_difference_mr_stft_distance(mono, mono) == 0.0
    assert math.isfinite(sum_difference_mr_stft_distance(noise(1), mono))


def test_a_silent_channel_has_no_correlation() -> None:
    assert math.isnan(left_right_correlation(np.stack([noise(1)[0], SILENT[0]])))


def test_silence_and_short_signals_are_not_level_matched() -> None:
    target, short = noise(1), noise(2, n_samples=1000)
    np.testing.assert_array_equal(level_matched(SILENT, target, RATE_HZ), SILENT)
    np.testing.assert_array_equal(level_matched(target, SILENT, RATE_HZ), target)
    np.testing.assert_array_equal(level_matched(short, 2 * short, RATE_HZ), short)


def test_metrics_warn_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    for mix, target in ((SILENT, SILENT), (SILENT, noise(1)), (noise(1), SILENT)):
        si_sdr_db(mix, target), sdr_db(mix, target), l1_relative(mix, target)
        mr_stft_distance(mix, target), octave_balance_error_db(mix, target, RATE_HZ)
        crest_difference_db(mix, target), left_right_correlation(mix)
    assert [str(warning.message) for warning in recwarn] == []


# --- wrong input

PAIR_METRICS: list[Callable[..., float]] = [
    si_sdr_db,
    sdr_db,
    l1_relative,
    mr_stft_distance,
    sum_difference_mr_stft_distance,
    crest_difference_db,
    lambda mix, target: lufs_difference_db(mix, target, RATE_HZ),
    lambda mix, target: octave_balance_error_db(mix, target, RATE_HZ),
]


@pytest.mark.parametrize("metric", PAIR_METRICS)
@pytest.mark.parametrize("shape", [(2, 4999), (1, 5000), (3, 5000)])
def test_shapes_that_differ_are_refused(
    metric: Callable[..., float], shape: tuple[int, int]
) -> None:
    with pytest.raises(SettingError, match="one channel count and length"):
        metric(noise(1, channels=shape[0], n_samples=shape[1]), noise(1, n_samples=5000))


def test_signals_that_mr_stft_cannot_mirror_are_refused() -> None:
    short = noise(1, n_samples=MIN_SAMPLES - 1)
    with pytest.raises(SettingError, match="1024 samples; give at least 1025"):
        mr_stft_distance(short, short)


def test_stereo_metrics_refuse_mono() -> None:
    mono = noise(1, channels=1)
    with pytest.raises(SettingError, match="sum and difference take 2"):
        sum_difference_mr_stft_distance(mono, mono)
    with pytest.raises(SettingError, match="correlation takes 2"):
        left_right_correlation(mono)
