"""The built-in kit against physics: travel times, spectra, decays, bleed, image, determinism."""

import numpy as np
import pytest

from drummix.corpus.kit import Kit, Piece
from drummix.corpus.synth_cymbals import Cymbal, Layer, Touch, cymbal_strike
from drummix.corpus.synth_mics import (
    MICROPHONES,
    PATCHES,
    SPEED_OF_SOUND_M_S,
    Microphone,
    Patch,
    Room,
    Setup,
    direct_spectrum,
    distance_m,
    draw_setup,
    impulse_responses,
)
from drummix.corpus.synth_voices import SNARE, TOMS, draw_drum, modal_sum
from drummix.corpus.synthkit import ARTICULATIONS, synth_kit
from drummix.errors import SettingError

RATE_HZ = 44100
# The notes of a Roland TD module and of General MIDI that recorded kits map.
NOTES = {22, 26, 35, 36, 37, 38, *range(40, 54), 55, 57, 58, 59}


@pytest.fixture(scope="module")
def kit() -> Kit:
    return synth_kit(0, hits_per_instrument=3)


def heard(kit: Kit, instrument: str, channel: str, hit: int = -1) -> np.ndarray:
    return kit.instruments[instrument].hits[hit].channels[channel].astype(np.float64)


def main(kit: Kit, instrument: str, hit: int = -1) -> np.ndarray:
    return heard(kit, instrument, kit.instruments[instrument].main_channels[0], hit)


def power_spectrum(samples: np.ndarray, rate_hz: int = RATE_HZ) -> tuple[np.ndarray, np.ndarray]:
    n_fft = 1 << 18
    return np.fft.rfftfreq(n_fft, 1 / rate_hz), np.abs(np.fft.rfft(samples, n_fft)) ** 2


def centroid_hz(samples: np.ndarray) -> float:
    frequency_hz, power = power_spectrum(samples)
    return float((frequency_hz * power).sum() / power.sum())


def t60_s(samples: np.ndarray, rate_hz: int = RATE_HZ) -> float:
    """Schroeder's backward integral, from -5 to -25 dB."""
    energy = np.cumsum(samples[::-1] ** 2)[::-1]
    level_db = 10 * np.log10(energy / energy[0] + 1e-15)
    return float(np.argmax(level_db < -25) - np.argmax(level_db < -5)) / rate_hz * 3.0


def peak_dbfs(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(samples).max() + 1e-12))


# ---- the kit as a whole


@pytest.fixture(scope="module")
def small_kit() -> Kit:
    return synth_kit(0, rate_hz=22050, hits_per_instrument=1)


def test_same_seed_same_bytes_however_many_strokes_and_another_seed_another_kit(small_kit):
    same = synth_kit(0, rate_hz=22050, hits_per_instrument=2)
    other = synth_kit(1, rate_hz=22050, hits_per_instrument=1)
    for name in small_kit.instruments:
        for channel in small_kit.channels:
            samples = heard(small_kit, name, channel)
            np.testing.assert_array_equal(samples, heard(same, name, channel))
            assert samples.tobytes() != heard(other, name, channel).tobytes()


def test_every_channel_hears_every_stroke(kit):
    assert kit.channels == tuple(MICROPHONES)
    for instrument in kit.instruments.values():
        assert len(instrument.hits) == 3
        for hit in instrument.hits:
            assert set(hit.channels) == set(kit.channels)
            for samples in hit.channels.values():
                assert samples.dtype == np.float32
                assert np.isfinite(samples).all()
                # 24 bit resolve -138 dBFS: even the faintest bleed is there.
                assert peak_dbfs(samples) > -110.0


def test_notes_and_chokes_name_instruments_of_the_kit(kit):
    assert set(kit.note_map) == NOTES
    assert set(kit.note_map.values()) == set(kit.instruments) == set(ARTICULATIONS)
    for stopper, stopped in kit.chokes.items():
        assert {stopper, *stopped} <= set(kit.instruments)
    assert "HihatOpen" in kit.chokes["HihatPedal"]
    assert {instrument.piece for instrument in kit.instruments.values()} == set(Piece)


