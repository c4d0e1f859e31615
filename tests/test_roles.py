"""Names as engineers, kits and data sets write them, and the roles that they mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drummix.errors import RoleError
from drummix.notices import Code, Notice
from drummix.roles import (
    PAPER_ROLES,
    RULES,
    SPELLINGS,
    Candidate,
    Family,
    Role,
    cast,
    identify,
    parse_role,
)

MONO_NAMES = {
    Role.KICK: [
        "Kick", "KICK.wav", "kick.flac", "Kick In", "Kick_In_01", "KickIn", "kickin.wav", "Kik",
        "01_KIK_D112.wav", "BD", "bd in", "BDin", "KD", "Bass Drum", "Bassdrum", "BASS DRUM IN",
        "Kdrum_back", "KickL", "Kick D6", "Kick 52", "kick beta52a", "Kick91", "KickIn_Beta91A",
        "K In", "Kick Inside", "KickInside_dup1", "BD SM57", "kick take 3", "Kick.01_05",
        "03 - Kick - SM91", "Grosse Caisse", "Große Trommel", "Bombo", "Bombo dentro", "Bumbo",
        "Cassa", "Kick (beater)", "Kick Bus",
    ],
    Role.KICK_OUT: [
        "Kick Out", "KickOut", "kick_outside", "Kick Front", "Kdrum_front", "BD Out U47",
        "kick fet47", "K Out", "Kick Hole", "Kick Reso", "Bombo fuera", "Bassdrum außen",
    ],
    Role.KICK_SUB: ["Kick Sub", "Sub", "SubKick", "sub kick", "KickSub", "NS10", "Kick NS10"],
    Role.KICK_2: ["KickR", "Kick R", "kick 2nd"],
    Role.SNARE: [
        "Snare", "SNARE.aif", "Snr", "SN", "SD", "sn_t", "SNt", "Snare Top", "SnareTop",
        "Snare_top", "snaretop", "SN top", "SnrTop_57", "SNARE-TOP-SM57", "04_Snare Top_02",
        "Snare Up", "SnareUp_05", "Snare SM57", "snsm57", "Sn 57", "Caisse claire",
        "Caisse Claire dessus", "Caja", "Caja arriba", "Kleine Trommel", "Rullante sopra",
        "Snare oben", "Snare e604", "SnareDrum", "S Top",
    ],
    Role.SNARE_BOTTOM: [
        "Snare Bottom", "SnareBottom", "Snare_bottom", "SN Bot", "Sn Btm", "SN_B", "SNb",
        "Snr Bot_01", "snarebot", "Snare Under", "SnareDown", "Snare Btm KM184", "SD Bot",
        "snare unten", "Caisse claire dessous", "Caja abajo", "S Bot", "Caixa esteira",
    ],
    Role.SNARE_2: ["Snare Side Shell", "2nd Snare", "Snare Piccolo"],
    Role.HIHAT: [
        "HH", "Hat", "HiHat", "Hi-Hat", "hi-hat.wav", "Hihat", "Hi Hat", "HAT_KM184", "Hats",
        "HH_SM81_02", "07 HiHat", "high hat", "Charley", "Charles", "charleston", "Chimbal",
        "hh_01",
    ],
    Role.HIHAT_2: ["HH Bottom", "Hat 2nd"],
    Role.TOM_MID: [
        "Tom", "Tom 1", "tom_1", "Tom1", "T1", "T3", "Rack 1", "Rack", "Rack Tom", "RackTom",
        "Rack-12", "RT", "Hi Tom", "High Tom", "Mid Tom", "Tom 10", "Tom 12in", 'Tom 12"',
        "Tom_MD421", "Tom 1 e604_03", "Hängetom", "Tom alto",
    ],
    Role.TOM_LOW: [
        "Floor Tom", "FloorTom", "Floor", "FT", "FT16", "Flr Tom", "Low Tom", "Lo Tom", "LowTom",
        "Tom Low", "floor_tom_421", "Floor Tom 16in", "Standtom", "Tom basse", "Goliat", "Surdo",
        "Timpano",
    ],
    Role.OVERHEAD_LEFT: [
        "OH L", "OHL", "OH_L", "OH-Left", "OHLeft", "Overhead Left", "overhead_L", "OverheadL",
        "Overhead links", "OH.L", "OH L_KM184", "ohl.wav", "OH_left_01", "Over L", "OH HH Side",
        "OH Hat", "OH gauche", "OH G", "Aéreo izq", "Cymbals L", "Becken links", "Overheads.L",
    ],
    Role.OVERHEAD_RIGHT: [
        "OH R", "OHR", "OH_R", "OHRight", "Overhead Right", "overhead_R", "Overheads R",
        "OH Ride", "OH Ride Side", "OH rechts", "OH droite", "OHR C414", "OH Floor",
        "Aereo der", "Cym R",
    ],
    Role.OVERHEAD_MONO: ["OH", "Overhead", "OH Mono", "Overheads", "OH C", "Becken", "Platos"],
    Role.ROOM_LEFT: ["Room L", "RoomL", "Amb_left", "AmbL", "Room Far L", "RM L", "Raum links"],
    Role.ROOM_RIGHT: ["Room R", "Room Right", "AmbR", "Amb_right", "Ambience R", "Drums Room R"],
    Role.ROOM_MONO: [
        "Room", "Room Mono", "Mono Room", "amb", "Ambient", "Crush", "Room Crush", "FOK",
        "Front of Kit", "Knee", "Drum Room", "DrumsRoom", "Far Room", "Kit Mono", "Snare Room",
        "Sala", "Raum",
    ],
    Role.RIDE: ["Ride", "RIDE_SM81", "Ride Cymbal", "Ride Bell", "09_Ride"],
    Role.CRASH: ["Crash", "Crash 1", "Crash L", "crash_cymbal", "Crash 16in"],
    Role.CYMBAL: ["China", "Splash", "Bell", "Splash 8in", "China Cymbal", "Stack"],
    Role.PERCUSSION: ["Cowbell", "Tambourine", "Shaker", "Perc 1", "Congas"],
    Role.TRIGGER: [
        "Kick Trig", "KickTrigger", "Snare Sample", "SN trig", "kick_sample_01", "Alesis",
        "Kick Smp",
    ],
    Role.OTHER: [
        "Click", "click track", "Metronome", "Talkback", "Bass DI", "Bass", "Gtr L", "Guitar 1",
        "Lead Vox", "Vocals", "Keys", "Mix", "Drum Mix", "Master", "Rough Mix", "Bounce", "Drums",
        "Kit", "Drum Bus", "Drum Verb", "Snare Reverb", "Count In", "mix.wav",
    ],
}  # fmt: skip

STEREO_NAMES = {
    (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT): [
        "OH", "Overheads.wav", "OHs", "OH stereo", "Cymbals", "Becken", "OH L+R", "Over Heads",
        "Piatti", "Aéreos",
    ],
    (Role.ROOM_LEFT, Role.ROOM_RIGHT): ["Room", "Rooms", "Ambience", "Amb", "Room far", "Sala"],
    (Role.ROOM_MONO,): ["Room Mono"],
    (Role.OVERHEAD_LEFT,): ["OH L"],
    (Role.KICK,): ["Kick"],
    (Role.HIHAT,): ["HH"],
}  # fmt: skip

UNKNOWN_NAMES = [
    "Audio 1_03", "Track 5", "foo", "03", "final take", "Kick Snare", "Kick+Bass", "HH Ride",
    "Gtr Room", "Fu drum machine", "Sub Culture", "Game Over", "K", "SPD", "Rover", "Lover",
]  # fmt: skip


def roles_alone(name, n_channels=1):
    casting = cast([Candidate(name, n_channels)])
    return tuple(part.role for part in casting.parts)


def roles_together(*names, n_channels=1):
    casting = cast([Candidate(name, n_channels) for name in names])
    assert not casting.questions, casting.questions
    return {part.name: part.role for part in casting.parts}


@pytest.mark.parametrize(
    ("name", "role"), [(name, role) for role, names in MONO_NAMES.items() for name in names]
)
def test_mono_file_of_this_name_has_this_role(name, role):
    assert roles_alone(name) == (role,)


@pytest.mark.parametrize(
    ("name", "roles"), [(name, roles) for roles, names in STEREO_NAMES.items() for name in names]
)
def test_stereo_file_of_this_name_has_these_roles(name, roles):
    assert roles_alone(name, n_channels=2) == roles


@pytest.mark.parametrize("name", UNKNOWN_NAMES)
def test_name_that_does_not_tell_is_a_question_with_its_fix(name):
    casting = cast([Candidate(name, 1)])
    assert casting.parts == ()
    (question,) = casting.questions
    assert question.code is Code.ROLE_UNKNOWN
    assert list(question.values["files"]) == [name]
    assert f"roles={{'ignore': {name!r}}}" in str(question)
    assert "\n" not in str(question)


def test_table_holds_at_least_150_names():
    n_names = sum(map(len, MONO_NAMES.values())) + sum(map(len, STEREO_NAMES.values()))
    assert n_names >= 150


@pytest.mark.parametrize("role", list(Role))
def test_role_value_is_its_own_name_and_may_be_said(role):
    assert identify(f"{role}.wav").part is role
    assert parse_role(role).part is role


def test_paper_roles_are_the_eight_of_the_paper_in_its_order():
    assert " ".join(PAPER_ROLES) == (
        "kick snare hihat tom_mid tom_low tom_mid_low overhead_left overhead_right"
    )


@pytest.mark.parametrize(
    ("toms", "expected"),
    [
        (["Tom 1", "Tom 2"], "tom_mid tom_low"),
        (["Rack Tom", "Floor Tom"], "tom_mid tom_low"),
        (["Rack 1", "Rack 2", "Floor"], "tom_mid tom_mid_low tom_low"),
        (["T1", "T2", "T3"], "tom_mid tom_mid_low tom_low"),
        (["Hi Tom", "Mid Tom", "Low Tom"], "tom_mid tom_mid_low tom_low"),
        (["Hi Tom", "Mid Tom", "Floor Tom"], "tom_mid tom_mid_low tom_low"),
        (["Tom 10", "Tom 12", "Tom 16"], "tom_mid tom_mid_low tom_low"),
        (['Tom 8"', 'Tom 10"', 'Tom 14"'], "tom_mid tom_mid_low tom_low"),
        (["Tom1", "Tom2", "Tom3", "Tom4"], "tom_high tom_mid tom_mid_low tom_low"),
        (["Rack 10in", "Rack 12in", "FT 14", "FT 16"], "tom_high tom_mid tom_mid_low tom_low"),
        (
            ["Tom 1", "Tom 2", "Tom 3", "Tom 4", "Floor 1", "Floor 2"],
            "tom_high tom_extra tom_extra tom_mid tom_mid_low tom_low",
        ),
        (["05_Tom", "06_Tom", "07_Tom"], "tom_mid tom_mid_low tom_low"),
        (["10 Tom", "12 Tom", "16 Tom"], "tom_mid tom_mid_low tom_low"),
        (["Tom H", "Tom M", "Tom L"], "tom_mid tom_mid_low tom_low"),
        (["Tom L", "Tom R"], "tom_mid tom_low"),
        (["HT", "MT", "LT"], "tom_mid tom_mid_low tom_low"),
        (["tom_hi", "tom_mid", "tom_low"], "tom_mid tom_mid_low tom_low"),
        (["tom_high", "tom_mid", "tom_low"], "tom_high tom_mid tom_low"),
        (["tom_mid", "tom_low"], "tom_mid tom_low"),
        (["Tom A", "Tom B"], "tom_mid tom_low"),
        (["Tom_01", "Tom_02"], "tom_mid tom_low"),
        (["Tom 1 take 2", "Tom 2 take 2"], "tom_mid tom_low"),
        (["Tom alto", "Tom medium", "Tom basse"], "tom_mid tom_mid_low tom_low"),
        (["Low Mid Tom", "Hi Mid Tom"], "tom_low tom_mid"),
        (["Mid Tom", "Low Mid Tom", "Low Tom"], "tom_mid tom_mid_low tom_low"),
        (["Hi Tom", "Hi Mid Tom", "Mid Tom"], "tom_mid tom_mid_low tom_low"),
    ],
)
def test_toms_take_their_slots_from_high_to_low(toms, expected):
    roles = roles_together("Kick", *toms, "OH")
    assert " ".join(roles[tom] for tom in toms) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            "01_KickIn 02_KickOut 03_SnareUp 04_SnareDown 05_HiHat 06_Tom1 07_Tom2 08_DrumsRoom1 "
            "09_DrumsRoom2 10_OverheadsL 11_OverheadsR",
            "kick kick_out snare snare_bottom hihat tom_mid tom_low room_left room_right "
            "overhead_left overhead_right",
        ),
        (
            "Kick-In_01-01 SN-Top_03-02 Hat_02 Rack_01 Floor_01 OH.L OH.R Rm.L Rm.R Print_01 "
            "Crush_02",
            "kick snare hihat tom_mid tom_low overhead_left overhead_right room_left room_right "
            "other room_mono",
        ),
        (
            "01-BD-230405_1830 02-SN-230405_1830 03-HH-230405_1830 04-T1-230405_1830 "
            "05-T2-230405_1830 06-FT-230405_1830 07-OHL-230405_1830 08-OHR-230405_1830",
            "kick snare hihat tom_mid tom_mid_low tom_low overhead_left overhead_right",
        ),
        (
            "Tr01_Kick Tr02_Snare Tr03_Tom1 Tr04_Tom2 Tr05_Tom3 Tr06_OH_1 Tr07_OH_2",
            "kick snare tom_mid tom_mid_low tom_low overhead_left overhead_right",
        ),
        (
            "KICK SNARE TOM1 TOM2 TOM3 HH CRASH1 CRASH2 RIDE",
            "kick snare tom_mid tom_mid_low tom_low hihat crash crash ride",
        ),
        (
            "Kick#01 Snare_Top#02 Racktom_1 Racktom_2 Floortom Overhead Amb_Mid Amb_Far",
            "kick snare tom_mid tom_mid_low tom_low overhead_mono room_mono room_mono",
        ),
        (
            "Kdrum_back Kdrum_front Hihat OHLeft OHRight Snare_bottom Snare_top Tom1 Tom2 Tom3 "
            "Amb_left Amb_right",
            "kick kick_out hihat overhead_left overhead_right snare_bottom snare tom_mid "
            "tom_mid_low tom_low room_left room_right",
        ),
    ],
    ids=["multitrack", "tape names", "dated takes", "numbered tracks", "pads", "samplers", "kit"],
)
def test_whole_session_is_understood_without_a_question(names, expected):
    roles = roles_together(*names.split())
    assert " ".join(roles[name] for name in names.split()) == expected


def test_order_of_the_files_does_not_change_the_toms():
    assert roles_together("Floor", "Rack 2", "Rack 1") == roles_together(
        "Rack 1", "Rack 2", "Floor"
    )


def test_enst_folder_names_keep_the_data_sets_own_tom_order():
    names = ["hi-hat", "kick", "overhead_L", "overhead_R", "snare", "tom_1", "tom_2", "tom_3"]
    roles = roles_together(*names)
    assert [roles[name] for name in names] == [
        Role.HIHAT, Role.KICK, Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT, Role.SNARE,
        Role.TOM_MID, Role.TOM_LOW, Role.TOM_MID_LOW,
    ]  # fmt: skip
    [notice] = cast([Candidate(name, 1) for name in names]).notices
    assert notice.code is Code.TOMS_AS_IN_ENST


def test_drumgizmo_channel_names_are_all_known():
    names = [
        "AmbL",
        "AmbR",
        "Hihat",
        "KickL",
        "KickR",
        "OHL",
        "OHR",
        "SnareBottom",
        "SnareTop",
        "Tom1",
        "Tom2",
        "Tom3",
        "Tom4",
    ]
    roles = roles_together(*names)
    assert set(PAPER_ROLES) <= set(roles.values())
    assert len(set(roles.values())) == len(names)


def test_user_given_tom_keeps_its_slot_and_the_others_fill_the_rest():
    said = parse_role("tom_low")
    casting = cast([Candidate("take 9", 1, said), Candidate("Tom 1", 1), Candidate("Tom 2", 1)])
    assert {part.name: part.role for part in casting.parts} == {
        "take 9": Role.TOM_LOW, "Tom 1": Role.TOM_MID, "Tom 2": Role.TOM_MID_LOW,
    }  # fmt: skip


@pytest.mark.parametrize("title", ["Bass Face", "HatTrick", "Room 237", "Kick Out the Jams"])
def test_song_title_in_front_of_every_name_is_not_looked_at(title):
    names = ["Kick", "Snare Top", "OH L", "OH R", "Floor Tom"]
    roles = roles_together(*(f"{title}_{name}" for name in names))
    assert list(roles.values()) == [
        Role.KICK, Role.SNARE, Role.TOM_LOW, Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT,
    ]  # fmt: skip


def test_song_title_behind_every_name_is_not_looked_at():
    roles = roles_together("Kick - Hat Trick", "Snare - Hat Trick", "HH - Hat Trick")
    assert set(roles.values()) == {Role.KICK, Role.SNARE, Role.HIHAT}


def test_word_that_all_names_share_counts_where_the_rest_says_nothing():
    roles = roles_together("Tom 1", "Tom 2", "Tom 3")
    assert list(roles.values()) == [Role.TOM_MID, Role.TOM_LOW, Role.TOM_MID_LOW]


def test_two_numbered_overheads_are_left_and_right_with_a_notice():
    casting = cast([Candidate("OH 1", 1), Candidate("OH 2", 1)])
    assert [part.role for part in casting.parts] == [Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT]
    sides = {"overhead_left": "OH 1", "overhead_right": "OH 2"}
    assert casting.notices == (Notice(Code.SIDES_ASSUMED, "overhead", {"roles": sides}),)


def test_cymbals_beside_overheads_are_a_cymbal_microphone():
    assert roles_together("Cymbals", "OH L", "OH R")["Cymbals"] is Role.CYMBAL


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Kick 1", "Kick 2"),
        ("Kick", "Kik"),
        ("Kick.wav", "Kick.flac"),
        ("Snare", "Snare Top"),
        ("OH", "Overhead"),
        ("OH L", "OH L copy"),
        ("Room", "Room copy"),
        ("Crash", "Crash_dup"),
        ("Tom 1 take 1", "Tom 1 take 2"),
        ("Floor Tom", "FT"),
    ],
)
def test_two_files_of_one_role_are_a_question_that_names_both(first, second):
    (question,) = cast([Candidate(first, 1), Candidate(second, 1)]).questions
    assert question.code is Code.ROLE_CLAIMED_TWICE
    assert set(question.values["files"]) == {first, second}
    assert set(question.values["roles"].values()) == {first, second}
    assert "\n" not in str(question)


@pytest.mark.parametrize("names", [("Room near L", "Room far L"), ("Crash 1", "Crash 2")])
def test_repeated_roles_may_be_repeated_under_names_that_differ(names):
    roles = roles_together(*names)
    assert len(roles) == 2
    assert len(set(roles.values())) == 1


def test_every_spelling_of_the_table_belongs_to_a_rule_or_qualifies_one():
    used = {word for rule in RULES for word in (*rule.words, *rule.with_any, *rule.without)}
    used |= {"high", "mid", "low", "left", "right", "both", "mono", "noise", "take"}
    for words in SPELLINGS:
        assert set(words.split()) <= used


@pytest.mark.parametrize("text", ["snair_drum_thing", "banana", ""])
def test_role_that_does_not_exist_is_an_error_that_lists_the_roles(text):
    with pytest.raises(RoleError, match="kick") as caught:
        parse_role(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("snare_top", Role.SNARE),
        ("Kick In", Role.KICK),
        ("overhead", Family.OVERHEAD),
        ("room", Family.ROOM),
        ("floor_tom", Family.TOM),
    ],
)
def test_role_may_be_said_in_other_words(text, part):
    assert parse_role(text).part is part


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_name_at_all_gets_an_answer(name):
    guess = identify(name)
    assert guess.why
    assert guess.part is None or isinstance(guess.part, Role | Family)


@settings(deadline=None)
@given(
    st.sampled_from([n for names in MONO_NAMES.values() for n in names if not n[0].isdigit()]),
    st.integers(1, 99),
    st.sampled_from([".wav", ".WAV", ".flac", ".aif", ""]),
)
def test_track_number_and_suffix_change_nothing(name, number, suffix):
    plain = name.rsplit(".", 1)[0] if name.endswith((".wav", ".flac", ".aif")) else name
    assert roles_alone(f"{number:02d}_{plain}{suffix}") == roles_alone(name)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["Kick", "Kick Out", "Snare", "SN Bot", "HH", "Tom 1", "Tom 2", "FT", "OH L", "OH R",
             "Room", "Ride", "click", "foo", "Kik", "Kick Trig", "Crash 1", "Mix"]
        ),
        unique=True,
        min_size=1,
    ),
    st.randoms(),
)  # fmt: skip
def test_every_file_has_a_part_or_a_question_in_whatever_order(names, random):
    casting = cast([Candidate(name, 1) for name in names])
    asked = {name for question in casting.questions for name in question.values["files"]}
    assert {part.name for part in casting.parts} | asked == set(names)
    shuffled = random.sample(names, len(names))
    again = cast([Candidate(name, 1) for name in shuffled])
    assert {(p.name, p.role) for p in again.parts} == {(p.name, p.role) for p in casting.parts}
