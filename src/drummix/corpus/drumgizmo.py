"""Drum kits in DrumGizmo's format: ``drumkit.xml``, one XML an instrument, ``midimap.xml``.

Source: DrumGizmo's kit file documentation (versions 1.0 and 2.0). Version 2 orders the hits of an
instrument by ``power``; version 1 has velocity groups, whose order stands in for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from drummix import audio
from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.errors import AudioFileError, CorpusError

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
_NAME_PIECES = (
    (r"kick|kdrum|bass ?drum|\bbd", Piece.KICK),
    (r"snare|\bsd", Piece.SNARE),
    (r"hi-?_?hat|\bhh", Piece.HIHAT),
    (r"ride", Piece.RIDE),
    (r"crash|china|splash|cymbal|bell", Piece.CRASH),
    (r"tom|floor", Piece.TOM_1),
)
_TOMS = (Piece.TOM_1, Piece.TOM_2, Piece.TOM_3, Piece.TOM_4)

# Files are cut hard at the onset; this fade keeps the cut from clicking.
_FADE_IN_S = 0.0003


@dataclass(frozen=True)
class _Source:
    """Where one microphone's recording of one hit lies."""

    path: Path
    file_channel: int


def read_kit(folder: Path, *, max_hits: int | None = None) -> Kit:
    """Load a DrumGizmo kit with all its recordings.

    Args:
        folder: Folder of the kit's ``drumkit.xml``, or that file itself.
        max_hits: Load at most this many hits an instrument, spread over its loudness range.

    Returns:
        The kit, every recording at the kit's sample rate with a 0.3 ms fade at its start.

    Raises:
        CorpusError: If a file is missing, is not what the format says, or points outside.
    """
    kit_file = folder if folder.is_file() else folder / "drumkit.xml"
    root = kit_file.parent
    tree = _parse(kit_file)
    rate_hz = _rate_hz(tree, kit_file)
    note_map = _read_midimap(root / "midimap.xml")
    nodes = tree.findall("./instruments/instrument")
    if not nodes:
        raise CorpusError(f"{kit_file} lists no instruments")
    mains = {_attribute(node, "name", kit_file): _main_channels(node) for node in nodes}
    pieces = _pieces(mains, note_map)
    instruments = {}
    for node in nodes:
        name = _attribute(node, "name", kit_file)
        if name not in pieces:
            continue
        path = _inside(root, root / _attribute(node, "file", kit_file), kit_file)
        channel_map = {
            _attribute(entry, "in", kit_file): _attribute(entry, "out", kit_file)
            for entry in node.findall("channelmap")
        }
        hits = _read_hits(path, channel_map, rate_hz=rate_hz, max_hits=max_hits)
        instruments[name] = Instrument(name, pieces[name], hits, mains[name])
    channels = tuple(
        _attribute(node, "name", kit_file) for node in tree.findall("./channels/channel")
    )
    return Kit(
        name=re.sub(r"[^A-Za-z0-9_-]+", "-", tree.get("name") or root.name),
        rate_hz=rate_hz,
        channels=channels,
        instruments=instruments,
        note_map={note: name for note, name in note_map.items() if name in instruments},
        licence=_licence(root),
        chokes=_chokes(instruments),
    )


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise CorpusError(f"{path} does not exist; is this a complete DrumGizmo kit?") from None
    except (ElementTree.ParseError, OSError) as error:
        raise CorpusError(f"{path} cannot be read as XML ({error})") from None


def _attribute(node: ElementTree.Element, name: str, where: Path) -> str:
    value = node.get(name)
    if not value:
        raise CorpusError(f"{where}: a <{node.tag}> has no {name}")
    return value


def _inside(root: Path, path: Path, where: Path) -> Path:
    if not path.resolve().is_relative_to(root.resolve()):
        raise CorpusError(f"{where} names {path}, which lies outside the kit's folder")
    return path


def _rate_hz(tree: ElementTree.Element, kit_file: Path) -> int:
    text = tree.get("samplerate") or tree.findtext("./metadata/samplerate") or "44100"
    try:
        rate_hz = int(float(text))
    except ValueError:
        rate_hz = 0
    if not 8000 <= rate_hz <= 384000:
        raise CorpusError(f"{kit_file} states a sample rate of {text!r}; expected 8000 to 384000")
    return rate_hz


def _read_midimap(path: Path) -> dict[int, str]:
    notes = {}
    for entry in _parse(path).findall("map"):
        note = _attribute(entry, "note", path)
        if not note.isdigit() or int(note) > 127:
            raise CorpusError(f"{path} maps note {note!r}; notes are 0 to 127")
        notes[int(note)] = _attribute(entry, "instr", path)
    return notes


def _main_channels(node: ElementTree.Element) -> tuple[str, ...]:
    entries = [e for e in node.findall("channelmap") if e.get("main") in ("true", "1")]
    return tuple(sorted({entry.get("out", "") for entry in entries}))


