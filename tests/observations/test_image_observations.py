"""Observations on pictures: their numbers restated step by step from the networks alone, and what they promise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Sample, Samples
from rasura.data.pictures import write_picture
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.observations._with_pictures import NO_PICTURE, noise_seed
from rasura.observations.caption_agreement import CaptionAgreement
from rasura.observations.denoising_error import DenoisingError
from rasura.observations.generated_images import GeneratedImages, picture_seed
from rasura.observations.guidance_magnitude import NO_CAPTION, GuidanceMagnitude
from rasura.observations.image_features import ImageFeatures
from rasura.observations.inversion_error import InversionError
from rasura.observations.judgements import NOTHING_NAMED, Judgements
from rasura.observations.proximal_error import ProximalError
from rasura.observations.real_pictures import RealPictures
from rasura.observations.token_significance import TokenSignificance, explain

MODELS = {
    "sd": lambda: _tiny_pipelines.sd1(),
    "sd, v": lambda: _tiny_pipelines.sd1(prediction="v_prediction"),
    "sdxl": lambda: _tiny_pipelines.sdxl(),
}
NUMBERS = [
    DenoisingError((100, 700), draws=2),
    DenoisingError(caption=False),
    InversionError(t=40, step=20),
    ProximalError(),
    ProximalError(normalised=True, caption=False),
]


@pytest.fixture(scope="module")
def models():
    return {name: TextToImage(make()) for name, make in MODELS.items()}


@pytest.fixture(params=MODELS)
def model(request, models):
    return models[request.param]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    texts = ["a red ring", "the blue cross on red", "a green star", "photo of a cat"]
    return Samples(
        Sample(
            str(i), text, picture=write_picture(rng.integers(0, 256, (16, 16, 3)), folder / f"{i}.png"), shows="ring"
        )
        for i, text in enumerate(texts)
    )


@pytest.fixture(scope="module")
def judge():
    return Judge()


@dataclass(frozen=True)
class Judge:
    """Sees a ring where the picture is brighter on the left; knows nothing but rings."""

    fingerprint: str = "a judge"
    device: torch.device = torch.device("cpu")
    parameters: int = 1

    def width(self, sample):
        return 1

    def sees(self, pictures, shows):
        if shows != "ring":
            raise BadInput(f"the judge does not know '{shows}'")
        half = pictures.shape[3] // 2
        return pictures[..., :half].mean((1, 2, 3)) > pictures[..., half:].mean((1, 2, 3))

    def rates(self, shows):
        return (0.9, 0.8)

    def features(self, pictures):
        return pictures.mean((2, 3))

    image_features = features

    def text_features(self, texts):
        return torch.tensor([[1.0, 0.0, float(len(t) % 2)] for t in texts])


def parts(model, samples):
    with torch.no_grad():
        return model.latents(model.pictures(samples)), model.embed(samples.texts), model.schedule


def abar(model, t):
    return float(model.schedule.alphas[t])


def noise(model, x, t, text):
    """eps from the U-Net by the definition of v, not by the schedule's helpers."""
    with torch.no_grad():
        out = model.output(x, t, text)
    a = abar(model, t)
    return out if model.schedule.prediction == "epsilon" else math.sqrt(a) * out + math.sqrt(1 - a) * x


def to(model, x, eps, t, s):
    """One deterministic step by hand: solve for x_0, mix again."""
    a, b = abar(model, t), abar(model, s)
    return math.sqrt(b) * (x - math.sqrt(1 - a) * eps) / math.sqrt(a) + math.sqrt(1 - b) * eps


def test_denoising_error_by_hand(model, samples):
    found = DenoisingError((100, 700), draws=2, seed=3).measure(model, samples)
    clean, text, _ = parts(model, samples)
    for i, sample in enumerate(samples):
        expected = []
        for t in (100, 700):
            for k in range(2):
                eps = model.start([noise_seed(sample, 3, k)])
                a = abar(model, t)
                x = math.sqrt(a) * clean[i : i + 1] + math.sqrt(1 - a) * eps
                expected.append(float((noise(model, x, t, text.rows([i])) - eps).square().mean()))
        np.testing.assert_allclose(found.values[i], expected, rtol=2e-4)


def test_noises_are_the_same_at_every_timestep_and_differ_between_draws(model, samples):
    one = DenoisingError((500, 500), draws=2).measure(model, samples)
    for row in one.values:
        np.testing.assert_allclose(row[:2], row[2:], rtol=1e-5)
        assert row[0] != row[1]


