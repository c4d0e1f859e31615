"""The network against the paper's Table 1, and the fast forward pass against the plain one."""

import numpy as np
import pytest

from drummix.errors import SettingError
from drummix.mixers.architecture import PAPER_BOTTLENECK_FRAMES, WaveUNetConfig

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch.nn import functional  # noqa: E402

from drummix.nn.wave_unet import WaveUNet, centre_crop  # noqa: E402

PAPER = WaveUNetConfig()

# (block, level, frames, channels): the shapes after each block of Table 1 at its 121,843 frames.
# Table 1 prints 119 frames after the bottleneck. 106 - 14 is 92, and only 92 leads to 89,093.
TABLE_1 = [
    *[
        ("down", i, frames, 24 * i)
        for i, frames in enumerate(
            [121829, 60901, 30437, 15205, 7589, 3781, 1877, 925, 449, 211], start=1
        )
    ],
    ("bottleneck", 11, 92, 264),
    *[
        ("up", i, frames, 24 * i)
        for i, frames in zip(
            range(10, 0, -1),
            [179, 353, 701, 1397, 2789, 5573, 11141, 22277, 44549, 89093],
            strict=True,
        )
    ],
    ("output", 0, 89093, 2),
]


@pytest.fixture(scope="module")
def paper_shapes() -> dict[tuple[str, int], tuple[int, int]]:
    """Shapes (frames, channels) seen by the plain network, run block by block."""
    network = WaveUNet(PAPER)
    shapes: dict[tuple[str, int], tuple[int, int]] = {}
    with torch.inference_mode():
        plain_forward(network, torch.zeros(1, 8, 121843), shapes)
    return shapes


def plain_forward(network: WaveUNet, stems, shapes=None):
    """The network as the paper draws it: upsample, crop and concatenate, convolve."""
    config = network.config
    seen = {} if shapes is None else shapes

    def note(block, level, tensor):
        seen[block, level] = (tensor.shape[-1], tensor.shape[1])
        return tensor

    features, skips = stems, []
    for level, convolution in enumerate(network.down, start=1):
        features = functional.leaky_relu(convolution(features), config.leaky_slope)
        skips.append(note("down", level, features))
        features = features[..., ::2]
    features = functional.leaky_relu(network.bottleneck(features), config.leaky_slope)
    note("bottleneck", config.levels + 1, features)
    for level, convolution in zip(range(config.levels, 0, -1), network.up, strict=True):
        upsampled = functional.interpolate(
            features, size=2 * features.shape[-1] - 1, mode="linear", align_corners=True
        )
        joined = torch.cat([centre_crop(skips.pop(), upsampled.shape[-1]), upsampled], dim=1)
        features = functional.leaky_relu(convolution(joined), config.leaky_slope)
        note("up", level, features)
    cropped = centre_crop(stems, features.shape[-1])
    return note("output", 0, network.output(torch.cat([cropped, features], dim=1)))


def test_paper_size_has_the_papers_parameter_count():
    network = WaveUNet(PAPER)
    assert sum(p.numel() for p in network.parameters()) == 6_183_450
    assert PAPER.n_parameters() == 6_183_450


def test_paper_segment_turns_121843_frames_into_89093():
    assert PAPER.input_frames(PAPER_BOTTLENECK_FRAMES) == 121_843
    assert PAPER.output_frames(121_843) == 89_093
    assert PAPER.context_frames == 16_375
    # The paper states a receptive field of 32,750 samples: the context of both sides.
    assert 2 * PAPER.context_frames == 32_750


@pytest.mark.parametrize(("block", "level", "frames", "channels"), TABLE_1)
def test_each_row_of_table_1_has_its_shape(paper_shapes, block, level, frames, channels):
    assert paper_shapes[block, level] == (frames, channels)


@pytest.mark.parametrize("filters", [3, 8])
@pytest.mark.parametrize("levels", [1, 2, 5, 10])
def test_fast_forward_equals_the_plain_network(levels, filters):
    torch.manual_seed(levels)
    network = WaveUNet(WaveUNetConfig(levels=levels, filters=filters)).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    stems = torch.randn(2, 8, network.config.input_frames(7), dtype=torch.float64)
    with torch.inference_mode():
        expected, got = plain_forward(network, stems), network(stems)
    assert got.shape == (2, 2, network.config.output_frames(stems.shape[-1]))
    # Double precision: only the order of the additions differs.
    assert float((got - expected).abs().max()) < 1e-10 * float(expected.abs().max())


