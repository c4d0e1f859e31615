"""What is said about a file: plain values, ready for a table or JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Problem(StrEnum):
    """The kinds of findings."""

    UNREADABLE = "unreadable"
    ROLE_UNKNOWN = "role unknown"
    ROLE_AMBIGUOUS = "role ambiguous"
    TOO_MANY_CHANNELS = "too many channels"
    LEFT_OUT = "left out"
    SILENT = "silent"
    LOW_LEVEL = "low level"
    CLIPPED = "clipped"
    DC_OFFSET = "DC offset"
    MONO_AS_STEREO = "mono as stereo"
    TWIN = "identical twin"
    INVERTED = "inverted polarity"
    RATE_DIFFERS = "rate differs"
    LENGTH_DIFFERS = "length differs"


@dataclass(frozen=True)
class Finding:
    """Something about a file that a person should know.

    Args:
        problem: Its kind.
        text: What it is, with the numbers, in one line.
        confidence: How sure it is, 0.0 to 1.0.
    """

    problem: Problem
    text: str
    confidence: float = 1.0


@dataclass(frozen=True)
class FileReport:
    """One file of a session.

    Args:
        name: File name, or key of the mapping.
        roles: Its roles, two for a stereo pair; empty where the name does not tell.
        why: How the roles were found.
        format: Container, e.g. ``WAV``; empty if the file cannot be read, as all that follows.
        subtype: Coding, e.g. ``PCM_24``.
        rate_hz: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Length in samples (of one channel).
        duration_s: Length in seconds.
        peak_dbfs: Largest sample of all channels.
        rms_dbfs: Root mean square over all channels.
        lufs: Integrated loudness; None where nothing passes the gate of BS.1770.
        dc_offset: Mean of the channel whose mean is largest, full scale 1.0.
        findings: What looks wrong, or what will be done about it.
    """

    name: str
    roles: tuple[str, ...]
    why: str
    format: str = ""
    subtype: str = ""
    rate_hz: int = 0
    n_channels: int = 0
    n_samples: int = 0
    duration_s: float = 0.0
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    lufs: float | None = None
    dc_offset: float | None = None
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: no infinities, enumerations as text."""
        plain = dataclasses.asdict(self)
        plain["findings"] = [
            finding | {"problem": finding["problem"].value} for finding in plain["findings"]
        ]
        plain["roles"] = list(self.roles)
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in plain.items()
        }
