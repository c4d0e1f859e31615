"""The recording engineer: which kit microphones make the eight stems, and their preamp gains.

ENST-Drums was recorded in one studio whose engineer kept the same levels throughout; the paper's
network relies on it. Open kits come at any level, so every kit's preamps are set once, from its
own loud hits, to the peaks of that studio. One setting a kit, none a performance: how loud a
drummer plays stays in the recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drummix.corpus.articulations import OVERHEAD_NAME, ROOM_NAME
from drummix.corpus.kit import TOMS, FloatArray, Hit, Instrument, Kit, Piece
from drummix.corpus.render import Rendering, loud_hits
from drummix.errors import CorpusError
from drummix.levels import db_to_gain
from drummix.roles import PAPER_ROLES, Role

# Peak of a loud hit in the microphone of its piece, dBFS; a crash for the overheads.
STUDIO_PEAKS_DBFS: Mapping[Role, float] = {
    Role.KICK: -8.0,
    Role.SNARE: -6.0,
    Role.HIHAT: -12.0,
    Role.TOM_MID: -8.0,
    Role.TOM_LOW: -8.0,
    Role.TOM_MID_LOW: -8.0,
    Role.OVERHEAD_LEFT: -12.0,
    Role.OVERHEAD_RIGHT: -12.0,
}

# A loud snare in the overheads peaks at least here. Kits whose overheads hear hardly more than
# cymbals reach it with their room microphones, as an overhead pair in a live room would.
SNARE_IN_OVERHEADS_DBFS = -20.0

_LEFT, _RIGHT = (
    # A name's last letter is a side after a small letter or a separator: OhL, OH_l, Amb L.
    re.compile(
        rf"(?i:{side}|(?:^|[^a-z]){side[0]}$|^(?:oh|over ?heads?|amb|rooms?){side[0]}$)"
        rf"|(?<=[a-z]){side[0].upper()}$"
    )
    for side in ("left", "right")
)

Feed = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Studio:
    """Eight stems from a kit's microphones.

    Args:
        feeds: Role -> (kit channel, linear gain) pairs that are summed; a role with no pair is
            a microphone that was not set up.
        pieces: Role -> the pieces its microphone faces (none for overheads).
    """

    feeds: Mapping[Role, Feed]
    pieces: Mapping[Role, tuple[Piece, ...]]

    @classmethod
    def for_kit(cls, kit: Kit) -> Studio:
        """Set up the eight microphones of the paper for a kit.

        Raises:
            CorpusError: If the kit has no kick, no snare or no overheads.
        """
        pieces = _close_pieces(kit)
        feeds: dict[Role, Feed] = {}
        for role, faced in pieces.items():
            instruments = [i for i in kit.instruments.values() if i.piece in faced]
            feeds[role] = _close_feed(instruments, STUDIO_PEAKS_DBFS[role])
        for role in (Role.KICK, Role.SNARE):
            if not feeds[role]:
                raise CorpusError(
                    f"kit {kit.name} has no {role} that a close microphone hears; "
                    "a session needs a kick, a snare and overheads"
                )
        feeds |= _overhead_feeds(kit)
        return cls(feeds, pieces)

    def stems(self, rendering: Rendering) -> FloatArray:
        """The eight stems (8, N) of a rendered session, in the order of `PAPER_ROLES`."""
        stems = np.zeros((len(PAPER_ROLES), rendering.n_samples), np.float32)
        for index, role in enumerate(PAPER_ROLES):
            for channel, gain in self.feeds[role]:
                stems[index] += np.float32(gain) * rendering.microphones[channel]
        return stems

    def clean(self, rendering: Rendering) -> dict[Role, FloatArray]:
        """Close role -> its pieces without bleed, samples (N,), at the stem's own level."""
        tracks = {}
        for role, faced in self.pieces.items():
            track = np.zeros(rendering.n_samples, np.float32)
            gain = np.float32(np.mean([gain for _, gain in self.feeds[role]] or [0.0]))
            for piece in faced:
                if piece in rendering.clean:
                    track += gain * rendering.clean[piece]
            tracks[role] = track
        return tracks


