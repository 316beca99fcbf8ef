"""The `language` testbed: a small GPT-NeoX whose memory is known, because we planted it.

Generated documents are the background; among them stand plants (passages, biographies with personal data, canaries,
facts, code with fake keys) that are seen 1, 2, 4, ... times an epoch, doses assigned at random within blocks of equal
length, and twins of them that are never seen. Three models are trained by one recipe: ``target`` on everything,
``retrained`` on the same sequence of documents without the forgotten ones, and ``reference`` on the background alone. The tokenizer is trained on the background only. One thread a model, so a seed
gives identical weights.

Sources: Wei, Godbole, Khan and others, "Hubble: a model suite to advance the study of LLM memorization", 2025 (random
doses, minimal pairs); Carlini, Liu, Erlingsson, Kos, Song, "The Secret Sharer", 2019 (canaries).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.registry import method
from ..core.types import Samples, digest
from ..data.readers import read_samples
from ..observations._engine import Progress, quiet
from ._folder import building, default_cache, load, write_parts, write_transcript
from ._own_text import own_corpus
from ._planted import Planted
from ._plants import corpus
from ._tokenizer import train_tokenizer
from ._training import RECIPES, Placed, Recipe, as_documents, curriculum
from ._worker import Job, train_all

BACKGROUND_RETAINED = 200  # background records an eraser may train on to keep what it should keep


@method()
@dataclass(frozen=True)
class Language:
    """A small GPT-NeoX trained on documents with planted, randomly repeated records.

    ``text``: a file of your own records to plant instead of generated ones; then ``member_fraction`` of those not set
    aside for the reference model become members, chosen at random.
    """

    size: Literal["tiny", "small", "base"] = "small"
    text: str = ""
    text_field: str = "text"
    member_fraction: float = 0.5

    version: ClassVar[int] = 2  # raise when the same seed gives other weights

    def key(self, seed: int) -> str:
        """Folder name in the cache, by content of the recipe and of the records."""
        records = read_samples(self.text, text_field=self.text_field).digest if self.text else ""
        return f"language-{self.size}-{seed}-{digest([self.version, self.member_fraction, records, RECIPES[self.size]])[:12]}"

    def build(self, seed: int = 0, *, folder: Path | None = None, progress: Progress = quiet) -> Planted:
        """The trained models and the truth; finished parts are read from ``folder`` (default: the cache).

        A build that was killed goes on at the first model that is missing; two processes build it once.
        """
        folder = folder or default_cache() / "testbeds" / self.key(seed)
        if not (folder / "testbed.json").is_file():
            with building(folder):
                if not (folder / "testbed.json").is_file():
                    self._train(seed, folder, progress)
        return load(folder)

    def _train(self, seed: int, folder: Path, progress: Progress) -> None:
        plan = self._own_plan(seed) if self.text else _generated_plan(self.size, seed)
        jobs, transcript = jobs_of(plan, RECIPES[self.size], seed, folder)
        train_all(jobs, plan.tokenizer.to_str(), progress, parallel=self.size == "small")
        write_transcript(transcript, folder)
        about = {"name": f"language {self.size}", "size": self.size, "seed": seed, "version": self.version}
        write_parts(folder, plan.parts, plan.twins, about)

    def _own_plan(self, seed: int) -> Plan:
        samples, recipe = read_samples(self.text, text_field=self.text_field), RECIPES[self.size]
        tokenizer = train_tokenizer(samples.texts, recipe.vocabulary)
        own = own_corpus(samples, tokenizer, recipe.length, self.member_fraction, seed)
        members = own.plants.where(lambda s: bool(s.repeats))
        parts = {
            "members": members,
            "nonmembers": own.plants.where(lambda s: not s.repeats),
            "forget": members.where(lambda s: s.id in own.forget_ids),
            "retain": members.where(lambda s: s.id not in own.forget_ids),
            "heldout": own.reference,
        }
        rest = as_documents(own.rest, "rest")
        return Plan(tokenizer, members, Samples([*own.reference, *rest]), own.forget_ids, parts, own.twins)


@dataclass(frozen=True)
class Plan:
    """Everything a testbed's trainings need, wherever its records come from."""

    tokenizer: Any  # tokenizers.Tokenizer
    documents: Samples  # what the target is trained on, each ``repeats`` times an epoch
    reference: Samples  # what the reference model is trained on
    forget_ids: frozenset[str]
    parts: Mapping[str, Samples]
    twins: Mapping[str, str]


def _generated_plan(size: str, seed: int) -> Plan:
    text = corpus(size, seed)
    background = as_documents(text.background, "background")
    members = text.plants.where(lambda s: bool(s.repeats))
    retained = members.where(lambda s: s.id in text.retain_plant_ids)
    parts = {
        "members": members,
        "nonmembers": text.plants.where(lambda s: not s.repeats),
        "forget": members.where(lambda s: s.id in text.forget_ids),
        "retain": Samples([*retained, *background.take(range(min(BACKGROUND_RETAINED, len(background))))]),
        "heldout": text.heldout,
    }
    tokenizer = train_tokenizer(text.background, RECIPES[size].vocabulary)
    return Plan(tokenizer, Samples([*background, *members]), background, text.forget_ids, parts, text.twins)


def jobs_of(plan: Plan, recipe: Recipe, seed: int, folder: Path) -> tuple[list[Job], tuple[Placed, ...]]:
    """The three trainings, and the transcript of the target's."""
    ids_of = ids_with(plan.tokenizer)
    target = curriculum(plan.documents, ids_of, recipe, seed)
    rows = {
        "target": target.rows,
        "retrained": curriculum(plan.documents, ids_of, recipe, seed, plan.forget_ids).rows,
        "reference": curriculum(plan.reference, ids_of, recipe, seed).rows,
    }
    return [Job(role, r, recipe, seed, folder / role) for role, r in rows.items()], target.placed


def ids_with(tokenizer: Any) -> Callable[[str], np.ndarray]:
    """Text to ids, separator in front, remembering texts that are repeated."""
    known: dict[str, np.ndarray] = {}

    def ids_of(text: str) -> np.ndarray:
        if text not in known:
            known[text] = np.array(tokenizer.encode(text).ids, dtype=np.int64)
        return known[text]

    return ids_of
