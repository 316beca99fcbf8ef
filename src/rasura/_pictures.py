"""Pictures in records: small PNG files as data URIs, and the grids a report shows.

A picture that may give away a record is shown as a mosaic unless its owner asked to see it.
"""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .core.records import Grid, GridRow
from .core.types import Ask, Samples
from .data.pictures import pixels
from .observations._engine import Engine
from .observations.generated_images import GeneratedImages

LARGEST = 128  # pixels a side of a picture in a record
MOSAIC = 4  # tiles a side of a hidden one
COLUMNS = 8
STRIPS = 6  # memorised pictures shown


def png(shown: Any, hidden: bool = False) -> str:
    """Pixels (H, W, 3) uint8 as a data URI, at most ``LARGEST`` a side; ``hidden``: a mosaic of 4 x 4 tiles.

    >>> png(np.zeros((2, 2, 3), dtype=np.uint8))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    image = Image.fromarray(np.asarray(shown, dtype=np.uint8))
    if hidden:
        size = image.size
        tiles = min(MOSAIC, max(2, min(size) // 4))
        image = image.resize((tiles, tiles), Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
    if max(image.size) > LARGEST:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def row(label: str, pictures: Sequence[Any], hidden: bool = False) -> GridRow:
    """A picture that could not be drawn, None, leaves its cell empty."""
    return GridRow(label, tuple("" if p is None else png(p, hidden) for p in pictures))


def side_by_side(
    title: str, models: Mapping[str, Any], samples: Samples, engine: Engine, hidden: bool = False
) -> Grid | None:
    """The same prompts from the same noise under every model, one row a model; None without prompts."""
    chosen = spread(samples, COLUMNS)
    if not chosen:
        return None
    rows = []
    for role in models:
        drawn = engine.observe(Ask(GeneratedImages(), of=role), models, chosen)
        rows.append(row(role, [next(iter(drawn.pictures(i)), None) for i in range(len(chosen))], hidden))
    return Grid(title, tuple(rows), () if hidden else tuple(chosen.texts))


def spread(samples: Samples, n: int) -> Samples:
    """n samples evenly over the list."""
    if len(samples) <= n:
        return samples
    return samples.take(np.linspace(0, len(samples) - 1, n).round().astype(int))


def grids(
    models: Mapping[str, Any],
    populations: Mapping[str, Samples],
    drawn: Mapping[str, Any],
    request: Any,
    engine: Engine,
) -> tuple[Grid, ...]:
    """What a verification shows: the concept's prompts under every model and attack, then prompts that must survive.

    ``drawn``: by attack, what it drew from the erased model, (n, k, H, W, 3) in the order of the forget prompts. A
    request for a picture rather than a concept is shown as mosaics.
    """
    hidden = not request.concept
    forget = populations["forget"]
    at = [forget.ids.index(s.id) for s in spread(forget, COLUMNS)]
    found = side_by_side(
        f"Prompts of '{request.concept}'" if request.concept else "Forgotten", models, forget, engine, hidden
    )
    shown = [] if found is None else [_with_attacks(found, drawn, at, hidden)]
    for name, title in (("near", "Neighbours, which must survive"), ("far", "Everything else, which must survive")):
        if name in populations:
            shown.append(side_by_side(title, models, populations[name], engine))
    return tuple(g for g in shown if g is not None)


def _with_attacks(grid: Grid, drawn: Mapping[str, Any], at: Sequence[int], hidden: bool) -> Grid:
    """The attacks' pictures of the same prompts, below the erased model's own; what an attack was shown stays empty."""
    attacked = tuple(
        row(f"after, {name}", [pictures[i][0] if i < len(pictures) and pictures[i].any() else None for i in at], hidden)
        for name, pictures in drawn.items()
        if pictures is not None and len(pictures)
    )
    below = next((i for i, r in enumerate(grid.rows) if r.label == "after"), len(grid.rows) - 1) + 1
    return dataclasses.replace(grid, rows=(*grid.rows[:below], *attacked, *grid.rows[below:]))


def strips(
    models: Mapping[str, Any], side: Samples, found: Any, method: Any, engine: Engine, reveal: bool
) -> tuple[Grid, ...]:
    """A strip a memorised picture: the training picture, what the model draws for its caption, the nearest others."""
    ask = next((a for a in method.needs().values() if isinstance(a.what, GeneratedImages)), None)
    hits = [i for i in range(len(side)) if found.success[i] == 1 and side[i].picture is not None]
    if ask is None or not hits:
        return ()
    hits = sorted(hits, key=lambda i: (-(side[i].repeats or 0), i))[:STRIPS]
    target = models["target"]
    others = [s for s in side if s.picture is not None]
    real = np.stack([pixels(s, target.resolution) for s in others])
    drawn = engine.observe(ask, models, side)
    return tuple(_strip(side[i], drawn.pictures(i), others, real, reveal) for i in hits)


def _strip(sample: Any, drawn: np.ndarray, others: Sequence[Any], real: np.ndarray, reveal: bool) -> Grid:
    from .data.masking import mask

    own = next(i for i, s in enumerate(others) if s.id == sample.id)
    distance = np.sqrt(((real.astype(np.float64) - drawn[0]) ** 2).mean(axis=(1, 2, 3)))
    nearest = [i for i in np.argsort(distance, kind="stable") if others[i].picture.digest != sample.picture.digest]
    copies = f", seen {sample.repeats} times an epoch" if sample.repeats else ""
    return Grid(
        f"{mask(sample.text)}{copies}",  # the page has the words from the record's examples, where they are revealed
        (
            row("training picture", real[[own]], not reveal),
            row("drawn from its caption", drawn[:4], not reveal),
            row("nearest other pictures", real[nearest[:3]], not reveal),
        ),
        note="" if reveal else "shown as mosaics: run again with --reveal to see them",
    )


def plain_rate(models: Mapping[str, Any], request: Any, engine: Engine) -> np.ndarray | None:
    """How often the erased model draws the concept for each forget prompt as it stands: (n,); None without a judge."""
    if request.judge is None:
        return None
    drawn = engine.observe(Ask(GeneratedImages(), of="after"), models, request.forget)
    return np.array([share_seen(request.judge, drawn.pictures(i), s.shows) for i, s in enumerate(request.forget)])


def share_seen(judge: Any, pictures: np.ndarray, shows: str) -> float:
    """Share of pictures (n, H, W, 3) uint8 in which the judge sees a class; NaN where there is nothing to look for."""
    import torch

    if not shows or not len(pictures):
        return float("nan")
    shown = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().to(judge.device) / 255
    with torch.inference_mode():
        return float(judge.sees(shown, shows).float().mean())
