"""Timbre, stereo image, hits and dynamics: known values, invariants, equality with librosa."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from drummix.errors import SettingError
from drummix.evaluation.hits import (
    attack_difference_db,
    attack_error_db,
    find_hits,
    reverb_levels_db,
)
from drummix.evaluation.measuring import METRICS, measure
from drummix.evaluation.metrics import (
    at_gain,
    dynamic_spread_db,
    dynamic_spread_difference_db,
    mr_stft_distance,
    si_sdr_by_channel_db,
    si_sdr_db,
    sum_difference_mr_stft_distance,
    true_peak_difference_db,
)
from drummix.evaluation.stereo import image_differences, stereo_image, stereo_width
from drummix.evaluation.timbre import (
    FFT_SAMPLES,
    HOP_SAMPLES,
    mel_filters,
    timbre,
    timbre_differences,
)

RATE_HZ = 44_100
Signal = NDArray[np.float32]
SILENT = np.zeros((2, 30_000), dtype=np.float32)


def noise(seed: int, *, channels: int = 2, n_samples: int = 30_000, rms: float = 0.1) -> Signal:
    rng = np.random.default_rng(seed)
    return (rms * rng.standard_normal((channels, n_samples))).astype(np.float32)


def tone(frequency_hz: float, *, seconds: float = 1.0) -> Signal:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return np.tile(0.5 * np.sin(2 * np.pi * frequency_hz * time_s), (2, 1)).astype(np.float32)


def bursts(at_s: tuple[float, ...], *, decay_s: float = 0.02, seconds: float = 2.0) -> Signal:
    """Decaying noise that begins at the given times."""
    signal = np.zeros((2, int(seconds * RATE_HZ)))
    for number, start_s in enumerate(at_s):
        start = round(start_s * RATE_HZ)
        length = signal.shape[1] - start
        burst = np.random.default_rng(number).standard_normal((2, length))
        signal[:, start:] += 0.2 * burst * np.exp(-np.arange(length) / (decay_s * RATE_HZ))
    return signal.astype(np.float32)


def chirped(n_samples: int = RATE_HZ) -> Signal:
    """One channel that any machine makes alike: a chirp whose every frame has a timbre."""
    time_s = np.arange(n_samples) / RATE_HZ
    phase = 2 * np.pi * (200.0 * time_s + 2500.0 * time_s**2)
    square = np.sign(np.sin(2 * np.pi * 93.0 * time_s))
    return (0.4 * np.sin(phase) * np.exp(-2.0 * time_s) + 0.1 * square)[np.newaxis].astype(
        np.float32
    )


# --- timbre


@pytest.mark.parametrize("frequency_hz", [500.0, 3000.0, 9000.0])
def test_centroid_and_rolloff_of_a_tone_are_its_frequency(frequency_hz: float) -> None:
    found = timbre(tone(frequency_hz), RATE_HZ)
    inside = slice(4, -4)  # frames that the ends do not cut
    # The window's side lobes reach all frequencies: their weight pulls towards the middle.
    assert np.allclose(found.centroid_hz[inside], frequency_hz, atol=25.0)
    assert np.all(np.abs(found.rolloff_hz[inside] - frequency_hz) < 2 * RATE_HZ / FFT_SAMPLES)
    assert np.all(found.flatness[inside] < 1e-3)


def test_white_noise_has_its_centroid_in_the_middle_and_is_flat() -> None:
    found = timbre(noise(1, n_samples=200_000), RATE_HZ)
    inside = slice(2, -2)
    assert np.mean(found.centroid_hz[inside]) == pytest.approx(RATE_HZ / 4, rel=0.01)
    # The standard deviation of a uniform distribution is its width over sqrt(12).
    assert np.mean(found.bandwidth_hz[inside]) == pytest.approx(
        RATE_HZ / 2 / math.sqrt(12), rel=0.01
    )
    assert np.mean(found.rolloff_hz[inside]) == pytest.approx(0.85 * RATE_HZ / 2, rel=0.01)
    # Power of two averaged channels is gamma distributed, shape 2: exp(digamma(2)) / 2 = 0.763.
    assert np.mean(found.flatness[inside]) == pytest.approx(0.763, abs=0.01)


# What librosa 0.11.0 says of `chirped()`: means over all frames.
PINNED = {
    "centroid_hz": 3408.1166,
    "bandwidth_hz": 4742.0893,
    "rolloff_hz": 6489.4144,
    "flatness": 0.0012008257,
    "contrast_db": 25.357698,
    "mel_power_db": -16.765076,
}


def our_means(signal: Signal) -> dict[str, float]:
    found = timbre(signal, RATE_HZ)
    return {
        "centroid_hz": float(np.mean(found.centroid_hz)),
        "bandwidth_hz": float(np.mean(found.bandwidth_hz)),
        "rolloff_hz": float(np.mean(found.rolloff_hz)),
        "flatness": float(np.mean(found.flatness)),
        "contrast_db": float(np.mean(found.contrast_db)),
        "mel_power_db": float(np.mean(10 * np.log10(np.maximum(found.mel_power, 1e-10)))),
    }


def test_timbre_equals_the_pinned_values_of_librosa() -> None:
    found = our_means(chirped())
    # Single precision there, double here.
    assert found == pytest.approx(PINNED, rel=1e-4)


def test_timbre_equals_librosa_frame_by_frame() -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    signal = chirped()
    mono, feature, found = signal[0], librosa.feature, timbre(signal, RATE_HZ)
    options = {"y": mono, "sr": RATE_HZ, "n_fft": FFT_SAMPLES, "hop_length": HOP_SAMPLES}
    np.testing.assert_allclose(
        found.centroid_hz, feature.spectral_centroid(**options)[0], rtol=1e-4
    )
    np.testing.assert_allclose(
        found.bandwidth_hz, feature.spectral_bandwidth(**options)[0], rtol=1e-4
    )
    # Sums in single and in double precision may reach the threshold a bin apart, now and then.
    rolloff_bins = (
        (found.rolloff_hz - feature.spectral_rolloff(**options)[0]) * FFT_SAMPLES / RATE_HZ
    )
    assert np.max(np.abs(rolloff_bins)) < 1.01
    assert np.mean(np.abs(rolloff_bins) > 0.5) < 0.05
    np.testing.assert_allclose(found.flatness, feature.spectral_flatness(y=mono)[0], rtol=1e-3)
    np.testing.assert_allclose(found.contrast_db, feature.spectral_contrast(**options), atol=1e-2)
    mel = feature.melspectrogram(**options)
    np.testing.assert_allclose(found.mel_power, mel, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(
        mel_filters(RATE_HZ), librosa.filters.mel(sr=RATE_HZ, n_fft=FFT_SAMPLES), atol=1e-7
    )


def test_channels_of_opposite_polarity_do_not_cancel() -> None:
    signal = chirped()
    opposite = np.concatenate([signal, -signal])
    np.testing.assert_allclose(
        timbre(opposite, RATE_HZ).centroid_hz, timbre(signal, RATE_HZ).centroid_hz
    )


def test_only_the_mel_distance_depends_on_level() -> None:
    reference = timbre(bursts((0.2, 0.9)), RATE_HZ)
    quieter = timbre(0.5 * bursts((0.2, 0.9)), RATE_HZ)
    found = timbre_differences(quieter, reference)
    # Every band 6.02 dB down, but for those at the floor, 80 dB below the highest.
    assert found.pop("log_mel_distance_db") == pytest.approx(6.02, abs=0.05)
    assert list(found.values()) == pytest.approx([0.0] * 5, abs=1e-3)


def test_a_treble_boost_raises_centroid_rolloff_and_flatness() -> None:
    signal = noise(1)
    boosted = signal - 0.9 * np.roll(signal, 1, axis=1)
    found = timbre_differences(timbre(boosted, RATE_HZ), timbre(signal, RATE_HZ))
    assert found["centroid_difference_hz"] > 1000.0
    assert found["rolloff_difference_hz"] > 500.0
    assert found["flatness_difference_db"] < 0.0


def test_rests_of_the_reference_are_left_out() -> None:
    """Noise 70 dB down in the rest changes no comparison: the reference is silent there."""
    reference = bursts((0.1,))
    hum = 0.2 * 10 ** (-70 / 20) * np.random.default_rng(9).standard_normal(reference.shape)
    mix = (reference + np.where(np.arange(reference.shape[1]) > RATE_HZ, hum, 0.0)).astype("f4")
    found = timbre_differences(timbre(mix, RATE_HZ), timbre(reference, RATE_HZ))
    assert list(found.values()) == pytest.approx([0.0] * 6, abs=1e-6)


# --- the stereo image


def test_width_of_mono_independent_and_opposite_channels() -> None:
    mono = noise(1, channels=1)
    assert stereo_width(np.concatenate([mono, mono])) == 0.0
    assert stereo_width(np.concatenate([mono, -mono])) == 1.0
    assert stereo_width(np.concatenate([mono, 0 * mono])) == pytest.approx(0.5)
    assert stereo_width(noise(2, n_samples=200_000)) == pytest.approx(0.5, abs=0.01)


def test_panning_and_correlation_are_those_of_each_octave() -> None:
    """A low tone left of centre (gains 1 and 1/2), a high one in opposite polarity."""
    low, high = tone(250.0)[0], tone(4000.0)[0]
    image = stereo_image(np.stack([low + high, low / 2 - high]), RATE_HZ)
    # (1/4 - 1) / (1/4 + 1)
    assert image.panning[3] == pytest.approx(-0.6, abs=1e-3)
    assert image.correlation[3] == pytest.approx(1.0, abs=1e-3)
    assert image.panning[7] == pytest.approx(0.0, abs=1e-3)
    assert image.correlation[7] == pytest.approx(-1.0, abs=1e-3)


def test_swapped_channels_turn_the_panning_and_keep_the_correlation() -> None:
    left_heavy = noise(1) * np.array([[1.0], [0.25]], dtype=np.float32)
    image, swapped = (stereo_image(s, RATE_HZ) for s in (left_heavy, left_heavy[::-1]))
    np.testing.assert_allclose(swapped.panning, -image.panning, atol=1e-6)
    found = image_differences(swapped, image)
    assert found["band_correlation_error"] == pytest.approx(0.0, abs=1e-6)
    # Twice |1/16 - 1| / (1/16 + 1), with what chance adds in the lowest band.
    assert found["band_panning_error"] == pytest.approx(2 * (15 / 17), abs=0.03)


# --- hits


def test_hits_are_found_where_they_are() -> None:
    at_s = (0.1, 0.35, 0.62, 0.9, 1.4)
    found_s = find_hits(bursts(at_s), RATE_HZ) / RATE_HZ
    np.testing.assert_allclose(found_s, at_s, atol=0.002)


@pytest.mark.parametrize("gain", [0.001, -1.0])
def test_hits_depend_on_neither_level_nor_polarity(gain: float) -> None:
    signal = bursts((0.1, 0.5, 1.2))
    np.testing.assert_array_equal(find_hits(gain * signal, RATE_HZ), find_hits(signal, RATE_HZ))


def test_nothing_is_struck_in_silence_or_in_a_steady_tone() -> None:
    assert find_hits(SILENT, RATE_HZ).size == 0
    assert find_hits(SILENT[:, :100], RATE_HZ).size == 0
    # Its beginning is the one thing that happens.
    assert find_hits(tone(1000.0, seconds=2.0), RATE_HZ).size <= 1


def test_attack_error_is_that_of_the_attacks_alone() -> None:
    at_s = (0.2, 0.8, 1.4)
    target = bursts(at_s)
    hits = find_hits(target, RATE_HZ)
    wrong = target.copy()
    for hit in hits:
        wrong[:, hit : hit + round(0.03 * RATE_HZ)] *= 0.5
    # Half the amplitude: an error of a quarter of the energy, and 6 dB less of it.
    assert attack_error_db(wrong, target, hits, RATE_HZ) == pytest.approx(-6.02, abs=0.01)
    assert attack_difference_db(wrong, target, hits, RATE_HZ) == pytest.approx(-6.02, abs=0.01)
    later = target.copy()
    for hit in hits:
        later[:, hit + round(0.03 * RATE_HZ) : hit + RATE_HZ // 10] = 0.0
    assert attack_error_db(later, target, hits, RATE_HZ) == -120.0


def test_reverb_windows_follow_an_exponential_decay() -> None:
    """Energy falls as exp(-2 t / tau): windows are integrals of that."""
    tau = 0.05
    starts = tuple(np.arange(0.2, 9.0, 0.9))
    signal = bursts(starts, decay_s=tau, seconds=10.0)
    hits = np.array([round(s * RATE_HZ) for s in starts])

    def energy(start_s: float, stop_s: float) -> float:
        return math.exp(-2 * start_s / tau) - math.exp(-2 * stop_s / tau)

    expected = [
        10 * math.log10(energy(a, b) / energy(0, 0.01))
        for a, b in ((0.01, 0.05), (0.05, 0.1), (0.1, 0.2))
    ]
    # Ten hits, 441 samples of direct sound in each: 0.3 dB of chance a hit.
    assert reverb_levels_db(signal, hits, RATE_HZ) == pytest.approx(expected, abs=0.4)


def test_hits_that_others_follow_say_nothing_of_the_reverb() -> None:
    signal = bursts((0.2, 0.28), seconds=0.5)
    hits = np.array([round(0.2 * RATE_HZ), round(0.28 * RATE_HZ)])
    *_, last = reverb_levels_db(signal[:, : round(0.4 * RATE_HZ)], hits, RATE_HZ)
    assert math.isnan(last)


# --- level, dynamics, channels


def test_true_peak_difference_of_a_gain_is_the_gain() -> None:
    signal = noise(1)
    assert true_peak_difference_db(at_gain(signal, -7.5), signal, RATE_HZ) == pytest.approx(
        -7.5, abs=0.01
    )


def test_true_peak_is_that_between_the_samples() -> None:
    """A quarter-rate tone sampled off its peaks: the true peak is 3 dB above the samples'."""
    n = np.arange(8000)
    off = np.tile(0.5 * np.sin(np.pi * n / 2 + np.pi / 4), (2, 1))
    on = np.tile(0.5 * np.sin(np.pi * n / 2), (2, 1))
    # The same true peak, though the samples' peaks are 3.01 dB apart; ends ring a little.
    middle = np.hanning(8000)
    assert true_peak_difference_db(off * middle, on * middle, RATE_HZ) == pytest.approx(
        0.0, abs=0.05
    )


