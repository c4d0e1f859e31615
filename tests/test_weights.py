"""Models on disk: what is written comes back, and nothing damaged is ever run."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import made
from drummix.errors import OutputError, WeightsError
from drummix.evaluation.systems import weights_by_system
from drummix.mixers import weights
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import (
    CARD_NAME,
    TENSORS_NAME,
    any_card,
    available_models,
    load_model,
    parameter_shapes,
    write_model,
)
from drummix.roles import PAPER_ROLES

SMALL = WaveUNetConfig(levels=3, filters=2)


def random_tensors(config=SMALL, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=shape, scale=0.1).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }


def card(config=SMALL, **changes):
    known = {"training": {"seed": 1}, "metrics": {"si_sdr_db": 13.5}}
    return made.model_card(config, **{**known, **changes})


PATH_TRICKS = ["", "..", "../small", "a/b", "/etc", ".hidden", "A", "a..b", "a\n"]


@pytest.fixture
def model_folder(tmp_path) -> Path:
    return write_model(tmp_path, "small", random_tensors(), card())


def rewrite_card(folder: Path, **changes) -> None:
    path = folder / CARD_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_tensors(folder: Path, tensors) -> None:
    """Replace the weights by others that the card vouches for."""
    stored = safetensors.numpy.save(tensors)
    (folder / TENSORS_NAME).write_bytes(stored)
    rewrite_card(folder, sha256=hashlib.sha256(stored).hexdigest())


def test_parameter_shapes_add_up_to_the_papers_count():
    count = sum(int(np.prod(shape)) for shape in parameter_shapes(WaveUNetConfig()).values())
    assert count == 6_183_450


def test_parameter_names_and_shapes_are_those_of_the_trained_module():
    pytest.importorskip("torch", reason="the train extra is not installed")
    from drummix.nn.wave_unet import WaveUNet

    state = WaveUNet(SMALL).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parameter_shapes(SMALL)


def test_weights_come_back_rounded_to_float16_and_expanded(model_folder):
    model = load_model(model_folder)
    for name, written in random_tensors().items():
        read = model.tensors[name]
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, written.astype(np.float16).astype(np.float32))
    assert model.config == SMALL
    assert model.roles == PAPER_ROLES
    assert (model.name, model.target, model.rate_hz) == ("small", "wet", 44_100)
    assert model.card["metrics"] == {"si_sdr_db": 13.5}


def test_weights_in_another_memory_order_come_back_the_same(tmp_path):
    tensors = {name: np.asfortranarray(value) for name, value in random_tensors().items()}
    model = load_model(write_model(tmp_path, "fortran", tensors, card()))
    expected = tensors["up.0.weight"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(model.tensors["up.0.weight"], expected)


def test_float32_weights_keep_every_bit_where_asked_for(tmp_path):
    model = load_model(write_model(tmp_path, "exact", random_tensors(), card(), is_float32=True))
    for name, written in random_tensors().items():
        np.testing.assert_array_equal(model.tensors[name], written)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "models").touch()
    with pytest.raises(OutputError, match=r"models/net cannot be made: .*; choose another place"):
        write_model(tmp_path / "models", "net", random_tensors(), card())


def test_stored_weights_take_two_bytes_each(model_folder):
    size = (model_folder / TENSORS_NAME).stat().st_size
    # 2 bytes a weight, and a header that names 18 tensors in under 100 bytes each.
    assert 0 <= size - 2 * SMALL.n_parameters() < 18 * 100


def test_float32_weights_are_read_as_they_are(model_folder):
    tensors = random_tensors(seed=5)
    rewrite_tensors(model_folder, tensors)
    model = load_model(model_folder)
    np.testing.assert_array_equal(model.tensors["down.0.weight"], tensors["down.0.weight"])


def test_card_names_the_sha256_of_the_weights_file(model_folder):
    stored = (model_folder / TENSORS_NAME).read_bytes()
    assert load_model(model_folder).sha256 == hashlib.sha256(stored).hexdigest()


def test_input_levels_are_as_recorded_unless_the_card_says_staged(tmp_path):
    folder = write_model(tmp_path, "one", random_tensors(), card(input_levels="staged"))
    assert load_model(folder).input_levels == "staged"
    folder = write_model(tmp_path, "two", random_tensors(), card())
    assert load_model(folder).input_levels == "recorded"


@pytest.mark.parametrize("position", [0, 8, 200, -1])
def test_one_flipped_bit_anywhere_is_refused(model_folder, position):
    path = model_folder / TENSORS_NAME
    stored = bytearray(path.read_bytes())
    stored[position] ^= 1
    path.write_bytes(stored)
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged: expected sha256"):
        load_model(model_folder)


def test_weights_cut_off_are_refused(model_folder):
    path = model_folder / TENSORS_NAME
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_model(model_folder)


def test_a_pickle_with_the_right_checksum_is_never_loaded(model_folder):
    stored = b"\x80\x04cbuiltins\nexit\n."
    (model_folder / TENSORS_NAME).write_bytes(stored)
    rewrite_card(model_folder, sha256=hashlib.sha256(stored).hexdigest())
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_model(model_folder)


def test_missing_files_are_named(tmp_path, model_folder):
    (model_folder / TENSORS_NAME).unlink()
    with pytest.raises(
        WeightsError, match=r"model\.safetensors does not exist; get the model again"
    ):
        load_model(model_folder)
    with pytest.raises(WeightsError, match=r"no model\.json"):
        load_model(tmp_path / "none")


def test_another_networks_weights_are_refused_with_both_shapes(model_folder):
    rewrite_tensors(model_folder, random_tensors(WaveUNetConfig(levels=3, filters=3)))
    with pytest.raises(WeightsError, match=r"down\.0\.weight has shape \(3, 8, 15\).*\(2, 8, 15\)"):
        load_model(model_folder)


def test_a_missing_and_an_unknown_tensor_are_named(model_folder):
    tensors = random_tensors()
    bias = tensors.pop("output.bias")
    rewrite_tensors(model_folder, tensors)
    with pytest.raises(WeightsError, match=r"lacks 'output\.bias'"):
        load_model(model_folder)
    rewrite_tensors(model_folder, {**tensors, "output.bias": bias, "output.gain": bias})
    with pytest.raises(WeightsError, match=r"unknown tensor 'output\.gain'"):
        load_model(model_folder)


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_weights_of_another_type_are_refused(model_folder, dtype):
    tensors = {name: tensor.astype(dtype) for name, tensor in random_tensors().items()}
    rewrite_tensors(model_folder, tensors)
    with pytest.raises(WeightsError, match="expected float16 or float32"):
        load_model(model_folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_weights_that_do_not_fit_float16_are_not_written(tmp_path, value):
    tensors = random_tensors()
    tensors["up.1.bias"][0] = value
    with pytest.raises(WeightsError, match=r"up\.1\.bias"):
        write_model(tmp_path, "broken", tensors, card())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"target": "damp"}, "dry or wet"),
        ({"format": 2}, "format 2"),
        ({"rate_hz": "44100"}, "rate_hz"),
        ({"rate_hz": True}, "rate_hz"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"roles": ["kick"]}, "8 different"),
        ({"roles": ["kick"] * 8}, "8 different"),
        ({"roles": ["bongo"] * 8}, r"roles\[0\] is 'bongo'; expected kick, snare"),
        ({"roles": [["kick"]] * 8}, r"roles\[0\] is a list; expected kick, snare"),
        ({"architecture": {"filter": 2}}, "unknown key architecture.filter; did you mean"),
        ({"architecture": {"levels": 10**9}}, "levels is 1000000000; expected a whole number from"),
        (
            {"architecture": {"filters": 1024, "levels": 16}},
            r"parameters; expected at most 100,000",
        ),
        ({"training": int("9" * 4000)}, "training has more than 30 digits"),
        ({"architecture": {"n_outputs": 1}}, "2, left and right"),
        ({"input_levels": "loud"}, "input_levels"),
        ({"sha256": None}, "sha256"),
        ({"metrics": []}, "metrics"),
    ],
)
def test_a_card_that_says_nonsense_is_refused(model_folder, changes, word):
    rewrite_card(model_folder, **changes)
    with pytest.raises(WeightsError, match=word):
        load_model(model_folder)


def test_a_folder_with_one_model_in_it_stands_for_the_model(model_folder, tmp_path):
    model = load_model(model_folder)
    expected, system = model.sha256, model.card["system"]
    for folder in (tmp_path / "run", tmp_path / "run" / "model"):
        place = tmp_path / "run" / "model" / "mine"
        if not place.exists():
            shutil.copytree(model_folder, place)
        assert load_model(folder).sha256 == expected
        assert load_model(folder).folder == place
        assert any_card(folder)["sha256"] == expected
        assert weights_by_system([folder], [system]) == {system: place}
    shutil.copytree(model_folder, tmp_path / "run" / "model" / "other")
    with pytest.raises(
        WeightsError, match=r"holds several models \(mine, other\); name the folder"
    ):
        load_model(tmp_path / "run")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00"])
def test_a_damaged_card_is_refused(model_folder, text):
    (model_folder / CARD_NAME).write_text(text)
    with pytest.raises(WeightsError, match=r"model\.json"):
        load_model(model_folder)


@pytest.mark.parametrize("name", PATH_TRICKS)
def test_names_that_play_with_paths_are_refused(tmp_path, name):
    with pytest.raises(WeightsError, match="no model name"):
        load_model(name)
    with pytest.raises(WeightsError, match="no model name"):
        write_model(tmp_path, name, random_tensors(), card())
    assert list(tmp_path.iterdir()) == []


def test_shipped_models_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path)
    for name in ("waveunet-wet", "waveunet-dry"):
        write_model(tmp_path, name, random_tensors(), card())
    (tmp_path / "notes").mkdir()
    assert available_models() == ("waveunet-dry", "waveunet-wet")
    assert load_model("waveunet-dry").folder == tmp_path / "waveunet-dry"
    with pytest.raises(WeightsError, match="there are: waveunet-dry, waveunet-wet"):
        load_model("waveunet-damp")


def test_a_card_read_from_one_model_makes_the_card_of_another(tmp_path, model_folder):
    first = load_model(model_folder)
    second = load_model(write_model(tmp_path, "other", random_tensors(seed=1), first.card))
    assert second.name == "other"
    assert second.sha256 != first.sha256
    assert second.card["metrics"] == first.card["metrics"]


def test_writing_again_replaces_the_model(model_folder):
    write_model(model_folder.parent, "small", random_tensors(seed=1), card(target="dry"))
    model = load_model(model_folder)
    assert model.target == "dry"
    expected = random_tensors(seed=1)["down.0.bias"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(model.tensors["down.0.bias"], expected)
    assert sorted(path.name for path in model_folder.iterdir()) == [CARD_NAME, TENSORS_NAME]


def test_every_shipped_model_loads_and_is_small_enough_for_git():
    for name in available_models():
        model = load_model(name)
        assert model.name == name
        assert (model.folder / TENSORS_NAME).stat().st_size <= 16_000_000
