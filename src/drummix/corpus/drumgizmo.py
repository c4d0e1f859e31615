"""Drum kits in DrumGizmo's format: a kit file, one XML an instrument, a note map.

Source: DrumGizmo's kit file documentation (versions 1.0 and 2.0). Version 2 orders the hits of an
instrument by ``power``; version 1 has velocity groups, whose order stands in for it. What the
format leaves open (which microphone faces a drum, what stops a hi-hat) is in `articulations`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from drummix import audio
from drummix.corpus.articulations import (
    hihat_chokes,
    likely_main_channels,
    pieces_of,
    toms_in_order,
    with_stand_ins,
)
from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.errors import AudioFileError, CorpusError

# Files are cut hard at the onset; this fade keeps the cut from clicking.
_FADE_IN_S = 0.0003


def read_kit(folder: Path, *, rate_hz: int | None = None, max_hits: int | None = None) -> Kit:
    """Load a DrumGizmo kit with all its recordings.

    Args:
        folder: Folder of the kit, or its kit file.
        rate_hz: Sample rate in Hz to bring the recordings to; None keeps the kit's own.
        max_hits: Load at most this many hits an instrument, spread over its loudness range.

    Returns:
        The kit, every recording at one sample rate with a 0.3 ms fade at its start.

    Raises:
        CorpusError: If a file is missing, is not what the format says, or points outside.
    """
    kit_file = find_kit_file(folder)
    tree = _parse(kit_file)
    nodes = _instrument_nodes(tree, kit_file)
    channels = _channels(tree, kit_file)
    midimap = _read_midimap(_find_midimap(kit_file.parent))
    pieces = pieces_of(nodes, midimap)
    reader = _InstrumentReader(kit_file, channels, rate_hz or _rate_hz(tree, kit_file), max_hits)
    hits = {name: reader.hits(node) for name, node in nodes.items() if name in pieces}
    mains = {
        name: _main_channels(nodes[name], channels)
        or likely_main_channels(pieces[name], hits[name], channels)
        for name in hits
    }
    pieces = toms_in_order(pieces, mains, midimap)
    return Kit(
        name=_kit_name(tree, kit_file),
        rate_hz=reader.rate_hz,
        channels=channels,
        instruments={
            name: Instrument(name, pieces[name], hits[name], mains[name]) for name in hits
        },
        note_map=with_stand_ins({note: name for note, name in midimap.items() if name in hits}),
        licence=_licence(kit_file.parent, tree),
        chokes=_chokes(nodes, pieces),
        notices=(*_left_out(nodes, pieces), *reader.notices),
    )


def find_kit_file(folder: Path) -> Path:
    """The kit file of a folder: ``drumkit.xml``, or the one XML file that describes a kit.

    Raises:
        CorpusError: If there is none, or if there are several.
    """
    if folder.is_file():
        return folder
    usual = folder / "drumkit.xml"
    if usual.is_file():
        return usual
    if not folder.is_dir():
        raise CorpusError(f"{folder} does not exist; give the folder of a DrumGizmo kit")
    found = _files_with_root(folder, "drumkit")
    if not found:
        raise CorpusError(
            f"{folder} holds no kit file (drumkit.xml); give the folder of a DrumGizmo kit"
        )
    if len(found) > 1:
        files = ", ".join(path.name for path in found)
        raise CorpusError(f"{folder} holds several kits ({files}); give one of these files")
    return found[0]


def _find_midimap(root: Path) -> Path:
    """The note map: ``midimap.xml``, or of several other ones that with the most notes."""
    usual = root / "midimap.xml"
    found = [usual] if usual.is_file() else _files_with_root(root, "midimap")
    if not found:
        raise CorpusError(f"{root} holds no note map (midimap.xml); is this a complete kit?")
    return max(found, key=lambda path: len(_parse(path).findall("map")))


def _files_with_root(folder: Path, tag: str) -> list[Path]:
    found = []
    for path in sorted(folder.glob("*.xml")):
        try:
            if _parse(path).tag == tag:
                found.append(path)
        except CorpusError:
            continue  # Some other file that is no XML at all is no business of ours.
    return found


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise CorpusError(f"{path} does not exist; is this a complete DrumGizmo kit?") from None
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise CorpusError(f"{path} cannot be read as XML ({error})") from None


def _attribute(node: ElementTree.Element, name: str, where: Path) -> str:
    value = node.get(name)
    if not value:
        raise CorpusError(f"{where}: a <{node.tag}> has no {name}")
    return value


def _number(node: ElementTree.Element, name: str, where: Path, *, default: float | None) -> float:
    """A finite number in an attribute; without a default it has to be there."""
    text = node.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CorpusError(
            f"{where}: {node.tag} {node.get('name', '')} has {name}={text!r}; expected a number"
        )
    return value


def _inside(root: Path, path: Path, where: Path) -> Path:
    if not path.resolve().is_relative_to(root.resolve()):
        raise CorpusError(f"{where} names {path}, which lies outside the kit's folder")
    return path


def _rate_hz(tree: ElementTree.Element, kit_file: Path) -> int:
    text = tree.get("samplerate") or tree.findtext("./metadata/samplerate") or "44100"
    try:
        rate_hz = int(float(text))
    except (ValueError, OverflowError):
        rate_hz = 0
    if not 8000 <= rate_hz <= 384000:
        raise CorpusError(f"{kit_file} states a sample rate of {text!r}; expected 8000 to 384000")
    return rate_hz


def _instrument_nodes(tree: ElementTree.Element, kit_file: Path) -> dict[str, ElementTree.Element]:
    nodes = tree.findall("./instruments/instrument")
    if not nodes:
        raise CorpusError(f"{kit_file} lists no instruments; expected <instrument> entries")
    named = {_attribute(node, "name", kit_file): node for node in nodes}
    if len(named) < len(nodes):
        raise CorpusError(f"{kit_file} lists two instruments of one name; names tell them apart")
    return named


def _channels(tree: ElementTree.Element, kit_file: Path) -> tuple[str, ...]:
    nodes = tree.findall("./channels/channel")
    if not nodes:
        raise CorpusError(f"{kit_file} lists no microphones; expected <channel> entries")
    return tuple(_attribute(node, "name", kit_file) for node in nodes)


def _kit_name(tree: ElementTree.Element, kit_file: Path) -> str:
    title = tree.get("name") or tree.findtext("./metadata/title") or kit_file.parent.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", title).strip("-") or "kit"


def _read_midimap(path: Path) -> dict[int, str]:
    notes = {}
    for entry in _parse(path).findall("map"):
        note = _attribute(entry, "note", path)
        if not note.isdecimal() or int(note) > 127:
            raise CorpusError(f"{path} maps note {note!r}; notes are 0 to 127")
        notes[int(note)] = _attribute(entry, "instr", path)
    return notes


def _main_channels(node: ElementTree.Element, channels: Sequence[str]) -> tuple[str, ...]:
    entries = [e for e in node.findall("channelmap") if e.get("main") in ("true", "1")]
    return tuple(sorted({entry.get("out", "") for entry in entries} & set(channels)))


@dataclass(frozen=True)
class _Source:
    """Where one microphone's recording of one hit lies."""

    path: Path
    file_channel: int


