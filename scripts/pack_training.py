"""Pack source, kits and grooves into one archive for training elsewhere; see pack_training.sh."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from drummix import audio
from drummix.audio import atomic_path
from drummix.corpus.drumgizmo_xml import find_kit_file, parse_xml
from drummix.corpus.groove import read_groove_index
from drummix.corpus.plan import kit_label
from drummix.corpus.strokes import pool_indices
from drummix.errors import CorpusError, DrummixError, SettingError

ROOT = "drummix-training"
MAX_MB = 55.0
PURE_PACKAGES = ("mido",)
"""Packages of Python alone that the bare machine may lack; compiled ones have stand-ins."""

_REPOSITORY = Path(__file__).resolve().parents[1]
_RESERVE = 0.99
_ENTRY_BYTES = 200

Files = dict[str, bytes | Path]


@dataclass(frozen=True)
class PackedInstrument:
    """An instrument of a kit with the recordings that training may hear.

    Args:
        path: Its XML file.
        samples: Those recordings, softest first.
        n_held_out: How many are kept for tests and stay behind.
    """

    path: Path
    samples: tuple[ElementTree.Element, ...]
    n_held_out: int

    def chosen(self, n_most: int) -> tuple[ElementTree.Element, ...]:
        """At most so many recordings, spread over the loudness range."""
        if len(self.samples) <= n_most:
            return self.samples
        at = np.linspace(0, len(self.samples) - 1, n_most).round().astype(int)
        return tuple(self.samples[i] for i in at)

    def files(self, n_most: int) -> set[Path]:
        """Sound files of `chosen`."""
        return {
            self.path.parent / entry.get("file", "")
            for sample in self.chosen(n_most)
            for entry in sample.findall("audiofile")
        }


def pack(kits: Path, groove: Path, archive: Path, *, max_mb: float = MAX_MB) -> list[str]:
    """Write the archive.

    Args:
        kits: Folder of kits, or a kit.
        groove: Folder of the Groove MIDI Dataset.
        archive: The `.tar.gz` to write.
        max_mb: Largest size in millions of bytes.

    Returns:
        What is in it and what was left out, a line each.

    Raises:
        CorpusError: If there is no kit, a kit is not of version 2, or nothing fits.
    """
    rest = {**_source(), **_pure_packages(), **_groove(groove)}
    found = {folder: _instruments(folder) for folder in _kit_folders(kits)}
    n_free = int(max_mb * 1e6 * _RESERVE) - len(_tar_gz(rest))
    counts = _counts_that_fit([i for instruments in found.values() for i in instruments], n_free)
    lines, files = [], dict(rest)
    for folder, instruments in found.items():
        files |= _kit_files(folder, instruments, counts)
        lines.append(_left_out(folder, instruments, counts))
    content = _tar_gz(files)
    with atomic_path(archive) as temporary:
        temporary.write_bytes(content)
    lines.append(f"{archive}: {len(content) / 1e6:.1f} MB, {len(files)} files")
    return lines


def _kit_folders(kits: Path) -> list[Path]:
    try:
        return [find_kit_file(kits).parent]
    except CorpusError:
        folders = sorted(p for p in kits.glob("*") if any(p.glob("*.xml")))
        if not folders:
            raise
        return folders


def _instruments(folder: Path) -> list[PackedInstrument]:
    packed = []
    for node in parse_xml(find_kit_file(folder)).iter("instrument"):
        path = folder / node.get("file", "")
        samples = parse_xml(path).findall("./samples/sample")
        if not samples or any(sample.get("power") is None for sample in samples):
            raise CorpusError(f"{path} has samples without power; give a kit of version 2")
        samples.sort(key=lambda sample: float(sample.get("power", "0")))
        kept = pool_indices(len(samples), "train")
        packed.append(
            PackedInstrument(path, tuple(samples[i] for i in kept), len(samples) - len(kept))
        )
    return packed


def _counts_that_fit(instruments: Sequence[PackedInstrument], n_free: int) -> dict[Path, int]:
    """How many recordings each instrument may have: by turns one more, as long as there is room."""
    sizes = {
        path: _size_of(_as_16_bit_flac(path)) + _ENTRY_BYTES
        for instrument in instruments
        for path in instrument.files(len(instrument.samples))
    }

    def n_bytes(instrument: PackedInstrument, count: int) -> int:
        return sum(sizes[path] for path in instrument.files(count))

    counts = {instrument.path: 1 for instrument in instruments}
    used = sum(n_bytes(instrument, 1) for instrument in instruments)
    if used > n_free:
        raise CorpusError("not even one recording an instrument fits; allow a larger archive")
    growing = list(instruments)
    while growing:
        for instrument in tuple(growing):
            count = counts[instrument.path]
            more = n_bytes(instrument, count + 1) - n_bytes(instrument, count)
            if count == len(instrument.samples) or used + more > n_free:
                growing.remove(instrument)
            else:
                counts[instrument.path] = count + 1
                used += more
    return counts


def _kit_files(
    folder: Path, instruments: Iterable[PackedInstrument], counts: Mapping[Path, int]
) -> Files:
    base = f"kits/{kit_label(str(folder))}"
    files: Files = {f"{base}/{p.name}": p for p in sorted(folder.iterdir()) if p.is_file()}
    for instrument in instruments:
        where = f"{base}/{instrument.path.parent.relative_to(folder).as_posix()}"
        for path in sorted(instrument.files(counts[instrument.path])):
            name = f"{where}/{path.relative_to(instrument.path.parent).as_posix()}"
            files[name] = _as_16_bit_flac(path)
        files[f"{base}/{instrument.path.relative_to(folder).as_posix()}"] = _instrument_xml(
            instrument.path,
            instrument.chosen(counts[instrument.path]),
            instrument.n_held_out > 0,
        )
    return files


def _size_of(source: bytes | Path) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


@cache
def _as_16_bit_flac(path: Path) -> bytes | Path:
    """The file itself where it is one already, else its sound as FLAC under the old name."""
    info = audio.probe(path)
    if (info.format, info.subtype) == ("FLAC", "PCM_16") or info.n_channels > 8:
        return path
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "recording.flac"
        audio.write(packed, audio.read(path), subtype="PCM_16")
        return packed.read_bytes()


def _instrument_xml(path: Path, chosen: Sequence[ElementTree.Element], has_held_out: bool) -> bytes:
    """The instrument with its chosen recordings only.

    Where training may not hear a recording, the one before it stands again, so that the renderer
    counts the same places as held out and never plays them.
    """
    root = parse_xml(path)
    samples = root.find("samples")
    assert samples is not None
    samples.clear()
    held_out = pool_indices(2 * len(chosen) + 4, "test") if has_held_out else []
    for sample in chosen:
        if len(samples) in held_out:
            again = ElementTree.fromstring(ElementTree.tostring(samples[-1]))
            again.set("name", f"{again.get('name')}-again")
            samples.append(again)
        samples.append(sample)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _left_out(
    folder: Path, instruments: Sequence[PackedInstrument], counts: Mapping[Path, int]
) -> str:
    n_kept = sum(counts[i.path] for i in instruments)
    n_held_out = sum(i.n_held_out for i in instruments)
    n_there = sum(len(i.samples) for i in instruments)
    fewest, most = min(counts.values()), max(counts.values())
    return (
        f"{folder.name}: {n_kept} recordings packed, {n_there - n_kept} left out for size "
        f"({fewest} to {most} an instrument), {n_held_out} kept for tests stay behind"
    )


def _source() -> Files:
    package = _REPOSITORY / "src" / "drummix"
    files: Files = {
        f"src/drummix/{p.relative_to(package).as_posix()}": p
        for p in sorted(package.rglob("*"))
        if p.is_file() and p.suffix in (".py", ".csv", ".json") and "weights" not in p.parts
    }
    here = Path(__file__).resolve().parent
    files |= {f"bare/{p.relative_to(here / 'bare').as_posix()}": p for p in _python(here / "bare")}
    files["gpu_training.py"] = here / "gpu_training.py"
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty"],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    files["src/drummix/commit.txt"] = (done.stdout.strip() or "unknown").encode()
    return files


def _pure_packages() -> Files:
    files: Files = {}
    for name in PURE_PACKAGES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise SettingError(f"{name} is not installed; install drummix where you pack")
        folder = Path(spec.origin).parent
        files |= {
            f"bare/{name}/{name}/{path.relative_to(folder).as_posix()}": path
            for path in _python(folder)
        }
    return files


def _python(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts)


def _groove(folder: Path) -> Files:
    """The index and the performances of the training and validation parts."""
    files: Files = {"groove/info.csv": folder / "info.csv"}
    root = folder.resolve()
    for performance in read_groove_index(folder):
        if performance.part != "test":
            files[f"groove/{performance.path.relative_to(root).as_posix()}"] = performance.path
    return files


def _tar_gz(files: Mapping[str, bytes | Path]) -> bytes:
    """The same bytes for the same files."""
    memory = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=memory, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, source in sorted(files.items()):
            content = source if isinstance(source, bytes) else source.read_bytes()
            entry = tarfile.TarInfo(f"{ROOT}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def main(words: Sequence[str]) -> int:
    """Pack from the command line."""
    try:
        max_mb = float(words[3]) if len(words) > 3 else MAX_MB
        lines = pack(Path(words[0]), Path(words[1]), Path(words[2]), max_mb=max_mb)
    except (DrummixError, OSError, ValueError) as error:
        print(f"pack_training: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line, file=sys.stderr)
    print(words[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
