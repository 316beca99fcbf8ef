"""What an audit concludes, in one sentence, and what its reader should be warned of."""

from __future__ import annotations

from collections.abc import Sequence

from ._cards import unproven
from .core.errors import BadInput
from .core.records import BlindBaseline, SignalResult
from .core.types import Estimate, Samples

ALPHA = 0.05  # family-wise, after Holm's correction


def best(results: Sequence[SignalResult]) -> SignalResult | None:
    """The signal with the highest lower bound of its AUC."""
    known = [r for r in results if r.auc.known]
    return max(known, key=lambda r: r.auc.low, default=None)


def concluded(
    results: Sequence[SignalResult], baseline: BlindBaseline, members: int, nonmembers: int
) -> tuple[bool, str]:
    top = best(results)
    if top is None:
        raise BadInput("audit: no record could be scored by any signal; see the texts' lengths")
    auc = _in_words(top.auc)
    if baseline.separates:
        return False, (
            "Nothing can be concluded about memory: members and non-members can be told apart without the model "
            f"(blind baseline AUC {_in_words(baseline.auc)}), so the AUC of {auc} of {top.method.name} may be a difference between the texts."
        )
    if top.p_holm < ALPHA:
        return True, (
            f"The model shows which of these records it was trained on: {top.method.name} ranks a member above a non-member "
            f"with probability {auc} ({members} members, {nonmembers} non-members, Holm-corrected p {_p(top.p_holm)})."
        )
    return False, (
        f"No signal told {members} members from {nonmembers} non-members beyond chance; the strongest, {top.method.name}, "
        f"reached an AUC of {auc} (Holm-corrected p {_p(top.p_holm)}). Smaller leaks than this interval would not have been seen."
    )


def _in_words(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def warnings(results: Sequence[SignalResult], baseline: BlindBaseline, sides: Sequence[Samples]) -> tuple[str, ...]:
    lines = [baseline.note] if baseline.note else []
    if min(map(len, sides)) < 30:
        lines.append(
            f"only {min(map(len, sides))} records on the smaller side: intervals are wide, low false-positive rates are out of reach"
        )
    for result in results:
        if result.unscorable:
            lines.append(f"{result.method.name}: {result.unscorable} records could not be scored and took no part")
    return tuple([*lines, *unproven(result.method for result in results)])
