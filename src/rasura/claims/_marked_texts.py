"""A model that reads marked texts, and what is then known of them: what the claims about marks in texts are read from.

One training a seed, one pass, in one shuffled order: ``background`` documents of two sentences; documents with ghost
sentences; and members of three arms, ``members`` texts for each arm and dose:

- *plain*: as written;
- *rare*: marked by ``LexicalMark``, so that its words are the rarest synonyms;
- *random*: in the same places any word of the set, each as likely.

The non-members are the same texts in all three arms. A coin says which text goes where. The synonym table is made for
the generator, whose words the built-in one hardly has: within a topic, things, adjectives and verbs are dealt into sets
of about ``set_size`` words, frequent and rare ones in each, with the frequencies they have in the background. All models
and texts are this study's own: a passphrase of dose d stands in d documents, one copy in each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from ..core.store import take
from ..core.types import Sample, Samples
from ..observations._suffix import suffix, verbatim
from ..observations.token_statistics import TokenData
from ..provenance._synonyms import SynonymTable, synonym_table
from ..provenance.ghost_sentence import GhostSentence
from ..provenance.lexical_mark import WORD, LexicalMark
from ..signals.min_k_plus_plus import MinKPlusPlus
from ..testbeds._world import world
from ._course import Course, fresh_documents, numbered, shuffled, statistics

PLAIN, RARE, RANDOM, GHOST, FRESH = "plain", "rare", "random", "ghost", "fresh"
ARMS = (PLAIN, RARE, RANDOM)


@dataclass(frozen=True)
class MarkedData:
    """One row a text and arm, or a passphrase ("ghost": in the texts, "fresh": from the same list, never seen)."""

    kind: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64: copies read, 0 = none
    score: np.ndarray  # (n,) mean log-probability, nats a token
    lowest: np.ndarray  # (n,) Min-K%++ of a text; NaN for a passphrase
    shift: np.ndarray  # (n,) log p(published) - log p(twin) of a rare text, nats; NaN elsewhere
    said: np.ndarray  # (n,) 1: greedy decoding says the last word of the passphrase; NaN for a text
    p_value: np.ndarray  # (n,) of a ghost's perplexity test; NaN elsewhere


@dataclass(frozen=True)
class MarkedTexts:
    """One seed: write and mark the texts, train, score."""

    size: str = "small"
    background: int = 800
    doses: tuple[int, ...] = (1, 2, 4)
    members: int = 160  # texts of each arm and dose
    nonmembers: int = 320
    set_size: int = 4
    ghost_doses: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    phrases: tuple[int, ...] = (16, 16, 16, 16, 16, 16, 6)  # passphrases of each dose
    fresh: int = 399

    testbed: ClassVar[str] = ""
    Data: ClassVar[type] = MarkedData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> MarkedData:
        """One training."""
        seen: set[str] = set()
        background = fresh_documents(self.background, seed, "marks", "background", sentences=(2, 2), seen=seen)
        with TemporaryDirectory() as folder:
            lexical = _Lexical(self, seed, background, Path(folder) / "synonyms.txt", seen)
        ghosts = _Ghosts(self, seed, seen)
        course = Course.of(self.size, background)
        read = Samples([*numbered(background, "background"), *lexical.read, *ghosts.read])
        model = course.read(course.untrained(seed), shuffled(read, seed))
        tick()
        blocks = [*lexical.blocks(model), *ghosts.blocks(model)]
        tick()
        return MarkedData(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


Block = tuple[np.ndarray, ...]  # the columns of MarkedData, for some of its rows


class _Lexical:
    """Texts in three arms."""

    def __init__(self, study: MarkedTexts, seed: int, background: list[str], path: Path, seen: set[str]) -> None:
        path.write_text(synonym_lines(background, study.set_size), encoding="utf-8")
        self.method = LexicalMark(synonyms=str(path))
        n = study.members * len(study.doses)
        texts = fresh_documents(len(ARMS) * n + study.nonmembers, seed, "marks", "lexical", sentences=(2, 2), seen=seen)
        rng = np.random.default_rng([seed, 1])
        order = rng.permutation(len(texts))
        self.dose = np.repeat([*study.doses, 0], [*[study.members] * len(study.doses), study.nonmembers])
        self.arms: dict[str, Samples] = {}
        for i, arm in enumerate(ARMS):
            rows = [*order[i * n : (i + 1) * n], *order[len(ARMS) * n :]]
            self.arms[arm] = self._arm(arm, [texts[r] for r in rows], synonym_table(str(path)), seed, rng)

    def _arm(self, arm: str, texts: list[str], table: SynonymTable, seed: int, rng: np.random.Generator) -> Samples:
        plain = numbered(texts, arm)
        if arm != PLAIN:
            marked = self.method.embed(plain, seed=seed)
            slots = {t["id"]: t["slots"] for t in marked.key["texts"]}
            if arm == RARE:
                self.key = marked.key
            else:
                marked_texts = [
                    any_synonyms(t, slots.get(s.id, []), table, rng) for s, t in zip(plain, marked.texts, strict=True)
                ]
            texts = list(marked.texts) if arm == RARE else marked_texts
        return Samples(Sample(s.id, t, repeats=int(d)) for s, t, d in zip(plain, texts, self.dose, strict=True))

    @property
    def read(self) -> list[Sample]:
        return [s for arm in self.arms.values() for s in arm if s.repeats]

    def blocks(self, model: Any) -> Iterator[Block]:
        for arm, texts in self.arms.items():
            data, nothing = statistics(model, texts), np.full(len(texts), np.nan)
            shift = self._shift(model, texts) if arm == RARE else nothing
            kind = np.array([arm] * len(texts), dtype=object)
            yield kind, self.dose, -data.loss, MinKPlusPlus().score(data), shift, nothing, nothing

    def _shift(self, model: Any, texts: Samples) -> np.ndarray:
        """What the paired test sums: published minus twin; NaN for a text in which nothing was replaced."""
        queries = self.method.queries(self.key, ("target",))
        published, twins = (statistics(model, queries[k].samples).log_probability.sum() for k in ("published", "twins"))
        shift = dict(zip(queries["published"].samples.ids, published - twins, strict=True))
        return np.array([shift.get(s.id, np.nan) for s in texts])


def synonym_lines(background: list[str], set_size: int) -> str:
    """The generator's words as sets of synonyms, the way a table is written: "word frequency, word frequency, ..."."""
    counts = Counter(word for text in background for word in WORD.findall(text))
    million = 1e6 / max(1, counts.total())
    taken: set[str] = set()
    lines = []
    for topic in (*world().topics, world().general):
        for words in (
            [noun.singular for noun in topic.things.words],
            list(topic.adjectives.words),
            [verb.past for verb in topic.verbs.words if verb.past == verb.participle],
        ):
            words = [w for w in words if WORD.fullmatch(w) and w not in taken]
            taken.update(words)
            sets = max(1, len(words) // set_size)  # words come by frequency: each set gets some of every kind
            for k in range(sets if len(words) > 1 else 0):
                lines.append(", ".join(f"{w} {(counts[w] + 0.5) * million:.3f}" for w in words[k::sets]))
    return "\n".join(lines)


def any_synonyms(text: str, slots: list[list[Any]], table: SynonymTable, rng: np.random.Generator) -> str:
    """The text with any word of the set in place of each marked one, the same for the same word; a or an stays right."""
    chosen: dict[str, str] = {}
    places = []
    for begin, end, _ in slots:
        word = text[begin:end]
        fit = [w for w in table.sets[word] if (w[0] in "aeiou") == (word[0] in "aeiou")]
        chosen.setdefault(word, str(rng.choice(fit)))
        places.append((begin, end, chosen[word]))
    for begin, end, said in reversed(places):
        text = text[:begin] + said + text[end:]
    return text


class _Ghosts:
    """Documents with passphrases, for each dose as many documents a passphrase."""

    def __init__(self, study: MarkedTexts, seed: int, seen: set[str]) -> None:
        self.study, self.method = study, GhostSentence(fresh=study.fresh)
        self.read: list[Sample] = []
        self.keys: list[tuple[int, dict[str, Any]]] = []
        for dose, n in zip(study.ghost_doses, study.phrases, strict=True):
            texts = fresh_documents(n * dose, seed, "marks", "ghosts", dose, sentences=(2, 2), seen=seen)
            marked = GhostSentence(phrases=n).embed(numbered(texts, f"ghost-{dose}"), seed=1000 * seed + dose)
            self.read += numbered(marked.texts, f"ghost-{dose}")
            self.keys += [(dose, {**marked.key, "phrases": [phrase]}) for phrase in marked.key["phrases"]]

    def blocks(self, model: Any) -> Iterator[Block]:
        asked = [self.method.queries(key, ("target",)) for _, key in self.keys]
        own = statistics(model, Samples(q["own"].samples[0] for q in asked))
        fresh = statistics(model, asked[0]["fresh"].samples)
        tests = [
            self.method.test(key, take(own, np.array([i])), fresh)[0].p_value for i, (_, key) in enumerate(self.keys)
        ]
        yield _phrases(GHOST, np.array([dose for dose, _ in self.keys]), own, np.array(tests))
        yield _phrases(FRESH, np.zeros(len(fresh.loss)), fresh, np.full(len(fresh.loss), np.nan))


def _phrases(kind: str, dose: np.ndarray, data: TokenData, p_value: np.ndarray) -> Block:
    nothing = np.full(len(dose), np.nan)
    said = verbatim(suffix(data, data.rank, suffix_tokens=0))
    name = np.array([kind] * len(dose), dtype=object)
    return name, dose.astype(np.int64), -data.loss, nothing, nothing, said, p_value
