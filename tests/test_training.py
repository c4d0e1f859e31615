"""Clips, the training loop, resuming and export, on a small corpus written by the test."""

import csv
import io
import json
import multiprocessing
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from drummix.audio import Audio, write
from drummix.audio.excerpt import read_excerpt
from drummix.corpus.manifest import TARGETS, CorpusItem, write_manifest
from drummix.errors import (
    AudioFileError,
    CorpusError,
    OutputError,
    SettingError,
    TextFileError,
    TrainingError,
)
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import load_model
from drummix.nn.config import (
    ClipSettings,
    StageSettings,
    TrainSettings,
    paper_settings,
    read_train_settings,
)
from drummix.nn.curve import draw_curve
from drummix.roles import PAPER_ROLES

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from typer.testing import CliRunner  # noqa: E402

from drummix.cli import app  # noqa: E402
from drummix.nn.checks import check_items, claim_output  # noqa: E402
from drummix.nn.clips import ClipSource, FixedClips, RandomClips  # noqa: E402
from drummix.nn.handover import PART_BYTES, pack_run, unpack_run  # noqa: E402
from drummix.nn.loading import share_of  # noqa: E402
from drummix.nn.mix_training import MixTraining, batch_si_sdr_db  # noqa: E402
from drummix.nn.recording import AverageWeights  # noqa: E402
from drummix.nn.train import train  # noqa: E402
from drummix.nn.wave_unet import WaveUNet  # noqa: E402

