"""Which file each session's mix becomes, and which sessions cannot be mixed at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drummix.audio import make_folder, write_text
from drummix.batch.finding import RECORDS_NAME, FoundSession, is_case_sensitive, session_files
from drummix.batch.outcome import Outcome
from drummix.batch.record import Job
from drummix.errors import OutputError


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Args:
        jobs: Sessions to be mixed, unless they are mixed already.
        refused: Sessions that cannot be mixed, by their folder.
    """

    jobs: list[Job] = field(default_factory=list)
    refused: dict[Path, Outcome] = field(default_factory=dict)


def claim(out: Path) -> None:
    """Make the output folder and the records' in it, and find out whether it can be written.

    Raises:
        OutputError: If it cannot.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the mixes")
    make_folder(out / RECORDS_NAME)
    write_text(
        out / RECORDS_NAME / "README.txt",
        "What `drummix batch` knows of each mix; without it, all are mixed again.\n",
    )


def plan_jobs(
    found: Sequence[FoundSession], folder: Path, out: Path, *, suffix: str, is_with_settings: bool
) -> Plan:
    """Give each session a file to become.

    Args:
        found: The sessions.
        folder: Where they were looked for.
        out: Where the mixes go; claimed.
        suffix: Suffix of the mixes, without the dot.
        is_with_settings: Whether settings are written beside each mix.
    """
    plan = Plan()
    taken: dict[str, str] = {}
    is_exact = is_case_sensitive(out / RECORDS_NAME)
    root = folder.resolve()
    is_out_inside = out.resolve().is_relative_to(root)
    for session in found:
        job = _job(session, out.absolute(), suffix, is_with_settings)
        target = str(job.target)
        key = target if is_exact else unicodedata.normalize("NFC", target).casefold()
        problem = session.error
        if not problem and key in taken:
            problem = (
                f"its mix would be the same file as that of {taken[key]}, {job.target.name}; "
                "rename one of the two folders"
            )
        elif not problem and not is_out_inside and job.target.parent.resolve().is_relative_to(root):
            problem = f"its mix would be among the sessions, {target}; choose another -o"
        if problem:
            plan.refused[session.folder] = Outcome(session.name, "failed", message=problem)
        else:
            taken[key] = str(session.folder)
            plan.jobs.append(job)
    return plan


def _job(session: FoundSession, out: Path, suffix: str, is_with_settings: bool) -> Job:
    # Not `with_suffix`, which would cut "Song 1.5" short.
    target = Path(f"{out / session.name}.{suffix}")
    return Job(
        name=session.name,
        folder=session.folder,
        target=target,
        settings_path=Path(f"{out / session.name}.json") if is_with_settings else None,
        record_path=Path(f"{out / RECORDS_NAME / session.name}.{suffix}.json"),
        n_bytes=_n_bytes(session.folder),
    )


def _n_bytes(folder: Path) -> int:
    try:
        return sum(size for size, _ in session_files(folder).values())
    except OSError:
        return 0  # whoever mixes it will find out
