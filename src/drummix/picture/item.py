"""A picture of one item of a corpus: hits, microphones, and its dry and wet mix.

In: an item of a corpus. Out: a PNG. Needs no display.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from drummix.audio import Audio, atomic_path
from drummix.corpus.hits import ItemHit, read_item_hits
from drummix.corpus.items import SessionItem, read_mix, read_stem
from drummix.corpus.kit import Piece
from drummix.corpus.manifest import TARGETS, CorpusItem
from drummix.corpus.opening import open_corpus
from drummix.errors import CorpusError, SettingError
from drummix.levels import SILENCE_DBFS, peak_dbfs
from drummix.picture.session import envelope
from drummix.roles import PAPER_ROLES, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float32]

_COLUMNS = 1600
_DPI = 110
_FLOOR_DB = -90.0
_STEM_COLOUR, _LEFT_COLOUR, _RIGHT_COLOUR = "#4c6a92", "#b5502d", "#d99b3c"
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)

# Colours that are told apart by readers who confuse red and green, too (Okabe and Ito).
_PIECES: tuple[tuple[str, tuple[Piece, ...], str], ...] = (
    ("cymbals", (Piece.CRASH, Piece.RIDE), "#e69f00"),
    ("hi-hat", (Piece.HIHAT,), "#009e73"),
    ("toms", (Piece.TOM_1, Piece.TOM_2, Piece.TOM_3, Piece.TOM_4), "#cc79a7"),
    ("snare", (Piece.SNARE,), "#d55e00"),
    ("kick", (Piece.KICK,), "#000000"),
)
"""Lanes of the hits, from the top: name, pieces, colour."""

# The lane whose hits a microphone is there for.
_LANE_OF: Mapping[Role, str] = {
    Role.KICK: "kick",
    Role.SNARE: "snare",
    Role.HIHAT: "hi-hat",
    Role.TOM_MID: "toms",
    Role.TOM_LOW: "toms",
    Role.TOM_MID_LOW: "toms",
    Role.OVERHEAD_LEFT: "cymbals",
    Role.OVERHEAD_RIGHT: "cymbals",
}


@dataclass(frozen=True)
class ItemPicture:
    """What is drawn of an item.

    Args:
        title: What stands above it.
        stems: Role -> mono samples (N,); None for a microphone that there was not.
        mixes: Name -> stereo mix, all of one rate and the stems' length.
        hits: Its strokes, seconds from the start; None where they are not known.
        start_s: Where in the item the samples begin, for the time axis.
    """

    title: str
    stems: Mapping[Role, FloatArray | None]
    mixes: Mapping[str, Audio]
    hits: Sequence[ItemHit] | None
    start_s: float = 0.0

    @property
    def end_s(self) -> float:
        """Where in the item the samples end."""
        return self.start_s + next(iter(self.mixes.values())).duration_s


def draw_item(
    corpus: Path | str,
    item: str,
    target: Path,
    *,
    start_s: float = 0.0,
    length_s: float | None = None,
) -> Path:
    """Draw an item of a corpus: its hits, microphones, mixes and their spectra.

    Args:
        corpus: What `drummix.corpus.opening.open_corpus` opens.
        item: Name of the item.
        target: The PNG to write.
        start_s: Where to begin, seconds.
        length_s: How much to draw, seconds; None draws to the end.

    Returns:
        `target`.

    Raises:
        AudioFileError: If a file of the item is missing or damaged.
        CorpusError: If there is no such item, or its record is damaged.
        OutputError: If the file cannot be written.
        SettingError: If the stretch lies outside the item, or the file is no ``.png``.
    """
    if target.suffix.lower() != ".png":
        raise SettingError("target", target, "give a picture a name that ends in .png")
    opened = open_corpus(corpus)
    found = next((one for one in opened.items if one.item == item), None)
    if found is None:
        broken = next((left for left in opened.left_out if left.item == item), None)
        if broken is not None:
            raise CorpusError(f"{item} cannot be drawn: {broken.problem}")
        raise CorpusError(
            f"{opened.name} has no item {item!r}; one that it has: {opened.part(None)[0].item}"
        )
    return draw_picture(target, _picture_of(opened.folder, found, start_s, length_s))


def _picture_of(
    corpus: Path, item: SessionItem, start_s: float, length_s: float | None
) -> ItemPicture:
    wanted_s = item.duration_s if length_s is None else length_s
    if not (0.0 <= start_s < item.duration_s and wanted_s > 0.0):
        raise SettingError(
            "start_s",
            start_s,
            f"{item.item} lasts {item.duration_s:.1f} s",
            problem=f"is {start_s:g}, and {wanted_s:g} s from there are to be drawn",
        )
    start, end = round(start_s * item.rate_hz), item.n_samples
    if start_s + wanted_s < item.duration_s:
        end = max(start + 1, round((start_s + wanted_s) * item.rate_hz))
    start = min(start, end - 1)
    stems: dict[Role, FloatArray | None] = {}
    for role in PAPER_ROLES:
        stem = read_stem(corpus, item, role)
        stems[role] = None if stem is None else stem[0, start:end]
    mixes = {
        f"{target} mix": Audio(read_mix(corpus, item, target)[:, start:end], item.rate_hz)
        for target in TARGETS
    }
    hits = read_item_hits(corpus, item.item) if isinstance(item, CorpusItem) else None
    title = f"{item.item}: {item.kit}, {item.style}, part {item.part}"
    return ItemPicture(title, stems, mixes, hits, start / item.rate_hz)


def draw_picture(target: Path, picture: ItemPicture) -> Path:
    """Draw what `draw_item` has read.

    Raises:
        OutputError: If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to load
    from matplotlib.figure import Figure

    heights = [1.3] + [0.62] * len(picture.stems) + [1.25] * len(picture.mixes)
    heights += [2.2] * len(picture.mixes)
    figure = Figure(figsize=(11, 1.0 + 0.68 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(picture.title, fontsize=11)
    axes = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    _draw_hits(axes[0], picture)
    rows = iter(axes[1:])
    for role, stem in picture.stems.items():
        _draw_stem(next(rows), role, stem, picture)
    for name, mix in picture.mixes.items():
        _draw_mix(next(rows), name, mix, picture)
    _draw_spectrograms(figure, list(rows), picture)
    for axis in axes:
        axis.set_xlim(picture.start_s, picture.end_s)
        axis.tick_params(labelsize=7)
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False, bottom=False)
    axes[-1].set_xlabel("seconds", fontsize=8)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)
    return target


