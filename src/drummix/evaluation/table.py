"""The results of an evaluation: every number, their summaries, and tables to read and to publish.

In: measurements, one a (item, system, target, metric). Out: CSV, plain data for JSON, Markdown.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from drummix.corpus.manifest import TARGETS, Target
from drummix.evaluation.measuring import METRICS
from drummix.notices import Notice

LEADING = tuple(metric for metric in METRICS if metric.is_leading)
OTHERS = tuple(metric for metric in METRICS if metric.is_printed and not metric.is_leading)


@dataclass(frozen=True)
class Measurement:
    """One number, a row of the tidy table.

    Args:
        item: Name of the item.
        kit: Its kit.
        style: Its style.
        system: What mixed it.
        target: What the mix was compared with.
        metric: Name of the metric.
        value: Its value; NaN where it has none.
    """

    item: str
    kit: str
    style: str
    system: str
    target: Target
    metric: str
    value: float


@dataclass(frozen=True)
class Failure:
    """An item, or a system on an item, that could not be evaluated.

    Args:
        item: Name of the item; empty where a system cannot work at all.
        system: The system that failed; empty where the item itself is broken.
        message: What is wrong, one line.
    """

    item: str
    system: str
    message: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.item, self.system) if part)
        return f"{where}: {self.message}"


@dataclass(frozen=True)
class Spread:
    """Where the values of a metric lie.

    Args:
        n: Number of values; those that are NaN are left out.
        median: Half of the values lie below.
        q1: A quarter of the values lie below (linear interpolation).
        q3: Three quarters of the values lie below.
        low: Smallest value.
        high: Largest value.
    """

    n: int
    median: float
    q1: float
    q3: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise values; all NaN, and `n` 0, where there is none.

        >>> Spread.of([4.0, 1.0, 2.0, 3.0, math.nan])
        Spread(n=4, median=2.5, q1=1.75, q3=3.25, low=1.0, high=4.0)
        """
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return cls(0, *(5 * [math.nan]))
        low, q1, median, q3, high = (float(q) for q in np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
        return cls(len(known), median, q1, q3, low, high)


@dataclass(frozen=True)
class Summary:
    """A metric of a system against a target, over all items or those of one kit.

    Args:
        system: The system.
        target: What it was compared with.
        kit: The kit; empty for all kits.
        metric: Name of the metric.
        spread: Where the values lie.
    """

    system: str
    target: Target
    kit: str
    metric: str
    spread: Spread


@dataclass(frozen=True)
class Grid:
    """A table for people: a title, a heading and rows of text."""

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_text(self) -> str:
        """The grid in columns, for a terminal."""
        widths = self._widths(shortest=0)
        lines = [self.title, ""]
        lines += ["  ".join(_padded(line, widths)).rstrip() for line in (self.heading, *self.rows)]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """The grid as a Markdown table."""
        widths = self._widths(shortest=3)
        rule = tuple("-" * width for width in widths)
        lines = [f"| {' | '.join(_padded(line, widths))} |" for line in (self.heading, *self.rows)]
        lines.insert(1, f"| {' | '.join(rule)} |")
        return "\n".join([self.title, "", *lines])

    def _widths(self, *, shortest: int) -> list[int]:
        columns = zip(self.heading, *self.rows, strict=True)
        return [max(shortest, *(len(cell) for cell in column)) for column in columns]


@dataclass(frozen=True)
class EvaluationTable:
    """Everything that an evaluation found.

    Args:
        part: The part of the corpus that was evaluated.
        kits: Kit -> number of its items that were tried.
        systems: The systems, in the order they were asked for.
        models: System -> name and checksum of its weights, for those that have any.
        measurements: Every number, items in order of evaluation.
        failures: What could not be evaluated.
        notices: What a person should know about the run.
        items: The items that were tried, in order.
    """

    part: str
    kits: Mapping[str, int]
    systems: tuple[str, ...]
    models: Mapping[str, str]
    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...]
    notices: tuple[Notice, ...] = ()
    items: tuple[str, ...] = ()

    @property
    def n_items(self) -> int:
        """Number of items that were tried."""
        return sum(self.kits.values())

    def summary(self, *, kit: str = "") -> tuple[Summary, ...]:
        """Every metric of every system, dry targets first, over all items or those of a kit."""
        values: dict[tuple[Target, str, str], list[float]] = {}
        for row in self.measurements:
            if kit in ("", row.kit):
                values.setdefault((row.target, row.system, row.metric), []).append(row.value)
        return tuple(
            Summary(system, target, kit, metric.name, Spread.of(found))
            for target in TARGETS
            for system in self.systems
            for metric in METRICS
            if (found := values.get((target, system, metric.name))) is not None
        )

    def to_csv(self) -> str:
        """The tidy table: item, kit, style, system, target, metric, value; empty for NaN."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([field.name for field in fields(Measurement)])
        for row in self.measurements:
            value = "" if math.isnan(row.value) else f"{row.value:.6g}"
            *labels, _ = asdict(row).values()
            writer.writerow([*labels, value])
        return text.getvalue()

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold; None for NaN."""
        summaries = [*self.summary(), *(row for kit in self.kits for row in self.summary(kit=kit))]
        return {
            "part": self.part,
            "items": self.n_items,
            "kits": dict(self.kits),
            "systems": list(self.systems),
            "models": dict(self.models),
            "summary": [_without_nan(asdict(row) | asdict(row.spread)) for row in summaries],
            "measurements": [_without_nan(asdict(row)) for row in self.measurements],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def grids(self) -> tuple[Grid, ...]:
        """The tables for people: the leading metrics, the same by kit, and all other metrics."""
        grids = [self._leading_grid()]
        if len(self.kits) > 1:
            grids.append(self._kit_grid())
        return (*grids, self._other_grid())

    def to_text(self) -> str:
        """All of `grids`, for a terminal."""
        return "\n\n".join([*(grid.to_text() for grid in self.grids()), *self._models_lines("")])

    def to_markdown(self) -> str:
        """All of `grids`, for a model card or a README."""
        grids = [grid.to_markdown() for grid in self.grids()]
        return "\n\n".join([*grids, *self._models_lines("- ")])

    def _models_lines(self, bullet: str) -> list[str]:
        models = [f"{bullet}{system}: {model}" for system, model in self.models.items()]
        return ["Weights:", "\n".join(models)] if models else []

    def _leading_grid(self) -> Grid:
        spreads = _by_row(self.summary())
        counts = ", ".join(f"{kit} {n}" for kit, n in self.kits.items())
        heading = ["target", "system", "items"]
        for metric in LEADING:
            heading += [metric.label, "IQR", "range"]
        rows = []
        for (target, system), found in spreads.items():
            cells = [target, system, str(found[LEADING[0].name].n)]
            for metric in LEADING:
                spread, digits = found[metric.name], metric.digits
                cells.append(print_number(spread.median, digits))
                cells.append(_range(spread.q1, spread.q3, digits))
                cells.append(_range(spread.low, spread.high, digits))
            rows.append(tuple(cells))
        title = (
            f"Part {self.part}, {self.n_items} items ({counts}): "
            "median, interquartile range (IQR) and range over the items."
        )
        return Grid(title, tuple(heading), tuple(rows))

    def _kit_grid(self) -> Grid:
        by_kit = {kit: _by_row(self.summary(kit=kit)) for kit in self.kits}
        heading = ["target", "system"]
        heading += [f"{kit}, {metric.label}" for kit in self.kits for metric in LEADING]
        rows = []
        for target, system in _by_row(self.summary()):
            cells: list[str] = [target, system]
            for kit in self.kits:
                found = by_kit[kit].get((target, system), {})
                for metric in LEADING:
                    spread = found.get(metric.name, Spread.of([]))
                    cells.append(print_number(spread.median, metric.digits))
            rows.append(tuple(cells))
        return Grid("By kit, medians.", tuple(heading), tuple(rows))

    def _other_grid(self) -> Grid:
        rows = tuple(
            (target, system, *(print_number(found[m.name].median, m.digits) for m in OTHERS))
            for (target, system), found in _by_row(self.summary()).items()
        )
        title = "Other metrics, medians; loudness, crest and L/R correlation are mix minus target."
        return Grid(title, ("target", "system", *(m.label for m in OTHERS)), rows)


def count_kits(kits: Iterable[str]) -> dict[str, int]:
    """Number of items of each kit, in the order of their names."""
    return dict(sorted(Counter(kits).items()))


def _by_row(summaries: Iterable[Summary]) -> dict[tuple[str, str], dict[str, Spread]]:
    """(target, system) -> metric -> spread, in the order of the summaries."""
    rows: dict[tuple[str, str], dict[str, Spread]] = {}
    for row in summaries:
        rows.setdefault((row.target, row.system), {})[row.metric] = row.spread
    return rows


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]


def print_number(value: float, digits: int) -> str:
    """A value with so many decimals; a dash for NaN.

    >>> print_number(-0.01, 1), print_number(math.nan, 2)
    ('0.0', '-')
    """
    if math.isnan(value):
        return "-"
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _range(low: float, high: float, digits: int) -> str:
    return (
        "-" if math.isnan(low) else f"{print_number(low, digits)} to {print_number(high, digits)}"
    )


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
        if name != "spread"
    }
