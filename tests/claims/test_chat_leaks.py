"""The claim about alignment data: its rule on made-up numbers, and its study on a tiny model."""

from __future__ import annotations

import numpy as np
import pytest

from _study import run
from rasura.claims._chat_leaks import ChatData, ChatLeaks, as_chats, chatty, questions_and_answers
from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims.string_matching_undercounts_alignment_data import StringMatchingUndercountsAlignmentData

SEEDS = (0, 1, 2)


def first(n: int, share: float) -> np.ndarray:
    """n zeros and ones, the ones in front."""
    return (np.arange(n) < round(share * n)).astype(float)


def chats(meaning: float, string: float, n: int) -> ChatData:
    """Held-out items are alike up to .5; this share of the others is at .9."""
    held = np.linspace(0, 0.5, n)
    columns = {
        name: np.concatenate([np.where(first(n, s) == 1, 0.9, 0.1), held, np.full(50, 0.96)])
        for name, s in (("meaning", meaning), ("string", string))
    }
    loss = np.concatenate([np.full(n, 0.5), np.full(n, 2.0), np.full(50, np.nan)])
    group = np.array(["member"] * n + ["held out"] * n + ["draw"] * 50, dtype=object)
    return ChatData(group, columns["meaning"], columns["string"], loss)


@pytest.mark.parametrize(
    ("meaning", "string", "n", "outcome"),
    [(0.6, 0.1, 500, HOLDS), (0.6, 0.5, 500, FAILS), (0.35, 0.1, 100, UNRESOLVED)],
)
def test_alignment(meaning, string, n, outcome):
    verdict = StringMatchingUndercountsAlignmentData().decide([chats(meaning, string, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert f"{round(meaning * n) * 3 - round(string * n) * 3} are found by meaning alone and 0" in verdict.why
    assert len(verdict.table) == 5 and verdict.table[2][-1].startswith("1 ")


def test_chats(planted):
    data = run(ChatLeaks("tiny", items=12, epochs=6, draws=10, new_tokens=30), planted)
    assert [int(np.sum(data.group == g)) for g in ("member", "held out", "draw")] == [12, 12, 10]
    assert data.loss[data.group == "member"].mean() < data.loss[data.group == "held out"].mean()
    assert np.isnan(data.loss[data.group == "draw"]).all()


def test_a_chat_is_what_the_template_makes_of_it(planted):
    """Training reads the very tokens that drawing begins and goes on with."""
    model = chatty(planted.models["reference"])
    question, answer = questions_and_answers(1, seed=3)[0]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    expected = model.tokenizer.apply_chat_template(turns, tokenize=False)
    ids = model.encode(as_chats([(question, answer)])[0]).ids
    assert ids.tolist() == model.tokenizer(expected, add_special_tokens=False)["input_ids"]
    assert planted.models["reference"].tokenizer.chat_template is None
