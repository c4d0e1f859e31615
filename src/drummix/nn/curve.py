"""The log of a training run, an epoch a row, and its picture.

Losses on a log scale and SI-SDR, over the steps of all stages. Needs neither torch nor lightning.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from drummix.audio import atomic_path, write_text
from drummix.errors import TrainingError
from drummix.plain_data import AnyFloat, Within
from drummix.plain_data.tables import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, float]

CURVE_NAME = "curve.png"
LOG_NAME = "log.csv"
_TRAIN, _VALIDATION, _SI_SDR = "#8c8c8c", "#1f5fa8", "#b5491f"
_MARKS_UP_TO = 60

_Value = AnyFloat | None


@dataclass(frozen=True)
class LogRow:
    """A row of ``log.csv``; None where a run has no such figure."""

    stage: str
    epoch: int
    step: Annotated[int, Within(0)]
    seconds: _Value
    clips_per_s: _Value
    learning_rate: _Value
    train_loss: _Value
    train_l1: _Value
    train_mrstft: _Value
    validation_loss: _Value
    validation_l1: _Value
    validation_mrstft: _Value
    validation_si_sdr_db: _Value


_COLUMNS = tuple(field.name for field in fields(LogRow))


def write_log(output: Path, curves: Mapping[str, Sequence[Row]]) -> Path:
    """Write ``log.csv``: every epoch of every stage, whole each time."""
    table = io.StringIO()
    writer = csv.DictWriter(table, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for stage, curve in curves.items():
        for number, row in enumerate(curve, start=1):
            known = {name: row[name] for name in _COLUMNS if name in row}
            whole = {"epoch": int(row.get("epoch", number)), "step": int(row["step"])}
            writer.writerow({**known, **whole, "stage": stage})
    return write_text(output / LOG_NAME, table.getvalue())


def draw_curve(run: Path) -> Path:
    """Draw ``curve.png`` from a run's ``log.csv``: losses on a log scale, SI-SDR, the stages.

    Args:
        run: Output folder of a training.

    Returns:
        The picture.

    Raises:
        TrainingError: If the folder holds no log, or one without an epoch.
        OutputError: If the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to load
    from matplotlib.figure import Figure

    rows = read_log(run)
    steps = _steps(rows)
    figure = Figure(figsize=(8.0, 6.0), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    losses, ratios = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    is_weighted = any(row.train_mrstft for row in rows)
    for part, style in (("loss", "-"), ("l1", "--")) if is_weighted else (("l1", "-"),):
        label = "loss" if part == "loss" else "mean absolute error"
        _plot(losses, steps, rows, f"train_{part}", f"train, {label}", _TRAIN, style)
        _plot(losses, steps, rows, f"validation_{part}", f"validation, {label}", _VALIDATION, style)
    losses.set_yscale("log")
    losses.set_ylabel("loss")
    _plot(ratios, steps, rows, "validation_si_sdr_db", "validation", _SI_SDR, "-")
    ratios.set_ylabel("validation SI-SDR (dB)")
    ratios.set_xlabel("steps")
    ratios.xaxis.set_major_formatter("{x:,.0f}")
    for axes in (losses, ratios):
        axes.grid(visible=True, which="both", alpha=0.25)
        _mark_stages(axes, steps, rows, is_named=axes is losses)
    losses.legend(frameon=False)
    losses.set_title(run.resolve().name, loc="left", fontsize=10)
    path = run / CURVE_NAME
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)
    return path


def read_log(run: Path) -> tuple[LogRow, ...]:
    """Read a run's ``log.csv``.

    Raises:
        TrainingError: If the folder holds none, it is damaged, or it has no epoch in it.
    """
    path = run / LOG_NAME
    if not path.exists():
        raise TrainingError(
            f"{run} has no {LOG_NAME}; give the output folder of a training that has run an epoch"
        )
    rows = read_rows(path, LogRow, error=TrainingError)
    if not rows:
        raise TrainingError(f"{path} has no epoch of a training in it; train first")
    return rows


def _steps(rows: Sequence[LogRow]) -> list[int]:
    """Steps from the start of the first stage: each stage counts its own from zero."""
    steps: list[int] = []
    before = last = 0
    stage = rows[0].stage
    for row in rows:
        if row.stage != stage:
            stage, before = row.stage, last
        last = before + row.step
        steps.append(last)
    return steps


def _plot(
    axes: Axes,
    steps: list[int],
    rows: Sequence[LogRow],
    column: str,
    label: str,
    colour: str,
    style: str,
) -> None:
    values = [getattr(row, column) for row in rows]
    known = [(at, value) for at, value in zip(steps, values, strict=True) if value is not None]
    if not known:
        return
    marker = "." if len(known) <= _MARKS_UP_TO else ""
    axes.plot(*zip(*known, strict=True), color=colour, linestyle=style, marker=marker, label=label)


def _mark_stages(axes: Axes, steps: list[int], rows: Sequence[LogRow], *, is_named: bool) -> None:
    for number in range(1, len(rows)):
        if rows[number].stage == rows[number - 1].stage:
            continue
        axes.axvline(steps[number - 1], color="black", linewidth=0.8, linestyle=":")
        if is_named:
            axes.annotate(
                rows[number].stage,
                (steps[number - 1], 1.0),
                xytext=(4, -4),
                textcoords="offset points",
                xycoords=("data", "axes fraction"),
                verticalalignment="top",
                fontsize=8,
            )
