"""The analysis ``windows``: at which noise level each attribute of a picture is decided.

Generated pictures are noised to t and denoised again, a judge looks at both, and the share of pictures that keep an
attribute is read against t. The same reading is checked on a Gaussian mixture whose windows are known in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._cards import model_cards, population, run_card
from ._inputs import as_model, as_samples
from ._pictures import COLUMNS, png, spread
from .core.errors import BadInput, WrongModality
from .core.records import Grid, GridRow, WindowRow, Windows
from .core.types import Ask, Estimate, Samples
from .observations._engine import Engine
from .observations.redrawn_images import RedrawnImages
from .stats import windows as theory
from .stats.intervals import proportion

LEVEL = 0.05  # of the way: where a window begins and ends
RESAMPLES = 500
TOLERANCE = 0.1  # e of the closed form


def windows(model: Any, prompts: Any, judge: Any, *, engine: Engine | None = None, seed: int = 0) -> Windows:
    """When each attribute the judge knows is decided, with bootstrap intervals over prompts.

    Raises BadInput (no judge, fewer than 8 prompts), WrongModality (a language model).
    """
    engine, target = engine or Engine(), as_model(model)
    if target.modality != "images":
        raise WrongModality("windows are about text-to-image models; this is a language model")
    if judge is None:
        raise BadInput("windows need a judge that says what a picture shows: pass --judge")
    samples = target.fit(as_samples(prompts, "prompts", 8))
    what = RedrawnImages(seed=seed)
    drawn = engine.observe(Ask(what), {"target": target}, samples)
    usable = [i for i in range(len(samples)) if len(drawn.pictures(i))]
    if len(usable) < 8:
        raise BadInput(f"windows: only {len(usable)} of {len(samples)} pictures could be drawn ({drawn.reason[0]})")
    times = tuple(target.schedule.timesteps(what.steps)[i] for i in what.at)
    seen = _seen(judge, np.stack([drawn.pictures(i) for i in usable]))
    rows = tuple(_row(a, said, times, np.random.default_rng([seed, 7])) for a, said in seen.items())
    return Windows(
        verdict=_verdict(rows, len(usable)),
        models=model_cards({"target": target}),
        populations=(population("prompts", samples, list(drawn.reason)),),
        times=times,
        rows=tuple(sorted(rows, key=lambda r: -r.half.value if r.half.known else 1)),
        theory=gaussian_check(seed),
        grids=(_grid(samples.take(usable), np.stack([drawn.pictures(i) for i in usable]), times),),
        warnings=(),
        run=run_card("rasura audit --windows", seed),
    )


def _seen(judge: Any, pictures: np.ndarray) -> Mapping[str, np.ndarray]:
    """What the judge calls every picture, by attribute: (n, 1 + draws) class indices."""
    import torch

    n, k = pictures.shape[:2]
    shown = torch.from_numpy(pictures.reshape(n * k, *pictures.shape[2:])).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        found = judge.probabilities(shown.to(judge.device))
    return {a: p.argmax(-1).cpu().numpy().reshape(n, k) for a, p in found.items()}


def _row(attribute: str, said: np.ndarray, times: tuple[int, ...], rng: np.random.Generator) -> WindowRow:
    same = (said[:, 1:] == said[:, :1]).astype(np.float64)
    chance = _chance(said)
    share = same.mean(axis=0)
    kept = tuple(proportion(float(column.sum()), len(column), "share of pictures") for column in same.T)
    best = float(share.max())
    starts = theory.crossing(times, share, best - LEVEL)
    ends = theory.crossing(times, share, min(chance + LEVEL, best))
    return WindowRow(attribute, kept, chance, starts, ends, _half(said, times, rng))


def _chance(said: np.ndarray) -> float:
    """How often the re-draw from pure noise of one picture would be called what another picture is."""
    first, redrawn = said[:, 0], said[:, 1]
    return float(np.mean([np.mean(np.delete(redrawn, i) == first[i]) for i in range(len(first))]))


def _half(said: np.ndarray, times: tuple[int, ...], rng: np.random.Generator) -> Estimate:
    """t at which the share is half way between chance and its best; percentile bootstrap over pictures."""

    def crossing(rows: np.ndarray) -> float:
        share = (rows[:, 1:] == rows[:, :1]).mean(axis=0)
        return theory.crossing(times, share, (float(share.max()) + _chance(rows)) / 2)

    value = crossing(said)
    drawn = np.array([crossing(said[rng.integers(len(said), size=len(said))]) for _ in range(RESAMPLES)])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(said), "training timestep")


def gaussian_check(seed: int, draws: int = 4000) -> tuple[tuple[str, ...], ...]:
    """Re-draws of a nested Gaussian mixture against its windows in closed form: inside them the measured total
    variation to "undecided within the set, decided outside" is at most the tolerance, well outside it is not."""
    rng = np.random.default_rng([seed, 11])
    means = theory.nested_mixture(rng)
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)
    table = [("components left open", "window of T", "T", "total variation, measured", "inside the window")]
    for level in (1, 2):
        end = np.flatnonzero(np.arange(len(means)) >> level == 0)
        outside = np.setdiff1d(np.arange(len(means)), end)
        low, high = theory.window(apart[0, end].max(), apart[0, outside].min(), TOLERANCE)
        goal = np.isin(np.arange(len(means)), end) / len(end)
        for time in (max(0.0, low - 1.5), low, (low + high) / 2, high, high + 1.5):
            found = theory.redraw_components(means, [0], time, draws, rng)
            inside = "yes" if low <= time <= high else "no"
            distance = theory.total_variation(found, goal)
            table.append((str(len(end)), f"{low:.2f} to {high:.2f}", f"{time:.2f}", f"{distance:.3f}", inside))
    return tuple(table)


def _verdict(rows: tuple[WindowRow, ...], n: int) -> str:
    known = sorted((r for r in rows if r.half.known), key=lambda r: -r.half.value)
    if not known:
        return f"No attribute of {n} pictures changed with the noise level: no window can be read."
    order = ", then ".join(f"{r.attribute} (t {r.half.value:.0f} [{r.half.low:.0f}, {r.half.high:.0f}])" for r in known)
    clear = all(a.half.low > b.half.high for a, b in zip(known, known[1:], strict=False))
    words = "the order is clear" if clear else "some intervals overlap, so not every step of this order is resolved"
    return f"From noise to picture, {n} pictures decide {order}; {words}."


def _grid(samples: Samples, pictures: np.ndarray, times: tuple[int, ...]) -> Grid:
    """A picture a column, a noise level a row."""
    chosen = [samples.ids.index(s.id) for s in spread(samples, COLUMNS)]
    labels = ["as drawn", *(f"noised to t = {t}" for t in times)]
    rows = tuple(GridRow(label, tuple(png(pictures[i, k]) for i in chosen)) for k, label in enumerate(labels))
    return Grid("Noised and denoised again", rows, tuple(samples[i].text for i in chosen))
