"""What is said about a file: plain values, ready for a table or JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from drummix.notices import Notice


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
    findings: tuple[Notice, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: no infinities, and findings without their sentences."""
        plain = vars(self) | {
            "roles": list(self.roles),
            "findings": [finding.to_dict() for finding in self.findings],
        }
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in plain.items()
        }
