"""Human drum performances: the Groove MIDI Dataset and any standard MIDI file.

Source: Gillick, Roberts, Engel, Eck and Bamman, "Learning to Groove with Inverse Sequence
Transformations", ICML 2019; the dataset is CC BY 4.0 and states its own train/validation/test
parts in ``info.csv``. It was played on a Roland TD-11, whose controller 4 is the hi-hat pedal and
whose polyphonic aftertouch is a hand that grabs a cymbal.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import mido

from drummix.errors import CorpusError
from drummix.plain_data import Matching, PathText, Sized, Within
from drummix.plain_data.files import Place, read_bytes
from drummix.plain_data.tables import read_rows

PARTS = ("train", "validation", "test")
PartText = Annotated[str, Matching("|".join(PARTS), "train, validation or test")]
"""A text that names one of the parts."""

HIHAT_NOTES = frozenset({22, 26, 42, 44, 46})
"""Notes of the hi-hat: closed edge, open edge, closed, pedal and open."""

OPEN_HIHAT_NOTES = frozenset({26, 46})
"""Notes of a hi-hat that rings until the pedal closes it."""

# General MIDI's channel 10, counted from zero.
_DRUM_CHANNEL = 9

# Controller 4 of the TD-11 rests at 90 with the pedal down and reads 0 with the foot off.
_PEDAL_DOWN = 90
_PEDAL_CONTROLLER = 4

# From here on the pedal holds the cymbals shut: a little before its end, as sensors drift.
_PEDAL_SHUT = 86

MAX_DURATION_S = 86_400.0
"""Longest performance: what is rendered of it is held in memory."""

_MAX_MIDI_BYTES = 16_000_000
_Word = Annotated[str, Sized(1, 200)]


@dataclass(frozen=True)
class PerformedHit:
    """One stroke of a performance.

    Args:
        time_s: Seconds from the start of the performance.
        note: General MIDI or Roland TD note number.
        velocity: MIDI velocity, 1 to 127.
        openness: Hi-hat pedal when struck, 0.0 closed to 1.0 open; 0.0 for other pieces.
        rings_s: Seconds until the player stops the sound, by closing the hi-hat or grabbing the
            cymbal; None where it rings out or another stroke stops it.
    """

    time_s: float
    note: int
    velocity: int
    openness: float = 0.0
    rings_s: float | None = None


@dataclass(frozen=True)
class Performance:
    """A performance listed in the dataset's index; its MIDI file is read by `read_midi`.

    Args:
        id: The dataset's own id, e.g. ``drummer1/session1/10``.
        style: Style as the dataset names it, e.g. ``rock/halftime``.
        bpm: Tempo in beats per minute.
        kind: ``beat`` or ``fill``.
        part: ``train``, ``validation`` or ``test``.
        duration_s: Length in seconds as the index states it.
        path: The MIDI file.
    """

    id: str
    style: str
    bpm: float
    kind: str
    part: str
    duration_s: float
    path: Path


@dataclass(frozen=True)
class _Row:
    """What is used of a row of ``info.csv``."""

    takes_other_keys: ClassVar[bool] = True

    id: _Word
    style: _Word
    bpm: Annotated[float, Within(0.0, 10_000.0, is_above=True)]
    beat_type: _Word
    midi_filename: PathText
    duration: Annotated[float, Within(0.0, 1e6, is_above=True)]
    split: PartText


def read_groove_index(folder: Path) -> tuple[Performance, ...]:
    """List the performances of a Groove MIDI Dataset folder in the order of its index.

    Args:
        folder: The folder that holds ``info.csv``.

    Raises:
        CorpusError: If the index is missing or damaged, has other columns, lists an id twice or
            points outside the folder.
    """
    index = folder / "info.csv"
    if not index.is_file():
        raise CorpusError(
            f"{folder} has no info.csv; give the folder of the Groove MIDI Dataset (groove/)"
        )
    root = folder.resolve()
    rows = read_rows(index, _Row, error=CorpusError)
    performances = tuple(_performance(root, index, row) for row in rows)
    _refuse_repeated_ids(performances, index)
    return performances


def _performance(root: Path, index: Path, row: _Row) -> Performance:
    path = (root / row.midi_filename).resolve()
    if not path.is_relative_to(root):
        raise CorpusError(f"{index} names {row.midi_filename!r}, which lies outside its folder")
    return Performance(
        id=row.id,
        style=row.style,
        bpm=row.bpm,
        kind=row.beat_type,
        part=row.split,
        duration_s=row.duration,
        path=path,
    )


def _refuse_repeated_ids(performances: Iterable[Performance], index: Path) -> None:
    seen: set[str] = set()
    for performance in performances:
        if performance.id in seen:
            raise CorpusError(f"{index} lists {performance.id} twice; expected one row each")
        seen.add(performance.id)


def read_midi(path: Path) -> tuple[PerformedHit, ...]:
    """Read the strokes of a MIDI file, in order of time, with tempo changes applied.

    Where a file has notes on channel 10, General MIDI's drum channel, the other channels are
    other instruments and are left out.

    Args:
        path: A standard MIDI file, type 0 or 1.

    Returns:
        The hits; flams and drags stay the separate close strokes that the file holds.

    Raises:
        CorpusError: If the file is missing, is not a MIDI file, counts time in film frames, or
            lasts longer than a day.
    """
    place = Place(str(path), CorpusError, "is the Groove MIDI Dataset complete?")
    content = read_bytes(path, place, _MAX_MIDI_BYTES)
    try:
        midi = mido.MidiFile(file=io.BytesIO(content))
        messages = list(midi) if midi.ticks_per_beat > 0 else None
    except Exception as error:  # mido lets through whatever its parser stumbles over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorpusError(
            f"{path} cannot be read as a MIDI file ({reason}); expected type 0 or 1"
        ) from None
    if messages is None:
        raise CorpusError(f"{path} counts time in film frames; export it with a tempo instead")
    duration_s = sum(message.time for message in messages)
    if not duration_s <= MAX_DURATION_S:
        raise CorpusError(
            f"{path} lasts {duration_s / 3600.0:.3g} hours; expected at most "
            f"{MAX_DURATION_S / 3600.0:g}"
        )
    return _hits(messages)


def _hits(messages: list[Any]) -> tuple[PerformedHit, ...]:
    channels = {message.channel for message in messages if _is_stroke(message)}
    heard = {_DRUM_CHANNEL} if _DRUM_CHANNEL in channels else channels
    hits: list[PerformedHit] = []
    time_s, pedal = 0.0, _PEDAL_DOWN
    for message in messages:
        time_s += message.time
        if message.is_meta or getattr(message, "channel", None) not in heard:
            continue
        if message.type == "control_change" and message.control == _PEDAL_CONTROLLER:
            if pedal < _PEDAL_SHUT <= message.value:
                _stop(hits, OPEN_HIHAT_NOTES, time_s)
            pedal = min(message.value, _PEDAL_DOWN)
        elif message.type == "polytouch" and message.value > 0:
            _stop(hits, {message.note}, time_s)
        elif _is_stroke(message):
            openness = 1.0 - pedal / _PEDAL_DOWN if message.note in HIHAT_NOTES else 0.0
            hits.append(PerformedHit(time_s, message.note, message.velocity, openness))
    return tuple(hits)


def _stop(hits: list[PerformedHit], notes: Collection[int], time_s: float) -> None:
    """Note in the strokes of `notes` that still ring that the player stops them now."""
    for index, hit in enumerate(hits):
        if hit.note in notes and hit.rings_s is None:
            hits[index] = replace(hit, rings_s=time_s - hit.time_s)


def _is_stroke(message: Any) -> bool:
    # A note-on of velocity 0 is the usual way to write a note-off.
    return bool(message.type == "note_on" and message.velocity > 0)
