"""The page's numbers are the records' numbers: all of them, no others, and shown as what they are."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.core.types import Estimate
from rasura.report import _format, render

FLOATS = st.floats(allow_nan=False, allow_infinity=True) | st.floats(-2, 2) | st.just(0.0)


def key(e: Estimate) -> tuple:
    return tuple("nan" if math.isnan(v) else v for v in (e.value, e.low, e.high)) + (e.n,)


def check(records, text, seen, estimates_in) -> None:
    """Every estimate known to the records is on the page and every estimate on the page is known to the records."""
    on_page = {tuple("nan" if v != v else v for v in found) for found, _ in seen(text).estimates}
    in_records = {key(e) for e in estimates_in(records)}
    assert {k for k in in_records if k[0] != "nan"} <= on_page
    assert on_page <= in_records


def test_all_numbers_of_a_full_run(everything, page, seen, estimates_in):
    assert len(estimates_in(everything)) > 150
    check(everything, page, seen, estimates_in)


def test_a_changed_number_is_noticed(made, seen, estimates_in):
    """The check above can fail."""
    with pytest.raises(AssertionError):
        check(
            [made.erasure()],
            render([made.erasure(changed_parameters=Estimate(0.5, 0.4, 0.6, 9, "share"))]),
            seen,
            estimates_in,
        )


def test_shown_text_rounds_the_value(page, seen):
    shown = [(found, text) for found, text in seen(page).estimates if not math.isnan(found[0])]
    assert shown
    for (value, low, high, _), text in shown:
        for number, written in zip((value, low, high), re.match(r"(\S+) \[(\S+), (\S+)\]", text).groups(), strict=True):
            read = float(written.replace(_format.MINUS, "-").replace(_format.THIN_SPACE, ""))
            digits = len(written.partition(".")[2])
            assert abs(read - number) <= 0.5000001 * 10.0**-digits, (text, number)


@settings(max_examples=12, deadline=None)
@given(value=FLOATS, low=FLOATS | st.just(math.nan), high=FLOATS | st.just(math.nan), n=st.integers(0, 10**9))
def test_any_numbers_a_record_can_hold(made, seen, estimates_in, value, low, high, n):
    e = Estimate(value, low, high, n, "share")
    rows = tuple(
        type(r)(r.method, r.better, r.population, {**r.values, "after": e}) for r in made.verification().metrics[:1]
    )
    record = made.verification(metrics=rows, attacks=())
    check([record], render([record]), seen, estimates_in)


def test_p_values_are_on_the_page(made, seen):
    audit = made.audit()
    shown = {float(a["value"]) for a, _ in seen(render([audit])).numbers if a["class"] == "p"}
    assert {s.p_holm for s in audit.signals} | {s.p_value for s in audit.signals} <= shown


def test_unknown_values_say_why(made, seen, estimates_in):
    note = "not resolvable with 40 non-members"
    blurred = Estimate(math.nan, math.nan, math.nan, 12, "TPR", note=note)
    signal = made.audit().signals[0]
    record = made.audit(
        signals=(type(signal)(**{**vars(signal), "tpr": {"0.01": signal.tpr["0.01"], "0.001": blurred}}),)
    )
    view = seen(render([record]))
    assert note in view.text and "nan" not in view.text.lower().split()
    bare = Estimate(math.nan, math.nan, math.nan, 0, "AUC")
    assert "not resolvable" in seen(render([made.audit(signals=(type(signal)(**{**vars(signal), "auc": bare}),))])).text


def test_the_level_is_named_where_it_is_not_95_percent(made, seen):
    record = made.erasure(changed_parameters=Estimate(0.5, 0.4, 0.6, 9, "share", level=0.9))
    assert "90 % interval" in seen(render([record])).text
    assert "90 % interval" not in seen(render([made.erasure()])).text


@given(st.floats(-1e8, 1e8), st.integers(0, 6))
def test_number_rounds_and_never_writes_minus_zero(value, places):
    text = _format.number(value, places)
    read = float(text.replace(_format.MINUS, "-").replace(_format.THIN_SPACE, ""))
    assert abs(read - value) <= 0.5000001 * 10.0**-places + 1e-9 * abs(value)
    assert not (read == 0 and text.startswith(_format.MINUS))


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.8312, 0.7911, 0.8702, 120, "AUC"), "0.83 [0.79, 0.87], n=120"),
        (Estimate(0.9973, 0.9951, 0.9989, 4000, "AUC"), "0.997 [0.995, 0.999], n=4\u202f000"),
        (Estimate(123.4, 110, 140, 30, "perplexity"), "123 [110, 140], n=30"),
        (Estimate(0.0, 0.0, 0.0301, 98, "share"), "0.00 [0.00, 0.03], n=98"),
        (Estimate(-0.004, -0.02, 0.01, 50, "difference"), "0.00 [\u22120.02, 0.01], n=50"),
        (Estimate(5.5e-13, 0.0, 1.86e-12, 8, "share"), "5.5e\u221213 [0, 1.9e\u221212], n=8"),
        (Estimate(2.0, -math.inf, math.inf, 1, "nats"), "2 [\u2212\u221e, \u221e], n=1"),
        (Estimate(2.0, math.nan, math.nan, 1, "nats"), "2 [no interval], n=1"),
        (
            Estimate(math.nan, math.nan, math.nan, 3, "AUC", note="not resolvable with 40 non-members"),
            "not resolvable with 40 non-members",
        ),
    ],
)
def test_estimates_in_words(estimate, text):
    assert _format.estimate_text(estimate) == text
