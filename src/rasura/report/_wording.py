"""Which words a finding may use. A test that finds nothing shows that it found nothing, no more.

The rules follow from the definitions: an exact method (training again without the records) may speak about the
procedure; an approximate eraser or an edit only about the outcome of tests; a guard, a refusal or a removable adapter
must be called suppression, because the weights still hold the content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLASSES = ("audit", "exact", "approximate", "edit", "suppression")

PROMISES = r"""
    guarantee[sd]? | guaranteed | guaranteeing | certif(?:y|ies|ied) | impossible | permanent(?:ly)? | irreversibl[ey]
    | forever | never\s+again | foolproof | (?:100|hundred)\s*(?:%|per\s*cent) | no\s+risk | risk[\s-]free | zero\s+risk
    | prove[sdn]? | proving | proof
""".replace("\n", " ")
# "cannot be excluded" states a doubt, "cannot be recovered" claims a certainty: only the first is allowed
CERTAINTY = r"""
    (?:cannot | can\s+not | can\s*['\u2019]\s*t) (?!\s+(?:yet\s+)?be\s+(?:resolved|excluded|ruled\s+out|decided|concluded|shown)\b)
""".replace("\n", " ")
REMOVAL = r"""
    delet(?:e|es|ed|ing|ion(?!\s+request)) | wiped | destroyed | eradicated | expunged | absent | (?<!whether\s they\s are\s)(?<!whether\s it\s is\s) gone
    | (?:completely|fully|totally|entirely|perfectly) \s+ (?:removed|erased|forgotten|unlearned|cleaned)
    | (?:no\s+longer|not|never|n['\u2019]t) \s+ (?:contains?|holds?|knows?|remembers?)
""".replace("\n", " ")

REFUSED = {
    "audit": (PROMISES, CERTAINTY, r"absent"),
    "exact": (PROMISES, CERTAINTY, r"absent | gone"),
    "approximate": (PROMISES, CERTAINTY, REMOVAL),
    "edit": (PROMISES, CERTAINTY, REMOVAL),
    "suppression": (PROMISES, CERTAINTY, REMOVAL, r"erased | unlearned | forgotten | removed"),
}
DENIED = r"(?<!\bnot\s)(?<!\bno\s)"  # "not deleted" and "no proof" claim nothing
LABEL = re.compile(r"\bsuppress(?:ed|es|ion)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Wording:
    """What is wrong with a sentence: words it may not use, and a label it must carry."""

    refused: tuple[str, ...]
    missing: str = ""

    @property
    def allowed(self) -> bool:
        return not self.refused and not self.missing

    def __str__(self) -> str:
        words = ", ".join(f"\u201c{word}\u201d" for word in self.refused)
        parts = [f"it says {words}"] if words else []
        return " and ".join(parts + ([f"it does not say \u201c{self.missing}\u201d"] if self.missing else []))


def check_wording(sentence: str, method_class: str) -> Wording:
    """The words of ``sentence`` that a method of ``method_class`` gives no right to; ``allowed`` if there are none.

    ``method_class``: "audit" (a finding about memory, nothing was changed), "exact" (trained again without the
    records), "approximate" (fine-tuning, pruning), "edit" (weights changed in closed form) or "suppression" (guard,
    refusal, removable adapter). ValueError for another class. Case does not matter; every occurrence is named once.

    >>> str(check_wording("The record was deleted and cannot come back.", "approximate"))
    'it says \u201cdeleted\u201d, \u201ccannot\u201d'
    >>> check_wording("None of 40 probes recovered it; a rate below 0.07 cannot be excluded.", "approximate").allowed
    True
    >>> str(check_wording("The filter hides the record.", "suppression"))
    'it does not say \u201csuppressed\u201d'
    """
    if method_class not in REFUSED:
        raise ValueError(f"method_class must be one of {', '.join(CLASSES)}, got {method_class!r}")
    words = "|".join(REFUSED[method_class])
    pattern = re.compile(rf"{DENIED}\b(?:{words})(?:\b|(?<=%))", re.IGNORECASE | re.VERBOSE)
    found = dict.fromkeys(" ".join(match.group().lower().split()) for match in pattern.finditer(sentence))
    missing = "suppressed" if method_class == "suppression" and not LABEL.search(sentence) else ""
    return Wording(tuple(found), missing)