def _pieces(mains: Mapping[str, tuple[str, ...]], note_map: Mapping[int, str]) -> dict[str, Piece]:
    """Piece of every instrument: by its notes, else by its name; toms in order of their mics."""
    by_instrument: dict[str, Piece] = {}
    for note, name in sorted(note_map.items()):
        if note in PIECE_OF_NOTE and name in mains:
            by_instrument.setdefault(name, PIECE_OF_NOTE[note])
    for name in mains:
        if name not in by_instrument:
            for pattern, piece in _NAME_PIECES:
                if re.search(pattern, name, re.IGNORECASE):
                    by_instrument[name] = piece
                    break
    tom_mics = sorted({mains[name] for name, piece in by_instrument.items() if piece in _TOMS})
    for name, piece in by_instrument.items():
        if piece in _TOMS:
            by_instrument[name] = _TOMS[min(tom_mics.index(mains[name]), len(_TOMS) - 1)]
    return by_instrument


def _read_hits(
    path: Path, channel_map: Mapping[str, str], *, rate_hz: int, max_hits: int | None
) -> tuple[Hit, ...]:
    tree = _parse(path)
    powers = _velocity_group_powers(tree)
    listed: list[tuple[float, dict[str, _Source]]] = []
    for order, sample in enumerate(tree.findall("./samples/sample")):
        name = _attribute(sample, "name", path)
        text = sample.get("power")
        try:
            power = float(text) if text is not None else powers.get(name, float(order + 1))
        except ValueError:
            raise CorpusError(f"{path}: sample {name} has power {text!r}, not a number") from None
        sources = {}
        for entry in sample.findall("audiofile"):
            channel = _attribute(entry, "channel", path)
            file = _inside(path.parent, path.parent / _attribute(entry, "file", path), path)
            sources[channel_map.get(channel, channel)] = _Source(
                file, int(entry.get("filechannel") or 1) - 1
            )
        listed.append((power, sources))
    if not listed:
        raise CorpusError(f"{path} lists no samples")
    listed.sort(key=lambda entry: entry[0])
    if max_hits is not None and len(listed) > max_hits:
        chosen = np.linspace(0, len(listed) - 1, max_hits).round().astype(int)
        listed = [listed[i] for i in chosen]
    return tuple(_load_hit(power, sources, rate_hz) for power, sources in listed)


def _velocity_group_powers(tree: ElementTree.Element) -> dict[str, float]:
    """Version 1 kits: the middle of a sample's velocity group, as a power."""
    totals: dict[str, list[float]] = defaultdict(list)
    for group in tree.findall("./velocities/velocity"):
        lower, upper = float(group.get("lower") or 0), float(group.get("upper") or 127)
        for reference in group.findall("sampleref"):
            totals[reference.get("name", "")].append((lower + upper) / 2)
    return {name: sum(values) / len(values) for name, values in totals.items()}


def _load_hit(power: float, sources: Mapping[str, _Source], rate_hz: int) -> Hit:
    channels = {}
    for channel, source in sources.items():
        recording = _read_recording(source.path, rate_hz)
        if source.file_channel >= recording.shape[0]:
            raise CorpusError(
                f"{source.path} has {recording.shape[0]} channels, but the kit asks for channel "
                f"{source.file_channel + 1}"
            )
        channels[channel] = _fade_in(recording[source.file_channel], rate_hz)
    return Hit(power, channels)


@lru_cache(maxsize=2)
def _read_recording(path: Path, rate_hz: int) -> FloatArray:
    # Multichannel files are asked for once per channel in a row, hence the small cache.
    try:
        return audio.read(path, rate_hz=rate_hz).samples
    except AudioFileError as error:
        raise CorpusError(f"kit file missing or damaged: {error}") from None


def _fade_in(samples: FloatArray, rate_hz: int) -> FloatArray:
    n_fade = min(len(samples), max(1, round(_FADE_IN_S * rate_hz)))
    faded = samples.copy()
    faded[:n_fade] *= np.linspace(0.0, 1.0, n_fade, endpoint=False, dtype=np.float32)
    return faded


def _chokes(instruments: Mapping[str, Instrument]) -> dict[str, tuple[str, ...]]:
    """Closed and pedal hi-hats stop the more open ones."""
    hats = [name for name, i in instruments.items() if i.piece is Piece.HIHAT]
    ringing = tuple(name for name in hats if re.search("open", name, re.IGNORECASE))
    return {name: ringing for name in hats if name not in ringing and ringing}


def _licence(root: Path) -> str:
    for name in ("LICENSE.txt", "LICENSE", "COPYING"):
        path = root / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            # The text of a CC BY licence itself mentions CC0, so the fuller name goes first.
            for pattern in (r"CC[ -]BY(?:-SA)?[ -]?\d\.\d", r"\bCC0\b"):
                if found := re.search(pattern, text):
                    return found.group(0)
            return f"see {name} of the kit"
    return "unstated"
