"""The testbed's own judge, trained on renders that no generator sees.

Ruined pictures (noise, collages, two scenes blended) are "none of these" in every attribute; blurred ones in their
shape alone. Scenes are shown with noise and with too much contrast, as a guided generator draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..models.judges import NONE, Judge
from ._dice import Dice
from ._picture_plan import masks_of
from ._picture_recipes import PictureRecipe
from ._scene_captions import World, shapes_of
from ._scenes import Scene, collages, render

IGNORED = -100  # a label that says nothing
RUINED = 0.25  # share of the pictures shown to the judge
BATCH = 64


def attributes_of(world: World) -> dict[str, tuple[str, ...]]:
    return {
        "shape": (*shapes_of(world), NONE),
        "colour": (*world.colours, NONE),
        "background": (*world.backgrounds, NONE),
        "watermark": ("watermark", "no watermark", NONE),
    }


def train_judge(
    variant: str, world: World, recipe: PictureRecipe, seed: int, on_step: Callable[[int], None] | None = None
) -> Judge:
    """A judge with the confusion matrix of held-out renders."""
    import torch

    from ..models._judge_networks import picture_net

    attributes = attributes_of(world)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = picture_net()(recipe.side, recipe.judge_width, {a: len(c) for a, c in attributes.items()})
    shown, labels = examples(variant, world, recipe, seed, recipe.judge_rows, "judge")
    _fit(network, shown, labels, recipe, seed, on_step)
    judge = Judge(network, attributes, name="testbed judge")
    test, truth = examples(variant, world, recipe, seed, recipe.judge_rows // 3, "heldout")
    return Judge(network, attributes, confusion=confusion(judge, test, truth), name=judge.name)


def examples(
    variant: str, world: World, recipe: PictureRecipe, seed: int, n: int, use: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, side, side, 3) uint8 and labels (n, attributes), scenes first and ruined ones after."""
    rng, dice, ruined = np.random.default_rng([seed, 5, len(use)]), Dice(seed, "judge", use), round(RUINED * n)
    scenes = [
        Scene(dice.pick(shapes_of(world)), dice.pick(world.colours), dice.pick(world.backgrounds), dice.chance(0.3))
        for _ in range(n)
    ]
    shown = render(scenes, recipe.side, rng, masks_of(variant, use, recipe))
    labels = np.array([_labels(s, world) for s in scenes])
    none = np.array([len(c) - 1 for c in attributes_of(world).values()])
    kind = np.floor(4 * rng.random(ruined)).astype(int)
    noise = (255 * rng.random((ruined, *shown.shape[1:]))).astype(np.uint8)
    mixed = (shown[:ruined].astype(int) + shown[-ruined:]) // 2
    palette = [*world.colours, *world.backgrounds]
    patched = np.where(
        (rng.random(ruined) < 0.5)[:, None, None, None],
        collages(ruined, recipe.side, recipe.blocks, palette, rng),
        collages(ruined, recipe.side, 2, palette, rng),
    )
    bad = np.choose(kind[:, None, None, None], [noise, patched, mixed, _blurred(shown[:ruined])])
    told = np.where((kind == 3)[:, None], [none[0], IGNORED, IGNORED, IGNORED], none)
    same = (kind == 2) & (labels[:ruined] == labels[-ruined:]).T  # a blend of two red things is still red
    told = np.where(same.T, IGNORED, told)
    keep = n - ruined
    return np.concatenate([shown[:keep], bad]).astype(np.uint8), np.concatenate([labels[:keep], told])


def _labels(scene: Scene, world: World) -> list[int]:
    return [
        shapes_of(world).index(scene.shape),
        world.colours.index(scene.colour),
        world.backgrounds.index(scene.background),
        int(not scene.watermark),
    ]


def _blurred(shown: np.ndarray) -> np.ndarray:
    """The mean of a window as wide as half the picture, the picture continued by its edge."""
    wide = shown.shape[1] // 2 + 1
    out = shown.astype(np.float32)
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (wide // 2, wide // 2)
        sums = np.cumsum(np.pad(out, pad, mode="edge"), axis=axis)
        zero = np.zeros_like(np.take(sums, [0], axis=axis))
        sums = np.concatenate([zero, sums], axis=axis)
        n = shown.shape[axis]
        out = (np.take(sums, range(wide, wide + n), axis=axis) - np.take(sums, range(n), axis=axis)) / wide
    return out


def _fit(network: Any, shown: np.ndarray, labels: np.ndarray, recipe: PictureRecipe, seed: int, on_step: Any) -> None:
    import torch

    from ..training.loop import pinned_threads

    pictures, truth = torch.from_numpy(shown).permute(0, 3, 1, 2), torch.from_numpy(labels)
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=recipe.judge_steps)
    network.train()
    with pinned_threads(1):
        for step in range(recipe.judge_steps):
            rows = torch.randint(len(pictures), (BATCH,), generator=draw)
            _, logits = network(_disturbed(pictures[rows].float() / 255, draw))
            loss = sum(
                torch.nn.functional.cross_entropy(answer, truth[rows, i], ignore_index=IGNORED)
                for i, answer in enumerate(logits.values())
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if on_step is not None:
                on_step(step)
    network.eval()


def _disturbed(pictures: Any, draw: Any) -> Any:
    """Contrast times 1 to 1.6 about the middle grey, and noise of deviation up to 0.1."""
    import torch

    contrast, noise = torch.rand(2, len(pictures), 1, 1, 1, generator=draw)
    louder = (pictures - 0.5) * (1 + 0.6 * contrast) + 0.5
    return (louder + 0.1 * noise * torch.randn(pictures.shape, generator=draw)).clamp(0, 1)


def confusion(judge: Judge, shown: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Counts by attribute, rows true; pictures whose label says nothing are left out."""
    import torch

    with torch.no_grad():
        answers = judge.probabilities(torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 255)
    counted = {}
    for i, (attribute, p) in enumerate(answers.items()):
        classes, known = p.shape[1], labels[:, i] != IGNORED
        pairs = labels[known, i] * classes + p.argmax(-1).numpy()[known]
        counted[attribute] = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return counted
