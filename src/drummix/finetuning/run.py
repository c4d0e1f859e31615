"""Fine-tuning from beginning to end: prepare, measure, train, and keep what is better."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from drummix.audio import make_folder, write_text
from drummix.errors import DrummixError, OutputError, SettingError, WeightsError
from drummix.finetuning.card import finetuned_card, model_name
from drummix.finetuning.holding_out import Split, split
from drummix.finetuning.learning import STAGE, Learned, learn, start_network, train_settings
from drummix.finetuning.material import Prepared, prepare
from drummix.finetuning.measuring import Closeness, closeness, gain_towards
from drummix.finetuning.pairs import Pair, check_pairs, parse_pair
from drummix.levels import gain_to_db
from drummix.mixers.weights import Model, load_model, write_model
from drummix.nn.config import TrainSettings
from drummix.nn.curve import LOG_NAME
from drummix.nn.recording import Progress, Report
from drummix.notices import Code, Notice
from drummix.roles import PAPER_ROLES
from drummix.session.gathering import Roles

DEFAULT_STEPS = 300
DEFAULT_LEARNING_RATE = 3e-4

LEAST_CORRELATION = 0.2
"""Below it, in size, the model's mix says nothing about polarity and level of the producer's."""

_PLAN_NAME = "plan.json"


@dataclass(frozen=True)
class FineTuned:
    """A model that was taught further, and what came of it.

    Args:
        folder: The model.
        before: How close the start came on what was held out.
        after: How close the model comes.
        learned: Steps, and which were the best.
        notices: What a person should know.
    """

    folder: Path
    before: Closeness
    after: Closeness
    learned: Learned
    notices: tuple[Notice, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "path": str(self.folder),
            "before": self.before.to_mapping(),
            "after": self.after.to_mapping(),
            "steps": self.learned.steps,
            "best_step": self.learned.best_step,
            "ended_by": self.learned.ended_by,
            "notices": [notice.to_dict() for notice in self.notices],
        }


def finetune(
    sessions: Sequence[str | Pair],
    out: Path | str,
    *,
    base: str | Path = "waveunet-wet",
    roles: Roles | None = None,
    steps: int = DEFAULT_STEPS,
    minutes: float | None = None,
    learning_rate: float = DEFAULT_LEARNING_RATE,
    hold_out: float | str | None = None,
    seed: int = 0,
    report: Report = lambda line: None,
    progress: Progress | None = None,
) -> FineTuned:
    """Go on from a model's weights with one's own sessions and their finished mixes.

    Args:
        sessions: Each ``FOLDER=MIX``, or ``FOLDER`` with a file called ``mix`` in it.
        out: Folder of the model to write; it must not be there yet, or be empty.
        base: Name of a shipped model, or a model's folder.
        roles: Role -> file name, for files whose name does not tell; in every session.
        steps: Most steps, in rounds of 25.
        minutes: Most minutes of training; None for as long as the steps take.
        learning_rate: Adam's step size at the start; it falls to a hundredth by the last step.
        hold_out: Name of the session that decides what is best, or a share of each session, from
            its end. If not given, the last of several sessions, or 0.2 of one.
        seed: Chooses the clips.
        report: Called with a line now and then.
        progress: Called with what is being done, how much of it is done, and all of it.

    Returns:
        The model's folder, and figures of what was held out.

    Raises:
        TrainingError: If nothing came closer to what was held out than the start, or the loss
            stopped being a number before anything did; nothing is written.
        DrummixError: If a session, a mix, the weights or a setting are wrong.
    """
    _check_settings(steps, minutes, learning_rate, seed)
    model = _base_model(base)
    out = _free_folder(Path(out))
    pairs = tuple(one if isinstance(one, Pair) else parse_pair(one) for one in sessions)
    if not pairs:
        raise SettingError("sessions", (), "give FOLDER=MIX", problem="is empty")
    check_pairs(pairs)
    tell = progress or (lambda step, n_done, n_all: None)
    work = out.parent / f".{out.name}.finetune"
    make_folder(work)
    try:
        prepared = _prepare_all(pairs, model, work, roles, tell)
        notices = [replace(notice, within=one.name) for one in prepared for notice in one.notices]
        sides, start_gain = _levelled(split(prepared, model.config, hold_out), model, notices)
        settings = train_settings(
            model,
            sides,
            name=model_name(out.name),
            output=work,
            steps=steps,
            minutes=minutes,
            learning_rate=learning_rate,
            seed=seed,
        )
        _claim(work, settings, prepared, model, report)
        for notice in notices:
            report(f"note: {notice}")
        _report_sides(sides, report)
        before = closeness(model, sides.held_out)
        report(f"before: {describe(before)}")
        network = start_network(model, start_gain)
        learned = learn(network, settings, sides, report=report, progress=tell)
        found = _Found(model, prepared, sides, start_gain, settings, before, learned)
        after = _write(found, network, out)
    except (DrummixError, KeyboardInterrupt):
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)
    return FineTuned(out, before, after, learned, tuple(notices))


def describe(found: Closeness) -> str:
    """Figures as a person reads them.

    >>> describe(Closeness(12.345, 0.5))
    'SI-SDR 12.3 dB, MR-STFT 0.500'
    """
    return f"SI-SDR {found.si_sdr_db:.1f} dB, MR-STFT {found.mr_stft:.3f}"


@dataclass(frozen=True, eq=False)
class _Found:
    model: Model
    prepared: tuple[Prepared, ...]
    sides: Split
    start_gain: float
    settings: TrainSettings
    before: Closeness
    learned: Learned


def _check_settings(steps: int, minutes: float | None, learning_rate: float, seed: int) -> None:
    if steps < 1:
        raise SettingError("steps", steps, "give 1 or more")
    if minutes is not None and not 0.0 < minutes < math.inf:
        raise SettingError("minutes", minutes, "give more than 0")
    if not 0.0 < learning_rate < 1.0:
        raise SettingError("learning_rate", learning_rate, "give more than 0, as 1e-4")
    if seed < 0:
        raise SettingError("seed", seed, "give 0 or more")


def _base_model(base: str | Path) -> Model:
    model = load_model(Path(base) if isinstance(base, Path) or Path(base).is_dir() else base)
    if len(model.roles) != len(PAPER_ROLES):
        raise WeightsError(
            f"{model.folder} is a network of {len(model.roles)} microphones; fine-tuning goes on "
            f"with one of {len(PAPER_ROLES)}"
        )
    return model


def _free_folder(out: Path) -> Path:
    """The folder, where nothing is there yet.

    Raises:
        OutputError: If something is.
    """
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_free or not out.name:
        raise OutputError(f"{out} is there already; give a folder that is not, or remove it")
    return out


def _prepare_all(
    pairs: Sequence[Pair], model: Model, work: Path, roles: Roles | None, tell: Progress
) -> tuple[Prepared, ...]:
    prepared = []
    for number, pair in enumerate(pairs):
        tell("listening", number, len(pairs))
        prepared.append(prepare(pair, model, work / f"session-{number + 1}.f32", roles))
    tell("listening", len(pairs), len(pairs))
    return tuple(prepared)


def _levelled(sides: Split, model: Model, notices: list[Notice]) -> tuple[Split, float]:
    """Mixes at the polarity of the model's own, and the gain that takes those to their level."""
    gain, correlation = gain_towards(model, sides.train)
    if abs(correlation) < LEAST_CORRELATION:
        return sides, 1.0
    if gain < 0.0:
        notices.append(Notice.of(Code.MIX_POLARITY_INVERTED))
        turned = (
            tuple(replace(one, mix_gain=-1.0) for one in side)
            for side in (sides.train, sides.held_out)
        )
        sides = Split(*turned)
    return sides, abs(gain)