RATE_HZ = 44100
SMALL = WaveUNetConfig(levels=2, filters=2)
CLIPS = ClipSettings(batch_size=2, bottleneck_frames=60, validation_clips=3, workers=0)
GAINS = np.array([[0.5, 0.4, 0.1, 0.3, 0.2, 0.2, 0.6, 0.0], [0.5, 0.4, 0.3, 0.2, 0.3, 0.2, 0, 0.6]])


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Three training items and one of validation; both mixes are the same static gains."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    items = []
    for number, part in enumerate(["train", "train", "train", "validation"]):
        n_samples = 20_000 + 1_000 * number
        stems = rng.standard_normal((8, n_samples)).astype(np.float32) * 0.05
        mix = GAINS.astype(np.float32) @ stems
        peak = float(20 * np.log10(np.abs(mix).max()))
        item = CorpusItem(
            item=f"item-{number}",
            part=part,
            kit="noise",
            performance=str(number),
            style="none",
            seed=0,
            engineer=0,
            licence="none",
            rate_hz=RATE_HZ,
            n_samples=n_samples,
            extension="wav",
            stem_peak_dbfs=-12.0,
            dry_peak_dbfs=peak,
            wet_peak_dbfs=peak,
            sha256="",
        )
        for path in item.paths(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        for index, role in enumerate(PAPER_ROLES):
            write(item.stem_path(folder, role), Audio(stems[index : index + 1], RATE_HZ))
        for target in TARGETS:
            write(item.mix_path(folder, target), Audio(mix, RATE_HZ))
        items.append(item)
    write_manifest(folder, items)
    return folder


def settings_for(corpus: Path, output: Path, **changes) -> TrainSettings:
    values = {
        "name": "small",
        "target": "dry",
        "corpora": (str(corpus),),
        "output": str(output),
        "epoch_steps": 5,
        "network": SMALL,
        "clips": CLIPS,
        "main": StageSettings(learning_rate=1e-2, max_epochs=3),
        "finetune": StageSettings(learning_rate=1e-3, max_epochs=1),
    }
    return TrainSettings(**{**values, **changes})


@pytest.fixture(scope="session")
def plain_run(corpus, tmp_path_factory) -> Path:
    """A finished run with the settings of `settings_for`; not to be written to."""
    output = tmp_path_factory.mktemp("plain") / "run"
    train(settings_for(corpus, output))
    return output


def read_log(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def source_for(corpus: Path, part: str = "train", **changes) -> ClipSource:
    clips = ClipSettings(**{**CLIPS.__dict__, **changes})
    return ClipSource.from_corpora(
        [str(corpus)], part, target="dry", config=SMALL, settings=clips, rate_hz=RATE_HZ
    )


@pytest.mark.parametrize(
    ("start", "first", "last"), [(-10, 10, 30), (5, 0, 30), (19_990, 0, 10), (30_000, 0, 0)]
)
def test_an_excerpt_is_silent_outside_its_file(corpus, start, first, last):
    path = corpus / "noise" / "audio" / "kick" / "item-0.wav"
    excerpt = read_excerpt(path, start, 30)
    assert excerpt.shape == (1, 30)
    heard = np.flatnonzero(excerpt[0])
    assert np.all((heard >= first) & (heard < last))
    assert len(heard) >= 0.9 * (last - first)


def test_an_excerpt_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(AudioFileError, match=r"gone\.wav"):
        read_excerpt(tmp_path / "gone.wav", 0, 10)


def test_a_clip_lines_up_its_target_with_the_centre_of_its_stems(corpus):
    source = source_for(corpus)
    stems, mix = source.clip(1, 4_000)
    assert stems.shape == (8, source.input_frames)
    assert mix.shape == (2, source.output_frames)
    context = SMALL.context_frames
    centre = stems.numpy()[:, context : context + source.output_frames]
    # 24-bit files: two roundings of half a step (6e-8) each, through gains that sum to about 2.
    np.testing.assert_allclose(mix.numpy(), GAINS @ centre, atol=4e-7)


def test_random_clips_depend_on_seed_and_epoch_only(corpus):
    source = source_for(corpus)

    def clip(seed: int, epoch: int) -> np.ndarray:
        return RandomClips(source, n_clips=4, seed=seed, epoch=epoch)[3][0].numpy()

    assert np.array_equal(clip(1, 2), clip(1, 2))
    assert not np.array_equal(clip(1, 2), clip(1, 3))
    assert not np.array_equal(clip(1, 2), clip(2, 2))


def test_dropout_silences_that_share_of_stems_and_leaves_the_target(corpus):
    kept = RandomClips(source_for(corpus), n_clips=200, seed=0, epoch=0)
    dropped = RandomClips(source_for(corpus, stem_dropout=0.25), n_clips=200, seed=0, epoch=0)
    silent = 0
    for (_, mix_kept), (stems, mix) in zip(
        (kept[i] for i in range(200)), (dropped[i] for i in range(200)), strict=True
    ):
        assert torch.equal(mix, mix_kept)
        silent += int((stems.abs().amax(dim=1) == 0).sum())
    # 1,600 stems at 25 %: four standard deviations are 0.043.
    assert silent / 1600 == pytest.approx(0.25, abs=0.045)


def test_peak_normalised_targets_reach_full_scale_over_their_item(corpus):
    source = source_for(corpus, "validation", peak_normalised=True)
    n_samples = source.items[0][1].n_samples
    step = source.output_frames
    peaks = [float(source.clip(0, s)[1].abs().max()) for s in range(0, n_samples, step)]
    assert max(peaks) == pytest.approx(1.0, abs=1e-5)


def test_validation_clips_cover_every_item_from_its_start_to_its_end(corpus):
    source = source_for(corpus, "validation")
    clips = FixedClips(source)
    assert len(clips) == 3 * len(source.items)
    assert torch.equal(clips[0][1], source.clip(0, 0)[1])
    end = source.items[0][1].n_samples - source.output_frames
    assert torch.equal(clips[2][1], source.clip(0, end)[1])


def test_si_sdr_of_an_orthogonal_error_is_the_ratio_of_energies():
    time_axis = torch.arange(1000) * (2 * torch.pi / 100)
    target = torch.stack([torch.sin(time_axis), torch.sin(time_axis)])[None]
    error = torch.stack([torch.cos(time_axis), torch.cos(time_axis)])[None]
    for gain in (1.0, 5.0):
        estimate = gain * (target + 0.1 * error)
        assert float(batch_si_sdr_db(estimate, target)) == pytest.approx(20.0, abs=1e-3)


def test_training_learns_and_exports_a_model_that_loads(corpus, tmp_path):
    lines: list[str] = []
    steps: list[tuple[str, int, int]] = []
    settings = settings_for(corpus, tmp_path / "run")
    folder = train(settings, report=lines.append, progress=lambda *step: steps.append(step))
    model = load_model(folder)
    assert model.config == SMALL
    assert model.target == "dry"
    assert model.card["training"]["stages"]["main"]["steps"] == 15
    assert model.card["training"]["data"]["items"] == {"train": 3, "validation": 1}
    assert model.input_levels == "staged"
    assert len(lines) == 4
    assert all("nan" not in line for line in lines)
    assert [s for s in steps if s[0] == "main stage"] == [
        ("main stage", n, 15) for n in range(1, 16)
    ]
    curve = model.card["training"]["stages"]["main"]["curve"]
    assert [row["step"] for row in curve] == [5, 10, 15]
    assert curve[-1]["validation_l1"] < 0.8 * curve[0]["validation_l1"]
    assert str(corpus.parent) not in json.dumps(model.card)


def test_a_finished_run_is_not_trained_again(corpus, tmp_path, plain_run):
    shutil.copytree(plain_run, tmp_path / "run")
    settings = settings_for(corpus, tmp_path / "run")
    write_settings(tmp_path / "run", settings)
    first = load_model(plain_run / "model" / "small").sha256
    lines: list[str] = []
    assert load_model(train(settings, report=lines.append)).sha256 == first
    assert lines == []


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"main": StageSettings(learning_rate=1e-4, max_epochs=3)},
        {"main": StageSettings(learning_rate=1e-2, max_epochs=3, decay="cosine")},
        {"main": StageSettings(learning_rate=1e-2, max_epochs=3, bias_rate=0.0)},
        {"clips": ClipSettings(**{**CLIPS.__dict__, "stem_dropout": 0.5})},
        {"clips": ClipSettings(**{**CLIPS.__dict__, "peak_normalised": True})},
        {"epoch_steps": 4},
        {"finetune": StageSettings(learning_rate=1e-2, max_epochs=1)},
        {"gradient_clip": 1e-3},
        {"ema_decay": 0.5},
        {"precision": "bf16-mixed"},
        {
            "loss": "l1+mrstft",
            "clips": ClipSettings(**{**CLIPS.__dict__, "bottleneck_frames": 270}),
        },
    ],
    ids=lambda change: "-".join(change),
)
def test_every_setting_changes_the_weights(corpus, tmp_path, plain_run, change):
    plain = load_model(plain_run / "model" / "small").sha256
    assert load_model(train(settings_for(corpus, tmp_path / "other", **change))).sha256 != plain


