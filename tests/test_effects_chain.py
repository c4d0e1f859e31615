import json

import numpy as np
import pytest

from drummix.effects.chain import EFFECTS, Chain, Effect
from drummix.effects.dynamics import compress, limit
from drummix.effects.eq import Band, equalise
from drummix.effects.pan import pan
from drummix.errors import SettingError

SETTINGS = {
    "gain": {"gain_db": -6.0, "invert": True},
    "pan": {"position": 0.3},
    "eq": {"bands": [{"kind": "peak", "frequency_hz": 400.0, "gain_db": -4.0, "q": 2.0}]},
    "gate": {
        "threshold_db": -30.0,
        "range_db": 20.0,
        "attack_ms": 0.2,
        "hold_ms": 30.0,
        "release_ms": 80.0,
    },
    "compress": {"threshold_db": -24.0, "ratio": 4.0, "attack_ms": 10.0, "release_ms": 100.0},
    "parallel_compress": {
        "wet_share": 0.4,
        "threshold_db": -35.0,
        "ratio": 10.0,
        "attack_ms": 1.0,
        "release_ms": 50.0,
        "makeup_db": 8.0,
    },
    "limit": {"ceiling_db": -6.0},
    "plate": {"wet_db": -12.0, "decay": 0.4, "predelay_ms": 20.0, "high_cut_hz": 6000.0},
}
RATES_HZ = [44_100, 48_000, 96_000]


def hits(n_channels: int, n_samples: int = 12_000) -> np.ndarray:
    rng = np.random.default_rng(2)
    decay = np.exp(-(np.arange(n_samples) % 4000) / 700)
    return (decay * rng.uniform(-1, 1, (n_channels, n_samples))).astype(np.float32)


def channel_counts(name: str) -> list[int]:
    return {"pan": [1], "plate": [1, 2]}.get(name, [1, 2, 5])


CASES = [(name, n) for name in EFFECTS for n in channel_counts(name)]


def test_every_effect_has_a_case_here():
    assert set(SETTINGS) == set(EFFECTS)


@pytest.mark.parametrize(("name", "n_channels"), CASES)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_silence_in_silence_out(name, n_channels, rate_hz):
    silence = np.zeros((n_channels, 3000), dtype=np.float32)
    processed = Effect(name, SETTINGS[name]).apply(silence, rate_hz)
    np.testing.assert_array_equal(processed, 0.0)


@pytest.mark.parametrize(("name", "n_channels"), CASES)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_result_is_new_finite_float32_of_the_same_length(name, n_channels, rate_hz):
    track = hits(n_channels)
    kept = track.copy()
    processed = Effect(name, SETTINGS[name]).apply(track, rate_hz)
    expected_channels = 2 if name in ("pan", "plate") else n_channels
    assert processed.shape == (expected_channels, track.shape[1])
    assert processed.dtype == np.float32
    assert np.isfinite(processed).all()
    assert not np.shares_memory(processed, track)
    np.testing.assert_array_equal(track, kept)


@pytest.mark.parametrize(("name", "n_channels"), CASES)
@pytest.mark.parametrize("n_samples", [0, 1, 2])
def test_tracks_of_hardly_any_samples_keep_their_length(name, n_channels, n_samples):
    track = np.full((n_channels, n_samples), 0.5, dtype=np.float32)
    assert Effect(name, SETTINGS[name]).apply(track, 44_100).shape[1] == n_samples


@pytest.mark.parametrize("name", EFFECTS)
def test_float64_input_gives_the_float32_result(name):
    track = hits(1)
    effect = Effect(name, SETTINGS[name])
    np.testing.assert_array_equal(
        effect.apply(track.astype(np.float64), 44_100), effect.apply(track, 44_100)
    )


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_changes_the_track(name):
    track = hits(1)
    assert np.abs(Effect(name, SETTINGS[name]).apply(track, 44_100) - track).max() > 1e-3


def test_a_chain_is_its_effects_one_after_another():
    chain = Chain("snare", tuple(Effect(name, SETTINGS[name]) for name in ("eq", "compress")))
    chain = Chain("snare", (*chain.effects, Effect("pan", {"position": -0.2})))
    chain = Chain("snare", (*chain.effects, Effect("limit", {"ceiling_db": -6.0})))
    track = hits(1)
    expected = equalise(track, 44_100, [Band("peak", 400.0, gain_db=-4.0, q=2.0)])
    expected = compress(expected, 44_100, **SETTINGS["compress"])
    expected = limit(pan(expected, -0.2), 44_100, ceiling_db=-6.0)
    np.testing.assert_array_equal(chain.apply(track, 44_100), expected)


def test_an_empty_chain_returns_an_equal_copy():
    track = hits(2)
    through = Chain("nothing").apply(track, 44_100)
    np.testing.assert_array_equal(through, track)
    assert not np.shares_memory(through, track)


