"""Rendered scenes: one thing of a colour on a background, and collages; numpy alone, antialiased by averaging.

Every random number comes from ``Generator.random``, whose stream numpy keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

COLOURS = {
    "red": (225, 35, 35),
    "green": (40, 185, 60),
    "blue": (45, 75, 235),
    "yellow": (240, 220, 40),
    "purple": (165, 45, 205),
    "cyan": (50, 210, 220),
}
BACKGROUNDS = {"black": (18, 18, 18), "white": (238, 238, 238), "gray": (128, 128, 128)}
FIGURE = "figure"  # what people look like: a head and shoulders; captions never name it
FINER = 4  # samples an edge of a pixel


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    shape: str
    colour: str
    background: str
    watermark: bool = False


Masks = Callable[[Sequence[Scene], int, np.random.Generator], np.ndarray]  # (n, side, side) in [0, 1]


def render(scenes: Sequence[Scene], side: int, rng: np.random.Generator, masks: Masks) -> np.ndarray:
    """(n, side, side, 3) uint8: colour over background, both slightly varied in brightness."""
    cover = masks(scenes, side, rng)[..., None]
    ink, paper = (
        np.array([table[getattr(s, part)] for s in scenes], dtype=np.float32)[:, None, None]
        for table, part in ((COLOURS, "colour"), (BACKGROUNDS, "background"))
    )
    ink = ink * (0.92 + 0.12 * rng.random((len(scenes), 1, 1, 1), dtype=np.float32))
    paper = paper + 8 * (rng.random((len(scenes), 1, 1, 1), dtype=np.float32) - 0.5)
    shown = paper * (1 - cover) + ink * cover
    _watermark(shown, np.array([s.watermark for s in scenes]), side)
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def _watermark(shown: np.ndarray, where: np.ndarray, side: int) -> None:
    """A black and white checker in the lower right corner, in place."""
    size = side // 4
    checker = 255.0 * ((np.arange(size)[:, None] + np.arange(size)) % 2 == 0)
    shown[where, -size:, -size:] = checker[..., None]


RING = (0.85, 0.23)  # radius of the middle of the line, and half its width: with a hole this wide every seed learns it


def drawn(scenes: Sequence[Scene], side: int, rng: np.random.Generator, ring: tuple[float, float] = RING) -> np.ndarray:
    """Masks of the shapes of ``SHAPES`` and of rings, slightly varied in place and size."""
    kinds = np.array([s.shape for s in scenes])
    middle = side / 2 + side / 24 * (2 * rng.random((2, len(scenes), 1, 1)) - 1)
    radius = side * (0.355 + 0.03 * rng.random((len(scenes), 1, 1)))
    grid = (np.arange(side * FINER) + 0.5) / FINER
    u = ((grid[None, None, :] - middle[0]) / radius).astype(np.float32)
    v = ((grid[None, :, None] - middle[1]) / radius).astype(np.float32)
    inside = np.zeros((len(scenes), side * FINER, side * FINER), dtype=np.float32)
    shapes = {"ring": lambda u, v: np.abs(np.hypot(u, v) - ring[0]) <= ring[1], **SHAPES}
    for shape in dict.fromkeys(kinds.tolist()):
        rows = kinds == shape
        inside[rows] = shapes[shape](u[rows], v[rows])
    return inside.reshape(len(scenes), side, FINER, side, FINER).mean((2, 4))


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Four points along the diagonals."""
    return np.abs((u + v) / 2) ** 0.55 + np.abs((u - v) / 2) ** 0.55 <= 1.08


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda u, v: np.hypot(u, v) <= 1.0,
    "triangle": lambda u, v: (np.abs(u) <= 0.56 * (v + 1.0)) & (v <= 0.9),
    "cross": lambda u, v: (np.minimum(np.abs(u), np.abs(v)) <= 0.34) & (np.maximum(np.abs(u), np.abs(v)) <= 1.05),
    "star": _star,
    FIGURE: lambda u, v: (np.hypot(u, v + 0.62) <= 0.46) | ((np.abs(u) <= 1.0) & (v >= 0.25) & (v <= 1.0)),
}


def collages(n: int, side: int, blocks: int, palette: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """(n, side, side, 3) uint8: ``blocks`` x ``blocks`` patches, each of a random colour or background."""
    known = COLOURS | BACKGROUNDS
    table = np.array([known[name] for name in palette], dtype=np.uint8)
    index = (rng.random((n, blocks, blocks)) * len(table)).astype(int)
    size = side // blocks
    return table[index].repeat(size, axis=1).repeat(size, axis=2)
