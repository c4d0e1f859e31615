"""The figures of a report. matplotlib is loaded here.

Rows are systems or pairs, so that names can be long and a phone's width is enough.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from drummix.listening.statistics.analysis import Analysis, Verdict
from drummix.listening.statistics.power import ENOUGH, Power
from drummix.listening.statistics.reliability import repeated
from drummix.listening.statistics.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH_IN = 5.4
_COLOURS: Mapping[str, str] = {"reference": "#2f6f6a", "test": "#4c6a92", "anchor": "#b5502d"}
_GREY = "#8a8f98"
_STAMP = "SIMULATED"


def draw_figures(analysis: Analysis) -> dict[str, Figure]:
    """Every figure that the ratings allow, by name."""
    figures = {"violins": _violins(analysis.all_scores)}
    if analysis.scores is not None:
        figures["listeners"] = _listeners(analysis.scores)
    if analysis.pairs:
        figures["differences"] = _differences(analysis)
    if analysis.scores is not None and not isinstance(analysis.reliability, str):
        figures["repeats"] = _repeats(analysis.scores)
    if not isinstance(analysis.power, str):
        figures["power"] = _power(analysis.power)
    if analysis.n_simulated:
        for figure in figures.values():
            _stamp(figure)
    return figures


def rendered(figure: Figure, format: Literal["svg", "png", "pdf"]) -> bytes:
    """The figure as a file's content, the same bytes every time."""
    FigureCanvasAgg(figure)
    target = io.BytesIO()
    stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[format]
    with matplotlib.rc_context({"svg.hashsalt": "drummix", "svg.fonttype": "path"}):
        figure.savefig(target, format=format, dpi=150, metadata=stamp)
    return target.getvalue()


def _figure(n_rows: int, row_in: float, extra_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH_IN, extra_in + row_in * n_rows), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9)
    return figure, axis


def _system_rows(axis: Axes, scores: Scores) -> None:
    axis.set_yticks(range(len(scores.systems)), [_short(name) for name in scores.systems])
    axis.set_ylim(-0.6, len(scores.systems) - 0.4)
    axis.set_xlim(-1, 101)
    axis.set_xticks(range(0, 101, 20))
    axis.grid(axis="x", color="#e4e6ea")
    axis.set_axisbelow(True)


def _violins(scores: Scores) -> Figure:
    """The paper's figure 3: how often each score was given, with median and quartiles."""
    figure, axis = _figure(len(scores.systems), 0.5, 0.7)
    for row, role in enumerate(scores.roles):
        group = scores.first_scores(row)
        if not group.size:
            continue
        if group.size > 1 and np.ptp(group) > 0:
            drawn: Any = axis.violinplot(
                [group],
                positions=[row],
                orientation="horizontal",
                widths=0.85,
                showextrema=False,
                points=200,
            )
            drawn["bodies"][0].set(facecolor=_COLOURS[role], edgecolor="none", alpha=0.45)
        q1, median, q3 = np.quantile(group, [0.25, 0.5, 0.75])
        axis.plot([q1, q3], [row, row], color=_COLOURS[role], linewidth=4, solid_capstyle="butt")
        axis.plot(median, row, "o", color="white", markeredgecolor="black", markersize=6)
    _system_rows(axis, scores)
    axis.set_xlabel("score of each rating", fontsize=9)
    return figure


def _listeners(scores: Scores) -> Figure:
    """Each listener's mean of each system: what the paired tests see."""
    figure, axis = _figure(len(scores.systems), 0.42, 0.7)
    means = scores.listener_means()
    rows = np.arange(len(scores.systems))
    for listener in means:
        axis.plot(listener, rows, color=_GREY, linewidth=0.6, alpha=0.5)
    for row, role in enumerate(scores.roles):
        axis.plot(means[:, row], np.full(len(means), row), ".", color=_COLOURS[role], alpha=0.6)
        if len(means):
            axis.plot(means[:, row].mean(), row, "D", color="black", markersize=5)
    _system_rows(axis, scores)
    axis.set_xlabel("mean score of each listener; diamonds: mean of all", fontsize=9)
    return figure


def _differences(analysis: Analysis) -> Figure:
    """Every pair's mean difference with its interval, and the declared margin."""
    pairs = analysis.pairs[::-1]
    figure, axis = _figure(len(pairs), 0.27, 0.9)
    margin = analysis.declared.equivalence_margin
    if margin is not None:
        axis.axvspan(-margin, margin, color="#d9e8d2", linewidth=0)
    axis.axvline(0.0, color=_GREY, linewidth=1)
    for row, pair in enumerate(pairs):
        colour = "#222222" if pair.verdict.is_different else _COLOURS["test"]
        if np.isfinite(pair.difference.low):
            axis.plot([pair.difference.low, pair.difference.high], [row, row], color=colour)
        is_shown = pair.verdict is not Verdict.OPEN
        axis.plot(
            pair.difference.value,
            row,
            "o",
            color=colour if is_shown else "white",
            markeredgecolor=colour,
            markersize=5,
        )
    labels = [f"{_short(pair.first, 18)} - {_short(pair.second, 18)}" for pair in pairs]
    axis.set_yticks(range(len(pairs)), labels, fontsize=8)
    axis.set_ylim(-0.7, len(pairs) - 0.3)
    band = f"; green: within {margin:g} points" if margin is not None else ""
    axis.set_xlabel(f"mean difference, points, 95% interval\nfilled: shown{band}", fontsize=9)
    axis.grid(axis="x", color="#e4e6ea")
    axis.set_axisbelow(True)
    return figure


def _repeats(scores: Scores) -> Figure:
    """First against second rating."""
    _, first, second = repeated(scores)
    figure, axis = _figure(1, 3.6, 0.6)
    axis.plot([0, 100], [0, 100], color=_GREY, linewidth=1)
    axis.plot(first, second, ".", color=_COLOURS["test"], alpha=0.5, markeredgewidth=0)
    axis.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
    axis.set_xlabel("first score", fontsize=9)
    axis.set_ylabel("second score", fontsize=9)
    return figure


def _power(power: Power) -> Figure:
    """Power by number of listeners."""
    figure, axis = _figure(1, 2.8, 0.6)
    for (difference, values), shade in zip(
        power.differences.items(), ("#9db4d0", "#4c6a92", "#1f3350"), strict=False
    ):
        axis.plot(power.listeners, values, "o-", color=shade, label=f"{difference:g} points apart")
    if power.equivalence:
        axis.plot(
            power.listeners,
            power.equivalence,
            "s--",
            color="#5b8c3e",
            label=f"equal, shown within {power.margin:g}",
        )
    axis.axhline(ENOUGH, color=_GREY, linewidth=1)
    axis.set_ylim(0.0, 1.02)
    axis.set_xlabel("listeners", fontsize=9)
    axis.set_ylabel("power", fontsize=9)
    axis.legend(fontsize=8, framealpha=1.0, edgecolor="none")
    return figure


def _stamp(figure: Figure) -> None:
    figure.text(
        0.5,
        0.5,
        _STAMP,
        fontsize=38,
        color="#c0392b",
        alpha=0.16,
        ha="center",
        va="center",
        rotation=25,
        weight="bold",
    )


def _short(name: str, n: int = 26) -> str:
    """A name that leaves room for the figure; `$` would start a formula."""
    text = "".join(character if character.isprintable() else "?" for character in name)
    return (text if len(text) <= n else f"{text[: n - 1]}…").replace("$", r"\$")