def _in_lane(picture: ItemPicture, pieces: Sequence[Piece]) -> list[ItemHit]:
    return [
        hit
        for hit in picture.hits or ()
        if hit.piece in pieces and picture.start_s <= hit.time_s < picture.end_s
    ]


def _draw_hits(axis: Axes, picture: ItemPicture) -> None:
    """One lane for each kind of piece; the height of a line is the stroke's velocity."""
    for lane, (_, pieces, colour) in enumerate(reversed(_PIECES)):
        hits = _in_lane(picture, pieces)
        axis.vlines(
            [hit.time_s for hit in hits],
            lane,
            [lane + 0.85 * hit.velocity / 127 for hit in hits],
            color=colour,
            linewidth=1.4,
        )
        axis.axhline(lane, color="0.85", linewidth=0.6, zorder=0)
    axis.set_ylim(-0.1, len(_PIECES))
    axis.set_yticks([lane + 0.4 for lane in range(len(_PIECES))])
    axis.set_yticklabels([name for name, _, _ in reversed(_PIECES)])
    axis.tick_params(axis="y", length=0)
    title = "hits (height: velocity)" if picture.hits is not None else "hits: not known"
    axis.set_title(title, fontsize=8, loc="left", pad=2)


def _draw_stem(axis: Axes, role: Role, stem: FloatArray | None, picture: ItemPicture) -> None:
    """A microphone at a scale of its own, its level beside it, its own hits behind it."""
    _label(axis, str(role).replace("_", " "))
    axis.set_yticks([])
    if stem is None or not stem.any():
        why = "no microphone" if stem is None else "silent"
        axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", va="center", fontsize=8)
        return
    lane = next(lane for lane in _PIECES if lane[0] == _LANE_OF[role])
    hits = _in_lane(picture, lane[1])
    peak = float(np.abs(stem).max())
    axis.vlines(
        [hit.time_s for hit in hits],
        -1.05 * peak,
        1.05 * peak,
        color=lane[2],
        linewidth=0.6,
        alpha=0.45,
    )
    _draw_waveform(axis, stem, picture)
    axis.set_ylim(-1.05 * peak, 1.05 * peak)
    _beside(axis, f"{max(peak_dbfs(stem), SILENCE_DBFS):.1f} dBFS")


