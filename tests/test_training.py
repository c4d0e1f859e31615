"""Clips, the training loop, resuming and export, on a small corpus written by the test."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drummix.audio import Audio, write
from drummix.audio.excerpt import read_excerpt
from drummix.corpus.manifest import TARGETS, CorpusItem, write_manifest
from drummix.errors import AudioFileError, CorpusError, SettingError, TrainingError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import load_model
from drummix.nn.config import ClipSettings, StageSettings, TrainSettings, read_train_settings
from drummix.roles import PAPER_ROLES

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from drummix.nn.clips import ClipSource, FixedClips, RandomClips  # noqa: E402
from drummix.nn.train import MixTraining, batch_si_sdr_db, train  # noqa: E402
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


def test_a_finished_run_is_not_trained_again(corpus, tmp_path):
    settings = settings_for(corpus, tmp_path / "run")
    first = load_model(train(settings)).sha256
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
    ],
    ids=lambda change: "-".join(change),
)
def test_every_setting_changes_the_weights(corpus, tmp_path, change):
    plain = load_model(train(settings_for(corpus, tmp_path / "plain"))).sha256
    assert load_model(train(settings_for(corpus, tmp_path / "other", **change))).sha256 != plain


def test_another_run_in_the_same_folder_is_refused(corpus, tmp_path):
    train(settings_for(corpus, tmp_path / "run"))
    with pytest.raises(TrainingError, match="other settings"):
        train(settings_for(corpus, tmp_path / "run", seed=9))


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
    with pytest.raises(TrainingError, match="2 filters"):
        train(other)


def test_a_loss_that_is_no_number_stops_with_the_step():
    module = MixTraining(WaveUNet(SMALL), StageSettings(), n_steps=1)
    stems = torch.full((1, 8, SMALL.input_frames(10)), float("nan"))
    mix = torch.zeros(1, 2, SMALL.output_frames(stems.shape[-1]))
    with pytest.raises(TrainingError, match="step 0"):
        module.training_step((stems, mix), 0)


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
    assert module._share_of_rate(0) == pytest.approx(1 / 50)
    assert module._share_of_rate(500) == pytest.approx(0.505)
    assert module._share_of_rate(1000) == pytest.approx(0.01)


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
        ("name = ", "not a TOML file"),
        ('name = "a"\n', "missing"),
        (BASE + "epochs = 3\n", "unknown key epochs; known: .*epoch_steps"),
        (BASE + "[clips]\nbatch = 3\n", r"unknown key clips\.batch; known: .*batch_size"),
        (BASE + "[clips]\nbatch_size = 0\n", "give 1 or more"),
        (BASE + '[clips]\nbatch_size = "4"\n', "expected int"),
        (BASE + "[clips]\nstem_dropout = 1.0\n", "up to 1.0"),
        (BASE + "[main]\nlearning_rate = -1.0\n", "learning_rate"),
        (BASE + '[main]\ndecay = "linear"\n', "none or cosine"),
        (BASE + "[main]\nbias_rate = 2.0\n", "bias_rate"),
        (BASE + "[network]\nfilters = 0\n", "filters"),
        (BASE + "main = 3\n", "expected a table"),
        (BASE.replace("wet", "damp"), "dry or wet"),
        (BASE.replace('["c"]', "[]"), "at least one"),
        (BASE.replace('["c"]', "[3]"), "expected list of str"),
        (BASE.replace('["c"]', '"c"'), "expected list of str"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_file_and_key(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=words) as error:
        read_train_settings(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
