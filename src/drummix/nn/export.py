"""From a trained network to a model folder that mixes without torch."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from drummix.corpus.manifest import CorpusItem
from drummix.errors import TrainingError
from drummix.mixers.weights import write_model
from drummix.nn.clips import ClipSource, Source
from drummix.nn.config import TrainSettings
from drummix.nn.wave_unet import WaveUNet
from drummix.plain_data import AnyFloat, Limits, parse_json, read_json
from drummix.roles import PAPER_ROLES

FINISHED_NAME = "finished.json"
"""What a stage leaves in its folder when it has ended: steps, best loss, and the curve."""

_AGAIN = "delete its folder to begin the stage anew"
_LIMITS = Limits(any_number=True)
_ENST_LICENCE = "ENST-Drums, by its own terms"

_COMMIT_FILE = Path(__file__).resolve().parents[1] / "commit.txt"
"""Where a copy of the source that is no checkout says what it is a copy of."""


def export_model(
    network: WaveUNet,
    settings: TrainSettings,
    *,
    rate_hz: int,
    sources: Mapping[str, Source],
) -> Path:
    """Write weights and card of a trained network beside its checkpoints.

    Args:
        network: The network with its best weights.
        settings: How it was trained.
        rate_hz: Sample rate it was trained at.
        sources: Part -> the items it was trained and validated on.

    Returns:
        The model's folder, ``<output>/model/<name>``.
    """
    tensors = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    card = {
        "system": f"waveunet-{settings.target}",
        "target": settings.target,
        "architecture": settings.network.to_mapping(),
        "roles": [str(role) for role in PAPER_ROLES],
        "rate_hz": rate_hz,
        "input_levels": input_levels(sources["train"]),
        "training": _training_record(settings, sources),
        "metrics": {},
    }
    return write_model(Path(settings.output) / "model", settings.name, tensors, card)


def input_levels(source: Source) -> Literal["staged", "recorded"]:
    """Whether a network trained on `source` has heard stems at the levels that gain staging sets.

    The engineer of a rendered corpus, and of sessions rendered as they are needed, sets them; other
    items have them where `ClipSource.level_gains_db` brings them there. ENST-Drums comes as it was
    recorded. Where items of both kinds were heard, staged: that brings any session to levels that
    the network knows, and ``--as-recorded`` leaves them.
    """
    if not isinstance(source, ClipSource):
        return "staged"
    is_staged = any(
        isinstance(item, CorpusItem) or item.item in source.level_gains_db
        for _, item in source.items
    )
    return "staged" if is_staged else "recorded"


def _training_record(settings: TrainSettings, sources: Mapping[str, Source]) -> dict[str, Any]:
    output = Path(settings.output)
    items = [item for _, item in sources["train"].items]
    plain = settings.to_mapping()
    if settings.live is not None:
        plain["live"] = asdict(settings.live.without_paths())
    # Folders of the machine it was trained on tell nobody anything.
    plain["corpora"] = [Path(corpus).name for corpus in settings.corpora]
    plain["init_from"] = Path(settings.init_from).name
    del plain["output"]
    return {
        "settings": plain,
        "seed": settings.seed,
        "commit": _commit(),
        "data": {
            "kits": sorted({item.kit for item in items}),
            "licences": sorted({getattr(item, "licence", _ENST_LICENCE) for item in items}),
            "engineer": sorted({getattr(item, "engineer", -1) for item in items} - {-1}),
            "items": {part: len(source.items) for part, source in sources.items()},
            "hours": {
                part: round(sum(item.duration_s for _, item in source.items) / 3600, 3)
                for part, source in sources.items()
            },
        },
        "stages": {
            name: parse_json(
                output / name / FINISHED_NAME, error=TrainingError, hint=_AGAIN, limits=_LIMITS
            )
            for name in ("main", "finetune")
            if (output / name / FINISHED_NAME).is_file()
        },
    }


@dataclass(frozen=True)
class FinishedStage:
    """What a stage that is over noted of itself.

    Args:
        epochs: Epochs that it ran.
        max_epochs: Epochs that it was allowed.
        curve: One row an epoch.
        max_minutes: Minutes that it was allowed, where these ended it.
    """

    takes_other_keys: ClassVar[bool] = True

    epochs: int
    max_epochs: int
    curve: tuple[Mapping[str, AnyFloat], ...]
    max_minutes: float | None = None


def read_finished(path: Path) -> FinishedStage:
    """Read what a stage noted of itself.

    Raises:
        TrainingError: If it is damaged.
    """
    return read_json(path, FinishedStage, error=TrainingError, hint=_AGAIN, limits=_LIMITS)


def _commit() -> str:
    """Commit of the source tree; ``unknown`` where neither git nor a packed copy knows."""
    if _COMMIT_FILE.is_file():
        return _COMMIT_FILE.read_text(encoding="utf-8").strip()
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
