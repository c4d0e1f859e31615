"""An evaluation and its report in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drummix.audio import make_folder, write_text
from drummix.errors import OutputError
from drummix.evaluation.provenance import provenance
from drummix.evaluation.report.writing import ReportFiles, write_report
from drummix.evaluation.running import Progress, evaluate
from drummix.evaluation.systems import DEFAULT_SYSTEMS
from drummix.evaluation.table import EvaluationTable
from drummix.notices import OnNotice

FIGURES_BEGIN = "<!-- figures: begin -->"
FIGURES_END = "<!-- figures: end -->"


@dataclass(frozen=True)
class Report:
    """What came of an evaluation.

    Args:
        table: Every number.
        files: The report's files.
    """

    table: EvaluationTable
    files: ReportFiles


def make_report(
    corpus: Path | str,
    folder: Path | str,
    *,
    rng: np.random.Generator,
    part: str = "test",
    systems: Sequence[str] = DEFAULT_SYSTEMS,
    weights: Sequence[Path | str] = (),
    limit: int | None = None,
    as_recorded: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    results: Path | str | None = None,
    command: str = "drummix evaluate",
    on_notice: OnNotice | None = None,
    progress: Progress | None = None,
    page_progress: Progress | None = None,
) -> Report:
    """Evaluate systems and write a report; what an earlier run of it kept is not done again.

    Args:
        corpus: As for `evaluate`.
        folder: Folder of the report; made if missing.
        rng: Draws the bootstrap.
        part: As for `evaluate`.
        systems: As for `evaluate`.
        weights: As for `evaluate`.
        limit: As for `evaluate`.
        as_recorded: As for `evaluate`.
        workers: As for `evaluate`.
        ray: As for `evaluate`.
        results: A Markdown page to put the tables into, see `put_results`; None for none.
        command: The command that makes the figures again, for the reader.
        on_notice: As for `evaluate`.
        progress: As for `evaluate`.
        page_progress: As for `write_report`.

    Raises:
        DrummixError: As `evaluate` and `write_report` do.
    """
    folder = Path(folder)
    make_folder(folder)
    if results is not None:
        # Said before the work, which may take long, and not after it.
        put_results(Path(results), None)
    table = evaluate(
        corpus, part=part, systems=systems, weights=weights, limit=limit, as_recorded=as_recorded,
        workers=workers, ray=ray, folder=folder, on_notice=on_notice, progress=progress,
    )  # fmt: skip
    files = write_report(
        folder, table, corpus=Path(corpus).resolve().name, command=command,
        source=provenance(), rng=rng, progress=page_progress,
    )  # fmt: skip
    if results is not None:
        put_results(Path(results), files.results.read_text(encoding="utf-8"))
    return Report(table, files)


def put_results(page: Path, markdown: str | None) -> None:
    """Put tables into a Markdown page, between its two marks; a new page where there is none.

    Args:
        page: The page.
        markdown: The tables; None only checks the page.

    Raises:
        OutputError: If the page exists without the marks, or cannot be read.
    """
    text = f"# Results\n\n{FIGURES_BEGIN}\n{FIGURES_END}\n"
    if page.exists():
        try:
            text = page.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(f"{page} cannot be read ({error}); name another page") from None
    before, begin, rest = text.partition(FIGURES_BEGIN)
    _, end, after = rest.partition(FIGURES_END)
    if not (begin and end):
        raise OutputError(
            f"{page} has no place for the figures; put the lines {FIGURES_BEGIN} and "
            f"{FIGURES_END} where they shall stand"
        )
    if markdown is not None:
        write_text(page, f"{before}{begin}\n\n{markdown.strip()}\n\n{end}{after}")