def test_the_weight_of_the_spectral_distance_changes_the_weights(corpus, tmp_path):
    clips = ClipSettings(**{**CLIPS.__dict__, "bottleneck_frames": 270})
    found = set()
    for weight in (0.01, 0.5):
        settings = settings_for(
            corpus,
            tmp_path / str(weight),
            loss="l1+mrstft",
            mrstft_weight=weight,
            clips=clips,
            finetune=StageSettings(max_epochs=0),
        )
        found.add(load_model(train(settings)).sha256)
    assert len(found) == 2
    row = read_log(tmp_path / "0.5")[-1]
    parts = float(row["train_l1"]) + 0.5 * float(row["train_mrstft"])
    assert float(row["train_loss"]) == pytest.approx(parts, rel=1e-5)


def write_settings(run: Path, settings: TrainSettings, *, without: tuple[str, ...] = ()) -> None:
    """Note settings in a run's folder as `train` does, less some, as an older drummix would."""
    plain = {name: v for name, v in settings.to_mapping().items() if name not in without}
    run.mkdir(exist_ok=True)
    (run / "settings.json").write_text(json.dumps(plain), encoding="utf-8")


def test_another_run_in_the_same_folder_is_refused(corpus, tmp_path):
    write_settings(tmp_path / "run", settings_for(corpus, tmp_path / "run"))
    with pytest.raises(TrainingError, match=r"other settings \(seed: 0, not 9\)"):
        train(settings_for(corpus, tmp_path / "run", seed=9))


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"main": 3}', "[" * 100_000, '{"seed": 1' + "0" * 5000 + "}"]
)
def test_damaged_settings_of_a_run_are_one_line(corpus, tmp_path, text):
    (tmp_path / "settings.json").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"settings\.json.*; give another output folder$"):
        train(settings_for(corpus, tmp_path))


def test_a_run_of_an_older_drummix_has_the_defaults_of_settings_it_did_not_know(corpus, tmp_path):
    settings = settings_for(corpus, tmp_path / "run")
    claim_output(settings)
    write_settings(tmp_path / "run", settings, without=("loss", "devices", "ema_decay"))
    claim_output(settings)
    write_settings(tmp_path / "run", settings, without=("loss", "devices", "ema_decay"))
    with pytest.raises(TrainingError, match=r"ema_decay: 0\.0, not 0\.9"):
        claim_output(settings_for(corpus, tmp_path / "run", ema_decay=0.9))


def test_a_finished_run_can_be_made_longer(corpus, tmp_path):
    short = StageSettings(learning_rate=1e-2, max_epochs=2)
    train(settings_for(corpus, tmp_path / "run", main=short))
    lines: list[str] = []
    longer = StageSettings(learning_rate=1e-2, max_epochs=4)
    folder = train(settings_for(corpus, tmp_path / "run", main=longer), report=lines.append)
    # Two epochs were there already; the fine-tuning epoch is trained again from the new best.
    assert [line.split(",")[0] for line in lines if "main" in line] == [
        "main: epoch 3",
        "main: epoch 4",
    ]
    assert load_model(folder).card["training"]["stages"]["main"]["steps"] == 20


def test_training_starts_from_given_weights(corpus, tmp_path):
    folder = train(settings_for(corpus, tmp_path / "first"))
    frozen = StageSettings(learning_rate=1e-9, max_epochs=1)
    again = settings_for(
        corpus,
        tmp_path / "second",
        init_from=str(folder),
        main=frozen,
        finetune=StageSettings(max_epochs=0),
    )
    first, second = load_model(folder), load_model(train(again))
    for name, tensor in first.tensors.items():
        # Five steps of 1e-9 vanish in float16 storage.
        np.testing.assert_allclose(second.tensors[name], tensor, atol=1e-3 * np.abs(tensor).max())


def test_weights_of_another_size_are_refused_as_a_start(corpus, tmp_path):
    folder = train(settings_for(corpus, tmp_path / "first"))
    other = settings_for(
        corpus,
        tmp_path / "second",
        init_from=str(folder),
        network=WaveUNetConfig(levels=2, filters=3),
    )
    expected = rf"{re.escape(str(folder))} .* expected filters 3, found filters 2"
    with pytest.raises(TrainingError, match=expected):
        train(other)


def test_a_loss_that_is_no_number_stops_with_the_step():
    module = MixTraining(WaveUNet(SMALL), StageSettings(), n_steps=1)
    stems = torch.full((1, 8, SMALL.input_frames(10)), float("nan"))
    mix = torch.zeros(1, 2, SMALL.output_frames(stems.shape[-1]))
    module.training_step((stems, mix, torch.tensor([7])), 0)
    with pytest.raises(TrainingError, match=r"step 0 of epoch 1, with clips \[7\]"):
        module.check_last_loss()


def test_a_broken_item_is_named(corpus, tmp_path):
    source = source_for(corpus)
    folder, item = source.items[0]
    moved = ClipSource(((tmp_path, item),), "dry", SMALL, source.settings)
    with pytest.raises(TrainingError, match="item-0"):
        moved.clip(0, 0)
    assert folder == corpus


def test_a_corpus_at_another_rate_is_refused(corpus):
    with pytest.raises(CorpusError, match="48000"):
        ClipSource.from_corpora(
            [str(corpus)], "train", target="dry", config=SMALL, settings=CLIPS, rate_hz=48000
        )