def test_inversion_error_by_hand(model, samples):
    found = InversionError(t=40, step=20).measure(model, samples)
    x, text, _ = parts(model, samples)
    for t in (0, 20):
        x = to(model, x, noise(model, x, t, text), t, t + 20)
    further = to(model, x, noise(model, x, 40, text), 40, 60)
    back = to(model, further, noise(model, further, 60, text), 60, 40)
    np.testing.assert_allclose(found.values.values, (x - back).square().flatten(1).mean(1), rtol=5e-3)


@pytest.mark.parametrize("normalised", [False, True])
def test_proximal_error_by_hand(model, samples, normalised):
    found = ProximalError(t=200, normalised=normalised).measure(model, samples)
    clean, text, _ = parts(model, samples)
    first = noise(model, clean, 0, text)
    if normalised:
        first = first / first.abs().mean((1, 2, 3), keepdim=True) * math.sqrt(2 / math.pi)
        np.testing.assert_allclose(first.abs().mean((1, 2, 3)), [math.sqrt(2 / math.pi)] * 4, rtol=1e-5)
    a = abar(model, 200)
    again = noise(model, math.sqrt(a) * clean + math.sqrt(1 - a) * first, 200, text)
    np.testing.assert_allclose(found.values.values, (first - again).pow(4).flatten(1).mean(1), rtol=2e-3)


@pytest.mark.parametrize("space", ["noise", "output"])
def test_guidance_magnitude_by_hand(model, samples, space):
    """Restated with one row at a time and the noise of each branch converted on its own."""
    found = GuidanceMagnitude(n=2, steps=2, total=4, guidance=3.0, space=space).measure(model, samples)
    for i, sample in enumerate(samples):
        expected = []
        for k in range(2):
            x = model.start([picture_seed(sample.text, 0, k)])
            for t in model.schedule.timesteps(4)[:2]:
                text, nothing = model.embed([sample.text]), model.nothing()
                with torch.no_grad():
                    raw = [model.output(x, t, e) for e in (nothing, text)]
                pair = [model.schedule.noise_of(o, x, t) for o in raw] if space == "noise" else raw
                expected.append(float((pair[1] - pair[0]).norm()) / math.sqrt(x.numel()))
                guided = raw[0] + 3.0 * (raw[1] - raw[0])
                x = model.schedule.move(guided, x, t, t - model.schedule.steps // 4)
        np.testing.assert_allclose(found.magnitude[i], expected, rtol=5e-3, atol=1e-6)


def test_the_path_is_the_one_pictures_are_drawn_on(model, samples):
    """Magnitudes are read at the latents that the sampler itself passes through."""
    seen = []
    text = model.embed([samples[0].text])
    seeds = [picture_seed(samples[0].text, 0, 0)]
    with torch.no_grad():
        model.sample(text, seeds, steps=4, guidance=3.0, watch=lambda i, t, x, output: seen.append((t, x)))
        pairs = [(t, *model.both(x, t, text)) for t, x in seen]
    expected = [float((model.schedule.noise_scale(t, c) * (c - u)).norm()) / math.sqrt(c.numel()) for t, u, c in pairs]
    found = GuidanceMagnitude(n=1, steps=4, total=4, guidance=3.0).measure(model, samples.take([0]))
    np.testing.assert_allclose(found.magnitude[0], expected, rtol=1e-3, atol=1e-6)


def test_a_steering_guard_is_followed(model, samples):
    class Still:
        def steer(self, handle, embedded, guidance, steps):
            return lambda x, i, t: torch.zeros_like(x)

    plain, steered = (
        GuidanceMagnitude(n=1, steps=2, total=4).measure(m, samples).magnitude
        for m in (model, model.with_guard(Still()))
    )
    firsts, seconds = ([[row[i] for row in data] for data in (plain, steered)] for i in (0, 1))
    np.testing.assert_allclose(firsts[0], firsts[1], rtol=1e-5)
    assert not np.allclose(seconds[0], seconds[1], rtol=1e-3)


def test_token_significance_is_the_slope_of_the_magnitude(model, samples):
    """Moving one word's embedding along its gradient changes the magnitude at that rate (central differences)."""
    sample = samples.take([1])
    how = TokenSignificance(n=1, steps=1, total=4, space="output")
    found = how.measure(model, sample)
    assert [word for word, _ in found.pairs(0)] == ["the", "blue", "cross", "on", "red"]
    text, x = model.embed(sample.texts), model.start([picture_seed(sample[0].text, 0, 0)])
    t = model.schedule.timesteps(4)[0]

    def size(hidden):
        u, c = model.both(x, t, text.with_hidden(hidden))
        return (c - u).norm() / math.sqrt(x.numel())

    hidden = text.hidden.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(size(hidden), hidden)
    for j in range(5):
        direction = torch.zeros_like(slope)
        direction[0, 1 + j] = slope[0, 1 + j] / slope[0, 1 + j].norm()
        with torch.no_grad():
            rise = (size(text.hidden + 0.02 * direction) - size(text.hidden - 0.02 * direction)) / 0.04
        np.testing.assert_allclose(found.significance[0][j], float(rise), rtol=0.05)


def test_explain_gives_words_and_leaves_no_gradient_behind(model, samples):
    told = explain(model, samples.take([0]), TokenSignificance(n=2, total=4))
    assert [word for word, _ in told[0]] == ["a", "red", "ring"] and all(s > 0 for _, s in told[0])
    assert all(p.grad is None for p in model.module.parameters())


@pytest.mark.parametrize("observation", [*NUMBERS, GuidanceMagnitude(n=2, steps=2, total=4), TokenSignificance(n=1)])
def test_order_and_company_do_not_matter(model, samples, observation):
    together = values(Engine().observe(Ask(observation), {"target": model}, samples))
    order = [2, 0, 3, 1]
    shuffled = values(Engine().observe(Ask(observation), {"target": model}, samples.take(order)))
    alone = values(Engine(token_budget=1).observe(Ask(observation), {"target": model}, samples))
    for position, i in enumerate(order):
        np.testing.assert_allclose(shuffled[position], together[i], rtol=2e-3, atol=1e-6)
    for one, all_of_them in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, all_of_them, rtol=2e-3, atol=1e-6)


