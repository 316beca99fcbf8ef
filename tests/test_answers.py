"""Records worked off in windows: what comes out is what one window over everything gives, and what was seen is let go."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import numpy as np
import pytest

from rasura import _answers
from rasura._answers import answered
from rasura._audit import audit
from rasura._inputs import Everything
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.records import to_json
from rasura.core.types import Ask, Samples
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenData, TokenStatistics

ONE_BY_ONE = ("loss", "zlib", "min_k", "min_k_plus_plus", "reference", "lowercase", "flora")
LEARNING = ("quantile_regression", "rmia", "dataset_inference")


@dataclass(frozen=True)
class Watching:
    """Remembers which data are still held when it is asked to score."""

    held: list = field(default_factory=list, compare=False)
    sizes: list = field(default_factory=list, compare=False)

    def needs(self):
        return {"statistics": Ask(TokenStatistics())}

    def score(self, statistics: TokenData) -> np.ndarray:
        self.sizes.append((len(statistics.tokens), sum(r() is not None for r in self.held)))
        self.held.append(weakref.ref(statistics))
        return -statistics.loss


@dataclass(frozen=True)
class Refusing:
    """Cannot read one of the records."""

    most: int

    def needs(self):
        return {"statistics": Ask(TokenStatistics())}

    def score(self, statistics: TokenData) -> np.ndarray:
        if (statistics.text_bytes > self.most).any():
            raise BadInput("refusing: a text is too long")
        return -statistics.loss


def models(planted) -> dict:
    target, retrained = planted.models["target"], planted.models["retrained"]
    return {"model": target, "reference": retrained}


def test_windows_give_the_record_of_one_window(planted, monkeypatch):
    wanted = [n for n in (*ONE_BY_ONE, *LEARNING) if n != "flora"]
    arguments = dict(models(planted), members=planted.members, nonmembers=planted.nonmembers)
    whole = audit(**arguments, signals=wanted, engine=Engine(shard=8))
    monkeypatch.setattr(_answers, "WINDOW", 2)  # 16 records
    assert len(planted.members) + len(planted.nonmembers) > 64
    parts = audit(**arguments, signals=wanted, engine=Engine(shard=8))
    assert to_json(parts) == to_json(whole)


def test_windows_leave_shards_as_they_are(planted, monkeypatch):
    """What one window computed, many read back: not a record is computed again."""
    engine, signals = Engine(shard=8), [registry.make("signals", "loss")]
    samples = Samples([*planted.members, *planted.nonmembers])
    whole = answered(signals, planted.models, samples, engine, asked_for=True)
    engine.passes.clear()
    monkeypatch.setattr(_answers, "WINDOW", 3)
    parts = answered(signals, planted.models, samples, engine, asked_for=True)
    assert len(engine.passes) > 3 and sum(p.computed for p in engine.passes) == 0
    assert parts.scores(signals[0]).tobytes() == whole.scores(signals[0]).tobytes()
    assert parts.reasons == whole.reasons and len(parts.reasons) == len(samples)


def test_what_was_observed_of_a_window_is_dropped_before_the_next(planted, monkeypatch):
    monkeypatch.setattr(_answers, "WINDOW", 1)
    watching, samples = Watching(), planted.members.take(range(20))
    answered([watching, watching], planted.models, samples, Engine(shard=8), asked_for=True)
    assert watching.sizes == [(8, 0), (8, 0), (4, 0)]


def test_a_signal_that_refuses_a_later_window_has_no_scores_at_all(planted, monkeypatch):
    monkeypatch.setattr(_answers, "WINDOW", 1)
    found = TokenStatistics().measure(planted.models["target"], planted.members).text_bytes
    order = np.argsort(found, kind="stable")
    samples, refusing = planted.members.take([*order[:8], *order[-16:]]), Refusing(int(found[order[7]]))
    assert found[order[-1]] > refusing.most
    answers = answered([refusing], planted.models, samples, Engine(shard=8), asked_for=False)
    with pytest.raises(BadInput, match="a text is too long"):
        answers.scores(refusing)
    with pytest.raises(BadInput, match="a text is too long"):
        answered([refusing], planted.models, samples, Engine(shard=8), asked_for=True)
    sides = samples.take(range(0, 24, 2)), planted.nonmembers
    record = audit(planted.models["target"], *sides, signals=Everything([refusing, "loss"]), engine=Engine(shard=8))
    assert [s.method.name for s in record.signals] == ["loss"] and record.skipped[
        0
    ].why == "refusing: a text is too long"
