"""All metrics of several mixes against one reference, what belongs to the reference made once.

In: stereo mixes and what they should be. Out: name -> metric -> value. `METRICS` says what each
metric is called, in which unit it is printed and which way is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drummix.evaluation.hits import (
    REVERB_WINDOWS_MS,
    attack_difference_db,
    attack_error_db,
    find_hits,
    reverb_levels_db,
)
from drummix.evaluation.metrics import (
    at_gain,
    crest_difference_db,
    dynamic_spread_difference_db,
    l1_relative,
    left_right_correlation,
    lufs_difference_db,
    sdr_db,
    si_sdr_by_channel_db,
    si_sdr_db,
    true_peak_difference_db,
)
from drummix.evaluation.spectral import band_error_db, mr_stft_distances, octave_band_levels_db
from drummix.evaluation.stereo import image_differences, stereo_image, stereo_width
from drummix.evaluation.timbre import timbre, timbre_differences

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Metric:
    """What a metric is called and how it is printed.

    Args:
        name: Its name in the tables for programs.
        label: Its heading.
        digits: Decimals in print.
        better: Which way is better: up, down, or nearer to zero.
        is_leading: Whether it leads the printed tables.
        is_printed: Whether it stands in the printed tables at all; all are in the CSV.
    """

    name: str
    label: str
    digits: int
    better: Literal["higher", "lower", "nearer to 0"]
    is_leading: bool = False
    is_printed: bool = False


METRICS: tuple[Metric, ...] = (
    Metric("si_sdr_db", "SI-SDR (dB)", 1, "higher", is_leading=True, is_printed=True),
    Metric("mr_stft", "MR-STFT", 2, "lower", is_leading=True, is_printed=True),
    Metric("sdr_db", "SDR (dB)", 1, "higher", is_printed=True),
    Metric("l1_relative", "L1, relative", 3, "lower", is_printed=True),
    Metric("lufs_difference_db", "loudness (LU)", 1, "nearer to 0", is_printed=True),
    Metric("crest_difference_db", "crest (dB)", 1, "nearer to 0", is_printed=True),
    Metric("correlation_difference", "L/R correlation", 3, "nearer to 0", is_printed=True),
    Metric("octave_balance_db", "octave balance (dB)", 1, "lower", is_printed=True),
    Metric("si_sdr_left_db", "SI-SDR, left (dB)", 1, "higher"),
    Metric("si_sdr_right_db", "SI-SDR, right (dB)", 1, "higher"),
    Metric("sum_difference_mr_stft", "MR-STFT, sum/difference", 2, "lower"),
    Metric("log_mel_distance_db", "log-mel (dB)", 2, "lower"),
    Metric("true_peak_difference_db", "true peak (dB)", 1, "nearer to 0"),
    Metric("dynamic_spread_difference_db", "dynamic spread (dB)", 2, "nearer to 0"),
    Metric("centroid_difference_hz", "centroid (Hz)", 0, "nearer to 0"),
    Metric("bandwidth_difference_hz", "bandwidth (Hz)", 0, "nearer to 0"),
    Metric("rolloff_difference_hz", "roll-off (Hz)", 0, "nearer to 0"),
    Metric("flatness_difference_db", "flatness (dB)", 2, "nearer to 0"),
    Metric("contrast_difference_db", "contrast (dB)", 2, "nearer to 0"),
    Metric("width_difference", "width", 3, "nearer to 0"),
    Metric("band_correlation_error", "L/R correlation by octave", 3, "lower"),
    Metric("band_panning_error", "panning by octave", 3, "lower"),
    Metric("attack_error_db", "error of attacks (dB)", 1, "lower"),
    Metric("attack_difference_db", "attacks (dB)", 2, "nearer to 0"),
    *(
        Metric(f"reverb_{start}_{stop}_db", f"after hits, {start}-{stop} ms (dB)", 2, "nearer to 0")
        for start, stop in REVERB_WINDOWS_MS
    ),
)
"""Everything that `measure` measures; the leading two first."""


METRICS_RATE_HZ = 44_100
"""Rate of the corpora. Frames and spectra are counted in samples, as the metrics' authors do, so
that values at another rate are other ones and are not to be set beside these."""


def measure(
    mixes: Mapping[str, FloatArray], target: FloatArray, rate_hz: int
) -> dict[str, dict[str, float]]:
    """All metrics of several mixes against one target.

    Args:
        mixes: Name -> mix (2, samples).
        target: What each should be, (2, samples).
        rate_hz: Sample rate in Hz of all; values at different rates do not compare.

    Returns:
        Name -> metric -> value, metrics as in `METRICS`. SDR, loudness and true peak are of the mix
        as it is, all others at the loudness of the target.
    """
    if not mixes:
        return {}
    louder_db = {name: lufs_difference_db(mix, target, rate_hz) for name, mix in mixes.items()}
    matched = {name: at_gain(mix, -louder_db[name]) for name, mix in mixes.items()}
    distances = mr_stft_distances(list(matched.values()), target)
    image_distances = _sum_difference_distances(list(matched.values()), target)
    at_one_loudness = _against(target, rate_hz)
    return {
        name: {
            "mr_stft": distance,
            "sum_difference_mr_stft": image_distance,
            "sdr_db": sdr_db(mixes[name], target),
            "lufs_difference_db": louder_db[name],
            "true_peak_difference_db": true_peak_difference_db(mixes[name], target, rate_hz),
            **at_one_loudness(mix),
        }
        for (name, mix), distance, image_distance in zip(
            matched.items(), distances, image_distances, strict=True
        )
    }


def _against(target: FloatArray, rate_hz: int) -> Callable[[FloatArray], dict[str, float]]:
    """Measures level-matched mixes against a target, of which all features are made here."""
    correlation, width = left_right_correlation(target), stereo_width(target)
    bands_db, image = octave_band_levels_db(target, rate_hz), stereo_image(target, rate_hz)
    target_timbre = timbre(target, rate_hz)
    hits = find_hits(target, rate_hz)
    reverb_db = reverb_levels_db(target, hits, rate_hz)

    def measured(mix: FloatArray) -> dict[str, float]:
        left_db, right_db = si_sdr_by_channel_db(mix, target)
        reverb = zip(
            REVERB_WINDOWS_MS, reverb_levels_db(mix, hits, rate_hz), reverb_db, strict=True
        )
        return {
            "si_sdr_db": si_sdr_db(mix, target),
            "si_sdr_left_db": left_db,
            "si_sdr_right_db": right_db,
            "l1_relative": l1_relative(mix, target),
            "crest_difference_db": crest_difference_db(mix, target),
            "dynamic_spread_difference_db": dynamic_spread_difference_db(mix, target, rate_hz),
            "correlation_difference": left_right_correlation(mix) - correlation,
            "width_difference": stereo_width(mix) - width,
            "octave_balance_db": band_error_db(octave_band_levels_db(mix, rate_hz), bands_db),
            **image_differences(stereo_image(mix, rate_hz), image),
            **timbre_differences(timbre(mix, rate_hz), target_timbre),
            "attack_error_db": attack_error_db(mix, target, hits, rate_hz),
            "attack_difference_db": attack_difference_db(mix, target, hits, rate_hz),
            **{
                f"reverb_{start}_{stop}_db": of_mix_db - of_target_db if np.any(mix) else math.nan
                for (start, stop), of_mix_db, of_target_db in reverb
            },
        }

    return measured


def _sum_difference_distances(mixes: list[FloatArray], target: FloatArray) -> list[float]:
    """`sum_difference_mr_stft_distance` of several mixes, the target's spectra made once."""
    middles = mr_stft_distances([mix[:1] + mix[1:] for mix in mixes], target[:1] + target[1:])
    sides = mr_stft_distances([mix[:1] - mix[1:] for mix in mixes], target[:1] - target[1:])
    return [(middle + side) / 2.0 for middle, side in zip(middles, sides, strict=True)]
