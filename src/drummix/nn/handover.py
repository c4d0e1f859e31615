"""A run in a few small files, to go on with on another machine.

A checkpoint of the paper's network takes 74 MB: weights and Adam's two moments in float32. Here
weights are float16, the second moment is its logarithm in 8 bits (steps of 4 %), and the first,
which Adam makes anew within ten steps, is left out: 19 MB, in parts below a size. The best weights
are in the exported model. A run goes on from there, though not to the bit as it does from its own
folder.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drummix.audio import atomic_path, make_folder, write_text
from drummix.errors import TrainingError
from drummix.mixers.weights import load_model
from drummix.nn.checkpoints import read_archive, read_checkpoint
from drummix.nn.checks import SETTINGS_NAME
from drummix.nn.config import TrainSettings
from drummix.nn.curve import LOG_NAME
from drummix.nn.export import FINISHED_NAME
from drummix.plain_data import convert, parse_json, read_text

STAGES = ("main", "finetune")
PART_BYTES = 15_000_000
"""Largest part, below the 16 MiB that some places take."""

_TEXT_NAMES = (SETTINGS_NAME, LOG_NAME, *(f"{stage}/{FINISHED_NAME}" for stage in STAGES))
_PATTERN = "handover-{}.pt"
_LOWEST_LOG2, _LOG2_STEP = -60.0, 0.055


def pack_run(run: Path, folder: Path) -> list[Path]:
    """Write what is needed to go on with a run: `handover-1.pt` and so on.

    Args:
        run: Output folder of a training.
        folder: Where the parts go; those of an earlier time are removed.

    Raises:
        TrainingError: If the run has no checkpoint yet.
        OutputError: If the disk is full.
    """
    stages = [stage for stage in STAGES if (run / stage / "last.ckpt").is_file()]
    if not stages:
        raise TrainingError(f"{run} has no checkpoint yet; train for an epoch first")
    whole = read_checkpoint(run / stages[-1] / "last.ckpt")
    tensors: dict[str, Tensor] = {}
    rest = _set_aside(whole, tensors)
    texts = {
        name: read_text(run / name, error=TrainingError)
        for name in _TEXT_NAMES
        if (run / name).is_file()
    }
    make_folder(folder)
    for old in folder.glob(_PATTERN.format("*")):
        old.unlink()
    paths = []
    for number, part in enumerate(_parts(tensors), start=1):
        content: dict[str, Any] = {"tensors": part}
        if number == 1:
            content |= {"stage": stages[-1], "rest": rest, "texts": texts}
        paths.append(_save(content, folder / _PATTERN.format(number)))
    return paths


def unpack_run(folder: Path, model: Path, settings: TrainSettings) -> None:
    """Make a run's folder again, for `train` with the same settings to go on.

    Args:
        folder: Where `pack_run` left its parts.
        model: The model that was exported with them: the best weights.
        settings: The run's settings; what it is fed with and its output may lie
            elsewhere now.

    Raises:
        TrainingError: If the parts are missing or damaged.
        WeightsError: If the model is.
    """
    stage, whole, texts = _read_parts(folder)
    best = {
        f"network.{name}": torch.from_numpy(value)
        for name, value in load_model(model).tensors.items()
    }
    run = Path(settings.output)
    shutil.rmtree(run, ignore_errors=True)
    for name in STAGES[: STAGES.index(stage) + 1]:
        make_folder(run / name)
        _save({"state_dict": best, "callbacks": {}}, run / name / "best.ckpt")
    for key, state in whole["callbacks"].items():
        if key.startswith("ModelCheckpoint"):
            # Lightning forgets the best loss of a run that was moved, unless its paths are here.
            here = (run / stage).resolve()
            state |= {
                "dirpath": str(here),
                "best_model_path": str(here / "best.ckpt"),
                "kth_best_model_path": str(here / "best.ckpt"),
                "last_model_path": str(here / "last.ckpt"),
                "best_k_models": {str(here / "best.ckpt"): state["best_model_score"]},
            }
    _save(whole, run / stage / "last.ckpt")
    if SETTINGS_NAME not in texts or not set(texts) <= set(_TEXT_NAMES):
        raise TrainingError(f"{folder} holds no handover of a run: other files are in it")
    earlier = convert(
        parse_json(texts[SETTINGS_NAME].encode(), error=TrainingError, name=SETTINGS_NAME),
        dict[str, Any],
        error=TrainingError,
        name=SETTINGS_NAME,
    )
    now = json.loads(json.dumps(settings.to_mapping()))
    earlier |= {"corpora": now["corpora"], "output": now["output"]}
    if earlier.get("live") and now.get("live"):
        earlier["live"] |= {name: now["live"][name] for name in ("kits", "groove")}
    for name, text in {**texts, SETTINGS_NAME: json.dumps(earlier, indent=1)}.items():
        write_text(run / name, text)


def _set_aside(value: Any, tensors: dict[str, Tensor], name: str = "") -> Any:
    """Plain data of a checkpoint; its larger tensors, made smaller, go to `tensors`."""
    if isinstance(value, Mapping):
        kept = {
            key: _set_aside(entry, tensors, f"{name}/{key}")
            for key, entry in value.items()
            if key != "exp_avg"
        }
        return kept
    if isinstance(value, (list, tuple)):
        return [_set_aside(entry, tensors, f"{name}/{i}") for i, entry in enumerate(value)]
    if isinstance(value, Tensor) and value.ndim and value.is_floating_point():
        is_moment = name.endswith("/exp_avg_sq")
        tensors[name] = _to_8_bits(value) if is_moment else value.half()
        return {"tensor": name}
    return value


def _put_back(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            stored = tensors[value["tensor"]]
            return _from_8_bits(stored) if stored.dtype == torch.uint8 else stored.float()
        plain = {key: _put_back(entry, tensors) for key, entry in value.items()}
        if "exp_avg_sq" in plain:
            plain["exp_avg"] = torch.zeros_like(plain["exp_avg_sq"])
        return plain
    if isinstance(value, list):
        return [_put_back(entry, tensors) for entry in value]
    return value


def _to_8_bits(moment: Tensor) -> Tensor:
    # Half of the logarithm: what Adam divides by is the square root.
    root = moment.sqrt().clamp_min(2.0**_LOWEST_LOG2).log2()
    top = float(root.max())
    codes = ((root - top) / _LOG2_STEP + 255.0).round().clamp(0.0, 255.0).to(torch.uint8)
    # The largest value leads, as the four bytes of a float32.
    head = torch.tensor([top], dtype=torch.float32).view(torch.uint8)
    shape = torch.tensor(moment.shape, dtype=torch.int32).view(torch.uint8)
    count = torch.tensor([moment.ndim], dtype=torch.uint8)
    return torch.cat([count, head, shape, codes.flatten()])


def _from_8_bits(stored: Tensor) -> Tensor:
    n_axes = int(stored[0])
    top = float(stored[1:5].clone().view(torch.float32))
    shape = stored[5 : 5 + 4 * n_axes].clone().view(torch.int32).tolist()
    codes = stored[5 + 4 * n_axes :].float()
    return torch.exp2(2.0 * ((codes - 255.0) * _LOG2_STEP + top)).reshape(shape)


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    n_bytes = 0
    for name, tensor in tensors.items():
        if part and n_bytes + tensor.nbytes > PART_BYTES:
            yield part
            part, n_bytes = {}, 0
        part[name] = tensor
        n_bytes += tensor.nbytes
    yield part


def _read_parts(folder: Path) -> tuple[str, dict[str, Any], dict[str, str]]:
    tensors: dict[str, Tensor] = {}
    first: dict[str, Any] = {}
    paths = sorted(folder.glob(_PATTERN.format("*")))
    try:
        for path in paths:
            content = read_archive(path, hint="pack the run again")
            tensors |= content["tensors"]
            first = first or content
        whole = _put_back(first["rest"], tensors)
        stage, texts = str(first["stage"]), dict(first["texts"])
        if stage not in STAGES or not isinstance(whole["callbacks"], dict):
            raise ValueError("no stage, or no state of one")
        return stage, whole, {str(name): str(text) for name, text in texts.items()}
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{folder} holds no whole handover of a run ({' '.join(str(error).split())[:100]}); "
            "expected every handover-N.pt that was written together"
        ) from None


def _save(content: Any, path: Path) -> Path:
    memory = io.BytesIO()
    torch.save(content, memory)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getbuffer())
    return path
