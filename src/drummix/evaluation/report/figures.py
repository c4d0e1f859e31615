"""The paper's Figures 4 and 5 for one item: waveforms and spectrograms, and one onset of the kick.

In: an item's excerpts. Out: PNG files. matplotlib is loaded here. Needs no display.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from drummix.audio import atomic_path
from drummix.evaluation.report.excerpts import ONSET_S, Excerpt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_COLUMNS = 1200
_RANGE_DB = 80.0
_COLOURS = ("#555555", "#0b6e99", "#c4511d", "#5b8a3a", "#8a4fa3", "#b08a00", "#a3324f", "#3c7d78")


def draw_waveforms_and_spectrograms(target: Path, excerpt: Excerpt, names: tuple[str, ...]) -> Path:
    """Waveform and spectrogram of each signal, below one another, all on the same scales.

    Args:
        target: The PNG to write.
        excerpt: The signals.
        names: Which of them, from top to bottom.
    """
    figure = _figure(9.0, 0.7 + 1.25 * len(names))
    axes = figure.subplots(len(names), 2, squeeze=False, sharex=True, sharey="col")
    peak = max(float(np.abs(excerpt.signals[name]).max(initial=0.0)) for name in names) or 1.0
    for row, (name, colour) in enumerate(zip(names, _cycled(len(names)), strict=True)):
        wave, spectrum = axes[row]
        samples = excerpt.signals[name].mean(axis=0)
        starts = np.linspace(0, samples.size, _COLUMNS, endpoint=False).astype(np.int64)
        low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
        wave.fill_between(starts / excerpt.rate_hz, low, high, color=colour, linewidth=0.3)
        wave.set_ylim(-peak, peak)
        wave.set_yticks([])
        wave.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        _draw_spectrogram(spectrum, samples, excerpt.rate_hz)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=8)
        axis.set_xlim(0.0, excerpt.duration_s)
    for axis in axes.ravel():
        axis.tick_params(labelsize=7)
    figure.suptitle(f"{excerpt.item}, from {excerpt.start_s:.2f} s, one loudness", fontsize=9)
    return _save(figure, target)


def draw_onset(target: Path, excerpt: Excerpt, names: tuple[str, ...]) -> Path:
    """One onset of the kick, each signal over the first, which is the reference.

    Args:
        target: The PNG to write.
        excerpt: The signals.
        names: Which of them; the first is drawn behind every other.
    """
    figure = _figure(9.0, 0.6 + 1.1 * (len(names) - 1))
    axes = figure.subplots(len(names) - 1, 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    reference = excerpt.onset(names[0])
    times_ms = 1000.0 * (ONSET_S[0] + np.arange(reference.size) / excerpt.rate_hz)
    colours = _cycled(len(names))
    for axis, name, colour in zip(axes, names[1:], colours[1:], strict=True):
        axis.plot(times_ms, reference, color=colours[0], linewidth=2.4, alpha=0.45)
        axis.plot(times_ms, excerpt.onset(name), color=colour, linewidth=0.9)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axis.set_yticks([])
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("milliseconds from the onset", fontsize=8)
    figure.suptitle(f"One kick of {excerpt.item}: the reference wide and grey", fontsize=9)
    return _save(figure, target)


def _draw_spectrogram(axis: Axes, samples: np.ndarray, rate_hz: int) -> None:
    window = min(2048, samples.size)
    hop = max(window // 8, samples.size // _COLUMNS)
    hz, times_s, power = signal.spectrogram(
        samples, rate_hz, nperseg=window, noverlap=max(0, window - hop), scaling="spectrum"
    )
    level_db = 10.0 * np.log10(np.maximum(power, 1e-13))
    # Level-matched signals: one scale shows what is too loud or missing.
    axis.pcolormesh(
        times_s, hz[1:], level_db[1:], shading="nearest", cmap="magma",
        vmin=-30.0 - _RANGE_DB, vmax=-30.0, rasterized=True,
    )  # fmt: skip
    axis.set_yscale("log")
    axis.set_ylim(30.0, min(20_000.0, rate_hz / 2))
    axis.set_yticks([100.0, 1000.0, 10_000.0])
    axis.set_yticklabels(["100", "1k", "10k"])
    axis.minorticks_off()


def _cycled(n: int) -> list[str]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(n)]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to load
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, target: Path) -> Path:
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)
    return target
