"""The verb ``audit``: which signals tell members from non-members, and with what certainty.

One pass per distinct ask, then pure arithmetic. The blind baseline, which never sees the model, always runs: if it
separates the two sides, membership numbers above chance may be a difference between the texts, and the first line of
the record says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._cards import model_cards, notes, population, run_card, unproven, used
from ._guided import unguided
from ._inputs import as_model, as_samples, check_vocabulary, choose, named, possible, same_kind
from .core import registry
from .core.errors import BadInput
from .core.records import Audit, BlindBaseline, DoseRow, Explanation, SignalResult, Skipped
from .core.types import Ask, Estimate, Samples
from .data.checks import check_disjoint
from .data.masking import mask
from .data.pictures import pixels
from .observations._engine import Engine
from .stats import blind, calibration, multiplicity, roc

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05)
ALPHA = 0.05  # family-wise, after Holm's correction
EXPLAINED = 8  # records whose words are shown
BLIND_SIDE = 16  # pixels: what the blind baseline sees of a picture


@dataclass(frozen=True)
class Scores:
    """One signal's scores on both sides."""

    members: np.ndarray
    nonmembers: np.ndarray


def audit(
    model: Any,
    members: Any,
    nonmembers: Any,
    *,
    reference: Any = None,
    signals: Sequence[Any] | None = None,
    truncate: bool = False,
    engine: Engine | None = None,
    seed: int = 0,
) -> Audit:
    """Score members and non-members under every signal and say what can be concluded.

    ``model``, ``reference``: handle, folder or hub id. ``members``, ``nonmembers``: Samples, texts or a file.
    ``signals``: names or instances; None runs all that the given models allow and lists the rest as skipped.
    ``truncate``: cut records to the model's context instead of refusing them.
    Raises BadInput (overlap, too few records, too long records), NeedsRole (a named signal lacks its model).
    """
    engine = engine or Engine()
    models = {"target": as_model(model)} | ({"reference": as_model(reference)} if reference is not None else {})
    sides = [as_samples(members, "members", 2), as_samples(nonmembers, "nonmembers", 2)]
    check_disjoint(*sides)
    sides = [_fitting(models, side, truncate) for side in sides]
    kind = same_kind(models)
    run, skipped = possible(choose("signals", signals, kind), models, asked_for=named(signals))
    check_vocabulary(run, models)
    everyone = Samples([*sides[0], *sides[1]])
    if kind == "images":
        run, more = _guidable(run, models, everyone, engine, asked_for=named(signals))
        skipped += more
    asks = [ask for signal in run for ask in signal.needs().values()]
    observed = engine.observe_all(asks, models, everyone)
    scored: dict[Any, Scores] = {}
    for signal in run:
        try:
            scored[signal] = _scores(signal, observed, len(sides[0]))
        except BadInput as error:  # such as noise too small to move this model
            if named(signals):
                raise
            skipped.append(Skipped(registry.name_of(signal), str(error)))
    baseline = _blind(*sides, seed=seed)
    results = _results(scored, sides[0], seed)
    leaks, verdict = _verdict(results, baseline, len(sides[0]), len(sides[1]))
    return Audit(
        verdict=verdict,
        leaks=leaks,
        models=model_cards(models),
        populations=_populations(sides, observed),
        blind=baseline,
        signals=tuple(results),
        skipped=tuple(skipped),
        warnings=(*notes(models), *_warnings(results, baseline, sides)),
        run=run_card("rasura audit", seed),
        explanations=tuple(
            e for signal in scored for e in _explanations(signal, scored[signal], models, sides[0], engine)
        ),
    )


def _guidable(
    run: Sequence[Any], models: Mapping[str, Any], samples: Samples, engine: Engine, asked_for: bool
) -> tuple[list[Any], list[Skipped]]:
    """Signals that read guidance are left out where the model was never trained without captions."""
    guided = [signal for signal in run if getattr(signal, "needs_unconditional", False)]
    why = unguided(models, samples, engine) if guided else ""
    if why and asked_for:
        raise BadInput(f"{registry.name_of(guided[0])}: {why}")
    return [s for s in run if not (why and s in guided)], [Skipped(registry.name_of(s), why) for s in guided if why]


def _explanations(
    signal: Any, scores: Scores, models: Mapping[str, Any], members: Samples, engine: Engine
) -> list[Explanation]:
    """For a signal that can say so, which words its highest scores come from; words are masked as all personal data."""
    if not hasattr(signal, "explains") or not np.isfinite(scores.members).any():
        return []
    order = np.argsort(-np.nan_to_num(scores.members, nan=-np.inf), kind="stable")[:EXPLAINED]
    top = members.take(i for i in order if np.isfinite(scores.members[i]))
    data = engine.observe(signal.explains(), models, top)
    found = []
    for i, sample in enumerate(top):
        pairs = data.pairs(i)
        whole = sum(weight for _, weight in pairs) or 1.0
        words = tuple(mask(word) for word, _ in pairs)
        score = float(scores.members[order[i]])
        found.append(Explanation(sample.id, registry.name_of(signal), score, words, tuple(w / whole for _, w in pairs)))
    return found


