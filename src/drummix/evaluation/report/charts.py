"""Charts of the page as SVG: one dot an item, with median and quartiles, a row a system.

In: an `EvaluationTable`. Out: SVG text that takes its colours from the page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from drummix.corpus.manifest import Target
from drummix.evaluation.measuring import Metric
from drummix.evaluation.table import EvaluationTable, Spread, print_number

WIDTH = 640
_LABEL_WIDTH = 150
_ROW_HEIGHT = 30
_TOP, _BOTTOM, _RIGHT = 8, 34, 16
_N_TICKS = 6


def distribution_chart(table: EvaluationTable, target: Target, metric: Metric) -> str:
    """Every item's value of a metric, a row a system that was compared with the target."""
    values = {
        system: [
            (row.item, row.value)
            for row in table.measurements
            if (row.system, row.target, row.metric) == (system, target, metric.name)
            and not math.isnan(row.value)
        ]
        for system in table.systems
    }
    values = {system: found for system, found in values.items() if found}
    title = f"{metric.label}, {target} target: one dot an item, box from quartile to quartile"
    return dot_chart(values, title=title, axis=metric.label, digits=metric.digits)


def dot_chart(
    values: Mapping[str, Sequence[tuple[str, float]]], *, title: str, axis: str, digits: int
) -> str:
    """Rows of dots over one axis.

    Args:
        values: Row -> (name, value) of each dot.
        title: What the chart shows, for those who cannot see it.
        axis: Label of the axis.
        digits: Decimals of a value in print.
    """
    if not values:
        return ""
    known = [value for found in values.values() for _, value in found]
    ticks = nice_ticks(min(known), max(known))
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        share = (value - low) / (high - low)
        return round(_LABEL_WIDTH + share * (WIDTH - _LABEL_WIDTH - _RIGHT), 1)

    height = _TOP + _ROW_HEIGHT * len(values) + _BOTTOM
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(title)}"><title>{html.escape(title)}</title>'
    ]
    bottom = height - _BOTTOM
    step_digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for tick in ticks:
        parts.append(
            f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{_TOP}" y2="{bottom}"/>'
            f'<text class="tick" x="{x(tick)}" y="{bottom + 13}">'
            f"{tick + 0.0:.{step_digits}f}</text>"
        )
    middle = (_LABEL_WIDTH + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{height - 4}">{html.escape(axis)}</text>')
    for number, (row, found) in enumerate(values.items()):
        y = _TOP + (number + 0.5) * _ROW_HEIGHT
        parts += _row(row, found, x=x, y=y, colour=number, digits=digits)
    return "".join([*parts, "</svg>"])


def nice_ticks(low: float, high: float) -> list[float]:
    """About six round values that reach from below `low` to above `high`.

    >>> nice_ticks(3.2, 30.7)
    [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]
    """
    width = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-6)
    rough = width / _N_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _row(
    row: str,
    found: Sequence[tuple[str, float]],
    *,
    x: Callable[[float], float],
    y: float,
    colour: int,
    digits: int,
) -> list[str]:
    spread = Spread.of(value for _, value in found)
    # Dots are moved apart by a fixed pattern, not by chance: the chart is the same every time.
    offsets = (np.arange(len(found)) * 0.618034 % 1.0 - 0.5) * 0.6 * _ROW_HEIGHT
    name = row if len(row) <= 24 else row[:23] + "…"
    parts = [
        f'<text class="row" x="{_LABEL_WIDTH - 8}" y="{y + 4}">{html.escape(name)}</text>',
        f'<rect class="box c{colour % 8}" x="{x(spread.q1)}" y="{y - 10}" height="20" '
        f'width="{max(1.0, round(x(spread.q3) - x(spread.q1), 1))}"/>',
    ]
    parts += [
        f'<circle class="dot c{colour % 8}" cx="{x(value)}" cy="{y + offset:.1f}" r="2.4">'
        f"<title>{html.escape(item)}: {print_number(value, digits)}</title></circle>"
        for (item, value), offset in zip(found, offsets, strict=True)
    ]
    at = x(spread.median)
    parts.append(f'<line class="median" x1="{at}" x2="{at}" y1="{y - 11}" y2="{y + 11}"/>')
    return parts