def values(data):
    return list(next(v for v in vars(data).values() if hasattr(v, "offsets")))


@pytest.mark.parametrize("observation", NUMBERS)
def test_a_sample_without_a_picture_is_a_blank_row(models, samples, observation):
    model = models["sd"]
    mixed = Samples([Sample("bare", "a cat"), *samples])
    found = Engine().observe(Ask(observation), {"target": model}, mixed)
    assert found.reason.tolist() == [NO_PICTURE, "", "", "", ""] and found.values.lengths[0] == 0
    np.testing.assert_allclose(found.values[1], observation.measure(model, samples).values[0], rtol=2e-3)
    assert observation.measure(model, mixed.take([0])).reason.tolist() == [NO_PICTURE]
    assert observation.blank("out of memory", 2).reason.tolist() == ["out of memory"] * 2


def test_the_caption_counts_only_where_it_is_asked_for(models, samples):
    from dataclasses import replace

    model = models["sd"]
    other = Samples(replace(s, text="a dog") for s in samples)
    for make in (DenoisingError, InversionError, ProximalError):
        with_text, without = (make(caption=c) for c in (True, False))
        a, b = (with_text.measure(model, s).values.values for s in (samples, other))
        assert not np.allclose(a, b, rtol=1e-4, atol=0)
        a, b = (without.measure(model, s).values.values for s in (samples, other))
        np.testing.assert_array_equal(a, b)


def test_an_empty_caption_pulls_nowhere(models, samples):
    found = GuidanceMagnitude(n=1, steps=1, total=4).measure(models["sd"], Samples([Sample("e", " "), samples[0]]))
    assert found.reason.tolist() == [NO_CAPTION, ""] and found.magnitude.lengths.tolist() == [0, 1]
    assert TokenSignificance(n=1).measure(models["sd"], Samples([Sample("e", "")])).reason.tolist() == [NO_CAPTION]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m, s: DenoisingError((1000,)).measure(m, s),
        lambda m, s: ProximalError(t=-1).measure(m, s),
        lambda m, s: InversionError(t=990, step=10).measure(m, s),
        lambda m, s: InversionError(t=15, step=10),
        lambda m, s: DenoisingError(()),
        lambda m, s: GuidanceMagnitude(steps=3, total=2).measure(m, s),
        lambda m, s: GuidanceMagnitude(n=0),
        lambda m, s: GuidanceMagnitude(space="colour"),
    ],
)
def test_settings_that_mean_nothing_are_refused(models, samples, wrong):
    with pytest.raises(BadInput):
        wrong(models["sd"], samples)


