"""Gain staging: bringing every microphone of a session to one level, whatever its preamp did.

Before an engineer touches a fader, each track's gain is set so that its drum reads the same on the
meters as in any other session. `GainStaging` does that from the tracks alone: one gain a stem, for
the whole session, such that a stem recorded 12 dB louder gets a gain 12 dB lower and nothing else
changes. The reference engineer of a corpus sets the preamps by it too, so that a network meets at
mixing time the levels it was trained with.

How loud a stem is: the self-weighted mean of the peaks p of overlapping 10 ms frames,
(sum p^a / sum p^b)^(1/(a-b)). Loud strokes count, however rare they are; rests and decays do not,
and silence adds nothing. Close microphones take a=6, b=4, near the peak of a loud stroke; overheads
and rooms a=2, b=1, which a single crash moves less. Any session is measured at 44.1 kHz and below
20 kHz: the peaks of samples at another rate are others, by most of a decibel for a hi-hat.

A tom that is never struck leaves only bleed in its microphone, and bleed must not be raised to
the level of a tom. Its peaks then follow those of the other close microphones: where a non-negative
mixture of them explains more than `BLEED_SHARE` of their energy, the stem counts as bleed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.audio import ResamplingStream
from drummix.errors import SettingError
from drummix.levels import FRAME_RATE_HZ, FramePeaks, db_to_gain, gain_to_db, n_silent_before
from drummix.roles import Role

FloatArray = NDArray[np.float32]

REFERENCE_LEVELS_DBFS: Mapping[Role, float] = {
    Role.KICK: -11.0,
    Role.KICK_OUT: -11.0,
    Role.KICK_2: -11.0,
    Role.KICK_SUB: -11.0,
    Role.SNARE: -8.0,
    Role.SNARE_2: -8.0,
    Role.SNARE_BOTTOM: -8.0,
    Role.HIHAT: -14.5,
    Role.HIHAT_2: -14.5,
    Role.TOM_MID: -10.0,
    Role.TOM_LOW: -10.0,
    Role.TOM_MID_LOW: -10.0,
    Role.TOM_HIGH: -10.0,
    Role.TOM_EXTRA: -10.0,
    Role.OVERHEAD_LEFT: -23.0,
    Role.OVERHEAD_RIGHT: -23.0,
    Role.OVERHEAD_MONO: -23.0,
    Role.RIDE: -23.0,
    Role.CRASH: -23.0,
    Role.CYMBAL: -23.0,
    Role.PERCUSSION: -11.0,
    Role.ROOM_LEFT: -23.0,
    Role.ROOM_RIGHT: -23.0,
    Role.ROOM_MONO: -23.0,
}
"""Level of every microphone after gain staging, in dBFS: the means of two kits whose preamps were
set from single hits (see `drummix.corpus.studio`)."""

TOM_ROLES = frozenset({Role.TOM_HIGH, Role.TOM_MID, Role.TOM_MID_LOW, Role.TOM_LOW, Role.TOM_EXTRA})
BLEED_SHARE = 0.57
"""A tom's stem is bleed where other close microphones explain more of its peaks than this."""

BLEED_LEVEL_DB = -30.0
"""Where such a stem goes, beside the level of a tom that is struck."""

SILENCE_DBFS = -80.0
"""A stem that never gets louder is left as it is: there is nothing to set a level by."""

MAX_GAIN_DB = 48.0

_DISTANT = frozenset(
    {
        Role.OVERHEAD_LEFT,
        Role.OVERHEAD_RIGHT,
        Role.OVERHEAD_MONO,
        Role.RIDE,
        Role.CRASH,
        Role.CYMBAL,
        Role.ROOM_LEFT,
        Role.ROOM_RIGHT,
        Role.ROOM_MONO,
    }
)
# A second microphone on the same tom would explain the first.
_EXPLAINS_NOTHING = _DISTANT | {Role.TOM_EXTRA, Role.PERCUSSION}

_MOST_SWEEPS, _SMALL_STEP = 500, 1e-8


@dataclass(frozen=True)
class StagedStem:
    """What gain staging found for one stem.

    Args:
        role: Its microphone.
        level_dbfs: How loud it is, in dBFS; -inf for silence.
        is_bleed: Whether it is a tom's microphone that hears only other drums.
        gain_db: The gain that brings it to its level.
    """

    role: Role
    level_dbfs: float
    is_bleed: bool
    gain_db: float

    def to_mapping(self) -> dict[str, Any]:
        """Plain data; null for the level of silence."""
        return {
            "role": self.role.value,
            "level_dbfs": None if np.isinf(self.level_dbfs) else round(self.level_dbfs, 2),
            "is_bleed": self.is_bleed,
            "gain_db": round(self.gain_db, 3),
        }


