"""A text-to-image run on the page: pictures beside each other, strips, words, windows; and nothing but pictures."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
import struct
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from rasura.core.records import Explanation, Grid, GridRow, from_json, to_json
from rasura.core.types import Estimate
from rasura.report import _answers, _pictures, _plots, _svg, _view, _windows, check_wording, render

PNG = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")


def sources(view) -> list[str]:
    return [value for tag, name, value in view.attributes if (tag, name) == ("img", "src")]


def alts(view) -> list[str]:
    return [value for tag, name, value in view.attributes if (tag, name) == ("img", "alt")]


def cells_of(records) -> list[str]:
    return [c for r in records for g in getattr(r, "grids", ()) for row in g.rows for c in row.cells]


def test_every_picture_of_the_records_is_shown_once_and_named(drawn, drawn_page, seen):
    view = seen(drawn_page)
    strips = sum(len(cells_of([r])) for r in drawn if type(r).__name__ == "Extraction")
    rest = [c for r in drawn if type(r).__name__ != "Extraction" for c in cells_of([r])]
    assert sources(view)[strips:] == rest  # the strips come first, written anew as mosaics
    assert len(alts(view)) == len(sources(view)) > 80 and all(alts(view))
    assert "after, prompt_search, a blue ring on black" in alts(view)
    assert "drawn from its caption, picture 2 of 4" in alts(view) and "training picture" in alts(view)


def test_the_grid_heads_its_columns_with_prompts_and_its_rows_with_models(pictured, seen):
    text = seen(render([pictured.verification()])).text
    start = text.index("Prompts of 'ring'")
    order = [*pictured.PROMPTS, "before", "after", "after, prompt_search", "after, noise_search", "retrained"]
    places = []
    for words in order:
        start = text.index(words, start)
        places.append(start)
    assert places == sorted(places)


def test_numbers_of_a_picture_run_are_all_on_the_page(drawn, drawn_page, seen, estimates_in):
    on_page = {tuple("nan" if v != v else v for v in found) for found, _ in seen(drawn_page).estimates}
    known = {(e.value, e.low, e.high, e.n) for e in estimates_in(drawn) if e.known}
    assert len(known) > 80 and known <= on_page
    plain = {a["class"]: float(a["value"]) for a, _ in seen(drawn_page).numbers if a["class"] in ("derived", "chance")}
    assert {"derived", "chance"} == set(plain)
    derived = [float(a["value"]) for a, _ in seen(drawn_page).numbers if a["class"] == "derived"]
    assert sorted(derived) == sorted(drawn[3].derived.values())


def test_rendering_is_repeatable_in_any_order_and_from_json(drawn, drawn_page):
    assert render(drawn[::-1]) == drawn_page
    assert render([from_json(to_json(r)) for r in drawn]) == drawn_page
    assert len(drawn_page) < 600_000


HOSTILE = (
    "javascript:alert(1)",
    "https://example.org/track.png",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+",
    "data:image/png;base64,AAAA",
    'data:image/png;base64,AAAA" onerror="alert(1)',
    "data:image/png;base64,<script>alert(1)</script>",
    "DATA:IMAGE/PNG;base64,AAAA",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAQCAIAAAA=\n",
    "\x00\u202edata:image/png;base64,AAAA",
)


def test_what_is_no_png_is_text(pictured, drawn_page, seen):
    fine = pictured.png(np.zeros((4, 4, 3)))
    grids = (Grid("spoiled", (GridRow("before", (fine, *HOSTILE)),)),)
    records = [
        pictured.verification(grids=grids, metrics=(), attacks=()),
        pictured.windows(grids=grids, rows=()),
        pictured.extraction(grids=grids),
    ]
    for reveal in (True, False):
        dirty, clean = seen(render(records, reveal=reveal)), seen(drawn_page)
        assert len(sources(dirty)) == 3 and all(PNG.fullmatch(uri) for uri in sources(dirty))
        assert dirty.text.count("not a small PNG picture") == 3 * len(HOSTILE)
        assert dirty.tags <= clean.tags and {n for _, n, _ in dirty.attributes} <= {n for _, n, _ in clean.attributes}
        places = [v for _, n, v in dirty.attributes if n in ("href", "src")]
        assert all(v.startswith("#") or PNG.fullmatch(v) for v in places)


def test_a_picture_is_what_its_first_bytes_say(pictured):
    good = pictured.png(np.zeros((3, 5, 3)))
    assert _pictures.side_of(good) == 5
    assert _pictures.side_of(good + "\n") is None and _pictures.side_of(good[:-1]) is None
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 60_000, 60_000)
    assert _pictures.side_of(_pictures.URI + base64.b64encode(huge + b"\0" * 6).decode()) is None
    assert _pictures.side_of(_pictures.URI + "A" * _pictures.LONGEST) is None


def test_hostile_labels_stay_text(pictured, seen):
    quote = "\"'><img src=x onerror=alert(1)>"
    cell = pictured.png(np.zeros((4, 4, 3)))
    spoiled = Grid(quote, (GridRow(quote, (cell, cell)),), (quote, quote), quote)
    view = seen(render([pictured.verification(grids=(spoiled,)), pictured.windows(grids=(spoiled,))]))
    assert sources(view) == [cell] * 4 and set(alts(view)) == {f"{quote}, {quote}"}
    assert not [name for _, name, _ in view.attributes if name.startswith("on")]


def test_a_record_full_of_pictures_is_cut_and_says_so(pictured, seen):
    noise = np.random.default_rng(0).integers(0, 255, (150, 150, 3))
    heavy = pictured.png(noise)
    assert 80_000 < len(heavy) < _pictures.LONGEST
    grid = Grid("many", tuple(GridRow(f"row {i}", (heavy,) * 20) for i in range(60)))
    found = _pictures.shown([grid] * 15)
    kept = sum(len(c.uri) for g in found for _, row in g.rows for c in row)
    assert kept <= _pictures.BUDGET and len(found) == _pictures.MOST_GRIDS + 1
    shown = sum(bool(c.uri) for _, row in found[0].rows for c in row)
    assert found[0].notes == (f"{1200 - shown:,} more pictures stand in the record.".replace(",", "\u202f"),)
    assert found[-1].notes == ("3 more grids stand in the record.",)


def test_rows_of_different_length_and_holes(pictured):
    cell = pictured.png(np.zeros((4, 4, 3)))
    (one,) = _pictures.shown([Grid("", (GridRow("a", (cell,)), GridRow("", (cell, "", cell))), ("p",))])
    assert [len(cells) for _, cells in one.rows] == [3, 3]
    assert [c.alt for _, cells in one.rows for c in cells] == ["a, p", "", "", "p", "", "picture 3 of 3"]
    (empty,) = _pictures.shown([Grid("", ())])
    assert empty.rows == ()


def test_training_pictures_are_mosaics_unless_the_page_reveals(pictured, seen):
    """A record made with its contents revealed does not make a page that reveals."""
    record = pictured.extraction(masked=False)
    open_page, page = seen(render([record], reveal=True)), seen(render([record]))
    real = cells_of([record])
    assert sources(open_page) == real and "pictures and captions unmasked" in open_page.text
    assert len(sources(page)) == len(real) and not set(sources(page)) & set(real)
    assert "Memorised picture 1" in page.text and record.grids[0].title not in page.text
    again = [_pictures.mosaic(uri) for uri in sources(page)]
    assert again == sources(page)  # a mosaic stays a mosaic


def test_a_mosaic_is_the_mean_of_each_tile(pictured):
    from io import BytesIO

    from PIL import Image

    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:4, :4] = 100
    pixels[0, 0] = 116  # 16 pixels a tile: the mean is 101
    with Image.open(BytesIO(base64.b64decode(_pictures.mosaic(pictured.png(pixels)).partition(",")[2]))) as image:
        shown = np.asarray(image)
    assert (shown[:4, :4] == 101).all() and (shown[4:] == 0).all()
    damaged = pictured.png(pixels)[:80]
    assert _pictures.side_of(damaged[: 22 + 4 * ((len(damaged) - 22) // 4)]) == 16
    assert _pictures.side_of(_pictures.mosaic(damaged[: 22 + 4 * ((len(damaged) - 22) // 4)])) is None


def test_captions_of_examples_have_no_tokens(pictured, seen):
    text = seen(render([pictured.extraction()])).text
    assert "nats in all" not in text and "tokens," not in text and "not known" not in text
    assert "Which training pictures does the model draw again" in text and "word for word" not in text


def test_words_and_their_shares(pictured, seen):
    view = seen(render([pictured.audit()]))
    shares = [float(a["value"]) for a, _ in view.numbers if a["class"] == "share"]
    assert shares == [w for e in pictured.audit().explanations for w in e.weights]
    odd = Explanation("x", "s", math.nan, ("a", "b", "c", "d"), (math.nan, -1.0, math.inf, 0.5))
    assert [bar for _, _, bar in _view.weighed(odd)] == ["0.0", "0.0", "0.0", "100.0"]
    assert "<bdi>" in render([pictured.audit(explanations=(odd,) * 40)])
    assert "16 more prompts stand in the record." in seen(render([pictured.audit(explanations=(odd,) * 40)])).text
    assert _view.weighed(Explanation("x", "s", 0.0, ("a", "b"), (0.0,))) == [("a", 0.0, "0.0")]


def test_windows_are_drawn_from_noise_to_picture(pictured):
    svg = _windows.kept(pictured.windows())
    found = [(e.text, float(e.get("x", 0)), float(e.get("y", 0))) for e in ElementTree.fromstring(svg).iter(f"{{{_svg.SVG}}}text")]  # fmt: skip
    y = {text: y for text, _, y in found if text in ("ground", "colour", "shape")}
    assert y["ground"] < y["colour"] < y["shape"]  # the order in which a picture takes them on
    x = {text: x for text, x, _ in found if text in ("800", "200")}
    assert x["800"] < x["200"]
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", svg)
    assert svg.count("fill: var(--shade)") == 2  # the third window is open at one side


def test_windows_of_odd_numbers(pictured, seen, estimates_in):
    unknown = Estimate(math.nan, math.nan, math.nan, 0, "timestep", note="never falls")
    row = pictured.windows().rows[0]
    rows = (
        dataclasses.replace(row, half=unknown, starts=math.nan, ends=math.nan),
        dataclasses.replace(row, attribute="b", kept=row.kept[:2], chance=math.nan, starts=1e300, ends=-math.inf),
        dataclasses.replace(row, attribute="c", kept=(), half=Estimate(1e200, -math.inf, math.inf, 1, "timestep")),
    )
    for record in (
        pictured.windows(rows=rows),
        pictured.windows(rows=(), theory=(), grids=(), times=()),
        pictured.windows(rows=rows * 8, times=(3,)),
    ):
        view = seen(render([record]))
        assert "When a picture is decided" in view.text
    assert "never falls" in seen(render([pictured.windows(rows=rows)])).text
    assert _windows.kept(pictured.windows(rows=())) == ""


def test_theory_and_chance_stand_beside_the_windows(pictured, seen):
    text = seen(render([pictured.windows()])).text
    assert "four quarters 512 to 388" in text and "t = 898 to 673" in text and "open at the side of noise" in text
    assert "When is a picture decided? measured The ground of a picture is decided first" in text
    assert "Ground, decided at 850 [841, 862]" in text
    boast = seen(render([pictured.windows(verdict="This proves it.")])).text
    assert "Wording refused." in boast and _answers.FIXED_WINDOWS in boast


def test_an_edit_shows_what_it_worked_out(pictured, seen):
    text = seen(render([pictured.erasure()])).text
    assert "Condition number worked out from the model 413" in text and "Rank 8" in text
    assert "Training transcript" not in text and "Ended by closed form" in text
    assert "edited" in text.partition("What was erased?")[2][:20]


def test_plain_prompts_are_told_from_attacks(pictured, seen):
    record = pictured.verification()
    text = seen(render([record])).text
    assert "0.06 by plain prompts alone" in text and "Only the attack does" in text and "64 generated pictures" in text
    bare = tuple(dataclasses.replace(a, pre=None, post=None, total=None) for a in record.attacks)
    assert "Only the attack does" not in seen(render([pictured.verification(attacks=bare)])).text


def test_key_figures_of_a_picture_run(drawn_page, seen):
    first = seen(drawn_page).text.partition("Membership Can")[0]
    for words in ("guidance_magnitude, best of 4 signals", "by tile_cliques", "erasure_rate on forget; lower is better", "prompt_search, strongest of 2 attacks", "near_preservation on near; higher is better"):  # fmt: skip
        assert words in first
    assert "Still recoverable by prompt_search." in first


def test_paraphrases_ask_for_what_should_be_forgotten(pictured, seen):
    forget, survive = _view.by_population(pictured.verification().metrics)
    assert [r.population for r in forget] == ["forget", "paraphrases"] and len(survive) == 3
    record = pictured.verification(erased=True, verdict="Nothing comes back.", attacks=())
    assert "tells the model from one trained without the records" in seen(render([record])).text


@pytest.mark.parametrize("outcome", [True, False, None])
def test_the_fixed_words_of_a_picture_run_pass_their_own_check(pictured, outcome):
    record = pictured.verification(erased=outcome)
    assert check_wording(_answers.fixed_words(record, "edit"), "edit").allowed


def test_a_language_page_carries_nothing_of_this(page):
    assert "table.pictures" not in page and "<img" not in page and "generated pictures" not in page


def test_small_shares_are_not_drawn_on_a_log_axis():
    low = {"before": Estimate(0.97, 0.9, 1.0, 64, "share"), "after": Estimate(0.01, 0.0005, 0.05, 64, "share")}
    svg = _plots.comparison([("a", "", "share", low)], _svg.ROLE_STYLE)
    assert "mathdefault" not in svg and ">0.2<" in svg
    wide = {"before": Estimate(1000.0, 900.0, 1100.0, 64, "x"), "after": Estimate(2.0, 1.0, 3.0, 64, "x")}
    assert "mathdefault" not in _plots.comparison([("a", "", "x", wide)], _svg.ROLE_STYLE)