def test_real_pictures_come_at_the_models_size(models, samples, tmp_path):
    wide = write_picture(np.full((32, 64, 3), 7, dtype=np.uint8), tmp_path / "wide.png")
    mixed = Samples([samples[0], Sample("bare", "a cat"), Sample("wide", "a dog", picture=wide)])
    found = Engine().observe(Ask(RealPictures()), {"target": models["sd"]}, mixed)
    assert [found.pictures(i).shape for i in range(3)] == [(1, 16, 16, 3), (0, 16, 16, 3), (1, 16, 16, 3)]
    assert found.reason.tolist() == ["", NO_PICTURE, ""] and (found.pictures(2) == 7).all()


def test_judgements_are_of_the_pictures_that_were_drawn(models, samples, judge):
    roles = {"target": models["sd"], "retrained": TextToImage(_tiny_pipelines.sd1(seed=5)), "judge": judge}
    drawing = GeneratedImages(n=3, steps=2)
    mixed = Samples([Sample("nothing", "a cat"), Sample("odd", "a dog", shows="unicorn"), *samples])
    found = Engine().observe(Ask(Judgements(drawing), of="judge"), roles, mixed)
    drawn = Engine().observe(Ask(drawing), roles, mixed)
    for i in range(2, 6):
        left, right = (half.mean((1, 2, 3)) for half in np.split(drawn.pictures(i).astype(float), 2, axis=2))
        np.testing.assert_array_equal(found.seen[i], left > right)
    assert (
        found.reason[0] == NOTHING_NAMED and "unicorn" in found.reason[1] and found.seen.lengths.tolist()[:2] == [0, 0]
    )
    assert found.sensitivity[2] == 0.9 and found.specificity[2] == 0.8 and np.isnan(found.sensitivity[:2]).all()
    other = Engine().observe(Ask(Judgements(drawing, drawn_by="retrained"), of="judge"), roles, mixed)
    expected = Engine().observe(Ask(Judgements(drawing), of="judge"), {**roles, "target": roles["retrained"]}, mixed)
    np.testing.assert_array_equal(other.seen.values, expected.seen.values)


def test_features_are_of_each_picture_in_its_place(models, samples, judge):
    roles = {"target": models["sd"], "judge": judge}
    mixed = Samples([Sample("bare", "a cat"), *samples])
    real = Engine().observe(Ask(ImageFeatures(RealPictures()), of="judge"), roles, mixed)
    shown = Engine().observe(Ask(RealPictures()), roles, mixed)
    assert real.first(0) is None and real.reason.tolist() == [NO_PICTURE, "", "", "", ""]
    for i in range(1, 5):
        np.testing.assert_allclose(real.first(i), shown.pictures(i)[0].mean((0, 1)) / 255, rtol=1e-5)
    drawn = Engine().observe(Ask(ImageFeatures(GeneratedImages(n=2, steps=2)), of="judge"), roles, mixed)
    assert drawn.features.lengths.tolist() == [6] * 5 and drawn.width.tolist() == [3] * 5
    alone = Engine().observe(Ask(ImageFeatures(RealPictures()), of="judge"), roles, mixed.take([0]))
    assert alone.first(0) is None


def test_agreement_is_the_cosine_with_ones_own_caption(models, samples, judge):
    roles = {"target": models["sd"], "clip": judge}
    drawing = GeneratedImages(n=2, steps=2)
    found = Engine().observe(Ask(CaptionAgreement(drawing), of="clip"), roles, samples)
    drawn = Engine().observe(Ask(drawing), roles, samples)
    for i, sample in enumerate(samples):
        colours = drawn.pictures(i).mean((1, 2)) / 255
        text = np.array([1.0, 0.0, len(sample.text) % 2])
        cosine = colours @ text / np.linalg.norm(colours, axis=1) / np.linalg.norm(text)
        np.testing.assert_allclose(found.cosine[i], cosine, rtol=1e-4)


def test_what_could_not_be_drawn_is_not_judged(samples, judge):
    given = GeneratedImages(n=2).blank("out of memory", 4)
    assert Judgements().measure(judge, samples, given).reason.tolist() == ["out of memory"] * 4
    assert ImageFeatures().measure(judge, samples, given).reason.tolist() == ["out of memory"] * 4
    assert CaptionAgreement().measure(judge, samples, given).reason.tolist() == ["out of memory"] * 4
    assert ImageFeatures().blank("x", 1).reason.tolist() == ["x"]
