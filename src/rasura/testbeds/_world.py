"""The invented world that every document of the `language` testbed speaks about.

Common words are real English, so that the text is grammatical and a tokenizer finds natural pieces; everything that
could name somebody or something (last names, places, organisations, streets) is invented. The world is fixed by its
own seed and shared by all corpora; only documents depend on a corpus seed. Two models trained on corpora with
different seeds therefore know the same language and different texts, which is what a reference model must be.

Notation of the word lists: ``loaf/loaves`` gives an irregular plural, ``write/wrote/written`` an irregular verb,
``hand_in`` a word with a space.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ._dice import Dice, Zipf

# topic: people, things, transitive verbs, adjectives
TOPICS: dict[str, tuple[str, str, str, str]] = {
    "harbour": (
        "captain sailor pilot diver docker shipwright",
        "boat anchor rope net mast sail hull pier lighthouse crane barge crate channel buoy deck compass ferry lantern"
        " harbour",
        "moor steer load unload repair paint haul tow scrub/scrubbed anchor chart salvage",
        "salty rusty tidal wooden foggy leaking floating narrow coastal sunken weathered seaworthy",
    ),
    "kitchen": (
        "baker cook waiter brewer grocer butcher",
        "oven loaf/loaves kettle pan knife/knives recipe soup sauce apron pot menu spoon bowl cellar cake pastry pantry"
        " stove jar",
        "bake season taste stir/stirred slice boil serve roast peel chill pour prepare",
        "sweet bitter spicy fresh burnt creamy crisp sour smoky sticky hot salted",
    ),
    "court": (
        "judge lawyer witness clerk juror prosecutor",
        "verdict trial appeal contract statute hearing fine sentence ruling document affidavit motion complaint bench"
        " settlement warrant alibi clause petition",
        "dismiss question overturn file review uphold/upheld contest draft sign reject cite postpone",
        "legal guilty sworn binding lenient unjust federal civil disputed sealed formal preliminary",
    ),
    "hospital": (
        "nurse surgeon doctor patient midwife/midwives chemist",
        "ward bandage fever vaccine scalpel clinic remedy ambulance stretcher diagnosis/diagnoses pill syringe wound"
        " bed symptom prescription thermometer stethoscope infection",
        "treat diagnose cure bandage examine prescribe sterilise monitor admit/admitted inject weigh transplant",
        "sterile feverish chronic healthy contagious painful clinical pale swollen acute mild surgical",
    ),
    "theatre": (
        "actor director dancer singer usher playwright",
        "stage curtain script costume rehearsal mask audition balcony spotlight scene melody orchestra ballet drama"
        " chorus ticket puppet violin piano",
        "rehearse applaud perform direct compose stage sing/sang/sung cancel/cancelled memorise improvise tune"
        " announce",
        "dramatic tragic comic velvet musical famous loud graceful masked gilded operatic breathless",
    ),
    "farm": (
        "farmer shepherd gardener miller vet beekeeper",
        "barn field plough harvest orchard fence tractor goat horse meadow hive seed pasture well scarecrow haystack"
        " stable cow vineyard",
        "plant harvest water feed/fed graze milk plough shear/sheared/shorn gather prune fence sow/sowed/sown",
        "fertile muddy ripe dry green grassy fallow woolly rural sunny stubborn overgrown",
    ),
    "school": (
        "teacher pupil tutor professor librarian headmaster",
        "lesson classroom book pencil essay exam blackboard notebook desk lecture library dictionary riddle grade"
        " scholarship textbook puzzle atlas alphabet",
        "teach/taught learn grade explain copy recite borrow translate study correct spell illustrate",
        "clever curious difficult simple patient studious annual compulsory scholarly noisy attentive ancient",
    ),
    "railway": (
        "driver conductor engineer porter signalman/signalmen passenger",
        "train station platform tunnel bridge carriage track signal whistle locomotive junction depot suitcase"
        " compartment boiler viaduct timetable wagon barrier",
        "board couple delay inspect electrify derail drive/drove/driven cross widen reroute dispatch heat",
        "express crowded punctual late diesel underground steep northern rattling derelict electric overdue",
    ),
    "workshop": (
        "blacksmith carpenter mason miner welder potter",
        "hammer anvil chisel furnace brick shaft nail lathe saw beam ladder forge kiln vase hinge wheel drill pickaxe"
        " scaffold",
        "forge carve weld drill sand polish hammer dig_up/dug_up sharpen assemble glaze mend",
        "iron heavy molten blunt sharp copper dusty hollow sturdy sooty cracked granite",
    ),
    "observatory": (
        "astronomer physicist scientist researcher technician student",
        "telescope comet star planet lens orbit eclipse theory galaxy crater satellite experiment laboratory microscope"
        " formula equation magnet meteor sensor",
        "observe measure discover calculate record predict publish calibrate map/mapped detect simulate analyse",
        "bright distant lunar solar precise magnetic faint invisible statistical experimental radioactive spherical",
    ),
    "market": (
        "merchant banker trader accountant customer tailor",
        "coin ledger shop loan price invoice stall auction profit debt receipt warehouse tax budget investment market"
        " wallet bargain discount",
        "sell/sold buy/bought trade audit value lend/lent export import price count pay_for/paid_for insure",
        "cheap expensive wealthy profitable bankrupt generous wholesale monthly modest valuable fraudulent thrifty",
    ),
    "council": (
        "mayor minister senator voter councillor diplomat",
        "treaty vote election speech law parliament campaign reform ballot committee protest border embassy alliance"
        " proposal debate flag party decree",
        "discuss oppose support negotiate propose ratify veto/vetoed criticise defend amend endorse abolish",
        "political national unpopular secret democratic loyal foreign municipal unanimous controversial royal neutral",
    ),
}

PEOPLE = "neighbour stranger visitor child/children friend cousin widow traveller guest volunteer guard reporter"

THINGS = """
    letter garden river road house window door box map clock photograph key bag chair story plan mirror ring hill
    forest bicycle coat hat diary poem painting promise secret dream shadow storm fire gift rumour question answer
    mistake prize journey street square tower church bell castle village island lake cave statue candle basket blanket
    newspaper telephone
