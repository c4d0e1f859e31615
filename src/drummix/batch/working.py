"""Mixing one session after the other with one mixer: what each process of a batch does."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from drummix.audio import make_folder
from drummix.batch.outcome import Outcome
from drummix.batch.record import Job, inputs_of, write_record
from drummix.errors import DrummixError, NoMicrophoneError, RoleError
from drummix.mixing import MixedFile, MixOptions, OutputLevel, write_mix
from drummix.notices.wording import lines
from drummix.pool import check_is_shared
from drummix.session.settings_file import SETTINGS_NAME

JobProgress = Callable[[Job, float], None]
"""Called with a job and how much of it is done, 0 to 1."""


class BatchWorker:
    """A mixer that is loaded once and mixes any number of sessions.

    Args:
        options: What mixes.
        level: The level of every mix.
        identity: What `identity_of` says of these two, for the records.
        on_progress: Told how far a mix is.

    Raises:
        DrummixError: If the mixer cannot be made.
    """

    def __init__(
        self,
        options: MixOptions,
        level: OutputLevel,
        identity: Mapping[str, Any],
        on_progress: JobProgress | None = None,
    ) -> None:
        self._ready = options.make_mixer()
        self._level = level
        self._identity = identity
        self._on_progress = on_progress

    def result(self, job: Job) -> Outcome:
        """Mix a session and write down that it is done; what goes wrong is in the outcome."""
        start_s = time.monotonic()
        try:
            outcome = self._mixed(job, start_s)
        except NoMicrophoneError as error:
            outcome = Outcome(job.name, "skipped", message=_one_line(error))
        except RoleError as error:
            message = f"{_one_line(error)}; in a batch, say it in {job.folder / SETTINGS_NAME}"
            outcome = Outcome(job.name, "failed", message=message)
        except DrummixError as error:
            outcome = Outcome(job.name, "failed", message=_one_line(error))
        except UnicodeEncodeError as error:
            # libsndfile takes names as UTF-8 only.
            message = f"{error.object} has a name that is no text; rename it"
            outcome = Outcome(job.name, "failed", message=_one_line(message))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            outcome = Outcome(job.name, "failed", message=f"{where}{error.strerror or error}")
        except MemoryError:
            message = "out of memory; give fewer --jobs"
            outcome = Outcome(job.name, "failed", message=message)
        except Exception as error:
            # A bug of ours in one session is no reason to leave the others undone; it is shown.
            message = f"a bug in drummix ({type(error).__name__}: {_one_line(error)})"
            outcome = Outcome(job.name, "failed", message=message, trace=traceback.format_exc())
        return outcome

    def _mixed(self, job: Job, start_s: float) -> Outcome:
        check_is_shared(job.folder)
        inputs = inputs_of(job)
        make_folder(job.target.parent)
        mixed = write_mix(
            job.folder,
            job.target,
            self._ready,
            level=self._level,
            settings_path=job.settings_path,
            progress=None if self._on_progress is None else self._progress(job),
        )
        outcome = replace(_outcome_of(job, mixed), seconds=round(time.monotonic() - start_s, 3))
        write_record(job, self._identity, inputs, outcome)
        return outcome

    def _progress(self, job: Job) -> Callable[[str, int, int], None]:
        def progress(step: str, n_done: int, n_all: int) -> None:
            if step == "mixing" and self._on_progress is not None:
                self._on_progress(job, n_done / max(1, n_all))

        return progress


def _outcome_of(job: Job, mixed: MixedFile) -> Outcome:
    session, level = mixed.settings["session"], mixed.settings["level"]
    return Outcome(
        job.name,
        "mixed",
        path=Path(job.target),
        duration_s=round(session["n_samples"] / session["rate_hz"], 3),
        lufs=level["lufs"],
        true_peak_dbtp=level["true_peak_dbtp"],
        message=_one_line("; ".join(line.text for line in lines(mixed.notices))),
    )


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
