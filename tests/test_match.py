"""Match: a mix of known gains and filters gives a style that mixes other songs the same way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal
from typer.testing import CliRunner

import drummix
import made
from drummix import audio
from drummix.audio import Audio
from drummix.cli import app
from drummix.effects.chain import Chain, Effect
from drummix.effects.plate import plate
from drummix.errors import AudioFileError, SessionError, SettingError
from drummix.matching import Match, check_style, draw_style, match
from drummix.matching.bus import Excerpt, no_bus, residual_db, search_bus
from drummix.matching.describing import split, tilt_db_per_octave
from drummix.matching.example import flat_tops, is_clipped, look_through, open_mix
from drummix.matching.plates import find_plate
from drummix.mixers.style import Style
from drummix.notices import Code, Notice
from drummix.roles import Role

RATE_HZ = 16_000
N_SAMPLES = 6 * RATE_HZ
NAMES = ("kick", "snare", "tom_mid", "tom_low", "overhead_left", "overhead_right")
Stems = NDArray[np.float32]

FADERS = np.array([[0.7, 0.5, 0.2, 0.5, 0.9, 0.05], [0.7, 0.6, 0.6, 0.1, 0.05, 0.8]])
SHELF = {"overhead_left": 0.5, "overhead_right": 0.5}
"""Pre-emphasis of the cymbals: y[n] = x[n] - 0.5 x[n-1]."""


def song(seed: int, *, is_struck: bool = True) -> Stems:
    """Six microphones: strokes at their own times, with bleed and noise; tom_low may rest."""
    rng = np.random.default_rng(seed)
    close = np.zeros((4, N_SAMPLES))
    for row, (length_s, cutoff) in zip(
        close, ((0.1, 0.1), (0.06, 0.7), (0.12, 0.2), (0.15, 0.15)), strict=True
    ):
        sections = signal.butter(2, cutoff, output="sos")
        for onset in np.sort(rng.uniform(0.1, 5.6, 9) * RATE_HZ).astype(int):
            n_stroke = min(N_SAMPLES - onset, int(5 * length_s * RATE_HZ))
            decay = np.exp(-np.arange(n_stroke) / (length_s * RATE_HZ))
            stroke = signal.sosfilt(sections, rng.standard_normal(n_stroke) * decay)
            row[onset : onset + n_stroke] += rng.uniform(0.3, 0.9) * stroke
    if not is_struck:
        close[3] = 0.0
    overheads = np.array([[0.3, 0.5, 0.4, 0.2], [0.3, 0.4, 0.2, 0.5]]) @ close
    overheads += 0.02 * rng.standard_normal(overheads.shape)
    bled = close + 0.03 * np.roll(close.sum(axis=0), 20) + 1e-4 * rng.standard_normal(close.shape)
    return (0.3 * np.concatenate([bled, overheads])).astype(np.float32)


def mix_of(stems: Stems) -> NDArray[np.float64]:
    """The mix of this studio's engineer."""
    toned = stems.astype(np.float64)
    toned[4:, 1:] -= 0.5 * toned[4:, :-1]
    return FADERS @ toned


def source(stems: Stems, rate_hz: int = RATE_HZ) -> dict[str, Audio]:
    return {name: Audio(row[np.newaxis], rate_hz) for name, row in zip(NAMES, stems, strict=True)}


def learned(stems: Stems, mix: Any, rate_hz: int = RATE_HZ, **options: Any) -> Match:
    heard = Audio(np.asarray(mix, dtype=np.float32), rate_hz)
    return match(source(stems), heard, **({"max_taps": 32, "with_bus": False} | options))


def transfer_db(found: Match, seed: int = 2, **options: Any) -> float:
    """SI-SDR of the style on another song."""
    other = song(seed)
    heard = Audio(mix_of(other).astype(np.float32), RATE_HZ)
    return check_style(found.style, source(other), heard, **options).si_sdr_db


@pytest.fixture(scope="module")
def plain() -> Match:
    return learned(song(1), mix_of(song(1)))


# --- what is learned


