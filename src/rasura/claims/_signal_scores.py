"""Planted records and a few unseen texts under the signals that need a forward pass or two: read by seven claims.

Rows, by ``group``:

- a family ("passage", "biography", "canary", "fact", "code"): every planted record, seen ``dose`` times an epoch or never;
- "secret canary", "secret code": the same canaries and code with everything before the secret read and not scored, so
  that every scored token is a random digit and no token of an unseen record can be expected;
- "repeated words", "repeated digits": 32 texts each of one common word, or of one or two digits, over and over;
- "shifted": unseen passages that are all about one topic, another one each seed, where the planted ones are about all.

Reference models: the testbed's, which never saw a plant, and one of the same size trained on made-up molecules alone.
ReCaLL has one unseen passage in front, either of the generator of the planted ones or of the shifted topic: training
rows hold 128 tokens and two passages with the record would not fit them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import combinations, islice
from typing import Any, ClassVar, Self

import numpy as np

from ..core.store import Store
from ..core.types import Samples
from ..data.views import Lowercase as LowercaseView
from ..observations._engine import Engine
from ..signals.loss import Loss
from ..signals.lowercase import Lowercase
from ..signals.min_k import MinK
from ..signals.min_k_plus_plus import MinKPlusPlus
from ..signals.recall import Recall
from ..signals.reference import Reference
from ..signals.zlib import Zlib
from ..testbeds._dice import Dice
from ..testbeds._grammar import Story, documents, split_sentences
from ..testbeds._molecules import molecules
from ..testbeds._plants import corpus
from ..testbeds._training import RECIPES, train_model
from ..testbeds._world import world

ONE_PASS = {"loss": Loss(), "min_k": MinK(), "zlib": Zlib(), "min_k_plus_plus": MinKPlusPlus()}
REPEATED_WORDS, REPEATED_DIGITS, SHIFTED = "repeated words", "repeated digits", "shifted"
SECRETS = {"canary": "secret canary", "code": "secret code"}
EACH_REPEATED = 32
RUN = 40  # words, or digits, of a repetitive text


@dataclass(frozen=True)
class SignalData:
    """One row a text; NaN where a signal was not asked, or cannot score the text."""

    group: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    loss: np.ndarray  # (n,) all of these: larger = more likely a member
    min_k: np.ndarray
    zlib: np.ndarray
    min_k_plus_plus: np.ndarray
    reference: np.ndarray  # from here on passages alone
    unrelated: np.ndarray  # the reference signal with a model trained on molecules
    lowercase: np.ndarray
    lowered: np.ndarray  # the lowercase signal on the passages in lower case
    recall: np.ndarray  # passages and shifted
    recall_shifted: np.ndarray  # the same behind a text of the shifted topic

    def only(self, *groups: str) -> Self:
        """The rows of these groups."""
        kept = np.isin(self.group.astype(str), groups)
        return replace(self, **{f.name: getattr(self, f.name)[kept] for f in fields(self)})


@dataclass(frozen=True)
class SignalScores:
    """One seed: everything under every signal."""

    size: str = "small"
    shifted: int = 256
    unrelated_steps: int = 300

    Data: ClassVar[type] = SignalData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 4

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> SignalData:
        """Passes of the target over all texts; of two reference models over the passages."""
        records = Samples([*planted.members, *planted.nonmembers])
        fresh = _Fresh(self.size, seed, planted)
        parts = {
            "": records,  # by family
            **{group: _secrets(records, family) for family, group in SECRETS.items()},
            REPEATED_WORDS: Samples.of(repeated_words(planted.heldout)),
            REPEATED_DIGITS: Samples.of(repeated_digits()),
            SHIFTED: Samples.of(islice(fresh.shifted(), self.shifted)),
        }
        texts = Samples(s for part in parts.values() for s in part)
        texts = planted.models["target"].fit(texts, truncate=True)
        group = np.array([name or s.family for name, part in parts.items() for s in part], dtype=object)
        scores = _Scores(texts, group, {r: planted.models[r] for r in ("target", "reference")})
        columns = {name: scores(signal) for name, signal in ONE_PASS.items()}
        tick()
        columns |= {"reference": scores(Reference(), ["passage"]), **self._lowercase(scores)}
        tick()
        columns |= self._recall(scores, fresh)
        tick()
        scores.models["reference"] = self._unrelated(planted.models["target"].tokenizer, seed)
        columns["unrelated"] = scores(Reference(), ["passage"])
        tick()
        dose = np.array([s.repeats or 0 for s in texts], dtype=np.int64)
        return SignalData(group=group, dose=dose, **columns)

    @staticmethod
    def _lowercase(scores: _Scores) -> dict[str, np.ndarray]:
        lowered = _Scores(LowercaseView().apply(scores.texts), scores.group, scores.models, scores.engine)
        return {"lowercase": scores(Lowercase(), ["passage"]), "lowered": lowered(Lowercase(), ["passage"])}

    @staticmethod
    def _recall(scores: _Scores, fresh: _Fresh) -> dict[str, np.ndarray]:
        fronts = {"recall": fresh.alike(), "recall_shifted": fresh.shifted("front")}
        pools = {name: Samples.of(islice(stream, 1)) for name, stream in fronts.items()}
        return {n: scores(Recall(shots=1).prefixed_by(pool), ["passage", SHIFTED]) for n, pool in pools.items()}

    def _unrelated(self, tokenizer: Any, seed: int) -> Any:
        """A model of the testbed's architecture and tokenizer that has only ever read molecules."""
        recipe = RECIPES[self.size]
        needed, pieces, stream = self.unrelated_steps * recipe.rows * recipe.length, [], molecules(seed)
        while sum(map(len, pieces)) < needed:
            pieces += [np.array(tokenizer(text)["input_ids"], dtype=np.int64) for text in islice(stream, 1000)]
        rows = np.concatenate(pieces)[:needed].reshape(-1, recipe.length)
        return train_model(tokenizer, rows, recipe, seed, "unrelated")


