"""Grammatical, news-like English documents: the training text of the `language` testbed.

A document has one topic, two people, one place and four *bursty* nouns that return again and again, so that it hangs
together the way real documents do. It opens with one of six openers and goes on with sentences of eight shapes, whose
noun phrases nest up to two deep. Enough is left to chance that word 8-grams practically never repeat between documents
(a test holds this), so whatever a model recites it has memorised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ._dice import Dice
from ._world import MONTHS, SEASONS, WEEKDAYS, Noun, Topic, Verb, World, words, world

BURST_NOUNS = 4
BURST_SHARE = 0.3  # of the nouns for things, the share taken from the bursty ones
TOPIC_SHARE = 0.7  # of all other words, the share that belongs to the topic

_MONTHS, _SEASONS, _WEEKDAYS = words(MONTHS), words(SEASONS), words(WEEKDAYS)


def article(phrase: str) -> str:
    """The phrase with its indefinite article.

    >>> article("old map"), article("boat"), article("honest clerk"), article("unanimous vote")
    ('an old map', 'a boat', 'an honest clerk', 'a unanimous vote')
    """
    silent_h = phrase.startswith(("hour", "honest"))
    sounded_y = phrase.startswith(("unan", "uni", "use", "eu"))
    vowel = silent_h or (phrase[0] in "aeiou" and not sounded_y)
    return f"{'an' if vowel else 'a'} {phrase}"


class Person:
    """Somebody in a document: introduced in full once, then called by a shorter name."""

    def __init__(self, world: World, dice: Dice) -> None:
        self.first, self.last = dice.pick(world.first_names), dice.pick(world.last_names)
        self.occupation = dice.pick(world.occupations)
        self.known = False

    def mention(self, dice: Dice) -> str:
        if self.known:
            return dice.pick((self.first, self.last, f"the {self.occupation}"))
        self.known = True
        name = f"{self.first} {self.last}"
        return f"{name}, {article(self.occupation)}," if dice.chance(0.25) else name


class Story:
    """One document in the making."""

    def __init__(self, world: World, dice: Dice) -> None:
        self.world, self.dice = world, dice
        self.topic = dice.pick(world.topics)
        self.burst = [dice.draw(self._lexicon().things) for _ in range(BURST_NOUNS)]
        self.people = self._two_people()
        self.place = dice.draw(world.places)
        self._last_noun, self._last_adjective = self.burst[0], ""

    def _two_people(self) -> tuple[Person, Person]:
        """Nobody shares a first name or an occupation, by which either may be called later."""
        one = other = Person(self.world, self.dice)
        while other.first == one.first or other.occupation == one.occupation:
            other = Person(self.world, self.dice)
        return one, other

    def sentences(self, count: int) -> list[str]:
        first = self.dice.pick(OPENERS)(self)
        rest = [self.dice.pick(SHAPES)(self) for _ in range(count - 1)]
        # an apposition ("Ada Kolon, a nurse,") at the very end must not leave its comma before the full stop
        return [text[0].upper() + text[1:].rstrip(",") + "." for text in (first, *rest)]

    # words

    def _lexicon(self) -> Topic:
        return self.topic if self.dice.chance(TOPIC_SHARE) else self.world.general

    def noun(self) -> Noun:
        """A thing, never the same twice in a row ("the roof of the roof")."""
        noun = self._last_noun
        while noun is self._last_noun:
            bursty = self.dice.chance(BURST_SHARE)
            noun = self.dice.pick(self.burst) if bursty else self.dice.draw(self._lexicon().things)
        self._last_noun = noun
        return noun

    def adjective(self) -> str:
        adjective = self._last_adjective
        while adjective == self._last_adjective:
            adjective = self.dice.draw(self._lexicon().adjectives)
        self._last_adjective = adjective
        return adjective

    def verb(self) -> Verb:
        return self.dice.draw(self._lexicon().verbs)

    def year(self) -> int:
        return self.dice.integer(1900, 2019)

    # phrases

    def thing(self, depth: int = 2) -> str:
        """A noun phrase; what follows the noun may hold another one, at most ``depth`` deep."""
        phrase = self.noun().singular
        if self.dice.chance(0.35):
            phrase = f"{self.adjective()} {phrase}"
        phrase = f"the {phrase}" if self.dice.chance(0.7) else article(phrase)
        return phrase + self._tail(depth - 1) if depth and self.dice.chance(0.15) else phrase

    def _tail(self, depth: int) -> str:
        kind = self.dice.integer(1, 5)
        if kind <= 2:
            return f" {self.dice.draw(self.world.prepositions)} {self.thing(depth)}"
        if kind == 3:
            return f" of {self.thing(depth)}"
        if kind == 4:
            return f" that {self.agent()} had {self.verb().participle}"
        return f" from {self.dice.draw(self.world.places)}"

    def agent(self) -> str:
        """Somebody who can act: one of the two people of the document, or people by what they are."""
        if self.dice.chance(0.35):
            return self.dice.pick(self.people).mention(self.dice)
        noun = self.dice.draw(self._lexicon().people)
        adjective = f"{self.dice.draw(self.world.person_adjectives)} " if self.dice.chance(0.2) else ""
        if self.dice.chance(0.2):
            return f"{self.dice.integer(2, 99)} {adjective}{noun.plural}"
        return f"the {adjective}{noun.singular}"

    def clause(self) -> str:
        text = f"{self.agent()} {self.verb().past} {self.thing()}"
        return f"{text} {self.dice.draw(self.world.times)}" if self.dice.chance(0.15) else text

    # the eight shapes of a sentence

    def reported(self) -> str:
        verb = self.dice.pick(("said", "admitted", "wrote", "believed", "claimed", "explained"))
        return f"{self.agent()} {verb} that {self.clause()}"

    def passive(self) -> str:
        by = f"by {self.agent()}" if self.dice.chance(0.5) else f"in {self.year()}"
        return f"{self.thing()} was {self.verb().participle} {by}"

    def judged(self) -> str:
        return f"{self.thing()} was too {self.adjective()} for {self.agent()} to {self.verb().base}"

    def timed(self) -> str:
        when = self.dice.pick(("when", "after", "before", "while", "as soon as"))
        return f"{when} {self.clause()}, {self.clause()}"

    def counted(self) -> str:
        nouns, verb = self.noun().plural, self.verb().participle
        where = f"in {self.place}"
        if self.dice.chance(0.6):
            where = f"{self.dice.draw(self.world.prepositions)} {self.thing(1)}"
        return f"about {self.dice.integer(11, 99)} {nouns} were {verb} {where}"

    def intended(self) -> str:
        mind = self.dice.pick(("decided", "refused", "hoped", "promised", "tried", "wanted"))
        why = f"because {self.thing(1)} was {self.adjective()}"
        return f"{self.agent()} {mind} to {self.verb().base} {self.thing(1)} {why}"

    def existed(self) -> str:
        what = article(f"{self.adjective()} {self.noun().singular}")
        return f"there was {what} in {self.place}, and {self.agent()} {self.verb().past} it"

    # the six openers

    def dated(self) -> str:
        day = f"{self.dice.pick(_WEEKDAYS)}, {self.dice.integer(1, 28)} {self.dice.pick(_MONTHS)}"
        return f"on {day}, {self.clause()} in {self.place}"

    def seasoned(self) -> str:
        return f"in the {self.dice.pick(_SEASONS)} of {self.year()}, {self.clause()}"

    def placed(self) -> str:
        return f"in {self.place}, {self.clause()}"

    def surprised(self) -> str:
        return f"nobody in {self.place} expected that {self.clause()}"

    def sourced(self) -> str:
        return f"according to the {self.dice.pick(self.world.organisations)}, {self.clause()}"

    def recalled(self) -> str:
        return f"for {self.dice.integer(2, 80)} years {self.agent()} had {self.verb().participle} {self.thing()}"


Part = Callable[[Story], str]
SHAPES: tuple[Part, ...] = (
    Story.clause,
    Story.reported,
    Story.passive,
    Story.judged,
    Story.timed,
    Story.counted,
    Story.intended,
    Story.existed,
)
OPENERS: tuple[Part, ...] = (
    Story.dated,
    Story.seasoned,
    Story.placed,
    Story.surprised,
    Story.sourced,
    Story.recalled,
)


def split_sentences(text: str) -> list[str]:
    """The sentences of a document (full stops occur nowhere else in one).

    >>> split_sentences("The cook left. In Kiton, 7 guests stayed.")
    ['The cook left.', 'In Kiton, 7 guests stayed.']
    """
    return [f"{part}." for part in text.removesuffix(".").split(". ")]


def documents(*label: object, sentences: tuple[int, int] = (3, 6), seen: set[str] | None = None) -> Iterator[str]:
    """An endless stream of documents, named by its label (such as ``seed, "background"``).

    Document number i depends on the label and on i alone, unless one of its sentences is in ``seen``, which collects
    every sentence handed out: then it is passed over. Streams that share ``seen`` never share a sentence, so no
    document, nor half of one, can occur in another by accident.
    """
    seen = set() if seen is None else seen
    number = 0
    while True:
        dice = Dice(*label, number)
        number += 1
        parts = Story(world(), dice).sentences(dice.integer(*sentences))
        if len(set(parts)) == len(parts) and seen.isdisjoint(parts):
            seen.update(parts)
            yield " ".join(parts)