def test_dynamic_spread_of_two_levels_is_half_their_distance() -> None:
    """Frames alternate between 0 and -12 dB: each is 6 dB from the mean."""
    n_frame = round(0.05 * RATE_HZ)
    frame = tone(1000.0)[:, :n_frame]
    quiet = frame * np.float32(10 ** (-12 / 20))
    signal = np.concatenate(10 * [frame, quiet], axis=1)
    assert dynamic_spread_db(signal, RATE_HZ) == pytest.approx(6.0, abs=1e-3)
    rests = np.concatenate([signal, np.zeros((2, 20 * n_frame), np.float32)], axis=1)
    assert dynamic_spread_db(rests, RATE_HZ) == pytest.approx(6.0, abs=1e-3)
    assert dynamic_spread_difference_db(frame, frame, RATE_HZ) == 0.0


def test_si_sdr_by_channel_hears_no_balance_but_each_channel() -> None:
    target = noise(1)
    balance = np.array([[2.0], [0.5]], dtype=np.float32)
    left_db, right_db = si_sdr_by_channel_db(balance * target, target)
    assert min(left_db, right_db) > 110.0
    assert si_sdr_db(balance * target, target) < 10.0
    noisy = target.copy()
    noisy[1] += 0.1 * noise(7)[1]
    left_db, right_db = si_sdr_by_channel_db(noisy, target)
    assert left_db == 120.0
    # 0.1 of independent noise of the same level: 20 dB, with a chance part of 0.2 dB.
    assert right_db == pytest.approx(20.0, abs=0.3)


