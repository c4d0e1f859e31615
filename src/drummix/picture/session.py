"""A picture of a session and its mixes: waveforms over one time axis, and a spectrogram.

In: samples. Out: a PNG. Needs no display.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from drummix.audio import Audio, atomic_path
from drummix.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float32]

_COLUMNS = 1600
_DPI = 110
_STEM_COLOUR, _LEFT_COLOUR, _RIGHT_COLOUR = "#4c6a92", "#b5502d", "#d99b3c"
_FLOOR_DB = -90.0


def draw_session(
    target: Path,
    *,
    title: str,
    stems: Sequence[tuple[str, FloatArray]],
    mixes: Mapping[str, Audio],
) -> Path:
    """Draw stems, mixes, and the spectrogram of the first mix.

    Args:
        target: The PNG to write.
        title: What stands above it.
        stems: Name and mono samples (N,) of each stem, at the mixes' rate.
        mixes: Name -> stereo mix, all at one rate.

    Returns:
        `target`.

    Raises:
        SettingError: If there is no mix to draw.
        OutputError: If the file cannot be written.
    """
    if not mixes:
        raise SettingError("mixes", (), "give at least one to draw", problem="is empty")
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to load
    from matplotlib.figure import Figure

    heights = [0.6] * len(stems) + [1.6] * len(mixes) + [3.2]
    figure = Figure(figsize=(11, 1.1 + 0.62 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    axes = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    first_name, first = next(iter(mixes.items()))
    duration_s = first.duration_s
    loudest = max((float(np.abs(samples).max(initial=0.0)) for _, samples in stems), default=0.0)
    for axis, (name, samples) in zip(axes, stems, strict=False):
        _draw_waveform(axis, samples, duration_s, _STEM_COLOUR, loudest or 1.0)
        _label(axis, name)
    for axis, (name, mix) in zip(axes[len(stems) :], mixes.items(), strict=False):
        peak = float(np.abs(mix.samples).max(initial=0.0)) or 1.0
        _draw_waveform(axis, mix.samples[0], duration_s, _LEFT_COLOUR, peak)
        _draw_waveform(axis, mix.samples[1], duration_s, _RIGHT_COLOUR, peak)
        _label(axis, name)
    _draw_spectrogram(axes[-1], first)
    _label(axes[-1], f"{first_name}\nspectrum, Hz")
    for axis in axes:
        axis.set_xlim(0.0, duration_s)
        axis.tick_params(labelsize=7)
    for axis in axes[:-1]:
        axis.set_xticklabels([])
        axis.set_yticks([])
    axes[-1].set_xlabel("seconds", fontsize=8)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)
    return target


def envelope(samples: FloatArray, n_columns: int) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest sample of each of `n_columns` equal stretches (fewer if too short).

    >>> low, high = envelope(np.array([0.0, 1.0, -1.0, 0.5], dtype=np.float32), 2)
    >>> low.tolist(), high.tolist()
    ([0.0, -1.0], [1.0, 0.5])
    """
    n_columns = max(1, min(n_columns, samples.size))
    starts = np.linspace(0, samples.size, n_columns, endpoint=False).astype(np.int64)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _draw_waveform(
    axis: Axes, samples: FloatArray, duration_s: float, colour: str, peak: float
) -> None:
    low, high = envelope(samples, _COLUMNS)
    times = np.linspace(0.0, duration_s, low.size)
    axis.fill_between(times, low, high, color=colour, linewidth=0.4, alpha=0.75)
    axis.set_ylim(-1.05 * peak, 1.05 * peak)


def _label(axis: Axes, name: str) -> None:
    axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)


def _draw_spectrogram(axis: Axes, mix: Audio) -> None:
    mono = mix.samples.mean(axis=0)
    window = min(2048, mono.size)
    hz, times, power = signal.spectrogram(
        mono, mix.rate_hz, nperseg=window, noverlap=window * 3 // 4, scaling="spectrum"
    )
    level_db = 10.0 * np.log10(np.maximum(power, 1e-12))
    # At most one column a pixel: a long mix would take long to draw and show no more.
    step = max(1, times.size // _COLUMNS)
    # Without the lowest band: 0 Hz has no place on a logarithmic axis.
    axis.pcolormesh(
        times[::step],
        hz[1:],
        level_db[1:, ::step],
        shading="nearest",
        cmap="magma",
        vmin=_FLOOR_DB,
        vmax=max(float(level_db.max()), _FLOOR_DB + 1.0),
        rasterized=True,
    )
    axis.set_yscale("log")
    axis.set_ylim(30.0, min(20_000.0, mix.rate_hz / 2))
    axis.set_yticks([50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0])
    axis.set_yticklabels(["50", "100", "200", "500", "1k", "2k", "5k", "10k"])
    axis.minorticks_off()
