"""What is done to the stems of a clip before the network hears them; the target never changes.

First the recording is disturbed (`drummix.corpus.disturbance`). Then, where an item's stems are
brought to the levels of their roles, the gains that do so are applied: those of the whole item,
less the gain of the disturbance, which a level analysis of the disturbed session would find too.
Then comes what such an analysis gets wrong, a jitter of the levels. Last, stems fall silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drummix.corpus.disturbance import Disturbance, disturb, draw_disturbance, source_stems
from drummix.corpus.kit import FloatArray
from drummix.levels import db_to_gain
from drummix.nn.config import ClipSettings
from drummix.roles import PAPER_ROLES

# Streams beside the one that chooses the place of a clip, so that clips stay where they are
# when something more is done to them.
_DISTURBANCE_STREAM, _NOISE_STREAM, _JITTER_STREAM = 1, 2, 3

# More samples than the longest delay, and than a fraction of a sample rings at any common rate.
_MARGIN = 256


@dataclass(frozen=True)
class ClipChange:
    """What happens to the stems of one clip.

    Args:
        disturbance: What the recording suffers; None for nothing.
        jitter_db: Gain of each stem beside that of its level, in dB.
        silent: Stems that fall silent.
        noise_seed: Seed of the noise of the disturbance.
    """

    disturbance: Disturbance | None = None
    jitter_db: tuple[float, ...] = (0.0,) * len(PAPER_ROLES)
    silent: tuple[bool, ...] = (False,) * len(PAPER_ROLES)
    noise_seed: tuple[int, ...] = (0,)

    @property
    def margin(self) -> int:
        """Samples that have to be there before and after a clip so that its ends are right."""
        return _MARGIN if self.disturbance is not None else 0

    def apply(
        self, stems: FloatArray, rate_hz: int, level_gains_db: Sequence[float] | None = None
    ) -> FloatArray:
        """Do it to the stems of a clip.

        Args:
            stems: Samples (8, N + 2 margins) in the order of `PAPER_ROLES`.
            rate_hz: Sample rate in Hz.
            level_gains_db: Gain of each stem that brings the undisturbed item to its levels;
                None where levels are left as they are.

        Returns:
            Stems (8, N).
        """
        gains_db = np.array(self.jitter_db)
        if level_gains_db is not None:
            levels_db = np.array(level_gains_db)
            if self.disturbance is not None:
                levels_db = levels_db - np.array(self.disturbance.gains_db)
                levels_db = levels_db[source_stems(self.disturbance)]
            gains_db = gains_db + levels_db
        if self.disturbance is not None:
            rng = np.random.default_rng(self.noise_seed)
            stems = disturb(stems, rate_hz, self.disturbance, rng)
            stems = stems[:, _MARGIN : stems.shape[1] - _MARGIN]
        if gains_db.any():
            stems = stems * db_to_gain(gains_db).astype(np.float32)[:, np.newaxis]
        if any(self.silent):
            stems = np.where(np.array(self.silent)[:, np.newaxis], np.float32(0.0), stems)
        return np.ascontiguousarray(stems)


UNCHANGED = ClipChange()


def draw_change(
    settings: ClipSettings, silent: Sequence[bool], seed: tuple[int, ...]
) -> ClipChange:
    """Draw what happens to the stems of one clip.

    Args:
        settings: What may happen.
        silent: Stems that fall silent.
        seed: Seed of the clip.
    """
    disturbance = None
    if settings.disturb:
        rng = np.random.default_rng([*seed, _DISTURBANCE_STREAM])
        disturbance = draw_disturbance(rng, settings.disturb)
    jitter = np.zeros(len(PAPER_ROLES))
    if settings.gain_jitter_db:
        rng = np.random.default_rng([*seed, _JITTER_STREAM])
        jitter = rng.normal(0.0, settings.gain_jitter_db, len(PAPER_ROLES))
    return ClipChange(disturbance, tuple(jitter.tolist()), tuple(silent), (*seed, _NOISE_STREAM))
