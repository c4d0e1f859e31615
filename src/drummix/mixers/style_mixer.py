"""Mixing with a style: each microphone through its filters, then the bus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np

from drummix.audio import resampled_length
from drummix.effects.reverse import filter_blocks
from drummix.errors import SessionError, SettingError
from drummix.gain_staging import StagedStem
from drummix.levels import db_to_gain
from drummix.mixers.base import BLOCK_SAMPLES, FloatArray, MixPlan, Progress, stage_session
from drummix.mixers.rate import exactly, resample_blocks
from drummix.mixers.style import Style
from drummix.mixers.style_bus import Bus, FedBus, chain_blocks
from drummix.mixers.style_casting import CastMic, cast_notices, cast_stems
from drummix.notices import Code, Notice
from drummix.session import Session

Levels = Literal["auto", "match", "as_recorded"]

OTHER_PREAMPS_DB = 10.0
"""Where the median level differs by more from the style's, the session was recorded at other
preamp gains: songs of two kits recorded at fixed gains differ by 1.3 dB, 6.5 dB at most."""

UNPLAYED_DB = 24.0
"""A microphone that differs by so much more than the median is not played here, whatever its
preamp: among those songs there is one without a kick, 40 dB down."""


class StyleMixer:
    """Mixes every session as the example was mixed that a style was learned from.

    Args:
        style: The style.
        levels: ``as_recorded`` mixes the stems as they are, as is right for another song of the
            same session. ``match`` first brings each stem to the level that it had in the
            example. ``auto`` does so where the levels are those of another session.

    Raises:
        SettingError: If `levels` is none of these.
    """

    name = "style"

    def __init__(self, style: Style, *, levels: Levels = "auto") -> None:
        if levels not in get_args(Levels):
            raise SettingError("levels", levels, f"use {', '.join(get_args(Levels))}")
        self._style = style
        self._levels = levels

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Find a microphone of the style for every stem, and the stems' levels.

        Raises:
            SessionError: If the style knows none of them.
        """
        style = self._style
        staged = stage_session(session, progress)
        cast = cast_stems(session.stems, style, [stem.is_bleed for stem in staged])
        if all(entry.mic is None for entry in cast):
            there = ", ".join(dict.fromkeys(stem.role for stem in session.stems))
            known = ", ".join(dict.fromkeys(m.role for m in style.microphones if m.is_learned))
            raise SessionError(
                f"{session.name} has {there}, and the style {style.name} mixes {known}: nothing "
                "to mix; learn a style from a session with these microphones"
            )
        changes_db, level_notices = self._level_changes(cast, staged)
        filters = _filters(cast, changes_db, style)
        notices = [*cast_notices(cast, style), *level_notices]
        if session.rate_hz != style.rate_hz:
            notices.append(
                Notice.of(
                    Code.MIXED_AT_OTHER_RATE,
                    "style",
                    rate_hz=style.rate_hz,
                    session_rate_hz=session.rate_hz,
                )
            )
        return MixPlan(
            system=f"the style {style.name}",
            session=session,
            settings=self._settings(cast, changes_db),
            notices=tuple(notices),
            make_blocks=lambda: self._blocks(session, filters),
        )

    def _level_changes(
        self, cast: Sequence[CastMic], staged: Sequence[StagedStem]
    ) -> tuple[list[float], list[Notice]]:
        """What each stem is turned up by before its filter, in dB, and what to say about it."""
        zeros = [0.0] * len(cast)
        if self._levels == "as_recorded":
            return zeros, []
        changes_db = [_change_db(e, stem) for e, stem in zip(cast, staged, strict=True)]
        known_db = [change for change in changes_db if change is not None]
        median_db = float(np.median(known_db)) if known_db else 0.0
        filled = [
            0.0
            if change is None
            else round(median_db if abs(change - median_db) > UNPLAYED_DB else change, 3)
            for change in changes_db
        ]
        is_asked = self._levels == "match"
        if not is_asked and np.median(np.abs(known_db or [0.0])) <= OTHER_PREAMPS_DB:
            return zeros, []
        reason = "example" if is_asked else "preamps"
        return filled, [
            Notice.of(Code.LEVEL_SET, entry.stem.role, gain_db=change, reason=reason)
            for entry, change in zip(cast, filled, strict=True)
            if round(change, 1)
        ]

    def _settings(self, cast: Sequence[CastMic], changes_db: Sequence[float]) -> dict[str, Any]:
        style = self._style
        return {
            "style": style.name,
            "rate_hz": style.rate_hz,
            "taps": style.n_taps,
            "levels": self._levels,
            "microphones": [
                {
                    "source": entry.stem.source,
                    "channel": entry.stem.channel,
                    "role": entry.stem.role.value,
                    "mixed_as": None if entry.mic is None else entry.mic.role.value,
                    "how": entry.how.value,
                    "others": [other.value for other in entry.others],
                    "level_change_db": change_db,
                    "gain_db": None if entry.mic is None else round(entry.mic.gain_db, 3),
                    "pan": None if entry.mic is None else round(entry.mic.pan, 4),
                    **_send_setting(entry, style),
                }
                for entry, change_db in zip(cast, changes_db, strict=True)
            ],
            "bus": style.bus.to_plain()["effects"],
            **({"plate_is_mirrored": style.plate_is_mirrored} if style.has_plate else {}),
        }

    def _blocks(self, session: Session, filters: np.ndarray) -> Iterator[FloatArray]:
        style = self._style
        n_frames = resampled_length(session.n_samples, session.rate_hz, style.rate_hz)
        stems = resample_blocks(
            session.blocks(BLOCK_SAMPLES),
            n_samples=session.n_samples,
            from_hz=session.rate_hz,
            to_hz=style.rate_hz,
        )
        summed = filter_blocks(stems, filters, style.n_lead)
        bus: Bus = FedBus(style.bus, style.plate_is_mirrored) if style.has_plate else style.bus
        mix = exactly(n_frames, chain_blocks(summed, bus, style.rate_hz))
        back = resample_blocks(
            mix, n_samples=n_frames, from_hz=style.rate_hz, to_hz=session.rate_hz
        )
        return exactly(session.n_samples, back)


def _filters(cast: Sequence[CastMic], changes_db: Sequence[float], style: Style) -> np.ndarray:
    """Filters to left, right and, where there is one, to the plate (channels, stems, taps)."""
    filters = np.zeros((2 + style.has_plate, len(cast), style.n_taps))
    for index, (entry, change_db) in enumerate(zip(cast, changes_db, strict=True)):
        if entry.mic is not None:
            filters[:2, index] = db_to_gain(change_db) * entry.mic.filters()
            filters[2:, index] = entry.mic.plate_send * filters[:2, index].mean(axis=0)
    return filters


def _send_setting(entry: CastMic, style: Style) -> dict[str, float | None]:
    if not style.has_plate:
        return {}
    send_db = None if entry.mic is None else entry.mic.plate_send_db
    return {"plate_send_db": None if send_db is None else round(send_db, 3)}


def _change_db(entry: CastMic, staged: StagedStem) -> float | None:
    """How much louder the example's stem was; None where either says nothing about it."""
    is_silent = np.isinf(staged.level_dbfs)
    if entry.mic is None or entry.mic.staged_gain_db is None or is_silent:
        return None
    return staged.gain_db - entry.mic.staged_gain_db
