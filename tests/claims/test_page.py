"""The page, its JSON, and what claims that hold say for methods."""

from __future__ import annotations

import ast
import json

import pytest

from rasura.claims._decide import FAILS, HOLDS
from rasura.claims._evidence import backing, merged, write_evidence
from rasura.claims._page import listed, page
from rasura.claims._source import code_digest, code_of
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.records import Verdict, from_json
from rasura.core.status import source_hash

VERDICTS = [
    Verdict(
        "mope_beats_loss",
        FAILS,
        "gain: -0.1 [-0.2, 0]",
        "it does",
        "Because | of noise.",
        "gain >= 0.02",
        (("signal", "AUC"), ("loss", "0.7")),
    ),
    Verdict("mope_is_hessian_trace", HOLDS, "ratio: 1 [1, 1]", "it is", "So it is.", "ratio within 1e-5"),
]


def test_the_page_says_what_became_of_every_claim():
    text = page(VERDICTS, "rasura claims --write docs/claims.md")
    assert "Made by `rasura claims --write docs/claims.md`" in text
    assert (
        "| [mope_beats_loss](#mope_beats_loss) | [arXiv:2310.14369](https://arxiv.org/abs/2310.14369) | **fails here** |"
        in text
    )
    assert "### mope_is_hessian_trace" in text
    assert "| signal | AUC |\n| --- | --- |\n| loss | 0.7 |" in text
    assert "- why: Because | of noise." in text  # only inside a table a bar must be escaped
    assert "gain_at_least=0.02" in text and "- evidence for: `signals.mope`" in text


def test_the_page_has_a_table_for_each_kind_of_model():
    """Claims about pictures after those about text, whatever their order; a kind without claims has no heading."""
    text = page([Verdict("bias_is_amplified", HOLDS, "a", "b", "c", "d"), *VERDICTS], "x")
    language, pictures = text.index("## Language models"), text.index("## Text-to-image models")
    assert language < text.index("### mope_beats_loss") < pictures < text.index("### bias_is_amplified")
    assert text.count("| claim | paper |") == 2
    assert "no method of its own" in text
    assert "## Text-to-image models" not in page(VERDICTS, "x")


def test_a_bar_does_not_break_the_table():
    text = page([Verdict("mope_beats_loss", FAILS, "a|b", "", "", "")], "x")
    row = next(line for line in text.splitlines() if line.startswith("| [mope"))
    assert r"a\|b" in row and row.replace(r"\|", "").count("|") == 6


def test_the_json_is_a_list_of_records():
    bodies = json.loads(listed(VERDICTS))
    assert [from_json(json.dumps(body)) for body in bodies] == VERDICTS


def test_only_claims_that_hold_speak_for_a_method_and_none_where_another_fails():
    assert backing(VERDICTS[1:]) == {"signals.mope": ["mope_is_hessian_trace"]}
    assert backing(VERDICTS) == {}


def test_evidence_keeps_the_rest_and_drops_the_stale():
    """mope keeps its tests and gets its claim; loss loses a claim that no longer holds; a method that is gone goes."""
    old = {
        "signals.mope": {"source": "abc", "conformance": True, "golden": ["g.py"], "claims": ["mope_beats_loss"]},
        "signals.loss": {"source": "def", "conformance": True, "golden": [], "claims": ["mope_beats_loss"]},
        "signals.gone": {"source": "ghi", "conformance": True, "golden": [], "claims": []},
        "signals.zlib": {"source": "jkl", "conformance": False, "golden": [], "claims": ["mope_beats_loss"]},
    }
    new = merged(old, VERDICTS[1:])
    assert set(new) == {"signals.mope", "signals.loss"}
    assert new["signals.mope"] == old["signals.mope"] | {"claims": ["mope_is_hessian_trace"]}
    assert new["signals.loss"]["claims"] == [] and new["signals.loss"]["conformance"] is True


def test_a_method_without_an_entry_gets_one(tmp_path):
    path = write_evidence(VERDICTS[1:], tmp_path / "evidence.json")
    assert json.loads(path.read_text()) == {
        "signals.mope": {
            "source": source_hash("signals", "mope"),
            "conformance": False,
            "golden": [],
            "claims": ["mope_is_hessian_trace"],
        }
    }
    with pytest.raises(BadInput, match="checkout"):
        write_evidence(VERDICTS[1:], tmp_path / "nowhere" / "evidence.json")


@pytest.mark.parametrize("name", registry.names("claims"))
def test_a_claim_says_what_it_is_about(name):
    """Everything the page and the evidence ask of a claim; its thresholds are fields."""
    cls = registry.get("claims", name)
    for method in cls.about:
        family, _, short = method.rpartition(".")
        assert short in registry.names(family)
    assert cls.testbed in registry.names("testbeds") and cls.paper.startswith("arXiv:")
    assert cls().seeds and "frozen before the run" in " ".join(cls.__doc__.split()).lower()


def test_the_digest_sees_code_and_not_words():
    one, other = ast.parse('"""Doc."""\nx = 1  # one\n'), ast.parse("x = 1")
    assert code_of(one) == code_of(other) != code_of(ast.parse("x = 2"))


def test_the_digest_follows_imports(monkeypatch, tmp_path):
    """A package of two files: changing the one that is imported changes the digest of the other."""
    from rasura.claims import _source

    (tmp_path / "a.py").write_text("from .b import f\n")
    (tmp_path / "b.py").write_text("def f(): return 1\n")
    monkeypatch.setattr(_source, "ROOT", tmp_path)

    def fresh() -> str:
        code_digest.cache_clear()
        _source._read.cache_clear()
        return code_digest("rasura.a")

    before = fresh()
    (tmp_path / "b.py").write_text('def f():\n    "says more"\n    return 1\n')
    assert fresh() == before
    (tmp_path / "b.py").write_text("def f(): return 2\n")
    assert fresh() != before
    code_digest.cache_clear()
    _source._read.cache_clear()
