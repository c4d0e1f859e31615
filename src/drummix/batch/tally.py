"""What is done of a batch so far, for the summary, a person who waits, and whoever stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from drummix.batch.finding import FoundSession
from drummix.batch.outcome import Outcome, write_summary
from drummix.batch.record import Job
from drummix.errors import OutputError

Progress = Callable[[str, int, int], None]
OnOutcome = Callable[[Outcome, int, int], None]
"""Called with what became of a session, sessions done, and sessions in all."""


class Tally:
    """Outcomes of a batch's sessions as they come.

    Args:
        out: Where the summary is written.
        found: The sessions.
        on_outcome: Called after every session.
        on_notice: Called if the summary cannot be written.
        progress: Called with ``mixing``, bytes done of what has to be mixed, and in all.
    """

    def __init__(
        self,
        out: Path,
        found: Sequence[FoundSession],
        on_outcome: OnOutcome | None,
        on_notice: Callable[[str], None],
        progress: Progress | None,
    ) -> None:
        self._out = out
        self._names = {session.folder: session.name for session in found}
        self._outcomes: dict[Path, Outcome] = {}
        self._on_outcome = on_outcome or (lambda outcome, n_done, n_all: None)
        self._on_notice = on_notice
        self._progress = progress or (lambda step, n_done, n_all: None)
        self._n_bytes = self._n_bytes_done = 0

    def rows(self) -> tuple[Outcome, ...]:
        """Every session's outcome, in the order of the sessions."""
        return tuple(
            self._outcomes.get(folder, Outcome(name, "not done"))
            for folder, name in self._names.items()
        )

    def add(self, folder: Path, outcome: Outcome) -> None:
        """Note what became of a session, with its path as the user named the output folder."""
        if outcome.path is not None:
            path = self._out / outcome.path.relative_to(self._out.absolute())
            outcome = replace(outcome, path=path)
        self._outcomes[folder] = outcome
        self._on_outcome(outcome, len(self._outcomes), len(self._names))

    def expect(self, jobs: Sequence[Job]) -> None:
        """Note what has to be mixed."""
        self._n_bytes = sum(job.n_bytes for job in jobs)

    def heard(self, job: Job, share: float) -> None:
        """Note how much of a job is done, 0 to 1."""
        self._progress("mixing", self._n_bytes_done + int(share * job.n_bytes), self._n_bytes)

    def done(self, job: Job, outcome: Outcome) -> None:
        """Note what became of a job."""
        self.add(job.folder, outcome)
        self._n_bytes_done += job.n_bytes
        self._progress("mixing", self._n_bytes_done, self._n_bytes)

    @contextmanager
    def summarised(self) -> Iterator[None]:
        """Write the summary when the block ends, however it ends."""
        try:
            yield
        finally:
            try:
                write_summary(self._out, self.rows())
            except OutputError as error:
                self._on_notice(str(error))
