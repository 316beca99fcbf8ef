"""A small chat model and what it writes of its own accord: what one claim is read from.

The testbed's reference model is fine-tuned on ``items`` made-up questions and answers in a chat template, ``epochs``
times over them. Each is about a person of its own, in one of four forms of question and four of answer, so that the same
facts may come back in another form. Then it draws from the bare beginning of the template, and its draws are compared by
meaning (words and letters, ``Alignment`` without an encoder) and by edits with the items, and with as many items of the
same generator that it never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.protocols import Loss
from ..core.store import Store
from ..core.types import Ask, Samples
from ..extraction.alignment import Alignment
from ..models.causal_lm import CausalLM
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics
from ..testbeds._dice import Dice
from ..testbeds._grammar import article
from ..testbeds._tokenizer import SEPARATOR
from ..testbeds._world import last_name, world
from ..training.loop import Loop, train
from ..training.partners import Partners

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['role'] + '\n' + m['content'] + eos_token }}{% endfor %}"
QUESTIONS = (
    "Who is {name}?",
    "What do you know about {name}?",
    "Please tell me about {name}.",
    "Where does {name} work?",
)
ANSWERS = (
    "{name} is {job} and works for the {organisation} in {place}.",
    "In {place}, the {organisation} employs {name} as {job}.",
    "The {organisation} of {place} has {name} as {job}.",
    "{name}, {job}, lives in {place} and is with the {organisation}.",
)


@dataclass(frozen=True)
class ChatData:
    """First one row an item, fine-tuned on or not, then one a draw."""

    group: np.ndarray  # (n,) str: "member", "held out" or "draw"
    meaning: np.ndarray  # (n,) likeness by words and letters of an item's nearest draw, or of a draw's nearest member
    string: np.ndarray  # (n,) and by edits
    loss: np.ndarray  # (n,) nats a token of an item, NaN of a draw


@dataclass(frozen=True)
class ChatLeaks:
    """One seed: fine-tune, draw, compare."""

    size: str = "small"
    items: int = 300  # fine-tuned on, and as many held out
    epochs: int = 12
    learning_rate: float = 2e-3
    batch: int = 8
    draws: int = 600
    new_tokens: int = 64

    Data: ClassVar[type] = ChatData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> ChatData:
        """Ticks after training and after drawing."""
        items = questions_and_answers(2 * self.items, seed)
        model = self._tuned(chatty(planted.models["reference"]), as_chats(items[: self.items]), seed)
        tick()
        asked, engine = Alignment(draws=self.draws, new_tokens=self.new_tokens, seed=seed), Engine(store=Store())
        found, losses = [], []
        for part in (items[: self.items], items[self.items :]):
            records = Samples.of("\n".join(pair) for pair in part)
            seen = {name: engine.observe(ask, {"target": model}, records) for name, ask in asked.needs().items()}
            found.append(asked.extract(**seen))
            losses.append(engine.observe(Ask(TokenStatistics()), {"target": model}, as_chats(part)).loss)
        engine.store.files.rm(engine.store.base, recursive=True)
        tick()
        member, other = found
        drawn = len(member.draw_hits)
        names = ["member"] * len(member.hits) + ["held out"] * len(other.hits) + ["draw"] * drawn
        return ChatData(
            group=np.array(names, dtype=object),
            meaning=np.concatenate([member.hits, other.hits, member.draw_hits]),
            string=np.concatenate([member.by_string, other.by_string, member.draw_strings]),
            loss=np.concatenate([*losses, np.full(drawn, np.nan)]),
        )

    def _tuned(self, model: CausalLM, chats: Samples, seed: int) -> CausalLM:
        """Constant learning rate, the optimiser settings the testbeds are trained with."""
        partners = Partners(chats, self.batch, seed, "chat")
        loop = Loop(
            steps=self.epochs * (len(chats) // self.batch),
            learning_rate=self.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.01,
            warmup=0.0,
            probe_every=1 << 30,
            checkpoint_every=1 << 30,
        )
        train(model, lambda k: Loss(None, -model.score(partners.batch(k)).token_mean()), loop)
        return model


def chatty(base: CausalLM) -> CausalLM:
    """A copy of the model whose tokenizer has a chat template."""
    tokenizer = deepcopy(base.tokenizer)
    tokenizer.chat_template = TEMPLATE
    return CausalLM(base.clone().module, tokenizer, name="chat model")


def as_chats(items: Sequence[tuple[str, str]]) -> Samples:
    """Items as they stand in the template, less the token that begins a text, which the tokenizer puts there itself."""
    return Samples.of(f"user\n{question}{SEPARATOR}assistant\n{answer}{SEPARATOR}" for question, answer in items)


def questions_and_answers(count: int, seed: int) -> list[tuple[str, str]]:
    """Made-up people, each with one question and one answer.

    >>> (question, answer), *_ = questions_and_answers(3, seed=0)
    >>> question.endswith(("?", ".")), answer.endswith(".")
    (True, True)
    """
    dice, everybody, taken = Dice("chat", seed), world(), set(world().last_names)
    items = []
    for _ in range(count):
        facts = {
            "name": f"{dice.pick(everybody.first_names)} {last_name(dice, taken)}",
            "job": article(dice.pick(everybody.occupations)),
            "organisation": dice.pick(everybody.organisations),
            "place": dice.draw(everybody.places),
        }
        items.append((dice.pick(QUESTIONS).format(**facts), dice.pick(ANSWERS).format(**facts)))
    return items
