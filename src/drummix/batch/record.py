"""What is written down about a finished mix, so that it is not made again.

A record says from which files, of what size and time, and with which settings a mix was made, and
what the mix itself looks like on disk. Where all of that is still so, the mix is complete.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from drummix.audio import make_folder, write_text
from drummix.batch.finding import session_files
from drummix.batch.outcome import Outcome
from drummix.errors import TextFileError
from drummix.mixers.registry import shipped_folder
from drummix.mixers.style import Style, read_style
from drummix.mixers.weights import any_card
from drummix.mixing import MixOptions, OutputLevel
from drummix.plain_data import Limits, read_json

_FORMAT = 1
# Names of files stand in it, in whatever encoding they are.
_LIMITS = Limits(any_text=True)


@dataclass(frozen=True)
class Job:
    """A session to be mixed. Paths are absolute: who mixes it may run anywhere.

    Args:
        name: Name of the session.
        folder: Its folder.
        target: The mix.
        settings_path: Where its settings are written; None for nowhere.
        record_path: Where the record is written.
        n_bytes: Size of its files: how much work it is.
    """

    name: str
    folder: Path
    target: Path
    settings_path: Path | None
    record_path: Path
    n_bytes: int = 0


@dataclass(frozen=True)
class _Kept:
    seconds: float | None
    duration_s: float | None
    lufs: float | None
    true_peak_dbtp: float | None
    message: str


@dataclass(frozen=True)
class _Record:
    format: int
    identity: Mapping[str, Any]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    outcome: _Kept


def identity_of(options: MixOptions, level: OutputLevel) -> dict[str, Any]:
    """Everything but the session that a mix depends on, as plain data.

    Raises:
        SettingError: If the style cannot be read.
    """
    style = options.style
    if style is not None and not isinstance(style, Style):
        style = read_style(style)
    return {
        "drummix": importlib.metadata.version("drummix"),
        "system": options.system,
        "weights_sha256": None if style is not None else _weights_sha256(options),
        "style_sha256": None if style is None else _sha256_of(style.to_plain()),
        "as_recorded": options.as_recorded,
        "paper_segments": options.paper_segments,
        "match_levels": options.match_levels,
        "lufs": level.lufs,
        "ceiling_dbtp": level.ceiling_dbtp,
    }


def _weights_sha256(options: MixOptions) -> str | None:
    """Checksum on the card of the model in use; None where the system has no model."""
    if options.weights is not None:
        folder: Path | None = Path(options.weights)
    else:
        folder = shipped_folder(options.system)
    found = None if folder is None else any_card(folder).get("sha256")
    return None if found is None else str(found)


def _sha256_of(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def inputs_of(job: Job) -> dict[str, list[int]]:
    """What the session's files look like on disk."""
    return {name: list(state) for name, state in session_files(job.folder).items()}


def write_record(
    job: Job, identity: Mapping[str, Any], inputs: Mapping[str, Any], outcome: Outcome
) -> None:
    """Note that a mix is complete.

    Raises:
        OutputError: If the record cannot be written.
    """
    record = {
        "format": _FORMAT,
        "identity": dict(identity),
        "inputs": dict(inputs),
        "outputs": _outputs_of(job),
        "outcome": {field.name: getattr(outcome, field.name) for field in fields(_Kept)},
    }
    make_folder(job.record_path.parent)
    write_text(job.record_path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def recorded_outcome(job: Job, identity: Mapping[str, Any]) -> Outcome | None:
    """What an earlier run made of a session, or None where it has to be mixed (again)."""
    try:
        record = read_json(job.record_path, _Record, error=TextFileError, limits=_LIMITS)
        is_same = (
            record.format == _FORMAT
            and record.identity == identity
            and record.inputs == inputs_of(job)
            and record.outputs == _outputs_of(job)
        )
    except (OSError, TextFileError):
        return None
    if not is_same:
        return None
    return Outcome(job.name, "unchanged", path=job.target, **vars(record.outcome))


def _outputs_of(job: Job) -> dict[str, list[int] | None]:
    paths = {"mix": job.target, "settings": job.settings_path}
    states = {name: None if path is None else path.stat() for name, path in paths.items()}
    return {
        name: None if state is None else [state.st_size, state.st_mtime_ns]
        for name, state in states.items()
    }
