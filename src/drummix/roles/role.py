"""The microphones of a drum kit."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a stem is in the session.

    The first eight are the microphones of the paper, in its order. The last three are never
    mixed: a session reports them and leaves them out.
    """

    KICK = "kick"
    SNARE = "snare"
    HIHAT = "hihat"
    TOM_MID = "tom_mid"
    TOM_LOW = "tom_low"
    TOM_MID_LOW = "tom_mid_low"
    OVERHEAD_LEFT = "overhead_left"
    OVERHEAD_RIGHT = "overhead_right"

    KICK_OUT = "kick_out"
    KICK_SUB = "kick_sub"
    KICK_2 = "kick_2"
    SNARE_BOTTOM = "snare_bottom"
    SNARE_2 = "snare_2"
    HIHAT_2 = "hihat_2"
    TOM_HIGH = "tom_high"
    TOM_EXTRA = "tom_extra"
    OVERHEAD_MONO = "overhead_mono"
    RIDE = "ride"
    CRASH = "crash"
    CYMBAL = "cymbal"
    PERCUSSION = "percussion"
    ROOM_LEFT = "room_left"
    ROOM_RIGHT = "room_right"
    ROOM_MONO = "room_mono"

    TRIGGER = "trigger"
    OTHER = "other"
    IGNORE = "ignore"


PAPER_ROLES: tuple[Role, ...] = (
    Role.KICK,
    Role.SNARE,
    Role.HIHAT,
    Role.TOM_MID,
    Role.TOM_LOW,
    Role.TOM_MID_LOW,
    Role.OVERHEAD_LEFT,
    Role.OVERHEAD_RIGHT,
)
"""The eight microphones of the paper, in its order: the inputs of its Wave-U-Net."""

LEFT_OUT_ROLES = frozenset({Role.TRIGGER, Role.OTHER, Role.IGNORE})
"""Roles of files that a session reports but does not mix."""

REPEATED_ROLES = LEFT_OUT_ROLES | {
    Role.TOM_EXTRA,
    Role.CRASH,
    Role.CYMBAL,
    Role.PERCUSSION,
    Role.ROOM_LEFT,
    Role.ROOM_RIGHT,
    Role.ROOM_MONO,
}
"""Roles that several stems of one session may have."""