def test_cosine_decay_warms_up_and_falls_to_a_hundredth():
    stage = StageSettings(learning_rate=1.0 - 1e-9, decay="cosine", max_epochs=1)
    module = MixTraining(WaveUNet(SMALL), stage, n_steps=1000)
    assert module.share_of_rate(0) == pytest.approx(1 / 50)
    assert module.share_of_rate(500) == pytest.approx(0.505)
    assert module.share_of_rate(1000) == pytest.approx(0.01)


RUN_SLOWLY = """
import sys, time
from pathlib import Path
from drummix.nn.config import read_train_settings
from drummix.nn.train import train
print(train(read_train_settings(Path(sys.argv[1])), report=lambda line: print(line, flush=True)))
"""


def test_a_killed_run_goes_on_and_ends_as_one_left_alone(corpus, tmp_path):
    config = """
name = "small"
target = "dry"
corpora = ["{corpus}"]
output = "{output}"
epoch_steps = 20
ema_decay = 0.8
gradient_clip = 0.5
[network]
levels = 2
filters = 2
[clips]
batch_size = 2
bottleneck_frames = 60
workers = 0
[main]
learning_rate = 1e-2
decay = "cosine"
max_epochs = 6
[finetune]
max_epochs = 0
"""
    models = {}
    for name in ("alone", "killed"):
        path = tmp_path / f"{name}.toml"
        path.write_text(config.format(corpus=corpus, output=name), encoding="utf-8")
        command = [sys.executable, "-c", RUN_SLOWLY, str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if name == "killed":
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if b"epoch 2" in line:
                        time.sleep(0.05)
                        process.send_signal(signal.SIGKILL)
                        break
            assert not (tmp_path / name / "model").exists()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        models[name] = load_model(tmp_path / name / "model" / "small")
        curve = models[name].card["training"]["stages"]["main"]["curve"]
        assert [row["step"] for row in curve] == [20, 40, 60, 80, 100, 120]
    assert models["killed"].sha256 == models["alone"].sha256


class Clock:
    """Stands in for the module `time`: a step takes as long as it is told."""

    def __init__(self, *step_s: float) -> None:
        self.now_s, self.step_s = 0.0, list(step_s)

    def monotonic(self) -> float:
        return self.now_s

    def step(self, stage: str, n_done: int, n_all: int) -> None:
        self.now_s += self.step_s.pop(0)


def sitting(settings, clock, monkeypatch, *, seconds):
    """Train by a clock; the lines that were said, and the folder."""
    lines: list[str] = []
    for module in ("train", "recording"):
        monkeypatch.setattr(f"drummix.nn.{module}.time", clock)
    try:
        folder = train(settings, minutes=seconds / 60, report=lines.append, progress=clock.step)
    finally:
        monkeypatch.undo()
    return lines, folder


def test_minutes_that_end_in_the_first_epoch_stop_there_and_say_what_an_epoch_takes(
    corpus, tmp_path, monkeypatch, plain_run
):
    settings = settings_for(corpus, tmp_path / "run")
    words = (
        "the time is up after 3 of 5 steps of the first epoch, which takes about 3.33 minutes: "
        "nothing is kept; give more minutes or fewer epoch_steps"
    )
    with pytest.raises(TrainingError, match=f"^{words}$"):
        sitting(settings, Clock(40, 40, 40), monkeypatch, seconds=100)
    # Nothing of the epoch is left: the run is that of a single sitting.
    plain = load_model(plain_run / "model" / "small").sha256
    assert load_model(train(settings)).sha256 == plain


def test_minutes_that_end_inside_an_epoch_leave_it_out_and_the_next_sitting_goes_on(
    corpus, tmp_path, monkeypatch, plain_run
):
    settings = settings_for(corpus, tmp_path / "run")
    slow = Clock(1, 1, 1, 1, 1, 12, 3)
    lines, folder = sitting(settings, slow, monkeypatch, seconds=19)
    assert [line.split(", ")[0] for line in lines] == [
        "main: epoch 1",
        "main: an epoch takes about 1 minutes",
        "main: 2 of 5 steps of the next epoch",
        "main: the time is up; the same command goes on from here",
    ]
    assert load_model(folder).config == SMALL
    assert not (tmp_path / "run" / "main" / "finished.json").exists()
    plain = load_model(plain_run / "model" / "small").sha256
    assert load_model(train(settings)).sha256 == plain


def test_an_epoch_that_will_not_fit_into_the_minutes_is_not_begun(corpus, tmp_path, monkeypatch):
    settings = settings_for(corpus, tmp_path / "run")
    lines, _ = sitting(settings, Clock(1, 1, 1, 1, 1), monkeypatch, seconds=9)
    assert [line.split(",")[0] for line in lines] == [
        "main: epoch 1",
        "main: the time is up; the same command goes on from here",
    ]


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"PK\x05\x06" + bytes(18),
        lambda content: pickle.dumps({"state_dict": {}, "callbacks": {}}),
        lambda content: saved([1, 2]),
        lambda content: saved({"state_dict": {}, "callbacks": {}}),
        lambda content: saved({"state_dict": {"network.output.bias": 3}, "callbacks": 4}),
        lambda content: saved({"state_dict": Path("x"), "callbacks": {}}),
        lambda content: packed_anew(content),
    ],
    ids=["cut", "empty", "no files", "pickle", "list", "bare", "foreign", "object", "compressed"],
)
def test_a_cut_or_foreign_checkpoint_is_one_line(corpus, tmp_path, plain_run, name, damage):
    run = tmp_path / "run"
    shutil.copytree(plain_run, run)
    (run / "settings.json").unlink()
    settings = settings_for(corpus, run)
    longer = replace(settings, main=replace(settings.main, max_epochs=4))
    for path in run.glob(f"*/{name}"):
        path.write_bytes(damage(path.read_bytes()))
    if name == "best.ckpt":
        longer = settings
    with pytest.raises(TrainingError, match=rf"main/{name}.*; delete it to begin its stage anew"):
        train(longer)


