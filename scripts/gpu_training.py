"""Render and train on a bare machine; see train_gpu.sh, which unpacks this beside its data."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drummix.nn.config import TrainSettings

HERE = Path(__file__).resolve().parent
NEEDED = ("torch", "lightning", "numpy", "scipy", "soundfile")
STAND_INS = ("mido", "numba", "soxr", "safetensors")
SAFETY_S = 20.0
"""Time at the end for the export and the handover."""

LINE_EVERY_S = 10.0


def main() -> int:
    """Render, train, and leave weights, log and handover."""
    options = _options()
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        _say(f"not installed here: {', '.join(missing)}; this machine cannot train")
        return 1
    folders = [str(HERE / "src")]
    for name in STAND_INS:
        if importlib.util.find_spec(name) is None:
            folders.append(str(HERE / "bare" / name))
            _say(f"{name} is not installed here; the archive's own stands in for it")
    sys.path[:0] = folders
    # For the processes that render and load.
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    from drummix.errors import DrummixError

    try:
        _train(options)
    except DrummixError as error:
        _say(" ".join(str(error).split()))
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    import torch

    from drummix.nn.config import read_train_settings
    from drummix.nn.handover import pack_run, unpack_run
    from drummix.nn.train import train

    n_cores = len(os.sched_getaffinity(0))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU, training on CPU"
    _say(f"{n_cores} cores, {gpu}, torch {torch.__version__}")
    run = options.work / "run"
    settings = dataclasses.replace(read_train_settings(options.config), output=str(run))
    settings = _fed(settings, options, n_cores)
    if options.previous is not None:
        unpack_run(options.previous, options.previous, settings)
        _say(f"going on with the run of {options.previous}")
    left_s = 60.0 * options.minutes - SAFETY_S - (time.time() - options.started)
    if left_s <= 0:
        _say("rendering took all the minutes; call again, what is rendered is used again")
        return
    # Lightning's threads, not the loader's: the loader's processes have one each.
    torch.set_num_threads(n_cores)
    model = train(settings, minutes=left_s / 60.0, report=_say)
    for path in [*model.iterdir(), *run.glob("*.csv"), *run.glob("*.png")]:
        shutil.copy(path, options.out / path.name)
    parts = pack_run(run, options.out)
    sizes = ", ".join(f"{p.name} {p.stat().st_size / 1e6:.1f} MB" for p in parts)
    _say(f"weights in {options.out / 'model.safetensors'}; to go on: {sizes}")


def _fed(settings: TrainSettings, options: argparse.Namespace, n_cores: int) -> TrainSettings:
    """The settings with the archive's kits and grooves: live if they say so, else rendered now."""
    kits = tuple(str(p) for p in sorted((HERE / "kits").iterdir()))
    groove = str(HERE / "groove")
    n_loaders = max(1, n_cores - 1)
    if settings.live is not None:
        # Pools are part of what is trained on; as many processes as divide them evenly.
        n_loaders = max(n for n in range(1, n_loaders + 1) if settings.live.pools % n == 0)
        live = dataclasses.replace(settings.live, kits=kits, groove=groove)
        settings = dataclasses.replace(settings, live=live)
    else:
        corpus = options.work / "corpus"
        _render(kits, groove, options.hours, corpus, n_cores)
        settings = dataclasses.replace(settings, corpora=(str(corpus),))
    clips = dataclasses.replace(settings.clips, workers=n_loaders)
    return dataclasses.replace(settings, clips=clips)


def _render(kits: tuple[str, ...], groove: str, hours: str, corpus: Path, n_cores: int) -> None:
    from drummix.corpus.build import render_corpus
    from drummix.corpus.plan import CorpusSettings
    from drummix.errors import SettingError

    wanted: dict[str, float | None] = {}
    for entry in hours.split():
        part, _, number = entry.partition("=")
        try:
            wanted[part] = float(number)
        except ValueError:
            raise SettingError(f"HOURS has {entry!r}; give PART=HOURS, as in train=2") from None
    settings = CorpusSettings(
        kits=kits,
        groove=groove,
        hours=wanted,
        extension="wav",
    )
    start_s = said_s = time.monotonic()

    def tell(n_done: int, n_all: int, name: str) -> None:
        nonlocal said_s
        if time.monotonic() - said_s > LINE_EVERY_S:
            said_s = time.monotonic()
            _say(f"rendered {n_done} of {n_all} items in {said_s - start_s:.0f} s")

    items = render_corpus(settings, corpus, workers=n_cores, progress=tell)
    n_hours = sum(item.duration_s for item in items) / 3600
    _say(f"{len(items)} items, {n_hours:.2f} h, ready after {time.monotonic() - start_s:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--started", type=float, required=True)
    parser.add_argument("--hours", required=True)
    parser.add_argument("--previous", type=Path)
    return parser.parse_args()


def _say(line: str) -> None:
    print(f"train_gpu: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