def _draw_mix(axis: Axes, name: str, mix: Audio, picture: ItemPicture) -> None:
    """Left above the line and right below it: over each other, one would hide the other."""
    peak = float(np.abs(mix.samples).max(initial=0.0)) or 1.0
    for samples, colour, side, sign in zip(
        mix.samples, (_LEFT_COLOUR, _RIGHT_COLOUR), ("left", "right"), (1.0, -1.0), strict=True
    ):
        _, high = envelope(np.abs(samples), _COLUMNS)
        times = np.linspace(picture.start_s, picture.end_s, high.size)
        axis.fill_between(times, 0.0, sign * high, color=colour, linewidth=0.4, label=side)
    axis.set_ylim(-1.05 * peak, 1.05 * peak)
    axis.set_yticks([])
    _label(axis, name)
    _beside(axis, f"{peak_dbfs(mix.samples):.1f} dBFS")
    axis.legend(
        loc="lower left", bbox_to_anchor=(1.0, -0.06), fontsize=7, frameon=False, handlelength=1.0
    )


def _draw_waveform(axis: Axes, samples: FloatArray, picture: ItemPicture) -> None:
    low, high = envelope(samples, _COLUMNS)
    times = np.linspace(picture.start_s, picture.end_s, low.size)
    axis.fill_between(times, low, high, color=_STEM_COLOUR, linewidth=0.4, alpha=0.75, zorder=2)


def _draw_spectrograms(figure: Figure, axes: list[Axes], picture: ItemPicture) -> None:
    """The spectra of the mixes on one scale of colours, so that they can be compared."""
    spectra = [_levels_db(mix) for mix in picture.mixes.values()]
    loudest_db = max(float(levels_db.max()) for _, _, levels_db in spectra)
    top_db = max(loudest_db, _FLOOR_DB + 1.0)
    for axis, name, mix, (hz, times, levels_db) in zip(
        axes, picture.mixes, picture.mixes.values(), spectra, strict=True
    ):
        mesh = axis.pcolormesh(
            picture.start_s + times,
            hz,
            levels_db,
            shading="nearest",
            cmap="magma",
            vmin=_FLOOR_DB,
            vmax=top_db,
            rasterized=True,
        )
        axis.set_yscale("log")
        axis.set_ylim(30.0, min(20_000.0, mix.rate_hz / 2))
        axis.set_yticks(_TICKS_HZ)
        axis.set_yticklabels([f"{f / 1000:g}k" if f >= 1000 else str(f) for f in _TICKS_HZ])
        axis.minorticks_off()
        _label(axis, f"{name},\nHz", away=38)
    bar = figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.035, aspect=30)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("dB", fontsize=8)


def _levels_db(mix: Audio) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Frequencies, times and levels of the middle of a mix; no more columns than can be seen."""
    middle = mix.samples.mean(axis=0)
    window = min(2048, middle.size)
    hz, times, power = signal.spectrogram(
        middle, mix.rate_hz, nperseg=window, noverlap=window * 3 // 4, scaling="spectrum"
    )
    step = max(1, times.size // _COLUMNS)
    # Without the lowest band: 0 Hz has no place on a logarithmic axis.
    return hz[1:], times[::step], 10.0 * np.log10(np.maximum(power[1:, ::step], 1e-12))


def _label(axis: Axes, name: str, *, away: float = 6) -> None:
    axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8, labelpad=away)


def _beside(axis: Axes, text: str) -> None:
    axis.text(1.006, 0.75, text, transform=axis.transAxes, fontsize=7, va="center", ha="left")