# --- reference libraries


@pytest.mark.parametrize("ratio_db", [0.0, 25.0])
def test_si_sdr_and_sdr_equal_auraloss(ratio_db: float) -> None:
    time = pytest.importorskip("auraloss.time", reason="auraloss is not installed")
    import torch

    target = noise(1, channels=1)
    mix = 0.6 * target + np.float32(0.6 * 10 ** (-ratio_db / 20)) * noise(2, channels=1)
    batch = torch.from_numpy(mix[np.newaxis]), torch.from_numpy(target[np.newaxis])
    theirs = -float(time.SISDRLoss(zero_mean=False)(*batch))
    assert si_sdr_db(mix, target) == pytest.approx(theirs, abs=1e-3)


def test_si_sdr_is_what_bss_eval_says_but_for_its_filter() -> None:
    """BSS Eval lets 512 taps adapt the target: for white noise that gains 512 of 30,000 parts."""
    separation = pytest.importorskip("mir_eval.separation", reason="mir_eval is not installed")
    target = noise(1, channels=1).astype(np.float64)
    mix = target + 0.1 * noise(2, channels=1)
    [theirs], *_ = separation.bss_eval_sources(target, mix, compute_permutation=False)
    ours = si_sdr_db(mix, target)
    assert ours <= theirs
    # 10 log10(1 / (1 - 512 / 30,000)) = 0.075 dB.
    assert ours == pytest.approx(theirs, abs=0.15)


