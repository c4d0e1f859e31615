"""What became of each session, as a row of the summary."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from drummix.audio import atomic_path

Status = Literal["mixed", "unchanged", "skipped", "failed", "not done"]

SUMMARY_NAME = "summary.csv"
COLUMNS = (
    "session",
    "status",
    "path",
    "seconds",
    "duration_s",
    "lufs",
    "true_peak_dbtp",
    "message",
)


@dataclass(frozen=True)
class Outcome:
    """What became of a session.

    Args:
        session: Its name: the folder's path below the folder of sessions.
        status: ``mixed`` now, ``unchanged`` since an earlier run mixed it, ``skipped`` where the
            folder holds no microphones, ``failed``, or ``not done`` where the run was stopped.
        path: The mix; None where there is none of this session as it is.
        seconds: Time that the mix took to make.
        duration_s: Length of the mix in seconds.
        lufs: Its integrated loudness; None where there is none.
        true_peak_dbtp: Its true peak.
        message: Why it failed or was skipped and what to do, or what a person should know.
        trace: Where in drummix it failed, if that is a bug of ours; else empty.
    """

    session: str
    status: Status
    path: Path | None = None
    seconds: float | None = None
    duration_s: float | None = None
    lufs: float | None = None
    true_peak_dbtp: float | None = None
    message: str = ""
    trace: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """The row as plain data, by the names of `COLUMNS`."""
        plain = {name: getattr(self, name) for name in COLUMNS}
        return plain | {"path": None if self.path is None else str(self.path)}


def write_summary(folder: Path, outcomes: Iterable[Outcome]) -> Path:
    """Write ``summary.csv`` into a folder, atomically.

    Raises:
        OutputError: If it cannot be written.
    """
    target = folder / SUMMARY_NAME
    with (
        atomic_path(target) as temporary,
        # A file name with bytes that are no text becomes an escape.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        rows.writerows(_cells(outcome.to_mapping()) for outcome in outcomes)
    return target


def _cells(plain: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        for name, value in plain.items()
    }
