"""How well a style learned from one item of a rendered corpus mixes other items of the same kit.

For each kit and target: the example is the item of the part with the most sound in its quietest
tom (a song in which everything is played), the others follow in the order of their names. Printed
for each of them: SI-SDR of the style's mix, and of the best static gains fitted to that very mix.

    python benchmarks/match_transfer.py CORPUS --others 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import drummix
from drummix.corpus.groove import PARTS
from drummix.corpus.manifest import MICROPHONE_FOLDERS, CorpusItem, Target, read_manifest
from drummix.gain_staging import TOM_ROLES
from drummix.levels import rms_dbfs

TARGETS: tuple[Target, ...] = ("dry", "wet")


def stems_of(corpus: Path, item: CorpusItem) -> dict[str, Path]:
    """Role -> file of an item's microphones."""
    return {str(role): item.stem_path(corpus, role) for role in MICROPHONE_FOLDERS}


def quietest_tom_dbfs(corpus: Path, item: CorpusItem) -> float:
    """RMS level of the tom that is played least."""
    levels = [
        rms_dbfs(drummix.read(item.stem_path(corpus, role)).samples)
        for role in MICROPHONE_FOLDERS
        if role in TOM_ROLES
    ]
    return min(levels)


def main() -> None:
    """Choose the items, and run each kit and target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--part", choices=PARTS, default="test", help="items to take")
    parser.add_argument("--others", type=int, default=5, help="items to mix with each style")
    parser.add_argument("--taps", type=int, default=128)
    arguments = parser.parse_args()
    items = read_manifest(arguments.corpus, part=arguments.part)
    for kit in sorted({item.kit for item in items}):
        of_kit = [item for item in items if item.kit == kit]
        example = max(of_kit, key=lambda item: quietest_tom_dbfs(arguments.corpus, item))
        others = [item for item in of_kit if item != example][: arguments.others]
        for target in TARGETS:
            run(arguments.corpus, kit, target, example, others, arguments.taps)


def run(
    corpus: Path,
    kit: str,
    target: Target,
    example: CorpusItem,
    others: list[CorpusItem],
    taps: int,
) -> None:
    """Learn one style, try it on the others, and print what came of it."""
    start_s = time.process_time()
    found = drummix.match(
        stems_of(corpus, example), example.mix_path(corpus, target), max_taps=taps
    )
    learned = found.style.learned
    print(
        f"{kit} {target}: learned from {example.item} ({example.n_samples / example.rate_hz:.0f} s)"
        f" in {time.process_time() - start_s:.0f} s of processor time: {learned['taps']} taps, "
        f"{learned['held_out_si_sdr_db']:.1f} dB held out, bus "
        f"{[effect['effect'] for effect in found.style.bus.to_plain()['effects']]}",
        flush=True,
    )
    gains_db = []
    for item in others:
        result = drummix.check_style(
            found.style, stems_of(corpus, item), item.mix_path(corpus, target)
        )
        gains_db.append(result.si_sdr_db - result.static_si_sdr_db)
        print(
            f"  {item.item}: style {result.si_sdr_db:.1f} dB, static {result.static_si_sdr_db:.1f} "
            f"dB ({gains_db[-1]:+.1f})",
            flush=True,
        )
    print(f"  median gain over static {statistics.median(gains_db):+.1f} dB", flush=True)


if __name__ == "__main__":
    main()