def _fitting(models: Mapping[str, Any], samples: Samples, truncate: bool) -> Samples:
    for model in models.values():
        samples = model.fit(samples, truncate=truncate)
    return samples


def _scores(signal: Any, observed: Mapping[Ask, Any], members: int) -> Scores:
    values = np.asarray(signal.score(**{key: observed[ask] for key, ask in signal.needs().items()}), dtype=np.float64)
    return Scores(values[:members], values[members:])


def _blind(members: Samples, nonmembers: Samples, seed: int) -> BlindBaseline:
    found = blind.blind_baseline(members.texts, nonmembers.texts, seed=seed, pixels=_pixels(members, nonmembers))
    return BlindBaseline(found.auc, found.separates, dict(found.per_feature_set), found.note)


def _pixels(*sides: Samples) -> tuple[np.ndarray, ...] | None:
    """Small versions of all pictures, one row a record; None unless every record has one."""
    if not all(s.picture for side in sides for s in side):
        return None
    return tuple(np.stack([pixels(s, BLIND_SIDE).ravel() for s in side]) for side in sides)


def _results(scored: Mapping[Any, Scores], members: Samples, seed: int) -> list[SignalResult]:
    """Everything about each signal; p values corrected over all of them."""
    p_holm = multiplicity.holm([roc.auc_p_value(s.members, s.nonmembers) for s in scored.values()])
    plain = next((s for signal, s in scored.items() if getattr(signal, "baseline", False)), None)
    over = {signal: _over(s, plain) for signal, s in scored.items()}
    p_over = multiplicity.holm([difference.p_value if difference else np.nan for difference in over.values()])
    return [
        _result(signal, scores, members, float(p_holm[i]), over[signal], float(p_over[i]), seed)
        for i, (signal, scores) in enumerate(scored.items())
    ]


def _over(scores: Scores, plain: Scores | None) -> Any:
    if plain is None or plain is scores:
        return None
    return roc.auc_difference(scores.members, scores.nonmembers, plain.members, plain.nonmembers)


def _result(
    signal: Any, scores: Scores, members: Samples, p_holm: float, over: Any, p_over: float, seed: int
) -> SignalResult:
    decision = calibration.held_out_decision(scores.members, scores.nonmembers, seed=seed)
    curve = roc.roc_curve(scores.members, scores.nonmembers)
    return SignalResult(
        method=used("signals", signal),
        auc=roc.auc_estimate(scores.members, scores.nonmembers),
        tpr={str(rate): roc.tpr_at_fpr(scores.members, scores.nonmembers, rate) for rate in FALSE_POSITIVE_RATES},
        p_value=roc.auc_p_value(scores.members, scores.nonmembers),
        p_holm=p_holm,
        over_loss=over.estimate if over else None,
        p_over_loss=p_over,
        decision_fpr=decision.false_positive_rate,
        decision_tpr=decision.true_positive_rate,
        unscorable=int(np.isnan(scores.members).sum() + np.isnan(scores.nonmembers).sum()),
        roc=tuple(tuple(float(x) for x in axis) for axis in curve),  # type: ignore[arg-type]
        doses=_doses(scores, members),
    )


def _doses(scores: Scores, members: Samples) -> tuple[DoseRow, ...]:
    """AUC of the members seen d times an epoch against all non-members, where copies are known."""
    levels = sorted({s.repeats for s in members if s.repeats is not None})
    if len(levels) < 2:
        return ()
    repeats = np.array([-1 if s.repeats is None else s.repeats for s in members])
    return tuple(DoseRow(d, roc.auc_estimate(scores.members[repeats == d], scores.nonmembers)) for d in levels)


def _populations(sides: Sequence[Samples], observed: Mapping[Ask, Any]) -> tuple[Any, ...]:
    reasons = next((data.reason for data in observed.values() if hasattr(data, "reason")), [""] * sum(map(len, sides)))
    cut = len(sides[0])
    return population("members", sides[0], list(reasons[:cut])), population("nonmembers", sides[1], list(reasons[cut:]))


def best(results: Sequence[SignalResult]) -> SignalResult | None:
    """The signal with the highest lower bound of its AUC."""
    known = [r for r in results if r.auc.known]
    return max(known, key=lambda r: r.auc.low, default=None)


def _verdict(
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


def _warnings(results: Sequence[SignalResult], baseline: BlindBaseline, sides: Sequence[Samples]) -> tuple[str, ...]:
    lines = [baseline.note] if baseline.note else []
    if min(map(len, sides)) < 30:
        lines.append(
            f"only {min(map(len, sides))} records on the smaller side: intervals are wide, low false-positive rates are out of reach"
        )
    for result in results:
        if result.unscorable:
            lines.append(f"{result.method.name}: {result.unscorable} records could not be scored and took no part")
    return tuple([*lines, *unproven(result.method for result in results)])
