"""Published TensorFlow checkpoints: imported, a network gives what it gave in TensorFlow."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from drummix.audio import Audio, read, write
from drummix.cli import app
from drummix.corpus.manifest import MICROPHONE_FOLDERS
from drummix.errors import MissingExtraError, OutputError, WeightsError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.graph import build_graph
from drummix.mixers.native import load_network
from drummix.mixers.weights import load_model
from drummix.nn.tf_checkpoint import checkpoint_prefix, import_checkpoint, read_checkpoint
from drummix.roles import PAPER_ROLES

RATE_HZ = 44_100
SMALL = WaveUNetConfig(levels=3, filters=4)
FILES = ("dry-460000.data-00000-of-00001", "dry-460000.index", "dry-460000.meta")
# The authors' code feeds ENST-Drums' microphone folders in this order.
MICROPHONES = ["hi-hat", "kick", "overhead_L", "overhead_R", "snare", "tom_1", "tom_2", "tom_3"]


@pytest.fixture(scope="session")
def tf():
    return pytest.importorskip("tensorflow", reason="the tensorflow extra is not installed")


class PublishedNetwork:
    """The network as the authors trained it, in TensorFlow 1 operations, with random weights.

    Source: the paper's Fig. 1 and Table 1, and what is known of the checkpoints: names in order of
    creation, [skip, upsampled], [input, features], leaky ReLU 0.2, a linear last layer.
    """

    def __init__(self, tf: Any, config: WaveUNetConfig, n_frames: int) -> None:
        self._tf, self._config = tf, config
        self._rng = np.random.default_rng(0)
        self._n_layers = 0
        self.graph = tf.Graph()
        with self.graph.as_default():
            self._stems = tf.compat.v1.placeholder(tf.float32, [1, n_frames, len(MICROPHONES)])
            with tf.compat.v1.variable_scope("separator"):
                self._mix = self._forward(self._stems)

    def _forward(self, stems: Any) -> Any:
        tf, config = self._tf, self._config
        features, skips = stems, []
        for level in range(1, config.levels + 1):
            features = self._convolve(features, config.filters * level, 15)
            skips.append(features)
            features = features[:, ::2, :]
        features = self._convolve(features, config.filters * (config.levels + 1), 15)
        for level in range(config.levels, 0, -1):
            n_up = 2 * int(features.shape[1]) - 1
            up = tf.compat.v1.image.resize_bilinear(
                tf.expand_dims(features, 1), [1, n_up], align_corners=True
            )
            up = tf.squeeze(up, 1)
            joined = tf.concat([self._crop(skips.pop(), n_up), up], axis=2)
            features = self._convolve(joined, config.filters * level, 5)
        cropped = self._crop(stems, int(features.shape[1]))
        joined = tf.concat([cropped, features], axis=2)
        return self._convolve(joined, 2, 1, is_linear=True)

    def _convolve(self, features: Any, n_out: int, taps: int, is_linear: bool = False) -> Any:
        tf = self._tf
        name = "conv1d" if self._n_layers == 0 else f"conv1d_{self._n_layers}"
        self._n_layers += 1
        n_in = int(features.shape[2])
        with tf.compat.v1.variable_scope(name):
            scale = np.sqrt(2.0 / (taps * n_in))
            kernel = self._rng.normal(size=(taps, n_in, n_out), scale=scale).astype(np.float32)
            bias = self._rng.normal(size=n_out, scale=0.1).astype(np.float32)
            kernel = tf.compat.v1.get_variable("kernel", initializer=kernel)
            bias = tf.compat.v1.get_variable("bias", initializer=bias)
        convolved = tf.nn.conv1d(features, kernel, stride=1, padding="VALID") + bias
        return convolved if is_linear else tf.nn.leaky_relu(convolved, alpha=0.2)

    @staticmethod
    def _crop(features: Any, n_frames: int) -> Any:
        margin = (int(features.shape[1]) - n_frames) // 2
        return features[:, margin : margin + n_frames, :]

    def save_and_run(self, prefix: Path, step: int, stems: np.ndarray) -> np.ndarray:
        """Train one step, so that Adam and an average leave their variables, save, and mix."""
        tf = self._tf
        with self.graph.as_default(), tf.compat.v1.Session() as session:
            loss = tf.reduce_mean(tf.abs(self._mix))
            trained = tf.compat.v1.trainable_variables()
            training = tf.compat.v1.train.AdamOptimizer(1e-4).minimize(loss)
            with tf.control_dependencies([training]):
                average = tf.train.ExponentialMovingAverage(0.5).apply(trained)
            tf.compat.v1.train.get_or_create_global_step()
            session.run(tf.compat.v1.global_variables_initializer())
            fed = {self._stems: stems.T[np.newaxis]}
            session.run(average, fed)
            saver = tf.compat.v1.train.Saver()
            saver.save(session, str(prefix), global_step=step)
            return session.run(self._mix, fed)[0].T


def mixes_of_all(tf, folder: Path, config: WaveUNetConfig, n_frames: int) -> list[np.ndarray]:
    """One segment through the network in TensorFlow, and imported: by drummix, and as ONNX."""
    rng = np.random.default_rng(1)
    by_microphone = {
        name: rng.normal(size=n_frames, scale=0.3).astype(np.float32) for name in MICROPHONES
    }
    network = PublishedNetwork(tf, config, n_frames)
    theirs = network.save_and_run(
        folder / "dry", 460_000, np.stack([by_microphone[name] for name in MICROPHONES])
    )
    model = load_model(import_checkpoint(folder / "dry-460000", folder / "model", target="dry"))
    stems = np.stack([by_microphone[MICROPHONE_FOLDERS[role]] for role in model.roles])
    assert model.config == config
    session = onnxruntime.InferenceSession(
        build_graph(model.config, model.tensors).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    [as_onnx] = session.run(None, {"stems": stems[np.newaxis]})
    return [theirs, load_network(model)(stems), as_onnx[0]]


def variables_of(config: WaveUNetConfig) -> dict[str, np.ndarray]:
    """The variables of a checkpoint: kernels (taps, in, out), numbered in order of creation."""
    shapes = [(15, n_in, n_out) for n_in, n_out in config.down_shapes()]
    shapes.append((15, *config.bottleneck_shape()))
    shapes += [(5, n_skip + n_below, n_out) for n_skip, n_below, n_out in config.up_shapes()]
    shapes.append((1, *config.output_shape()))
    rng = np.random.default_rng(2)
    variables = {}
    for number, shape in enumerate(shapes):
        name = f"separator/conv1d_{number}" if number else "separator/conv1d"
        variables[f"{name}/kernel"] = rng.normal(size=shape, scale=0.1).astype(np.float32)
        variables[f"{name}/bias"] = rng.normal(size=shape[2], scale=0.1).astype(np.float32)
    return variables


def write_checkpoint(tf, prefix: Path, variables: dict[str, np.ndarray]) -> Path:
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=list(variables.values()),
    )
    return prefix


@pytest.fixture
def checkpoint(tf, tmp_path) -> Path:
    """A whole checkpoint of the small network in a folder of its own."""
    (tmp_path / "published").mkdir()
    return write_checkpoint(tf, tmp_path / "published" / "wet-1108000", variables_of(SMALL))


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["import-checkpoint", *map(str, arguments)])


# What is imported.


@pytest.mark.parametrize(("levels", "filters"), [(3, 4), (2, 5)])
def test_an_imported_network_gives_what_it_gave_in_tensorflow(tf, tmp_path, levels, filters):
    config = WaveUNetConfig(levels=levels, filters=filters)
    theirs, ours, as_onnx = mixes_of_all(tf, tmp_path, config, config.input_frames(9))
    # So that 1e-5 is small beside the mix, and the two sides of it differ.
    assert 0.1 < theirs.std(axis=1).min() < 3.0
    assert np.abs(theirs[0] - theirs[1]).max() > 0.1
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(as_onnx - theirs).max() < 1e-5


def test_microphones_are_found_by_name_not_by_place(tf, tmp_path):
    variables = variables_of(SMALL)
    for name in ("separator/conv1d/kernel", "separator/conv1d_7/kernel"):
        variables[name][:] = 0.0
    # Through the last layer alone: theirs hears the snare left and the third tom right.
    variables["separator/conv1d_7/kernel"][0, MICROPHONES.index("snare"), 0] = 0.5
    variables["separator/conv1d_7/kernel"][0, MICROPHONES.index("tom_3"), 1] = 0.25
    variables["separator/conv1d/kernel"][3, MICROPHONES.index("kick"), 2] = 2.0
    _, tensors = read_checkpoint(write_checkpoint(tf, tmp_path / "dry-1", variables))
    roles = [MICROPHONE_FOLDERS[role] for role in PAPER_ROLES]
    output = np.zeros((2, 12, 1))
    output[0, roles.index("snare")], output[1, roles.index("tom_3")] = 0.5, 0.25
    np.testing.assert_array_equal(tensors["output.weight"], output)
    first = np.zeros((4, 8, 15))
    first[2, roles.index("kick"), 3] = 2.0
    np.testing.assert_array_equal(tensors["down.0.weight"], first)


def test_the_card_says_recorded_levels_and_where_the_network_is_from(checkpoint, tmp_path):
    model = load_model(import_checkpoint(checkpoint, tmp_path / "wet", target="wet"))
    assert (model.input_levels, model.target, model.rate_hz) == ("recorded", "wet", 44_100)
    origin = model.card["training"]["imported_from"]
    assert (origin["name"], origin["step"]) == ("wet-1108000", 1_108_000)
    index = checkpoint.with_name("wet-1108000.index").read_bytes()
    assert origin["sha256"]["wet-1108000.index"] == hashlib.sha256(index).hexdigest()
    assert len(origin["sha256"]) == 2


def test_imported_weights_keep_every_bit(checkpoint, tmp_path):
    model = load_model(import_checkpoint(checkpoint, tmp_path / "wet", target="wet"))
    written = variables_of(SMALL)["separator/conv1d_2/kernel"]
    np.testing.assert_array_equal(model.tensors["down.2.weight"], written.transpose(2, 1, 0))


def test_an_imported_model_mixes_at_once_and_leaves_levels_alone(checkpoint, tmp_path):
    rng = np.random.default_rng(3)
    (tmp_path / "takes").mkdir()
    for name in ("Kick", "Snare", "OH L", "OH R"):
        noise = 0.001 * rng.standard_normal((1, RATE_HZ // 4), dtype=np.float32)
        write(tmp_path / "takes" / f"{name}.wav", Audio(noise, RATE_HZ))
    imported = run(checkpoint.parent, "-o", tmp_path / "models" / "wet", "--target", "wet")
    assert imported.exit_code == 0, imported.output
    assert imported.stdout == f"{tmp_path / 'models' / 'wet'}\n"
    options = ["--weights", tmp_path / "models" / "wet", "--settings", tmp_path / "mix.json"]
    arguments = ["mix", tmp_path / "takes", "-o", tmp_path / "mix.wav", *options]
    mixed = CliRunner().invoke(app, [*map(str, arguments), "--paper-segments"])
    assert mixed.exit_code == 0, mixed.output
    assert read(tmp_path / "mix.wav").samples.shape == (2, RATE_HZ // 4)
    assert '"gain_staging": []' in json.dumps(json.loads((tmp_path / "mix.json").read_text()))


@pytest.mark.parametrize("given", ["dry-460000", *FILES, "."])
def test_a_checkpoint_is_found_by_its_prefix_any_of_its_files_or_its_folder(tmp_path, given):
    for name in FILES:
        (tmp_path / name).touch()
    assert checkpoint_prefix(tmp_path / given) == tmp_path / "dry-460000"


# What is refused.


def test_a_checkpoint_that_is_not_there_is_named_with_what_was_looked_for(tmp_path):
    with pytest.raises(WeightsError, match=r"no checkpoint .*dry-1: dry-1\.index is missing"):
        checkpoint_prefix(tmp_path / "dry-1")


def test_a_folder_must_hold_exactly_one_checkpoint(tmp_path):
    with pytest.raises(WeightsError, match="holds 0 checkpoints"):
        checkpoint_prefix(tmp_path)
    for name in ("dry-1.index", "dry-2.index"):
        (tmp_path / name).touch()
    with pytest.raises(WeightsError, match=r"2 checkpoints \(dry-1, dry-2\); name one"):
        checkpoint_prefix(tmp_path)


def test_a_missing_data_file_is_named(tmp_path):
    (tmp_path / "dry-1.index").touch()
    with pytest.raises(WeightsError, match=r"dry-1\.data-00000-of-00001 is missing"):
        import_checkpoint(tmp_path / "dry-1", tmp_path / "model", target="dry")
    (tmp_path / "dry-1.data-00000-of-00002").touch()
    with pytest.raises(WeightsError, match=r"dry-1\.data-00001-of-00002 is missing"):
        import_checkpoint(tmp_path / "dry-1", tmp_path / "model", target="dry")
    assert not (tmp_path / "model").exists()


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").touch()
    with pytest.raises(OutputError, match="is not free"):
        import_checkpoint(tmp_path / "dry-1", tmp_path / "model", target="dry")


def test_a_name_that_is_none_for_a_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="'Dry' is no model name; use small letters"):
        import_checkpoint(tmp_path / "dry-1", tmp_path / "Dry", target="dry")


def test_without_tensorflow_the_line_says_how_to_get_it(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'drummix\[tensorflow\]'"):
        import_checkpoint(tmp_path, tmp_path / "model", target="dry")


def changed(**changes: Any) -> dict[str, np.ndarray]:
    """The small network's variables, some of them others, or not there for None."""
    variables = variables_of(SMALL)
    for name, value in changes.items():
        variables[f"separator/{name.replace('__', '/')}"] = value
    return {name: value for name, value in variables.items() if value is not None}


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"conv1d_2__bias": None}, r"lacks separator/conv1d_2/bias; expected shape \(12,\)"),
        ({"conv1d_3__kernel": None}, r"lacks separator/conv1d_3/kernel; expected .*\(15, 12, 16\)"),
        (
            {"conv1d_5__kernel": zeros(5, 20, 7)},
            r"conv1d_5/kernel has shape \(5, 20, 7\); expected \(5, 20, 8\) in a network of 3",
        ),
        ({"conv1d_7__kernel": zeros(1, 12, 1)}, r"has shape \(1, 12, 1\); expected \(1, 12, 2\)"),
        ({"conv1d__kernel": zeros(15, 1, 4)}, "has 1 inputs; expected 8 microphones: hihat, kick"),
        ({"conv1d__kernel": zeros(15, 8)}, r"has shape \(15, 8\); expected \(15, 8, 24\)"),
        ({"conv1d__kernel": zeros(14, 8, 4)}, r"has shape \(14, 8, 4\); expected"),
        ({"conv1d__kernel": None}, r"lacks separator/conv1d/kernel"),
        ({"conv1d_7__kernel": None, "conv1d_7__bias": None}, "has 7 convolutions; expected two"),
        ({"conv1d_4__kernel": None, "conv1d_4__bias": None}, "lacks separator/conv1d_4/kernel"),
        ({"conv1d_1__bias": np.full(8, np.nan, np.float32)}, "conv1d_1/bias holds a value that"),
        ({"conv1d_1__bias": np.zeros(8, np.int32)}, "conv1d_1/bias is int32; expected float32"),
    ],
)
def test_another_network_is_refused_with_variable_expected_and_found(tf, tmp_path, changes, line):
    prefix = write_checkpoint(tf, tmp_path / "dry-1", changed(**changes))
    with pytest.raises(WeightsError, match=line):
        import_checkpoint(prefix, tmp_path / "model", target="dry")
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_of_something_else_is_refused(tf, tmp_path):
    write_checkpoint(tf, tmp_path / "resnet", {"block/conv/kernel": zeros(3, 3)})
    with pytest.raises(WeightsError, match="holds no variable separator/conv1d/kernel"):
        read_checkpoint(tmp_path / "resnet")


def cut(stored: bytes) -> bytes:
    return stored[: len(stored) // 2]


def flip(stored: bytes) -> bytes:
    middle = len(stored) // 2
    return stored[:middle] + bytes([stored[middle] ^ 1]) + stored[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda stored: b""])
@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_damage_is_one_line_and_leaves_nothing_behind(checkpoint, tmp_path, suffix, damage):
    path = checkpoint.with_name(checkpoint.name + suffix)
    path.write_bytes(damage(path.read_bytes()))
    result = run(checkpoint, "-o", tmp_path / "model", "--target", "wet")
    assert result.exit_code == 1, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("drummix: ")
    assert "the checkpoint is damaged or cut off; get its files again" in line
    assert not (tmp_path / "model").exists()
