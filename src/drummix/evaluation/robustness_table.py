"""The results of a robustness study: rows, summaries, a table and a plot.

In: SI-SDR to the target and to the system's own undisturbed mix. Out: CSV, Markdown, PNG.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from drummix.audio import atomic_path
from drummix.corpus.manifest import TARGETS, Target
from drummix.evaluation.table import Failure, Grid, Spread, print_number

LIMIT_DB = 60.0
"""The plot ends here: a mix this close to the undisturbed one is the same."""

_COLOURS = ("#0b6e99", "#c4511d", "#5b8a3a", "#8a4fa3", "#b08a00", "#a3324f", "#3c7d78", "#555555")


@dataclass(frozen=True)
class RobustnessRow:
    """One mix of one item.

    Args:
        item: Name of the item.
        kit: Its kit.
        system: What mixed it.
        target: What the mix was compared with.
        condition: The disturbance.
        microphone: The microphone that was hit; empty for all or none.
        to_target_db: SI-SDR of the mix to the target, which is not disturbed.
        to_undisturbed_db: SI-SDR of the mix to the system's mix of the undisturbed stems.
    """

    item: str
    kit: str
    system: str
    target: Target
    condition: str
    microphone: str
    to_target_db: float
    to_undisturbed_db: float


@dataclass(frozen=True)
class RobustnessTable:
    """Everything that a study found.

    Args:
        part: The part of the corpus.
        kits: Kit -> number of its items that were tried.
        systems: The systems, in order; those that leave levels as recorded have a name of their
            own.
        models: System -> name and checksum of its weights.
        rows: Every mix.
        failures: What could not be studied.
    """

    part: str
    kits: Mapping[str, int]
    systems: tuple[str, ...]
    models: Mapping[str, str]
    rows: tuple[RobustnessRow, ...]
    failures: tuple[Failure, ...]

    @property
    def n_items(self) -> int:
        """Number of items that were tried."""
        return sum(self.kits.values())

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every disturbance that some item suffered, the undisturbed first."""
        return tuple(dict.fromkeys(row.condition for row in self.rows))

    def spread(self, condition: str, system: str, target: Target, value: str) -> Spread:
        """Where a value lies over the items."""
        return Spread.of(
            getattr(row, value)
            for row in self.rows
            if (row.condition, row.system, row.target) == (condition, system, target)
        )

    def grids(self) -> tuple[Grid, ...]:
        """A table for each target: medians of both values, a row a disturbance."""
        return tuple(grid for target in TARGETS if (grid := self._grid(target)) is not None)

    def to_text(self) -> str:
        """All of `grids`, for a terminal."""
        return "\n\n".join(grid.to_text() for grid in self.grids())

    def to_markdown(self) -> str:
        """All of `grids`, for a page."""
        return "\n\n".join(grid.to_markdown() for grid in self.grids())

    def to_csv(self) -> str:
        """The tidy table, a row a mix; empty for NaN."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([field.name for field in fields(RobustnessRow)])
        for row in self.rows:
            *labels, to_target_db, to_undisturbed_db = asdict(row).values()
            numbers = (to_target_db, to_undisturbed_db)
            writer.writerow([*labels, *("" if math.isnan(n) else f"{n:.6g}" for n in numbers)])
        return text.getvalue()

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold; None for NaN."""
        return {
            "part": self.part,
            "items": self.n_items,
            "kits": dict(self.kits),
            "systems": list(self.systems),
            "models": dict(self.models),
            "rows": [
                {n: None if v != v else v for n, v in asdict(row).items()} for row in self.rows
            ],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def draw(self, target: Path) -> Path:
        """Draw medians and quartiles of every system under every disturbance.

        Args:
            target: The PNG to write.

        Raises:
            OutputError: If it cannot be written.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to load
        from matplotlib.figure import Figure

        shown = [t for t in TARGETS if any(row.target == t for row in self.rows)]
        height = 1.6 + 0.36 * len(self.conditions)
        figure = Figure(figsize=(5.2 * max(1, len(shown)) + 1.6, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, max(1, len(shown)), squeeze=False, sharey=True)[0]
        for axis, of_target in zip(axes, shown, strict=False):
            self._draw_target(axis, of_target)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
                      fontsize=8, frameon=False)  # fmt: skip
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
        return target

    def _draw_target(self, axis: Any, target: Target) -> None:
        conditions = self.conditions
        n_systems = len(self.systems)
        for number, system in enumerate(self.systems):
            points = [
                (row + 0.7 * ((number + 0.5) / n_systems - 0.5), spread)
                for row, condition in enumerate(conditions)
                if (spread := self.spread(condition, system, target, "to_target_db")).n
            ]
            if not points:
                # In the legend all the same: the other target shows it.
                axis.plot([], [], "o", color=_COLOURS[number % 8], label=system, markersize=4)
                continue
            rows, spreads = zip(*points, strict=True)
            medians = [spread.median for spread in spreads]
            axis.hlines(rows, [s.q1 for s in spreads], [s.q3 for s in spreads],
                        color=_COLOURS[number % 8], linewidth=1.2)  # fmt: skip
            axis.plot(medians, rows, "o", color=_COLOURS[number % 8], label=system, markersize=4)
        axis.set_yticks(range(len(conditions)), conditions, fontsize=8)
        axis.set_ylim(len(conditions) - 0.4, -0.6)
        axis.grid(axis="x", linewidth=0.4)
        axis.set_xlabel(f"SI-SDR to the {target} target (dB), median and quartiles", fontsize=8)
        axis.tick_params(labelsize=8)

    def _grid(self, target: Target) -> Grid | None:
        systems = [
            s for s in self.systems if any((r.system, r.target) == (s, target) for r in self.rows)
        ]
        if not systems:
            return None
        rows = []
        for condition in self.conditions:
            cells = [condition]
            for system in systems:
                to_target = self.spread(condition, system, target, "to_target_db")
                to_clean = self.spread(condition, system, target, "to_undisturbed_db")
                same = "=" if to_clean.median >= LIMIT_DB else print_number(to_clean.median, 1)
                cells.append(f"{print_number(to_target.median, 1)} ({same})")
            rows.append(tuple(cells))
        title = (
            f"Part {self.part}, {self.n_items} items: median SI-SDR in dB to the {target} target, "
            "and in brackets to the system's own undisturbed mix (= is 60 or more)."
        )
        return Grid(title, ("disturbance", *systems), tuple(rows))
