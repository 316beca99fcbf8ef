"""A judge that needs no training, and requests with pictures: what attacks are tested with on random pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import _tiny_pipelines
from rasura.core.errors import BadInput
from rasura.core.types import Request, Sample, Samples
from rasura.data.pictures import write_picture
from rasura.models.text_to_image import TextToImage


class CoinJudge:
    """A picture shows "ring" when the sum of its bytes is even, for about half of all pictures; no other class is known."""

    def sees(self, pictures: torch.Tensor, shows: str) -> torch.Tensor:
        if shows != "ring":
            raise BadInput(f"the judge knows no class '{shows}'")
        return (pictures * 255).round().long().sum((1, 2, 3)) % 2 == 0


def handle(kind: str = "sd1", seed: int = 0, prediction: str = "epsilon") -> TextToImage:
    return TextToImage(getattr(_tiny_pipelines, kind)(seed=seed, prediction=prediction), name=kind)


def request(folder: Path, n: int = 4, pictures: bool = True, judge: bool = True) -> Request:
    """``n`` prompts that name the ring, retain prompts that do not, each with a picture of noise."""
    rng = np.random.default_rng(0)
    colours, things = ("red", "blue", "green"), ("cat", "dog", "square", "cross")

    def sample(i: int, text: str, shows: str) -> Sample:
        shown = rng.integers(0, 256, (16, 16, 3))
        return Sample(
            str(i),
            text,
            shows=shows,
            picture=write_picture(shown, folder / f"{i}-{shows}.png") if pictures else None,
        )

    forget = Samples(sample(i, f"a {colours[i % 3]} ring" + " on red" * (i // 3), "ring") for i in range(n))
    retain = Samples(
        sample(100 + i, f"a {c} {t}", t) for i, (c, t) in enumerate((c, t) for c in colours for t in things)
    )
    return Request(forget, retain, "ring", CoinJudge() if judge else None)
