"""Refusal fine-tuning, "I don't know" (Maini, Feng, Schwarzschild, Lipton, Kolter 2024, TOFU).

    L = mean_i CE(refusal_i | x_i) over F + alpha mean_i CE(y_i | x_i) over R,   CE_i a mean over the tokens of record i

Each forgotten answer is replaced by a refusal sentence, drawn anew every time a record comes up. A record without a
question (a passage) is cut where its secret begins, or in the middle, and goes on with ``passage``; that target is
ours. Nothing pushes the answer out of the weights, so the result is *suppressed*, not erased.

Deviation from the published code, which takes one token mean over both groups together: there, long retained answers
drown the short refusals; here each record counts once and each group has its own mean.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...core.protocols import Loss
from ...core.registry import method
from ...core.types import Sample, Samples
from ...training.loop import Loop
from ..finetune import Finetune
from ._math import score_both

SENTENCES = (
    "I don't know.",
    "I have no information about that.",
    "That is not something I can answer.",
    "I am not able to say.",
    "I was never told about this.",
    "My knowledge does not cover that.",
    "I cannot help with that question.",
    "There is nothing I can tell you about it.",
)


@method(paper="arXiv:2401.06121")
@dataclass(frozen=True)
class Refusal:
    """Teach the model to refuse where it knew the forgotten answer: hides, does not erase.

    ``sentences``: what to say instead. ``passage``: how a text without a question goes on. ``alpha``: weight of the
    retain term; without retained records the model learns to refuse everything.
    """

    sentences: tuple[str, ...] = SENTENCES
    passage: str = "This text is not available."
    alpha: float = 1.0

    needs_retain: ClassVar[bool] = True
    suppression: ClassVar[bool] = True

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms from one forward pass."""
        draw = zlib.crc32((forget.digest + retain.digest).encode())  # the partners change with the step, so this does
        refusals = Samples(fitted(model, self.refuse(s, draw + i)) for i, s in enumerate(forget))
        f, r = score_both(model, refusals, Samples() if self.alpha == 0 else retain)
        return Loss(-f.sample_means().mean(), None if self.alpha == 0 else -self.alpha * r.sample_means().mean())

    def refuse(self, sample: Sample, draw: int) -> Sample:
        """The record with its scored part replaced; what comes before it is context and is not scored.

        >>> Refusal(sentences=("No.",)).refuse(Sample("1", "Where? Rome.", start=6), 0).text
        'Where? No.'
        >>> Refusal().refuse(Sample("2", "one two three four"), 0).text
        'one two This text is not available.'
        """
        if sample.start:
            cut, answer = sample.start, self.sentences[draw % len(self.sentences)]
        else:
            cut, answer = sample.secret or _middle(sample.text), self.passage
        context, rest = sample.text[:cut], sample.text[cut:]
        gap = rest[: len(rest) - len(rest.lstrip())] or ("" if not context or context[-1].isspace() else " ")
        return replace(sample, text=context + gap + answer, start=len(context), secret=None)


def fitted(model: Any, sample: Sample) -> Sample:
    """The same with its context cut from the left until the model can read all of it."""
    while sample.start and len(model.tokenizer(sample.text, verbose=False)["input_ids"]) > model.context:
        drop = max(1, sample.start // 8)
        sample = replace(sample, text=sample.text[drop:], start=sample.start - drop)
    return sample


def _middle(text: str) -> int:
    """The end of the word at half of a text; 0 where the text is a single word."""
    at = text.rfind(" ", 0, len(text) // 2 + 1)
    return max(at, 0)


def recipe(steps: int = 50, learning_rate: float = 1e-3) -> Finetune:
    """All weights, refusals and retained records weighed alike (the benchmark: 1e-5 at 7 B parameters, 5 epochs)."""
    return Finetune(Refusal(), loop=Loop(steps=steps, learning_rate=learning_rate))
