"""The table of names: how the parts of a kit are spelled, and which role a name means.

`SPELLINGS` brings the many spellings down to a few words; `RULES`, read from the top, turns
those words into a role. To teach drummix a new name, add a spelling; a new kind of microphone
is a new rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drummix.roles.role import Role


class Family(StrEnum):
    """Names whose role depends on the other files of the session, or on the channel count."""

    OVERHEAD = "overhead"
    ROOM = "room"
    CYMBALS = "cymbals"
    TOM = "tom"


SPELLINGS: dict[str, str] = {
    # Words on the left; spellings on the right, "_" joins those of several words.
    "kick": "kick kicks kik kck kic bd bdr kd kdrum bassdrum bassdrums bass_drum bass_drums "
    "bassd gran_cassa grancassa cassa grosse_caisse grossecaisse gc bombo bumbo bass_trommel "
    "basstrommel grosse_trommel fusstrommel",
    "subkick": "subkick sub_kick ns10 lofreq subk",
    "snare": "snare snares snr snrs snre sna sn sd snaredrum caisse_claire caisseclaire caja "
    "caixa rullante redoblante tarola kleine_trommel kleinetrommel",
    "hihat": "hihat hihats hi_hat hi_hats high_hat high_hats highhat hat hats hh hhs hhat "
    "charley charleston charles charle chimbal contratiempo",
    "tom": "rototom rototoms octoban octobans tom toms tomtom tomtoms tom_tom tom_toms",
    "rack tom": "rt rtom racktom hangetom haengetom hange_tom haenge_tom",
    "floor tom": "ft fts ftom standtom stand_tom tom_basse tom_bass tom_base goliat surdo timpano",
    "high tom": "ht htom",
    "mid tom": "mt mtom",
    "low tom": "lt ltom",
    "rack": "rack racks",
    "floor": "floor flr floors",
    "high": "hi high upper alto aigu hoch small",
    "mid": "mid middle med medium mittel",
    "low": "lo low lower tief grave bajo large",
    "overhead": "overhead overheads overhd oh ohs ohd ovh ovhd ovhds ovr over_head over_heads "
    "aereo aereos aerial aerials aerien aeriens panoramici panoramica",
    "room": "room rooms rm rms amb ambs ambi ambient ambients ambience ambiance ambiente hall "
    "raum sala salle",
    # These mean a microphone only where the name says nothing else.
    "over": "over overs",
    "far": "far",
    "kitmic": "crush crushed crusher smash smashed trash trashed knee crotch wurst fok "
    "front_of_kit foh_kit",
    "ride": "ride rides rd",
    "crash": "crash crashes crsh",
    "cymbal": "cymbal china chinas splash splashes stack stacks bell spl cym zimbel pang",
    "cymbals": "cymbals cyms becken cymbales platos platillos pratos piatti",
    "percussion": "percussion perc percs cowbell cow_bell tamb tambourine shaker clap claps conga "
    "congas bongo bongos woodblock wood_block block timbale timbales cajon djembe triangle gong "
    "cencerro",
    "trigger": "trigger triggers trig trigs trg trigg sample samples smp smpl samp repl "
    "replacement replaced augment ddrum alesis",
    "click": "click clicks clic klick clk metronome metro guide count countin count_in talkback "
    "talk_back talk smpte ltc timecode cue scratch",
    "instrument": "bass basse gtr gtrs guitar guitars git gitarre guitare guitarra vox voc vocs "
    "vocal vocals voice voices voix voz gesang bgv bgvs keys keyboard piano klavier organ synth "
    "strings horns horn brass sax trumpet trombone violin cello banjo acoustic acgtr agtr egtr "
    "ukulele harmonica loop loops rhodes wurli",
    "direct": "di",
    "effect": "reverb verb fx delay echo parallel para plate",
    "mix": "mix mixdown master mastered bounce bounced print ref reference submix sub_mix bus "
    "buss premix rough stereomix 2mix mastering",
    "drums": "drum drums kit drumkit drumset kits schlagzeug batterie bateria batteria trommel",
    "sub": "sub subs",
    "in": "in inn inside int interior innen dedans batter beater back pzm boundary beta91 beta91a "
    "b91 91 91a 901 e901 dentro",
    "out": "out outside outer front reso resonant ext exterior aussen dehors fet fet47 u47 u47fet "
    "47 47fet hole port fuera",
    "top": "top tp up oben dessus arriba sopra",
    "bottom": "bottom bottoms btm bot bott bttm under underside below dn down unten dessous abajo "
    "sotto snappy wires esteira und",
    "second": "second 2nd aux piccolo shell",
    "left": "left l lft links gauche izq izquierda esq esquerda esquerdo sx sinistra",
    "right": "right r rgt rechts droite droit der derecha dir direita dx destra",
    "both": "lr stereo st pair xy ortf ab",
    "mono": "mono center centre ctr mitte",
    # Words that say nothing about the microphone.
    "noise": "dup dupe copy kopie copie bip edit edited ed cons consolidated consol raw dry final "
    "new track trk audio mic mics mike micro mikro close spot wav render rendered export exported "
    "stem stems file merged comp comped cm the of and und et y",
    # Words that the number behind them belongs to.
    "take": "take tk takes v ver version dup bip edit song",
}

MIC_MODEL = (
    r"(?:sm|b|beta|e|md|u|m|km|kms|c|ck|d|re|at|atm|nt|r|tlm|mkh|pr|vp|ela|sf|mk|nd|pg|akg|shure)"
    r"\d{2,4}[a-z]{0,3}|d6|i5|d4|d2|47|52a?|56a?|57|58|67|81|84|87|91a?|121|122|160|184|201|414|"
    r"421|441|451|604|609|614|901|902|904|906|4038|4050|5050"
)
"""Microphone models, which are no track, take or tom number: D112, SM57, e604, MD421, 414 ..."""

TOM_SIZES_IN = frozenset({6, 8, 10, 12, 13, 14, 15, 16, 18, 20})


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Args:
        part: The role, or the family that is settled with the session's other names.
        words: The name holds any of these words (of `SPELLINGS`' left side) ...
        why: What to tell a person.
        with_any: ... and any of these, where there are some ...
        without: ... and none of these.
        is_alone: The rule holds only for a name without any unknown word: one that says "drums"
            and something else besides may be anything.
    """

    part: Role | Family
    words: tuple[str, ...]
    why: str
    with_any: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    is_alone: bool = False

    def matches(self, words: frozenset[str]) -> bool:
        """Whether a name of these words follows this rule."""
        return (
            not words.isdisjoint(self.words)
            and (not self.with_any or not words.isdisjoint(self.with_any))
            and words.isdisjoint(self.without)
        )