def test_style_of_one_song_mixes_another_as_its_engineer_does(plain: Match) -> None:
    assert transfer_db(plain) > 80.0
    assert plain.notices == ()


def test_faders_pans_and_tilts_are_those_of_the_mix(plain: Match) -> None:
    mics = {mic.role: mic for mic in plain.style.microphones}
    for index, name in enumerate(NAMES[:4]):
        left, right = FADERS[:, index]
        found = mics[Role(name)]
        assert found.gain_db == pytest.approx(20 * np.log10(np.hypot(left, right)), abs=0.05)
        assert found.pan == pytest.approx(4 / np.pi * np.arctan2(right, left) - 1, abs=0.01)
        assert found.facts["tilt_db_per_octave"] == pytest.approx(0.0, abs=0.1)
        assert found.facts["confidence"] > 0.99
    assert mics[Role.OVERHEAD_LEFT].facts["tilt_db_per_octave"] > 0.5


def test_no_more_taps_than_needed_are_taken(plain: Match) -> None:
    assert plain.style.n_taps == 8
    stems = song(1)
    assert learned(stems, FADERS @ stems).style.n_taps == 1


def test_check_gives_the_best_static_gains_of_the_other_song(plain: Match) -> None:
    other = song(2)
    wanted = mix_of(other)
    found = check_style(plain.style, source(other), Audio(wanted.astype(np.float32), RATE_HZ))
    gains = np.linalg.lstsq(other.T.astype(np.float64), wanted.T, rcond=None)[0].T
    made = gains @ other
    scaled = np.vdot(made, wanted) / np.vdot(wanted, wanted) * wanted
    expected = 10 * np.log10(np.sum(scaled**2) / np.sum((made - scaled) ** 2))
    assert found.static_si_sdr_db == pytest.approx(expected, abs=0.01)
    assert found.gain_db == pytest.approx(0.0, abs=0.01)


def test_tom_that_is_never_struck_is_mixed_as_the_other_tom_where_it_is() -> None:
    stems = song(1, is_struck=False)
    noise = 0.003 * np.random.default_rng(5).standard_normal((2, N_SAMPLES))
    found = learned(stems, mix_of(stems) + noise)
    assert [mic.role for mic in found.style.microphones if not mic.is_learned] == ["tom_low"]
    assert Notice(Code.MICROPHONE_NOT_LEARNED, "tom_low") in found.notices
    heard = Audio(mix_of(song(2)).astype(np.float32), RATE_HZ)
    check = check_style(found.style, source(song(2)), heard)
    [new] = [one for one in check.notices if one.code is Code.STYLE_MICROPHONE_NEW]
    assert (new.about, new.values["others"]) == ("tom_low", ["tom_mid"])


def test_silent_stem_is_not_learned() -> None:
    stems = song(1)
    stems[3] = 0.0
    found = learned(stems, mix_of(stems))
    assert [mic.is_learned for mic in found.style.microphones] == [True] * 3 + [False] + [True] * 2
    assert np.isfinite(transfer_db(found))


def test_taps_out_of_range_are_refused() -> None:
    for taps in (0, 1025):
        with pytest.raises(SettingError, match="taps"):
            learned(song(1), mix_of(song(1)), max_taps=taps)


# --- how mix and stems lie to each other


@pytest.mark.parametrize("offset", [0, 1, 803, 20_011, -4567, -30_000])
def test_constant_offset_is_found_to_the_sample(offset: int) -> None:
    stems = song(1)
    mix = mix_of(stems)
    moved = np.pad(mix, ((0, 0), (offset, 0))) if offset >= 0 else mix[:, -offset:]
    found = learned(stems, moved)
    assert found.style.learned["offset_samples"] == offset
    assert transfer_db(found) > 60.0
    apart = [n.values["mix_late_ms"] for n in found.notices if n.code is Code.MIX_STARTS_APART]
    expected_ms = [pytest.approx(-1000.0 * offset / RATE_HZ, abs=1e-3)] if offset else []
    assert apart == expected_ms


