"""Styles: written and read back, distrusted, cast onto other sessions, and mixed with."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import drummix
from drummix.audio import Audio
from drummix.effects.chain import Chain, Effect
from drummix.errors import SessionError, SettingError, TextFileError
from drummix.gain_staging import staged_gains
from drummix.levels import gain_to_db
from drummix.mixers.style import Style, StyleMic, read_style, taps_to_text
from drummix.mixers.style_bus import chain_blocks
from drummix.mixers.style_mixer import StyleMixer
from drummix.notices import Code, Notice
from drummix.roles import Role

RATE_HZ = 16_000
Signal = NDArray[np.float32]


def mic(role: Role, gain_db: float = 0.0, pan: float = 0.0, **settings: Any) -> StyleMic:
    flat = np.array([0.0, 1.0, 0.0, 0.0])
    plain: dict[str, Any] = {"left": flat, "right": flat, "is_learned": True}
    plain |= {"staged_gain_db": None, "facts": {"confidence": 1.0}, "source": f"{role}.wav"}
    return StyleMic(role=role, gain_db=gain_db, pan=pan, **(plain | settings))


def style(*mics: StyleMic, bus: tuple[Effect, ...] = (), rate_hz: int = RATE_HZ) -> Style:
    return Style("song", rate_hz, 1, mics, Chain("bus", bus), {"taps": 4})


def noise(n_samples: int = 8000, seed: int = 0) -> Signal:
    return (0.1 * np.random.default_rng(seed).standard_normal((1, n_samples))).astype(np.float32)


def mixed(source: dict[str, Signal], by: Style, rate_hz: int = RATE_HZ, **options: Any) -> Signal:
    stems = {name: Audio(samples, rate_hz) for name, samples in source.items()}
    session = drummix.open_session(stems)
    plan = StyleMixer(by, **({"levels": "as_recorded"} | options)).plan(session)
    return np.concatenate(list(plan.blocks()), axis=1)


def notices(source: dict[str, Signal], by: Style, **options: Any) -> tuple[Notice, ...]:
    session = drummix.open_session({k: Audio(v, RATE_HZ) for k, v in source.items()})
    return StyleMixer(by, **options).plan(session).notices


def new(name: str, role: str, how: str, *others: str) -> Notice:
    """A microphone that a style does not know and mixes all the same."""
    values = {"role": role, "how": how, "others": list(others)}
    return Notice(Code.STYLE_MICROPHONE_NEW, name, values)


def error_db(found: Signal, expected: Signal) -> float:
    difference = found.astype(np.float64) - expected
    return 10.0 * np.log10(np.sum(difference**2) / np.sum(expected.astype(np.float64) ** 2) + 1e-20)


# --- the file


def test_style_comes_back_from_its_file(tmp_path: Path) -> None:
    taps = np.random.default_rng(0).standard_normal(4)
    snare = mic(Role.SNARE, -3.25, 0.5, left=taps, staged_gain_db=4.5)
    wanted = style(snare, mic(Role.KICK), bus=(Effect("gain", {"gain_db": -1.0}),))
    found = read_style(wanted.save(tmp_path / "style.json"))
    assert found.to_plain() == wanted.to_plain()
    np.testing.assert_allclose(found.microphones[0].left, taps, rtol=1e-8)


def test_file_is_read_and_changed_by_hand(tmp_path: Path) -> None:
    path = style(mic(Role.KICK)).save(tmp_path / "style.json")
    plain = json.loads(path.read_text())
    plain["microphones"][0] |= {"gain_db": 6.0, "pan": 1.0}
    path.write_text(json.dumps(plain))
    kick = noise()
    expected = np.concatenate([np.zeros_like(kick), kick * 10 ** (6 / 20)])
    assert error_db(mixed({"kick": kick}, read_style(path)), expected) < -100.0


def test_taps_are_text_of_nine_digits() -> None:
    taps = np.random.default_rng(0).standard_normal(64)
    again = np.array([float(word) for word in taps_to_text(taps).split()])
    assert np.max(np.abs(again - taps)) < 1e-8 * np.max(np.abs(taps))


Damage = Callable[[dict[str, Any]], None]


def in_mic(**changes: Any) -> Damage:
    return lambda plain: plain["microphones"][0].update(changes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.pop("rate_hz"), 'it has no key "rate_hz"'),
        (lambda p: p.update(format="drummix style 9"), "drummix style 9"),
        (lambda p: p.update(extra=1), "unknown key extra; known: bus, format"),
        (lambda p: p.update(rate_hz=0), "rate_hz is 0"),
        (lambda p: p.update(rate_hz=44100.5), "whole number"),
        (lambda p: p.update(rate_hz=10**400), "rate_hz"),
        (lambda p: p.update(n_lead=4), "less than the 4 taps"),
        (
            lambda p: p.update(microphones=[]),
            "microphones has 0 entries; expected a list of 1 to 256 entries",
        ),
        (lambda p: p.update(microphones=7), "microphones is 7; expected a list"),
        (lambda p: p.update(learned=[]), "learned is a list; expected a table"),
        (lambda p: p.update(name=5), "name is 5; expected a text"),
        (lambda p: p.update(bus=[{"effect": "limit", "ceiling_db": -1.0}]), "limit on the bus"),
        (lambda p: p.update(bus=[{"effect": "plate", "wet_db": -9.0}]), "moves"),
        (lambda p: p.update(bus=[{"effect": "eval"}]), "unknown"),
        (in_mic(role="ignore"), "microphones[0]: role is ignore"),
        (in_mic(role=["kick"]), "role is"),
        (in_mic(gain_db="loud"), "microphones[0].gain_db is 'loud'"),
        (in_mic(plate_send_db=-6.0), "does not begin with a plate"),
        (in_mic(plate_send_db="much"), "plate_send_db is 'much'"),
        (in_mic(plate_send_db=99), "plate_send_db is 99"),
        (lambda p: p.update(plate_is_mirrored=True), "does not begin with a plate"),
        (lambda p: p.update(plate_is_mirrored=1), "plate_is_mirrored is 1"),
        (in_mic(gain_db=True), "gain_db is true"),
        (in_mic(pan=2), "pan is 2"),
        (in_mic(learned="yes"), "expected true or false"),
        (in_mic(left="1 2 three 4"), "three"),
        (in_mic(left="1 nan 3 4"), "beyond"),
        (in_mic(left="1e9 0 0 0"), "beyond"),
        (in_mic(left="1 2"), "2 and 4 taps"),
        (in_mic(left=" ".join(["1"] * 2000)), "1 to 1024"),
        (in_mic(left=[1, 2, 3, 4]), "left is a list; expected a text"),
        (
            in_mic(facts={"share": "much"}),
            "microphones[0].facts.share is 'much'; expected a number",
        ),
    ],
)
def test_damage_is_found_and_named(tmp_path: Path, damage: Damage, message: str) -> None:
    path = style(mic(Role.KICK)).save(tmp_path / "style.json")
    plain = json.loads(path.read_text())
    damage(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(TextFileError, match=r"style\.json") as caught:
        read_style(path)
    assert message in str(caught.value)
    assert str(caught.value).endswith("; learn it again with drummix match")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "RIFF\x00", '{"a": NaN}', "[" * 100_000, "7"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "style.json"
    path.write_text(text)
    with pytest.raises(TextFileError, match="learn it again with drummix match"):
        read_style(path)


def test_missing_file_and_wrong_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TextFileError, match="does not exist"):
        read_style(tmp_path / "none.json")
    with pytest.raises(SettingError, match=r"end the name of a style in"):
        style(mic(Role.KICK)).save(tmp_path / "style.wav")


# --- other sessions


def test_fader_pan_and_filter_are_what_the_mix_hears() -> None:
    kick = noise()
    taps = np.array([0.0, 1.0, -0.5, 0.25])
    by = style(mic(Role.KICK, -6.0, -0.5, left=taps))
    left = np.convolve(kick[0], taps)[1 : kick.shape[1] + 1] * np.sin(0.75 * np.pi / 2)
    right = kick[0] * np.sin(0.25 * np.pi / 2)
    expected = 10 ** (-6 / 20) * np.stack([left, right])
    assert error_db(mixed({"kick": kick}, by), expected) < -120.0


def test_tom_borrows_from_the_nearest_tom() -> None:
    by = style(mic(Role.KICK), mic(Role.TOM_MID, -6.0, 0.5), mic(Role.TOM_LOW, -9.0, -0.5))
    source = {"tom_high": noise()}
    expected = mixed({"tom_mid": noise()}, by)
    np.testing.assert_array_equal(mixed(source, by), expected)
    assert notices(source, by) == (
        new("tom_high", "tom_high", "other", "tom_mid"),
        *(Notice(Code.STYLE_MICROPHONE_MISSING, name) for name in ("kick", "tom_mid", "tom_low")),
    )


def test_overhead_borrows_the_other_side_mirrored() -> None:
    by = style(mic(Role.OVERHEAD_LEFT, -3.0, -0.8, left=np.array([0.5, 1.0, 0.0, 0.0])))
    left = mixed({"overhead_left": noise()}, by)
    np.testing.assert_allclose(mixed({"overhead_right": noise()}, by), left[::-1], atol=1e-7)


def test_mono_overhead_is_the_mean_of_both_sides() -> None:
    by = style(mic(Role.OVERHEAD_LEFT, -3.0, -1.0), mic(Role.OVERHEAD_RIGHT, -3.0, 1.0))
    pair = mixed({"overhead_left": noise(), "overhead_right": noise()}, by)
    mono = mixed({"overhead_mono": noise()}, by)
    assert error_db(mono, 0.5 * pair) < -100.0


def test_second_microphone_on_a_drum_is_left_out_and_said() -> None:
    by = style(mic(Role.KICK))
    source = {"kick": noise(), "kick_out": noise(seed=1), "room_mono": noise(seed=2)}
    np.testing.assert_array_equal(mixed(source, by), mixed({"kick": noise()}, by))
    said = notices(source, by)
    left_out = {n.about: n.values for n in said if n.code is Code.STYLE_MICROPHONE_UNKNOWN}
    assert left_out["kick_out"]["how"] == "left_out_beside"
    assert left_out["kick_out"]["others"] == ["kick"]
    assert left_out["room_mono"]["how"] == "left_out_unlike"


def test_only_microphone_on_a_drum_borrows() -> None:
    by = style(mic(Role.KICK, -6.0))
    np.testing.assert_array_equal(mixed({"kick_out": noise()}, by), mixed({"kick": noise()}, by))


def test_microphone_that_was_not_learned_counts_as_unknown() -> None:
    by = style(mic(Role.TOM_LOW, -90.0, is_learned=False), mic(Role.TOM_MID, -6.0))
    np.testing.assert_array_equal(mixed({"tom_low": noise()}, by), mixed({"tom_mid": noise()}, by))


def test_tom_that_rests_in_both_songs_keeps_how_its_bleed_was_mixed() -> None:
    by = style(mic(Role.KICK), mic(Role.TOM_LOW, -20.0, is_learned=False), mic(Role.TOM_MID))
    envelope = np.exp(-np.arange(8000) % 2000 / -300.0).astype(np.float32)
    kick = noise() * envelope
    bleed = mixed({"kick": kick, "tom_low": 0.01 * kick}, by)
    expected = kick * (1.0 + 0.01 * 10 ** (-20 / 20)) * np.sqrt(0.5)
    assert error_db(bleed, np.repeat(expected, 2, axis=0)) < -100.0


def test_tom_nothing_is_known_of_is_flat_in_the_centre() -> None:
    by = style(mic(Role.KICK, -6.0, 0.5), mic(Role.SNARE, -8.0, -0.5))
    tom = noise()
    expected = np.repeat(tom * 10 ** (-7 / 20) * np.sqrt(0.5), 2, axis=0)
    assert error_db(mixed({"tom_low": tom}, by), expected) < -100.0
    assert new("tom_low", "tom_low", "flat") in notices({"tom_low": tom}, by)


def test_session_the_style_knows_nothing_of_is_refused() -> None:
    with pytest.raises(SessionError, match=r"has room_mono.*mixes kick"):
        mixed({"room_mono": noise()}, style(mic(Role.KICK)))


# --- what the plate hears

PLATE = Effect("plate", {"wet_db": -6.0, "decay": 0.3, "size": 0.4, "excursion_samples": 0.0})


def returned(mono: Signal) -> Signal:
    """What the plate adds for a mono send."""
    return PLATE.apply(mono, RATE_HZ) - mono


def test_plate_hears_what_is_sent_after_fader_and_pan() -> None:
    source = {"kick": noise(), "snare": noise(seed=1), "hihat": noise(seed=2)}
    mics = (
        mic(Role.KICK, plate_send_db=None),
        mic(Role.SNARE, -6.0, 0.5, plate_send_db=3.0),
        mic(Role.HIHAT, -9.0, -1.0),
    )
    dry = mixed(source, style(*mics))
    fader, angle = 10 ** (-6 / 20), 1.5 * np.pi / 4
    snare = 10 ** (3 / 20) * fader * (np.sin(angle) + np.cos(angle)) / 2 * source["snare"]
    hihat = 10 ** (-9 / 20) / 2 * source["hihat"]
    expected = dry + returned((snare + hihat).astype(np.float32))
    wet = mixed(source, style(*mics, bus=(PLATE,)))
    assert error_db(wet - dry, expected - dry) < -90.0
    mirrored = mixed(source, replace(style(*mics, bus=(PLATE,)), plate_is_mirrored=True))
    assert error_db((mirrored - dry)[::-1], expected - dry) < -90.0


def test_style_without_sends_has_a_plate_that_hears_the_sum(tmp_path: Path) -> None:
    path = style(mic(Role.KICK, -3.0), mic(Role.SNARE, pan=0.5), bus=BUS).save(
        tmp_path / "style.json"
    )
    plain = json.loads(path.read_text())
    for entry in plain["microphones"]:
        assert entry.pop("plate_send_db") == 0.0
    assert plain.pop("plate_is_mirrored") is False
    path.write_text(json.dumps(plain))
    source = {"kick": noise(), "snare": noise(seed=1)}
    dry = mixed(source, replace(read_style(path), bus=Chain("bus")))
    expected = Chain("bus", BUS).apply(dry, RATE_HZ)
    assert error_db(mixed(source, read_style(path)), expected) < -90.0


def test_sends_come_back_from_the_file_and_stand_in_the_settings(tmp_path: Path) -> None:
    mics = (mic(Role.KICK, plate_send_db=None), mic(Role.SNARE, plate_send_db=-2.5))
    wanted = replace(style(*mics, bus=(PLATE,)), plate_is_mirrored=True)
    found = read_style(wanted.save(tmp_path / "style.json"))
    assert [entry.plate_send_db for entry in found.microphones] == [None, -2.5]
    assert found.plate_is_mirrored
    settings = drummix.mix({"snare": Audio(noise(), RATE_HZ)}, style=found).settings["mixer"]
    assert settings["microphones"][0]["plate_send_db"] == -2.5
    assert settings["plate_is_mirrored"] is True


def test_borrowed_microphones_send_as_those_they_are_mixed_as() -> None:
    sides = (
        mic(Role.OVERHEAD_LEFT, pan=-1.0, plate_send_db=None),
        mic(Role.OVERHEAD_RIGHT, pan=1.0, plate_send_db=0.0),
    )
    by = style(mic(Role.TOM_MID, plate_send_db=-4.0), *sides, bus=(PLATE,))
    low = mixed({"tom_low": noise()}, by)
    np.testing.assert_array_equal(low, mixed({"tom_mid": noise()}, by))
    plan = StyleMixer(by).plan(drummix.open_session({"overhead_mono": Audio(noise(), RATE_HZ)}))
    [entry] = plan.settings["microphones"]
    assert entry["plate_send_db"] == pytest.approx(20 * np.log10(0.5), abs=0.01)


# --- levels


def leveled(gain_db: float, levels: str) -> tuple[Signal, tuple[Notice, ...]]:
    """A kick recorded that much louder than the example, and what is said about it."""
    kick = noise()
    staged_db = float(gain_to_db(staged_gains(kick, [Role.KICK], RATE_HZ).astype(float))[0])
    by = style(mic(Role.KICK, staged_gain_db=staged_db))
    source = {"kick": kick * np.float32(10 ** (gain_db / 20))}
    return mixed(source, by, levels=levels), notices(source, by, levels=levels)


def test_match_undoes_another_preamp_gain() -> None:
    plain, _ = leveled(0.0, "as_recorded")
    matched, said = leveled(7.0, "match")
    assert error_db(matched, plain) < -60.0  # gains are rounded to 0.001 dB
    [level] = said
    assert (level.about, level.values["reason"]) == ("kick", "example")
    assert level.values["gain_db"] == pytest.approx(-7.0, abs=0.05)


def test_as_recorded_lets_levels_through() -> None:
    plain, _ = leveled(0.0, "as_recorded")
    louder, said = leveled(30.0, "as_recorded")
    assert error_db(louder, plain * np.float32(10**1.5)) < -100.0
    assert said == ()


@pytest.mark.parametrize(("gain_db", "is_matched"), [(6.0, False), (-9.0, False), (14.0, True)])
def test_auto_matches_only_levels_of_another_session(gain_db: float, is_matched: bool) -> None:
    plain, _ = leveled(0.0, "as_recorded")
    found, said = leveled(gain_db, "auto")
    change_db = 10.0 * np.log10(np.sum(found**2.0) / np.sum(plain**2.0))
    assert change_db == pytest.approx(0.0 if is_matched else gain_db, abs=0.01)
    assert [level.values["reason"] for level in said] == ["preamps"] * is_matched


def test_drum_that_is_not_played_does_not_become_as_loud_as_one_that_is() -> None:
    names = ("kick", "snare", "overhead_left")
    tracks = {name: noise(seed=seed) for seed, name in enumerate(names)}
    roles = [Role(name) for name in names]
    gains = staged_gains(np.concatenate(list(tracks.values())), roles, RATE_HZ).astype(float)
    staged_db = gain_to_db(gains)
    by = style(*(mic(r, staged_gain_db=float(g)) for r, g in zip(roles, staged_db, strict=True)))
    quiet = tracks | {"kick": 0.01 * tracks["kick"]}
    said = notices(quiet, by, levels="match")
    assert said == ()  # 40 dB less kick is no other preamp: nothing is changed
    [level] = notices(tracks | {"kick": 0.1 * tracks["kick"]}, by, levels="match")
    assert (level.code, level.about) == (Code.LEVEL_SET, "kick")
    assert level.values["gain_db"] == pytest.approx(20.0, abs=0.05)


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(SettingError, match="levels is 'loud'"):
        StyleMixer(style(mic(Role.KICK)), levels="loud")  # type: ignore[arg-type]


# --- the stream

BUS = (
    Effect("plate", {"wet_db": -12.0, "decay": 0.6, "excursion_samples": 0.0}),
    Effect(
        "compress",
        {"threshold_db": -20.0, "ratio": 4.0, "attack_ms": 5.0, "release_ms": 150.0},
    ),
    Effect("eq", {"bands": [{"kind": "low_shelf", "frequency_hz": 100.0, "gain_db": 2.0}]}),
)


@pytest.mark.parametrize("rate_hz", [8000, 11_025])
@pytest.mark.parametrize(
    ("effects", "n_block"),
    [(BUS, 160_000), (BUS, 333), (BUS[:1], 5000), (BUS[1:2], 5000), (BUS[2:], 5000)],
)
def test_bus_in_pieces_equals_one_pass(
    effects: tuple[Effect, ...], n_block: int, rate_hz: int
) -> None:
    # Long enough for pieces that know only a part of the past; loud strokes, then quiet below the
    # threshold, where nothing but the release makes a compressor forget.
    stereo = np.repeat(noise(22 * rate_hz + 77), 2, axis=0)
    since_quiet_s = (np.arange(stereo.shape[1]) / rate_hz - 1.0) % 2.0
    stereo *= np.where(since_quiet_s > 1.75, 3.0, 0.3)
    stereo = stereo.astype(np.float32)
    chain = Chain("bus", effects)
    blocks = (stereo[:, at : at + n_block] for at in range(0, stereo.shape[1], n_block))
    found = np.concatenate(list(chain_blocks(blocks, chain, rate_hz, piece_s=1.0)), axis=1)
    assert found.shape == stereo.shape
    assert error_db(found, chain.apply(stereo, rate_hz)) < -100.0


def test_mix_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    by = style(mic(Role.KICK, -6.0, left=np.array([0.2, 1.0, -0.5, 0.25])), bus=BUS)
    whole = mixed({"kick": noise(40_000)}, by)
    monkeypatch.setattr("drummix.mixers.style_mixer.BLOCK_SAMPLES", 1001)
    assert error_db(mixed({"kick": noise(40_000)}, by), whole) < -100.0


@pytest.mark.parametrize("rate_hz", [22_050, 48_000])
def test_session_at_another_rate_is_mixed_at_its_own(rate_hz: int) -> None:
    times = np.arange(rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 500.0 * times)[np.newaxis].astype(np.float32)
    # A first difference: what it does to 500 Hz depends on the rate it runs at.
    by = style(mic(Role.KICK, left=np.array([0.0, 1.0, -1.0, 0.0])))
    left = mixed({"kick": tone}, by, rate_hz)[0]
    assert left.shape == (rate_hz,)
    level = np.sqrt(2.0 * np.mean(left[2000:-2000] ** 2.0))
    assert level == pytest.approx(np.sqrt(0.5) * 2 * np.sin(np.pi * 500.0 / RATE_HZ), rel=1e-3)


def test_mix_takes_a_style_in_place_of_a_system(tmp_path: Path) -> None:
    source = {"kick": Audio(noise(), RATE_HZ)}
    path = style(mic(Role.KICK, -6.0)).save(tmp_path / "style.json")
    by_file = drummix.mix(source, style=path)
    assert by_file.settings["system"] == "style"
    assert by_file.settings["mixer"]["microphones"][0]["gain_db"] == -6.0
    by_object = drummix.mix(source, style=read_style(path))
    np.testing.assert_array_equal(by_file.audio.samples, by_object.audio.samples)


@pytest.mark.parametrize(
    "options",
    [
        {"system": "unity"},
        {"weights": "somewhere"},
        {"paper_segments": True},
        {"as_recorded": True, "match_levels": True},
    ],
)
def test_options_without_a_meaning_beside_a_style_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        drummix.mix({"kick": Audio(noise(), RATE_HZ)}, style=style(mic(Role.KICK)), **options)
    with pytest.raises(SettingError, match="give style"):
        drummix.mix({"kick": Audio(noise(), RATE_HZ)}, match_levels=True)
