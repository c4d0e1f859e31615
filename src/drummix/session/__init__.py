"""A session: the microphone tracks of one take, checked, aligned and read block by block.

Belongs here: finding the files, settling their roles, one rate and one length for all.
Does not belong here: changing the sound beyond that, or judging it (see `drummix.inspection`).
"""

from drummix.session.gathering import Entry, Gathered, gather
from drummix.session.opening import check_target, common_rate_hz, open_session
from drummix.session.stems import Session, SessionWatch, Stem

__all__ = [
    "Entry",
    "Gathered",
    "Session",
    "SessionWatch",
    "Stem",
    "check_target",
    "common_rate_hz",
    "gather",
    "open_session",
]
