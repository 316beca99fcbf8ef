"""A verdict for every text an audit was asked about, with the share of false ones held down.

One signal decides, named before the run: choosing the best one by its result would spend the guarantee. Half of the
non-members calibrate; the other half are tested among the members, so that false discoveries are not only promised
but counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .core import registry
from .core.errors import BadInput
from .core.records import Decisions, TextVerdict
from .core.types import Samples
from .stats.calibration import split_halves
from .stats.decisions import verdicts
from .stats.intervals import proportion

SHOWN = 50  # texts listed in the record


def decide(
    scored: Mapping[Any, Any], members: Samples, nonmembers: Samples, rate: float, by: str = "", seed: int = 0
) -> Decisions | None:
    """Verdicts by the signal called ``by`` (empty: the plain baseline signal); None when no such signal ran.

    ``scored``: signal -> object with ``members`` and ``nonmembers`` scores. Raises BadInput when ``by`` did not run.
    """
    chosen = [s for s in scored if (registry.name_of(s) == by if by else getattr(s, "baseline", False))]
    if not chosen:
        if by:
            raise BadInput(f"--decide-by {by}: that signal did not run")
        return None
    scores = scored[chosen[0]]
    calibrating, tested = split_halves(len(nonmembers), seed + 2)
    asked = np.concatenate([scores.members, scores.nonmembers[tested]])
    if not np.isfinite(scores.nonmembers[calibrating]).any() or not np.isfinite(scores.members).any():
        return None
    found = verdicts(asked, scores.nonmembers[calibrating], rate)
    truth = np.arange(len(asked)) < len(members)
    samples = Samples([*members, *nonmembers.take(tested)])
    return Decisions(
        signal=registry.name_of(chosen[0]),
        rate=rate,
        calibration=int(np.isfinite(scores.nonmembers[calibrating]).sum()),
        tested=int(np.isfinite(asked).sum()),
        fewest=found.fewest,
        flagged=_share(found.flagged & truth, truth & np.isfinite(asked)),
        false_discoveries=_share(found.flagged & ~truth, found.flagged) if found.flagged.any() else None,
        texts=_listed(samples, found, truth),
    )


def _share(hits: np.ndarray, among: np.ndarray) -> Any:
    return proportion(int(hits.sum()), int(among.sum()), "share", "clopper-pearson")


def _listed(samples: Samples, found: Any, truth: np.ndarray) -> tuple[TextVerdict, ...]:
    order = np.argsort(np.nan_to_num(found.p_value, nan=2.0), kind="stable")[:SHOWN]
    return tuple(
        TextVerdict(
            samples[i].id, float(found.p_value[i]), float(found.adjusted[i]), bool(found.flagged[i]), bool(truth[i])
        )
        for i in order
        if np.isfinite(found.p_value[i])
    )