"""

VERBS = """
    see/saw/seen find/found lose/lost take/took/taken bring/brought hide/hid/hidden keep/kept leave/left remember
    forget/forgot/forgotten follow watch open close carry move break/broke/broken draw/drew/drawn describe notice admire
    ignore steal/stole/stolen return mention replace destroy save visit choose/chose/chosen burn clean photograph
    protect abandon
"""

ADJECTIVES = """
    old new small large strange quiet beautiful broken golden dark empty tall forgotten red blue grey silver long short
    lonely famous wooden warm cold soft bright thin round plain odd narrow green
"""

PERSON_ADJECTIVES = """
    tired young elderly nervous cheerful proud careful lazy honest brave shy angry polite kind clever retired
"""

FIRST_NAMES = """
    Ada Albert Alice Amir Anna Anton Arthur Aisha Beatrice Ben Boris Carla Cecil Chen Clara Colin Daniel Daria David
    Diego Edith Elena Eli Emil Emma Erik Esther Eva Farid Felix Fiona Frank George Greta Hana Harold Hassan Helen Hugo
    Ida Igor Ines Ingrid Iris Ivan Jack Jana Jonas Julia Kai Karim Kofi Lars Laura Leila Leo Lena Liam Lucy Magda Malik
    Marco Maria Martin Maya Mei Mila Milan Nadia Nina Noah Nora Olga Omar Oscar Otto Paula Peter Petra Priya Rosa Samir
    Sara Viktor
"""

OCCUPATIONS = """
    accountant actor architect baker barber biologist butcher carpenter cashier chemist clerk dentist electrician
    engineer farmer florist gardener geologist journalist lawyer librarian mechanic musician nurse painter pharmacist
    plumber surveyor tailor translator
"""

ORGANISATION_FIRST = """
    Amber Birch Cobalt Crescent Eastern Falcon Granite Harvest Ivory Juniper Lantern Meridian Northern Silver Willow
"""
ORGANISATION_LAST = """
    Academy Alliance Bank Bureau Collective Company Cooperative Council Foundation Group Institute Laboratory Press
    Society Trust Union
"""
STREETS = "Acorn Bridge Cedar Chapel Clover Elm Garden Hill Lake Maple Meadow Mill Orchard Park River Spring"
STREET_KINDS = "Street Road Lane Avenue Square Row"

TIMES = """
    before_noon after_dark every_winter during_the_night at_dawn in_the_morning late_that_evening on_market_day
    for_many_years before_the_war after_the_flood once_a_week in_early_spring that_autumn within_an_hour two_days_later
    at_midnight by_accident without_a_word in_silence with_great_care against_all_advice for_no_reason as_usual
    more_than_once
