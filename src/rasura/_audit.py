"""The verb ``audit``: which signals tell members from non-members, and with what certainty.

One pass per distinct ask, then pure arithmetic (many records are worked off in windows, see ``_answers``). The blind baseline, which never sees the model, always runs: if it
separates the two sides, membership numbers above chance may be a difference between the texts, and the first line of
the record says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ._answers import Answers, answered
from ._audit_verdict import concluded, warnings
from ._cards import model_cards, notes, population, run_card, used
from ._costs import cost_of, planned
from ._decisions import decide
from ._guided import unguided
from ._inputs import as_model, as_samples, check_vocabulary, choose, named, possible, same_kind
from ._pools import Pools, pools, prefixed
from .core import registry
from .core.errors import BadInput
from .core.records import Audit, BlindBaseline, DoseRow, Explanation, SignalResult, Skipped
from .core.types import Estimate, Samples
from .data.masking import mask
from .data.pictures import pixels
from .observations._engine import Engine
from .stats import blind, calibration, multiplicity, one_run, roc

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05)
LEVEL = 0.95
EXPLAINED = 8  # records whose words are shown
BLIND_SIDE = 16  # pixels: what the blind baseline sees of a picture


@dataclass(frozen=True)
class Scores:
    """One signal's scores on both sides; NaN where it could not score, or learned from the record."""

    members: np.ndarray
    nonmembers: np.ndarray
    held_back: int = 0  # records it learned from


@dataclass(frozen=True)
class Options:
    """What an audit may be told besides models and records.

    ``models``: further models by role (base, masked, reference_2, shadow_1, ...). ``known``: further members and non-members whose truth signals that learn are told (without them, half of either
    side). ``prefixes``: unseen texts to put in front of records (without them, some of the non-members).
    ``shadows``: role of a shadow model -> ids of the records it was trained on. ``decide_by``: the signal that
    gives the verdict per text (empty: the plain loss), with ``false_discovery_rate``. ``coin_flips``: each member was
    put in once by a fair coin of its own, as planted canaries are: only then an epsilon can be bounded.
    """

    models: Mapping[str, Any] = field(default_factory=dict)
    known: tuple[Any, Any] = (Samples(), Samples())
    prefixes: Any = Samples()
    shadows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    decide_by: str = ""
    false_discovery_rate: float = 0.05
    coin_flips: bool = False
    truncate: bool = False


def audit(
    model: Any,
    members: Any,
    nonmembers: Any,
    *,
    reference: Any = None,
    signals: Sequence[Any] | None = None,
    options: Options = Options(),
    engine: Engine | None = None,
    seed: int = 0,
) -> Audit:
    """Score members and non-members under every signal and say what can be concluded.

    ``model``, ``reference`` (a comparable model that did not see the members): handle, folder or hub id.
    ``members``, ``nonmembers``: Samples, texts or a file. ``signals``: names or instances; None runs all that the
    given models allow and lists the rest as skipped with what would enable them.
    Raises BadInput (overlap, too few records, too long records), NeedsRole (a named signal lacks its model).
    """
    engine = engine or Engine()
    roles = _roles(model, reference, options)
    run, skipped, found = _prepared(roles, members, nonmembers, signals, options, engine, seed)
    answers = answered(run, roles, found.everyone, engine, asked_for=named(signals))
    scored, more = _scored(run, answers, found, named(signals), seed)
    baseline = _blind(found.members, found.nonmembers, seed=seed)
    results = [_sober(r) if baseline.separates else r for r in _results(scored, found, options, seed)]
    leaks, verdict = concluded(results, baseline, len(found.members), len(found.nonmembers))
    return Audit(
        verdict=verdict,
        leaks=leaks,
        models=model_cards(roles),
        populations=_populations(found, answers.reasons),
        blind=baseline,
        signals=tuple(results),
        skipped=(*skipped, *more),
        warnings=(*notes(roles), *warnings(results, baseline, (found.members, found.nonmembers))),
        run=run_card("rasura audit", seed),
        explanations=tuple(
            e for signal in scored for e in _explanations(signal, scored[signal], roles, found.members, engine)
        ),
        costs=planned(scored, len(found.everyone)),
        decisions=None
        if baseline.separates
        else decide(scored, found.members, found.nonmembers, options.false_discovery_rate, options.decide_by, seed),
    )


