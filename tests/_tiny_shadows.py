"""Shadow models of the tiny planted testbed: each trained on a random half of all its plants and twins, 4 times each."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

import _tiny
from rasura.core.types import Samples
from rasura.testbeds._shadows import halves

N, COPIES = 4, 4


@cache
def shadows() -> tuple[dict, dict[str, frozenset[str]]]:
    """Models by role, and the texts each was trained on."""
    planted = _tiny.planted()
    candidates = [*planted.members, *planted.nonmembers]
    chosen = halves(len(candidates), N, seed=0)
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    models, seen = {}, {}
    for k in range(N):
        texts = [s.text for s, own in zip(candidates, chosen[:, k], strict=True) if own]
        corpus = _tiny.texts(40, seed=2) + texts * COPIES
        role = f"shadow_{k + 1}"
        build = lambda corpus=corpus: _tiny.fit(_tiny.neox(0), corpus, 1)  # noqa: E731
        models[role], seen[role] = _tiny.kept_on_disk(f"{role}-{version}", build), frozenset(texts)
    return models, seen


def trained(samples: Samples) -> dict[str, np.ndarray]:
    """role -> (n,) bool, as ``Known.trained``."""
    return {role: np.array([s.text in texts for s in samples], dtype=bool) for role, texts in shadows()[1].items()}