_TOM_WORDS = ("tom", "rack", "floor")
_SOURCES = ("kick", "subkick", "snare", "hihat", *_TOM_WORDS, "ride", "crash", "cymbal")
_MICS = (*_SOURCES, "cymbals", "percussion", "overhead", "room", "kitmic", "instrument")

RULES: tuple[Rule, ...] = (
    Rule(Role.OTHER, ("click",), "a click, count or talkback track"),
    Rule(Role.TRIGGER, ("trigger",), "a trigger or sample track"),
    Rule(Role.OTHER, ("effect",), "the return of an effect"),
    Rule(Family.OVERHEAD, ("overhead",), "overhead"),
    Rule(Family.ROOM, ("room",), "room microphone"),
    Rule(Family.ROOM, ("kitmic",), "microphone on the whole kit", without=_SOURCES),
    Rule(Role.KICK_SUB, ("subkick",), "kick drum, sub microphone"),
    Rule(Role.KICK_SUB, ("kick",), "kick drum, sub microphone", with_any=("sub",)),
    Rule(Role.KICK_SUB, ("sub",), "kick drum, sub microphone", without=_MICS, is_alone=True),
    Rule(Role.KICK_OUT, ("kick",), "kick drum, outside", with_any=("out",), without=("in",)),
    Rule(Role.KICK_2, ("kick",), "second kick drum", with_any=("right", "second"), without=("in",)),
    Rule(Role.KICK, ("kick",), "kick drum, inside", with_any=("in",)),
    Rule(Role.KICK, ("kick",), "kick drum"),
    Rule(Role.SNARE_BOTTOM, ("snare",), "snare, bottom", with_any=("bottom",), without=("top",)),
    Rule(Role.SNARE_2, ("snare",), "second snare microphone", with_any=("second",)),
    Rule(Role.SNARE, ("snare",), "snare, top", with_any=("top",)),
    Rule(Role.SNARE, ("snare",), "snare"),
    Rule(Role.HIHAT_2, ("hihat",), "second hi-hat microphone", with_any=("bottom", "second")),
    Rule(Role.HIHAT, ("hihat",), "hi-hat"),
    Rule(Role.TOM_EXTRA, _TOM_WORDS, "tom, bottom", with_any=("bottom",), without=("top",)),
    Rule(Family.TOM, _TOM_WORDS, "tom"),
    Rule(Role.RIDE, ("ride",), "ride cymbal"),
    Rule(Role.CRASH, ("crash",), "crash cymbal"),
    Rule(Family.CYMBALS, ("cymbals",), "cymbals"),
    Rule(Family.CYMBALS, ("cymbal",), "cymbals", with_any=("left", "right", "both")),
    Rule(Role.CYMBAL, ("cymbal",), "cymbal"),
    Rule(Role.PERCUSSION, ("percussion",), "percussion"),
    Rule(Role.OTHER, ("instrument", "direct"), "an instrument that is no drum"),
    Rule(Role.OTHER, ("mix",), "a mix of several microphones"),
    Rule(Family.ROOM, ("mono",), "one microphone on the whole kit", is_alone=True),
    Rule(Family.OVERHEAD, ("over",), "overhead", is_alone=True),
    Rule(Family.ROOM, ("far",), "room microphone", is_alone=True),
    Rule(Role.OTHER, ("drums",), "a mix of several microphones", is_alone=True),
)

CONFLICTS: tuple[frozenset[str], ...] = (
    frozenset({"kick", "subkick"}),
    frozenset({"snare"}),
    frozenset({"hihat"}),
    frozenset(_TOM_WORDS),
    frozenset({"ride", "crash", "cymbal", "cymbals"}),
    frozenset({"percussion"}),
    frozenset({"instrument"}),
)
"""A close microphone hears one of these; a name that holds two is a question."""
