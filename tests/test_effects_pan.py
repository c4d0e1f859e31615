import math

import numpy as np
import pytest

from drummix.effects.pan import pan, pan_gains
from drummix.errors import SettingError

POSITIONS = [-1.0, -0.6, -0.1, 0.0, 0.35, 1.0]


def test_constant_power_centre_is_3_db_down_on_both_sides():
    left, right = pan_gains(0.0)
    assert left == right == pytest.approx(math.sqrt(0.5), rel=1e-12)


def test_linear_centre_is_half_on_both_sides():
    assert pan_gains(0.0, law="linear") == (0.5, 0.5)


@pytest.mark.parametrize("position", POSITIONS)
def test_constant_power_keeps_the_summed_power(position):
    left, right = pan_gains(position)
    assert left**2 + right**2 == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("position", POSITIONS)
def test_linear_keeps_the_mono_sum(position):
    assert sum(pan_gains(position, law="linear")) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("law", ["constant_power", "linear"])
def test_hard_pan_is_exactly_silent_on_the_other_side(law):
    assert pan_gains(-1.0, law=law) == (1.0, 0.0)
    assert pan_gains(1.0, law=law) == (0.0, 1.0)


@pytest.mark.parametrize("law", ["constant_power", "linear"])
def test_positions_mirror_each_other(law):
    left, right = pan_gains(0.3, law=law)
    assert pan_gains(-0.3, law=law) == pytest.approx((right, left), rel=1e-12)


@pytest.mark.parametrize("shape", [(64,), (1, 64)])
def test_both_mono_shapes_give_the_track_times_the_gains(shape):
    track = np.linspace(-1, 1, 64, dtype=np.float32).reshape(shape)
    stereo = pan(track, 0.5)
    assert stereo.shape == (2, 64)
    assert stereo.dtype == np.float32
    expected = np.array(pan_gains(0.5), dtype=np.float32)[:, None] * track.reshape(1, -1)
    np.testing.assert_array_equal(stereo, expected)


@pytest.mark.parametrize(
    ("mono", "position", "law"),
    [
        (np.zeros((2, 8)), 0.0, "linear"),
        (np.zeros((1, 1, 8)), 0.0, "linear"),
        (np.zeros(8), 1.01, "linear"),
        (np.zeros(8), math.nan, "constant_power"),
        (np.zeros(8), "left", "constant_power"),
        (np.zeros(8), 0.0, "square"),
    ],
)
def test_wrong_input_raises_setting_error(mono, position, law):
    with pytest.raises(SettingError):
        pan(mono, position, law=law)
