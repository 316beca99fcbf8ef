"""An owner's test on the page: its sentence, its tests with p values, nothing else changed."""

from __future__ import annotations

import math

from rasura.core.records import MarkAudit, MarkTest, MethodUsed, ModelCard, Population, Run, from_json, to_json
from rasura.core.types import Estimate
from rasura.report import render

FOUND = "There is evidence that the model was trained on the marked texts (perplexity, p = 0.0002): chance alone shows as much with probability 0.0002."


def owned(**changes) -> MarkAudit:
    fields = {
        "verdict": FOUND,
        "leaks": True,
        "models": (ModelCard("target", "runs/suspect", "f00d", 534_016),),
        "populations": (Population("own", 1, "ab12"), Population("fresh", 4999, "cd34")),
        "method": MethodUsed("provenance", "a_mark", {"length": 12}, "implemented", "arXiv:0000.00000"),
        "tests": (
            MarkTest(
                "perplexity", Estimate(1.0, 0.999, 1.0, 4999, "share of fresh passphrases less likely"), 0.0002, 1
            ),
            MarkTest(
                "last 1 word",
                Estimate(math.nan, math.nan, math.nan, 0, "share", note="no hit"),
                math.nan,
                1,
                "chance <b>",
            ),
        ),
        "warnings": (),
        "run": Run("rasura audit --mark", 0, {"rasura": "0.1.0"}),
    }
    return MarkAudit(**{**fields, **changes})


def test_the_record_survives_json():
    text = to_json(owned())
    assert to_json(from_json(text)) == text


def test_the_page_shows_the_sentence_the_tests_and_their_p(seen):
    text = seen(render([owned()])).text
    for words in (FOUND, "evidence found", "Ownership", "perplexity", "last 1 word", "< 0.001", "not known"):
        assert words in text, words
    assert "chance <b>" in text, "escaped, so it can be read"


def test_no_evidence_and_refused_wording(seen):
    clear = owned(verdict="There is no evidence at the level 0.01 that it was.", leaks=False)
    assert "no evidence found" in seen(render([clear])).text
    bold = owned(verdict="This is proof that the model was trained on the texts.")
    text = seen(render([bold])).text
    assert "This is proof" not in text and "Wording refused" in text


def test_beside_an_audit(made, seen):
    text = seen(render([made.audit(), owned()])).text
    assert "Does it leak?" in text and "Was it trained on the owner" in text