def test_gradients_of_the_fast_forward_equal_the_plain_ones():
    torch.manual_seed(0)
    network = WaveUNet(WaveUNetConfig(levels=3, filters=4)).double()
    stems = torch.randn(1, 8, network.config.input_frames(6), dtype=torch.float64)
    network(stems).square().sum().backward()
    fast = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    plain_forward(network, stems).square().sum().backward()
    for quick, parameter in zip(fast, network.parameters(), strict=True):
        torch.testing.assert_close(quick, parameter.grad, rtol=1e-9, atol=1e-9)


def test_upsampling_puts_exact_midpoints_between_samples():
    values = torch.tensor([[[0.0, 2.0, 6.0]]])
    up = functional.interpolate(values, size=5, mode="linear", align_corners=True)
    assert up.flatten().tolist() == [0.0, 1.0, 2.0, 4.0, 6.0]


def test_output_layer_is_linear_and_sees_the_stems_first():
    network = WaveUNet(WaveUNetConfig(levels=2, filters=4))
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.zero_()
        network.output.weight[0, 3, 0] = 5.0
    stems = torch.randn(1, 8, network.config.input_frames(9))
    mix = network(stems)
    cropped = centre_crop(stems, mix.shape[-1])
    torch.testing.assert_close(mix[:, 0], 5.0 * cropped[:, 3])
    assert float(mix.detach()[:, 0].abs().max()) > 1.0, "no nonlinearity limits the output"
    assert float(mix.detach()[:, 1].abs().max()) == 0.0


def test_kernels_start_glorot_uniform_and_biases_zero():
    network = WaveUNet(PAPER, generator=torch.Generator().manual_seed(1))
    for convolution in [*network.down, network.bottleneck, *network.up, network.output]:
        n_out, n_in, taps = convolution.weight.shape
        bound = np.sqrt(6.0 / (taps * (n_in + n_out)))
        assert float(convolution.weight.abs().max()) <= bound
        # A uniform distribution's standard deviation is bound / sqrt(3); 4 % covers the draw of
        # the smallest layer (64 weights) loosely and of the others tightly.
        tolerance = 0.2 if convolution.weight.numel() < 1000 else 0.04
        assert float(convolution.weight.std()) == pytest.approx(bound / np.sqrt(3), rel=tolerance)
        assert float(convolution.bias.abs().max()) == 0.0


def test_same_generator_seed_gives_the_same_weights():
    first = WaveUNet(WaveUNetConfig(filters=2), generator=torch.Generator().manual_seed(7))
    second = WaveUNet(WaveUNetConfig(filters=2), generator=torch.Generator().manual_seed(7))
    other = WaveUNet(WaveUNetConfig(filters=2), generator=torch.Generator().manual_seed(8))
    assert torch.equal(first.down[0].weight, second.down[0].weight)
    assert not torch.equal(first.down[0].weight, other.down[0].weight)


@pytest.mark.parametrize("levels", [1, 4, 10, 12])
def test_input_and_output_lengths_are_inverse_and_advance_by_the_decimation(levels):
    config = WaveUNetConfig(levels=levels)
    for frames in range(5, 12):
        assert config.bottleneck_frames(config.input_frames(frames)) == frames
    step = config.input_frames(9) - config.input_frames(8)
    assert step == config.decimation == 2**levels


def test_a_length_the_network_cannot_take_is_refused_with_the_lengths_it_can():
    network = WaveUNet(WaveUNetConfig(levels=2, filters=2))
    with pytest.raises(
        SettingError, match="input_frames is 100; a 2-level Wave-U-Net takes 115 or"
    ):
        network(torch.zeros(1, 8, 100))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"filter": 3}, "unknown"),
        ({"filters": 0}, "filters"),
        ({"filters": 2.5}, "expected a whole number"),
        ({"filters": True}, "expected a whole number"),
        ({"down_taps": 4}, "odd"),
        ({"up_taps": 7}, "up_taps is 7; expected 5"),
        ({"leaky_slope": 1.5}, "of 0 or more and below 1"),
    ],
)
def test_a_config_that_makes_no_network_is_refused(values, word):
    with pytest.raises(SettingError, match=word):
        WaveUNetConfig.from_mapping(values)


def test_config_survives_plain_data():
    config = WaveUNetConfig(filters=12, leaky_slope=0.1)
    assert WaveUNetConfig.from_mapping(config.to_mapping()) == config
