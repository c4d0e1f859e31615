"""A drum session from nothing, mixed: what a newcomer hears first.

In: a folder and a seed. Out: stems as a studio would name them, a wet and a dry mix, a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Audio, read, write
from drummix.corpus.patterns import pattern_hits
from drummix.corpus.render import Rendering, render_performance
from drummix.corpus.synthkit import synth_kit
from drummix.errors import OutputError
from drummix.mixers.weights import read_card
from drummix.mixing import MixedFile, mix_to_file
from drummix.session import open_session

FloatArray = NDArray[np.float32]
Progress = Callable[[str, int, int], None]

SYSTEMS = ("waveunet-wet", "waveunet-dry")
PATTERN = "rock"
BARS = 8

# File name -> the kit's microphones in it; two make a stereo file.
TRACKS: Mapping[str, tuple[str, ...]] = {
    "Kick In.wav": ("KickIn",),
    "Snare Top.wav": ("SnareTop",),
    "Snare Bottom.wav": ("SnareBottom",),
    "Hi-Hat.wav": ("Hihat",),
    "Rack Tom 1.wav": ("Tom1",),
    "Rack Tom 2.wav": ("Tom2",),
    "Floor Tom 1.wav": ("Tom3",),
    "Floor Tom 2.wav": ("Tom4",),
    "Overheads.wav": ("OHL", "OHR"),
    "Room.wav": ("RoomL", "RoomR"),
}


@dataclass(frozen=True, eq=False)
class Demo:
    """What a demo made.

    Args:
        stems: Folder of the microphone tracks.
        mixes: System -> the mix it made.
        picture: The picture.
        duration_s: Length of the session in seconds.
    """

    stems: Path
    mixes: Mapping[str, MixedFile]
    picture: Path
    duration_s: float


def make_demo(folder: Path, *, seed: int = 0, progress: Progress | None = None) -> Demo:
    """Play a groove on the built-in kit, mix it wet and dry, and draw it.

    Args:
        folder: Where to put it all; made if missing.
        seed: Another seed is another kit and another take.
        progress: Called with what is being done, what is done of it, and all of it.

    Raises:
        OutputError: If the folder holds tracks that are not the demo's, or cannot be written.
        WeightsError: If the shipped models are not there.
    """
    for system in SYSTEMS:
        read_card(system)
    stems = folder / "stems"
    _make_folder(stems)
    rendering = _play(seed, progress)
    for name, microphones in TRACKS.items():
        samples = np.stack([rendering.microphones[microphone] for microphone in microphones])
        write(stems / name, Audio(samples, rendering.rate_hz))
    mixes = {}
    for system in SYSTEMS:
        report = _named(system, progress)
        mixes[system] = mix_to_file(stems, folder / f"{system}.wav", system=system, progress=report)
    picture = _draw(folder, stems, mixes, seed)
    duration_s = rendering.n_samples / rendering.rate_hz
    return Demo(stems=stems, mixes=mixes, picture=picture, duration_s=duration_s)


def _make_folder(stems: Path) -> None:
    if stems.exists() and not stems.is_dir():
        raise OutputError(f"{stems} is a file; choose another folder for the demo: -o FOLDER")
    strange = sorted(
        path.name for path in (stems.iterdir() if stems.is_dir() else ()) if path.name not in TRACKS
    )
    if strange:
        raise OutputError(
            f"{stems} holds {strange[0]!r}, which is not the demo's; "
            "choose another folder for it: -o FOLDER"
        )
    try:
        stems.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{stems} cannot be made: {error.strerror}; choose another folder: -o FOLDER"
        ) from error


def _play(seed: int, progress: Progress | None) -> Rendering:
    if progress is not None:
        progress("playing", 0, 2)
    kit = synth_kit(seed)
    if progress is not None:
        progress("playing", 1, 2)
    rng = np.random.default_rng(seed)
    rendering = render_performance(kit, pattern_hits(PATTERN, bars=BARS, rng=rng), rng=rng)
    if progress is not None:
        progress("playing", 2, 2)
    return rendering


def _named(system: str, progress: Progress | None) -> Progress | None:
    """Progress that says which of the mixes it is about."""
    if progress is None:
        return None
    short = system.removeprefix("waveunet-")
    return lambda step, n_done, n_all: progress(f"{step} {short}", n_done, n_all)


def _draw(folder: Path, stems: Path, mixes: Mapping[str, MixedFile], seed: int) -> Path:
    from drummix.picture import draw_session  # loads a plotting library

    session = open_session(stems)
    rows = [
        (f"{Path(stem.source).stem} ({stem.role})", samples)
        for stem, samples in zip(session.stems, session.read(), strict=True)
    ]
    return draw_session(
        folder / "demo.png",
        title=f"drummix demo: {len(rows)} microphones of the built-in kit {seed}, mixed",
        stems=rows,
        mixes={system: read(mixed.path) for system, mixed in mixes.items()},
    )
