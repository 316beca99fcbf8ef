"""Shadow models: the testbed's own recipe, trained again and again, each time on a random half of the candidates.

Candidates are all planted records and their twins. In every second shadow, drawn at random, a candidate stands with the
copies it has in the target's training (a twin with those of the member it is the twin of); all shadows share the
background, the tokenizer, the recipe and the order of documents. A folder of shadows is

    shadows.json        {"shadow_1": ["plant-003", ...], ...}: which candidates each model was trained on
    shadow_1/, ...      the models

and is whole when the manifest is there; a run that was killed goes on at the first model missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Sample, Samples, digest
from ..models.causal_lm import CausalLM
from ..observations._engine import Progress, quiet
from ._folder import building, default_cache
from ._training import RECIPES, Recipe, curriculum
from ._worker import Job, train_all
from .language import Language, _generated_plan, ids_with

MANIFEST = "shadows.json"
VERSION = 1  # raise when the same seed gives other weights


@dataclass(frozen=True)
class Shadows:
    """Models by role, and the ids of the records each was trained on."""

    models: Mapping[str, Any]
    ids: Mapping[str, frozenset[str]]

    def trained(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        """role -> (n,) bool: which of these records the model saw (``Known.trained``)."""
        return {role: np.array([s.id in seen for s in samples], dtype=bool) for role, seen in self.ids.items()}


def halves(candidates: int, n: int, seed: int) -> np.ndarray:
    """(candidates, n) bool: every candidate in exactly floor(n/2) shadows, drawn for each on its own.

    >>> halves(3, 4, seed=0).sum(axis=1).tolist()
    [2, 2, 2]
    """
    rng = np.random.default_rng([seed, 0x5AD0])
    return np.stack([rng.permutation(n) < n // 2 for _ in range(candidates)]).reshape(candidates, n)


def shadows(
    testbed: Language, n: int, seed: int = 0, *, folder: Path | None = None, progress: Progress = quiet
) -> Shadows:
    """``n`` shadow models of a generated testbed built with ``seed``; finished ones are read from ``folder``.

    Raises BadInput for n < 2 and for a testbed of one's own records.
    """
    if n < 2 or testbed.text:
        raise BadInput(f"shadow models: at least 2, of a generated testbed; got {n} of {testbed!r}")
    recipe, plan = RECIPES[testbed.size], _generated_plan(testbed.size, seed)
    key = digest([VERSION, testbed.key(seed), recipe])[:12]
    folder = folder or default_cache() / "testbeds" / f"shadows-{testbed.size}-{seed}-{n}-{key}"
    if not (folder / MANIFEST).is_file():
        candidates = dosed(plan.parts["members"], plan.parts["nonmembers"], plan.twins)
        background = plan.documents.where(lambda s: s.family == "background")
        train_shadows(plan.tokenizer, background, candidates, recipe, n, seed, folder, progress)
    return load_shadows(folder)


def dosed(members: Samples, nonmembers: Samples, twins: Mapping[str, str]) -> Samples:
    """All candidates with the copies they are trained with: a non-member has those of a member it is the twin of, or 1."""
    doses = {twins[m.id]: m.repeats for m in members if m.id in twins}
    return Samples([*members, *(replace(s, repeats=doses.get(s.id) or 1) for s in nonmembers)])


def train_shadows(
    tokenizer: Any,
    background: Samples,
    candidates: Samples,
    recipe: Recipe,
    n: int,
    seed: int,
    folder: Path,
    progress: Progress = quiet,
) -> None:
    """Trains what is missing in ``folder`` and writes its manifest last."""
    chosen, ids_of = halves(len(candidates), n, seed), ids_with(tokenizer)
    ids = np.array(candidates.ids, dtype=object)
    seen = {f"shadow_{k + 1}": ids[chosen[:, k]].tolist() for k in range(n)}
    documents = Samples([*background, *candidates])
    jobs = []
    for role, own in seen.items():
        left_out = frozenset(ids) - frozenset(own)
        jobs.append(Job(role, curriculum(documents, ids_of, recipe, seed, left_out).rows, recipe, seed, folder / role))
    with building(folder):
        train_all(jobs, tokenizer.to_str(), progress, parallel=False)
        partial = folder / f".{MANIFEST}"
        partial.write_text(json.dumps(seen, indent=1, sort_keys=True))
        os.replace(partial, folder / MANIFEST)


def load_shadows(folder: str | Path) -> Shadows:
    """A folder of shadow models. Raises BadInput when it is none, or a model it names is missing."""
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise BadInput(f"{folder}: no {MANIFEST}, which says {{role: [ids of the records it was trained on]}}")
    try:
        said = json.loads((folder / MANIFEST).read_text())
        ids = {str(role): frozenset(map(str, own)) for role, own in said.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadInput(f"{folder / MANIFEST}: not an object of lists of ids ({error})") from None
    outside = [role for role in ids if Path(role).name != role or role == ".."]
    if outside:
        raise BadInput(f"{folder / MANIFEST}: names a folder outside this one, {outside[0][:60]}")
    missing = [role for role in ids if not (folder / role).is_dir()]
    if missing or not ids:
        raise BadInput(f"{folder}: {MANIFEST} names {missing[0] if missing else 'no model'}, which is not there")
    return Shadows({role: CausalLM.load(str(folder / role)) for role in ids}, ids)