def test_tails_fade_out_below_the_trim_level(kit):
    for instrument in kit.instruments.values():
        for samples in instrument.hits[-1].channels.values():
            # The fade is 12 ms long; the last 3 ms are under -75 dBFS by 16 dB or more.
            assert peak_dbfs(samples[-132:]) < -90.0


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"rate_hz": 8000}, "rate_hz is 8000"),
        ({"hits_per_instrument": 0}, "hits_per_instrument is 0"),
        ({"seed": -1}, "-1"),
    ],
)
def test_settings_out_of_range_are_named(settings, culprit):
    with pytest.raises(SettingError, match=culprit):
        synth_kit(**settings)


def test_pitch_and_decay_do_not_depend_on_the_rate(kit, small_kit):
    for name in ("Snare", "Tom1", "Tom4"):
        frequency_hz, power = power_spectrum(main(small_kit, name), 22050)
        reference_hz, reference = power_spectrum(main(kit, name))
        # The place of the stick differs from rate to rate no more than from stroke to stroke.
        assert frequency_hz[power.argmax()] == pytest.approx(
            reference_hz[reference.argmax()], rel=0.02
        )
    assert t60_s(main(small_kit, "Tom4"), 22050) == pytest.approx(t60_s(main(kit, "Tom4")), rel=0.1)


def test_modes_above_half_the_rate_stay_silent():
    # 13 kHz would fold to 9050 Hz at this rate.
    cymbal = Cymbal(np.array([3000.0, 13000.0]), np.ones((2, 2), np.complex128))
    layer = Layer(1.0, (500.0, 20000.0), 1.0, 0.0, 2.0, 20000.0, 0.0, 1.0)
    touch = Touch((layer,), 0.0, (1000.0, 2000.0), 0.01)
    halves = cymbal_strike(
        cymbal, touch, 1.0, np.random.default_rng(0), n_samples=8192, rate_hz=22050
    )
    power = np.abs(np.fft.rfft(halves[0] * np.hanning(8192))) ** 2
    at_hz = np.fft.rfftfreq(8192, 1 / 22050)
    folded, direct = (power[np.abs(at_hz - f_hz).argmin()] for f_hz in (9050.0, 3000.0))
    assert 10 * np.log10(folded / direct) < -60.0


# ---- level and timbre


@pytest.mark.parametrize("name", list(ARTICULATIONS))
def test_harder_is_louder(kit, name):
    power_db = [10 * np.log10(hit.power) for hit in kit.instruments[name].hits]
    # Velocity 0.14 to 1 with exponents of 1.15 to 1.6 makes 20 to 27 dB; timbre adds a little.
    assert np.all(np.diff(power_db) > 5.0)
    assert 17.0 < power_db[-1] - power_db[0] < 32.0


