"""The card of a fine-tuned model: what it came from, what it heard, and how to repeat it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from drummix.finetuning.learning import Learned
from drummix.mixers.weights import Model
from drummix.nn.config import TrainSettings


def model_name(folder: str) -> str:
    """A name for a model from that of its folder.

    >>> model_name("My Mix (v2)"), model_name("???")
    ('my-mix-v2', 'finetuned')
    """
    name = re.sub(r"[^a-z0-9_]+", "-", folder.lower()).strip("-_")[:64].strip("-_")
    return name or "finetuned"


def finetuned_card(
    base: Model,
    *,
    sessions: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, Mapping[str, float]],
    start_gain_db: float,
    settings: TrainSettings,
    learned: Learned,
) -> dict[str, Any]:
    """Everything but name, checksum and metrics. Folders of the machine are left out.

    Args:
        base: The model that was the start.
        sessions: What was found in each session and its mix.
        seconds: Seconds of each session on each side.
        start_gain_db: Gain of the base's output that took it to the level of the mixes.
        settings: How it was trained.
        learned: What came of it.
    """
    plain = settings.to_mapping()
    for name in ("output", "corpora", "live", "main", "init_from"):
        del plain[name]
    return {
        "system": base.card["system"],
        "target": base.target,
        "architecture": base.config.to_mapping(),
        "roles": [str(role) for role in base.roles],
        "rate_hz": base.rate_hz,
        "input_levels": base.input_levels,
        "training": {
            "base": {"name": base.name, "sha256": base.sha256},
            "sessions": [dict(facts) for facts in sessions],
            "seconds": dict(seconds),
            "start_gain_db": round(start_gain_db, 3),
            "settings": plain,
            "seed": settings.seed,
            "drummix": importlib.metadata.version("drummix"),
            **asdict(learned),
        },
        "metrics": {},
    }
