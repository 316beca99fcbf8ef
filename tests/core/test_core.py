"""Types, registry and records: the vocabulary everything else stands on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core import records, registry
from rasura.core.errors import BadInput, BadMethod, UnknownMethod
from rasura.core.types import Ask, Estimate, Plain, Ragged, Sample, Samples, digest
from rasura.data.views import Lowercase, Prefixed
from rasura.observations.token_statistics import TokenStatistics


def test_a_samples_digest_knows_contents_and_not_bookkeeping():
    one = Sample("a", "text", start=1, secret=2, repeats=3, family="x")
    assert one.digest == dataclasses.replace(one, id="b", repeats=None, family="").digest
    assert (
        len(
            {
                one.digest,
                dataclasses.replace(one, text="texts").digest,
                dataclasses.replace(one, start=0).digest,
                dataclasses.replace(one, secret=None).digest,
            }
        )
        == 4
    )


@given(st.lists(st.lists(st.floats(-9, 9), max_size=5), max_size=6))
def test_ragged_rows_come_back(rows: list[list[float]]):
    ragged = Ragged.of(rows, np.float64)
    assert [row.tolist() for row in ragged] == rows
    expected = [sum(r) / len(r) if r else math.nan for r in rows]
    assert np.allclose(ragged.mean(), expected, equal_nan=True)


def test_asks_are_equal_by_value_and_views_are_part_of_the_question():
    assert Ask(TokenStatistics()) == Ask(TokenStatistics(), "target", Plain())
    assert (
        len({Ask(TokenStatistics()), Ask(TokenStatistics(), view=Lowercase()), Ask(TokenStatistics(), "reference")})
        == 3
    )


def test_lowercase_keeps_positions_where_a_letter_would_grow():
    text = "İstanbul SAYS"  # lowering the dotted capital gives two characters
    seen = Lowercase().apply(Samples([Sample("a", text, start=9)]))[0]
    assert len(seen.text) == len(text) and seen.text.endswith("says") and seen.start == 9


def test_prefixed_moves_positions():
    seen = Prefixed("Once. ").apply(Samples([Sample("a", "then more", start=0, secret=5)]))[0]
    assert seen.text[seen.start :] == "then more" and seen.text[seen.secret :] == "more"


def test_digest_refuses_what_it_cannot_keep():
    with pytest.raises(TypeError, match="object"):
        digest(object())
    assert digest({"b": 1, "a": [1.0, None]}) == digest({"a": [1.0, None], "b": 1})


def test_unknown_method_names_near_matches():
    with pytest.raises(UnknownMethod, match="did you mean min_k"):
        registry.get("signals", "mink")
    with pytest.raises(UnknownMethod, match="no family"):
        registry.names("signal")


def test_the_decorator_refuses_what_breaks_the_idiom():
    @dataclass
    class Loose:
        """Not frozen."""

    @dataclass(frozen=True)
    class Bare:
        """A field without a default."""

        k: float

    @dataclass(frozen=True)
    class Silent:
        k: float = 0.2

    for cls, words in ((Loose, "frozen"), (Bare, "k has no default"), (Silent, "no docstring")):
        with pytest.raises(BadMethod, match=words):
            registry.method()(cls)


def verification() -> records.Verification:
    e = Estimate(0.5, 0.25, math.nan, 7, "share", note="odd")
    used = records.MethodUsed("metrics", "forget_loss", {"k": 1, "deep": {"x": [1.5, None]}})
    return records.Verification(
        verdict="é \u2028 <b>",
        erased=None,
        models=(records.ModelCard("before", "m", "f", 3, "GPTNeoX", ("npo",)),),
        populations=(records.Population("forget", 2, "d", 1, {"short": 1}),),
        metrics=(records.MetricRow(used, "lower", "forget", {"before": e}),),
        attacks=(records.AttackRow(used, "white-box", {"after": e}, None, records.Budget(1, 2, 3), ("1 of 2",)),),
        skipped=(records.Skipped("x", "y"),),
        warnings=(),
        run=records.Run("rasura verify", 0, {"torch": "2"}),
    )


def test_records_survive_json_and_give_the_same_bytes():
    text = records.to_json(verification())
    back = records.from_json(text)
    assert records.to_json(back) == text
    assert back.metrics[0].values["before"].low == 0.25 and math.isnan(back.metrics[0].values["before"].high)
    assert back.erased is None and back.attacks[0].spent == records.Budget(1, 2, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[:-30], "not JSON"),
        (lambda t: t.replace('"schema": 1', '"schema": 99'), "schema 99"),
        (lambda t: t.replace('"verdict"', '"judgement"'), "only fields of Verification"),
        (lambda t: t.replace('"n": 7', '"n": "seven"'), "expected int"),
        (lambda t: "[]", "not a record"),
        (lambda t: t.replace('"seed": 0,', ""), "the fields seed"),
    ],
)
def test_a_damaged_record_says_what_is_wrong(change, words: str):
    with pytest.raises(BadInput, match=words) as error:
        records.from_json(change(records.to_json(verification())), "r.json")
    assert "\n" not in str(error.value)


def test_writing_a_record_leaves_the_old_one_when_it_fails(tmp_path):
    path = records.write(verification(), tmp_path / "v.json")
    before = path.read_bytes()
    with pytest.raises(TypeError):
        records.write(dataclasses.replace(verification(), verdict=object()), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["v.json"]
    assert path.stat().st_mode & 0o777 == 0o600