@pytest.mark.parametrize("name", [name for name in ARTICULATIONS if name != "HihatPedal"])
def test_harder_is_brighter(kit, name):
    # A foot on the pedal thumps rather than brightens, so it is left out.
    first_half_second = slice(0, RATE_HZ // 2)
    soft, hard = (centroid_hz(main(kit, name, hit)[first_half_second]) for hit in (0, -1))
    assert hard > 1.05 * soft


@pytest.mark.parametrize(
    ("name", "channel", "peak"),
    [
        ("Kick", "KickIn", -8.0),
        ("Snare", "SnareTop", -7.0),
        ("Tom1", "Tom1", -8.0),
        ("Tom4", "Tom4", -8.0),
        ("HihatOpen", "Hihat", -14.0),
    ],
)
def test_close_microphones_peak_as_at_a_sound_check(kit, name, channel, peak):
    assert peak_dbfs(heard(kit, name, channel)) == pytest.approx(peak, abs=2.5)


def test_a_crash_peaks_in_the_overheads_as_at_a_sound_check(kit):
    peak = max(peak_dbfs(heard(kit, c, o)) for c in ("Crash1", "Crash2") for o in ("OHL", "OHR"))
    assert -16.0 < peak < -12.0


def test_a_kick_lives_below_200_hz(kit):
    frequency_hz, power = power_spectrum(main(kit, "Kick"))
    assert power[frequency_hz < 200].sum() > 0.75 * power.sum()
    assert centroid_hz(main(kit, "Kick")) < 200.0


@pytest.mark.parametrize("seed", range(8))
def test_a_snare_is_tuned_to_180_to_220_hz(seed):
    drum = draw_drum(SNARE, np.random.default_rng(seed))
    assert 180.0 <= drum.fundamental_hz <= 200.0


def test_snare_and_toms_sound_at_the_pitch_of_their_heads(kit):
    peaks_hz = {}
    for name in ("Snare", "Tom1", "Tom2", "Tom3", "Tom4"):
        frequency_hz, power = power_spectrum(main(kit, name)[RATE_HZ // 20 :])
        peaks_hz[name] = frequency_hz[power.argmax()]
    assert 175.0 < peaks_hz["Snare"] < 220.0
    for name, drum in zip(("Tom1", "Tom2", "Tom3", "Tom4"), TOMS.values(), strict=True):
        # Kits are tuned within 5 % of the table.
        assert peaks_hz[name] == pytest.approx(drum.fundamental_hz, rel=0.06)


def test_cymbals_are_bright(kit):
    for name in ("HihatClosed", "HihatClosedEdge", "HihatHalfOpen", "HihatOpen"):
        assert 5000.0 < centroid_hz(main(kit, name)) < 11000.0
    for name in ("Crash1", "Crash2", "China", "Ride", "RideBell"):
        assert 3000.0 < centroid_hz(main(kit, name)) < 8000.0


@pytest.mark.parametrize(
    ("name", "shortest_s", "longest_s"),
    [
        ("Kick", 0.15, 0.6),
        ("Snare", 0.2, 0.7),
        ("SnareSidestick", 0.05, 0.3),
        ("Tom1", 1.0, 3.0),
        ("Tom4", 1.5, 3.5),
        ("HihatClosed", 0.15, 0.4),
        ("HihatHalfOpen", 0.45, 0.9),
        ("HihatOpen", 1.2, 3.0),
        ("Ride", 4.0, 9.0),
        ("Crash1", 2.5, 5.0),
    ],
)
def test_decay_times_are_those_of_recorded_kits(kit, name, shortest_s, longest_s):
    assert shortest_s < t60_s(main(kit, name)) < longest_s


def test_a_kick_only_gets_softer(kit):
    # Filters that are not causal wrap round in a spectrum and come back at the end.
    samples = main(kit, "Kick")
    blocks = samples[: len(samples) // 2205 * 2205].reshape(-1, 2205)
    level_db = 10 * np.log10((blocks**2).mean(axis=1))
    assert np.all(np.diff(level_db) < 0.0)


def test_a_crash_builds_up_in_the_highs_and_a_stick_on_the_ride_does_not(kit):
    def highs_late_db(name: str) -> float:
        frequency_hz = np.fft.rfftfreq(1024, 1 / RATE_HZ)
        samples = main(kit, name)
        early, late = (samples[start : start + 1024] for start in (200, 200 + RATE_HZ // 10))
        power = [(np.abs(np.fft.rfft(x)) ** 2)[frequency_hz > 6000].sum() for x in (early, late)]
        return float(10 * np.log10(power[1] / power[0]))

    assert highs_late_db("Crash1") > 0.0
    assert highs_late_db("Ride") < -6.0


def test_a_tom_falls_in_pitch(kit):
    samples = main(kit, "Tom2")
    windows = (samples[int(s * RATE_HZ) :][: RATE_HZ // 10] for s in (0.005, 0.6))
    pitches_hz = []
    for window in windows:
        frequency_hz, power = power_spectrum(window * np.hanning(len(window)))
        band = (frequency_hz > 80) & (frequency_hz < 160)
        pitches_hz.append(frequency_hz[band][power[band].argmax()])
    # Nominal glide 7 %, averaged over a window about as long as its time constant.
    assert 1.01 < pitches_hz[0] / pitches_hz[1] < 1.08


# ---- microphones


@pytest.fixture(scope="module")
def setup() -> Setup:
    return draw_setup(np.random.default_rng(3))


def test_direct_sound_arrives_after_distance_over_343(setup):
    patches = tuple(setup.patches)
    responses = impulse_responses(setup, patches, rate_hz=RATE_HZ, rng=np.random.default_rng(0))
    for row, patch in enumerate(patches):
        for column, (channel, mic) in enumerate(setup.microphones.items()):
            if mic.inside and patch not in mic.inside:
                continue  # a shell in the way smears the onset
            r_m = distance_m(mic.position_m, setup.patches[patch].position_m)
            response = np.abs(responses[row, column])
            n_direct = int((r_m / SPEED_OF_SOUND_M_S + 0.0012) * RATE_HZ)
            arrival = response[:n_direct].argmax()
            # High cuts delay the peak by up to two samples; it never comes early.
            expected = r_m / SPEED_OF_SOUND_M_S * RATE_HZ
            assert -1.0 <= arrival - expected <= 3.0, (patch, channel)
            # Nothing but the ripple of a delay of fractional samples comes before.
            before = response[: max(1, int(expected) - 8)].max()
            assert before < 0.1 * response[:n_direct].max(), (patch, channel)


def test_snare_reaches_the_overhead_later_than_its_own_microphone_by_the_way_in_air(kit):
    close, far = heard(kit, "Snare", "SnareTop"), heard(kit, "Snare", "OHL")
    n_onset = RATE_HZ // 50
    lags = np.correlate(far[:n_onset], close[: RATE_HZ // 400], mode="valid")
    snare_m = PATCHES["snare_top"].position_m
    way_m = distance_m(MICROPHONES["OHL"].position_m, snare_m) - distance_m(
        MICROPHONES["SnareTop"].position_m, snare_m
    )
    # Stands move by up to 2 cm an axis between kits: 0.2 ms for both.
    assert np.abs(lags).argmax() / RATE_HZ == pytest.approx(way_m / SPEED_OF_SOUND_M_S, abs=2e-4)


def gain_db(mic: Microphone, patch: Patch, at_hz: float = 1000.0) -> float:
    return float(20 * np.log10(np.abs(direct_spectrum(mic, patch, np.array([at_hz]))[0])))


def test_an_omni_loses_six_db_as_the_distance_doubles():
    omni = Microphone((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.0, 20.0, 0.0)
    one, two = (gain_db(omni, Patch((r_m, 0.0, 0.0), 0.0)) for r_m in (1.0, 2.0))
    assert one - two == pytest.approx(6.02, abs=0.02)


def test_a_cardioid_turns_its_back_and_lifts_what_is_near():
    mic = Microphone((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.5, 20.0, 0.0)
    front, back = (Patch((x, 0.0, 0.0), 0.0) for x in (1.0, -1.0))
    assert gain_db(mic, front) - gain_db(mic, back) > 14.0
    near = Patch((0.1, 0.0, 0.0), 0.0)
    assert gain_db(mic, near, 80.0) - gain_db(mic, near, 2000.0) > 2.5  # proximity effect
    assert gain_db(mic, front, 80.0) - gain_db(mic, front, 2000.0) < 1.0


def test_room_decays_in_its_t60_at_the_level_of_sabine():
    room = Room()
    omni = Microphone((0.0, 3.0, 1.3), (0.0, 0.0, 0.8), 0.0, 1.0, 0.0)
    setup = Setup({"one": Patch((0.0, 0.0, 0.8), 0.0)}, {"mic": omni}, room)
    response = impulse_responses(setup, ("one",), rate_hz=RATE_HZ, rng=np.random.default_rng(5))
    samples = response[0, 0].astype(np.float64)
    assert t60_s(samples[RATE_HZ // 40 :]) == pytest.approx(room.t60_s, rel=0.25)
    direct = 1.0 / 3.0**2
    reverberant = (samples**2).sum() - direct
    # What has decayed before the direct sound arrives is not heard (Barron and Lee, 1988).
    way_s = distance_m((0.0, 3.0, 1.3), (0.0, 0.0, 0.8)) / SPEED_OF_SOUND_M_S
    expected = room.diffuse_energy * 10.0 ** (-6.0 * way_s / room.t60_s)
    # A few reflections stand for the start of the tail, and the highs decay sooner: 2.5 dB.
    assert 10 * np.log10(reverberant / expected) == pytest.approx(0.0, abs=2.5)


def test_snare_bottom_hears_the_head_upside_down(kit):
    top, bottom = heard(kit, "Snare", "SnareTop"), heard(kit, "Snare", "SnareBottom")
    n = RATE_HZ // 5
    low = np.fft.rfftfreq(n, 1 / RATE_HZ) < 230.0
    spectra = [np.fft.rfft(x[:n]) * low for x in (top, bottom)]
    cosine = np.vdot(*spectra).real / np.prod([np.linalg.norm(x) for x in spectra])
    assert cosine < -0.5


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("Kick", "SnareTop"),
        ("Kick", "Tom1"),
        ("Kick", "Hihat"),
        ("Snare", "KickIn"),
        ("Snare", "Tom1"),
        ("Snare", "Tom4"),
        ("Tom1", "SnareTop"),
        ("Tom1", "Tom4"),
        ("Tom4", "SnareTop"),
        ("HihatClosed", "SnareTop"),
        ("Crash1", "SnareTop"),
        ("Ride", "KickIn"),
    ],
)
def test_bleed_is_20_to_65_db_below_the_drum_it_bleeds_on(kit, name, channel):
    own = {"KickIn": "Kick", "SnareTop": "Snare", "Hihat": "HihatOpen"}.get(channel, channel)
    bleed_db = peak_dbfs(heard(kit, name, channel)) - peak_dbfs(main(kit, own))
    low = -20.0 if channel != "Hihat" else -12.0  # hats are soft, so their preamp is up
    assert -65.0 < bleed_db < low


@pytest.mark.parametrize("name", ["Kick", "Tom1", "Tom4"])
def test_snare_wires_buzz_along(kit, name):
    """A tenth of a second after the stroke the microphone under the snare still hears wires."""

    def late_highs_db(channel: str) -> float:
        late = heard(kit, name, channel)[RATE_HZ // 10 : RATE_HZ // 10 * 3]
        frequency_hz, power = power_spectrum(late * np.hanning(len(late)))
        return float(10 * np.log10(power[frequency_hz > 2000].sum()))

    # Without wires both hear the same room, within 3 dB; the heads between them cost 6 dB.
    assert late_highs_db("SnareBottom") - late_highs_db("SnareTop") > 6.0


def test_overheads_show_the_kit_as_the_drummer_sits(kit):
    def right_minus_left_db(name: str) -> float:
        energy = [(heard(kit, name, c)[: RATE_HZ // 5] ** 2).sum() for c in ("OHL", "OHR")]
        return float(10 * np.log10(energy[1] / energy[0]))

    assert abs(right_minus_left_db("Snare")) < 2.0
    assert abs(right_minus_left_db("Kick")) < 3.0
    for name in ("HihatClosed", "HihatOpen", "Crash1"):
        assert right_minus_left_db(name) < -2.0
    for name in ("Tom3", "Tom4", "Ride", "Crash2"):
        assert right_minus_left_db(name) > 2.0


def test_cymbals_are_wide_and_not_out_of_phase(kit):
    left, right = (heard(kit, "Crash1", c)[:RATE_HZ] for c in ("OHL", "OHR"))
    assert -0.3 < np.corrcoef(left, right)[0, 1] < 0.6


# ---- modes


def test_modal_sum_is_the_sum_of_decaying_sinusoids():
    rng = np.random.default_rng(1)
    frequency_hz, t60 = rng.uniform(50, 15000, 40), rng.uniform(0.05, 3.0, 40)
    amplitude = rng.standard_normal((2, 40)) + 1j * rng.standard_normal((2, 40))
    time_s = np.arange(30001) / RATE_HZ
    decay = 10.0 ** (-3.0 * time_s[:, None] / t60)
    each = np.exp(2j * np.pi * frequency_hz * time_s[:, None]) * decay
    expected = (each @ amplitude.T).real.T
    actual = modal_sum(frequency_hz, t60, amplitude, n_samples=30001, rate_hz=RATE_HZ)
    # Modes are dropped 78 dB down, 40 of them: 0.01 at most on a sum of about 10.
    np.testing.assert_allclose(actual, expected, atol=5e-3)