class _InstrumentReader:
    """Reads the instruments of one kit and gathers what a person should know about them."""

    def __init__(
        self, kit_file: Path, channels: tuple[str, ...], rate_hz: int, max_hits: int | None
    ) -> None:
        self.rate_hz = rate_hz
        self.notices: list[str] = []
        self._kit_file = kit_file
        self._channels = frozenset(channels)
        self._max_hits = max_hits

    def hits(self, node: ElementTree.Element) -> tuple[Hit, ...]:
        """Load the hits of an instrument of the kit file, softest first."""
        root = self._kit_file.parent
        path = _inside(root, root / _attribute(node, "file", self._kit_file), self._kit_file)
        tree = _parse(path)
        samples = tree.findall("./samples/sample")
        powers = _sample_powers(tree, samples, path)
        if not powers:
            raise CorpusError(f"{path} lists no samples that can be played")
        listed = [sample for sample in samples if _attribute(sample, "name", path) in powers]
        listed.sort(key=lambda sample: powers[sample.get("name", "")])
        if self._max_hits is not None and len(listed) > self._max_hits:
            chosen = np.linspace(0, len(listed) - 1, self._max_hits).round().astype(int)
            listed = [listed[i] for i in chosen]
        channel_map = {
            _attribute(entry, "in", self._kit_file): _attribute(entry, "out", self._kit_file)
            for entry in node.findall("channelmap")
        }
        return tuple(
            Hit(
                power=powers[sample.get("name", "")],
                channels=self._recordings(sample, channel_map, path),
                is_normalised=sample.get("normalized") == "true",
            )
            for sample in listed
        )

    def _recordings(
        self, sample: ElementTree.Element, channel_map: Mapping[str, str], path: Path
    ) -> dict[str, FloatArray]:
        recordings = {}
        opened: dict[Path, FloatArray] = {}
        for entry in sample.findall("audiofile"):
            own_name = _attribute(entry, "channel", path)
            channel = channel_map.get(own_name, own_name)
            source = _source(entry, path)
            if channel not in self._channels:
                self._notice(f"{path}: the kit has no channel {channel!r}; its files are left out")
                continue
            # A multichannel file is asked for once per channel.
            if source.path not in opened:
                opened[source.path] = _read_recording(source.path, self.rate_hz)
            recordings[channel] = _channel_of(opened[source.path], source, self.rate_hz)
        return recordings

    def _notice(self, line: str) -> None:
        if line not in self.notices:
            self.notices.append(line)


