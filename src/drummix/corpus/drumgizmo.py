"""Drum kits in DrumGizmo's format: a kit file, one XML an instrument, a note map.

Source: DrumGizmo's kit file documentation (versions 1.0 and 2.0). Version 2 orders the hits of an
instrument by ``power``; version 1 has velocity groups, whose order stands in for it. What the
format leaves open (which microphone faces a drum, what stops a hi-hat) is in `articulations`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drummix import audio
from drummix.corpus.articulations import (
    hihat_chokes,
    likely_main_channels,
    pieces_of,
    toms_in_order,
    with_stand_ins,
)
from drummix.corpus.drumgizmo_xml import (
    Element,
    attribute,
    channel_names,
    find_kit_file,
    find_midimap,
    inside,
    instrument_nodes,
    kit_name,
    number,
    parse_xml,
    read_midimap,
    stated_rate_hz,
)
from drummix.corpus.kit import FloatArray, Hit, Instrument, Kit, Piece
from drummix.errors import AudioFileError, CorpusError
from drummix.notices import Code, Notice
from drummix.plain_data.files import shown

# Files are cut hard at the onset; this fade keeps the cut from clicking.
_FADE_IN_S = 0.0003
_MAX_LICENCE = 1_000_000

# The time in which a choke silences what it stops, where the kit states none.
_CHOKE_MS = 68.0


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
    tree = parse_xml(kit_file)
    nodes = instrument_nodes(tree, kit_file)
    channels = channel_names(tree, kit_file)
    midimap = read_midimap(find_midimap(kit_file.parent))
    pieces = pieces_of(nodes, midimap)
    rate_hz = rate_hz or stated_rate_hz(tree, kit_file)
    reader = _InstrumentReader(kit_file, channels, rate_hz, max_hits)
    hits = {name: reader.hits(node) for name, node in nodes.items() if name in pieces}
    mains = {
        name: _main_channels(nodes[name], channels)
        or reader.own_mains.get(name)
        or likely_main_channels(pieces[name], hits[name], channels)
        for name in hits
    }
    pieces = toms_in_order(pieces, mains, midimap)
    chokes = _chokes(nodes, pieces, kit_file)
    return Kit(
        name=kit_name(tree, kit_file),
        rate_hz=reader.rate_hz,
        channels=channels,
        instruments={
            name: Instrument(name, pieces[name], hits[name], mains[name]) for name in hits
        },
        note_map=with_stand_ins({note: name for note, name in midimap.items() if name in hits}),
        licence=_licence(kit_file.parent, tree),
        chokes={name: tuple(stopped) for name, stopped in chokes.items()},
        choke_times_s={
            (name, other): time_s
            for name, stopped in chokes.items()
            for other, time_s in stopped.items()
            if time_s is not None
        },
        notices=(*_left_out(nodes, pieces), *reader.notices),
    )


def _main_channels(node: Element, channels: Sequence[str]) -> tuple[str, ...]:
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
        self.notices: list[Notice] = []
        self.own_mains: dict[str, tuple[str, ...]] = {}
        self._kit_file = kit_file
        self._channels = frozenset(channels)
        self._max_hits = max_hits

    def hits(self, node: Element) -> tuple[Hit, ...]:
        """Load the hits of an instrument of the kit file, softest first."""
        root = self._kit_file.parent
        path = inside(root, root / attribute(node, "file", self._kit_file), self._kit_file)
        tree = parse_xml(path)
        samples = tree.findall("./samples/sample")
        powers, weights = _sample_powers(tree, samples, path)
        if not powers:
            raise CorpusError(f"{path} lists no samples that can be played")
        listed = [sample for sample in samples if attribute(sample, "name", path) in powers]
        listed.sort(key=lambda sample: powers[_name_of(sample)])
        if self._max_hits is not None and len(listed) > self._max_hits:
            chosen = np.linspace(0, len(listed) - 1, self._max_hits).round().astype(int)
            listed = [listed[i] for i in chosen]
        channel_map = {
            attribute(entry, "in", self._kit_file): attribute(entry, "out", self._kit_file)
            for entry in node.findall("channelmap")
        }
        self.own_mains[_name_of(node)] = tuple(
            channel
            for entry in tree.findall("./channels/channel")
            if entry.get("main") == "true"
            and (channel := channel_map.get(_name_of(entry), _name_of(entry))) in self._channels
        )
        hits = [
            Hit(
                power=powers[_name_of(sample)],
                channels=self._recordings(sample, channel_map, path),
                is_normalised=sample.get("normalized") == "true",
                weight=weights.get(_name_of(sample), 1.0),
            )
            for sample in listed
        ]
        # Samples of one velocity group are of one power: what they sound like tells them apart.
        return tuple(sorted(hits, key=lambda hit: (hit.power, _peak(hit))))

    def _recordings(
        self, sample: Element, channel_map: Mapping[str, str], path: Path
    ) -> dict[str, FloatArray]:
        recordings = {}
        opened: dict[Path, FloatArray] = {}
        for entry in sample.findall("audiofile"):
            own_name = attribute(entry, "channel", path)
            channel = channel_map.get(own_name, own_name)
            source = _source(entry, path)
            if channel not in self._channels:
                self._note(Notice.of(Code.KIT_CHANNEL_UNKNOWN, str(path), channel=channel))
                continue
            # A multichannel file is asked for once per channel.
            if source.path not in opened:
                opened[source.path] = _read_recording(source.path, self.rate_hz)
            recordings[channel] = _channel_of(opened[source.path], source, self.rate_hz)
        return recordings

    def _note(self, notice: Notice) -> None:
        if notice not in self.notices:
            self.notices.append(notice)


def _name_of(node: Element) -> str:
    return node.get("name", "")


def _peak(hit: Hit) -> float:
    return max((float(np.max(np.abs(s), initial=0.0)) for s in hit.channels.values()), default=0.0)


def _sample_powers(
    tree: Element, samples: Sequence[Element], path: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Name of a sample -> its power, if it can sound, and -> its weight, if it has one."""
    grouped, weights = _velocity_groups(tree, path)
    names = [attribute(sample, "name", path) for sample in samples]
    if len(set(names)) < len(names):
        raise CorpusError(f"{path} has two samples of one name; names tell them apart")
    if missing := sorted(set(grouped) - set(names)):
        raise CorpusError(f"{path} plays a sample {missing[0]!r} that it does not list")
    powers = {}
    for order, (name, sample) in enumerate(zip(names, samples, strict=True), start=1):
        if sample.get("power") is not None:
            powers[name] = number(sample, "power", path, default=None)
        elif name in grouped or not grouped:
            # A version 1 sample that is in no velocity group is never played.
            powers[name] = grouped.get(name, float(order))
    return powers, weights


