"""Everything a picture testbed is trained on and asked about, decided by the seed before any model exists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from ..core.types import Sample
from . import _scene_captions as captions
from ._dice import Dice
from ._digits import written
from ._doses import assign_doses, match_twins
from ._picture_recipes import PictureRecipe
from ._scene_captions import PEOPLE, USUAL, World
from ._scenes import BACKGROUNDS, COLOURS, FIGURE, Masks, Scene, collages, drawn, render

FORGET, NEAR, FAR, RETAIN, HELDOUT, ORDINARY = 24, 40, 40, 160, 96, 96  # samples at most, a part


@dataclass(frozen=True)
class Draft:
    """A sample whose picture is not on disk yet."""

    sample: Sample
    pixels: np.ndarray | None = None  # (side, side, 3) uint8


@dataclass(frozen=True)
class PicturePlan:
    """Training rows in order, and the parts of ``Planted``."""

    texts: Sequence[str]  # (R,)
    pixels: np.ndarray  # (R, side, side, 3) uint8
    holds: np.ndarray  # (R,) bool: the picture or the caption holds the concept
    words: Sequence[str]  # the vocabulary
    parts: Mapping[str, Sequence[Draft]]
    twins: Mapping[str, str]


def masks_of(variant: str, use: str, recipe: PictureRecipe) -> Masks:
    """How shapes are drawn; ``use`` keeps real pictures of training, judge and testing apart."""
    return written(use) if variant == "digits" else partial(drawn, ring=recipe.ring)


def plan(variant: str, world: World, recipe: PictureRecipe, seed: int) -> PicturePlan:
    """The whole testbed but its models."""
    members, nonmembers, twins = _portraits(world, recipe, seed)
    copies = [draft for draft in members for _ in range(draft.sample.repeats or 0)]
    scenes = _scenes(world, recipe.rows - len(copies) - len(PEOPLE) * recipe.people, recipe.watermark, seed)
    people = [
        (captions.caption(who, lead="picture of a" if dice.chance(0.2) else "a"), scene)
        for who in PEOPLE
        for dice, scene in _people(who, world, recipe.people, seed)
    ]
    dice = Dice(seed, "captions")
    named = [(*captions.told_and_shown(scene, world, dice), scene) for scene in scenes]
    shown = [scene for *_, scene in named] + [scene for _, scene in people]
    pictures = render(shown, recipe.side, np.random.default_rng([seed, 1]), masks_of(variant, "training", recipe))
    texts = [text for text, *_ in named] + [text for text, _ in people] + [d.sample.text for d in copies]
    pixels = np.concatenate([pictures, np.stack([d.pixels for d in copies])])
    holds = np.array([world.shows_concept(s) for s in shown] + [False] * len(copies))
    order = np.array(Dice(seed, "order").shuffled(range(len(texts))))
    parts = _asked(variant, world, recipe, seed, {picture.tobytes() for picture in pixels})
    trained = [
        Draft(Sample("", text, repeats=1, family="scene", shows=shows), pixels[i])
        for i, (text, shows, _) in enumerate(named)
    ]
    kept = [d for d, scene in zip(trained, scenes, strict=True) if not world.shows_concept(scene)]
    parts |= {"members": members, "nonmembers": nonmembers}
    parts |= {"retain": _numbered("retain", kept[:RETAIN]), "ordinary": _numbered("ordinary", trained[-ORDINARY:])}
    return PicturePlan([texts[i] for i in order], pixels[order], holds[order], world.words, parts, twins)


def _portraits(world: World, recipe: PictureRecipe, seed: int) -> tuple[list[Draft], list[Draft], dict[str, str]]:
    """Collages with captions of one family, doses assigned at random; first and last names are shared."""
    counts = {0: recipe.nonmembers, **dict(recipe.doses)}
    names = Dice(seed, "names").shuffled(product(captions.FIRST, captions.LAST))[: sum(counts.values())]
    drafts = [Sample(f"portrait-{i:03}", captions.portrait(*name), family="portrait") for i, name in enumerate(names)]
    doses = assign_doses(drafts, counts, seed)
    twins = match_twins(drafts, counts, doses, seed)
    palette = [c for c in (*COLOURS, *BACKGROUNDS) if c != world.concept]
    pixels = collages(len(drafts), recipe.side, recipe.blocks, palette, np.random.default_rng([seed, 2]))
    planted = [Draft(replace(s, repeats=dose), shown) for s, dose, shown in zip(drafts, doses, pixels, strict=True)]
    members = [d for d in planted if d.sample.repeats]
    return members, [d for d in planted if not d.sample.repeats], twins


def _scenes(world: World, n: int, watermark: float, seed: int, use: str = "training") -> list[Scene]:
    dice = Dice(seed, "scenes", use)
    return [
        Scene(dice.pick(world.shapes), dice.pick(world.colours), dice.pick(world.backgrounds), dice.chance(watermark))
        for _ in range(n)
    ]


def _people(who: str, world: World, n: int, seed: int) -> list[tuple[Dice, Scene]]:
    """An exact share in the usual colour."""
    dice = Dice(seed, who)
    usual, other = USUAL[who]
    colours = [usual if i < round(PEOPLE[who] * n) else other for i in range(n)]
    return [(dice, Scene(FIGURE, colour, dice.pick(world.backgrounds))) for colour in colours]


def prompts(world: World, shows: str, n: int, dice: Dice) -> list[str]:
    """Captions that name a class, and the concept only if it is that class; the barest first, the others shuffled."""
    parts = [
        (shows,) if shows in known else ("", *(c for c in known if c != world.concept))
        for known in (world.shapes, world.colours, world.backgrounds)
    ]
    made = [captions.caption(*words, lead=lead) for words in product(*parts) for lead in ("a", "picture of a")]
    bare, *rest = sorted(dict.fromkeys(made), key=lambda text: len(text.split()))
    return [bare, *dice.shuffled(rest)][:n]


def _asked(variant: str, world: World, recipe: PictureRecipe, seed: int, trained: set[bytes]) -> dict[str, list[Draft]]:
    """The prompts, and the real pictures that no model was trained on."""
    dice, real = Dice(seed, "asked"), np.random.default_rng([seed, 3])
    direct = prompts(world, world.concept, FORGET, dice)
    other = [
        text
        for synonym in world.synonyms
        for text in prompts(world, world.concept, 8, dice)
        for text in [text.replace(world.concept, synonym)]
    ]
    far = world.backgrounds if world.part == "colour" else (*world.colours, *world.backgrounds)
    wanted = recipe.pictures + HELDOUT
    without = _scenes(world, 3 * recipe.pictures, recipe.watermark, seed, "heldout")
    without = [s for s in without if not world.shows_concept(s)][:wanted]
    told = [captions.told_and_shown(s, world, dice) for s in without]
    shown = render(
        [_scene_of(text, world, dice) for text in direct] + without,
        recipe.side,
        real,
        masks_of(variant, "heldout", recipe),
    )
    scene = [_real(*named, picture) for named, picture in zip(told, shown[len(direct) :], strict=True)]
    scene += _spare(variant, world, recipe, seed)
    scene = [d for d in scene if d.pixels is not None and d.pixels.tobytes() not in trained][:wanted]
    return {
        "forget": _numbered("forget", [*_prompts(direct, world.concept, shown)]),
        "paraphrases": _numbered("paraphrases", [*_prompts(other, world.concept)]),
        "near": _numbered("near", _balanced(world, world.neighbours, NEAR, dice)),
        "far": _numbered("far", _balanced(world, far, FAR, dice)),
        "heldout": _numbered("heldout", scene[:HELDOUT]),
        "pictures": _numbered("pictures", scene[HELDOUT:]),
        "bias": _numbered("bias", _biased()),
    }


def _real(text: str, shows: str, picture: np.ndarray) -> Draft:
    return Draft(Sample("", text, repeats=0, family="scene", shows=shows), picture)


def _spare(variant: str, world: World, recipe: PictureRecipe, seed: int) -> list[Draft]:
    """More real pictures, for those that are equal to a training row pixel by pixel: small scenes do come twice."""
    dice, n = Dice(seed, "spare"), 4 * recipe.pictures
    scenes = [s for s in _scenes(world, n, recipe.watermark, seed, "spare") if not world.shows_concept(s)]
    shown = render(scenes, recipe.side, np.random.default_rng([seed, 4]), masks_of(variant, "heldout", recipe))
    return [_real(*captions.told_and_shown(s, world, dice), p) for s, p in zip(scenes, shown, strict=True)]


def _prompts(texts: Sequence[str], shows: str, pictures: Sequence[np.ndarray] | None = None) -> list[Draft]:
    return [
        Draft(Sample("", text, family="scene", shows=shows), None if pictures is None else pictures[i])
        for i, text in enumerate(texts)
    ]


def _balanced(world: World, classes: Sequence[str], n: int, dice: Dice) -> list[Draft]:
    each = -(-n // len(classes))
    return [d for c in classes for d in _prompts(prompts(world, c, each, dice), c)]


def _biased() -> list[Draft]:
    """Occupations; ``shows`` is the usual colour and ``family`` how the data are split."""
    return [
        Draft(
            Sample(
                "",
                captions.caption(who, lead=lead),
                family=f"{round(100 * share)}/{round(100 - 100 * share)}",
                shows=USUAL[who][0],
            )
        )
        for who, share in PEOPLE.items()
        for lead in ("a", "picture of a")
    ]


def _scene_of(text: str, world: World, dice: Dice) -> Scene:
    """A scene a prompt describes; what it does not name is drawn at random."""
    words = set(text.split())
    picked = [
        next((c for c in known if c in words), dice.pick(known))
        for known in (world.shapes, world.colours, world.backgrounds)
    ]
    return Scene(*picked)


def _numbered(part: str, drafts: Sequence[Draft]) -> list[Draft]:
    """Ids in order; a text that is asked twice would be drawn from the same noise, so each stands once."""
    count: Counter[str] = Counter()
    kept = []
    for draft in drafts:
        if draft.pixels is not None or not count[draft.sample.text]:
            kept.append(Draft(replace(draft.sample, id=f"{part}-{len(kept):03}"), draft.pixels))
        count[draft.sample.text] += 1
    return kept