def test_hits_agree_with_onsets_as_mir_eval_counts_them() -> None:
    onset = pytest.importorskip("mir_eval.onset", reason="mir_eval is not installed")
    at_s = np.cumsum(np.random.default_rng(3).uniform(0.08, 0.4, 30))
    found_s = find_hits(bursts(tuple(at_s), seconds=at_s[-1] + 0.5), RATE_HZ) / RATE_HZ
    f_measure, *_ = onset.f_measure(at_s, found_s, window=0.01)
    assert f_measure > 0.95


def test_loudness_difference_equals_pyloudnorm() -> None:
    import pyloudnorm

    mix, target = bursts((0.1, 0.5, 1.1)), 0.3 * noise(4, n_samples=2 * RATE_HZ)
    meter = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")
    theirs = meter.integrated_loudness(mix.T) - meter.integrated_loudness(target.T)
    found = measure({"mix": mix}, target, RATE_HZ)["mix"]["lufs_difference_db"]
    assert found == pytest.approx(theirs, abs=0.02)


# --- all together


def test_measure_gives_every_metric_at_the_loudness_of_the_target() -> None:
    target = bursts((0.1, 0.5, 1.1))
    mixes = {
        "same": target,
        "loud": 2 * target,
        "noisy": target + 0.01 * noise(5, n_samples=88_200),
    }
    found = measure(mixes, target, RATE_HZ)
    for values in found.values():
        assert set(values) == {metric.name for metric in METRICS}
    at_level = set(found["same"]) - {
        "sdr_db", "lufs_difference_db", "true_peak_difference_db",
        # Against itself a mix has no error but rounding, which a gain changes.
        "si_sdr_db", "si_sdr_left_db", "si_sdr_right_db", "attack_error_db",
    }  # fmt: skip
    for name in at_level:
        assert found["loud"][name] == pytest.approx(found["same"][name], abs=2e-3), name
        assert found["same"][name] == pytest.approx(0.0, abs=1e-6), name
    assert found["loud"]["lufs_difference_db"] == pytest.approx(6.02, abs=0.01)
    assert found["loud"]["true_peak_difference_db"] == pytest.approx(6.02, abs=0.01)
    noisy = mixes["noisy"]
    gain_db = -found["noisy"]["lufs_difference_db"]
    assert found["noisy"]["mr_stft"] == pytest.approx(
        mr_stft_distance(at_gain(noisy, gain_db), target), rel=1e-5
    )
    assert found["noisy"]["sum_difference_mr_stft"] == pytest.approx(
        sum_difference_mr_stft_distance(at_gain(noisy, gain_db), target), rel=1e-5
    )


@pytest.mark.parametrize(
    ("mix", "target"),
    [(SILENT, noise(1)), (noise(1), SILENT), (SILENT, SILENT)],
    ids=["silent mix", "silent target", "both"],
)
def test_silence_divides_nothing_and_warns_of_nothing(
    mix: Signal, target: Signal, recwarn: pytest.WarningsRecorder
) -> None:
    values = measure({"mix": mix}, target, RATE_HZ)["mix"]
    assert not any(math.isinf(value) for value in values.values())
    for name in ("centroid_difference_hz", "log_mel_distance_db", "width_difference",
                 "crest_difference_db", "dynamic_spread_difference_db", "band_panning_error",
                 "reverb_10_50_db", "true_peak_difference_db"):  # fmt: skip
        assert math.isnan(values[name]), name
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("of", [stereo_width, lambda s: stereo_image(s, RATE_HZ)])
def test_a_stereo_image_takes_two_channels(of: Callable[[Signal], object]) -> None:
    with pytest.raises(SettingError, match="takes 2"):
        of(noise(1, channels=1))
