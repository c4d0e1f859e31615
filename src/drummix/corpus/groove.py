"""Human drum performances: the Groove MIDI Dataset and any standard MIDI file.

Source: Gillick, Roberts, Engel, Eck and Bamman, "Learning to Groove with Inverse Sequence
Transformations", ICML 2019; the dataset is CC BY 4.0 and states its own train/validation/test
parts in ``info.csv``. It was played on a Roland TD-11, whose controller 4 is the hi-hat pedal.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido

from drummix.errors import CorpusError

PARTS = ("train", "validation", "test")

# Controller 4 of the TD-11 rests at 90 with the pedal down and reads 0 with the foot off.
_PEDAL_DOWN = 90
_PEDAL_CONTROLLER = 4
_COLUMNS = ("id", "style", "bpm", "beat_type", "midi_filename", "duration", "split")


@dataclass(frozen=True)
class PerformedHit:
    """One stroke of a performance.

    Args:
        time_s: Seconds from the start of the performance.
        note: General MIDI or Roland TD note number.
        velocity: MIDI velocity, 1 to 127.
        openness: Hi-hat pedal when struck, 0.0 closed to 1.0 open; 0.0 for other pieces.
    """

    time_s: float
    note: int
    velocity: int
    openness: float = 0.0


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


def read_groove_index(folder: Path) -> tuple[Performance, ...]:
    """List the performances of a Groove MIDI Dataset folder in the order of its index.

    Args:
        folder: The folder that holds ``info.csv``.

    Raises:
        CorpusError: If the index is missing, has other columns or points outside the folder.
    """
    index = folder / "info.csv"
    if not index.is_file():
        raise CorpusError(
            f"{folder} has no info.csv; give the folder of the Groove MIDI Dataset (groove/)"
        )
    with index.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise CorpusError(f"{index} lacks the columns {', '.join(missing)}")
        return tuple(_performance(folder, index, row) for row in reader)


def _performance(folder: Path, index: Path, row: dict[str, str]) -> Performance:
    path = (folder / row["midi_filename"]).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise CorpusError(f"{index} names {row['midi_filename']}, which lies outside {folder}")
    if row["split"] not in PARTS:
        raise CorpusError(f"{index} puts {row['id']} in part {row['split']!r}; known: {PARTS}")
    try:
        bpm, duration_s = float(row["bpm"]), float(row["duration"])
    except ValueError:
        raise CorpusError(f"{index} has no number for bpm or duration of {row['id']}") from None
    return Performance(
        id=row["id"],
        style=row["style"],
        bpm=bpm,
        kind=row["beat_type"],
        part=row["split"],
        duration_s=duration_s,
        path=path,
    )


def read_midi(path: Path) -> tuple[PerformedHit, ...]:
    """Read the strokes of a MIDI file, in order of time, with tempo changes applied.

    Args:
        path: A standard MIDI file, type 0 or 1.

    Returns:
        The hits; flams and drags stay the separate close strokes that the file holds.

    Raises:
        CorpusError: If the file is missing or is not a MIDI file.
    """
    try:
        midi = mido.MidiFile(path)
        messages = list(midi)
    except FileNotFoundError:
        raise CorpusError(f"{path} does not exist; is the Groove MIDI Dataset complete?") from None
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise CorpusError(f"{path} is not a MIDI file ({error})") from None
    return _hits(messages)


def _hits(messages: list[Any]) -> tuple[PerformedHit, ...]:
    hits = []
    time_s, pedal = 0.0, _PEDAL_DOWN
    for message in messages:
        time_s += message.time
        if message.type == "control_change" and message.control == _PEDAL_CONTROLLER:
            pedal = min(message.value, _PEDAL_DOWN)
        elif message.type == "note_on" and message.velocity > 0:
            is_hihat = message.note in HIHAT_NOTES
            openness = 1.0 - pedal / _PEDAL_DOWN if is_hihat else 0.0
            hits.append(PerformedHit(time_s, message.note, message.velocity, openness))
    return tuple(hits)


HIHAT_NOTES = frozenset({22, 26, 42, 44, 46})
