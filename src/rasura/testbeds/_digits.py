"""Real pictures: the 8 x 8 handwritten digits that come with scikit-learn, as masks for scenes.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ._scenes import FIGURE, Masks, Scene, drawn

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHARES = {"training": (0.0, 0.6), "judge": (0.6, 0.85), "heldout": (0.85, 1.0)}  # no digit is in two of them


@cache
def _pool(use: str) -> dict[str, np.ndarray]:
    """The digits of one use by name, (n, 8, 8) in [0, 1]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    low, high = SHARES[use]
    found = {}
    for value, name in enumerate(DIGITS):
        pictures = data.images[data.target == value].astype(np.float32) / 16
        found[name] = pictures[round(low * len(pictures)) : round(high * len(pictures))]
    return found


def written(use: str) -> Masks:
    """Masks of random digits out of those set aside for one use: "training", "judge" or "heldout"."""

    def masks(scenes: Sequence[Scene], side: int, rng: np.random.Generator) -> np.ndarray:
        pool, cover = _pool(use), np.zeros((len(scenes), side, side), dtype=np.float32)
        figures = [i for i, s in enumerate(scenes) if s.shape == FIGURE]
        cover[figures] = drawn([scenes[i] for i in figures], side, rng)
        for i, pick in enumerate(rng.random(len(scenes))):
            if scenes[i].shape != FIGURE:
                digits = pool[scenes[i].shape]
                cover[i] = np.kron(digits[int(pick * len(digits))], np.ones((side // 8, side // 8)))
        return cover

    return masks
