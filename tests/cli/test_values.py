"""A setting's text to its value, by the annotation of its field, and back."""

from __future__ import annotations

from typing import Literal, Optional

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rasura.cli._values import CannotRead, coerce, expected, kind_name, read_setting, readable, show
from rasura.core.errors import BadInput


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, " 12 ", 12),
        (int, "-3", -3),
        (int, "1_000", 1000),
        (int, "1e4", 10_000),
        (int, "2.5e3", 2500),
        (float, "3", 3.0),
        (float, "-1e-3", -0.001),
        (float, "inf", float("inf")),
        (bool, "True", True),
        (bool, "no", False),
        (bool, "0", False),
        (str, " as it is ", " as it is "),
        (str, "none", "none"),
        (int | None, "none", None),
        (Optional[float], "None", None),  # noqa: UP045
        (int | float, "3", 3),
        (float | int, "3.5", 3.5),
        (str | int, "3", 3),
        (str | None, "three", "three"),
        (Literal["a", 2, None], "2", 2),
        (Literal["a", 2, None], " a", "a"),
        (Literal["a", 2, None], "none", None),
        (int | Literal["auto"], "auto", "auto"),
        (tuple[int, ...], "1,2, 3", (1, 2, 3)),
        (tuple[int, ...], "", ()),
        (tuple[int, ...], "()", ()),
        (tuple[int, ...], "(1,)", (1,)),
        (tuple[float, float], "[0.9, 1]", (0.9, 1.0)),
        (tuple[str, ...], 'a,"b, c",', ("a", "b, c", "")),
        (tuple[int, ...] | None, "none", None),
    ],
)
def test_coerce(kind: object, text: str, value: object):
    result = coerce(kind, text)
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (int, "3.5", "a whole number"),
        (int, "1e-1", "a whole number"),
        (int, "1.5e0", "a whole number"),
        (int, "1__0", "a whole number"),
        (int, "9" * 5000, "a whole number"),
        (int, "\u0663", "a whole number"),
        (int, "", "a whole number"),
        (float, "0,5", "a number"),
        (float, "nan", "a number"),
        (bool, "maybe", "true or false"),
        (int | None, "x", "a whole number or none"),
        (Literal["cross-entropy", "kl"], "cross_entropy", "one of cross-entropy, kl (did you mean cross-entropy?)"),
        (tuple[int, ...], "1,x", "a whole number"),
        (tuple[float, int], "1", "2 values separated by commas: a number, a whole number"),
        (tuple[str, ...], 'a,"b', "values separated by commas, each text"),
        (dict, "{}", "a value that only Python can give"),
    ],
)
def test_coerce_refuses(kind: object, text: str, words: str):
    with pytest.raises(CannotRead) as caught:
        coerce(kind, text)
    assert caught.value.expected == words


numbers = st.floats(allow_nan=False)
items = {
    int: st.integers(-(10**18), 10**18),
    float: numbers,
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"])),
}


@given(st.data())
def test_what_is_shown_reads_back(data: st.DataObject):
    """coerce(kind, show(value)) == value for every kind a setting may have."""
    inner = data.draw(st.sampled_from(list(items)))
    several = st.lists(items[inner], max_size=4).map(tuple)
    kind, values = data.draw(
        st.sampled_from(
            [
                (inner, items[inner]),
                (inner | None, st.none() | items[inner]),
                (tuple[inner, ...], several),
                (tuple[inner, ...] | None, st.none() | several),
                (tuple[inner, inner], st.tuples(items[inner], items[inner])),
                (Literal["a", "b c", 3, None, True], st.sampled_from(["a", "b c", 3, None, True])),
            ]
        )
    )
    value = data.draw(values)
    text = show(value)
    if kind in (str | None, tuple[str, ...] | None):
        assume(value is None or text.strip().lower() != "none")  # the word none is taken
    result = coerce(kind, text)
    assert result == value and type(result) is type(value)


@given(
    st.text(max_size=12),
    st.sampled_from([int, float, bool, int | None, tuple[int, ...], tuple[float, str], Literal["a", 1]]),
)
def test_any_text_is_read_or_refused(text: str, kind: object):
    try:
        coerce(kind, text)
    except CannotRead as error:
        assert error.expected


def test_long_values_are_not_repeated():
    with pytest.raises(BadInput) as caught:
        read_setting("--set a.b", int, "x" * 1000)
    assert str(caught.value) == f"--set a.b: expected a whole number, found '{'x' * 40}...'"


def test_kinds_in_words():
    assert (
        kind_name(int | None) == "int | none"
        and kind_name(tuple[float, int]) == "float,int"
        and kind_name(dict) == "dict"
    )
    assert expected(tuple[int, ...] | None) == "values separated by commas, each a whole number or none"
    assert readable(int | None) and readable(tuple[str, int]) and readable(Literal[1])
    assert not readable(dict) and not readable(tuple[dict, ...]) and not readable(dict | None)