def _report_sides(sides: Split, report: Callable[[str], None]) -> None:
    for verb, stretches in (("learning from", sides.train), ("held out", sides.held_out)):
        listed = ", ".join(f"{one.duration_s:.1f} s of {one.item}" for one in stretches)
        report(f"{verb}: {listed}")


def _claim(
    work: Path,
    settings: TrainSettings,
    prepared: Sequence[Prepared],
    model: Model,
    report: Callable[[str], None],
) -> None:
    """Go on with a run that was killed, if it was this very one; else begin anew."""
    plan = {
        "settings": settings.to_mapping(),
        "base": model.sha256,
        "sessions": [one.sha256 for one in prepared],
    }
    text, path = json.dumps(plan, indent=1), work / _PLAN_NAME
    if path.is_file() and path.read_bytes() == text.encode():
        if (work / STAGE / "last.ckpt").is_file():
            report("going on with the run that was killed here before")
        return
    shutil.rmtree(work / STAGE, ignore_errors=True)
    (work / LOG_NAME).unlink(missing_ok=True)
    write_text(path, text)


def _write(found: _Found, network: torch.nn.Module, out: Path) -> Closeness:
    """Write the model beside its place, measure it as it is on disk, and put it there."""
    tensors = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    card = finetuned_card(
        found.model,
        sessions=[one.facts for one in found.prepared],
        seconds=found.sides.to_mapping(),
        start_gain_db=gain_to_db(found.start_gain),
        settings=found.settings,
        learned=found.learned,
    )
    name, held_out = found.settings.name, found.sides.held_out
    with tempfile.TemporaryDirectory(dir=found.settings.output) as unfinished:
        folder = write_model(Path(unfinished), name, tensors, card)
        after = closeness(load_model(folder), held_out)
        card["metrics"] = {
            "held_out": sorted({one.item for one in held_out}),
            "before": found.before.to_mapping(),
            "after": after.to_mapping(),
        }
        folder = write_model(Path(unfinished), name, tensors, card)
        if out.is_dir():
            out.rmdir()
        try:
            folder.replace(out)
        except OSError as error:
            raise OutputError(f"{out} cannot be written: {error.strerror or error}") from error
    return after
