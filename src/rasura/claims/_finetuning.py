"""Fine-tuning a small model on fresh texts and watching it epoch by epoch: what two claims are read from.

The base is a testbed's retrained model. Texts of two sentences are drawn from the generator of its background, none of
whose sentences it has seen, and a coin decides which half it is fine-tuned on: ``learning_rate``, ``batch`` texts a
step, constant, so that an epoch is members/batch steps. After every epoch all texts are scored under both models; after
those of ``sampled`` the members are also continued from half of their tokens, ``draws`` times each with top-k 10 at
temperature 1 (the defaults of the authors' code), and each record's draws are ranked by l_ft/l_base and by l_ft alone.

Deviation from the authors' code: a draw is scored as text, so its tokens may be cut differently than they were drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.protocols import Loss
from ..core.store import Store
from ..core.types import Ask, Sample, Samples
from ..extraction.verbatim import Verbatim
from ..observations._engine import Engine
from ..observations.generations import Generations
from ..observations.token_statistics import TokenStatistics
from ..signals.loss import Loss as PlainLoss
from ..signals.reference import Reference
from ..testbeds._grammar import documents, split_sentences
from ..testbeds._plants import corpus
from ..training.loop import Loop, train
from ..training.partners import Partners

CLAMP = 1e-3  # nats a token: a ratio's denominator is never smaller


@dataclass(frozen=True)
class FinetuningData:
    """One row a text; column e is after epoch e + 1. Scores: larger = more likely a member."""

    member: np.ndarray  # (n,) int64: 1 fine-tuned on, 0 not
    base: np.ndarray  # (n,) loss under the base model, nats a token
    plain: np.ndarray  # (n, E) minus the loss
    difference: np.ndarray  # (n, E) l_base - l_ft
    ratio: np.ndarray  # (n, E) l_base / l_ft
    half: np.ndarray  # (n, E) 1: greedy decoding says the second half of the text
    rest: np.ndarray  # (n, E) 1: greedy decoding says what follows the first 16 tokens
    any_draw: np.ndarray  # (n, E) 1: one of the draws is the second half; NaN where nothing was drawn
    by_ratio: np.ndarray  # (n, E) 1: the draw of least l_ft/l_base is
    by_loss: np.ndarray  # (n, E) 1: the draw of least l_ft is


@dataclass(frozen=True)
class Finetuning:
    """One seed: draw the texts, fine-tune, score after every epoch."""

    size: str = "small"
    texts: int = 200  # members, and as many non-members
    epochs: int = 12
    learning_rate: float = 1.5e-3
    batch: int = 2
    sampled: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 10, 12)
    draws: int = 10
    prefix: int = 16

    Data: ClassVar[type] = FinetuningData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return self.epochs

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> FinetuningData:
        """Fine-tune a copy of the retrained model and keep what was seen of it."""
        base = planted.models["retrained"]
        texts, member = _texts(self.size, seed, self.texts)
        watch = _Watch(self, base, base.fit(texts, truncate=True), member, tick)
        model = base.clone()
        partners = Partners(watch.members, self.batch, seed, "fine-tuning")
        per_epoch = len(watch.members) // self.batch

        def step_loss(k: int) -> Loss:
            if k and k % per_epoch == 0:
                watch.look(model.clone())
            return Loss(None, -model.score(partners.batch(k)).token_mean())

        train(model, step_loss, self.loop(per_epoch))
        watch.look(model)
        return watch.data()

    def loop(self, per_epoch: int) -> Loop:
        """Constant learning rate, the optimiser settings the testbeds are trained with."""
        return Loop(
            steps=self.epochs * per_epoch,
            learning_rate=self.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.01,
            warmup=0.0,
            probe_every=1 << 30,
            checkpoint_every=1 << 30,
        )


def _texts(size: str, seed: int, n: int) -> tuple[Samples, np.ndarray]:
    """2n fresh texts and which half of them is trained on."""
    known = corpus(size, seed)
    passages = known.plants.where(lambda s: s.family == "passage")
    seen = {s for text in [*known.background, *known.heldout.texts, *passages.texts] for s in split_sentences(text)}
    stream = documents(seed, "fine-tuning", sentences=(2, 2), seen=seen)
    texts = Samples(Sample(f"fresh-{i:04}", next(stream)) for i in range(2 * n))
    member = np.zeros(2 * n, dtype=np.int64)
    member[np.random.default_rng([seed, 11]).permutation(2 * n)[:n]] = 1
    return texts, member


class _Watch:
    """Scores a model after every epoch."""

    def __init__(self, study: Finetuning, base: Any, texts: Samples, member: np.ndarray, tick: Callable) -> None:
        self.study, self.base, self.texts, self.member, self.tick = study, base, texts, member, tick
        self.engine = Engine(store=Store())
        self.before = self._statistics(base, texts)
        self.columns: dict[str, list[np.ndarray]] = {}

    @property
    def members(self) -> Samples:
        return self.texts.take(np.flatnonzero(self.member))

    def look(self, model: Any) -> None:
        """One more epoch."""
        after = self._statistics(model, self.texts)
        greedy = {
            "half": Verbatim(suffix_tokens=0),
            "rest": Verbatim(prefix_tokens=self.study.prefix, suffix_tokens=32),
        }
        self._add("plain", PlainLoss().score(after))
        for form in ("difference", "ratio"):
            self._add(form, Reference(form=form, clamp=CLAMP).score(after, self.before))  # type: ignore[arg-type]
        for name, extractor in greedy.items():
            self._add(name, extractor.extract(after).success)
        for name, found in self._drawn(model).items():
            self._add(name, found)
        self.tick()

    def data(self) -> FinetuningData:
        columns = {name: np.stack(values, axis=1) for name, values in self.columns.items()}
        self.engine.store.files.rm(self.engine.store.base, recursive=True)
        return FinetuningData(member=self.member, base=self.before.loss, **columns)

    def _add(self, name: str, values: np.ndarray) -> None:
        self.columns.setdefault(name, []).append(np.asarray(values, dtype=np.float64))

    def _statistics(self, model: Any, samples: Samples) -> Any:
        return self.engine.observe(Ask(TokenStatistics()), {"target": model}, samples)

    def _drawn(self, model: Any) -> dict[str, np.ndarray]:
        """Whether a member's second half is among its draws, and whether it is the pick of either ranking."""
        names, epoch = ("any_draw", "by_ratio", "by_loss"), len(self.columns["plain"])
        found = {name: np.full(len(self.texts), np.nan) for name in names}
        if epoch not in self.study.sampled:
            return found
        asked = Generations(samples_each=self.study.draws, temperature=1.0, top_k=10, seed=epoch)
        said = self.engine.observe(Ask(asked), {"target": model}, self.members)
        right = [[np.array_equal(d, true) for d in said.draws(i)] for i, true in enumerate(said.true_ids)]
        after, before = self._draw_losses(model, said)
        picks = {"by_ratio": np.argmin(after / np.maximum(before, CLAMP), 1), "by_loss": np.argmin(after, 1)}
        where = np.flatnonzero(self.member)
        found["any_draw"][where] = [float(any(r)) for r in right]
        for name, pick in picks.items():
            found[name][where] = [float(r[p]) for r, p in zip(right, pick, strict=True)]
        return found

    def _draw_losses(self, model: Any, said: Any) -> tuple[np.ndarray, np.ndarray]:
        """Loss of prompt + draw under the fine-tuned and the base model: two (members, draws) arrays."""
        prompts = [s.text[: len(s.text) - len(t)] for s, t in zip(self.members, said.true_text, strict=True)]
        texts = [p + draw for p, draws in zip(prompts, said.texts, strict=True) for draw in draws]
        distinct = Samples.of(dict.fromkeys(texts))
        place = {s.text: i for i, s in enumerate(distinct)}
        at = np.array([place[t] for t in texts]).reshape(len(prompts), -1)
        distinct = model.fit(distinct, truncate=True)
        return tuple(self._statistics(m, distinct).loss[at] for m in (model, self.base))  # type: ignore[return-value]