class GainStaging:
    """Listens to a session from beginning to end, then gives a gain for each stem.

    Memory does not grow with the session; the result depends neither on the size of the blocks nor,
    to a tenth of a decibel, on the sample rate, nor on silence before or behind.

    Args:
        roles: Role of every stem, in order.
        rate_hz: Sample rate in Hz.

    Raises:
        SettingError: If a role has no level of its own, as those that are never mixed.
    """

    def __init__(self, roles: Sequence[Role], rate_hz: int) -> None:
        for role in roles:
            if role not in REFERENCE_LEVELS_DBFS:
                raise SettingError(
                    "roles", role, "leave it out", problem=f"holds {role}, which has no level"
                )
        self._roles = tuple(roles)
        self._stream = ResamplingStream(rate_hz, FRAME_RATE_HZ, len(roles))
        self._frames = FramePeaks(len(roles))
        self._rate_hz = rate_hz
        self._has_begun, self._n_silent, self._n_resampled = False, 0, 0
        self._stems: tuple[StagedStem, ...] | None = None
        self._sums = {power: np.zeros(len(roles)) for power in (1, 2, 4, 6)}
        self._gram = np.zeros((len(roles), len(roles)))
        self._loudest = np.zeros(len(roles))

    def add(self, block: FloatArray) -> None:
        """Hear the next samples (stems, samples) of all stems."""
        assert self._stems is None, "the session has ended"
        if not self._has_begun:
            n_silent = n_silent_before(block, 0.0)
            self._n_silent += n_silent
            self._has_begun = n_silent < block.shape[1]
        self._hear(self._stream.process(block))

    def stems(self) -> tuple[StagedStem, ...]:
        """Level and gain of every stem, at the end of the session."""
        if self._stems is None:
            self._hear(self._stream.flush())
            self._count(self._frames.flush())
            self._stems = tuple(self._stem(index, role) for index, role in enumerate(self._roles))
        return self._stems

    def _hear(self, samples: FloatArray) -> None:
        # Frames begin with the first sound, wherever it is; resampling keeps the session's phase.
        first = self._n_silent * FRAME_RATE_HZ // self._rate_hz
        n_before = max(0, first - self._n_resampled)
        self._n_resampled += samples.shape[1]
        self._count(self._frames.process(samples[:, n_before:]))

    def _count(self, peaks: FloatArray) -> None:
        if not peaks.shape[1]:
            return
        values = peaks.astype(np.float64)
        squares = values * values
        fourths = squares * squares
        for power, raised in ((1, values), (2, squares), (4, fourths), (6, fourths * squares)):
            self._sums[power] += raised.sum(axis=1)
        # Not `values @ values.T`, whose last bit depends on how many threads share it.
        self._gram += np.einsum("in,jn->ij", values, values)
        self._loudest = np.maximum(self._loudest, values.max(axis=1))

    def _stem(self, index: int, role: Role) -> StagedStem:
        if gain_to_db(float(self._loudest[index])) <= SILENCE_DBFS:
            return StagedStem(role, -np.inf, False, 0.0)
        high, low = (2, 1) if role in _DISTANT else (6, 4)
        share = float(self._sums[high][index] / self._sums[low][index])
        level_dbfs = gain_to_db(share ** (1 / (high - low)))
        is_bleed = role in TOM_ROLES and self._explained_share(index) > BLEED_SHARE
        wanted_dbfs = REFERENCE_LEVELS_DBFS[role] + (BLEED_LEVEL_DB if is_bleed else 0.0)
        gain_db = float(np.clip(wanted_dbfs - level_dbfs, -MAX_GAIN_DB, MAX_GAIN_DB))
        return StagedStem(role, level_dbfs, is_bleed, gain_db)

    def _explained_share(self, index: int) -> float:
        """How much of a stem's peaks a non-negative mixture of other close stems explains."""
        others = [
            i
            for i, role in enumerate(self._roles)
            if i != index and role not in _EXPLAINS_NOTHING and self._gram[i, i] > 0.0
        ]
        if not others:
            return 0.0
        scale = np.sqrt(np.diag(self._gram))
        correlation = self._gram / np.outer(scale + (scale == 0), scale + (scale == 0))
        gram = correlation[np.ix_(others, others)] + 1e-9 * np.eye(len(others))
        target = correlation[others, index]
        weights = _non_negative_weights(gram, target)
        return float(2.0 * weights @ target - weights @ gram @ weights)


def _non_negative_weights(
    gram: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least squares without negative weights, from the normal equations.

    One weight at a time (coordinate descent): for a dozen microphones that is done before scipy's
    solver has loaded, which takes longer than a short mix.

    Args:
        gram: Products of the columns (columns, columns), positive definite.
        target: Products of the columns with what they are to explain (columns,).
    """
    weights = np.zeros(target.size)
    for _ in range(_MOST_SWEEPS):
        before = weights.copy()
        for column in range(target.size):
            step = (target[column] - gram[column] @ weights) / gram[column, column]
            weights[column] = max(0.0, weights[column] + step)
        if np.abs(weights - before).max() < _SMALL_STEP:
            break
    return weights


def staged_gains(stems: FloatArray, roles: Sequence[Role], rate_hz: int) -> NDArray[np.float32]:
    """Linear gains (stems,) that set the levels of a whole session in memory.

    Args:
        stems: Samples (stems, N).
        roles: Role of every stem.
        rate_hz: Sample rate in Hz.
    """
    staging = GainStaging(roles, rate_hz)
    staging.add(stems)
    return np.array([db_to_gain(stem.gain_db) for stem in staging.stems()], dtype=np.float32)
