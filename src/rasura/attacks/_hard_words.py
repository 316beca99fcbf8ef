"""Searching prompts that can be typed: what is kept of a search, and what is drawn with it at the end.

A search proposes words in the slots of each prompt. From time to time one picture a prompt is drawn with what it has;
a prompt that shows the concept is settled. The prompt as it is, with nothing added, is the first proposal: records it
already brings back were never suppressed (the "pre" of the evidence). Scored are fresh pictures, from other noise than
those a prompt was chosen by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.types import Budget, Recovered, Request, Samples
from . import _drawing
from ._drawing import FRESH, Plan
from ._soft_words import Slotted, Vocabulary


@dataclass
class Search:
    """The state of one search over all prompts of a request."""

    model: Any
    request: Request
    samples: Samples
    rows: Sequence[Slotted]  # token ids of each prompt, None for a slot
    words: Vocabulary
    plan: Plan
    seed: int
    draw_steps: int
    guidance: float
    found: dict[int, str] = field(default_factory=dict)  # sample -> prompt that showed the concept
    added: dict[int, int] = field(default_factory=dict)  # sample -> words added to it
    checked: int = 0
    taken: int = 0  # optimiser steps
    last: list[str] = field(default_factory=list)  # the latest proposals

    def go(self, steps: Callable[[int], None], proposal: Callable[[], np.ndarray]) -> None:
        """``plan.steps`` optimiser steps; looks ``plan.checks`` times. Stops when every prompt has been settled.

        ``steps(k)``: take step k. ``proposal()``: words in the slots, (n, slots) indices into the vocabulary.
        """
        if self.plan.checks:
            self.look(self.samples.texts, 0)
        looks = max(0, self.plan.checks - 1)  # one was for the prompts as they are
        at = {round((j + 1) * self.plan.steps / looks) - 1 for j in range(looks)}
        self.last = self.samples.texts
        for k in range(self.plan.steps):
            if len(self.found) == len(self.samples):
                break
            steps(k)
            self.taken = k + 1
            if k in at:
                self.look(self.prompts(proposal()), len(self.slots(0)))
        if self.taken:
            self.last = self.prompts(proposal())

    def slots(self, i: int) -> list[int]:
        return [at for at, token in enumerate(self.rows[i]) if token is None]

    def prompts(self, chosen: np.ndarray) -> list[str]:
        """Proposals as they would be typed."""
        tokenizer, texts = self.model.tokenizers[0], []
        for row, words in zip(self.rows, chosen, strict=True):
            fresh = iter(words)
            texts.append("")
            for run, is_word in _runs(row):
                part = (
                    [self.words.words[next(fresh)] for _ in run] if is_word else [tokenizer.decode(list(run)).strip()]
                )
                texts[-1] = " ".join([texts[-1], *part]).strip()
        return texts

    def look(self, prompts: Sequence[str], added: int) -> None:
        """Draw one picture for each prompt not settled yet, and settle those that show the concept."""
        still = [i for i in range(len(self.samples)) if i not in self.found]
        part = self.samples.take(still)
        score = self._judged(part, [prompts[i] for i in still], 1, FRESH + self.checked)[0]
        self.checked += 1
        for i, seen in zip(still, score, strict=True):
            if seen == 1:
                self.found[i], self.added[i] = prompts[i], added

    def result(self, counter: Any, spent_before: int = 0) -> Recovered:
        """Fresh pictures of what was found, and of the last proposal where nothing was."""
        final = [self.found.get(i, self.last[i]) for i in range(len(self.samples))]
        score, drawn = self._judged(self.samples, final, self.plan.pictures, 0)
        plain = sum(self.added.get(i, -1) == 0 for i in range(len(self.samples)))
        lines = (
            f"{plain} of {len(self.samples)} prompts need no search; with {len(self.slots(0))} words searched in {self.taken} "
            f"steps: {len(self.found)}",
            f"fresh pictures: {_drawing.shown_line(score, self.plan.pictures)}",
        )
        pictures = len(self.samples) * (self.plan.pictures + self.checked) + spent_before
        spent = Budget(self.taken * len(self.samples), counter.rows, pictures)
        return Recovered(score, lines, spent, drawn)

    def _judged(self, samples: Samples, prompts: Sequence[str], n: int, first: int) -> tuple[np.ndarray, np.ndarray]:
        import torch

        with torch.no_grad():
            embedded = self.model.embed(prompts)
        settings = {"seed": self.seed, "steps": self.draw_steps, "guidance": self.guidance, "first": first}
        drawn = _drawing.draw_each(self.model, embedded, samples, n, **settings)
        return _drawing.judged(self.request, samples, drawn), drawn


def _runs(row: Slotted) -> list[tuple[list[Any], bool]]:
    """Neighbouring tokens of one kind together, and whether they are slots.

    >>> _runs([None, None, 5, 6, None])
    [([None, None], True), ([5, 6], False), ([None], True)]
    """
    runs: list[tuple[list[Any], bool]] = []
    for token in row:
        if not runs or runs[-1][1] is not (token is None):
            runs.append(([], token is None))
        runs[-1][0].append(token)
    return runs
