"""The demo: a session from nothing, mixed wet and dry, drawn; and the picture by itself."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import made
from drummix import demo
from drummix.audio import Audio, probe, read
from drummix.cli import app
from drummix.corpus.synthkit import synth_kit
from drummix.demo import SYSTEMS, TRACKS, make_demo
from drummix.errors import OutputError, SettingError, WeightsError
from drummix.mixers import weights
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import parameter_shapes, write_model
from drummix.picture import draw_session, envelope
from drummix.roles import PAPER_ROLES
from drummix.session import open_session

RATE_HZ = 44_100
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Two small networks that sum kick and snare, in the place of the shipped ones."""
    config = WaveUNetConfig(levels=2, filters=2)
    tensors = {
        name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(config).items()
    }
    tensors["output.weight"][:, :2, 0] = 1.0
    folder = tmp_path_factory.mktemp("shipped")
    for target in ("dry", "wet"):
        card = made.model_card(config, target)
        write_model(folder, f"waveunet-{target}", tensors, card)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "SHIPPED_FOLDER", folder)
        yield folder


@pytest.fixture(scope="module")
def printed(shipped, tmp_path_factory):
    """What `drummix demo --json` printed, once for all tests."""
    folder = tmp_path_factory.mktemp("demo") / "new"
    result = CliRunner().invoke(app, ["demo", "-o", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_demo_makes_stems_two_mixes_and_a_picture(printed):
    folder = Path(printed["stems"]).parent
    assert names_in(folder) == ["demo.png", "stems", "waveunet-dry.wav", "waveunet-wet.wav"]
    assert names_in(folder / "stems") == sorted(TRACKS)
    assert printed["mixes"] == {system: str(folder / f"{system}.wav") for system in SYSTEMS}
    assert Path(printed["picture"]).read_bytes().startswith(PNG_MAGIC)


def test_demo_session_is_understood_without_a_word(printed):
    session = open_session(Path(printed["stems"]))
    roles = {stem.role.value for stem in session.stems}
    assert roles >= {role.value for role in PAPER_ROLES}
    assert session.left_out == ()
    # Eight bars of four beats at the pattern's 116 beats per minute, and the ring-out.
    assert 8 * 4 * 60 / 116 < session.duration_s < 22.0


def test_demo_mixes_are_stereo_as_long_as_the_session_and_below_the_ceiling(printed):
    n_samples = open_session(Path(printed["stems"])).n_samples
    for path in printed["mixes"].values():
        info = probe(path)
        assert (info.n_channels, info.n_samples, info.subtype) == (2, n_samples, "PCM_24")
        peak = float(np.abs(read(path).samples).max())
        assert 0.05 < peak <= 10 ** (-1 / 20)


def test_another_seed_is_another_kit_and_another_take(monkeypatch):
    monkeypatch.setattr(demo, "BARS", 1)
    monkeypatch.setattr(demo, "synth_kit", partial(synth_kit, hits_per_instrument=1))
    first, other = demo._play(0, None), demo._play(1, None)
    assert [hit.time_s for hit in first.hits] != [hit.time_s for hit in other.hits]
    loudest = [np.abs(take.microphones["KickIn"]).max() for take in (first, other)]
    assert loudest[0] != loudest[1]


def test_demo_does_not_mix_files_it_did_not_make(tmp_path):
    (tmp_path / "stems").mkdir()
    (tmp_path / "stems" / "My take.wav").touch()
    with pytest.raises(OutputError, match=r"'My take\.wav', which is not the demo's"):
        make_demo(tmp_path)
    assert names_in(tmp_path) == ["stems"]


def test_demo_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="-o FOLDER"):
        make_demo(tmp_path / "file")
    (tmp_path / "stems").touch()
    with pytest.raises(OutputError, match="-o FOLDER"):
        make_demo(tmp_path)


def test_demo_without_models_fails_before_it_makes_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path / "none")
    with pytest.raises(WeightsError):
        make_demo(tmp_path / "demo")
    assert names_in(tmp_path) == []


# The picture.


def test_envelope_holds_every_peak():
    samples = np.random.default_rng(0).standard_normal(10_007).astype(np.float32)
    low, high = envelope(samples, 100)
    assert low.size == high.size == 100
    assert low.min() == samples.min()
    assert high.max() == samples.max()


@pytest.mark.parametrize("n_samples", [1, 5, 1600])
def test_envelope_of_few_samples_is_the_samples(n_samples):
    samples = np.arange(n_samples, dtype=np.float32)
    low, high = envelope(samples, 1600)
    np.testing.assert_array_equal(low, samples)
    np.testing.assert_array_equal(high, samples)


@pytest.mark.parametrize("n_samples", [10, RATE_HZ])
def test_picture_of_silence_and_of_snippets_is_drawn(tmp_path, n_samples):
    silence = np.zeros((2, n_samples), dtype=np.float32)
    path = draw_session(
        tmp_path / "p.png",
        title="silence",
        stems=[("kick", silence[0])],
        mixes={"unity": Audio(silence, RATE_HZ)},
    )
    assert path.read_bytes().startswith(PNG_MAGIC)
    assert names_in(tmp_path) == ["p.png"]


def test_picture_without_a_mix_is_refused(tmp_path):
    with pytest.raises(SettingError, match="give at least one to draw"):
        draw_session(tmp_path / "p.png", title="", stems=[], mixes={})
