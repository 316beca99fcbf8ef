"""Pools never overlap: a signal that learns is not judged on what it learned from, nor one that quotes on its quotes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from rasura._audit import Options, audit, plan
from rasura._costs import computed, total
from rasura._inputs import Everything
from rasura._pools import FEWEST, pools, prefixed
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.records import to_json
from rasura.core.types import Ask, Known, Samples
from rasura.data.views import Prefixed
from rasura.models.causal_lm import CausalLM
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenData, TokenStatistics
from rasura.signals.loss import Loss
from rasura.signals.zlib import Zlib


@dataclass(frozen=True)
class Cheat:
    """Answers with the truth it was told: worthless on what it was not told."""

    learns: ClassVar[str] = "both"

    def needs(self):
        return {"statistics": Ask(TokenStatistics())}

    def score(self, known: Known, statistics: TokenData) -> np.ndarray:
        scores = np.zeros(len(statistics.tokens)) + 1e-9 * np.arange(len(statistics.tokens))[::-1] * 0
        scores[known.members], scores[known.nonmembers] = 1.0, -1.0
        return scores


@dataclass(frozen=True)
class Quoting:
    """Puts unseen texts in front."""

    prefix: str = field(default="", metadata={"private": True})
    shots: int = 3

    def prefixed_by(self, pool: Samples) -> Quoting:
        return Quoting(" ".join(pool.texts[: self.shots]) + " ", self.shots)

    def needs(self):
        return {"statistics": Ask(TokenStatistics(), view=Prefixed(self.prefix))}

    def score(self, statistics: TokenData) -> np.ndarray:
        return -statistics.loss


def test_a_signal_that_repeats_what_it_was_told_is_at_chance(planted):
    record = audit(planted.models["target"], planted.members, planted.nonmembers, signals=[Cheat(), Loss()])
    cheat, loss = record.signals
    assert cheat.auc.value == 0.5 and loss.auc.value > 0.7
    told = len(planted.members) // 2 + len(planted.nonmembers) // 2
    assert cheat.held_back == told and cheat.unscorable == 0
    assert cheat.auc.n + told == loss.auc.n == len(planted.members) + len(planted.nonmembers)
    assert cheat.over_loss.n == cheat.auc.n  # compared on the same records


def test_given_pools_leave_everybody_to_be_judged(planted):
    known = planted.members.take(range(20)), planted.nonmembers.take(range(30))
    sides = planted.members.take(range(20, len(planted.members))), planted.nonmembers.take(range(30, 72))
    record = audit(planted.models["target"], *sides, signals=[Cheat()], options=Options(known=known))
    assert record.signals[0].held_back == 0 and record.signals[0].auc.n == len(sides[0]) + len(sides[1])
    assert [p.name for p in record.populations] == ["members", "nonmembers", "known members", "known nonmembers"]
    with pytest.raises(BadInput, match="members and known members share 1 text"):
        audit(
            planted.models["target"], planted.members, sides[1], options=Options(known=(known[0].take([0]), known[1]))
        )


def test_quoted_records_are_judged_by_nobody(planted):
    record = audit(planted.models["target"], planted.members, planted.nonmembers, signals=[Quoting(), Loss()])
    assert {r.auc.n for r in record.signals} == {len(planted.members) + len(planted.nonmembers) - 3}
    prefixes = next(p for p in record.populations if p.name == "prefixes")
    assert prefixes.n == 3
    assert record.signals[0].method.settings["prefix"].startswith("digest ")  # somebody's text is not in the record


def test_too_few_to_learn_from_or_to_quote():
    few = pools(Samples.of("abc"), Samples.of(list("defgh")))
    with pytest.raises(BadInput, match=f"at least {FEWEST} known non-members"):
        few.known(0)
    run, _, skipped = prefixed([Quoting(), Loss()], few, 0, asked_for=False)
    assert [type(s) for s in run] == [Loss] and "pass --prefixes" in skipped[0].why
    with pytest.raises(BadInput, match="Quoting needs 3 non-members"):
        prefixed([Quoting()], few, 0, asked_for=True)


def test_shadow_masks_say_who_saw_what_and_nobody_is_held_back():
    six = Samples.of("abcdef")
    seen = {"shadow_1": frozenset({"0", "3"})}
    known, held_back = pools(six.take([0, 1]), six.take([2, 3, 4, 5]), trained=seen).told("shadows", 0)
    assert known.trained["shadow_1"].tolist() == [True, False, False, True, False, False] and not len(held_back)
    with pytest.raises(BadInput, match=r"2 ids stand among members and non-members \(first: '0'\)"):
        pools(Samples.of("ab"), Samples.of("cd"), trained=seen)


def test_one_pass_for_all_that_ask_the_same_and_one_more_for_each_view(planted):
    """What the bill plans is what was computed, and what was computed once is not computed again."""
    sides = planted.members.take(range(10)), planted.nonmembers.take(range(12))
    signals = [Loss(), Zlib(), Quoting(prefix="x ", shots=0)]
    costs = plan(planted.models["target"], *sides, signals=signals)
    assert total(costs) == (44, 0) and [c.signals for c in costs] == [("loss", "zlib"), ("Quoting",)]
    engine, once = Engine(), Engine()
    first = audit(planted.models["target"], *sides, signals=signals, engine=engine)
    assert first.costs == costs and computed(costs, engine.passes) == [22, 22]
    once.store = engine.store
    again = audit(planted.models["target"], *sides, signals=signals, engine=once)
    assert to_json(again) == to_json(first) and computed(costs, once.passes) == [0, 0]


def test_verdicts_and_the_bound_are_in_the_record(planted):
    record = audit(
        planted.models["target"],
        planted.members,
        planted.nonmembers,
        signals=[Loss()],
        options=Options(coin_flips=True, false_discovery_rate=0.2),
    )
    found = record.decisions
    assert found.signal == "loss" and found.calibration == len(planted.nonmembers) // 2
    assert found.tested == len(planted.members) + len(planted.nonmembers) - found.calibration
    assert found.flagged.value > 0.2 and found.false_discoveries is not None
    assert {t.member for t in found.texts if t.flagged} >= {True}
    assert record.signals[0].epsilon.value > 0.3
    with pytest.raises(BadInput, match="did not run"):
        audit(
            planted.models["target"],
            planted.members,
            planted.nonmembers,
            signals=[Loss()],
            options=Options(decide_by="zlib"),
        )


def test_black_box_signals_cost_one_pass_and_one_for_each_view_or_model(planted, monkeypatch):
    """Counted at the model: trips of texts through it, for every signal that reads likelihoods of the target."""
    signals = [
        registry.make("signals", n)
        for n in ("loss", "zlib", "lowercase", "min_k", "min_k_plus_plus", "flora", "reference")
    ]
    sides = planted.members.take(range(9)), planted.nonmembers.take(range(11))
    trips = Counter()
    plain = CausalLM.last_hidden

    def counted(self, encoded):
        trips[self.fingerprint] += len(encoded)
        return plain(self, encoded)

    monkeypatch.setattr(CausalLM, "last_hidden", counted)
    target, reference, base = (planted.models[r] for r in ("target", "reference", "retrained"))
    record = audit(target, *sides, reference=reference, signals=signals, options=Options(models={"base": base}))
    assert trips == {target.fingerprint: 40, reference.fingerprint: 20, base.fingerprint: 20}  # plain and lowercase
    assert total(record.costs) == (80, 0)
    assert sum(r.forward for r in record.signals) == 10  # what they would cost apart


def test_where_the_texts_differ_nothing_that_needs_them_alike_is_said(planted):
    """Members against texts of another kind: no verdict per text, no bound, no p value for all."""
    other = Samples.of([f"{i} {i + 1} {i + 2} zxq {i * 7} zxq zxq {i * 3} qq" for i in range(40)])
    signals = [Loss(), registry.make("signals", "dataset_inference")]
    record = audit(planted.models["target"], planted.members, other, signals=signals, options=Options(coin_flips=True))
    assert record.blind.separates and record.decisions is None
    assert all(r.epsilon is None and np.isnan(r.collection_p) for r in record.signals)


def test_a_signal_that_scores_nothing_is_skipped_with_the_reason(planted):
    """Records as long as the context leave no room for a text in front of them."""
    sides = [
        Samples.of([" ".join(side.texts[i : i + 12]) for i in range(20)])
        for side in (planted.members, planted.nonmembers)
    ]
    signals = Everything([Loss(), registry.make("signals", "recall")])  # as where nobody named them
    record = audit(
        planted.models["target"], *sides, signals=signals, options=Options(truncate=True, prefixes=planted.heldout)
    )
    why = next(s.why for s in record.skipped if s.name == "recall")
    assert why == "could score none of the records (no room in the context for a text in front)"
