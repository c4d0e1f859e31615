"""`drummix inspect`: what is in a folder, before anything is mixed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from drummix.cli.app import running_spelling
from drummix.cli.mix import Folder, RoleOptions, parse_roles
from drummix.cli.output import (
    AsJson,
    aligned,
    duration,
    n_columns,
    plain_notices,
    print_json,
    printable,
    say,
    wrapped,
)

if TYPE_CHECKING:
    from drummix.inspection import FileReport

_TABLE_COLUMNS = ("file", "role", "rate", "coding", "length", "peak", "loudness")


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("inspect")(inspect_command)


def inspect_command(folder: Folder, role: RoleOptions = None, as_json: AsJson = False) -> None:
    """Show the role, level and problems of each file."""
    roles = parse_roles(role)
    from drummix.inspection import inspect_session

    reports = inspect_session(folder, roles=roles)
    if as_json:
        print_json(
            [report.to_dict() | {"findings": plain_notices(report.findings)} for report in reports]
        )
        return
    for line in report_lines(reports, n_columns()):
        typer.echo(printable(line))
    n_findings = sum(len(report.findings) for report in reports)
    if sys.stderr.isatty():
        say(f"{len(reports)} files, {n_findings} things to look at")


def report_lines(reports: Sequence[FileReport], columns: int) -> list[str]:
    """Reports as text: a table where it fits into `columns`, else a paragraph a file."""
    rows = [_row(report) for report in reports]
    table = aligned([_TABLE_COLUMNS, *rows])
    if max(len(line) for line in table) > columns:
        table = [line for row in rows for line in _paragraph(row, columns)]
    findings = [finding for report in reports for finding in report.findings]
    if findings:
        table = [*table, "", "to look at:"]
    for finding in findings:
        table += wrapped(finding.sentence(running_spelling()), columns, first="- ", rest="  ")
    return table


def _row(report: FileReport) -> tuple[str, ...]:
    role = ", ".join(report.roles) or "?"
    if report.peak_dbfs is None:
        return (report.name, role, *("-" for _ in _TABLE_COLUMNS[2:]))
    loudness = "-" if report.to_dict()["lufs"] is None else f"{report.lufs:.1f} LUFS"
    channels = {1: "mono", 2: "stereo"}.get(report.n_channels, f"{report.n_channels} channels")
    return (
        report.name,
        role,
        f"{report.rate_hz} Hz",
        f"{report.format} {report.subtype} {channels}",
        duration(report.duration_s),
        f"{report.peak_dbfs:.1f} dBFS",
        loudness,
    )


def _paragraph(row: tuple[str, ...], columns: int) -> list[str]:
    name, role, *facts = row
    known = ", ".join(fact for fact in facts if fact != "-")
    lines = wrapped(f"{name} = {role}", columns, first="", rest="  ")
    return lines + (wrapped(known, columns, first="  ", rest="  ") if known else [])
