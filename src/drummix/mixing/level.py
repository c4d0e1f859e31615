"""How loud a finished mix is: one gain, from its loudness and its true peak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from drummix.errors import SettingError
from drummix.levels import GATE_LUFS, SILENCE_DBFS, LoudnessMeter
from drummix.notices import Code, Notice

DEFAULT_CEILING_DBTP = -1.0
_CHANGE_DB = 0.05
"""A gain that rounds to 0.0 dB is not spoken of."""


@dataclass(frozen=True)
class OutputLevel:
    """The level a mix shall have.

    Args:
        lufs: Integrated loudness in LUFS; None keeps the mixer's own.
        true_peak_dbtp: Ceiling in dBTP, never exceeded; None for -1.

    Raises:
        SettingError: If a level is out of range.
    """

    lufs: float | None = None
    true_peak_dbtp: float | None = None

    def __post_init__(self) -> None:
        if self.lufs is not None and not GATE_LUFS < self.lufs <= 0.0:
            raise SettingError("lufs", self.lufs, "expected -70 to 0, for example -16")
        if self.true_peak_dbtp is not None and not -60.0 <= self.true_peak_dbtp <= 0.0:
            raise SettingError(
                "true_peak_dbtp", self.true_peak_dbtp, "expected -60 to 0, for example -1"
            )

    @property
    def ceiling_dbtp(self) -> float:
        """The true peak that the mix never exceeds."""
        return DEFAULT_CEILING_DBTP if self.true_peak_dbtp is None else self.true_peak_dbtp

    def decide(self, meter: LoudnessMeter) -> LevelDecision:
        """The gain for a mix that `meter` has heard to its end."""
        true_peak_dbtp = meter.true_peak_dbtp()
        most_db = self.ceiling_dbtp - true_peak_dbtp
        wanted_db = self._wanted_gain_db(meter, true_peak_dbtp)
        gain_db = min(0.0 if wanted_db is None else wanted_db, most_db)
        lufs, notice = meter.integrated_lufs(gain_db), None
        if self.lufs is None:
            if gain_db < -_CHANGE_DB:
                notice = self._notice(Code.TURNED_DOWN, true_peak_dbtp, gain_db=gain_db)
        elif wanted_db is None:
            notice = self._notice(Code.LOUDNESS_UNKNOWN, true_peak_dbtp)
        elif gain_db < wanted_db - _CHANGE_DB:
            would_peak_dbtp = true_peak_dbtp + wanted_db
            notice = self._notice(Code.LOUDNESS_LIMITED, would_peak_dbtp, lufs=max(lufs, GATE_LUFS))
        return LevelDecision(self, gain_db, lufs, true_peak_dbtp + gain_db, notice)

    def _wanted_gain_db(self, meter: LoudnessMeter, true_peak_dbtp: float) -> float | None:
        """The gain for the loudness; None where none is wanted, or none can be had."""
        if self.lufs is None or true_peak_dbtp <= SILENCE_DBFS:
            return None
        return meter.gain_db_for(self.lufs)

    def _notice(self, code: Code, true_peak_dbtp: float, **values: float) -> Notice:
        """A notice about the level: what was asked for, and the peak that stood against it."""
        asked = {} if self.lufs is None else {"wanted_lufs": self.lufs}
        peak_dbtp = round(true_peak_dbtp, 3) if math.isfinite(true_peak_dbtp) else None
        found = {name: round(value, 3) for name, value in values.items()}
        return Notice(
            code,
            values={
                "ceiling_dbtp": self.ceiling_dbtp,
                "true_peak_dbtp": peak_dbtp,
                **asked,
                **found,
            },
        )


@dataclass(frozen=True)
class LevelDecision:
    """What was decided about the level of a mix.

    Args:
        wanted: What was asked for.
        gain_db: Gain of the whole mix in dB.
        lufs: Its loudness after that in LUFS; -inf where there is none.
        true_peak_dbtp: Its true peak after that in dBTP.
        notice: What a person should know about it; None where it is as it was asked for.
    """

    wanted: OutputLevel
    gain_db: float
    lufs: float
    true_peak_dbtp: float
    notice: Notice | None

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for `Mix.settings`; null where there is no loudness."""
        return {
            "wanted_lufs": self.wanted.lufs,
            "ceiling_dbtp": self.wanted.ceiling_dbtp,
            "gain_db": round(self.gain_db, 5),
            "lufs": None if math.isinf(self.lufs) else round(self.lufs, 2),
            "true_peak_dbtp": round(self.true_peak_dbtp, 2),
        }
