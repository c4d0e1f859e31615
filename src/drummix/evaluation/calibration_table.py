"""The figures of a calibration and the table that sets them beside human mixes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drummix.evaluation.reverb import WINDOWS_S
from drummix.evaluation.spectral import OCTAVE_CENTRES_HZ
from drummix.evaluation.table import Failure, Grid, Spread, count_kits

OCTAVE_LIMIT_DB = 3.0
"""Human wet and dry mixes differ by no more than this in most octaves."""

WANTED_SHARE = 0.9
"""A figure with fewer of its items inside the human range is outside."""

_OCTAVES_INSIDE = 0.8


@dataclass(frozen=True)
class CalibrationFigure:
    """One thing that is measured of an item.

    Args:
        name: Its name in the data.
        label: Its name in the tables.
        digits: Decimals in print.
        low: Lowest value of human mixes; None where theirs is not known.
        high: Highest value of human mixes; None where theirs is not known.
    """

    name: str
    label: str
    digits: int
    low: float | None = None
    high: float | None = None

    @property
    def human(self) -> str:
        """The human range in print."""
        if self.low is None or self.high is None:
            return "-"
        return f"{self.low:.{self.digits}f} to {self.high:.{self.digits}f}"

    def is_inside(self, value: float) -> bool:
        """Whether a value lies in the human range; True where there is none."""
        return self.low is None or self.high is None or self.low <= value <= self.high


def _octave(centre_hz: float) -> CalibrationFigure:
    place = f"{centre_hz / 1000:g} kHz" if centre_hz >= 1000 else f"{centre_hz:.0f} Hz"
    return CalibrationFigure(
        f"octave_{centre_hz:.0f}_hz_db",
        f"wet - dry, octave at {place} (dB)",
        1,
        -OCTAVE_LIMIT_DB,
        OCTAVE_LIMIT_DB,
    )


def _windows(
    name: str, label: str, *ranges: tuple[float | None, float | None]
) -> tuple[CalibrationFigure, ...]:
    return tuple(
        CalibrationFigure(
            f"{name}_{1000 * start_s:.0f}_{1000 * end_s:.0f}_ms_db",
            f"{label}, {1000 * start_s:.0f}-{1000 * end_s:.0f} ms (dB)",
            1,
            *limits,
        )
        for (start_s, end_s), limits in zip(WINDOWS_S, ranges, strict=True)
    )


_UNKNOWN = ((None, None),) * len(WINDOWS_S)

FIGURES: tuple[CalibrationFigure, ...] = (
    CalibrationFigure("crest_dry_db", "crest, dry (dB)", 1, 18.0, 27.0),
    CalibrationFigure("crest_wet_db", "crest, wet (dB)", 1, 17.0, 25.0),
    CalibrationFigure("correlation_dry", "L/R correlation, dry", 3, 0.86, 0.98),
    CalibrationFigure("correlation_wet", "L/R correlation, wet", 3, 0.86, 0.98),
    CalibrationFigure(
        "octaves_inside",
        f"share of octaves within {OCTAVE_LIMIT_DB:g} dB",
        2,
        _OCTAVES_INSIDE,
        1.0,
    ),
    *(_octave(centre_hz) for centre_hz in OCTAVE_CENTRES_HZ),
    *_windows(
        "added_reverb", "added reverberation", (-22.0, -16.0), (-25.0, -19.0), (-32.0, -21.0)
    ),
    *_windows("snare_dry", "after a snare hit, dry", *_UNKNOWN),
    *_windows("snare_wet", "after a snare hit, wet", *_UNKNOWN),
)
"""Everything that is measured, in the order of the tables."""


@dataclass(frozen=True)
class ItemFigures:
    """The figures of one item.

    Args:
        item: Name of the item.
        kit: Its kit.
        values: Name of a figure -> value; NaN where it has none.
    """

    item: str
    kit: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class FigureSummary:
    """One figure over all items, or those of a kit.

    Args:
        figure: What was measured.
        spread: Where the values lie.
        n_inside: Number of values in the human range; None where that is not known.
    """

    figure: CalibrationFigure
    spread: Spread
    n_inside: int | None

    @property
    def share_inside(self) -> float:
        """Share of the values in the human range; NaN without values or range."""
        if self.n_inside is None or self.spread.n == 0:
            return math.nan
        return self.n_inside / self.spread.n

    @property
    def inside(self) -> str:
        """How many values are inside, in print."""
        return "-" if self.n_inside is None else f"{self.n_inside} of {self.spread.n}"

    def number(self, value: float) -> str:
        """A value of this figure in print; a dash for NaN."""
        digits = self.figure.digits
        return "-" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


@dataclass(frozen=True)
class CalibrationTable:
    """A corpus beside human mixes.

    Args:
        part: The part that was measured, or ``all``.
        items: Figures of each item, in order of measurement.
        failures: Items that could not be measured.
    """

    part: str
    items: tuple[ItemFigures, ...]
    failures: tuple[Failure, ...]

    @property
    def kits(self) -> dict[str, int]:
        """Kit -> number of its items that were measured."""
        return count_kits(item.kit for item in self.items)

    def summary(self, *, kit: str = "") -> tuple[FigureSummary, ...]:
        """Every figure over all items, or those of a kit."""
        return tuple(self._summary_of(figure, kit) for figure in FIGURES)

    def _summary_of(self, figure: CalibrationFigure, kit: str) -> FigureSummary:
        values = [item.values[figure.name] for item in self.items if kit in ("", item.kit)]
        known = [value for value in values if not math.isnan(value)]
        n_inside = None if figure.low is None else sum(map(figure.is_inside, known))
        return FigureSummary(figure, Spread.of(known), n_inside)

    def outside(self) -> tuple[FigureSummary, ...]:
        """Figures with less than `WANTED_SHARE` of their items in the human range."""
        return tuple(row for row in self.summary() if row.share_inside < WANTED_SHARE)

    def verdict(self) -> str:
        """What is outside the human ranges, in plain words, a line a figure."""
        share = f"{WANTED_SHARE:.0%}"
        rows = self.outside()
        if not self.items:
            return "No item could be measured."
        if not rows:
            return f"Every figure with a human range has at least {share} of its items inside."
        lines = [f"Outside, with fewer than {share} of the items in the human range:"]
        for row in rows:
            spread = row.spread
            lines.append(
                f"- {row.figure.label}: {row.inside} items inside, "
                f"median {row.number(spread.median)}, human {row.figure.human}"
            )
        return "\n".join(lines)

    def grids(self) -> tuple[Grid, ...]:
        """The tables for people: all items, and kit by kit where there are several."""
        rows = tuple(
            (
                row.figure.label,
                row.figure.human,
                row.number(row.spread.median),
                "-"
                if row.spread.n == 0
                else f"{row.number(row.spread.low)} to {row.number(row.spread.high)}",
                row.inside,
            )
            for row in self.summary()
        )
        counts = ", ".join(f"{kit} {n}" for kit, n in self.kits.items())
        title = f"Part {self.part}, {len(self.items)} items ({counts or 'none'})."
        heading = ("figure", "human", "median", "range", "inside")
        grids = [Grid(title, heading, rows)]
        if len(self.kits) > 1:
            grids.append(self._kit_grid())
        return tuple(grids)

    def _kit_grid(self) -> Grid:
        by_kit = [self.summary(kit=kit) for kit in self.kits]
        heading = ["figure", "human"]
        for kit in self.kits:
            heading += [kit, "inside"]
        rows = []
        for kit_rows in zip(*by_kit, strict=True):
            figure = kit_rows[0].figure
            cells = [figure.label, figure.human]
            for row in kit_rows:
                cells += [row.number(row.spread.median), row.inside]
            rows.append(tuple(cells))
        return Grid("By kit, medians.", tuple(heading), tuple(rows))

    def to_text(self) -> str:
        """All of `grids` and the verdict, for a terminal."""
        return "\n\n".join([*(grid.to_text() for grid in self.grids()), self.verdict()])

    def to_markdown(self) -> str:
        """All of `grids` and the verdict, as Markdown."""
        verdict = self.verdict().replace(":\n- ", ":\n\n- ", 1)
        return "\n\n".join([*(grid.to_markdown() for grid in self.grids()), verdict])

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold; None for NaN."""
        return {
            "part": self.part,
            "kits": self.kits,
            "figures": [
                _plain_summary(kit, row)
                for kit in ("", *self.kits)
                for row in self.summary(kit=kit)
            ],
            "outside": [row.figure.name for row in self.outside()],
            "items": [
                {"item": item.item, "kit": item.kit}
                | {name: _plain(value) for name, value in item.values.items()}
                for item in self.items
            ],
            "failures": [
                {"item": failure.item, "message": failure.message} for failure in self.failures
            ],
        }


def _plain_summary(kit: str, row: FigureSummary) -> dict[str, Any]:
    return {
        "kit": kit,
        "name": row.figure.name,
        "label": row.figure.label,
        "human_low": row.figure.low,
        "human_high": row.figure.high,
        "n": row.spread.n,
        "median": _plain(row.spread.median),
        "low": _plain(row.spread.low),
        "high": _plain(row.spread.high),
        "n_inside": row.n_inside,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
