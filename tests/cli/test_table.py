"""Tables line up, whatever is in them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.cli._output import clean
from rasura.cli._table import rows_table, table
from rasura.core.types import Estimate


def test_alignment_counts_cells_of_the_screen():
    """Chinese characters are two cells wide."""
    assert table(("name", "n"), [("名前", 1), ("abcd", 20)]).splitlines() == ["name   n", "名前   1", "abcd  20"]


def test_numbers_stand_right_unless_mixed():
    assert table(("a", "b"), [(1.5, "x"), (None, "y"), (10, "z")]).splitlines() == [
        "  a  b",
        "1.5  x",
        "     y",
        " 10  z",
    ]
    assert table(("a", "b"), [(1, "x"), ("-", "y")]).splitlines() == ["a  b", "1  x", "-  y"]
    assert table(("a",), []) == "a"


def test_estimates_and_blanks():
    rows = [
        ("loss", Estimate(0.75, 0.5, 0.9, 40, "AUC"), ""),
        ("zlib", Estimate(float("nan"), 0, 1, 4, "AUC", note="too few"), None),
    ]
    assert table(("signal", "AUC", "x"), rows).splitlines() == [
        "signal  AUC                          x",
        "loss    0.750 [0.500, 0.900] (n=40)",
        "zlib    too few",
    ]


def test_no_markup_no_escapes_one_line_a_row():
    assert table(("a", "b"), [("[red]x[/red]", ":smile: \x1b[2Jb\nc")]).splitlines() == [
        "a             b",
        "[red]x[/red]  :smile: b c",
    ]


def test_width_folds_and_pipes_do_not(monkeypatch: pytest.MonkeyPatch):
    rows = [("a", "word " * 40)]
    assert len(table(("x", "y"), rows).splitlines()) == 2
    folded = table(("x", "y"), rows, width=40).splitlines()
    assert len(folded) > 3 and max(map(len, folded)) <= 40
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, table(("x", "y"), rows).splitlines())) <= 50


cells = st.text(st.characters(categories=["Lu", "Ll", "Nd", "Po", "Cc"], max_codepoint=0x17F), max_size=8)


@given(st.lists(st.tuples(cells, cells, cells), max_size=5))
def test_every_cell_is_there_in_its_column(rows: list[tuple[str, str, str]]):
    lines = table(("one", "two", "three"), rows).split("\n")
    assert len(lines) == len(rows) + 1
    columns = [max([len(h), *(len(clean(row[i])) for row in rows)]) for i, h in enumerate(("one", "two", "three"))]
    for line, row in zip(lines[1:], rows, strict=True):
        assert line == "  ".join(clean(c).ljust(w) for c, w in zip(row, columns, strict=True)).rstrip()


def test_rows_table():
    assert rows_table([{"a": 1}, {"b": True}]).splitlines() == ["a  b", "1", "   yes"]
    assert rows_table([]) == "nothing"
