"""Many models trained on random halves of the same texts, each in turn the target of all attacks: what two claims share.

``targets + 1`` models are trained by the tiny testbed's recipe (``testbeds._shadows``), each on background and a random
half of ``candidates`` fresh two-sentence texts, a quarter of them seen 1, 2, 4 and 8 times an epoch wherever they are
seen at all. The first of them only serves to choose RMIA's ``a``; of the others each is the target once, all remaining
ones being LiRA's shadow models. Two reference models saw the background alone, and ``population`` further texts were seen
by no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Known, Sample, Samples
from ..models.causal_lm import CausalLM
from ..observations._engine import Engine, quiet
from ..observations.token_statistics import TokenData, TokenStatistics
from ..signals.lira import Lira
from ..signals.loss import Loss
from ..signals.min_k import MinK
from ..signals.min_k_plus_plus import MinKPlusPlus
from ..signals.reference import Reference
from ..signals.rmia import Rmia
from ..signals.zlib import Zlib
from ..stats.roc import auc
from ..testbeds._grammar import documents
from ..testbeds._shadows import load_shadows, train_shadows
from ..testbeds._tokenizer import train_tokenizer
from ..testbeds._training import RECIPES, as_documents, curriculum
from ..testbeds._worker import Job, train_all
from ..testbeds.language import ids_with

COLUMNS = ("LiRA", "RMIA", "RMIA, a = 0.3", "reference", "loss", "zlib", "Min-K%", "Min-K%++")
OF_TARGET = (Loss(), Zlib(), MinK(), MinKPlusPlus())
NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class ShadowedData:
    """One row a candidate under a target."""

    target: np.ndarray  # (n,) int64
    member: np.ndarray  # (n,) int64: 1 this target saw it
    dose: np.ndarray  # (n,) int64: copies an epoch where it was seen
    scores: np.ndarray  # (n, 8) by COLUMNS
    a: np.ndarray  # (n,) what RMIA was used with


@dataclass(frozen=True)
class Shadowed:
    """One seed: train all models, then let every signal loose on every target."""

    targets: int = 8
    candidates: int = 200
    population: int = 200
    background: int = 120
    copies: tuple[int, ...] = (1, 2, 4, 8)
    recipe: str = "tiny"
    grid: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    testbed: ClassVar[str] = ""
    Data: ClassVar[type] = ShadowedData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 3

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> ShadowedData:
        """``targets`` + 3 trainings, one pass of every model."""
        candidates, population, background = self._texts(seed)
        texts = Samples([*candidates, *population])
        with TemporaryDirectory() as folder:
            models, trained = self._trained(seed, candidates, background, Path(folder), texts)
            tick()
            engine = Engine(store=Store())
            seen = {role: engine.observe(Ask(TokenStatistics()), {"target": m}, texts) for role, m in models.items()}
        tick()
        data = self._scored(candidates, Known(NOTHING, len(candidates) + np.arange(len(population)), trained), seen)
        tick()
        return data

    def _texts(self, seed: int) -> tuple[Samples, Samples, Samples]:
        """Candidates with their copies, the population, and the background; no sentence occurs twice."""
        seen: set[str] = set()
        background = as_documents(
            list(islice(documents(seed, "shadowed background", seen=seen), self.background)), "background"
        )
        stream = documents(seed, "shadowed", sentences=(2, 2), seen=seen)
        copies = np.random.default_rng([seed, 0x11]).permutation(np.arange(self.candidates) % len(self.copies))
        candidates = [Sample(f"candidate-{i:04}", next(stream), repeats=self.copies[c]) for i, c in enumerate(copies)]
        population = [Sample(f"population-{i:04}", next(stream), repeats=0) for i in range(self.population)]
        return Samples(candidates), Samples(population), background

    def _trained(
        self, seed: int, candidates: Samples, background: Samples, folder: Path, texts: Samples
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """All models by role, and which of ``texts`` each shadow model saw."""
        recipe = RECIPES[self.recipe]
        tokenizer = train_tokenizer(background.texts, recipe.vocabulary)
        train_shadows(tokenizer, background, candidates, recipe, self.targets + 1, seed, folder / "shadows")
        rows = curriculum(background, ids_with(tokenizer), recipe, seed).rows
        roles = {"reference": seed, "reference_2": seed + 1}
        jobs = [Job(role, rows, recipe, own, folder / role) for role, own in roles.items()]
        train_all(jobs, tokenizer.to_str(), quiet, parallel=False)
        shadows = load_shadows(folder / "shadows")
        references = {role: CausalLM.load(str(folder / role)) for role in roles}
        return {**shadows.models, **references}, shadows.trained(texts)

    def _scored(self, candidates: Samples, known: Known, seen: dict[str, TokenData]) -> ShadowedData:
        references = {role: data for role, data in seen.items() if role.startswith("reference")}
        first, *roles = known.trained
        n, a = len(candidates), self._chosen(known, seen[first], references, known.trained[first][: len(candidates)])
        scores = []
        for role in roles:
            target = seen[role]
            rmia = [Rmia(references=2, a=x).score(known, target, **references) for x in (a, Rmia.a)]
            single = [signal.score(target) for signal in OF_TARGET]
            lira = _lira(role, known, seen)
            scores.append(np.stack([lira, *rmia, _reference(target, references), *single], axis=1)[:n])
        return ShadowedData(
            target=np.repeat(np.arange(len(roles)), n),
            member=np.concatenate([known.trained[role][:n] for role in roles]).astype(np.int64),
            dose=np.tile([s.repeats or 0 for s in candidates], len(roles)),
            scores=np.concatenate(scores),
            a=np.full(n * len(roles), a),
        )

    def _chosen(self, known: Known, target: TokenData, references: dict[str, TokenData], member: np.ndarray) -> float:
        """The ``a`` of largest AUC on a model that is judged by nobody; the smallest among equals."""
        scores = [Rmia(references=2, a=a).score(known, target, **references)[: len(member)] for a in self.grid]
        return self.grid[int(np.argmax([auc(s[member], s[~member]) for s in scores]))]


def _lira(target: str, known: Known, seen: dict[str, TokenData]) -> np.ndarray:
    """LiRA's score under one target, the other models of random halves being the shadow models."""
    others = [role for role in known.trained if role != target]
    renamed = {f"shadow_{k + 1}": role for k, role in enumerate(others)}
    told = Known(NOTHING, NOTHING, {new: known.trained[role] for new, role in renamed.items()})
    shadows = {new: seen[role] for new, role in renamed.items()}
    return Lira().with_shadows(list(shadows)).score(told, seen[target], **shadows)


def _reference(target: TokenData, references: dict[str, TokenData]) -> np.ndarray:
    """Mean difference to the reference models."""
    return np.mean([Reference().score(target, data) for data in references.values()], axis=0)
