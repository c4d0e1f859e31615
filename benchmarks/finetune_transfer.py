"""How much closer a model comes to other songs of an engineer after it was taught one of them.

The engineer is not the one that the shipped models learned from: render a small corpus with another
`--engineer`. The song is made of as many items of a part as it takes to reach `--song-s` seconds,
beginning with the one in which the quietest tom is loudest; the others follow in the order of
their names. Printed for each of them: SI-SDR and MR-STFT (at equal loudness) of the shipped model's
mix, of the fine-tuned one's, and of the best static gains fitted to that very mix.

    python benchmarks/finetune_transfer.py CORPUS --others 4 --steps 300
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import drummix
from drummix.corpus.manifest import MICROPHONE_FOLDERS, CorpusItem, Target, read_manifest
from drummix.effects.reverse import fit_gains
from drummix.evaluation.metrics import level_matched, mr_stft_distance, si_sdr_db
from drummix.finetuning import describe, finetune
from drummix.finetuning.run import DEFAULT_LEARNING_RATE
from drummix.gain_staging import TOM_ROLES
from drummix.levels import rms_dbfs

FloatArray = NDArray[np.float32]
Figures = tuple[float, float]


def stems_of(corpus: Path, item: CorpusItem) -> dict[str, Path]:
    """Role -> file of an item's microphones."""
    return {str(role): item.stem_path(corpus, role) for role in MICROPHONE_FOLDERS}


def quietest_tom_dbfs(corpus: Path, item: CorpusItem) -> float:
    """RMS level of the tom that is played least."""
    return min(
        rms_dbfs(drummix.read(item.stem_path(corpus, role)).samples)
        for role in MICROPHONE_FOLDERS
        if role in TOM_ROLES
    )


def write_song(corpus: Path, items: Sequence[CorpusItem], target: Target, folder: Path) -> None:
    """Items one after the other as a producer's session: a folder of tracks with its mix in it."""
    folder.mkdir()
    files = {
        str(role): [item.stem_path(corpus, role) for item in items] for role in MICROPHONE_FOLDERS
    }
    files["mix"] = [item.mix_path(corpus, target) for item in items]
    for name, paths in files.items():
        heard = [drummix.read(path) for path in paths]
        joined = np.concatenate([one.samples for one in heard], axis=1)
        drummix.write(folder / f"{name}.wav", drummix.Audio(joined, heard[0].rate_hz))


def figures(made: FloatArray, wanted: FloatArray, rate_hz: int) -> Figures:
    """SI-SDR in dB, and MR-STFT at equal loudness."""
    return si_sdr_db(made, wanted), mr_stft_distance(level_matched(made, wanted, rate_hz), wanted)


def static_mix(stems: dict[str, Path], wanted: FloatArray) -> FloatArray:
    """The best that gains and pans alone could do."""
    heard = drummix.open_session(dict(stems)).read()
    gains = fit_gains([(heard, wanted)]).gains
    return (gains @ heard).astype(np.float32)


def main() -> None:
    """Choose the song, teach it, and mix the others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--part", default="test")
    parser.add_argument("--target", choices=("dry", "wet"), default="wet")
    parser.add_argument("--song-s", type=float, default=75.0, help="length of the song")
    parser.add_argument("--others", type=int, default=4, help="items to mix")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--learning-rate", type=float, default=DEFAULT_LEARNING_RATE)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    corpus, target = arguments.corpus, arguments.target
    items = read_manifest(corpus, part=arguments.part)
    first = max(items, key=lambda item: quietest_tom_dbfs(corpus, item))
    rest = [item for item in items if item != first]
    song = [first]
    while sum(item.duration_s for item in song) < arguments.song_s and rest:
        song.append(rest.pop(0))
    system = f"waveunet-{target}"
    with tempfile.TemporaryDirectory() as folder:
        write_song(corpus, song, target, Path(folder) / "song")
        start_s, start_cpu_s = time.monotonic(), time.process_time()
        found = finetune(
            [str(Path(folder) / "song")],
            Path(folder) / "model",
            base=system,
            steps=arguments.steps,
            learning_rate=arguments.learning_rate,
            seed=arguments.seed,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(
            f"engineer {first.engineer}, {target}: learned from {len(song)} items joined, "
            f"{sum(item.duration_s for item in song):.0f} s ({', '.join(i.item for i in song)}), "
            f"in {time.monotonic() - start_s:.0f} s, {time.process_time() - start_cpu_s:.0f} s of "
            f"processor time: best step {found.learned.best_step} of {found.learned.steps}\n"
            f"  its last fifth, held out: before {describe(found.before)}; "
            f"after {describe(found.after)}",
            flush=True,
        )
        compare(corpus, rest[: arguments.others], target, system, found.folder)


def compare(
    corpus: Path, items: Sequence[CorpusItem], target: Target, system: str, weights: Path
) -> None:
    """Mix other songs with both models, and print how close each comes."""
    table: list[tuple[Figures, Figures, Figures]] = []
    for item in items:
        stems = stems_of(corpus, item)
        wanted = drummix.read(item.mix_path(corpus, target)).samples
        mixes = (
            static_mix(stems, wanted),
            drummix.mix(dict(stems), system=system).audio.samples,
            drummix.mix(dict(stems), system=system, weights=weights).audio.samples,
        )
        static, before, after = (figures(mix, wanted, item.rate_hz) for mix in mixes)
        table.append((static, before, after))
        print(
            f"  {item.item}: static {shown(static)}; before {shown(before)}; after {shown(after)} "
            f"({after[0] - before[0]:+.1f} dB, {after[1] - before[1]:+.3f})",
            flush=True,
        )
    medians = [
        tuple(statistics.median(row[which][metric] for row in table) for metric in (0, 1))
        for which in range(3)
    ]
    printed = [shown((pair[0], pair[1])) for pair in medians]
    print("  median: static {}; before {}; after {}".format(*printed), flush=True)


def shown(pair: Figures) -> str:
    """Two figures for print."""
    return f"{pair[0]:.1f} dB, {pair[1]:.3f}"


if __name__ == "__main__":
    main()
