"""Words a finding may not use, and what the page does about them."""

from __future__ import annotations

import pytest

from rasura.core.records import Verification
from rasura.report import _answers, check_wording, render
from rasura.report._wording import CLASSES


@pytest.mark.parametrize(
    ("sentence", "kind", "refused"),
    [
        ("The records were deleted.", "approximate", ["deleted"]),
        ("The model CANNOT produce it, guaranteed.", "approximate", ["cannot", "guaranteed"]),
        ("It can\u2019t come back.", "edit", ["can\u2019t"]),
        ("This proves that it is gone.", "approximate", ["proves", "gone"]),
        (
            "It was completely removed and the model no longer contains it.",
            "edit",
            ["completely removed", "no longer contains"],
        ),
        ("It is 100% safe.", "approximate", ["100%"]),
        ("The records were permanently erased; suppressed.", "suppression", ["permanently", "erased"]),
        ("The data are absent from the model.", "audit", ["absent"]),
        ("The model was retrained; the record is gone.", "exact", ["gone"]),
    ],
)
def test_refuses(sentence, kind, refused):
    found = check_wording(sentence, kind)
    assert list(found.refused) == refused and not found.allowed


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("None of 42 probes recovered it; a rate below 0.07 cannot be excluded.", "approximate"),
        ("This cannot be resolved with 40 non-members.", "audit"),
        (
            "Indistinguishable from a model trained without it, within 0.2 nats, against relearn (20 steps).",
            "approximate",
        ),
        ("Suppressed, still recoverable by relearn.", "suppression"),
        ("Not deleted: a third comes back.", "approximate"),
        ("There is no proof of forgetting.", "approximate"),
        ("For deletion request 17, 42 records were treated.", "approximate"),
        ("Without a retrained model it is not resolvable whether they are gone.", "approximate"),
        ("The released parameters come from a procedure that did not read these records; they were deleted.", "exact"),
        ("The hangoned kangone word is fine.", "approximate"),
    ],
)
def test_allows(sentence, kind):
    assert check_wording(sentence, kind).allowed, str(check_wording(sentence, kind))


def test_suppression_must_be_called_so():
    found = check_wording("The model declines to answer.", "suppression")
    assert found.missing and not found.allowed and "suppressed" in str(found)


def test_unknown_class():
    with pytest.raises(ValueError, match="approximate"):
        check_wording("Anything.", "magic")


@pytest.mark.parametrize("kind", [c for c in CLASSES if c not in ("audit", "exact")])
@pytest.mark.parametrize("outcome", [True, False, None])
@pytest.mark.parametrize("bare", [True, False])
def test_the_fixed_words_pass_their_own_check(made, kind, outcome, bare):
    record: Verification = made.verification(erased=outcome, **({"attacks": (), "metrics": ()} if bare else {}))
    assert check_wording(_answers.fixed_words(record, kind), kind).allowed
    assert check_wording(_answers._fixed_erasure(made.erasure(), kind), kind).allowed


@pytest.mark.parametrize("fixed", [*_answers.FIXED_AUDIT.values(), *_answers.FIXED_EXTRACTION.values()])
def test_the_fixed_findings_pass_their_own_check(fixed):
    assert check_wording(fixed, "audit").allowed


def test_the_page_replaces_what_it_refuses(made, seen):
    boast = "The 42 records were deleted for good and cannot be recovered"
    text = seen(render([made.erasure(verdict=boast), made.verification(verdict=boast)])).text
    assert boast not in text
    assert text.count("Wording refused.") == 2 and "\u201cdeleted\u201d" in text and "\u201ccannot\u201d" in text
    assert "An approximate method was applied to 42 records" in text and "Still recoverable by relearn" in text


def test_the_records_own_sentence_stands_where_it_may(page, seen, everything):
    text = seen(page).text
    assert all(record.verdict in text for record in everything[:4]) and "Wording refused" not in text


def test_suppression_is_labelled(made, seen):
    quiet = made.verification(verdict="Nothing comes back.", attacks=(), metrics=(), erased=True)
    text = seen(render([made.erasure(suppression=True, verdict="A filter was put in front."), quiet])).text
    assert "The content of 42 records was suppressed; it is still in the weights." in text
    assert "Suppressed; still in the weights." in text and "Nothing comes back." not in text
    assert "guard" in text.split("What was erased?")[0]


def test_the_terminal_says_what_each_attack_is_held_against(made):
    """An attack with a floor of its own is not compared with the retrained model, and recovers nothing."""
    from rasura.cli.verify import text

    lines = text(made.verification()).splitlines()
    own = next(line for line in lines if line.startswith("checkpoint_difference  "))
    assert own.endswith("over 0.5") and "after - retrained" not in "\n".join(lines)
    others = [line for line in lines if " over retrained" in line]
    assert others and not any(line.startswith("checkpoint_difference") for line in others)
    assert "checkpoint_difference: shows that records were treated, and brings none back" in lines