def test_a_chain_survives_json_and_sounds_the_same():
    chain = Chain("all", tuple(Effect(name, SETTINGS[name]) for name in EFFECTS if name != "pan"))
    again = Chain.from_plain(json.loads(json.dumps(chain.to_plain())))
    assert again == chain
    track = hits(2)
    np.testing.assert_array_equal(again.apply(track, 48_000), chain.apply(track, 48_000))


def test_defaults_are_written_down():
    plain = Chain("bus", (Effect("limit", {"ceiling_db": -1.0}),)).to_plain()
    assert plain == {
        "name": "bus",
        "effects": [
            {"effect": "limit", "ceiling_db": -1.0, "release_ms": 100.0, "lookahead_ms": 2.0}
        ],
    }


def test_numpy_numbers_are_written_as_plain_ones():
    effect = Effect("gain", {"gain_db": np.float32(-1.5)})
    assert json.loads(json.dumps(effect.settings)) == {"gain_db": -1.5, "invert": False}


def test_later_changes_of_the_callers_settings_do_not_reach_the_effect():
    bands = [{"kind": "peak", "frequency_hz": 400.0}]
    effect = Effect("eq", {"bands": bands})
    bands.append({"kind": "low_pass", "frequency_hz": 100.0})
    assert len(effect.settings["bands"]) == 1


@pytest.mark.parametrize("invert", [True, False])
def test_gain_is_its_decibels_and_inverts_the_polarity_only_if_asked(invert):
    track = hits(2)
    louder = Effect("gain", {"gain_db": 20.0, "invert": invert}).apply(track, 44_100)
    np.testing.assert_allclose(louder, track * (-10.0 if invert else 10.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("reverb", {}, "name is 'reverb'"),
        (["gain"], {}, "name is"),
        ("gain", {"db": 3}, "settings of gain hold 'db'"),
        ("gain", {}, "settings of gain lack gain_db"),
        ("gain", {"gain_db": "loud"}, "gain_db"),
        ("gain", {"gain_db": True}, "gain_db"),
        ("gain", {"gain_db": 0.0, "invert": 1}, "hold invert = 1; use true or false"),
        ("gain", None, "settings of gain are None"),
        ("pan", {"position": 2.0}, "position is 2"),
        ("pan", {"position": 0.0, "law": ["linear"]}, "law is"),
        ("compress", {**SETTINGS["compress"], "sidechain": [[0.0]]}, "hold 'sidechain'"),
        ("compress", {**SETTINGS["compress"], "ratio": 0.5}, "ratio is 0.5"),
        ("limit", {"ceiling_db": None}, "ceiling_db is None"),
        ("plate", {"wet_db": -6.0, "decay": 2.0}, "decay is 2"),
        ("eq", {"bands": "peak"}, "expected a list"),
        ("eq", {"bands": [3]}, "expected a table"),
        ("eq", {"bands": [{"kind": "peak"}]}, r'bands\[0\] has no key "frequency_hz"'),
        (
            "eq",
            {"bands": [{"kind": "peak", "frequency_hz": 9.0, "width": 1}]},
            r"unknown key bands\[0\]\.width",
        ),
        ("eq", {"bands": [{"kind": [], "frequency_hz": 9.0}]}, "expected low_shelf"),
        ("eq", {"bands": [{"kind": "peak", "frequency_hz": None}]}, "frequency_hz is null"),
    ],
)
def test_unknown_missing_or_wrong_settings_raise_on_construction(name, settings, message):
    with pytest.raises(SettingError, match=message):
        Effect(name, settings)


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {"name": "x"},
        {"name": "x", "effects": [], "more": 1},
        {"name": 3, "effects": []},
        {"name": "x", "effects": "limit"},
        {"name": "x", "effects": ["limit"]},
        {"name": "x", "effects": [{"ceiling_db": -1}]},
    ],
)
def test_plain_data_of_another_shape_raises(plain):
    with pytest.raises(SettingError):
        Chain.from_plain(plain)


def test_the_message_says_which_effect_of_which_chain():
    plain = {
        "name": "bus",
        "effects": [
            {"effect": "gain", "gain_db": 0.0},
            {"effect": "limit", "ceiling_db": 900.0},
        ],
    }
    with pytest.raises(SettingError, match="effect 2 of chain 'bus': ceiling_db is 900"):
        Chain.from_plain(plain)


def test_a_frequency_too_high_for_the_rate_in_use_is_found_on_applying():
    effect = Effect("eq", {"bands": [{"kind": "low_pass", "frequency_hz": 30_000.0}]})
    assert effect.apply(hits(1), 96_000).shape == (1, 12_000)
    with pytest.raises(SettingError, match="frequency_hz is 30000"):
        effect.apply(hits(1), 44_100)