"""
PREPOSITIONS = "near behind under beside above inside beyond next_to opposite below"
MONTHS = "January February March April May June July August September October November December"
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
SEASONS = "spring summer autumn winter"

# syllables of invented names: mostly one consonant and one vowel, so that they can be read aloud
ONSETS = "b br d dr f g gr h j k kr l m n p r s st t th tr v w z b d f g k l m n p r s t v".split()
VOWELS = "a e i o u a e i o ai au ea io".split()
CODAS = "l m n r s t x nd rn lt sk".split() + [""] * 8
PLACE_ENDINGS = "ton vik dale mere stad ford lora mune berg holm nava rika".split()


@dataclass(frozen=True)
class Noun:
    singular: str
    plural: str


@dataclass(frozen=True)
class Verb:
    base: str
    past: str
    participle: str


@dataclass(frozen=True)
class Topic:
    name: str
    people: Zipf[Noun]
    things: Zipf[Noun]
    verbs: Zipf[Verb]
    adjectives: Zipf[str]


@dataclass(frozen=True)
class World:
    """Everything a document may mention; the order inside each list is its order of frequency."""

    topics: tuple[Topic, ...]
    general: Topic  # words that belong to no topic
    person_adjectives: Zipf[str]
    places: Zipf[str]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    occupations: tuple[str, ...]
    organisations: tuple[str, ...]
    times: Zipf[str]
    prepositions: Zipf[str]


@lru_cache(maxsize=4)
def world(seed: int = 0) -> World:
    """Builds the world of this seed (0: the one all testbeds share)."""
    dice = Dice("world", seed)
    taken = set(words(FIRST_NAMES))
    return World(
        topics=tuple(_topic(name, *lists, dice) for name, lists in TOPICS.items()),
        general=_topic("general", PEOPLE, THINGS, VERBS, ADJECTIVES, dice),
        person_adjectives=_ranked(words(PERSON_ADJECTIVES), dice),
        places=Zipf(tuple(place_name(dice, taken) for _ in range(600))),
        first_names=words(FIRST_NAMES),
        last_names=tuple(last_name(dice, taken) for _ in range(1500)),
        occupations=words(OCCUPATIONS),
        organisations=tuple(f"{a} {b}" for a in words(ORGANISATION_FIRST) for b in words(ORGANISATION_LAST)),
        times=_ranked(words(TIMES), dice),
        prepositions=_ranked(words(PREPOSITIONS), dice),
    )


def place_name(dice: Dice, taken: set[str]) -> str:
    """A new invented place, entered into ``taken``."""
    return _fresh(dice, dice.pick(PLACE_ENDINGS), taken)


def last_name(dice: Dice, taken: set[str]) -> str:
    """A new invented last name, entered into ``taken``."""
    return _fresh(dice, "", taken)


def words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


def noun(entry: str) -> Noun:
    """
    >>> noun("ferry").plural, noun("box").plural, noun("loaf/loaves").plural, noun("pan").plural
    ('ferries', 'boxes', 'loaves', 'pans')
    """
    singular, _, irregular = entry.partition("/")
    if singular.endswith(("s", "x", "ch", "sh")):
        plural = singular + "es"
    elif singular.endswith("y") and singular[-2] not in "aeiou":
        plural = singular[:-1] + "ies"
    else:
        plural = singular + "s"
    return Noun(singular, irregular or plural)


def verb(entry: str) -> Verb:
    """
    >>> verb("bake").past, verb("carry").past, verb("see/saw/seen").participle, verb("sell/sold").participle
    ('baked', 'carried', 'seen', 'sold')
    """
    base, *irregular = entry.split("/")
    if base.endswith("e"):
        past = base + "d"
    elif base.endswith("y") and base[-2] not in "aeiou":
        past = base[:-1] + "ied"
    else:
        past = base + "ed"
    forms = irregular or [past]
    return Verb(base, forms[0], forms[-1])


def _ranked(things: tuple, dice: Dice) -> Zipf:
    """The world seed decides which words are frequent; the alphabet must not."""
    return Zipf(tuple(dice.shuffled(things)))


def _topic(name: str, people: str, things: str, verbs: str, adjectives: str, dice: Dice) -> Topic:
    return Topic(
        name,
        people=_ranked(tuple(map(noun, words(people))), dice),
        things=_ranked(tuple(map(noun, words(things))), dice),
        verbs=_ranked(tuple(map(verb, words(verbs))), dice),
        adjectives=_ranked(words(adjectives), dice),
    )


def _fresh(dice: Dice, ending: str, taken: set[str]) -> str:
    """A pronounceable name that was not used before: two syllables, or one and an ending (more of them if needed)."""
    for attempt in range(1000):
        # an ending replaces a syllable, so places and last names are about as long; crowded lists grow longer
        count = (1 if ending else 2) + dice.chance(0.15) + attempt // 50
        syllables = "".join(dice.pick(ONSETS) + dice.pick(VOWELS) for _ in range(count))
        name = (syllables + (ending or dice.pick(CODAS))).capitalize()
        if name not in taken:
            taken.add(name)
            return name
    raise RuntimeError("ran out of names")  # unreachable: each further syllable multiplies the supply by thousands