def _roles(model: Any, reference: Any, options: Options) -> dict[str, Any]:
    given = {} if reference is None else {"reference": reference}
    return {role: as_model(m) for role, m in {"target": model, **given, **options.models}.items()}


def _prepared(
    roles: Mapping[str, Any],
    members: Any,
    nonmembers: Any,
    signals: Sequence[Any] | None,
    options: Options,
    engine: Engine,
    seed: int,
) -> tuple[list[Any], list[Skipped], Pools]:
    """Signals that can run, those that cannot and why, and records that fit the models in disjoint pools."""
    kind = same_kind(roles)
    sides = [as_samples(members, "members", 2), as_samples(nonmembers, "nonmembers", 2)]
    more = [as_samples(side, "known records", 0) for side in (*options.known, options.prefixes)]
    sides = [_fitting(roles, side, options.truncate) for side in (*sides, *more)]
    found = pools(sides[0], sides[1], (sides[2], sides[3]), sides[4], options.shadows)
    chosen = [
        s.with_shadows(list(roles)) if hasattr(s, "with_shadows") and options.shadows else s
        for s in choose("signals", signals, kind)
    ]
    run, skipped = possible(chosen, roles, asked_for=named(signals))
    run, skipped = _answerable(run, skipped, roles, named(signals))
    check_vocabulary(run, roles)
    run, found, missing = prefixed(run, found, seed, asked_for=named(signals))
    skipped += missing
    if kind == "images":
        run, unguided_ones = _guidable(run, roles, found.everyone, engine, asked_for=named(signals))
        skipped += unguided_ones
    return run, skipped, found


def _answerable(
    run: Sequence[Any], skipped: Sequence[Skipped], roles: Mapping[str, Any], asked_for: bool
) -> tuple[list[Any], list[Skipped]]:
    """Signals every model can answer: one that a server runs says what it cannot do by ``can_answer``."""
    dumb = [
        s for s in run if any(not getattr(roles[a.role], "can_answer", lambda _: True)(a) for a in s.needs().values())
    ]
    why = "needs the model itself, not only the log-probabilities its server gives: load it without --backend vllm"
    if dumb and asked_for:
        raise BadInput(f"{registry.name_of(dumb[0])} {why}")
    return [s for s in run if s not in dumb], [*skipped, *(Skipped(registry.name_of(s), why) for s in dumb)]


def plan(model: Any, members: Any, nonmembers: Any, **arguments: Any) -> tuple[Any, ...]:
    """The bill of an audit with the same arguments, before any pass has run: one ``Cost`` a distinct question."""
    engine = arguments.get("engine") or Engine()
    options = arguments.get("options", Options())
    roles = _roles(model, arguments.get("reference"), options)
    signals, seed = arguments.get("signals"), arguments.get("seed", 0)
    run, _, found = _prepared(roles, members, nonmembers, signals, options, engine, seed)
    return planned(run, len(found.everyone))


def _scored(
    run: Sequence[Any], answers: Answers, found: Pools, asked_for: bool, seed: int
) -> tuple[dict[Any, Scores], list[Skipped]]:
    """Both sides' scores of each signal. What fails on these records is skipped, unless it was named."""
    scored: dict[Any, Scores] = {}
    skipped: list[Skipped] = []
    for signal in run:
        try:
            scores = _scores(signal, answers, found, seed)
            if asked_for or np.isfinite(np.concatenate([scores.members, scores.nonmembers])).any():
                scored[signal] = scores
            else:
                skipped.append(Skipped(registry.name_of(signal), answers.why_not(signal)))
        except BadInput as error:  # such as noise too small to move this model, or too few records to learn from
            if asked_for:
                raise
            skipped.append(Skipped(registry.name_of(signal), str(error)))
    return scored, skipped


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


