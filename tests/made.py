"""What several test modules make: model cards, items of a corpus, a kit and its performances."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import mido
import numpy as np
from numpy.typing import NDArray

from drummix import audio
from drummix.audio import Audio
from drummix.corpus.manifest import CorpusItem
from drummix.mixers.architecture import WaveUNetConfig
from drummix.notices import Code, Notice
from drummix.roles import PAPER_ROLES

RATE_HZ = 44_100
KIT_NOTES = {36: "Kick", 38: "Snare", 49: "Crash"}
KIT_CHANNELS = ("Kick", "Snare", "OHL", "OHR")
KIT_MAINS = {"Kick": "Kick", "Snare": "Snare", "Crash": "OHL"}
STYLES = {"train": "rock/a", "validation": "funk", "test": "latin/samba"}


def codes(notices: Iterable[Notice]) -> set[Code]:
    """What notices say, without what they say it about."""
    return {notice.code for notice in notices}


_unfinished: list[Any] = []


def leave_behind(target: Path) -> Path:
    """What a run that was killed while it wrote `target` leaves."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    with mock.patch("os.getpid", return_value=process.pid):
        _unfinished.append(audio.atomic_path(target))  # kept, or the file would go with it
        return _unfinished[-1].__enter__()


def model_card(config: WaveUNetConfig, target: str = "wet", **changes: Any) -> dict[str, Any]:
    """What `write_model` needs to know of a network."""
    return {
        "system": f"waveunet-{target}",
        "target": target,
        "architecture": config.to_mapping(),
        "roles": [role.value for role in PAPER_ROLES],
        "rate_hz": RATE_HZ,
        "training": {},
        "metrics": {},
        **changes,
    }


def write_item(
    corpus: Path,
    name: str,
    stems: NDArray[np.floating],
    mixes: Mapping[str, NDArray[np.floating]],
    *,
    kit: str = "kit",
    part: str = "test",
    seed: int = 0,
) -> CorpusItem:
    """An item of a corpus from its stems (8, N) and mixes; the manifest is left to write.

    In float, so that gains between them are known to seven digits.
    """
    item = CorpusItem(
        item=name, part=part, kit=kit, performance=name, style="rock", seed=seed, engineer=1,
        licence="none", rate_hz=RATE_HZ, n_samples=stems.shape[1], extension="wav",
        stem_peak_dbfs=0.0, dry_peak_dbfs=0.0, wet_peak_dbfs=0.0, sha256="",
    )  # fmt: skip
    tracks = {item.stem_path(corpus, r): stems[i : i + 1] for i, r in enumerate(PAPER_ROLES)}
    tracks |= {item.mix_path(corpus, target): mix for target, mix in mixes.items()}
    for path, samples in tracks.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, Audio(samples, RATE_HZ), subtype="FLOAT")
    return item


def write_kit(folder: Path, *, rate_hz: int = RATE_HZ) -> Path:
    """A DrumGizmo kit: three instruments of four hits, all heard by four microphones."""
    channels = "".join(f'<channel name="{name}"/>' for name in KIT_CHANNELS)
    instruments = ""
    for index, (name, main) in enumerate(KIT_MAINS.items()):
        (folder / name).mkdir(parents=True)
        rng = np.random.default_rng(index)
        samples = ""
        for power in (1, 2, 3, 4):
            decay = np.exp(-np.arange(3000) / 400) * rng.standard_normal(3000)
            shares = [0.05 * power if c == main else 0.005 * power for c in KIT_CHANNELS]
            recording = (np.array(shares)[:, np.newaxis] * decay).astype(np.float32)
            audio.write(folder / name / f"{power}.wav", Audio(recording, rate_hz))
            files = "".join(
                f'<audiofile channel="{c}" file="{power}.wav" filechannel="{n}"/>'
                for n, c in enumerate(KIT_CHANNELS, start=1)
            )
            samples += f'<sample name="{power}" power="{power}">{files}</sample>'
        (folder / name / f"{name}.xml").write_text(
            f'<instrument version="2.0"><samples>{samples}</samples></instrument>'
        )
        instruments += (
            f'<instrument name="{name}" file="{name}/{name}.xml">'
            f'<channelmap in="{main}" out="{main}" main="true"/></instrument>'
        )
    (folder / "drumkit.xml").write_text(
        f'<drumkit samplerate="{rate_hz}"><channels>{channels}</channels>'
        f"<instruments>{instruments}</instruments></drumkit>"
    )
    maps = "".join(f'<map note="{note}" instr="{name}"/>' for note, name in KIT_NOTES.items())
    (folder / "midimap.xml").write_text(f"<midimap>{maps}</midimap>")
    (folder / "LICENSE.txt").write_text("CC0")
    return folder


def write_groove(folder: Path, parts: Mapping[str, int], *, notes: tuple[int, ...] = ()) -> Path:
    """A dataset of performances of 16 strokes in half a second, said to last 1.5 s."""
    folder.mkdir(parents=True)
    columns = "id,style,bpm,beat_type,midi_filename,duration,split"
    rows = [columns]
    rng = np.random.default_rng(0)
    for part, n_performances in parts.items():
        for number in range(n_performances):
            name = f"drummer1/{part}/{number}"
            track = mido.MidiTrack()
            for note in (*rng.choice([36, 38, 49], 16), *notes):
                velocity = int(rng.integers(1, 128))
                track.append(mido.Message("note_on", note=int(note), velocity=velocity, time=30))
            file = f"{part}{number}.mid"
            mido.MidiFile(tracks=[track], ticks_per_beat=480).save(folder / file)
            rows.append(f"{name},{STYLES[part]},120,beat,{file},1.5,{part}")
    (folder / "info.csv").write_text("\n".join(rows) + "\n")
    return folder
