"""Curves and other measures of an extraction on the page: every number in a table, nothing escapes, odd values draw."""

from __future__ import annotations

import dataclasses
import math

from rasura.core.records import MeasureRow
from rasura.core.types import Estimate
from rasura.report import _curves
from rasura.report.page import render


def row(name, axis, x, value, floor=None):
    estimate = Estimate(value, value - 0.0625, value + 0.0625, 40, "share")
    return MeasureRow(name, axis, x, estimate, floor and Estimate(floor, 0.0, 0.125, 40, "share"))


def extraction(made, rows):
    record = made.extraction()
    first = dataclasses.replace(record.results[0], measures=tuple(rows))
    return dataclasses.replace(record, results=(first, *record.results[1:]))


CURVE = [
    row("word for word", "tokens of context", k, v, 0.03125)
    for k, v in ((8.0, 0.21875), (16.0, 0.53125), (32.0, 0.78125))
]


def test_a_curve_is_drawn_and_every_point_stands_in_a_table(made):
    html = render([extraction(made, CURVE)])
    assert "by tokens of context" in html
    for number in ("0.21875", "0.53125", "0.78125", "0.03125"):
        assert number in html
    assert html.count("<svg") > render([extraction(made, [])]).count("<svg")


def test_numbers_on_their_own_stand_in_a_table(made):
    html = render([extraction(made, [row("average precision, loss ratio", "", 0.0, 0.40625)])])
    assert "average precision, loss ratio" in html and "0.406" in html


def test_one_point_is_no_curve(made):
    assert _curves.parts(extraction(made, CURVE[:1])) == []


def test_names_are_escaped(made):
    html = render([extraction(made, [dataclasses.replace(r, name="<b>x</b>", axis="<i>y</i>") for r in CURVE])])
    assert "<b>x</b>" not in html and "<i>y</i>" not in html


def test_values_that_cannot_be_drawn_do_no_harm(made):
    odd = [
        row("m", "samples drawn", x, v) for x, v in ((math.inf, 0.5), (1e300, math.nan), (-1.0, 1e200), (math.nan, 0.5))
    ]
    for rows in (odd, odd + CURVE, [dataclasses.replace(r, axis="samples drawn") for r in CURVE] + odd):
        assert "<html" in render([extraction(made, rows)])
