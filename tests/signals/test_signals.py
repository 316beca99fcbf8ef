"""What signals refuse, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import _tiny
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.observations._engine import Engine
from rasura.observations._letters import Letters
from rasura.stats.token_scores import lowest_mean
from signals._named import signal

SOURCE = Path(__file__).parents[2] / "src"


def test_importing_signals_leaves_torch_alone():
    """Scores are recomputed in milliseconds, also where torch is not installed."""
    code = (
        "import sys; from rasura.core import registry\n"
        "signals = [registry.get('signals', name)() for name in registry.fitting('signals', 'text')]\n"
        "assert len(signals) > 0 and all(s.needs() for s in signals)\n"
        "heavy = sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'transformers', 'peft', 'sklearn', 'pandas'})\n"
        "print(heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SOURCE)}, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: signal("min_k", k=0.0), "k is a share"),
        (lambda: signal("min_k", k=1.1), "k is a share"),
        (lambda: signal("min_k_plus_plus", k=float("nan")), "k is a share"),
        (lambda: signal("gradient_norm", order="3"), "order"),
        (lambda: signal("reference", form="quotient"), "form"),
        (lambda: signal("reference", per="word"), "per"),
        (lambda: signal("reference", clamp=0.0), "clamp"),
        (lambda: signal("lowercase", clamp=-1.0), "clamp"),
        (lambda: signal("mope", sigma=-0.1), "sigma"),
        (lambda: signal("mope", pairs=0), "pairs"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(make, word):
    with pytest.raises(BadInput, match=word):
        make()


def test_gradient_norm_of_an_unknown_group_names_what_exists():
    model, samples = _tiny.neox(), Samples.of(_tiny.texts(3, 3))
    engine, by_group = Engine(), signal("gradient_norm", group="no.such.weight")
    data = {name: engine.observe(ask, {"target": model}, samples) for name, ask in by_group.needs().items()}
    with pytest.raises(BadInput, match="gpt_neox.embed_in.weight"):
        by_group.score(**data)


def test_gradient_norm_by_group():
    model, samples = _tiny.neox(), Samples.of(_tiny.texts(3, 3))
    data = Engine().observe(signal("gradient_norm").needs()["gradients"], {"target": model}, samples)
    np.testing.assert_allclose(signal("gradient_norm", "2", "embedding").score(data), -data.input_l2)
    whole = signal("gradient_norm", "2").score(data) ** 2
    names = data.groups[0].split("\n")
    np.testing.assert_allclose(
        whole, sum(signal("gradient_norm", "2", name).score(data) ** 2 for name in names), rtol=1e-6
    )
    dense = signal("gradient_norm", "inf", "attention.dense.weight").score(data)
    np.testing.assert_allclose(
        dense,
        np.minimum(
            *(signal("gradient_norm", "inf", n).score(data) for n in names if n.endswith("attention.dense.weight"))
        ),
    )


def test_signals_share_passes(planted):
    """All default signals over one set: TokenStatistics once per model role, view and noise, gradients once."""
    engine, samples = Engine(), planted.heldout.take(range(6))
    models = {"target": planted.models["target"], "reference": planted.models["reference"]}
    needs = [registry.get("signals", name)().needs().values() for name in registry.fitting("signals", "text")]
    asks = [
        ask
        for asked in needs
        for ask in asked
        if all(a.role in models and not hasattr(a.what, "given") for a in asked)  # what looks at another pass adds it
    ]
    engine.observe_all(asks, models, samples)
    assert len(engine.passes) == len(set(asks)) < len(asks)


def test_letters_survive_the_engine():
    samples = Samples.of(["Anna", "anna", ""])
    data = Engine().observe(signal("lowercase").needs()["letters"], {"target": _tiny.neox()}, samples)
    assert data.capitals.tolist() == [1, 0, 0] and data.characters.tolist() == [4, 4, 0]
    assert Letters().blank("out of memory", 2).capitals.tolist() == [0, 0]


@pytest.mark.parametrize("k", [0.05, 0.2, 0.5, 1.0])
def test_lowest_mean_against_a_sort(k):
    random = np.random.default_rng(0)
    for n in range(1, 40):
        values = random.normal(size=n)
        count = max(1, int(np.floor(round(k * n, 9))))
        assert lowest_mean(values, k) == pytest.approx(np.sort(values)[:count].mean())
    assert np.isnan(lowest_mean(np.zeros(0), k))