def _sample_powers(
    tree: ElementTree.Element, samples: Sequence[ElementTree.Element], path: Path
) -> dict[str, float]:
    """Name of a sample -> its power, of all samples that can sound."""
    grouped = _velocity_group_powers(tree, path)
    names = [_attribute(sample, "name", path) for sample in samples]
    if len(set(names)) < len(names):
        raise CorpusError(f"{path} has two samples of one name; names tell them apart")
    if missing := sorted(set(grouped) - set(names)):
        raise CorpusError(f"{path} plays a sample {missing[0]!r} that it does not list")
    powers = {}
    for order, (name, sample) in enumerate(zip(names, samples, strict=True), start=1):
        if sample.get("power") is not None:
            powers[name] = _number(sample, "power", path, default=None)
        elif name in grouped or not grouped:
            # A version 1 sample that is in no velocity group is never played.
            powers[name] = grouped.get(name, float(order))
    return powers


def _velocity_group_powers(tree: ElementTree.Element, path: Path) -> dict[str, float]:
    """Version 1 kits: the middle of a sample's velocity group, as a power."""
    middles: dict[str, list[float]] = defaultdict(list)
    for group in tree.findall("./velocities/velocity"):
        lower = _number(group, "lower", path, default=0.0)
        upper = _number(group, "upper", path, default=1.0)
        for reference in group.findall("sampleref"):
            middles[_attribute(reference, "name", path)].append((lower + upper) / 2)
    return {name: sum(values) / len(values) for name, values in middles.items()}


def _source(entry: ElementTree.Element, path: Path) -> _Source:
    file = _inside(path.parent, path.parent / _attribute(entry, "file", path), path)
    number = entry.get("filechannel") or "1"
    if not number.isdecimal() or int(number) < 1:
        raise CorpusError(f"{path}: {file.name} has filechannel={number!r}; they count from 1")
    return _Source(file, int(number) - 1)


def _read_recording(path: Path, rate_hz: int) -> FloatArray:
    try:
        return audio.read(path, rate_hz=rate_hz).samples
    except AudioFileError as error:
        raise CorpusError(f"kit file missing or damaged: {error}") from None


def _channel_of(recording: FloatArray, source: _Source, rate_hz: int) -> FloatArray:
    if source.file_channel >= recording.shape[0]:
        raise CorpusError(
            f"{source.path} has {recording.shape[0]} channels, but the kit asks for channel "
            f"{source.file_channel + 1}"
        )
    faded = recording[source.file_channel].copy()
    n_fade = min(len(faded), max(1, round(_FADE_IN_S * rate_hz)))
    faded[:n_fade] *= np.linspace(0.0, 1.0, n_fade, endpoint=False, dtype=np.float32)
    return faded


def _chokes(
    nodes: Mapping[str, ElementTree.Element], pieces: Mapping[str, Piece]
) -> dict[str, tuple[str, ...]]:
    """What the kit states; the usual rule for the hi-hat where it states nothing of it."""
    groups: dict[str, list[str]] = defaultdict(list)
    stated: dict[str, list[str]] = defaultdict(list)
    for name, node in nodes.items():
        if group := node.get("group"):
            groups[group].append(name)
        stopped = [choke.get("instrument", "") for choke in node.findall("./chokes/choke")]
        if stopped:
            stated[name] += stopped
    for members in groups.values():
        for name in members:
            stated[name] += [other for other in members if other != name]
    chokes = {
        name: tuple(dict.fromkeys(other for other in others if other in pieces))
        for name, others in stated.items()
        if name in pieces
    }
    if not any(pieces[name] is Piece.HIHAT for name in chokes):
        chokes |= hihat_chokes(pieces)
    return {name: others for name, others in chokes.items() if others}


def _left_out(names: Iterable[str], pieces: Mapping[str, Piece]) -> tuple[str, ...]:
    missing = [name for name in names if name not in pieces]
    if not missing:
        return ()
    return (f"no drum or cymbal that we know of, left out: {', '.join(missing)}",)


def _licence(root: Path, tree: ElementTree.Element) -> str:
    for name in ("LICENSE.txt", "LICENSE", "COPYING"):
        path = root / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            # The text of a CC BY licence itself mentions CC0, so the fuller name goes first.
            for pattern in (r"CC[ -]BY(?:-SA)?[ -]?\d\.\d", r"\bCC0\b"):
                if found := re.search(pattern, text):
                    return found.group(0)
            return f"see {name} of the kit"
    stated = " ".join((tree.findtext("./metadata/license") or "").split())
    return stated[:80] or "unstated"
