"""The XML files of a DrumGizmo kit: where they are, what they list; no sound is read here."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree.ElementTree import Element

from drummix.corpus.articulations import pieces_of
from drummix.errors import CorpusError
from drummix.plain_data import xml_tree
from drummix.plain_data.files import shown


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


def find_midimap(root: Path) -> Path:
    """The note map: ``midimap.xml``, or of several other ones that with the most notes."""
    usual = root / "midimap.xml"
    found = [usual] if usual.is_file() else _files_with_root(root, "midimap")
    if not found:
        raise CorpusError(f"{root} holds no note map (midimap.xml); is this a complete kit?")
    return max(found, key=lambda path: len(parse_xml(path).findall("map")))


def _files_with_root(folder: Path, tag: str) -> list[Path]:
    found = []
    for path in sorted(folder.glob("*.xml")):
        try:
            if parse_xml(path).tag == tag:
                found.append(path)
        except CorpusError:
            continue  # Some other file that is no XML at all is no business of ours.
    return found


def parse_xml(path: Path) -> Element:
    """The root of an XML file.

    Raises:
        CorpusError: If the file is missing or no XML.
    """
    return xml_tree.parse_xml(path, error=CorpusError, hint="is this a complete DrumGizmo kit?")


def attribute(node: Element, name: str, where: Path) -> str:
    """An attribute that has to be there."""
    value = node.get(name)
    if not value:
        raise CorpusError(f"{where}: a <{node.tag}> has no {name}")
    return value


def number(
    node: Element, name: str, where: Path, *, default: float | None, most: float = 1e12
) -> float:
    """A number in an attribute, from minus to plus `most`; without a default it has to be there."""
    text = node.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= most:
        raise CorpusError(
            f"{where}: {node.tag} {node.get('name', '')[:60]} has {name}={shown(text)}; "
            f"expected a number of up to {most:g}"
        )
    return value


def inside(root: Path, path: Path, where: Path) -> Path:
    """The path, if it lies inside the kit's folder."""
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:  # a name that is too long, or links in a circle
        raise CorpusError(f"{where} names {shown(str(path))}, which is no file") from error
    if not is_inside:
        raise CorpusError(f"{where} names {shown(str(path))}, which lies outside the kit's folder")
    return path


def stated_rate_hz(tree: Element, kit_file: Path) -> int:
    """Sample rate of a kit as its kit file states it, 44.1 kHz if it does not."""
    text = tree.get("samplerate") or tree.findtext("./metadata/samplerate") or "44100"
    try:
        rate_hz = int(float(text))
    except (ValueError, OverflowError):
        rate_hz = 0
    if not 8000 <= rate_hz <= 384000:
        raise CorpusError(
            f"{kit_file} states a sample rate of {shown(text)}; expected 8000 to 384000"
        )
    return rate_hz


def instrument_nodes(tree: Element, kit_file: Path) -> dict[str, Element]:
    """The instruments that a kit file lists, by name."""
    nodes = tree.findall("./instruments/instrument")
    if not nodes:
        raise CorpusError(f"{kit_file} lists no instruments; expected <instrument> entries")
    named = {attribute(node, "name", kit_file): node for node in nodes}
    if len(named) < len(nodes):
        raise CorpusError(f"{kit_file} lists two instruments of one name; names tell them apart")
    return named


def channel_names(tree: Element, kit_file: Path) -> tuple[str, ...]:
    """The microphones that a kit file lists, in its order."""
    nodes = tree.findall("./channels/channel")
    if not nodes:
        raise CorpusError(f"{kit_file} lists no microphones; expected <channel> entries")
    return tuple(attribute(node, "name", kit_file) for node in nodes)


def kit_name(tree: Element, kit_file: Path) -> str:
    """Name of a kit, fit for a file name."""
    title = tree.get("name") or tree.findtext("./metadata/title") or kit_file.parent.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", title)[:100].strip("-") or "kit"


def read_midimap(path: Path) -> dict[int, str]:
    """Note number -> instrument; of several instruments for one note, the last."""
    notes = {}
    for entry in parse_xml(path).findall("map"):
        note = attribute(entry, "note", path)
        if not note.isdecimal() or int(note) > 127:
            raise CorpusError(f"{path} maps note {shown(note)}; notes are 0 to 127")
        notes[int(note)] = attribute(entry, "instr", path)
    return notes


def instrument_notes(folder: Path) -> dict[str, int]:
    """The instruments of a kit that a note plays, by name, with the lowest note of each.

    Raises:
        CorpusError: If the kit file or the note map is missing or damaged.
    """
    kit_file = find_kit_file(folder)
    nodes = instrument_nodes(parse_xml(kit_file), kit_file)
    midimap = read_midimap(find_midimap(kit_file.parent))
    pieces = pieces_of(nodes, midimap)
    notes: dict[str, int] = {}
    for note, name in sorted(midimap.items()):
        if name in pieces:
            notes.setdefault(name, note)
    return dict(sorted(notes.items()))