class _Scores:
    """Signals over the rows of some groups, NaN elsewhere; passes are shared."""

    def __init__(self, texts: Samples, group: np.ndarray, models: dict[str, Any], engine: Engine | None = None) -> None:
        self.texts, self.group, self.models = texts, group, dict(models)
        self.engine = engine or Engine(store=Store())

    def __call__(self, signal: Any, groups: list[str] | None = None) -> np.ndarray:
        rows = np.flatnonzero(np.isin(self.group.astype(str), groups) if groups else np.ones(len(self.group)))
        asks = signal.needs()
        seen = self.engine.observe_all(asks.values(), self.models, self.texts.take(rows))
        scores = np.full(len(self.texts), np.nan)
        scores[rows] = signal.score(**{name: seen[ask] for name, ask in asks.items()})
        return scores


class _Fresh:
    """Passages that share no sentence with anything the testbed has read or keeps for later."""

    def __init__(self, size: str, seed: int, planted: Any) -> None:
        known = corpus(size, seed)
        texts = [*known.background, *planted.members.texts, *planted.nonmembers.texts, *planted.heldout.texts]
        self.seed, self.seen = seed, {sentence for text in texts for sentence in split_sentences(text)}

    def alike(self) -> Iterator[str]:
        """About any topic, like the planted ones."""
        return documents(self.seed, "in front", sentences=(2, 2), seen=self.seen)

    def shifted(self, label: str = "shifted") -> Iterator[str]:
        """About one topic."""
        topics = world().topics
        topic, number = topics[self.seed % len(topics)], 0
        while True:
            story = Story(world(), Dice(self.seed, label, number))
            number += 1
            parts = story.sentences(2) if story.topic is topic else []
            if parts and self.seen.isdisjoint(parts):
                self.seen.update(parts)
                yield " ".join(parts)


def _secrets(records: Samples, family: str) -> Samples:
    """Records of a family, scored on their secrets alone."""
    return Samples(replace(s, start=s.secret or 0) for s in records if s.family == family and s.secret)


def repeated_words(heldout: Samples) -> list[str]:
    """The commonest words of unseen background, each alone and over and over.

    >>> repeated_words(Samples.of(["the cat saw the dog"]))[0][:15]
    'The the the the'
    """
    counts = Counter(word for text in heldout.texts for word in text.lower().replace(".", "").split())
    commonest = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    runs = (" ".join([word] * RUN) for word in commonest[:EACH_REPEATED])
    return [run[0].upper() + run[1:] for run in runs]


def repeated_digits() -> list[str]:
    """Ten runs of one digit, then runs of two in turn.

    >>> texts = repeated_digits()
    >>> len(set(texts)), texts[7][:5], texts[10][:5]
    (32, '77777', '01010')
    """
    patterns = [*"0123456789", *("".join(pair) for pair in combinations("0123456789", 2))]
    return [(pattern * RUN)[:RUN] for pattern in patterns[:EACH_REPEATED]]
