"""Fine-tuning: a small network is taught a producer's mixes, and what may go wrong on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal
from typer.testing import CliRunner

import drummix
import made
from drummix import audio
from drummix.audio import Audio
from drummix.errors import (
    OutputError,
    RoleError,
    SessionError,
    SettingError,
    TrainingError,
    WeightsError,
)
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import load_model, parameter_shapes, write_model
from drummix.notices import Code

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from drummix.cli import app  # noqa: E402
from drummix.finetuning import FineTuned, finetune, learning  # noqa: E402
from drummix.finetuning.card import model_name  # noqa: E402
from drummix.finetuning.holding_out import split  # noqa: E402
from drummix.finetuning.learning import start_network, train_settings  # noqa: E402
from drummix.finetuning.material import Prepared, prepare  # noqa: E402
from drummix.finetuning.measuring import closeness, gain_towards  # noqa: E402
from drummix.finetuning.pairs import Pair, check_pairs, parse_pair  # noqa: E402
from drummix.nn.clips import RandomClips  # noqa: E402
from drummix.nn.config import ClipSettings  # noqa: E402
from drummix.nn.session_clips import SessionClips, Stretch  # noqa: E402

RATE_HZ = 8000
SONG_S = 16
SMALL = WaveUNetConfig(levels=2, filters=2)
MICROPHONES = {"Kick In": 0, "SN top": 1, "HH": 2, "OH L": 6, "OH R": 7}
"""File names as in a studio, and the network's input that each feeds."""

BASE_GAINS = np.array([[0.5, 0.4, 0.2, 0, 0, 0, 0.6, 0.1], [0.5, 0.4, 0.3, 0, 0, 0, 0.1, 0.6]])
GAINS = np.array([[0.8, 0.3, 0.1, 0, 0, 0, 0.5, 0.0], [0.8, 0.3, 0.2, 0, 0, 0, 0.0, 0.5]])
"""Faders of the base model's teacher, and of the producer: 10.9 dB SI-SDR apart on song 1."""

QUICK: dict[str, Any] = {"steps": 50, "learning_rate": 0.01}
QUICKEST: dict[str, Any] = {"steps": 20, "learning_rate": 0.02}


