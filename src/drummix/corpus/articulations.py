"""What the instruments of a kit are: pieces, order of toms, microphones, chokes, note numbers.

A DrumGizmo kit names its instruments as its maker liked. Notes say more than names, so they go
first; where a kit states something itself, that counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from drummix.corpus.kit import TOMS, Hit, Piece

_NOTE_PIECES = {
    Piece.KICK: (35, 36),
    Piece.SNARE: (37, 38, 39, 40),
    Piece.HIHAT: (22, 26, 42, 44, 46),
    Piece.TOM_1: (48, 50),
    Piece.TOM_2: (45, 47),
    Piece.TOM_3: (41, 43, 58),
    Piece.RIDE: (51, 53, 59),
    Piece.CRASH: (49, 52, 55, 57),
}
PIECE_OF_NOTE: Mapping[int, Piece] = {
    note: piece for piece, notes in _NOTE_PIECES.items() for note in notes
}

# The more a General MIDI tom's note, the higher its tom (58 is Roland's rim of the low one).
_TOM_NOTES = frozenset({41, 43, 45, 47, 48, 50})

# Notes of Roland's TD modules (and rarer General MIDI ones) -> the notes that stand in for them,
# best first, where a kit has no instrument of its own for them.
_STAND_INS: Mapping[int, tuple[int, ...]] = {
    22: (42,),
    26: (46,),
    35: (36,),
    36: (35,),
    37: (38,),
    40: (38,),
    41: (43,),
    42: (22,),
    43: (41, 45),
    44: (42, 22),
    45: (47, 48),
    46: (26,),
    47: (45, 48),
    48: (50, 47),
    49: (57,),
    50: (48, 47),
    52: (57, 49),
    53: (51, 59),
    55: (49, 57),
    57: (49,),
    58: (43, 41, 45),
    59: (51,),
}

_NAME_PIECES = (
    (r"kick|kdrum|bass ?drum|\bbd", Piece.KICK),
    (r"snare|\bsd", Piece.SNARE),
    (r"hi-?_?hat|\bhh", Piece.HIHAT),
    (r"ride", Piece.RIDE),
    (r"crash|china|splash|cymbal|bell", Piece.CRASH),
    (r"tom|floor", Piece.TOM_1),
)
Opening = Literal["pedal", "closed", "half", "open"]
_OPENINGS: tuple[tuple[str, Opening], ...] = (
    (r"pedal|foot|chick", "pedal"),
    (r"half|semi|loose|quarter|slight", "half"),
    (r"clos|tight|shut", "closed"),
    (r"open|wash", "open"),
)
_CYMBALS = (Piece.RIDE, Piece.CRASH)
OVERHEAD_NAME = re.compile(r"^oh|over ?head", re.IGNORECASE)
ROOM_NAME = re.compile(r"^amb|^room", re.IGNORECASE)


def pieces_of(names: Iterable[str], note_map: Mapping[int, str]) -> dict[str, Piece]:
    """Piece of every instrument: by its notes, else by its name.

    Args:
        names: Instrument names.
        note_map: Note number -> instrument name.

    Returns:
        Instrument name -> piece, without the instruments that are no part of a drum kit. Toms
        may all be the first one: `toms_in_order` tells them apart.

    >>> pieces_of(["A", "Snare_rim", "Tambourine"], {36: "A"})
    {'A': <Piece.KICK: 'kick'>, 'Snare_rim': <Piece.SNARE: 'snare'>}
    """
    names = list(names)
    pieces: dict[str, Piece] = {}
    for note, name in sorted(note_map.items()):
        if note in PIECE_OF_NOTE and name in names:
            pieces.setdefault(name, PIECE_OF_NOTE[note])
    for name in names:
        if name not in pieces:
            for pattern, piece in _NAME_PIECES:
                if re.search(pattern, name, re.IGNORECASE):
                    pieces[name] = piece
                    break
    return {name: pieces[name] for name in names if name in pieces}


def toms_in_order(
    pieces: Mapping[str, Piece],
    mains: Mapping[str, tuple[str, ...]],
    note_map: Mapping[int, str],
) -> dict[str, Piece]:
    """Pieces with the toms numbered from high to low; instruments of one microphone are one tom.

    The order is that of their notes, and of their microphones' names where no note tells.

    Args:
        pieces: Instrument name -> piece, toms in any order.
        mains: Instrument name -> close microphones.
        note_map: Note number -> instrument name.

    Returns:
        Instrument name -> piece; a fifth tom and further ones are the fourth.
    """
    highest_note: dict[tuple[str, ...], int] = {
        mains[name]: 0 for name, piece in pieces.items() if piece in TOMS
    }
    for note, name in note_map.items():
        if note in _TOM_NOTES and pieces.get(name) in TOMS:
            highest_note[mains[name]] = max(note, highest_note[mains[name]])
    order = sorted(highest_note, key=lambda mics: (-highest_note[mics], mics))
    return {
        name: TOMS[min(order.index(mains[name]), len(TOMS) - 1)] if piece in TOMS else piece
        for name, piece in pieces.items()
    }


def likely_main_channels(
    piece: Piece, hits: Sequence[Hit], channels: Sequence[str]
) -> tuple[str, ...]:
    """The microphone that faces an instrument whose kit does not say.

    Args:
        piece: What the instrument is.
        hits: Its recordings, softest first.
        channels: Microphones of the kit; overheads face crashes and rides, rooms face nothing.

    Returns:
        The microphone in which the loud hits peak highest, or none where nothing was heard.
    """
    distant = (ROOM_NAME,) if piece in _CYMBALS else (ROOM_NAME, OVERHEAD_NAME)
    facing = [name for name in channels if not any(kind.search(name) for kind in distant)]
    loud = hits[len(hits) // 2 :]
    peaks = {
        name: float(np.median([np.max(np.abs(hit.channels[name]), initial=0.0) for hit in heard]))
        for name in facing
        if (heard := [hit for hit in loud if name in hit.channels])
    }
    best = max(peaks, key=lambda name: peaks[name], default=None)
    return (best,) if best is not None and peaks[best] > 0.0 else ()


def hihat_opening(name: str) -> Opening | None:
    """How far the hi-hat of an instrument is open, by its name; None where the name does not say.

    >>> hihat_opening("HihatClosedEdge"), hihat_opening("hihat_semi_open"), hihat_opening("Hat 1")
    ('closed', 'half', None)
    """
    for pattern, opening in _OPENINGS:
        if re.search(pattern, name, re.IGNORECASE):
            return opening
    return None


def hihat_chokes(pieces: Mapping[str, Piece]) -> dict[str, tuple[str, ...]]:
    """Closed and pedal hi-hats stop the more open ones, a half-open one those that are open.

    >>> hihat_chokes({"HatPedal": Piece.HIHAT, "HatOpen": Piece.HIHAT, "Ride": Piece.RIDE})
    {'HatPedal': ('HatOpen',)}
    """
    openings = {name: hihat_opening(name) for name, piece in pieces.items() if piece is Piece.HIHAT}
    wide = tuple(name for name, opening in openings.items() if opening == "open")
    ringing = tuple(name for name, opening in openings.items() if opening in ("open", "half"))
    chokes = {
        name: wide if opening == "half" else ringing
        for name, opening in openings.items()
        if opening != "open"
    }
    return {name: stopped for name, stopped in chokes.items() if stopped}


def with_stand_ins(note_map: Mapping[int, str]) -> dict[int, str]:
    """A note map in which missing notes are played by the nearest instrument there is.

    A kit for General MIDI lacks the hi-hat edges (22, 26) and rims of Roland's modules, on which
    the Groove MIDI Dataset was played.

    >>> with_stand_ins({42: "HatClosed"})[22]
    'HatClosed'
    """
    complete = dict(note_map)
    for note, others in _STAND_INS.items():
        if note not in complete:
            known = next((other for other in others if other in note_map), None)
            if known is not None:
                complete[note] = note_map[known]
    return complete
