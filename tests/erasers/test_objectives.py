"""What single objectives do besides their formula."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import _tiny
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Request, Sample, Samples
from rasura.erasers.finetune import Finetune
from rasura.training.frozen import Frozen
from rasura.training.loop import Loop, pinned_threads

QUESTION = Sample("q", "Who carried 12 letters? Anna.", start=23)
PASSAGE = Sample("p", "Boris repaired the violin of Greta in 1850 and opened a gate.", secret=30)
RETAIN = Samples.of(["Hugo opened 7 narrow bottles.", "Irene watched a bridge in 1931."])
REQUEST = Request(Samples([QUESTION, PASSAGE]), RETAIN)


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def make(name: str, **settings):
    if name not in registry.names("erasers.objectives"):
        pytest.skip(f"{name} is not installed")
    return registry.make("erasers.objectives", name, settings)


def module(name: str):
    make(name)
    return registry.module_of("erasers.objectives", name)


@pytest.mark.parametrize("name", registry.fitting("erasers.objectives", "text"))
def test_a_recipe_is_the_composite_with_its_objective(name):
    recipe = module(name).recipe()
    assert isinstance(recipe, Finetune) and type(recipe.objective) is type(make(name))
    assert module(name).recipe(steps=7).loop == replace(recipe.loop, steps=7)


@pytest.mark.parametrize("name", registry.fitting("erasers.objectives", "text"))
def test_one_forward_pass_a_step(name, neox):
    """Forget and retain are read together; with the reference cached, one more pass at most (of the frozen model)."""
    calls = {"student": 0, "frozen": 0}
    student, objective = neox.clone(), make(name)
    frozen = Frozen(neox, None, REQUEST)
    objective.loss(student, frozen, REQUEST.forget, RETAIN)  # fills caches
    for key, handle in (("student", student), ("frozen", neox)):
        handle.module.get_input_embeddings().register_forward_hook(
            lambda *_, key=key: calls.update({key: calls[key] + 1})
        )
    objective.loss(student, frozen, REQUEST.forget, RETAIN)
    assert calls["student"] == 1 and calls["frozen"] <= 1


def test_bounded_ascent_leaves_a_record_alone_once_it_is_lost(neox):
    """With the bound between the two losses, only the lower one has a gradient."""
    losses = (-neox.score(REQUEST.forget).sample_means()).tolist()
    bound = sum(losses) / 2
    loss = make("gradient_ascent", maximum_loss=bound).loss(neox, None, REQUEST.forget, Samples())
    assert loss.retain is None and loss.forget.item() == pytest.approx((bound - min(losses)) / 2, rel=1e-4)
    done = make("gradient_ascent", maximum_loss=min(losses) - 0.1).loss(neox, None, REQUEST.forget, Samples()).forget
    done.backward()
    assert done.item() == 0 and all(
        float(p.grad.abs().sum()) == 0 for p in neox.module.parameters() if p.grad is not None
    )


def test_refusals_answer_the_question_and_nothing_of_the_answer_is_left():
    refusal = make("refusal")
    found = {refusal.refuse(QUESTION, draw).text for draw in range(50)}
    assert found == {f"Who carried 12 letters? {s}" for s in refusal.sentences}
    asked = refusal.refuse(QUESTION, 0)
    assert asked.text[: asked.start] == "Who carried 12 letters?" and asked.secret is None
    passage = refusal.refuse(PASSAGE, 3)
    assert passage.text == PASSAGE.text[:30] + " This text is not available."
    single = refusal.refuse(Sample("w", "Hugo"), 0)
    assert (single.text, single.start) == ("This text is not available.", 0)


def test_refusals_are_drawn_by_the_batch_and_not_by_a_process_wide_generator(neox):
    refusal, frozen = make("refusal"), None
    forget, other = Samples([QUESTION]), Samples.of(["Jonas counted 3 candles."])
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        values.append(
            [
                refusal.loss(neox, frozen, forget, r).forget.item()
                for r in (RETAIN, other, RETAIN.take([1, 0]), RETAIN.take([0]))
            ]
        )
    assert values[0] == values[1] and len(set(values[0])) > 1


def test_a_refusal_fits_a_model_that_reads_little():
    model = _tiny.neox()
    model.tokenizer.model_max_length, before = 24, model.tokenizer.model_max_length
    try:
        long = Sample(
            "l",
            " ".join(["Anna opened a window."] * 4) + " Where? In Rome.",
            start=len("Anna opened a window. ") * 4 + 6,
        )
        short = module("refusal").fitted(model, make("refusal").refuse(long, 0))
        assert len(model.encode(short).ids) <= 24 and short.text.endswith("Where? I don't know.")
        assert short.text[short.start :] == " I don't know."
    finally:
        model.tokenizer.model_max_length = before


def test_the_refusal_group_and_the_retain_group_each_count_records(neox):
    """A retained record ten times as long weighs as much as a short one."""
    retain = Samples.of(["Hugo", "Irene watched a bridge in 1931 and opened the gate of Boris with 12 green bottles."])
    with torch.no_grad():
        term = make("refusal", alpha=2.0).loss(neox, None, REQUEST.forget, retain).retain.item()
        alone = [-neox.score(Samples([s])).token_mean().item() for s in retain]
    assert term == pytest.approx(2 * sum(alone) / 2, rel=1e-5)


def test_refusal_is_marked_as_suppression():
    assert make("refusal").suppression is True


@pytest.mark.parametrize(("layers", "layer"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1), (12, 3), (32, 10)])
def test_rmu_takes_the_last_layer_of_the_first_third(layers, layer):
    from types import SimpleNamespace

    assert make("rmu").at(SimpleNamespace(layers=layers)) == layer
    assert make("rmu", layer=5).at(SimpleNamespace(layers=layers)) == 5


def test_rmu_derives_its_strength_once_and_reports_it(neox):
    result = Finetune(make("rmu"), loop=Loop(steps=2)).run(neox, REQUEST)
    with torch.no_grad():
        hidden, scored = neox.hidden_at(REQUEST.forget, 0)
    assert result.derived["rmu layer"] == 0
    assert result.derived["rmu steering"] == pytest.approx(2 * float(hidden[scored].norm(dim=-1).median()), rel=1e-6)


def test_rmu_moves_the_authors_matrices_where_no_selection_is_given():
    model = _tiny.neox(layers=6)
    objective = make("rmu", layer=3)
    after = Finetune(objective, loop=Loop(steps=2)).apply(model, REQUEST)
    moved = {
        n
        for (n, p), q in zip(after.module.named_parameters(), model.module.parameters(), strict=True)
        if not torch.equal(p, q)
    }
    assert moved == {f"gpt_neox.layers.{i}.mlp.dense_4h_to_h.weight" for i in (1, 2, 3)}
    assert after.treatments[0].startswith("rmu (rmu")


def test_rmu_stops_the_forward_at_its_layer():
    model, objective = _tiny.neox(layers=4), make("rmu", layer=1)
    reached = []
    for i, block in enumerate(model.base.gpt_neox.layers):
        block.register_forward_hook(lambda *_, i=i: reached.append(i))
    objective.loss(model, Frozen(model, None, REQUEST), REQUEST.forget, RETAIN)
    assert max(reached) == 1


def test_simnpo_margin_in_the_paper_is_beta_times_the_public_one(neox):
    paper = make("simnpo", beta=2.5, margin=5.0, alpha=0.0).loss(neox, None, REQUEST.forget, Samples())
    public = make("simnpo", beta=2.5, margin=2.0, alpha=0.0, variant="open-unlearning").loss(
        neox, None, REQUEST.forget, Samples()
    )
    assert paper.forget.item() == pytest.approx(public.forget.item(), rel=1e-6)


def test_simnpo_has_the_direction_of_npo_on_texts_of_equal_length(neox):
    """All |y| equal to n and the reference loss delta: NPO with beta / n on sums is SimNPO with beta on means."""
    text = Samples.of(["Anna", "Hugo"])
    n = {neox.encode(s).scored for s in text}
    assert len(n) == 1, "the two names must have as many tokens"
    size = n.pop()
    mean = -neox.score(text).sample_means()
    delta = 5.0
    simple = module("simnpo").push(mean, 2.0, 2.0 * delta)
    npo = module("npo").push(size * (delta - mean), 2.0 / size)
    assert npo.item() == pytest.approx(size * simple.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("npo", {"beta": 0.0}), ("npo", {"retain": "nothing"}), ("npo", {"variant": "muse"}), ("simnpo", {"beta": -1.0}),
        ("simnpo", {"variant": "muse"}), ("rmu", {"retain": "kl"}), ("rmu", {"variant": "x"}), ("kl_retain", {"variant": "x"}),
    ],
)  # fmt: skip
def test_settings_nobody_published_are_refused(name, settings):
    make(name)
    with pytest.raises(BadInput, match=next(iter(settings))):
        make(name, **settings)


def test_a_weight_of_zero_drops_the_retain_term(neox):
    for name in ("npo", "simnpo", "rmu", "refusal"):
        if name in registry.names("erasers.objectives"):
            loss = make(name, alpha=0.0).loss(neox, Frozen(neox, None, REQUEST), REQUEST.forget, RETAIN)
            assert loss.retain is None and math.isfinite(loss.forget.item())