@pytest.mark.parametrize("key", ["loops", "optimizer_states", "pytorch-lightning_version"])
def test_a_checkpoint_without_what_lightning_needs_is_one_line(corpus, tmp_path, plain_run, key):
    run = tmp_path / "run"
    shutil.copytree(plain_run, run)
    (run / "settings.json").unlink()
    settings = settings_for(corpus, run)
    path = run / "main" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content[key] = {"x": [1]}
    torch.save(content, path)
    with pytest.raises(TrainingError, match=r"last\.ckpt does not go with this training"):
        train(replace(settings, main=replace(settings.main, max_epochs=4)))


def saved(content):
    memory = io.BytesIO()
    torch.save(content, memory)
    return memory.getvalue()


def packed_anew(content):
    """The same archive, compressed: it could unpack to any size."""
    memory = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(memory, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, old.read(entry), zipfile.ZIP_DEFLATED)
    return memory.getvalue()


def test_a_stage_ends_when_its_minutes_are_over(corpus, tmp_path):
    main = StageSettings(learning_rate=1e-2, max_epochs=3, max_minutes=1e-6, decay="cosine")
    settings = settings_for(corpus, tmp_path, main=main, finetune=StageSettings(max_epochs=0))
    train(settings)
    [row] = read_log(tmp_path)
    # The clock, far beyond its end from the first step on, has brought the decay to its last.
    assert float(row["learning_rate"]) == pytest.approx(1e-2 * 0.01 * 6 / 50)
    lines: list[str] = []
    train(settings, report=lines.append)
    assert lines == []
    longer = replace(settings, main=replace(main, max_minutes=60.0))
    train(longer, report=lines.append)
    assert [line.split(",")[0] for line in lines] == ["main: epoch 2", "main: epoch 3"]


