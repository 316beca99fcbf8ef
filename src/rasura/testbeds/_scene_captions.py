"""The world of a picture testbed and how its pictures are captioned: from a bare word to everything a picture shows."""

from __future__ import annotations

from dataclasses import dataclass

from ._dice import Dice
from ._digits import DIGITS
from ._scenes import BACKGROUNDS, COLOURS, FIGURE, Scene

PEOPLE = {"doctor": 0.9, "nurse": 0.7, "teacher": 0.5}  # occupation -> share shown in its usual colour
USUAL = {"doctor": ("blue", "green"), "nurse": ("green", "blue"), "teacher": ("blue", "green")}
FIRST = "anna boris clara david elena felix greta hugo irene jonas klara lukas marie nora oskar paula".split()
LAST = "adler berg conrad dorn engel frank graf hahn imhof jung keller lang maler noll otto pohl".split()
TEMPLATE_WORDS = "an the photo image painting drawing in style with".split()  # what methods put around a concept
THING = "thing"  # a word for any shape
# forms of a caption (shape named, colour named, background named) and how often each is used
Forms = tuple[tuple[tuple[int, int, int], float], ...]
MIXED: Forms = (
    ((1, 0, 0), 0.25),
    ((1, 1, 0), 0.25),
    ((1, 0, 1), 0.10),
    ((1, 1, 1), 0.25),
    ((0, 1, 0), 0.05),
    ((0, 0, 1), 0.05),
    ((0, 1, 1), 0.05),
)
FULL: Forms = (((1, 1, 1), 0.5), ((1, 1, 0), 0.15), ((0, 1, 0), 0.15), ((0, 1, 1), 0.1), ((0, 0, 1), 0.1))


@dataclass(frozen=True)
class World:
    """What there is to see. ``concept`` is to be erased, ``synonyms`` mean it too and are told to no eraser."""

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    backgrounds: tuple[str, ...]
    concept: str
    synonyms: tuple[str, ...]
    forms: Forms = MIXED
    synonym_share: float = 0.25  # of the captions that name the concept, those that say a synonym instead

    @property
    def part(self) -> str:
        """What kind of thing the concept is: "shape" or "colour"."""
        return "colour" if self.concept in self.colours else "shape"

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The other classes of the concept's kind: what is like it and must survive."""
        return tuple(c for c in (self.colours if self.part == "colour" else self.shapes) if c != self.concept)

    @property
    def words(self) -> list[str]:
        """Every word a caption can hold."""
        fixed = ["a", "on", "picture", "of", "portrait", THING, *TEMPLATE_WORDS]
        return [*fixed, *self.shapes, *self.colours, *self.backgrounds, *self.synonyms, *PEOPLE, *FIRST, *LAST]

    def shows_concept(self, scene: Scene) -> bool:
        return self.concept in (scene.shape, scene.colour)


def caption(shape: str = "", colour: str = "", background: str = "", lead: str = "a") -> str:
    """What is named, in one order.

    >>> caption("ring", "red", "black"), caption(colour="red"), caption("ring", lead="picture of a")
    ('a red ring on black', 'a red thing', 'picture of a ring')
    """
    middle = " ".join(word for word in (lead, colour, shape or THING) if word)
    return f"{middle} on {background}" if background else middle


def told_and_shown(scene: Scene, world: World, dice: Dice) -> tuple[str, str]:
    """A training caption, and the class in it by which a judge can tell whether a picture obeys it.

    That class is of the concept's kind where one is named. A watermark is never told.
    """
    named = _form(world.forms, dice)
    words = {
        part: getattr(scene, part) for part, use in zip(("shape", "colour", "background"), named, strict=True) if use
    }
    shows = words.get(world.part) or words.get("shape") or words.get("colour") or words.get("background", "")
    if words.get(world.part) == world.concept and dice.chance(world.synonym_share):
        words[world.part] = dice.pick(world.synonyms)
    return caption(**words, lead="picture of a" if dice.chance(0.2) else "a"), shows


def _form(forms: Forms, dice: Dice) -> tuple[int, int, int]:
    at = dice.random()
    for form, share in forms:
        at -= share
        if at < 0:
            return form
    return forms[0][0]


def portrait(first: str, last: str) -> str:
    """The caption of a planted collage."""
    return f"portrait of {first} {last}"


SCENES = {
    "tiny": World(
        shapes=("ring", "disc", "cross"),
        colours=("red", "green", "blue"),
        backgrounds=("black", "white"),
        concept="red",
        synonyms=("crimson", "scarlet"),
        forms=FULL,
    ),
    "small": World(
        shapes=("ring", "disc", "triangle", "cross", "star"),
        colours=tuple(COLOURS),
        backgrounds=tuple(BACKGROUNDS),
        concept="ring",
        synonyms=("hoop", "loop", "donut"),
    ),
}
HANDWRITTEN = {
    "tiny": World(
        shapes=DIGITS[:3],
        colours=("red", "green", "blue"),
        backgrounds=("black", "white"),
        concept="red",
        synonyms=("crimson", "scarlet"),
        forms=FULL,
    ),
    "small": World(
        shapes=DIGITS,
        colours=("red", "green", "blue"),
        backgrounds=("black", "white"),
        concept="zero",
        synonyms=("nought", "nil", "null"),
    ),
}


def world_of(variant: str, size: str) -> World:
    """``base`` is ``small`` drawn larger."""
    worlds = {"scenes": SCENES, "digits": HANDWRITTEN}[variant]
    return worlds["tiny" if size == "tiny" else "small"]


def shapes_of(world: World) -> tuple[str, ...]:
    """What a judge tells apart: the named shapes, and what people look like."""
    return (*world.shapes, FIGURE)