def test_edits_at_the_ends_are_left_out() -> None:
    stems = song(1)
    mix = mix_of(stems)
    rng = np.random.default_rng(3)
    # Something else at the beginning, a fade at the end, and cut before the song is over.
    mix[:, :RATE_HZ] = 0.2 * rng.standard_normal((2, RATE_HZ))
    mix[:, 4 * RATE_HZ : 5 * RATE_HZ] *= np.linspace(1.0, 0.0, RATE_HZ)
    found = learned(stems, mix[:, : 5 * RATE_HZ])
    assert found.style.learned["from_s"] == pytest.approx(1.0, abs=0.51)
    assert found.style.learned["to_s"] == pytest.approx(4.0, abs=0.76)
    assert Code.MIX_MATCHES_IN_PART in made.codes(found.notices)
    assert transfer_db(found) > 25.0


def test_mix_longer_than_the_stems_is_fine() -> None:
    stems = song(1)
    assert transfer_db(learned(stems, np.pad(mix_of(stems), ((0, 0), (0, RATE_HZ))))) > 60.0


def test_mix_at_another_rate_is_resampled() -> None:
    stems = song(1)
    resampled = audio.resample(mix_of(stems), RATE_HZ, 22_050)
    found = learned(stems, resampled, 22_050)
    assert found.style.rate_hz == RATE_HZ
    assert Code.MIX_RESAMPLED in made.codes(found.notices)
    # The resamplers' own filters take the top of the band away; static gains reach 14 dB.
    assert transfer_db(found) > 25.0


def test_mono_mix_puts_all_in_the_centre() -> None:
    stems = song(1)
    found = learned(stems, mix_of(stems).mean(axis=0, keepdims=True))
    assert [mic.pan for mic in found.style.microphones] == pytest.approx([0.0] * 6, abs=1e-9)
    assert Code.MIX_IS_MONO in made.codes(found.notices)


def test_clipped_samples_do_not_bend_the_filters() -> None:
    stems = song(1)
    mix = mix_of(stems)
    flat = np.clip(mix / (0.3 * np.max(np.abs(mix))), -1.0, 1.0).astype(np.float32)
    assert 100 < is_clipped(flat, 1.0).sum() < 0.02 * flat.size
    found = learned(stems, flat)
    assert Code.MIX_CLIPPED in made.codes(found.notices)
    # Resampled, the flat tops are no longer flat, and nothing can be repaired.
    as_it_is = learned(stems, audio.resample(flat, RATE_HZ, 22_050), 22_050)
    assert transfer_db(found) > transfer_db(as_it_is) + 6.0


def test_a_flat_top_has_three_equal_loud_samples() -> None:
    row = np.array([[0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5, -0.8, -0.8, -0.8]])
    assert np.flatnonzero(flat_tops(row)).tolist() == [3, 4, 5, 6, 9, 10, 11]


def test_clipping_is_a_flat_top_at_the_peak() -> None:
    tone = np.sin(np.arange(RATE_HZ) / 7.0)[np.newaxis].astype(np.float32)
    clean = look_through(open_mix(Audio(0.9 * tone, RATE_HZ)))
    assert (clean.n_clipped, clean.ceiling) == (0, np.inf)
    cut = np.clip(tone, -0.5, 0.5)
    found = look_through(open_mix(Audio(cut, RATE_HZ)))
    assert found.ceiling == 0.5
    # A sample may lie within a rounding of the flat top without having been cut.
    assert found.n_clipped == pytest.approx(np.sum(np.abs(tone) >= 0.5), abs=3)


# --- what does not belong together


def test_mix_of_another_take_is_refused_with_the_figure() -> None:
    with pytest.raises(SessionError, match=r"is no mix of the stems in .*: .*(%|s of it match)"):
        learned(song(1), mix_of(song(7)))


def test_noise_is_refused() -> None:
    with pytest.raises(SessionError, match="is no mix of the stems"):
        learned(song(1), 0.1 * np.random.default_rng(0).standard_normal((2, N_SAMPLES)))