def test_the_log_has_a_row_an_epoch_and_the_picture_is_of_it(plain_run, tmp_path):
    rows = read_log(plain_run)
    assert [(row["stage"], row["epoch"], row["step"]) for row in rows] == [
        ("main", "1", "5"),
        ("main", "2", "10"),
        ("main", "3", "15"),
        ("finetune", "1", "5"),
    ]
    for row in rows:
        # 5 steps of 2 clips.
        n_clips = float(row["clips_per_s"]) * float(row["seconds"])
        assert n_clips == pytest.approx(10, rel=0.05)
        assert row["train_mrstft"] == row["validation_mrstft"] == ""
        assert float(row["train_loss"]) == float(row["train_l1"])
    assert [float(row["learning_rate"]) for row in rows] == [1e-2, 1e-2, 1e-2, 1e-3]
    assert (plain_run / "curve.png").read_bytes().startswith(b"\x89PNG")
    shutil.copy(plain_run / "log.csv", tmp_path)
    done = CliRunner().invoke(app, ["train", "--curve", str(tmp_path)])
    assert done.stdout.strip() == str(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("text", [None, "", "stage,step\n", "a,b\n1,2\n"])
def test_a_folder_without_a_log_has_no_curve(tmp_path, text):
    if text is not None:
        (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"log\.csv"):
        draw_curve(tmp_path)


def copied(corpus: Path, folder: Path) -> Path:
    return Path(shutil.copytree(corpus, folder / "corpus"))


def test_a_loss_that_is_no_number_names_step_epoch_and_item_and_keeps_checkpoints(corpus, tmp_path):
    poisoned, run = copied(corpus, tmp_path), tmp_path / "run"
    one = StageSettings(learning_rate=1e-2, max_epochs=1)
    without = StageSettings(max_epochs=0)
    train(settings_for(poisoned, run, main=one, finetune=without))
    kept = {path: path.read_bytes() for path in run.rglob("*.ckpt")}
    assert {path.name for path in kept} == {"best.ckpt", "last.ckpt"}
    info = soundfile.info(poisoned / "noise" / "dry_mix" / "item-1.wav")
    bad = np.full((info.frames, 2), np.nan, dtype=np.float32)
    soundfile.write(poisoned / "noise" / "dry_mix" / "item-1.wav", bad, RATE_HZ, "FLOAT")
    more = StageSettings(learning_rate=1e-2, max_epochs=3)
    words = (
        r"no longer a number at step \d+ of epoch [23], with item-1 \(mix with samples that are no"
    )
    with pytest.raises(TrainingError, match=words):
        train(settings_for(poisoned, run, main=more, finetune=without))
    after = {path: path.read_bytes() for path in run.rglob("*.ckpt")}
    # Epoch 2 may have ended well before the item was drawn.
    assert after.keys() == kept.keys()
    state = torch.load(run / "main" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(bool(torch.isfinite(weight).all()) for weight in state.values())


def test_a_validation_item_that_is_no_number_is_named(corpus, tmp_path):
    poisoned = copied(corpus, tmp_path)
    path = poisoned / "noise" / "audio" / "kick" / "item-3.wav"
    bad = np.full((soundfile.info(path).frames, 1), np.inf, dtype=np.float32)
    soundfile.write(path, bad, RATE_HZ, "FLOAT")
    with pytest.raises(TrainingError, match=r"validation loss .* leave out item-3 \(stems"):
        train(settings_for(poisoned, tmp_path / "run"))


def test_a_full_disk_is_one_line_and_spares_the_checkpoint(corpus, tmp_path):
    without = StageSettings(max_epochs=0)
    one, two = (StageSettings(learning_rate=1e-2, max_epochs=n) for n in (1, 2))
    train(settings_for(corpus, tmp_path, main=one, finetune=without))
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.ckpt")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # A file of 8 kB is as much as this disk takes; a checkpoint is larger.
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        with pytest.raises(OutputError, match=r"\.ckpt cannot be written") as error:
            train(settings_for(corpus, tmp_path, main=two, finetune=without))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.ckpt")} == kept
    assert list(tmp_path.rglob("*.partial*")) == []


@pytest.mark.parametrize("fault", ["gone", "cut", "short", "no sound"])
def test_a_broken_item_is_found_before_training(corpus, tmp_path, fault):
    broken = copied(corpus, tmp_path)
    path = broken / "noise" / "audio" / "tom_1" / "item-2.wav"
    if fault == "gone":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif fault == "short":
        write(path, Audio(np.zeros((1, 100), np.float32), RATE_HZ))
    else:
        path.write_bytes(b"not a sound")
    with pytest.raises(TrainingError, match=r"item item-2 of .* is broken: .*item-2\.wav") as error:
        train(settings_for(broken, tmp_path / "run"))
    assert "\n" not in str(error.value)
    # Nothing is claimed: the same command with another corpus starts there.
    assert not (tmp_path / "run").exists()


def test_an_item_that_breaks_while_training_is_one_line_from_a_reading_process(corpus, tmp_path):
    broken = copied(corpus, tmp_path)
    clips = ClipSettings(**{**CLIPS.__dict__, "workers": 1})
    settings = settings_for(broken, tmp_path / "run", clips=clips)

    def break_it(stage: str, n_done: int, n_all: int) -> None:
        (broken / "noise" / "audio" / "kick" / "item-3.wav").unlink(missing_ok=True)

    with pytest.raises(TrainingError, match=r"^item item-3 of .* is broken") as error:
        train(settings, progress=break_it)
    assert "\n" not in str(error.value)


def test_a_reading_process_that_is_ended_from_outside_is_one_line(corpus, tmp_path):
    clips = ClipSettings(**{**CLIPS.__dict__, "workers": 1})

    def end_them(stage: str, n_done: int, n_all: int) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(TrainingError, match=r"^a process that makes clips was ended") as error:
        train(settings_for(corpus, tmp_path, clips=clips), progress=end_them)
    assert "\n" not in str(error.value)
    assert not multiprocessing.active_children()


def test_the_spectral_loss_needs_clips_that_are_long_enough(corpus, tmp_path):
    with pytest.raises(SettingError, match=r"bottleneck_frames is 60, which leaves 225 samples"):
        train(settings_for(corpus, tmp_path, loss="l1+mrstft"))


def test_more_devices_than_validation_clips_are_refused(corpus, tmp_path):
    clips = ClipSettings(**{**CLIPS.__dict__, "batch_size": 4, "validation_clips": 3})
    settings = settings_for(corpus, tmp_path, devices=4, clips=clips)
    sources = {part: source_for(corpus, part) for part in ("train", "validation")}
    with pytest.raises(SettingError, match="devices of 4 get 3 validation clips"):
        check_items(sources, settings)


def test_sixteen_bit_training_learns_and_exports_the_same_kind_of_model(
    corpus, tmp_path, plain_run
):
    settings = settings_for(corpus, tmp_path, precision="bf16-mixed")
    model = load_model(train(settings))
    plain = load_model(plain_run / "model" / "small")
    assert {name: t.shape for name, t in model.tensors.items()} == {
        name: t.shape for name, t in plain.tensors.items()
    }
    rows, plain_rows = read_log(tmp_path), read_log(plain_run)
    assert float(rows[-1]["validation_l1"]) < 0.8 * float(rows[0]["validation_l1"])
    # bfloat16 has 8 bits: its curve stays within a few percent of the other.
    for row, other in zip(rows, plain_rows, strict=True):
        assert float(row["train_l1"]) == pytest.approx(float(other["train_l1"]), rel=0.1)


def test_average_weights_follow_the_weights_and_are_heard_in_validation():
    module = MixTraining(WaveUNet(SMALL), StageSettings(), n_steps=1)
    average = AverageWeights(0.9)
    bias = dict(module.named_parameters())["network.output.bias"]
    expected = None
    for step, value in enumerate([1.0, 2.0, 4.0, 8.0], start=1):
        torch.nn.init.constant_(bias, value)
        average.on_train_batch_end(None, module)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = value if expected is None else decay * expected + (1 - decay) * value
    average.on_validation_start(None, module)
    assert bias[0].item() == pytest.approx(expected, rel=1e-6)
    average.on_validation_end(None, module)
    assert bias[0].item() == 8.0


def test_processes_share_each_clip_of_an_epoch_once():
    for n_processes in (1, 2, 3):
        shares = [share_of(10, process=p, n_processes=n_processes) for p in range(n_processes)]
        assert sorted(n for share in shares for n in share) == list(range(10))
    # A step of four clips holds the same ones, however many processes take part.
    steps = [share_of(8, process=p, n_processes=2)[2 * 1 : 2 * 2] for p in (0, 1)]
    assert sorted(n for share in steps for n in share) == [4, 5, 6, 7]


RUN_SHARED = """
import hashlib, json, sys
from pathlib import Path
from drummix.nn.config import read_train_settings
from drummix.nn.mix_training import MixTraining
from drummix.nn.train import train

numbers, step = [], MixTraining.training_step

def training_step(self, batch, index):
    numbers.extend(batch[2].tolist())
    return step(self, batch, index)

def on_train_end(self):
    weights = b"".join(p.detach().numpy().tobytes() for p in self.parameters())
    plain = {"numbers": numbers, "weights": hashlib.sha256(weights).hexdigest()}
    Path(sys.argv[2], f"rank-{self.global_rank}.json").write_text(json.dumps(plain))

MixTraining.training_step, MixTraining.on_train_end = training_step, on_train_end
train(read_train_settings(Path(sys.argv[1])))
"""


def test_two_processes_train_as_one_does_and_go_on_after_a_stop(corpus, tmp_path):
    (tmp_path / "run.py").write_text(RUN_SHARED, encoding="utf-8")
    config = f"""
name = "small"
target = "dry"
corpora = ["{corpus}"]
output = "shared"
epoch_steps = 5
devices = 2
[network]
levels = 2
filters = 2
[clips]
batch_size = 2
bottleneck_frames = 60
validation_clips = 3
workers = 0
[main]
learning_rate = 1e-2
max_epochs = EPOCHS
[finetune]
max_epochs = 0
"""
    ranks = []
    for epochs in (1, 2):
        path = tmp_path / f"{epochs}.toml"
        path.write_text(config.replace("EPOCHS", str(epochs)), encoding="utf-8")
        command = [sys.executable, str(tmp_path / "run.py"), str(path), str(tmp_path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        ranks = [json.loads((tmp_path / f"rank-{n}.json").read_text()) for n in (0, 1)]
        assert ranks[0]["weights"] == ranks[1]["weights"]
        # Clips are numbered on from epoch to epoch, ten in each.
        heard = sorted(ranks[0]["numbers"] + ranks[1]["numbers"])
        assert heard == list(range(10 * epochs - 10, 10 * epochs))
    alone = settings_for(
        corpus,
        tmp_path / "alone",
        main=StageSettings(learning_rate=1e-2, max_epochs=2),
        finetune=StageSettings(max_epochs=0),
    )
    one = load_model(train(alone)).tensors
    two = load_model(tmp_path / "shared" / "model" / "small").tensors
    for name, tensor in one.items():
        # The mean of two halves is the mean of all, but for roundings that Adam's first steps,
        # of the learning rate whatever the gradient, can carry to the weights.
        np.testing.assert_allclose(two[name], tensor, atol=2e-3 * np.abs(tensor).max() + 1e-6)
    rows, shared = read_log(tmp_path / "alone"), read_log(tmp_path / "shared")
    for row, other in zip(rows, shared, strict=True):
        for column in ("train_l1", "validation_l1", "validation_si_sdr_db"):
            assert float(other[column]) == pytest.approx(float(row[column]), rel=2e-3)
    assert float(shared[1]["train_l1"]) < float(shared[0]["train_l1"])


def test_a_run_goes_on_elsewhere_from_its_handover(corpus, tmp_path):
    one = StageSettings(learning_rate=1e-2, max_epochs=1)
    without = StageSettings(learning_rate=1e-3, max_epochs=0)
    settings = settings_for(corpus, tmp_path / "here", ema_decay=0.5, main=one, finetune=without)
    model = train(settings)
    parts = pack_run(tmp_path / "here", tmp_path / "out")
    assert all(part.stat().st_size < PART_BYTES + 100_000 for part in parts)
    elsewhere = settings_for(corpus, tmp_path / "there", ema_decay=0.5)
    unpack_run(tmp_path / "out", model, elsewhere)
    before = torch.load(tmp_path / "here" / "main" / "last.ckpt", weights_only=True)
    after = torch.load(tmp_path / "there" / "main" / "last.ckpt", weights_only=True)
    for name, weight in before["state_dict"].items():
        torch.testing.assert_close(after["state_dict"][name], weight, rtol=1e-3, atol=1e-6)
    for index, state in before["optimizer_states"][0]["state"].items():
        found = after["optimizer_states"][0]["state"][index]["exp_avg_sq"]
        # Half a step of 0.055 octaves of the root, both ways, is 3.9 % of the square.
        torch.testing.assert_close(found, state["exp_avg_sq"], rtol=0.04, atol=1e-30)
    lines: list[str] = []
    train(elsewhere, report=lines.append)
    assert lines[0].startswith("main: epoch 2, step 10")
    assert [row["step"] for row in read_log(tmp_path / "there")] == ["5", "10", "15", "5"]


def test_a_handover_that_is_not_whole_is_refused(corpus, tmp_path, plain_run):
    with pytest.raises(TrainingError, match="no whole handover"):
        unpack_run(tmp_path, plain_run / "model" / "small", settings_for(corpus, tmp_path / "x"))
    with pytest.raises(TrainingError, match="no checkpoint yet"):
        pack_run(tmp_path, tmp_path / "out")


def test_the_papers_settings_are_the_papers():
    settings = paper_settings("wet", ("c",), "o")
    assert settings.network.n_parameters() == 6_183_450
    assert settings.network.input_frames(settings.clips.bottleneck_frames) == 121_843
    assert (settings.clips.batch_size, settings.epoch_steps, settings.loss) == (16, 2000, "l1")
    assert (settings.main.learning_rate, settings.main.patience) == (1e-4, 20)
    assert (settings.finetune.learning_rate, settings.finetune.patience) == (1e-5, 20)
    assert (settings.main.decay, settings.main.bias_rate) == ("none", 1.0)
    assert settings.clips.peak_normalised
    assert (settings.ema_decay, settings.gradient_clip, settings.precision) == (0.0, 0.0, "32")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give one of"),
        (["a.toml", "--paper", "dry"], "give one of"),
        (["--paper", "dry"], "--paper takes --corpus and -o"),
        (["a.toml", "--corpus", "c"], "--paper takes --corpus and -o"),
        (["--curve", "run", "--minutes", "3"], "leave --minutes out"),
    ],
)
def test_a_command_that_makes_no_sense_is_a_usage_error(words, said):
    done = CliRunner().invoke(app, ["train", *words])
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_the_command_trains_the_papers_network_without_a_file(corpus, tmp_path, monkeypatch):
    asked: list[TrainSettings] = []

    def fake(settings: TrainSettings, **rest: object) -> Path:
        asked.append(settings)
        return tmp_path

    monkeypatch.setattr("drummix.nn.train.train", fake)
    words = ["train", "--paper", "dry", "--corpus", str(corpus), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.stdout.strip() == str(tmp_path)
    assert asked == [paper_settings("dry", (str(corpus),), str(tmp_path / "run"))]


def test_settings_survive_a_toml_file_with_paths_beside_it(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "a"\ntarget = "wet"\ncorpora = ["c"]\noutput = "o"\n[finetune]\n')
    settings = read_train_settings(path)
    assert settings.corpora == (str(tmp_path / "c"),)
    assert settings.output == str(tmp_path / "o")
    # The defaults are the paper's recipe.
    assert settings.network.n_parameters() == 6_183_450
    assert (settings.epoch_steps, settings.clips.batch_size) == (2000, 16)
    assert (settings.main.learning_rate, settings.main.patience) == (1e-4, 20)
    assert settings.finetune.learning_rate == 1e-5


BASE = 'name = "a"\ntarget = "wet"\ncorpora = ["c"]\noutput = "o"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "is not TOML"),
        ('name = "a"\n', 'no key "target"'),
        (BASE + "epochs = 3\n", 'unknown key epochs; did you mean "epoch_steps"'),
        (BASE + "[clips]\nbatch = 3\n", r'unknown key clips\.batch; did you mean "batch_size"'),
        (
            BASE + "[clips]\nbatch_size = 0\n",
            "clips.batch_size is 0; expected a whole number from 1 to 4096",
        ),
        (BASE + '[clips]\nbatch_size = "4"\n', "expected a whole number"),
        (BASE + "[clips]\nstem_dropout = 1.0\n", "of 0 or more and below 1"),
        (BASE + "[main]\nlearning_rate = -1.0\n", "learning_rate"),
        (BASE + '[main]\ndecay = "linear"\n', "none or cosine"),
        (BASE + "[main]\nmax_minutes = -1.0\n", "max_minutes"),
        (BASE + 'loss = "l2"\n', "loss is 'l2'; expected l1 or l1\\+mrstft"),
        (BASE + 'precision = "8"\n', "32, bf16-mixed or 16-mixed"),
        (BASE + "precision = 8\n", "32, bf16-mixed or 16-mixed"),
        (BASE + "devices = 0\n", "devices is 0; expected a whole number from 1"),
        (BASE + "devices = 3\n", "batch_size is 16 for 3 devices"),
        (BASE + "ema_decay = 1.0\n", "of 0 or more and below 1"),
        (BASE + "gradient_clip = -1.0\n", "gradient_clip"),
        (BASE + "gradient_clip = nan\n", "gradient_clip"),
        (BASE + "compile = 1\n", "expected true or false"),
        (BASE + "[main]\nbias_rate = 2.0\n", "bias_rate"),
        (BASE + "[network]\nfilters = 0\n", "filters"),
        (
            BASE + "[network]\nlevels = 1000000000\n",
            "network.levels is 1000000000; expected a whole",
        ),
        (BASE + "[network]\nfilters = 1024\n", "expected at most 100,000,000"),
        (BASE + "[network]\nlevels = 16\n[clips]\nbatch_size = 64\n", "steps of .* frames"),
        (BASE + "seed = " + "9" * 5000, "digits"),
        (BASE.replace('"a"', '"My Model"'), "name is 'My Model'; expected small letters, digits"),
        (
            BASE.replace('"c"', f'"{"c" * 5000}"'),
            r"corpora\[0\] is 'c+…'; expected a path of at most",
        ),
        (BASE + f'init_from = "{"c" * 300}"', "init_from is 'c+…'; expected a path of at most"),
        (BASE + "seed = " + "[" * 100_000, "nests deeper"),
        (BASE + "main = 3\n", "expected a table"),
        (BASE.replace("wet", "damp"), "dry or wet"),
        (BASE.replace('["c"]', "[]"), "at least one"),
        (BASE.replace('["c"]', "[3]"), r"corpora\[0\] is 3; expected a path"),
        (BASE.replace('["c"]', '"c"'), "expected a list of texts"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_file_and_key(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TextFileError, match=words) as error:
        read_train_settings(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
