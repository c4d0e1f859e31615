"""Writing a report: the files for programs, the figures, and the page.

REPORT/report.html          the page
REPORT/numbers.csv          every number: item, kit, style, system, target, metric, value
REPORT/summary.csv          medians, quartiles, ranges, bootstrap intervals
REPORT/differences.csv      paired differences
REPORT/results.md           the tables as Markdown
REPORT/report.json          all of it, with the machine and the commit
REPORT/figures/*.png        the paper's Figures 4 and 5 for a typical item
REPORT/mixes/<item>/*.flac  every mix, for listening
REPORT/cache/               what the next run goes on from
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drummix.audio import atomic_path, make_folder, write_text
from drummix.corpus.manifest import TARGETS, Target
from drummix.errors import AudioFileError
from drummix.evaluation.grids import (
    all_metrics_grid,
    differences_csv,
    group_grid,
    interval_grid,
    paired_grid,
    style_of,
    summary_csv,
)
from drummix.evaluation.provenance import Provenance
from drummix.evaluation.report.excerpts import (
    EXCERPT_S,
    AudioBudget,
    Excerpt,
    read_excerpt_of,
)
from drummix.evaluation.report.figures import draw_onset, draw_waveforms_and_spectrograms
from drummix.evaluation.report.page import PageText, render_page, signal_names
from drummix.evaluation.running import Progress
from drummix.evaluation.statistics import median_intervals, paired_differences
from drummix.evaluation.table import LEADING, EvaluationTable, Grid
from drummix.notices import Code, Notice

PAGE_NAME = "report.html"


@dataclass(frozen=True)
class ReportFiles:
    """What a report consists of.

    Args:
        page: The page.
        results: The tables as Markdown.
        notices: What a person should know about the report.
    """

    page: Path
    results: Path
    notices: tuple[Notice, ...]


def write_report(
    folder: Path | str,
    table: EvaluationTable,
    *,
    corpus: str,
    command: str,
    source: Provenance,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> ReportFiles:
    """Write all files of a report beside the mixes that `evaluate` kept there.

    Args:
        folder: The folder that was given to `evaluate`.
        table: What it returned.
        corpus: Name of the corpus, for the reader.
        command: The command that makes the figures again, for the reader.
        source: The machine and the commit.
        rng: Draws the bootstrap.
        progress: Called after every item that is put on the page.

    Raises:
        OutputError: If a file cannot be written.
    """
    folder = Path(folder)
    make_folder(folder / "figures")
    grids, differences = _grids(table, rng)
    write_text(folder / "numbers.csv", table.to_csv())
    write_text(folder / "summary.csv", summary_csv(table, rng))
    write_text(folder / "differences.csv", differences)
    plain = {"corpus": corpus, "source": source.to_mapping(), **table.to_mapping()}
    write_text(folder / "report.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
    markdown = results_markdown(table, grids, command=command, source=source)
    results = write_text(folder / "results.md", markdown)
    budget = AudioBudget.of(len(table.items), len(_all_signals(table)))
    excerpts, notices = _read_excerpts(folder / "mixes", table, budget.n_items)
    if budget.n_items < len(table.items):
        counts = {"n_shown": budget.n_items, "n_items": len(table.items)}
        notices.append(Notice(Code.ITEMS_NOT_ON_PAGE, values=counts))
    text = PageText(
        title=f"Evaluation of {corpus}",
        facts=_facts(table, corpus, command, source),
        grids=grids,
        notices=(*table.notices, *notices),
        figures=_figures(folder / "figures", table, excerpts),
        sound=(
            f"Excerpts of {EXCERPT_S:g} s, Opus at {budget.bits_per_s // 1000} kbit/s, brought to "
            "one loudness an item; lossless whole mixes are in mixes/"
        ),
    )
    page = folder / PAGE_NAME
    with atomic_path(page) as temporary, temporary.open("w", encoding="utf-8") as file:
        heard = _counted(excerpts, progress)
        file.writelines(render_page(text, table, heard, bits_per_s=budget.bits_per_s))
    return ReportFiles(page, results, tuple(notices))


def results_markdown(
    table: EvaluationTable, grids: Sequence[Grid], *, command: str, source: Provenance
) -> str:
    """The tables, what made them, and what failed, as Markdown."""
    parts = [
        f"Made by `{command}`\n({source}).",
        *(grid.to_markdown() for grid in grids),
    ]
    if table.models:
        models = "\n".join(f"- {system}: {model}" for system, model in table.models.items())
        parts.append(f"Weights:\n\n{models}")
    if table.failures:
        failures = "\n".join(f"- {failure}" for failure in table.failures)
        parts.append(f"Not, or not wholly, in the figures:\n\n{failures}")
    return "\n\n".join(parts) + "\n"


def _grids(table: EvaluationTable, rng: np.random.Generator) -> tuple[tuple[Grid, ...], str]:
    """All tables for people, and the paired differences as CSV."""
    differences = paired_differences(table, rng)
    leading, *others = table.grids()
    grids = [leading, interval_grid(median_intervals(table, rng))]
    if differences:
        grids.append(paired_grid(differences))
    grids += others[:-1]
    if len({style_of(row) for row in table.measurements}) > 1:
        grids.append(group_grid(table, "style", style_of))
    grids.append(all_metrics_grid(table))
    return tuple(grids), differences_csv(differences)


def _facts(
    table: EvaluationTable, corpus: str, command: str, source: Provenance
) -> Mapping[str, str]:
    kits = ", ".join(f"{kit} {n}" for kit, n in table.kits.items())
    facts = {
        "corpus": f"{corpus}, part {table.part}",
        "items": f"{table.n_items} ({kits})",
        "systems": ", ".join(table.systems),
        "command": command,
        "drummix": f"{source.drummix}{', commit ' + source.commit if source.commit else ''}",
        "machine": source.machine,
        "software": source.software,
    }
    facts.update({f"weights of {system}": model for system, model in table.models.items()})
    return facts


def _all_signals(table: EvaluationTable) -> tuple[str, ...]:
    names = (name for target in TARGETS for name in signal_names(table.systems, target))
    return tuple(dict.fromkeys(names))


def _counted(excerpts: Sequence[Excerpt], progress: Progress | None) -> Iterator[Excerpt]:
    for number, excerpt in enumerate(excerpts, start=1):
        yield excerpt
        if progress is not None:
            progress(number, len(excerpts), excerpt.item)


def _read_excerpts(
    mixes: Path, table: EvaluationTable, n_items: int
) -> tuple[list[Excerpt], list[Notice]]:
    excerpts, notices = [], []
    for item in table.items[:n_items]:
        folder = mixes / item
        names = [name for name in _all_signals(table) if (folder / f"{name}.flac").is_file()]
        # A target alone is nothing to compare.
        if not [name for name in names if not name.startswith("reference-")]:
            continue
        try:
            excerpts.append(read_excerpt_of(folder, item, names))
        except AudioFileError as error:
            notices.append(Notice.of(Code.ITEM_NOT_ON_PAGE, item, problem=str(error)))
    return excerpts, notices


def _figures(
    folder: Path, table: EvaluationTable, excerpts: Iterable[Excerpt]
) -> Mapping[str, Path]:
    """Figures 4 and 5 of the paper for a typical item."""
    by_name = {excerpt.item: excerpt for excerpt in excerpts}
    figures: dict[str, Path] = {}
    for target in TARGETS:
        typical = _typical_item(table, target, by_name)
        if typical is None:
            continue
        excerpt = by_name[typical]
        names = tuple(n for n in signal_names(table.systems, target) if n in excerpt.signals)
        where = f"{excerpt.item}, {target}"
        figures[f"Waveforms and spectrograms of {where}"] = draw_waveforms_and_spectrograms(
            folder / f"waveforms-{target}.png", excerpt, names
        )
        if excerpt.onset(names[0]).size and len(names) > 1:
            path = folder / f"onset-{target}.png"
            figures[f"One onset of the kick, {where}"] = draw_onset(path, excerpt, names)
    return figures


def _typical_item(table: EvaluationTable, target: Target, items: Container[str]) -> str | None:
    """The item with the median of the leading metric, for the first system with this target."""
    rows = [
        row
        for row in table.measurements
        if (row.target, row.metric) == (target, LEADING[0].name)
        and row.item in items
        and not math.isnan(row.value)
    ]
    for system in table.systems:
        ordered = sorted((row.value, row.item) for row in rows if row.system == system)
        if ordered:
            return ordered[len(ordered) // 2][1]
    return None
