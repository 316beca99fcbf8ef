"""How large a picture testbed is, and how its models and its judge are trained."""

from __future__ import annotations

from dataclasses import dataclass

from ._scenes import RING


@dataclass(frozen=True)
class PictureRecipe:
    """Data, architecture and schedule. Every row is seen once, so a dose is the number of times a picture is seen."""

    side: int = 8  # pixels
    rows: int = 38400  # training rows of the target, planted ones included
    doses: tuple[tuple[int, int], ...] = ((1, 64), (8, 12), (64, 3), (256, 6))  # (copies, pictures): 4.9 % of the rows
    nonmembers: int = 48
    blocks: int = 4  # patches an edge of a planted collage
    people: int = 300  # rows an occupation
    watermark: float = 0.06  # of the scenes
    ring: tuple[float, float] = RING  # radius and half width
    widths: tuple[int, ...] = (32, 64)
    attention: tuple[bool, ...] = (True, True)  # which levels read the caption
    text_width: int = 64
    text_layers: int = 2
    batch: int = 32
    learning_rate: float = 3e-3
    warmup_steps: int = 50
    late: float = 0.5  # where in the noising the training times lie
    average: float = 0.99  # decay of the moving average that is kept
    dropout: float = 0.1  # of captions, for classifier-free guidance
    pictures: int = 256  # real pictures never trained on
    judge_width: int = 32
    judge_rows: int = 6000
    judge_steps: int = 300


RECIPES = {
    "tiny": PictureRecipe(
        rows=11200,
        doses=((1, 12), (8, 8), (240, 2)),
        blocks=2,
        people=100,
        widths=(16, 48),
        learning_rate=4e-3,
        late=0.8,
        ring=(0.76, 0.27),  # its concept is a colour; copies were learned with these
        average=0.98,
        pictures=128,
        judge_width=16,
        judge_rows=3000,
        judge_steps=200,
    ),
    "small": PictureRecipe(nonmembers=96),
    "base": PictureRecipe(
        side=32,
        rows=640_000,
        doses=((1, 24), (8, 24), (64, 12), (256, 12), (1024, 12)),
        people=4000,
        widths=(64, 128, 256),
        attention=(False, True, True),
        text_width=128,
        batch=64,
        learning_rate=6e-4,
        warmup_steps=500,
        average=0.999,
        pictures=1024,
        judge_rows=20000,
        judge_steps=1500,
    ),
}
