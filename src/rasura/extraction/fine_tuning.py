"""How much of a private fine-tuning set comes out of the fine-tuned model when the public base model is known too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations._cut import cut_of
from ..observations._suffix import SUFFIX_TOKENS
from ..observations.generation_probability import GenerationProbability, GenerationProbabilityData
from ..observations.generations import GenerationData, Generations
from ..observations.token_statistics import TokenData, TokenStatistics
from ._guesses import distinct
from ._lengths import AXIS, checked_lengths, key_of, prompt_lengths
from ._match import Curve, Extracted, Ranking, reasons
from ._similarity import hamming_accuracy

MEASURES = (
    "word for word, any draw",
    "word for word, the pick",
    "word for word, picked by fine-tuned loss alone",
    "tokens right in the pick (Hamming)",
    "tokens right in the best draw (Hamming)",
    "draws the record itself beats",
)
UNKNOWN = (np.nan,) * (len(MEASURES) + 2)


def loss_ratio(tuned: np.ndarray, base: np.ndarray, clamp: float) -> np.ndarray:
    """Mean loss under the fine-tuned model over that under the base model, which is not let below ``clamp``.

    By hand: .5 nats a token against 2, and against a base model that is certain.

    >>> loss_ratio(np.array([0.5, 0.5]), np.array([2.0, 0.0]), 0.001).tolist()
    [0.25, 500.0]
    """
    return tuned / np.maximum(base, clamp)


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class FineTuning:
    """Records of a fine-tuning set: drawn from the fine-tuned model, picked by how much fine-tuning lowered their loss.

        q(y) = l_target(prompt, y) / max(l_base(prompt, y), clamp),     pick = argmin over the draws y of q(y)
        success = [ pick = the record's own suffix ],                   confidence of a record = -q(pick)

    with l the mean loss in nats over the scored tokens of prompt and draw together, ``draws`` continuations by
    temperature ``temperature`` and ``top_k`` (0: all), equal ones counted once, and ``clamp`` in nats a token. ``hits`` is the
    share of suffix tokens that the pick has right. Needs the model from before fine-tuning as role "base", with the same
    tokenizer. Beside the pick stand: any draw, the pick by l_target alone (what knowing the base model adds), the
    share of distinct draws whose q the record itself beats, and the ranking of all picks by q and by l_target. With
    ``context_lengths`` all of that for each length of prompt; ``success`` is at the longest.

    The target may be any fine-tuned model. Hold every number against records of the same kind it was not tuned on.
    BadInput unless ``draws`` >= 1, ``clamp`` > 0, and lengths are positive and rise.

    Source: Wang, Wang, Li and Neel, "Pandora's white-box: precise training data detection and extraction in large language
    models", 2024 (10 draws, top-k 10, temperature 1; prompts of 50, and of 2, 4 and 8 tokens: ``context_lengths``).
    Deviations: records are cut at their secret or half unless told otherwise; the authors' code prints as "recall at 100
    errors" the precision among guesses so far, over all draws; here it is recall, over one guess a record.

    By hand: see ``loss_ratio``.
    """

    draws: int = 10
    temperature: float = 1.0
    top_k: int = 10
    context_lengths: tuple[int, ...] = ()
    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS
    clamp: float = 1e-3
    seed: int = 0

    came_out: ClassVar[str] = "of the fine-tuning set come out word for word"

    def __post_init__(self) -> None:
        checked_lengths("fine_tuning", self.context_lengths)
        if self.draws < 1 or not self.clamp > 0:
            raise BadInput(f"fine_tuning: draws {self.draws} and clamp {self.clamp}: expected at least 1 and above 0")

    @property
    def lengths(self) -> tuple[int, ...]:
        return prompt_lengths(self.context_lengths, self.prefix_tokens)

    def needs(self) -> Mapping[str, Ask]:
        asks = {"tokens": Ask(TokenStatistics()), "base_tokens": Ask(TokenStatistics(), of="base")}
        for k in self.lengths:
            said = Generations(k, self.suffix_tokens, self.draws, self.temperature, self.top_k, 1.0, self.seed)
            asks[key_of("said", k)] = Ask(said)
            asks[key_of("target", k)] = Ask(GenerationProbability(said))
            asks[key_of("base", k)] = Ask(GenerationProbability(said), of="base")
        return asks

    def extract(self, tokens: TokenData, base_tokens: TokenData, **drawn: Any) -> Extracted:
        """``drawn``: for each length k what was said (said_k) and how likely target_k and base_k find it."""
        begins = np.stack([cut_of(tokens, k) for k in self.lengths], axis=1)
        wanted = np.maximum(0, tokens.tokens - begins.max(axis=1))
        wanted = np.minimum(wanted, self.suffix_tokens) if self.suffix_tokens > 0 else wanted
        found = np.full((len(wanted), len(self.lengths), len(UNKNOWN)), np.nan)
        for column, k in enumerate(self.lengths):
            views = [drawn[key_of(what, k)] for what in ("said", "target", "base")]
            for i, n in enumerate(wanted):
                own = slice(0, int(begins[i, column] + n))
                losses = [-float(t.log_probability[i][own].mean(dtype=np.float64)) for t in (tokens, base_tokens) if n]
                found[i, column] = self._row(i, int(n), losses, *views)
        axis = AXIS if self.context_lengths else ""
        last, ks = found[:, -1], tuple(map(float, self.lengths))
        suffixes = [row[b : b + n] for row, b, n in zip(tokens.log_probability, begins[:, -1], wanted, strict=True)]
        return Extracted(
            success=last[:, 1],
            log_probability=np.array([s.sum(dtype=np.float64) if len(s) else np.nan for s in suffixes]).reshape(-1),
            tokens=wanted.astype(np.int64),
            hits=last[:, 3],
            reason=reasons(self._why(tokens, base_tokens, drawn), last[:, 1]),
            note=f"the pick of {self.draws} draws",
            curves=tuple(Curve(name, axis, ks, found[:, :, j]) for j, name in enumerate(MEASURES)),
            rankings=(
                Ranking("loss ratio", last[:, 1], -last[:, -2]),
                Ranking("fine-tuned loss alone", last[:, 2], -last[:, -1]),
            ),
        )

    def _row(
        self,
        i: int,
        n: int,
        own: list[float],
        said: GenerationData,
        target: GenerationProbabilityData,
        base: GenerationProbabilityData,
    ) -> tuple[float, ...]:
        """The measures of one record, then q and the fine-tuned loss of the two picks."""
        true = said.true_ids[i][:n]
        if not n or len(true) < n or any(str(data.reason[i]) for data in (said, target, base)):
            return UNKNOWN
        guesses = distinct(said.draws(i), n)
        tuned, before = (_losses(data, i, guesses.first, n) for data in (target, base))
        ratio, right = loss_ratio(tuned, before, self.clamp), guesses.right(true)
        pick, alone = int(np.argmin(ratio)), int(np.argmin(tuned))
        near = [hamming_accuracy(guess, true) for guess in guesses.tokens]
        truth = float(loss_ratio(np.array(own[0]), np.array(own[1]), self.clamp))
        beats = float(np.mean(truth < ratio[~right])) if (~right).any() else 1.0
        return (
            float(right.any()), float(right[pick]), float(right[alone]), near[pick], max(near), beats,
            float(ratio[pick]), float(tuned[alone]),
        )  # fmt: skip

    def _why(self, tokens: TokenData, base_tokens: TokenData, drawn: Mapping[str, Any]) -> np.ndarray:
        everyone = [tokens, base_tokens, *drawn.values()]
        return np.array(
            [next((str(r) for r in row if str(r)), "") for row in zip(*(d.reason for d in everyone), strict=True)],
            dtype=object,
        )


def _losses(data: GenerationProbabilityData, i: int, first: np.ndarray, n: int) -> np.ndarray:
    """Mean loss over the prompt and the first n tokens of each distinct draw; +inf where nothing was scored."""
    draws = data.draws(i)
    sums = np.array([data.prompt[i] + draws[j][:n].sum(dtype=np.float64) for j in first])
    counts = np.array([data.prompt_tokens[i] + len(draws[j][:n]) for j in first])
    return np.where(counts > 0, -sums / np.maximum(counts, 1), np.inf)
