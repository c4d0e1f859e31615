"""Further tables for people: intervals, paired differences, and medians by style.

In: an `EvaluationTable` and a random generator. Out: `Grid`s, which become text, Markdown or HTML.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import numpy as np

from drummix.corpus.manifest import TARGETS
from drummix.evaluation.measuring import METRICS, Metric
from drummix.evaluation.statistics import (
    LEADING,
    N_DRAWS,
    Interval,
    MedianInterval,
    PairedDifference,
    median_intervals,
)
from drummix.evaluation.table import EvaluationTable, Grid, Measurement, Spread, print_number


def interval_grid(intervals: tuple[MedianInterval, ...]) -> Grid:
    """Medians of the leading metrics with their bootstrap intervals."""
    rows: dict[tuple[str, str], dict[str, Interval]] = {}
    for found in intervals:
        rows.setdefault((found.target, found.system), {})[found.metric] = found.interval
    heading = ["target", "system"]
    for metric in LEADING:
        heading += [metric.label, "95% interval"]
    cells = tuple(
        (*row, *(cell for metric in LEADING for cell in _cells(of_row[metric.name], metric)))
        for row, of_row in rows.items()
    )
    title = f"Medians and their 95% bootstrap intervals ({N_DRAWS:,} draws of the items)."
    return Grid(title, tuple(heading), cells)


def paired_grid(differences: tuple[PairedDifference, ...]) -> Grid:
    """Differences of every two systems on the same items."""
    rows: dict[tuple[str, str, str], dict[str, PairedDifference]] = {}
    for found in differences:
        rows.setdefault((found.target, found.first, found.second), {})[found.metric] = found
    heading = ["target", "system", "minus"]
    for metric in LEADING:
        heading += [metric.label, "95% interval", "better on"]
    cells = []
    for row, by_metric in rows.items():
        line = [*row]
        for metric in LEADING:
            found = by_metric[metric.name]
            line += _cells(found.interval, metric)
            line.append(f"{found.n_better} of {found.interval.n}")
        cells.append(tuple(line))
    title = "Paired differences on the same items, medians with 95% bootstrap intervals."
    return Grid(title, tuple(heading), tuple(cells))


def group_grid(table: EvaluationTable, title: str, group_of: Callable[[Measurement], str]) -> Grid:
    """Medians of the first leading metric by a group of the items.

    Args:
        table: All numbers.
        title: What the groups are, in one word.
        group_of: The group of a row.
    """
    metric = LEADING[0]
    values: dict[tuple[str, str, str], list[float]] = {}
    items: dict[str, set[str]] = {}
    for row in table.measurements:
        group = group_of(row)
        items.setdefault(group, set()).add(row.item)
        if row.metric == metric.name:
            values.setdefault((group, row.system, row.target), []).append(row.value)
    columns = [
        (system, target)
        for target in TARGETS
        for system in table.systems
        if any(key[1:] == (system, target) for key in values)
    ]
    rows = tuple(
        (
            group,
            str(len(items[group])),
            *(
                print_number(Spread.of(values.get((group, *column), [])).median, metric.digits)
                for column in columns
            ),
        )
        for group in sorted(items)
    )
    # A system that is compared with one target has it in its name.
    heading = (s if s.endswith(f"-{t}") else f"{s}, {t}" for s, t in columns)
    return Grid(f"By {title}, medians of {metric.label}.", (title, "items", *heading), rows)


def style_of(row: Measurement) -> str:
    """Style of an item without the name of its groove.

    >>> style_of(Measurement("i", "k", "funk/groove1", "unity", "dry", "mr_stft", 1.0))
    'funk'
    """
    return row.style.split("/")[0]


def all_metrics_grid(table: EvaluationTable) -> Grid:
    """Medians of every metric, a row a metric."""
    medians = {(s.metric, s.system, s.target): s.spread.median for s in table.summary()}
    columns = list(dict.fromkeys((s.system, s.target) for s in table.summary()))
    heading = (s if s.endswith(f"-{t}") else f"{s}, {t}" for s, t in columns)
    rows = tuple(
        (
            metric.label,
            metric.better,
            *(print_number(medians[(metric.name, *c)], metric.digits) for c in columns),
        )
        for metric in METRICS
    )
    return Grid("Every metric, medians.", ("metric", "better", *heading), rows)


def summary_csv(table: EvaluationTable, rng: np.random.Generator) -> str:
    """Summary of every metric: over all items and by kit, with the medians' intervals."""
    intervals = {
        (found.target, found.system, found.metric): found.interval
        for found in median_intervals(table, rng, metrics=METRICS)
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    statistics = ("n", "median", "q1", "q3", "low", "high")
    writer.writerow(["system", "target", "kit", "metric", *statistics, "ci_low", "ci_high"])
    for row in (*table.summary(), *(row for kit in table.kits for row in table.summary(kit=kit))):
        numbers = [getattr(row.spread, name) for name in statistics[1:]]
        if not row.kit:
            interval = intervals[row.target, row.system, row.metric]
            numbers += [interval.low, interval.high]
        cells = ["" if number != number else f"{number:.6g}" for number in numbers]
        cells += [""] * (7 - len(cells))
        writer.writerow([row.system, row.target, row.kit, row.metric, row.spread.n, *cells])
    return text.getvalue()


def differences_csv(differences: tuple[PairedDifference, ...]) -> str:
    """Paired differences, a row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["target", "metric", "first", "second", "n", "median", "ci_low", "ci_high", "n_better"]
    )
    for found in differences:
        interval = found.interval
        numbers = (interval.median, interval.low, interval.high)
        writer.writerow([
            found.target, found.metric, found.first, found.second, interval.n,
            *("" if number != number else f"{number:.6g}" for number in numbers), found.n_better,
        ])  # fmt: skip
    return text.getvalue()


def _cells(interval: Interval, metric: Metric) -> list[str]:
    low, high = (print_number(end, metric.digits) for end in (interval.low, interval.high))
    return [print_number(interval.median, metric.digits), f"{low} to {high}"]
