"""What stands where: the verdict first, every state of the loop, the same bytes again."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rasura.core.errors import BadInput
from rasura.core.records import BlindBaseline
from rasura.core.types import Estimate
from rasura.report import render

ROOT = Path(__file__).parent.parent.parent


def test_the_same_records_give_the_same_bytes(everything, page):
    assert render(everything) == page


def test_another_process_gives_the_same_bytes(everything, page):
    code = (
        "import sys, hashlib; sys.path[:0] = ['src', 'tests/report']\n"
        "import _records\nfrom rasura.report import render\n"
        "print(hashlib.sha256(render(_records.everything()).encode()).hexdigest())"
    )
    import hashlib

    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": "77", "PATH": "", "HOME": "/nonexistent", "MPLCONFIGDIR": "/tmp"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert out.stdout.strip() == hashlib.sha256(page.encode()).hexdigest()


def test_the_order_between_kinds_does_not_matter(everything, page):
    assert render(everything[::-1]) == page


def test_rendering_is_quick(everything, page):
    start = time.process_time()
    render(everything)
    assert time.process_time() - start < 3


def test_verdict_before_figures_before_sections(page, seen):
    text = seen(page).text
    order = ["Does it leak?", "What was erased?", "Did it stay erased?", "Membership, AUC", "How many members are found", "What was not tested", "How to run it again", "Words used here"]  # fmt: skip
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)


def test_a_shifted_comparison_is_the_first_line(made, seen):
    blind = BlindBaseline(Estimate(0.83, 0.79, 0.87, 672, "AUC"), True)
    view = seen(render([made.audit(blind=blind)]))
    main = view.text.partition("verify : did not run")[2].strip()
    assert main.startswith("\u25b2 Members can be told from non-members without the model")
    assert "0.83 [0.79, 0.87], n=672" in main[:300]
    assert "not resolvable" in main.partition("Does it leak?")[2][:40]
    assert "without the model" not in seen(render([made.audit()])).text


def test_extraction_stands_although_the_sets_differ(made, seen):
    blind = BlindBaseline(Estimate(0.83, 0.79, 0.87, 672, "AUC"), True)
    text = seen(render([made.audit(blind=blind), made.extraction()])).text
    assert text.partition("Does it leak?")[2].strip().startswith("it leaks")


@pytest.mark.parametrize("kind", ["audit", "extraction", "erasure", "verification", "claim"])
def test_each_record_alone(made, seen, estimates_in, kind):
    record = getattr(made, kind)()
    view = seen(render([record]))
    assert {e.value for e in estimates_in([record]) if e.known} <= {found[0] for found, _ in view.estimates}
    missing = {
        "audit": "No erasure is among the records.",
        "verification": "No audit and no extraction",
        "erasure": "The erasure was not verified.",
    }
    assert missing.get(kind, "") in view.text


def test_the_loop_shows_what_ran(made, seen):
    text = seen(render([made.audit(), made.erasure()])).text
    strip = text.partition("Rasura")[2].partition("Memory report")[0]
    assert [
        f"{step} : {state}" in strip
        for step, state in [("audit", "ran"), ("extract", "did not run"), ("erase", "ran"), ("verify", "did not run")]
    ] == [True] * 4


def test_a_verdict_its_numbers_dispute(made, seen):
    text = seen(
        render([made.verification(erased=True, verdict="Indistinguishable from a model trained without them.")])
    ).text
    assert "Disputed by its own numbers." in text and "relearn brings back more than the floor" in text
    assert text.partition("Did it stay erased?")[2].strip().startswith("recoverable")


def test_attacks_that_agree_with_the_floor_leave_the_verdict(made, seen):
    record = made.verification()
    same = {
        "before": record.attacks[0].values["before"],
        "after": Estimate(0.0, 0.0, 0.08, 42, "share"),
        "retrained": Estimate(0.0, 0.0, 0.08, 42, "share"),
    }
    quiet = tuple(
        dataclasses.replace(a, values=same, gain=Estimate(0.0, -0.05, 0.05, 42, "share")) for a in record.attacks
    )
    text = seen(
        render([made.verification(erased=True, verdict="Not recovered.", attacks=quiet, metrics=record.metrics[:2])])
    ).text
    assert "Disputed" not in text
    assert text.partition("Did it stay erased?")[2].strip().startswith("not found again")
    assert "Indistinguishable from a model trained without the records" in text and "relearn (20 steps)" in text


def test_an_attack_with_its_own_level_is_no_recovery(page, seen):
    text = seen(page).text
    figure = text.partition("Brought back by attack")[2][:200]
    assert "relearn, strongest of 4 attacks" in figure and "checkpoint_difference" not in figure
    assert "Still recoverable by relearn." in text
    assert "shows something else than records brought back" in text


def test_key_figures(page, seen):
    first = seen(page).text.partition("Membership Can")[0]
    assert "reference_ratio, best of 10 signals" in first and "of records seen 64\u00d7 an epoch, by greedy" in first
    assert "verbatim_recall on forget; lower is better" in first and "mean_loss on held-out; lower is better" in first


def test_forty_signals_with_long_names(made, seen):
    names = [f"signal_{i}_" + "with_a_name_of_some_length_" * 5 for i in range(40)]
    record = made.audit({name: tuple(s * (1 - i / 45) for s in made.SHIFTS["loss"]) for i, name in enumerate(names)})
    text = seen(render([record])).text
    assert all(name[:160] in text for name in names) and "36 more" in text and "best of 40 signals" in text


def test_nothing_known(made, seen):
    unknown = Estimate(math.nan, math.nan, math.nan, 0, "AUC", note="not resolvable with 0 records")
    audit = made.audit()
    signals = tuple(
        dataclasses.replace(s, auc=unknown, tpr={"0.01": unknown}, over_loss=None, decision_fpr=None, decision_tpr=None, p_value=math.nan, p_holm=math.nan, roc=((), ()), doses=())
        for s in audit.signals
    )  # fmt: skip
    blank = made.audit(signals=signals, blind=BlindBaseline(unknown, False), verdict="", leaks=False, populations=())
    rows = tuple(dataclasses.replace(r, values=dict.fromkeys(r.values, unknown)) for r in made.verification().metrics)
    text = seen(render([blank, made.verification(metrics=rows, attacks=(), erased=None)])).text
    assert text.count("not resolvable with 0 records") > 20 and "No signal told members from non-members" in text


def test_empty_lists(made):
    audit = made.audit(signals=(), skipped=(), warnings=(), models=(), populations=())
    extraction = made.extraction(results=(), examples=(), skipped=())
    erasure = made.erasure(methods=(), transcript=(), models=(), populations=(), warnings=())
    verification = made.verification(metrics=(), attacks=(), skipped=(), warnings=())
    assert "None." in render([audit, extraction, erasure, verification, made.claim(table=())])


def test_several_records_of_a_kind(made, seen):
    other = made.audit(
        verdict="Less can be told after the treatment.", models=(made.target("after", "-npo"),), warnings=("another",)
    )
    view = seen(render([made.audit(), other]))
    assert "Membership 1 of 2" in view.text and "Membership 2 of 2" in view.text and "Less can be told" in view.text


def test_how_to_run_it_again(everything, page, seen):
    text = seen(page).text
    for record in everything[:4]:
        assert record.run.command in text
        assert all(m.fingerprint in text for m in record.models) and all(p.digest in text for p in record.populations)
        assert all(s.why in text for s in getattr(record, "skipped", ())) and all(w in text for w in record.warnings)
    assert "torch 2.13.0" in text and "seed 0" in text


def test_methods_stand_with_settings_and_evidence(page, seen):
    text = seen(page).text
    assert "beta = 0.1" in text and "learning_rate = 0.001" in text and "rasura.signals" not in text
    assert all(
        f"{sign} {word}" in text
        for sign, word in [
            ("\u25cb", "unproven"),
            ("\u25d4", "implemented"),
            ("\u25d1", "matched"),
            ("\u25cf", "reproduced"),
        ]
    )


def test_title(made, seen):
    assert seen(render([made.audit()], title="Audit of the summer release")).text.startswith(
        "Audit of the summer release"
    )
    assert "Memory report: letters-of-the-archive" in seen(render([made.audit()])).text


def test_what_is_no_record_is_refused():
    with pytest.raises(BadInput, match="not of dict"):
        render([{"record": "Audit"}])
    with pytest.raises(BadInput, match="at least one"):
        render([])