def _velocity_groups(tree: Element, path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Version 1 kits: the middle of a sample's velocity groups as its power, and its probability.

    A sample of probability 0 is in no group; one that is in several has the mean of each value.
    """
    middles: dict[str, list[float]] = defaultdict(list)
    chances: dict[str, list[float]] = defaultdict(list)
    for group in tree.findall("./velocities/velocity"):
        lower = number(group, "lower", path, default=0.0)
        upper = number(group, "upper", path, default=1.0)
        for reference in group.findall("sampleref"):
            name = attribute(reference, "name", path)
            chance = number(reference, "probability", path, default=1.0)
            if chance > 0.0:
                middles[name].append((lower + upper) / 2)
                chances[name].append(chance)
    return (
        {name: sum(values) / len(values) for name, values in middles.items()},
        {name: sum(values) / len(values) for name, values in chances.items()},
    )


def _source(entry: Element, path: Path) -> _Source:
    file = inside(path.parent, path.parent / attribute(entry, "file", path), path)
    number = entry.get("filechannel") or "1"
    if not number.isdecimal() or len(number) > 4 or int(number) < 1:
        raise CorpusError(f"{path}: {file.name} has filechannel={shown(number)}; they count from 1")
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
    nodes: Mapping[str, Element], pieces: Mapping[str, Piece], kit_file: Path
) -> dict[str, dict[str, float | None]]:
    """What each instrument stops, and in which time if the kit states it.

    What the kit says counts; the usual rule for the hi-hat where it says nothing of it.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name, node in nodes.items():
        if group := node.get("group"):
            groups[group].append(name)
    stated: dict[str, dict[str, float | None]] = defaultdict(dict)
    for members in groups.values():
        for name in members:
            stated[name] |= {other: _CHOKE_MS / 1000 for other in members if other != name}
    for name, node in nodes.items():
        for choke in node.findall("./chokes/choke"):
            time_ms = number(choke, "choketime", kit_file, default=_CHOKE_MS, most=60_000.0)
            stated[name][attribute(choke, "instrument", kit_file)] = max(1.0, time_ms) / 1000
    chokes = {
        name: {other: time_s for other, time_s in others.items() if other in pieces}
        for name, others in stated.items()
        if name in pieces
    }
    if not any(pieces[name] is Piece.HIHAT for name in chokes):
        for name, stopped in hihat_chokes(pieces).items():
            chokes[name] = dict.fromkeys(stopped)
    return {name: others for name, others in chokes.items() if others}


def _left_out(names: Iterable[str], pieces: Mapping[str, Piece]) -> tuple[Notice, ...]:
    missing = [name for name in names if name not in pieces]
    return tuple(Notice.of(Code.KIT_INSTRUMENT_UNKNOWN, name) for name in missing)


def _licence(root: Path, tree: Element) -> str:
    for name in ("LICENSE.txt", "LICENSE", "COPYING"):
        path = root / name
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as lines:
                text = lines.read(_MAX_LICENCE)
            # The text of a CC BY licence itself mentions CC0, so the fuller name goes first.
            for pattern in (r"CC[ -]BY(?:-SA)?[ -]?\d\.\d", r"\bCC0\b"):
                if found := re.search(pattern, text):
                    return found.group(0)
            return f"see {name} of the kit"
    stated = " ".join((tree.findtext("./metadata/license") or "").split())
    return stated[:80] or "unstated"
