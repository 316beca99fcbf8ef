"""What the model says when it is given the beginning of a record.

Each record's prompt is everything before its cut (see ``_cut``); the continuation is drawn token after token from the
sampler g (temperature, top-k, top-p; see ``_sampler``) until the end-of-text token, ``new_tokens``, or the end of the
model's context. Greedy decoding is temperature 0. Drawing is by inverse distribution function, in order of token ids:

    next token = min { v : sum_{w <= v} p_g(w | prompt, drawn so far) > u }

where the numbers u ~ U(0, 1) of a continuation depend on (``seed``, the record's content, number of the draw) alone:
any subset, order or company of the records gives the same texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Sample, Samples, digest
from ._continue import Draw, Said, continuations
from ._cut import cut_of
from ._sampler import Sampler

BROKEN = "the model's answer is not a number"
NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class GenerationData:
    """One row a sample; k = ``samples_each`` draws."""

    ids: Ragged  # int64: generated tokens, draw after draw, without the end-of-text token
    lengths: np.ndarray  # (n, k) int64: tokens of each draw
    ended: np.ndarray  # (n, k) bool: the model said end-of-text
    texts: np.ndarray  # (n, k) str: each draw as text
    true_ids: Ragged  # int64: what the record itself says after the prompt, to its end
    true_text: np.ndarray  # (n,) str
    cut: np.ndarray  # (n,) int64: scored tokens that were part of the prompt
    reason: np.ndarray  # (n,) str: why there is no continuation, empty when there is

    def draws(self, i: int) -> list[np.ndarray]:
        """Token ids of each draw for sample i."""
        return np.split(self.ids[i], np.cumsum(self.lengths[i])[:-1])


@dataclass(frozen=True)
class Generations:
    """Continuations of every record's beginning."""

    prefix_tokens: int = (
        0  # scored tokens given; 0: up to the record's secret, else to the end of its context, else half
    )
    new_tokens: int = 0  # longest continuation; 0: as many as the record itself has left
    samples_each: int = 1
    temperature: float = 0.0  # 0: greedy
    top_k: int = 0  # 0: no truncation
    top_p: float = 1.0  # 1: no truncation
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = GenerationData

    def __post_init__(self) -> None:
        _ = self.sampler  # refuses settings that make no sense
        if min(self.prefix_tokens, self.new_tokens) < 0 or self.samples_each < 1:
            raise BadInput("prefix_tokens and new_tokens must be 0 or more, samples_each 1 or more")
        if self.temperature == 0 and self.samples_each > 1:
            raise BadInput(f"samples_each {self.samples_each}: greedy decoding always says the same; set a temperature")

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.temperature, self.top_k, self.top_p)

    @property
    def passes(self) -> tuple[int, int]:
        """One trip through the model a draw: what was said before is remembered."""
        return self.samples_each, 0

    def measure(self, model: Any, batch: Samples) -> GenerationData:
        """Continue every record of a batch ``samples_each`` times."""
        prompts = [self._prompt(model, sample) for sample in batch]
        draws = [
            Draw(p.ids, p.limit, self._uniforms(sample, j, p.limit))
            for sample, p in zip(batch, prompts, strict=True)
            for j in range(0 if p.reason else self.samples_each)
        ]
        said = iter(continuations(model, draws, self.sampler, least_rows=len(batch)))
        rows = [[next(said) for _ in range(0 if p.reason else self.samples_each)] for p in prompts]
        broken = [any(s.broken for s in row) for row in rows]
        prompts = [_Prompt(reason=BROKEN) if bad else p for bad, p in zip(broken, prompts, strict=True)]
        return self._collect(model, prompts, [[] if bad else row for bad, row in zip(broken, rows, strict=True)])

    def blank(self, reason: str, n: int) -> GenerationData:
        """Rows that could not be measured."""
        return self._collect(None, [_Prompt(reason=reason)] * n, [[]] * n)

    def _prompt(self, model: Any, sample: Sample) -> _Prompt:
        encoded = model.encode(sample)
        if encoded.scored == 0:
            return _Prompt(reason="no token to score")
        cut = int(cut_of(encoded, self.prefix_tokens))
        given, true = np.split(encoded.ids, [encoded.first + cut])
        room = max(0, model.context - len(given))
        return _Prompt(given, true, cut, min(self.new_tokens or len(true), room))

    def _uniforms(self, sample: Sample, draw: int, n: int) -> np.ndarray:
        key = int(digest(["generations", self.seed, sample.digest, draw]), 16)
        return np.random.default_rng(key).random(n)

    def _collect(self, model: Any, prompts: list[_Prompt], rows: list[list[Said]]) -> GenerationData:
        shape = (len(prompts), self.samples_each)
        rows = [row or [Said(NOTHING)] * self.samples_each for row in rows]
        texts = [_text(model, p, said.ids) for p, row in zip(prompts, rows, strict=True) for said in row]
        return GenerationData(
            ids=Ragged.of([np.concatenate([said.ids for said in row]) for row in rows], np.int64),
            lengths=np.array([[len(said.ids) for said in row] for row in rows], dtype=np.int64).reshape(shape),
            ended=np.array([[said.ended for said in row] for row in rows], dtype=bool).reshape(shape),
            texts=np.array(texts, dtype=object).reshape(shape),
            true_ids=Ragged.of([p.true for p in prompts], np.int64),
            true_text=np.array([_text(model, p, p.true) for p in prompts], dtype=object),
            cut=np.array([p.cut for p in prompts], dtype=np.int64),
            reason=np.array([p.reason for p in prompts], dtype=object),
        )


@dataclass(frozen=True)
class _Prompt:
    ids: np.ndarray = field(default_factory=lambda: NOTHING)  # what the model is given
    true: np.ndarray = field(default_factory=lambda: NOTHING)  # what the record says next
    cut: int = 0
    limit: int = 0  # the most tokens to say: 0 when the prompt fills the context
    reason: str = ""


def _text(model: Any, prompt: _Prompt, ids: np.ndarray) -> str:
    """The characters these tokens add to the prompt: some tokenizers drop the blank in front of a lone piece."""
    if not len(ids):
        return ""
    settings = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    before = model.tokenizer.decode(prompt.ids.tolist(), **settings)
    whole = model.tokenizer.decode([*prompt.ids.tolist(), *ids.tolist()], **settings)
    return whole[len(before) :] if whole.startswith(before) else model.tokenizer.decode(ids.tolist(), **settings)
