"""`drummix batch`: mix every session below a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from drummix.cli.mix_options import (
    AsRecorded,
    Lufs,
    MatchLevels,
    Memory,
    PaperSegments,
    StyleFile,
    System,
    Threads,
    TruePeak,
    Weights,
    parse_compute,
)
from drummix.cli.output import (
    AsJson,
    Ray,
    aligned,
    duration,
    n_columns,
    print_json,
    printable,
    say,
    shown_progress,
    wrapped,
)

if TYPE_CHECKING:
    from drummix.batch import Batch, Outcome

_TABLE_COLUMNS = ("session", "status", "length", "loudness", "true peak", "took", "mix")


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("batch")(batch_command)


def batch_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder with the sessions, at any depth.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="Where the mixes go.")],
    system: System = "waveunet-wet",
    lufs: Lufs = None,
    true_peak: TruePeak = None,
    file_format: Annotated[
        str, typer.Option("--format", metavar="wav|flac|mp3", help="What kind of files to write.")
    ] = "wav",
    settings: Annotated[
        bool, typer.Option("--settings", help="Write beside each mix what was done, as JSON.")
    ] = False,
    paper_segments: PaperSegments = False,
    as_recorded: AsRecorded = False,
    weights: Weights = None,
    style: StyleFile = None,
    match_levels: MatchLevels = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Sessions to mix at the same time; one a core, as far as memory goes, "
            "if not given.",
        ),
    ] = None,
    ray: Ray = None,
    threads: Threads = None,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Mix every session below a folder, going on where an earlier run stopped."""
    from drummix.batch import mix_many
    from drummix.mixing import MixOptions, OutputLevel

    options = MixOptions(
        system=system,
        as_recorded=as_recorded,
        paper_segments=paper_segments,
        weights=weights,
        style=style,
        match_levels=match_levels,
        compute=parse_compute(threads, memory),
    )
    with shown_progress() as progress:
        batch = mix_many(
            folder,
            out,
            options=options,
            level=OutputLevel(lufs, true_peak),
            format=cast(Any, file_format),
            is_with_settings=settings,
            jobs=jobs,
            ray=ray,
            on_outcome=_say_outcome,
            on_notice=lambda line: say(f"note: {line}"),
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "summary": str(batch.summary),
                "sessions": [outcome.to_mapping() for outcome in batch.outcomes],
            }
        )
    else:
        for line in table_lines(batch.outcomes, n_columns()):
            typer.echo(printable(line))
    say(_summary(batch))
    if batch.count("failed"):
        raise typer.Exit(1)


def _say_outcome(outcome: Outcome, n_done: int, n_all: int) -> None:
    if outcome.status == "unchanged":
        return
    facts = f": {outcome.message}"
    if outcome.status == "mixed":
        loudness = "" if outcome.lufs is None else f"{outcome.lufs:.1f} LUFS, "
        facts = (
            f": {duration(outcome.duration_s or 0.0)} in {duration(outcome.seconds or 0.0)}, "
            f"{loudness}{outcome.true_peak_dbtp:.1f} dBTP"
        )
    say(f"{n_done}/{n_all} {outcome.status} {outcome.session}{facts}")
    for line in outcome.trace.splitlines():
        say(line)


def _summary(batch: Batch) -> str:
    counts = (
        f"{batch.count(status)} {status}"
        for status in ("mixed", "unchanged", "skipped", "failed")
        if batch.count(status)
    )
    n_sessions = len(batch.outcomes)
    return f"{n_sessions} session{'s' * (n_sessions > 1)}: {', '.join(counts)}; {batch.summary}"


def table_lines(outcomes: Sequence[Outcome], columns: int) -> list[str]:
    """Outcomes as text: a table where it fits into `columns`, else a paragraph a session."""
    rows = [_row(outcome) for outcome in outcomes]
    lines = aligned([_TABLE_COLUMNS, *rows])
    if max(len(line) for line in lines) > columns:
        lines = [line for row in rows for line in _paragraph(row, columns)]
    problems = [outcome for outcome in outcomes if outcome.status in ("failed", "skipped")]
    if problems:
        lines = [*lines, "", "not mixed:"]
    for outcome in problems:
        text = f"{outcome.session}: {outcome.message}"
        lines += wrapped(text, columns, first="- ", rest="  ")
    return lines


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.session,
        outcome.status,
        "-" if outcome.duration_s is None else duration(outcome.duration_s),
        "-" if outcome.lufs is None else f"{outcome.lufs:.1f} LUFS",
        "-" if outcome.true_peak_dbtp is None else f"{outcome.true_peak_dbtp:.1f} dBTP",
        "-" if outcome.seconds is None else duration(outcome.seconds),
        "-" if outcome.path is None else str(outcome.path),
    )


def _paragraph(row: tuple[str, ...], columns: int) -> list[str]:
    session, status, *facts = row
    known = ", ".join(fact for fact in facts if fact != "-")
    lines = wrapped(f"{session}: {status}", columns)
    return lines + (wrapped(known, columns, first="  ") if known else [])