def _scores(signal: Any, answers: Answers, found: Pools, seed: int) -> Scores:
    m, n = len(found.members), len(found.nonmembers)
    if not hasattr(signal, "learns"):
        values = answers.scores(signal)
        return Scores(values[:m], values[m : m + n])
    known, told = found.told(signal.learns, seed)
    values = np.array(signal.score(known, **answers.of(signal)), dtype=np.float64)
    values[told] = np.nan
    return Scores(values[:m], values[m : m + n], int(np.sum(told < m + n)))


def _blind(members: Samples, nonmembers: Samples, seed: int) -> BlindBaseline:
    found = blind.blind_baseline(members.texts, nonmembers.texts, seed=seed, pixels=_pixels(members, nonmembers))
    return BlindBaseline(found.auc, found.separates, dict(found.per_feature_set), found.note)


def _pixels(*sides: Samples) -> tuple[np.ndarray, ...] | None:
    """Small versions of all pictures, one row a record; None unless every record has one."""
    if not all(s.picture for side in sides for s in side):
        return None
    return tuple(np.stack([pixels(s, BLIND_SIDE).ravel() for s in side]) for side in sides)


def _results(scored: Mapping[Any, Scores], found: Pools, options: Options, seed: int) -> list[SignalResult]:
    """Everything about each signal; p values corrected over all of them."""
    p_holm = multiplicity.holm([roc.auc_p_value(s.members, s.nonmembers) for s in scored.values()])
    plain = next((s for signal, s in scored.items() if getattr(signal, "baseline", False)), None)
    over = {signal: _over(s, plain) for signal, s in scored.items()}
    p_over = multiplicity.holm([difference.p_value if difference else np.nan for difference in over.values()])
    return [
        replace(
            _result(signal, scores, found.members, float(p_holm[i]), over[signal], float(p_over[i]), seed),
            epsilon=_epsilon(scores, len(scored)) if options.coin_flips else None,
        )
        for i, (signal, scores) in enumerate(scored.items())
    ]


def _epsilon(scores: Scores, signals: int) -> Estimate:
    """A lower bound on the privacy loss that stays valid when the largest over all signals is read."""
    return one_run.one_run(scores.members, scores.nonmembers, level=1 - (1 - LEVEL) / signals).epsilon


def _sober(result: SignalResult) -> SignalResult:
    """Without what only holds for records drawn alike: one p value for all of them, a bound on the privacy loss."""
    return replace(result, collection_p=math.nan, epsilon=None)


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
        unscorable=int(np.isnan(scores.members).sum() + np.isnan(scores.nonmembers).sum()) - scores.held_back,
        roc=tuple(tuple(float(x) for x in axis) for axis in curve),  # type: ignore[arg-type]
        doses=_doses(scores, members),
        forward=cost_of(signal)[0],
        backward=cost_of(signal)[1],
        collection_p=_collection_p(signal, scores),
        held_back=scores.held_back,
    )


def _collection_p(signal: Any, scores: Scores) -> float:
    """One p value for all judged members together, where the signal is made for that."""
    if not hasattr(signal, "collection_p_value"):
        return math.nan
    return float(
        signal.collection_p_value(
            scores.members[np.isfinite(scores.members)], scores.nonmembers[np.isfinite(scores.nonmembers)]
        )
    )


def _doses(scores: Scores, members: Samples) -> tuple[DoseRow, ...]:
    """AUC of the members seen d times an epoch against all non-members, where copies are known."""
    levels = sorted({s.repeats for s in members if s.repeats is not None})
    if len(levels) < 2:
        return ()
    repeats = np.array([-1 if s.repeats is None else s.repeats for s in members])
    return tuple(DoseRow(d, roc.auc_estimate(scores.members[repeats == d], scores.nonmembers)) for d in levels)


def _populations(found: Pools, reasons: Sequence[str]) -> tuple[Any, ...]:
    """Who was judged and who was only learned from; reasons are those of the plainest pass."""
    m, n = len(found.members), len(found.nonmembers)
    judged = (
        population("members", found.members, reasons[:m]),
        population("nonmembers", found.nonmembers, reasons[m : m + n]),
    )
    others = {
        "known members": found.known_members,
        "known nonmembers": found.known_nonmembers,
        "prefixes": found.prefixes,
    }
    return (*judged, *(population(name, side) for name, side in others.items() if side))