def test_silent_short_and_many_channel_mixes_are_refused(tmp_path: Path) -> None:
    stems = song(1)
    with pytest.raises(SessionError, match="is silent"):
        learned(stems, np.zeros((2, N_SAMPLES)))
    with pytest.raises(SessionError, match=r"is 0\.50 s long"):
        learned(stems, mix_of(stems)[:, : RATE_HZ // 2])
    with pytest.raises(SessionError, match="has 3 channels"):
        learned(stems, np.ones((3, N_SAMPLES)))
    with pytest.raises(AudioFileError, match="cannot be read"):
        match(source(stems), tmp_path / "none.wav")
    broken = mix_of(stems)
    broken[0, 5] = np.nan
    with pytest.raises(AudioFileError, match="not a number"):
        learned(stems, broken)


# --- the bus


def excerpts(monos: Stems, wanted: NDArray[np.floating]) -> tuple[Excerpt, Excerpt]:
    """Two stretches of microphones in the centre and of their mix."""
    half = N_SAMPLES // 2
    dry = np.repeat(monos.sum(axis=0, keepdims=True), 2, axis=0)
    tried, judged = (
        Excerpt(RATE_HZ, dry[:, at], wanted[:, at].astype(np.float32), monos[:, at])
        for at in (slice(0, half), slice(half, 2 * half))
    )
    return tried, judged


def drawn_plate(seed: int) -> dict[str, float]:
    """Settings of a plate that lie on no grid."""
    rng = np.random.default_rng(seed)
    return {
        "size": rng.uniform(0.25, 1.0),
        "decay": rng.uniform(0.1, 0.8),
        "damping": rng.uniform(0.0, 0.3),
        "predelay_ms": rng.uniform(0.0, 100.0),
        "low_cut_hz": rng.uniform(50.0, 300.0),
        "high_cut_hz": rng.uniform(2500.0, 6000.0),
        "excursion_samples": 0.0,
    }


@pytest.mark.parametrize("seed", [2, 3])
def test_plate_of_drawn_settings_is_found(seed: int) -> None:
    drawn = drawn_plate(seed)
    monos = song(seed)[:4]
    sends = np.array([0.0, 1.0, 0.7, 0.0])
    sent = (0.5 * sends @ monos).astype(np.float32)[np.newaxis]
    wet = plate(sent, RATE_HZ, **drawn)[:: -1 if seed == 3 else 1]
    rest = np.random.default_rng(seed).standard_normal(wet.shape) * np.sqrt(np.mean(wet**2))
    # As much of anything else in the residual as there is of the plate.
    found = find_plate(monos, wet + rest, RATE_HZ)
    assert found is not None
    assert found.is_mirrored == (seed == 3)
    # A tenth of a percent of the last lag looked at, 0.45 s, is a period at 2 kHz.
    assert found.settings.size == pytest.approx(drawn["size"], rel=5e-4)
    assert found.settings.predelay_ms == pytest.approx(drawn["predelay_ms"], abs=0.1)
    assert found.sends == pytest.approx(0.5 * sends, abs=0.04)
    again = (found.sends @ monos).astype(np.float32)[np.newaxis]
    made = plate(again, RATE_HZ, **found.settings.to_plain(RATE_HZ))
    error = made[:: -1 if seed == 3 else 1] - wet
    assert np.sum(error**2) < 10 ** (-20 / 10) * np.sum(wet**2)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_plate_is_found_where_there_is_none(seed: int) -> None:
    monos = song(seed)[:4]
    squeeze = {"threshold_db": -30.0, "ratio": 4.0, "attack_ms": 10.0, "release_ms": 150.0}
    dry = np.repeat(monos.sum(axis=0, keepdims=True), 2, axis=0)
    rest = Effect("compress", squeeze).apply(dry, RATE_HZ) - 0.8 * dry
    assert find_plate(monos, rest, RATE_HZ) is None
    noise = np.random.default_rng(seed).standard_normal(dry.shape)
    assert find_plate(monos, noise, RATE_HZ) is None
    assert find_plate(monos, np.zeros_like(dry), RATE_HZ) is None


def test_compressor_and_plate_on_the_bus_are_found() -> None:
    monos = song(1)[:2]
    dry = np.repeat(monos.sum(axis=0, keepdims=True), 2, axis=0)
    squeeze = {"threshold_db": -20.0, "ratio": 3.0, "attack_ms": 10.0, "release_ms": 150.0}
    wet = Effect("plate", {"wet_db": -10.0, **drawn_plate(1)})
    parts = excerpts(monos, Chain("bus", (wet, Effect("compress", squeeze))).apply(dry, RATE_HZ))
    found = search_bus(*parts)
    assert [effect.name for effect in found.chain.effects][:2] == ["plate", "compress"]
    assert residual_db(parts[1], found) < residual_db(parts[1], no_bus(2)) - 6.0


def test_plate_that_hears_the_sum_has_all_sends_at_zero() -> None:
    monos = song(1)[:4]
    dry = np.repeat(monos.sum(axis=0, keepdims=True), 2, axis=0)
    wet = Effect("plate", {"wet_db": -10.0, **drawn_plate(2)})
    noise = 1e-3 * np.random.default_rng(0).standard_normal(dry.shape)
    found = search_bus(*excerpts(monos, wet.apply(dry, RATE_HZ) + noise))
    assert found.sends_db == (0.0,) * 4
    assert found.chain.effects[0].settings["wet_db"] == pytest.approx(-10.0, abs=0.5)


def test_bus_that_does_nothing_is_left_out() -> None:
    monos = song(1)[:2]
    dry = np.repeat(monos.sum(axis=0, keepdims=True), 2, axis=0)
    noise = 0.01 * np.random.default_rng(0).standard_normal(dry.shape)
    assert search_bus(*excerpts(monos, dry + noise)).chain.effects == ()


def wet_mix(stems: Stems) -> NDArray[np.floating]:
    """This studio's mix with a plate that hears the snare and the toms, and a compressor."""
    panned = 0.5 * FADERS.sum(axis=0)[:, np.newaxis] * stems
    sent = panned[1:4].sum(axis=0, keepdims=True).astype(np.float32)
    wet = plate(sent, RATE_HZ, **(drawn_plate(4) | {"predelay_ms": 12.3}))
    squeeze = {"threshold_db": -24.0, "ratio": 3.0, "attack_ms": 1.0, "release_ms": 80.0}
    return Effect("compress", squeeze).apply(mix_of(stems) + 0.4 * wet, RATE_HZ)


def test_learned_bus_brings_another_song_nearer() -> None:
    with_bus, without = (
        learned(song(1), wet_mix(song(1)), with_bus=is_on) for is_on in (True, False)
    )
    style = with_bus.style
    assert [effect.name for effect in style.bus.effects][:2] == ["plate", "compress"]
    assert [mic.plate_send_db is None for mic in style.microphones] == [
        name not in ("snare", "tom_mid", "tom_low") for name in NAMES
    ]
    sending = ["snare", "tom_mid", "tom_low"]
    assert Notice(Code.PLATE_SENDS_FOUND, values={"microphones": sending}) in with_bus.notices
    again = Style.from_plain(json.loads(json.dumps(style.to_plain())))
    heard = Audio(wet_mix(song(2)).astype(np.float32), RATE_HZ)
    figures = [check_style(by, source(song(2)), heard).si_sdr_db for by in (again, without.style)]
    assert figures[0] > figures[1] + 6.0


def test_dry_mix_gets_no_bus() -> None:
    assert learned(song(1), mix_of(song(1)), with_bus=True).style.bus.effects == ()


# --- what a person reads


def test_split_gives_back_what_it_was_given() -> None:
    taps = np.random.default_rng(0).standard_normal((2, 8))
    gain_db, pan, unit = split(taps, np.sqrt(np.sum(taps**2, axis=1)), 2)
    angle = (pan + 1.0) * np.pi / 4.0
    both = 10 ** (gain_db / 20) * np.array([[np.cos(angle)], [np.sin(angle)]]) * unit
    np.testing.assert_allclose(both, taps, atol=1e-12)


def test_hard_panned_microphone_keeps_a_filter_for_the_other_side() -> None:
    taps = np.array([[0.5, 0.0], [0.0, 0.0]])
    gain_db, pan, unit = split(taps, np.array([0.5, 0.0]), 0)
    assert (gain_db, pan) == (pytest.approx(20 * np.log10(0.5)), -1.0)
    assert unit.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_tilt_of_a_first_difference_is_6_db_an_octave() -> None:
    difference = np.array([[1.0, -1.0]])
    tilt = tilt_db_per_octave(difference, 192_000, np.ones(129))
    assert tilt == pytest.approx(6.02, abs=0.05)


def test_picture_is_a_png(plain: Match, tmp_path: Path) -> None:
    path = draw_style(plain.style, tmp_path / "style.png")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(SettingError, match=r"end it in \.png"):
        draw_style(plain.style, tmp_path / "style.jpg")


# --- the command line


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs of a studio with their mixes, as files."""
    folder = tmp_path_factory.mktemp("studio")
    for seed in (1, 2):
        stems = song(seed)
        (folder / f"song{seed}").mkdir()
        for name, row in zip(NAMES, stems, strict=True):
            track = Audio(row[np.newaxis], RATE_HZ)
            audio.write(folder / f"song{seed}" / f"{name}.wav", track, subtype="FLOAT")
        heard = Audio((0.5 * mix_of(stems)).astype(np.float32), RATE_HZ)
        audio.write(folder / f"mix{seed}.wav", heard, subtype="FLOAT")
    return folder


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_command_learns_checks_draws_and_the_style_mixes(studio: Path, tmp_path: Path) -> None:
    style, picture = tmp_path / "style.json", tmp_path / "style.png"
    command = ["match", "--stems", studio / "song1", "--mix", studio / "mix1.wav", "-o", style]
    other = ["--check", studio / "song2", "--against", studio / "mix2.wav"]
    done = run(*command, "--picture", picture, "--taps", 16, "--no-bus", *other)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(style)
    assert "microphone" in done.stderr
    assert "overhead_left" in done.stderr
    assert "song2: " in done.stderr
    assert picture.is_file()
    mixed = run("mix", studio / "song2", "-o", tmp_path / "mix.wav", "--style", style)
    assert mixed.exit_code == 0, mixed.output
    assert "by style" in mixed.stderr
    found = audio.read(tmp_path / "mix.wav").samples.astype(np.float64)
    wanted = 0.5 * mix_of(song(2))
    gain = np.vdot(found, wanted) / np.vdot(wanted, wanted)
    assert np.sum((found - gain * wanted) ** 2) < 1e-7 * np.sum((gain * wanted) ** 2)


def test_command_prints_json(studio: Path, tmp_path: Path) -> None:
    command = ["match", "--stems", studio / "song1", "--mix", studio / "mix1.wav"]
    done = run(*command, "-o", tmp_path / "s.json", "--taps", 8, "--no-bus", "--json")
    assert json.loads(done.stdout)["style"]["format"] == "drummix style 1"


def test_command_says_in_one_line_what_is_wrong(studio: Path, tmp_path: Path) -> None:
    base = ["match", "--stems", studio / "song1", "-o", tmp_path / "s.json", "--taps", 8]
    done = run(*base, "--mix", studio / "mix2.wav")
    assert done.exit_code == 1
    assert "is no mix of the stems" in done.stderr
    assert not (tmp_path / "s.json").exists()
    assert run(*base, "--mix", studio / "mix1.wav", "--check", studio).exit_code == 2
    no_folder = ["match", "--stems", studio / "song1", "--mix", studio / "mix1.wav"]
    assert "no folder" in run(*no_folder, "-o", tmp_path / "none" / "s.json").stderr


def test_narrow_terminal_gets_a_line_a_number(
    studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command = ["match", "--stems", studio / "song1", "--mix", studio / "mix1.wav"]
    done = run(*command, "-o", tmp_path / "s.json", "--taps", 8, "--no-bus")
    table = [line for line in done.stderr.splitlines() if line.startswith("  pan ")]
    assert len(table) == len(NAMES)


def test_package_offers_match() -> None:
    assert drummix.match is match
    assert drummix.check_style is check_style
