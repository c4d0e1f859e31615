"""DrumGizmo kits: what its two formats say, what they leave open, and what a damaged kit says."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from drummix.audio import Audio, write
from drummix.corpus.articulations import likely_main_channels, pieces_of, with_stand_ins
from drummix.corpus.drumgizmo import read_kit
from drummix.corpus.kit import Hit, Piece
from drummix.errors import CorpusError
from drummix.notices import Code, Notice

REPO = Path(__file__).resolve().parents[1]
KITS = Path(os.environ.get("DRUMMIX_DATA", REPO.parent / "shared" / "data")) / "kits"

# 24-bit files keep these values but for one step of their quantisation.
STEP = 2.0**-23


@dataclass
class Sample:
    """One sample of a kit to write: its attributes and, by channel, its level."""

    levels: Mapping[str, float]
    attributes: str = ""
    file_attributes: str = ""


@dataclass
class Drum:
    """One instrument of a kit to write."""

    name: str
    samples: Sequence[Sample]
    maps: str = ""
    attributes: str = ""
    velocities: str = ""
    version: str = "2.0"


@dataclass
class KitToWrite:
    """A kit to write: mono files of constant level, 100 samples each."""

    drums: Sequence[Drum]
    notes: Mapping[int, str]
    channels: Sequence[str] = ("Kick", "Snare", "OHL", "OHR")
    attributes: str = 'name="Tiny Kit!" samplerate="44100"'
    rate_hz: int = 44_100
    files: dict[str, Path] = field(default_factory=dict)

    def write(self, folder: Path, *, kit: str = "drumkit.xml", midi: str = "midimap.xml") -> Path:
        channels = "".join(f'<channel name="{name}"/>' for name in self.channels)
        instruments = "".join(
            f'<instrument name="{drum.name}" file="{drum.name}/{drum.name}.xml" '
            f"{drum.attributes}>{drum.maps}</instrument>"
            for drum in self.drums
        )
        write_text(
            folder / kit,
            f"<drumkit {self.attributes}><channels>{channels}</channels>"
            f"<instruments>{instruments}</instruments></drumkit>",
        )
        maps = "".join(f'<map note="{n}" instr="{name}"/>' for n, name in self.notes.items())
        write_text(folder / midi, f"<midimap>{maps}</midimap>")
        for drum in self.drums:
            self._write_drum(folder / drum.name, drum)
        return folder

    def _write_drum(self, folder: Path, drum: Drum) -> None:
        samples = ""
        for number, sample in enumerate(drum.samples, start=1):
            files = ""
            for channel, level in sample.levels.items():
                name = f"{number}-{channel}.wav"
                folder.mkdir(exist_ok=True)
                self.files[f"{drum.name}/{name}"] = folder / name
                constant = np.full((1, 100), level, np.float32)
                write(folder / name, Audio(constant, self.rate_hz))
                files += f'<audiofile channel="{channel}" file="{name}" {sample.file_attributes}/>'
            samples += f'<sample name="{drum.name}-{number}" {sample.attributes}>{files}</sample>'
        write_text(
            folder / f"{drum.name}.xml",
            f'<instrument name="{drum.name}" version="{drum.version}"><samples>{samples}</samples>'
            f"<velocities>{drum.velocities}</velocities></instrument>",
        )


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def snare_and(*drums: Drum, notes: Mapping[int, str] | None = None) -> KitToWrite:
    """A kit of a snare with three hits and other drums."""
    powers = {"0.9": 0.6, "0.1": 0.1, "0.5": 0.3}
    samples = [
        Sample({"SnareIn": level, "OHL": level / 10}, f'power="{power}"')
        for power, level in powers.items()
    ]
    maps = '<channelmap in="SnareIn" out="Snare" main="true"/>'
    return KitToWrite([Drum("Snare", samples, maps), *drums], notes or {38: "Snare"})


def level_of(hit: Hit, channel: str) -> float:
    return float(hit.channels[channel][-1])


def test_power_orders_the_hits_of_a_version_2_kit(tmp_path: Path) -> None:
    snare = read_kit(snare_and().write(tmp_path)).instruments["Snare"]
    assert [hit.power for hit in snare.hits] == [0.1, 0.5, 0.9]
    assert [level_of(hit, "Snare") for hit in snare.hits] == pytest.approx(
        [0.1, 0.3, 0.6], abs=STEP
    )
    assert snare.piece is Piece.SNARE


def test_channel_maps_rename_the_microphones_and_name_the_main_one(tmp_path: Path) -> None:
    kit = read_kit(snare_and().write(tmp_path))
    snare = kit.instruments["Snare"]
    assert set(snare.hits[0].channels) == {"Snare", "OHL"}
    assert snare.main_channels == ("Snare",)
    assert kit.channels == ("Kick", "Snare", "OHL", "OHR")
    assert (kit.name, kit.rate_hz, kit.notices) == ("Tiny-Kit", 44_100, ())


def test_velocity_groups_order_the_hits_of_a_version_1_kit(tmp_path: Path) -> None:
    velocities = (
        '<velocity lower="0.6" upper="1.0"><sampleref probability="1" name="Kick-1"/></velocity>'
        '<velocity lower="0" upper="0.2"><sampleref probability="1" name="Kick-2"/></velocity>'
        '<velocity lower="0.2" upper="0.6"><sampleref probability="0.5" name="Kick-3"/>'
        '<sampleref probability="0.5" name="Kick-1"/></velocity>'
    )
    samples = [Sample({"Kick": level}) for level in (0.5, 0.1, 0.2, 0.9)]
    kick = Drum("Kick", samples, velocities=velocities, version="1.0")
    kit = read_kit(snare_and(kick, notes={36: "Kick", 38: "Snare"}).write(tmp_path))
    hits = kit.instruments["Kick"].hits
    # Middles of the groups: 0.1 for the second sample, 0.4 for the third, and the first is in
    # two groups, (0.8 + 0.4) / 2; the fourth is in none and never plays.
    assert [hit.power for hit in hits] == pytest.approx([0.1, 0.4, 0.6])
    assert [level_of(hit, "Kick") for hit in hits] == pytest.approx([0.1, 0.2, 0.5], abs=STEP)


def test_samples_of_a_velocity_group_go_by_loudness_and_probability(tmp_path: Path) -> None:
    velocities = (
        '<velocity lower="0" upper="1"><sampleref probability="0.75" name="Kick-1"/>'
        '<sampleref probability="0.25" name="Kick-2"/>'
        '<sampleref probability="0" name="Kick-3"/></velocity>'
    )
    samples = [Sample({"Kick": level}) for level in (0.52, 0.5, 0.9)]
    kick = Drum("Kick", samples, velocities=velocities, version="1.0")
    kit = read_kit(snare_and(kick, notes={36: "Kick", 38: "Snare"}).write(tmp_path))
    hits = kit.instruments["Kick"].hits
    assert [level_of(hit, "Kick") for hit in hits] == pytest.approx([0.5, 0.52], abs=STEP)
    assert [hit.weight for hit in hits] == [0.25, 0.75]


def test_instrument_file_names_the_main_microphone_where_the_kit_does_not(tmp_path: Path) -> None:
    kick = Drum("Kick", [Sample({"In": 0.5, "OHL": 0.4})], '<channelmap in="In" out="Kick"/>')
    kit = snare_and(kick, notes={36: "Kick", 38: "Snare"})
    kit.write(tmp_path)
    path = tmp_path / "Kick" / "Kick.xml"
    said = '<channels><channel name="In" main="true"/><channel name="OHL"/></channels><samples>'
    write_text(path, path.read_text().replace("<samples>", said))
    # The snare's own file says nothing, but the kit does.
    mains = {name: i.main_channels for name, i in read_kit(tmp_path).instruments.items()}
    assert mains == {"Snare": ("Snare",), "Kick": ("Kick",)}
    write_text(path, path.read_text().replace('"In" main="true"', '"In"'))
    write_text(path, path.read_text().replace('"OHL"/></ch', '"OHL" main="true"/></ch'))
    assert read_kit(tmp_path).instruments["Kick"].main_channels == ("OHL",)


def test_chokes_take_the_time_the_kit_states_or_sixty_eight_milliseconds(tmp_path: Path) -> None:
    hat = [Sample({"OHL": 0.5})]
    chokes = '<chokes><choke instrument="HatOpen" choketime="250"/><choke instrument="B"/></chokes>'
    drums = [
        Drum("HatPedal", hat, chokes),
        Drum("HatOpen", hat, attributes='group="hat"'),
        Drum("HatClosed", hat, attributes='group="hat"'),
    ]
    notes = {38: "Snare", 42: "HatClosed", 44: "HatPedal", 46: "HatOpen"}
    kit = read_kit(snare_and(*drums, notes=notes).write(tmp_path))
    assert kit.chokes == {
        "HatPedal": ("HatOpen",),
        "HatOpen": ("HatClosed",),
        "HatClosed": ("HatOpen",),
    }
    assert kit.choke_times_s == {
        ("HatPedal", "HatOpen"): 0.25,
        ("HatOpen", "HatClosed"): 0.068,
        ("HatClosed", "HatOpen"): 0.068,
    }


def test_each_channel_comes_from_its_channel_of_a_multichannel_file(tmp_path: Path) -> None:
    kit = snare_and()
    kit.write(tmp_path)
    levels = np.array([[0.1], [0.2], [0.3]], np.float32)
    write(tmp_path / "Snare" / "all.wav", Audio(np.repeat(levels, 100, axis=1), 44_100))
    write_text(
        tmp_path / "Snare" / "Snare.xml",
        '<instrument version="2.0"><samples><sample name="a" power="1">'
        '<audiofile channel="OHR" file="all.wav" filechannel="3"/>'
        '<audiofile channel="SnareIn" file="all.wav" filechannel="1"/>'
        '<audiofile channel="OHL" file="all.wav" filechannel="2"/></sample></samples></instrument>',
    )
    hit = read_kit(tmp_path).instruments["Snare"].hits[0]
    assert {name: level_of(hit, name) for name in hit.channels} == pytest.approx(
        {"Snare": 0.1, "OHL": 0.2, "OHR": 0.3}, abs=STEP
    )


def test_onset_fades_in_over_three_tenths_of_a_millisecond(tmp_path: Path) -> None:
    recording = read_kit(snare_and().write(tmp_path)).instruments["Snare"].hits[2].channels["Snare"]
    n_fade = round(0.0003 * 44_100)
    ramp = 0.6 * np.arange(n_fade) / n_fade
    np.testing.assert_allclose(recording[:n_fade], ramp, atol=STEP)
    np.testing.assert_allclose(recording[n_fade:], 0.6, atol=STEP)


@pytest.mark.parametrize("rate_hz", [48_000, 22_050])
def test_recordings_of_another_rate_are_resampled_to_the_kits(tmp_path: Path, rate_hz: int) -> None:
    kit = snare_and()
    kit.rate_hz = rate_hz
    read = read_kit(kit.write(tmp_path))
    assert read.rate_hz == 44_100
    assert len(read.instruments["Snare"].hits[0].channels["Snare"]) == round(100 * 44100 / rate_hz)


def test_rate_can_be_asked_for(tmp_path: Path) -> None:
    kit = snare_and()
    kit.attributes, kit.rate_hz = 'samplerate="48000"', 48_000
    kit.write(tmp_path)
    assert read_kit(tmp_path).rate_hz == 48_000
    read = read_kit(tmp_path, rate_hz=24_000)
    assert read.rate_hz == 24_000
    assert len(read.instruments["Snare"].hits[0].channels["Snare"]) == 50


def test_fewer_hits_keep_the_softest_and_the_loudest(tmp_path: Path) -> None:
    snare = read_kit(snare_and().write(tmp_path), max_hits=2).instruments["Snare"]
    assert [hit.power for hit in snare.hits] == [0.1, 0.9]


def test_normalised_samples_are_marked(tmp_path: Path) -> None:
    kick = Drum("Kick", [Sample({"Kick": 0.9}, 'power="1" normalized="true"')])
    kit = read_kit(snare_and(kick, notes={36: "Kick"}).write(tmp_path))
    assert kit.instruments["Kick"].hits[0].is_normalised
    assert not kit.instruments["Snare"].hits[0].is_normalised


def test_unmapped_notes_go_to_the_nearest_instrument_and_unknown_ones_nowhere() -> None:
    notes = with_stand_ins({36: "Kick", 38: "Snare", 42: "Closed", 46: "Open", 51: "Ride"})
    # Roland's closed edge, open edge, rim and pedal; General MIDI's second kick and ride.
    assert {n: notes[n] for n in (22, 26, 40, 44, 35, 59)} == {
        22: "Closed",
        26: "Open",
        40: "Snare",
        44: "Closed",
        35: "Kick",
        59: "Ride",
    }
    assert not {54, 56, 48, 49} & set(notes)


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("KdrumL", Piece.KICK),
        ("Bass drum", Piece.KICK),
        ("Snare_rim", Piece.SNARE),
        ("Hi-hat open", Piece.HIHAT),
        ("HihatClosed", Piece.HIHAT),
        ("RideLBell", Piece.RIDE),
        ("China", Piece.CRASH),
        ("Splash", Piece.CRASH),
        ("FloorTom", Piece.TOM_1),
    ],
)
def test_names_tell_the_piece_where_no_note_does(name: str, piece: Piece) -> None:
    assert pieces_of([name], {}) == {name: piece}


def test_notes_tell_the_piece_before_the_name_does() -> None:
    assert pieces_of(["Tom ride"], {51: "Tom ride", 60: "Tom ride"}) == {"Tom ride": Piece.RIDE}


def test_instrument_that_is_no_part_of_a_kit_is_left_out_with_a_notice(tmp_path: Path) -> None:
    tambourine = Drum("Tambourine", [Sample({"OHL": 0.1}, 'power="1"')])
    kit = read_kit(snare_and(tambourine, notes={38: "Snare", 54: "Tambourine"}).write(tmp_path))
    assert set(kit.instruments) == {"Snare"}
    assert set(kit.note_map.values()) == {"Snare"}
    assert kit.notices == (Notice(Code.KIT_INSTRUMENT_UNKNOWN, "Tambourine"),)


def test_file_for_a_channel_the_kit_has_not_is_left_out_with_a_notice(tmp_path: Path) -> None:
    kick = Drum("Kick", [Sample({"Kick": 0.9, "Sub": 0.5}, f'power="{p}"') for p in (1, 2)])
    kit = read_kit(snare_and(kick, notes={36: "Kick"}).write(tmp_path))
    assert set(kit.instruments["Kick"].hits[0].channels) == {"Kick"}
    [notice] = kit.notices
    assert notice.code is Code.KIT_CHANNEL_UNKNOWN
    assert notice.values == {"channel": "Sub"}


def test_toms_are_ordered_by_their_notes_and_share_a_number_by_microphone(tmp_path: Path) -> None:
    channels = ("Snare", "FloorMic", "RackMic", "MidMic", "OHL", "OHR")
    mics = {"Floor": "FloorMic", "Rack": "RackMic", "RackRim": "RackMic", "Mid": "MidMic"}
    toms = [
        Drum(
            name,
            [Sample({mic: 0.5}, 'power="1"')],
            f'<channelmap in="{mic}" out="{mic}" main="true"/>',
        )
        for name, mic in mics.items()
    ]
    kit = snare_and(*toms, notes={43: "Floor", 48: "Rack", 45: "Mid", 38: "Snare"})
    kit.channels = channels
    kit.drums[2].samples[0].attributes = 'power="2"'
    read = read_kit(kit.write(tmp_path))
    # By name alone, Floor would come first, and RackRim has no note at all.
    assert {name: read.instruments[name].piece for name in mics if name != "RackRim"} == {
        "Rack": Piece.TOM_1,
        "Mid": Piece.TOM_2,
        "Floor": Piece.TOM_3,
    }


def test_microphone_that_hears_a_drum_loudest_faces_it_where_the_kit_does_not_say() -> None:
    def hit(**levels: float) -> Hit:
        return Hit(1.0, {name: np.full(4, level, np.float32) for name, level in levels.items()})

    channels = ("Kick", "Snare", "OHL", "AmbL")
    soft, loud = hit(Kick=0.9), hit(Kick=0.1, Snare=0.5, OHL=0.6, AmbL=0.7)
    assert likely_main_channels(Piece.SNARE, [soft, loud], channels) == ("Snare",)
    # Cymbals are faced by overheads; nothing is faced by a room microphone.
    assert likely_main_channels(Piece.CRASH, [soft, loud], channels) == ("OHL",)
    assert likely_main_channels(Piece.SNARE, [hit(AmbL=0.5)], channels) == ()


def hats(**attributes: str) -> list[Drum]:
    return [
        Drum(name, [Sample({"OHL": 0.1}, 'power="1"')], attributes=attributes.get(name, ""))
        for name in ("HatClosed", "HatOpen", "HatPedal")
    ]


HAT_NOTES = {42: "HatClosed", 46: "HatOpen", 44: "HatPedal", 38: "Snare"}


def test_closed_and_pedal_stop_the_open_hihat_where_the_kit_says_nothing(tmp_path: Path) -> None:
    kit = read_kit(snare_and(*hats(), notes=HAT_NOTES).write(tmp_path))
    assert kit.chokes == {"HatClosed": ("HatOpen",), "HatPedal": ("HatOpen",)}


def test_instruments_of_one_group_stop_each_other(tmp_path: Path) -> None:
    group = 'group="hihat"'
    drums = hats(HatClosed=group, HatOpen=group)
    kit = read_kit(snare_and(*drums, notes=HAT_NOTES).write(tmp_path))
    assert kit.chokes == {"HatClosed": ("HatOpen",), "HatOpen": ("HatClosed",)}


def test_stated_chokes_count_and_unknown_names_in_them_do_not(tmp_path: Path) -> None:
    drums = hats()
    drums[
        2
    ].maps = (
        '<chokes><choke instrument="HatOpen" choketime="68"/><choke instrument="Gone"/></chokes>'
    )
    kit = read_kit(snare_and(*drums, notes=HAT_NOTES).write(tmp_path))
    assert kit.chokes == {"HatPedal": ("HatOpen",)}


def test_kit_and_note_map_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    snare_and().write(tmp_path, kit="DRSKit.xml", midi="Midimap_full.xml")
    write_text(tmp_path / "Midimap_basic.xml", "<midimap/>")
    write_text(tmp_path / "notes.xml", "no XML at all")
    assert read_kit(tmp_path).note_map[38] == "Snare"
    assert read_kit(tmp_path / "DRSKit.xml").name == "Tiny-Kit"
    write_text(tmp_path / "Other.xml", "<drumkit/>")
    with pytest.raises(CorpusError, match=r"several kits \(DRSKit\.xml, Other\.xml\)"):
        read_kit(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "licence"),
    [
        ("LICENSE.txt", "under CC BY-SA 4.0, not CC0", "CC BY-SA 4.0"),
        ("LICENSE", "Creative Commons CC0 1.0", "CC0"),
        ("COPYING", "ask me", "see COPYING of the kit"),
        ("notes.txt", "CC0", "unstated"),
    ],
)
def test_licence_is_the_one_beside_the_kit(
    tmp_path: Path, file: str, text: str, licence: str
) -> None:
    snare_and().write(tmp_path)
    write_text(tmp_path / file, text)
    assert read_kit(tmp_path).licence == licence


def test_missing_recording_says_which(tmp_path: Path) -> None:
    kit = snare_and()
    kit.write(tmp_path)
    kit.files["Snare/2-OHL.wav"].unlink()
    with pytest.raises(CorpusError, match=r"kit file missing or damaged.*2-OHL\.wav"):
        read_kit(tmp_path)


def test_recording_that_is_text_says_which(tmp_path: Path) -> None:
    kit = snare_and()
    kit.write(tmp_path)
    kit.files["Snare/2-OHL.wav"].write_text("la la la")
    with pytest.raises(CorpusError, match=r"kit file missing or damaged.*2-OHL\.wav"):
        read_kit(tmp_path)


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("drumkit.xml", "<channels>", "<chan", "cannot be read as XML"),
        ("drumkit.xml", '"44100"', '"a lot"', "sample rate of 'a lot'"),
        ("drumkit.xml", '"44100"', '"1e999"', "sample rate of '1e999'"),
        ("drumkit.xml", "Snare/Snare.xml", "../Snare.xml", "outside the kit's folder"),
        ("drumkit.xml", "Snare/Snare.xml", "Snare/Gone.xml", r"Gone\.xml does not exist"),
        ("drumkit.xml", '<instrument name="Snare"', "<instrument", "<instrument> has no name"),
        ("drumkit.xml", "channel name", "microphone name", "lists no microphones"),
        ("drumkit.xml", "instrument", "drum", "lists no instruments"),
        ("midimap.xml", '"38"', '"C4"', "note 'C4'"),
        ("midimap.xml", '"38"', '"128"', "note '128'"),
        ("Snare/Snare.xml", "sample name", "sample title", "<sample> has no name"),
        ("Snare/Snare.xml", "<sample ", "<hit ", "cannot be read as XML"),
        ("Snare/Snare.xml", "samples", "hits", "no samples that can be played"),
        ("Snare/Snare.xml", 'power="0.5"', 'power="loud"', "power='loud'"),
        ("Snare/Snare.xml", 'power="0.5"', 'power="nan"', "power='nan'"),
        ("Snare/Snare.xml", "Snare-2", "Snare-1", "two samples of one name"),
        ("Snare/Snare.xml", '"2-OHL.wav"', '"/etc/passwd"', "outside the kit's folder"),
        ("Snare/Snare.xml", '"2-OHL.wav"', '"../../x.wav"', "outside the kit's folder"),
        ("Snare/Snare.xml", 'wav" ', 'wav" filechannel="2"', "asks for channel 2"),
        ("Snare/Snare.xml", 'wav" ', 'wav" filechannel="0"', "they count from 1"),
        ("Snare/Snare.xml", 'wav" ', 'wav" filechannel="-1"', "they count from 1"),
        ("Snare/Snare.xml", 'wav" ', 'wav" filechannel="left"', "they count from 1"),
        (
            "Snare/Snare.xml",
            "<velocities>",
            '<velocities><velocity><sampleref name="x"/></velocity>',
            "sample 'x' that it does not list",
        ),
        (
            "Snare/Snare.xml",
            "<velocities>",
            '<velocities><velocity lower="soft"/>',
            "lower='soft'",
        ),
    ],
)
def test_damaged_kit_is_one_line_with_the_file(
    tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    replaced(snare_and().write(tmp_path) / file, old, new)
    with pytest.raises(CorpusError, match=problem) as error:
        read_kit(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_folder_that_is_no_kit_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="gone does not exist"):
        read_kit(tmp_path / "gone")
    with pytest.raises(CorpusError, match="holds no kit file"):
        read_kit(tmp_path)
    (snare_and().write(tmp_path) / "midimap.xml").unlink()
    with pytest.raises(CorpusError, match="holds no note map"):
        read_kit(tmp_path)


@pytest.mark.parametrize(
    ("name", "n_hits", "n_microphones", "licence"),
    [("muldjord", 253, 13, "CC BY 4.0"), ("tchimera", 335, 11, "CC BY-SA 4.0")],
)
def test_published_kit_loads_whole(
    name: str, n_hits: int, n_microphones: int, licence: str
) -> None:
    folder = KITS / name
    if not folder.is_dir():
        pytest.skip(f"kit {name} is not here; set DRUMMIX_DATA to the folder that holds kits/")
    kit = read_kit(folder)
    assert sum(len(instrument.hits) for instrument in kit.instruments.values()) == n_hits
    assert len(kit.channels) == n_microphones
    assert len(kit.instruments) == 17
    assert (kit.rate_hz, kit.licence, kit.notices) == (44_100, licence, ())
    assert {i.piece for i in kit.instruments.values()} == set(Piece)
    # The notes of the Groove MIDI Dataset.
    groove = {22, 26, 36, 37, 38, 40, *range(42, 54), 55, 57, 58, 59}
    assert groove <= set(kit.note_map)
