"""Any files against a reference: brought to one rate, channel count and length, then measured.

In: paths. Out: the metrics of each mix, and what was done to compare it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from drummix.audio import Audio, read, resample
from drummix.errors import AudioFileError, SettingError
from drummix.evaluation.measuring import METRICS, METRICS_RATE_HZ, Metric, measure
from drummix.evaluation.metrics import level_matched
from drummix.evaluation.perceptual import ZIMTOHRLI, zimtohrli_distance
from drummix.evaluation.spectral import MIN_SAMPLES
from drummix.evaluation.table import Grid, print_number
from drummix.notices import Code, Notice

FloatArray = NDArray[np.float32]

MAX_LAG_S = 1.0
"""How far apart two files may be to be aligned."""

SHORTEST_SHARE = 0.5
"""A mix must share at least this much of the longer file to be compared."""


@dataclass(frozen=True)
class Comparison:
    """Mixes measured against a reference.

    Args:
        reference: The reference's file.
        values: File -> metric -> value; NaN where it has none.
        notices: What a person should know.
        metrics: What was measured, in order.
    """

    reference: Path
    values: Mapping[Path, Mapping[str, float]]
    notices: tuple[Notice, ...]
    metrics: tuple[Metric, ...] = METRICS

    def grid(self) -> Grid:
        """A row a metric, a column a mix."""
        heading = ("metric", "better", *(path.name for path in self.values))
        rows = tuple(
            (
                metric.label,
                metric.better,
                *(print_number(of[metric.name], metric.digits) for of in self.values.values()),
            )
            for metric in self.metrics
        )
        title = f"Against {self.reference.name}; differences are mix minus reference."
        return Grid(title, heading, rows)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold; None for NaN."""
        return {
            "reference": str(self.reference),
            "rate_hz": METRICS_RATE_HZ,
            "mixes": [
                {
                    "file": str(path),
                    "metrics": {n: None if math.isnan(v) else v for n, v in values.items()},
                }
                for path, values in self.values.items()
            ],
            "notices": [notice.to_dict() for notice in self.notices],
        }

    def to_csv(self) -> str:
        """A row a mix and metric."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["reference", "mix", "metric", "value"])
        for path, values in self.values.items():
            for metric in self.metrics:
                value = values[metric.name]
                cell = "" if math.isnan(value) else f"{value:.6g}"
                writer.writerow([self.reference, path, metric.name, cell])
        return text.getvalue()


def compare(
    reference: Path | str,
    mixes: Sequence[Path | str],
    *,
    align: bool = False,
    is_perceptual: bool = False,
) -> Comparison:
    """Measure mixes against a reference.

    A mix of another rate is resampled to the reference's; a mono file is heard from both sides;
    of files of different lengths the shared beginning is compared. All are measured at 44.1 kHz.
    Each is said in the notices.

    Args:
        reference: What the mixes should be.
        mixes: The files to measure.
        align: Move each mix by up to a second to where it fits the reference best.
        is_perceptual: Ask a model of hearing too, see `drummix.evaluation.perceptual`.

    Raises:
        MissingExtraError: If the model of hearing is not installed.
        AudioFileError: If a file is missing or damaged, has more than two channels, or the
            reference is silent, or too little is shared.
        SettingError: If there is no mix, or one is given twice.
    """
    path = Path(reference)
    paths = [Path(mix) for mix in mixes]
    if not paths:
        raise SettingError("mixes", (), "name at least one file", problem="is empty")
    if len(set(paths)) < len(paths):
        twice = next(each for each in paths if paths.count(each) > 1)
        twice_said = f"names {twice} twice"
        raise SettingError("mixes", twice, "name each mix once", problem=twice_said)
    notices: list[Notice] = []
    target = _stereo(path, read(path), notices)
    if target.rate_hz != METRICS_RATE_HZ:
        rates = {"from_hz": target.rate_hz, "to_hz": METRICS_RATE_HZ}
        notices.append(Notice(Code.COMPARED_RESAMPLED, path.name, rates))
    if not np.any(target.samples):
        raise AudioFileError(f"{path} is silent: there is nothing to compare a mix with")
    values = {}
    for each in paths:
        mix, wanted = (
            resample(one, target.rate_hz, METRICS_RATE_HZ)
            for one in _brought_together(each, target, path, align, notices)
        )
        values[each] = measure({"": mix}, wanted, METRICS_RATE_HZ)[""]
        if is_perceptual:
            matched = level_matched(mix, wanted, METRICS_RATE_HZ)
            values[each][ZIMTOHRLI.name] = zimtohrli_distance(matched, wanted, METRICS_RATE_HZ)
    metrics = (*METRICS, ZIMTOHRLI) if is_perceptual else METRICS
    return Comparison(path, values, tuple(notices), metrics)


def best_lag(mix: FloatArray, reference: FloatArray, max_lag: int) -> int:
    """By how many samples a mix is late (negative: early), from the peak of the correlation.

    Args:
        mix: Samples (channels, samples).
        reference: What it should be, (channels, samples).
        max_lag: Largest lag to look for, in samples.

    Returns:
        The lag with the largest correlation, of either sign; 0 for silence.
    """
    correlation = np.sum(
        [signal.correlate(a, b, mode="full") for a, b in zip(mix, reference, strict=True)], axis=0
    )
    lags = signal.correlation_lags(mix.shape[1], reference.shape[1], mode="full")
    near = np.abs(lags) <= max_lag
    size = np.abs(correlation[near])
    return int(lags[near][int(np.argmax(size))]) if np.any(size) else 0


def _brought_together(
    path: Path, target: Audio, reference: Path, align: bool, notices: list[Notice]
) -> tuple[FloatArray, FloatArray]:
    """A mix, and as much of the reference as it is compared with."""
    rate_hz = target.rate_hz
    sound = read(path)
    if sound.rate_hz != rate_hz:
        rates = {"from_hz": sound.rate_hz, "to_hz": rate_hz}
        notices.append(Notice(Code.COMPARED_RESAMPLED, path.name, rates))
        sound = read(path, rate_hz=rate_hz)
    mix, wanted = _stereo(path, sound, notices).samples, target.samples
    if not np.any(mix):
        notices.append(Notice.of(Code.COMPARED_SILENT, path.name))
    lag = best_lag(mix, wanted, round(MAX_LAG_S * rate_hz))
    if lag:
        code = Code.COMPARED_ALIGNED if align else Code.COMPARED_LATE
        notices.append(Notice.of(code, path.name, late_samples=lag))
        if align:
            mix, wanted = mix[:, max(0, lag) :], wanted[:, max(0, -lag) :]
    shared = min(mix.shape[1], wanted.shape[1])
    longer = max(mix.shape[1], wanted.shape[1])
    if shared < SHORTEST_SHARE * longer or shared < MIN_SAMPLES:
        raise AudioFileError(
            f"{path} is {sound.duration_s:.2f} s long but {reference} {target.duration_s:.2f} s; "
            "give mixes of the same music"
        )
    if shared < longer and not (align and longer - shared <= abs(lag)):
        which = path if mix.shape[1] > shared else reference
        lengths = {"longer_s": (longer - shared) / rate_hz, "shared_s": shared / rate_hz}
        notices.append(Notice(Code.COMPARED_LONGER, which.name, lengths))
    return mix[:, :shared], wanted[:, :shared]


def _stereo(path: Path, sound: Audio, notices: list[Notice]) -> Audio:
    if sound.n_channels > 2:
        raise AudioFileError(f"{path} has {sound.n_channels} channels; expected 1 or 2")
    if sound.n_channels == 2:
        return sound
    notices.append(Notice.of(Code.COMPARED_MONO, path.name))
    return Audio(np.concatenate([sound.samples, sound.samples]), sound.rate_hz)