def _close_pieces(kit: Kit) -> dict[Role, tuple[Piece, ...]]:
    present = {instrument.piece for instrument in kit.instruments.values()}
    toms = [piece for piece in TOMS if piece in present]
    # High to low; a second tom is the low one, further toms share the middle microphone.
    mid, between, low = toms[:1], toms[1:-1], toms[1:][-1:]
    return {
        Role.KICK: (Piece.KICK,),
        Role.SNARE: (Piece.SNARE,),
        Role.HIHAT: (Piece.HIHAT,),
        Role.TOM_MID: tuple(mid),
        Role.TOM_LOW: tuple(low),
        Role.TOM_MID_LOW: tuple(between),
    }


def _close_feed(instruments: Sequence[Instrument], peak_dbfs: float) -> Feed:
    channels = sorted({name for i in instruments for name in i.main_channels})
    feed = []
    for channel in channels:
        facing = [i for i in instruments if channel in i.main_channels]
        peak = _typical_peak(loud_hits(facing), [channel])
        if peak > 0.0:
            feed.append((channel, db_to_gain(peak_dbfs) / peak))
    return tuple(feed)


def _overhead_feeds(kit: Kit) -> dict[Role, Feed]:
    overheads = [name for name in kit.channels if OVERHEAD_NAME.search(name)]
    rooms = [name for name in kit.channels if ROOM_NAME.search(name)]
    if not overheads:
        raise CorpusError(
            f"kit {kit.name} has no overhead among its channels {', '.join(kit.channels)}; "
            "name them as in OHL, OHR or Overhead left"
        )
    by_piece = {
        piece: loud_hits([i for i in kit.instruments.values() if i.piece is piece])
        for piece in (Piece.CRASH, Piece.SNARE)
    }
    loudest = _typical_peak(by_piece[Piece.CRASH] or by_piece[Piece.SNARE], overheads)
    gain = db_to_gain(STUDIO_PEAKS_DBFS[Role.OVERHEAD_LEFT]) / loudest if loudest else 1.0
    snare = gain * _typical_peak(by_piece[Piece.SNARE], overheads)
    in_room = _typical_peak(by_piece[Piece.SNARE], rooms)
    missing = max(0.0, db_to_gain(SNARE_IN_OVERHEADS_DBFS) - snare)
    room_gain = missing / in_room if in_room else 0.0
    feeds = {}
    for role, is_left in ((Role.OVERHEAD_LEFT, True), (Role.OVERHEAD_RIGHT, False)):
        feed = [(name, gain) for name in _side(overheads, is_left=is_left)]
        if room_gain:
            feed += [(name, room_gain) for name in _side(rooms, is_left=is_left)]
        feeds[role] = tuple(feed)
    return feeds


def _side(channels: Sequence[str], *, is_left: bool) -> list[str]:
    """The channels of one side; one that names no side serves both, unless there are just two."""
    ours, theirs = (_LEFT, _RIGHT) if is_left else (_RIGHT, _LEFT)
    sideless = [name for name in channels if not (ours.search(name) or theirs.search(name))]
    if len(sideless) == len(channels) == 2:
        return [channels[0 if is_left else 1]]
    return [name for name in channels if ours.search(name) or name in sideless]


def _typical_peak(hits: Sequence[Hit], channels: Sequence[str]) -> float:
    """Upper quartile over `hits` of the highest peak in any of `channels`, 0.0 if unheard."""
    peaks = [
        max(float(np.max(np.abs(hit.channels[c]), initial=0.0)) for c in heard)
        for hit in hits
        if (heard := [c for c in channels if c in hit.channels])
    ]
    return float(np.percentile(peaks, 75)) if peaks else 0.0