def song(seed: int, seconds: int = SONG_S) -> np.ndarray:
    """Five microphones of one take (5, samples): strokes, bleed and noise."""
    rng = np.random.default_rng(seed)
    n_samples = seconds * RATE_HZ
    struck = np.zeros((3, n_samples))
    for row, (length_s, cutoff) in zip(struck, ((0.1, 0.1), (0.06, 0.6), (0.03, 0.9)), strict=True):
        sections = signal.butter(2, cutoff, output="sos")
        for onset in rng.integers(0, n_samples - RATE_HZ, 8 * seconds):
            decay = np.exp(-np.arange(RATE_HZ // 2) / (length_s * RATE_HZ))
            stroke = signal.sosfilt(sections, rng.standard_normal(RATE_HZ // 2) * decay)
            row[onset : onset + RATE_HZ // 2] += rng.uniform(0.3, 0.9) * stroke
    overheads = np.array([[0.3, 0.5, 0.6], [0.4, 0.4, 0.2]]) @ struck
    stems = np.concatenate([struck + 0.03 * np.roll(struck.sum(axis=0), 9), overheads])
    return (0.2 * stems + 1e-4 * rng.standard_normal(stems.shape)).astype(np.float32)


def mix_of(stems: np.ndarray, gains: np.ndarray = GAINS) -> np.ndarray:
    return (gains[:, list(MICROPHONES.values())] @ stems).astype(np.float32)


def write_session(
    folder: Path, stems: np.ndarray, mix: np.ndarray | None, mix_rate_hz: int = RATE_HZ
) -> Path:
    """A producer's folder, with its mix beside the tracks if there is one."""
    folder.mkdir(parents=True)
    for name, row in zip(MICROPHONES, stems, strict=True):
        audio.write(folder / f"{name}.wav", Audio(row[np.newaxis], RATE_HZ))
    if mix is not None:
        audio.write(folder / "Mix.wav", Audio(mix, mix_rate_hz))
    return folder


@pytest.fixture(scope="module", autouse=True)
def short_clips() -> Iterator[None]:
    """Steps that take milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "CLIP_S", 0.25)
        patch.setattr(learning, "BATCH_SIZE", 2)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that mixes with `BASE_GAINS` and nothing else: its features are all zeros."""
    rng = np.random.default_rng(3)
    tensors = {
        name: (0.3 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in parameter_shapes(SMALL).items()
    }
    tensors["up.1.weight"] = np.zeros_like(tensors["up.1.weight"])
    tensors["up.1.bias"] = np.zeros(2, np.float32)
    tensors["output.weight"] = np.zeros((2, 10, 1), np.float32)
    tensors["output.weight"][:, :8, 0] = BASE_GAINS
    tensors["output.bias"] = np.zeros(2, np.float32)
    card = made.model_card(SMALL, rate_hz=RATE_HZ, input_levels="recorded")
    return write_model(tmp_path_factory.mktemp("models"), "teacher", tensors, card)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stems = song(1)
    return write_session(tmp_path_factory.mktemp("songs") / "song 1", stems, mix_of(stems))


@pytest.fixture(scope="module")
def taught(base: Path, session: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    """One song, fifty steps."""
    return finetune([str(session)], tmp_path_factory.mktemp("out") / "mine", base=base, **QUICK)


def test_one_song_brings_another_song_of_that_producer_closer(
    taught: FineTuned, base: Path, tmp_path: Path
) -> None:
    other = song(2)
    folder = write_session(tmp_path / "song 2", other, None)
    ratios = []
    for weights in (base, taught.folder):
        made = drummix.mix(folder, system="waveunet-wet", weights=weights).audio.samples
        a, b = made.astype(float).ravel(), mix_of(other).astype(float).ravel()
        wanted = (a @ b) / (b @ b) * b
        ratios.append(10 * np.log10((wanted @ wanted) / ((a - wanted) @ (a - wanted))))
    # Gains alone make this mix, and fifty steps come part of the way.
    assert ratios[1] > ratios[0] + 0.75


def test_what_was_held_out_is_closer_than_at_the_start(taught: FineTuned) -> None:
    assert taught.after.si_sdr_db > taught.before.si_sdr_db + 0.75
    assert taught.after.mr_stft < taught.before.mr_stft
    assert taught.learned.best_loss < taught.learned.start_loss
    assert taught.learned.best_step in [step for step, _, _ in taught.learned.curve]


def test_the_figures_are_those_of_the_models_on_disk(
    taught: FineTuned, base: Path, session: Path, tmp_path: Path
) -> None:
    model = load_model(base)
    prepared = prepare(parse_pair(str(session)), model, tmp_path / "frames")
    held_out = split([prepared], model.config).held_out
    assert closeness(model, held_out) == taught.before
    assert closeness(load_model(taught.folder), held_out) == taught.after


def test_the_card_tells_all_and_no_folder_of_the_machine(taught: FineTuned, base: Path) -> None:
    card = load_model(taught.folder).card
    training = card["training"]
    assert card["name"] == "mine"
    assert training["base"] == {"name": "teacher", "sha256": load_model(base).sha256}
    [heard] = training["sessions"]
    assert (heard["session"], heard["mix"]) == ("song 1", "Mix.wav")
    # A fifth is held out; twice the context of 27 frames lies between.
    gap_s = 2 * SMALL.context_frames / RATE_HZ
    assert training["seconds"]["held_out"] == {"song 1": pytest.approx(0.2 * SONG_S, abs=0.01)}
    assert training["seconds"]["train"]["song 1"] == pytest.approx(0.8 * SONG_S - gap_s, abs=0.01)
    assert training["settings"]["finetune"]["learning_rate"] == 0.01
    assert training["seed"] == 0
    assert card["metrics"]["before"] == taught.before.to_mapping()
    assert card["metrics"]["after"] == taught.after.to_mapping()
    assert str(taught.folder.parent) not in json.dumps(card)
    assert str(base.parent) not in json.dumps(card)


def test_nothing_but_the_model_is_left(taught: FineTuned) -> None:
    assert [path.name for path in taught.folder.parent.iterdir()] == ["mine"]
    assert {path.name for path in taught.folder.iterdir()} == {"model.json", "model.safetensors"}


def test_the_same_call_gives_the_same_weights_and_each_setting_others(
    base: Path, session: Path, tmp_path: Path
) -> None:
    found = [
        load_model(
            finetune(
                [str(session)], tmp_path / str(number), base=base, **{**QUICKEST, **changed}
            ).folder
        ).sha256
        for number, changed in enumerate(({}, {}, {"seed": 1}, {"learning_rate": 0.01}))
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_minutes_end_it(base: Path, session: Path, tmp_path: Path) -> None:
    found = finetune([str(session)], tmp_path / "mine", base=base, minutes=1e-4, **QUICK)
    assert (found.learned.ended_by, found.learned.steps) == ("minutes", 25)


def test_ctrl_c_keeps_the_best_so_far(base: Path, session: Path, tmp_path: Path) -> None:
    def stop(step: str, n_done: int, n_all: int) -> None:
        if step == "finetune stage" and n_done == 30:
            raise KeyboardInterrupt

    found = finetune([str(session)], tmp_path / "mine", base=base, progress=stop, **QUICK)
    assert (found.learned.ended_by, found.learned.best_step) == ("stop", 25)
    assert found.after.si_sdr_db > found.before.si_sdr_db
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_ctrl_c_before_anything_was_gained_leaves_nothing(
    base: Path, session: Path, tmp_path: Path
) -> None:
    def stop(step: str, n_done: int, n_all: int) -> None:
        if step == "finetune stage":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune([str(session)], tmp_path / "mine", base=base, progress=stop, **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_goes_on_to_the_same_weights(
    taught: FineTuned, base: Path, session: Path, tmp_path: Path
) -> None:
    def kill(step: str, n_done: int, n_all: int) -> None:
        if step == "finetune stage" and n_done == 30:
            raise RuntimeError("as good as killed")

    with pytest.raises(RuntimeError, match="as good as killed"):
        finetune([str(session)], tmp_path / "mine", base=base, progress=kill, **QUICK)
    assert (tmp_path / ".mine.finetune").is_dir()
    said: list[str] = []
    found = finetune([str(session)], tmp_path / "mine", base=base, report=said.append, **QUICK)
    assert any(line.startswith("going on") for line in said)
    assert load_model(found.folder).sha256 == load_model(taught.folder).sha256
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_mix_that_the_model_makes_already_leaves_nothing_to_learn(
    base: Path, tmp_path: Path
) -> None:
    stems = song(1)
    folder = write_session(tmp_path / "song", stems, mix_of(stems, BASE_GAINS))
    with pytest.raises(TrainingError, match=r"20 steps came no closer .* nothing was written"):
        finetune([str(folder)], tmp_path / "mine", base=base, **QUICKEST)
    assert [path.name for path in tmp_path.iterdir()] == ["song"]


def test_a_loss_that_is_no_number_is_one_line(
    base: Path, session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drummix.nn import losses

    real = losses.MixLoss.forward

    def broken(self: Any, estimate: Any, target: Any) -> Any:
        parts = dict(real(self, estimate, target))
        if estimate.requires_grad:
            parts["loss"] = parts["loss"] * float("nan")
        return parts

    monkeypatch.setattr(losses.MixLoss, "forward", broken)
    with pytest.raises(TrainingError, match=r"no longer a number at step 0: .* than 0\.01"):
        finetune([str(session)], tmp_path / "mine", base=base, **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_no_training_clip_hears_what_is_held_out(base: Path, session: Path, tmp_path: Path) -> None:
    model = load_model(base)
    prepared = prepare(parse_pair(str(session)), model, tmp_path / "frames")
    sides = split([prepared], model.config)
    [train], [held_out] = sides.train, sides.held_out
    settings = ClipSettings(batch_size=1, bottleneck_frames=1000, workers=0)
    frames = np.fromfile(train.path, np.float32).reshape(-1, 10)
    frames[held_out.start - model.config.context_frames :] = np.nan
    (tmp_path / "marked").write_bytes(frames.tobytes())
    marked = Stretch("song", tmp_path / "marked", 8, RATE_HZ, train.start, train.stop)
    clips = RandomClips(SessionClips((marked,), SMALL, settings), n_clips=200, seed=0, epoch=0)
    assert all(bool(torch.isfinite(part).all()) for number in range(200) for part in clips[number])
    # The mark is where it should be: what is held out, with its context, is all behind it.
    after = Stretch("song", tmp_path / "marked", 8, RATE_HZ, held_out.start, held_out.stop)
    stems, mix = SessionClips((after,), SMALL, settings).clip(0, 0)
    assert not bool(torch.isfinite(stems).any())
    assert not bool(torch.isfinite(mix).any())


def test_frames_are_the_stems_and_the_mix_at_its_own_level(
    base: Path, session: Path, tmp_path: Path
) -> None:
    prepared = prepare(parse_pair(str(session)), load_model(base), tmp_path / "frames")
    stretch = Stretch("song", prepared.path, 8, RATE_HZ, prepared.start, prepared.stop)
    stems = song(1)[:, prepared.start : prepared.stop]
    heard = stretch.inputs(0, stretch.n_samples)
    # 24-bit files: half a step is 6e-8.
    np.testing.assert_allclose(heard[list(MICROPHONES.values())], stems, atol=1e-6)
    np.testing.assert_allclose(stretch.mix(0, stretch.n_samples), mix_of(stems), atol=1e-6)
    assert not heard[3:6].any()


@pytest.mark.parametrize("gain", [1.0, -1.0, 4.0])
def test_the_start_has_the_level_and_the_polarity_of_the_mix(
    base: Path, tmp_path: Path, gain: float
) -> None:
    stems, model = song(1), load_model(base)
    folder = write_session(tmp_path / "song", stems, gain / 4 * mix_of(stems, BASE_GAINS))
    prepared = prepare(parse_pair(str(folder)), model, tmp_path / "frames")
    found, correlation = gain_towards(model, split([prepared], model.config).train)
    assert found == pytest.approx(gain / 4, rel=1e-3)
    assert correlation == pytest.approx(np.sign(gain), abs=1e-3)
    heard = torch.randn(1, 8, SMALL.input_frames(60))
    turned_up = start_network(model, 2.0)(heard)
    assert torch.allclose(turned_up, 2.0 * start_network(model, 1.0)(heard), rtol=1e-5)


def test_a_mix_of_the_other_polarity_is_learned_turned_round(base: Path, tmp_path: Path) -> None:
    stems = song(1)
    folder = write_session(tmp_path / "song", stems, -mix_of(stems))
    found = finetune([str(folder)], tmp_path / "mine", base=base, **QUICKEST)
    assert Code.MIX_POLARITY_INVERTED in made.codes(found.notices)
    # The network's own output is the right way round: it correlates with the turned mix.
    assert found.after.si_sdr_db > found.before.si_sdr_db


def test_a_late_mix_at_another_rate_is_laid_over_its_stems(base: Path, tmp_path: Path) -> None:
    stems, model = song(1), load_model(base)
    late = np.pad(mix_of(stems), ((0, 0), (400, 0)))
    twice = audio.resample(late, RATE_HZ, 2 * RATE_HZ)
    folder = write_session(tmp_path / "song", stems, twice, 2 * RATE_HZ)
    prepared = prepare(parse_pair(str(folder)), model, tmp_path / "frames")
    assert prepared.facts["offset_samples"] == 400
    stretch = Stretch("song", prepared.path, 8, RATE_HZ, prepared.start, prepared.stop)
    wanted = mix_of(stems)[:, prepared.start : prepared.stop]
    made = stretch.mix(0, stretch.n_samples)
    # Resampling there and back leaves everything but the band's upper edge.
    assert np.linalg.norm(made - wanted) < 0.03 * np.linalg.norm(wanted)


def test_stems_reach_the_network_at_its_rate_and_level(
    base: Path, session: Path, tmp_path: Path
) -> None:
    card = {**load_model(base).card, "rate_hz": 2 * RATE_HZ, "input_levels": "staged"}
    staged = write_model(tmp_path, "staged", load_model(base).tensors, card)
    model = load_model(staged)
    prepared = prepare(parse_pair(str(session)), model, tmp_path / "frames")
    assert prepared.duration_s == pytest.approx(SONG_S, abs=0.1)
    stretch = Stretch("song", prepared.path, 8, 2 * RATE_HZ, prepared.start, prepared.stop)
    made = start_network(model, 1.0)
    bottleneck = 2000
    n_frames = SMALL.input_frames(bottleneck)
    heard = np.ascontiguousarray(stretch.inputs(0, n_frames))
    mixed = drummix.mix(session, system="waveunet-wet", weights=staged, true_peak_dbtp=0.0).audio
    with torch.no_grad():
        ours = made(torch.from_numpy(heard)[None])[0].numpy()
    first = prepared.start + SMALL.context_frames
    theirs = audio.resample(mixed.samples, RATE_HZ, 2 * RATE_HZ)
    theirs = theirs[:, first : first + ours.shape[1]]
    # The mix's own level may be lower, so that its peaks fit: compare the shape.
    cosine = np.vdot(ours, theirs) / (np.linalg.norm(ours) * np.linalg.norm(theirs))
    assert cosine > 0.999


def test_several_sessions_hold_out_the_last_or_the_named_one() -> None:
    sessions = [prepared_of(name) for name in ("a", "b", "c")]
    for hold_out, held in ((None, "c"), ("a", "a")):
        sides = split(sessions, SMALL, hold_out)
        assert [one.item for one in sides.held_out] == [held]
        assert {one.item for one in sides.train} == {"a", "b", "c"} - {held}
    shares = split(sessions, SMALL, 0.25)
    assert [one.duration_s for one in shares.held_out] == [10.0] * 3
    with pytest.raises(SettingError, match="hold_out is 'd'; give a, b, c, or a share"):
        split(sessions, SMALL, "d")
    with pytest.raises(SettingError, match="only session; give a share"):
        split(sessions[:1], SMALL, "a")
    with pytest.raises(SettingError, match=r"hold_out is 1\.5; give a share between 0 and 1"):
        split(sessions, SMALL, 1.5)
    with pytest.raises(SessionError, match=r"a leaves 2\.0 s held out .* at least 3 s"):
        split(sessions, SMALL, 0.05)
    with pytest.raises(SessionError, match=r"a leaves 4\.0 s to learn from; expected at least 10"):
        split(sessions, SMALL, 0.9)


def prepared_of(name: str, seconds: int = 40) -> Prepared:
    return Prepared(name, Path("none"), 0, seconds * RATE_HZ, RATE_HZ, 8, "", {}, ())


def test_a_pair_is_a_folder_and_its_mix_whatever_they_are_called(tmp_path: Path) -> None:
    odd = write_session(tmp_path / "a=b", song(1, 2), None)
    mix = tmp_path / "take=3.wav"
    audio.write(mix, Audio(np.zeros((2, 10), np.float32), RATE_HZ))
    assert parse_pair(f"{odd}={mix}") == Pair(odd, mix)
    with pytest.raises(SessionError, match=r"a=b has no mix; give it as .*=MIX\.wav"):
        parse_pair(str(odd))
    (odd / "MIX.wav").write_bytes(mix.read_bytes())
    assert parse_pair(str(odd)) == Pair(odd, odd / "MIX.wav")
    (odd / "drum mix.flac").write_bytes(b"")
    with pytest.raises(SessionError, match=r"several mixes \(\"MIX.wav\", \"drum mix.flac\"\)"):
        parse_pair(str(odd))
    with pytest.raises(SessionError, match=r"none\.wav is no file; expected the finished mix of"):
        parse_pair(f"{odd}={tmp_path / 'none.wav'}")
    with pytest.raises(SessionError, match="nowhere does not exist; give a folder"):
        parse_pair("nowhere")
    with pytest.raises(SessionError, match="is no folder; give FOLDER=MIX"):
        parse_pair(f"{mix}={mix}")
    with pytest.raises(SessionError, match="is given twice"):
        check_pairs((Pair(odd, mix), Pair(odd, mix)))
    with pytest.raises(SessionError, match="have one name; rename"):
        check_pairs((Pair(odd, mix), Pair(tmp_path / "x" / "a=b", mix)))


def test_a_mix_among_the_stems_is_no_stem_under_any_name(base: Path, tmp_path: Path) -> None:
    stems = song(1)
    folder = write_session(tmp_path / "song", stems, None)
    audio.write(folder / "Snare final.wav", Audio(mix_of(stems), RATE_HZ))
    pair = parse_pair(f"{folder}={folder / 'Snare final.wav'}")
    prepared = prepare(pair, load_model(base), tmp_path / "frames")
    assert prepared.facts["microphones"]["snare"] == "snare"
    assert "Snare final.wav" not in {notice.about for notice in prepared.notices}


def test_a_mono_mix_is_learned_on_both_sides(base: Path, tmp_path: Path) -> None:
    stems = song(1)
    folder = write_session(tmp_path / "song", stems, mix_of(stems)[:1])
    prepared = prepare(parse_pair(str(folder)), load_model(base), tmp_path / "frames")
    left, right = np.fromfile(prepared.path, np.float32).reshape(-1, 10)[:, 8:].T
    assert np.array_equal(left, right)
    assert Code.MIX_IS_MONO in made.codes(prepared.notices)


def test_a_mix_that_is_mostly_something_else_is_doubtful(base: Path, tmp_path: Path) -> None:
    stems = song(1)
    mix = mix_of(stems)
    guitar = np.random.default_rng(0).standard_normal(mix.shape[1])
    guitar *= 0.6 * np.std(mix) / np.std(guitar)
    folder = write_session(tmp_path / "song", stems, (mix + guitar).astype(np.float32))
    prepared = prepare(parse_pair(str(folder)), load_model(base), tmp_path / "frames")
    # 1 / (1 + 0.6^2) of the energy is the stems'.
    assert prepared.facts["explained_share"] == pytest.approx(0.735, abs=0.03)
    [doubt] = [notice for notice in prepared.notices if notice.code is Code.MIX_DOUBTFUL]
    assert doubt.values["explained_share"] == prepared.facts["explained_share"]


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        (mix_of(song(2)), "is no mix of the stems in song"),
        (np.zeros((2, SONG_S * RATE_HZ), np.float32), "is silent; expected the finished mix"),
        (mix_of(song(1))[:, : RATE_HZ // 2], "is 0.50 s long"),
        (mix_of(song(1))[:, : 4 * RATE_HZ], r"song leaves 3\.\d s to learn from; .* 10 s"),
    ],
    ids=["another song", "silent", "too short", "too little"],
)
def test_a_wrong_mix_is_one_clear_line(
    base: Path, tmp_path: Path, mix: np.ndarray, said: str
) -> None:
    folder = write_session(tmp_path / "song", song(1), mix)
    with pytest.raises(SessionError, match=said):
        finetune([str(folder)], tmp_path / "mine", base=base, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["song"]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"steps": 0}, SettingError, "steps is 0; give 1 or more"),
        ({"minutes": 0.0}, SettingError, "minutes is 0; give more than 0"),
        ({"learning_rate": float("nan")}, SettingError, "learning_rate is nan; give more than 0"),
        ({"seed": -1}, SettingError, "seed is -1; give 0 or more"),
        ({"base": "waveunet-wett"}, WeightsError, "no shipped model is called 'waveunet-wett'"),
        ({"roles": {"snare": "none.wav"}}, RoleError, "no such file in"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    base: Path, session: Path, tmp_path: Path, options: dict[str, Any], kind: type, said: str
) -> None:
    with pytest.raises(kind, match=said):
        finetune([str(session)], tmp_path / "mine", **{"base": base, **QUICK, **options})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_written_into(
    base: Path, session: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="mine is there already; give a folder that is not"):
        finetune([str(session)], tmp_path / "mine", base=base, **QUICK)


def test_a_session_without_a_microphone_of_the_network_is_refused(
    base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "song"
    folder.mkdir()
    audio.write(folder / "mix.wav", Audio(mix_of(song(1)), RATE_HZ))
    with pytest.raises(SessionError, match="holds no microphone of a drum kit"):
        finetune([str(folder)], tmp_path / "mine", base=base, **QUICK)


def test_a_clip_is_two_seconds_and_validation_covers_what_is_held_out(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "CLIP_S", 2.0)
    model = load_model(base)
    sides = split([prepared_of("a")], model.config)
    settings = train_settings(
        model,
        sides,
        name="x",
        output=Path("y"),
        steps=60,
        minutes=2.0,
        learning_rate=1e-4,
        seed=0,
    )
    source = SessionClips(sides.held_out, SMALL, settings.clips)
    assert 2.0 <= source.output_frames / RATE_HZ < 2.01
    assert settings.clips.validation_clips == 4  # 8 s
    assert (settings.finetune.max_epochs, settings.epoch_steps) == (3, 25)
    assert settings.finetune.max_minutes == 2.0


def test_models_are_called_as_their_folders() -> None:
    assert model_name("Lena's Kit v2.1") == "lena-s-kit-v2-1"
    assert model_name("___") == "finetuned"


def test_the_command_prints_folder_and_figures(base: Path, session: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    arguments = ["finetune", "--from", str(base), str(session), "-o", str(out), "--steps", "20"]
    ran = CliRunner().invoke(app, [*arguments, "--learning-rate", "0.02", "--json"])
    assert ran.exit_code == 0, ran.stderr
    printed = json.loads(ran.stdout)
    assert printed["path"] == str(out)
    assert printed["after"]["si_sdr_db"] > printed["before"]["si_sdr_db"]
    assert "held out: 3.2 s of song 1" in ran.stderr
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "is there already" in again.stderr


def test_without_torch_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = CliRunner().invoke(app, ["finetune", "songs", "-o", "mine"])
    assert ran.exit_code == 1
    assert "fine-tuning needs an optional part; run: pip install 'drummix[train]'" in ran.stderr
