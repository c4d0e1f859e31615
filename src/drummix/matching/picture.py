"""The picture of a style: what each microphone's filters let through, and where it is panned."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drummix.audio import atomic_path
from drummix.errors import SettingError
from drummix.matching.describing import response_db
from drummix.mixers.style import Style

_DPI = 110
_COLUMNS = 4
_LEFT_COLOUR, _RIGHT_COLOUR = "#b5502d", "#4c6a92"
_RANGE_DB = 48.0


def draw_style(style: Style, target: Path | str) -> Path:
    """Draw the frequency response of every filter, fader and pan in it.

    Args:
        style: The style.
        target: The PNG to write.

    Raises:
        SettingError: If the name does not end in .png.
        OutputError: If the file cannot be written.
    """
    target = Path(target)
    if target.suffix.lower() != ".png":
        raise SettingError("target", target, "end it in .png")
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to load
    from matplotlib.figure import Figure

    n_columns = min(_COLUMNS, len(style.microphones))
    n_rows = -(-len(style.microphones) // n_columns)
    figure = Figure(figsize=(2.9 * n_columns, 0.9 + 2.3 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{style.name}: gain of each microphone's filters, dB", fontsize=11)
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    frequencies_hz = np.geomspace(30.0, min(20_000.0, 0.49 * style.rate_hz), 400)
    curves = [
        [response_db(row[np.newaxis], style.rate_hz, frequencies_hz) for row in mic.filters()]
        for mic in style.microphones
    ]
    top_db = float(np.ceil(max(np.max(pair) for pair in curves) / 6.0) * 6.0)
    for axis, mic, (left, right) in zip(axes, style.microphones, curves, strict=False):
        axis.semilogx(frequencies_hz, left, color=_LEFT_COLOUR, linewidth=1.4, label="left")
        axis.semilogx(
            frequencies_hz, right, color=_RIGHT_COLOUR, linewidth=1.4, linestyle="--", label="right"
        )
        known = "" if mic.is_learned else ", not learned"
        axis.set_title(
            f"{mic.role.value}  {mic.gain_db:+.1f} dB, pan {mic.pan:+.2f}{known}", fontsize=8
        )
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.tick_params(labelsize=7)
        axis.set_xticks([100, 1000, 10_000], ["100", "1k", "10k"])
    axes[0].set_ylim(top_db - _RANGE_DB, top_db)
    axes[0].legend(fontsize=7, loc="lower left")
    figure.supxlabel("Hz", fontsize=8)
    for axis in axes[len(style.microphones) :]:
        axis.set_visible(False)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)
    return target
