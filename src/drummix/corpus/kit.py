"""A drum kit as the renderer sees it: instruments, their recorded hits, every microphone.

DrumGizmo kits and the built-in synthesised kit both end up as a `Kit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from drummix.notices import Notice

FloatArray = NDArray[np.float32]


class Piece(StrEnum):
    """The part of the drum kit that an instrument (articulation) belongs to."""

    KICK = "kick"
    SNARE = "snare"
    HIHAT = "hihat"
    TOM_1 = "tom_1"
    TOM_2 = "tom_2"
    TOM_3 = "tom_3"
    TOM_4 = "tom_4"
    RIDE = "ride"
    CRASH = "crash"


TOMS = (Piece.TOM_1, Piece.TOM_2, Piece.TOM_3, Piece.TOM_4)
"""The toms, highest first."""


@dataclass(frozen=True, eq=False)
class Hit:
    """One recorded stroke, heard by several microphones from the same instant.

    Args:
        power: Loudness order of the hit within its instrument (any positive scale).
        channels: Microphone channel name -> mono samples (N,), lengths may differ;
            a channel that is absent heard nothing.
        is_normalised: Whether the recording was brought to full level, so that the loudness of
            a stroke has to be made by its velocity.
        weight: How often the hit takes its turn, relative to others.
    """

    power: float
    channels: Mapping[str, FloatArray]
    is_normalised: bool = False
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Instrument:
    """One articulation of one piece, e.g. closed hi-hat: its hits in order of power.

    Args:
        name: Name in the kit, e.g. ``HihatClosed``.
        piece: The piece of the kit it belongs to.
        hits: Hits ordered by `Hit.power`, softest first; never empty.
        main_channels: The close microphones that face this piece.
    """

    name: str
    piece: Piece
    hits: tuple[Hit, ...]
    main_channels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Kit:
    """A multi-microphone drum kit.

    Args:
        name: Short name, used in file names.
        rate_hz: Sample rate of all hits.
        channels: Microphone channel names, in the kit's order.
        instruments: Instrument name -> Instrument.
        note_map: General MIDI / Roland TD note number -> instrument name.
        licence: Licence of the samples, for manifests.
        chokes: Instrument name -> names of instruments whose ringing it stops
            (pedal and closed hi-hat stop the open one).
        choke_times_s: (stopping, stopped) instrument -> seconds until it is silent, where the kit
            states them.
        notices: What a person should know about how the kit was read.
    """

    name: str
    rate_hz: int
    channels: tuple[str, ...]
    instruments: Mapping[str, Instrument]
    note_map: Mapping[int, str]
    licence: str
    chokes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choke_times_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
