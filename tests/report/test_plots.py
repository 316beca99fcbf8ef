"""Plots: what is drawn where, read back from the SVG."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from rasura.core.records import DoseRow, Step
from rasura.core.types import Estimate
from rasura.report import _plots, _svg
from rasura.report._marks import span


def texts(svg: str) -> list[tuple[str, float, float]]:
    """Text, x and y of every label."""
    return [
        (e.text or "", float(e.get("x", 0)), float(e.get("y", 0)))
        for e in ElementTree.fromstring(svg).iter(f"{{{_svg.SVG}}}text")
    ]


def words(svg: str) -> list[str]:
    return [text for text, _, _ in texts(svg)]


@pytest.fixture(scope="module")
def audit(made):
    return made.audit()


@pytest.fixture(scope="module")
def drawings(made, audit) -> dict[str, str]:
    rows = [("a", "forget", "share", {"before": Estimate(0.5, 0.4, 0.6, 9, "share")})]
    return {
        "roc": _plots.roc(audit.signals, 256),
        "forest": _plots.forest(audit.signals, audit.blind.auc),
        "dose": _plots.dose([s.doses for s in audit.signals], "AUC", 0.5),
        "comparison": _plots.comparison(rows, _svg.ROLE_STYLE),
        "transcript": _plots.transcript(made.erasure().transcript),
    }


@pytest.mark.parametrize("name", ["roc", "forest", "dose", "comparison", "transcript"])
def test_drawings_take_colour_and_font_from_the_page(drawings, name):
    svg = drawings[name]
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", svg) and "font-family" not in svg
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", svg)) <= set(_svg.VARIABLES.values())
    assert "<style" not in svg and "metadata" not in svg and "<?xml" not in svg and 'aria-hidden="true"' in svg


def test_every_variable_is_in_the_style_sheet(page):
    style = page.partition("<style>")[2].partition("</style>")[0]
    light, dark = style.partition("@media screen")[0], style.partition("@media screen")[2].partition("\n}")[0]
    for variable in _svg.VARIABLES.values():
        assert f"{variable}:" in light and f"{variable}:" in dark


def test_roc_shades_what_cannot_be_resolved(audit):
    assert "not resolvable with 256 non-members" in words(_plots.roc(audit.signals, 256))
    assert not [w for w in words(_plots.roc(audit.signals, None)) if "resolvable" in w]
    assert "chance" in words(_plots.roc(audit.signals, 256)) and "0.001" in words(_plots.roc(audit.signals, 256))


def test_roc_draws_every_signal_and_survives_empty_ones(audit):
    series = [f"var(--series-{i})" for i in range(1, 5)]
    svg = _plots.roc(audit.signals, 256)
    assert all(colour in svg for colour in series)
    grey = len(re.findall(r"stroke: var\(--rule\); stroke-width: 0.9", svg))
    assert grey == len(audit.signals) - 4
    broken = [
        type(audit.signals[0])(**{**vars(audit.signals[0]), "roc": roc})
        for roc in ((), ((), ()), ((0.1, math.nan), (0.2, 0.3)))
    ]
    assert _plots.roc(broken, 256)


def test_forest_puts_the_baseline_on_top(audit):
    height = {text: y for text, _, y in texts(_plots.forest(audit.signals, audit.blind.auc))}
    names = ["blind baseline", *(s.method.name for s in audit.signals)]
    assert [height[n] for n in names] == sorted(height[n] for n in names)
    assert "0.51 [0.47, 0.56]" in height


def test_dose_axis_doubles():
    rows = tuple(DoseRow(d, Estimate(0.5, 0.4, 0.6, 10, "share")) for d in (0, 1, 2, 4, 16))
    svg = _plots.dose([rows], "share")
    x = {text: x for text, x, _ in texts(svg)}
    step = x["2\u00d7"] - x["1\u00d7"]
    assert step > 0 and math.isclose(x["4\u00d7"] - x["2\u00d7"], step, rel_tol=1e-3)
    assert math.isclose(x["16\u00d7"] - x["4\u00d7"], 2 * step, rel_tol=1e-3) and math.isclose(
        x["1\u00d7"] - x["never"], step, rel_tol=1e-3
    )


def test_nothing_to_draw():
    assert _plots.dose([], "AUC") == "" == _plots.dose([()], "AUC")
    assert _plots.comparison([], {}) == ""
    assert _plots.transcript(()) == "" == _plots.transcript((Step(0, 1.0, 1.0),))


def test_comparison_groups_by_unit():
    e = {unit: {"before": Estimate(0.5, 0.4, 0.6, 9, unit)} for unit in ("nats", "share")}
    svg = _plots.comparison(
        [("a", "", "nats", e["nats"]), ("b", "", "share", e["share"]), ("c", "", "nats", e["nats"])], _svg.ROLE_STYLE
    )
    height = {text: y for text, _, y in texts(svg)}
    assert height["b"] < height["share"] < height["a"] < height["c"] < height["nats"]


def test_numbers_that_cannot_be_drawn():
    odd = [
        Estimate(math.nan, math.nan, math.nan, 0, "x"),
        Estimate(math.inf, 0.0, math.inf, 1, "x"),
        Estimate(1e300, -1e300, 1e300, 1, "x"),
        Estimate(2.0, -math.inf, math.nan, 1, "x"),
    ]
    for e in odd:
        assert _plots.comparison(
            [("a", "", "x", {"before": e, "elsewhere": e})], {**_svg.ROLE_STYLE, "elsewhere": (_svg.OTHER, "^")}
        )
        assert _plots.dose([(DoseRow(1, e), DoseRow(0, e))], "x")
    assert _plots.transcript([Step(0, math.nan, math.inf), Step(1, 1.0, math.nan), Step(2, 2.0, 1.0)])
    assert span(odd, 0.0, 1.0)[1] < 3


def test_long_transcripts_are_thinned():
    svg = _plots.transcript([Step(i, math.sin(i), math.cos(i)) for i in range(20_000)])
    assert len(svg) < 60_000


def test_mathematics_in_names_stays_text():
    svg = _plots.comparison(
        [("$\\frac{a}", "_{b}$", "x", {"before": Estimate(0.5, 0.4, 0.6, 9, "x")})], _svg.ROLE_STYLE
    )
    assert "$\\frac{a}" in words(svg)


def test_plots_leave_the_settings_of_matplotlib_alone(audit):
    import matplotlib

    before = dict(matplotlib.rcParams)
    _plots.forest(audit.signals, audit.blind.auc)
    assert dict(matplotlib.rcParams) == before


def test_importing_the_report_draws_in_no_heavy_library():
    import subprocess
    import sys

    code = (
        "import sys, rasura.report; print([m for m in ('torch', 'matplotlib', 'scipy', 'jinja2') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )
    assert out.stdout.strip() == "[]"
