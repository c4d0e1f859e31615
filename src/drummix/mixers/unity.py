"""The plain sum: every microphone at its recorded level, pairs hard left and right, no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from drummix.mixers.base import MixPlan, Progress, mixed_blocks
from drummix.roles import Role
from drummix.session import Session, Stem

_LEFT = frozenset({Role.OVERHEAD_LEFT, Role.ROOM_LEFT})
_RIGHT = frozenset({Role.OVERHEAD_RIGHT, Role.ROOM_RIGHT})


class UnityMixer:
    """Sums the stems: overheads and rooms to their side, everything else to both, gain 1."""

    name = "unity"

    def plan(self, session: Session, *, progress: Progress | None = None) -> MixPlan:
        """Set each stem's gains; nothing needs to be measured."""
        matrix = np.array([_gains(stem) for stem in session.stems], dtype=np.float32).T
        return MixPlan(
            system=self.name,
            session=session,
            settings={"routes": [_route(stem) for stem in session.stems]},
            notices=(),
            make_blocks=lambda: mixed_blocks(session, matrix),
        )


def _gains(stem: Stem) -> tuple[float, float]:
    return (0.0 if stem.role in _RIGHT else 1.0, 0.0 if stem.role in _LEFT else 1.0)


def _route(stem: Stem) -> dict[str, Any]:
    left, right = _gains(stem)
    return {
        "source": stem.source,
        "channel": stem.channel,
        "role": stem.role.value,
        "left_gain": left,
        "right_gain": right,
    }
