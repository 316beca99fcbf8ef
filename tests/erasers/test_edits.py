"""Closed-form edits on random pipelines: positions, rows, forms, records and refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Request, Sample, Samples
from rasura.erasers._outcome import Outcome
from rasura.erasers.edits import _rows
from rasura.models.text_map import KIND, TextMap
from rasura.models.text_to_image import TextToImage

NAMES = registry.fitting("erasers.edits", "images")
L = _tiny_pipelines.WIDTH
KEEP = Samples.of(["a red cross", "a blue star", "a red cross", "a green ring"])
FORGET = Samples([Sample("0", "a red ring", shows="ring")])
REQUEST = Request(FORGET, KEEP, "ring")


@pytest.fixture(scope="module")
def sd1() -> TextToImage:
    return TextToImage(_tiny_pipelines.sd1())


def edit(name: str, **settings):
    if name not in NAMES:
        pytest.skip(f"{name} is not installed")
    return registry.make("erasers.edits", name, settings)


def features(model, text: str) -> np.ndarray:
    with torch.no_grad():
        return model.encode_prompts([text]).hidden[0].double().numpy()


def change(model, after) -> np.ndarray:
    """T - I read off the weights."""
    return (TextMap.between(model, after)[0].matrix - torch.eye(model.unet.config.cross_attention_dim)).numpy()


# positions


def test_the_last_word_of_a_text(sd1):
    """Not the first end token after it; the start token where there is no word."""
    assert _rows.last_words(sd1, "a red ring", "a cross") == _rows.Pair("a red ring", "a cross", (3,), (2,))
    assert _rows.last_words(sd1, "ring", "").to == (0,)
    assert sd1.tokens("a red ring").ids[3] == sd1.tokens("ring").ids[1]


def test_from_the_last_word_on(sd1):
    """Equal lengths: the span ends where the prompt with the later last word reaches the end."""
    pair = _rows.from_the_last_word(sd1, "a red ring", "cross")
    assert pair.at == tuple(range(3, L)) and pair.to == tuple(range(1, L - 2))
    back = _rows.from_the_last_word(sd1, "cross", "a red ring")
    assert (back.at, back.to) == (pair.to, pair.at)
    empty = _rows.from_the_last_word(sd1, "ring", "")
    assert empty.at == tuple(range(1, L)) and empty.to == tuple(range(L - 1))


def test_all_positions_and_the_padding(sd1):
    """Words on the same words, the end token on the end token, padding after it in order."""
    longer = _rows.every(sd1, "a ring", "a blue ring")
    assert longer.at == tuple(range(L)) and longer.to == (0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11)
    assert _rows.every(sd1, "an ring", "a blue ring").to == longer.to
    swapped = _rows.every(sd1, "a red ring on blue", "a red cross on blue")
    assert swapped.to == tuple(range(L))
    gone = _rows.every(sd1, "a red ring on blue", "a red on blue")
    assert gone.to == (0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10)
    assert _rows.every(sd1, "ring", "").to == (0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)


def test_two_tokenizers_must_cut_alike():
    model = TextToImage(_tiny_pipelines.sdxl())
    assert _rows.features(model, ["a red ring"])["a red ring"].shape == (L, 48)
    other = _tiny_pipelines.clip_tokenizer(["a", "red"], L)  # knows no "ring"
    model.tokenizers[1] = other
    with pytest.raises(BadInput, match="cut a text of 3 tokens differently"):
        _rows.features(model, ["a red ring"])


def test_kept_rows_are_the_same_few_or_many(sd1):
    """Held as rows below d/2 = 16, folded to their second moment above; batches do not matter."""
    for texts, batch in ((("a red cross",), 64), (("a red cross", "a blue star", "a dog"), 2)):
        kept = [(t, tuple(range(L))) for t in texts]
        rows = _rows.Rows(sd1, kept=kept)
        rows.move([_rows.last_words(sd1, "ring", "cross")])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_rows, "BATCH", batch)
            ours = rows.solve(1.0, 0.5, 0.1)
        assert (rows._gathered[1] is None) == (len(texts) == 1)
        source, target = (torch.from_numpy(features(sd1, t)[1:2]) for t in ("ring", "cross"))
        every = torch.cat([torch.from_numpy(features(sd1, t)) for t in texts])
        expected = TextMap.of_rows(source, target, 1.0, 0.1, kept=every, kept_scale=0.5)
        assert torch.allclose(ours.matrix, expected.matrix, atol=1e-5)


# what each paper edits


def test_uce_edits_the_last_word_alone(sd1):
    """Its row moves along g - c; rank one whatever is preserved; retain texts that name the concept take no part."""
    after = edit("uce", guide="cross").apply(sd1, REQUEST)
    d = change(sd1, after)
    c, g = features(sd1, "ring")[1], features(sd1, "cross")[1]
    kept = [features(sd1, t)[3] for t in ("a red cross", "a blue star")]
    m = 0.5 * np.eye(32) + np.outer(c, c) + sum(np.outer(k, k) for k in kept)
    np.testing.assert_allclose(d, np.outer(g - c, np.linalg.inv(m) @ c), atol=1e-4)


def test_uce_of_2023_takes_its_own_scale_and_keeps_the_empty_prompt(sd1):
    """n = 3 preserved prompts, so 1/3 each, at all positions."""
    preset = registry.get("erasers.edits", "uce").presets["2023"]
    d = change(sd1, edit("uce", guide="cross", **preset).apply(sd1, REQUEST))
    c, g = features(sd1, "ring")[1:], features(sd1, "cross")[1:]
    m = 0.5 * np.eye(32) + c.T @ c
    for t in ("", "a red cross", "a blue star"):
        m += features(sd1, t).T @ features(sd1, t) / 3
    np.testing.assert_allclose(d, (g - c).T @ c @ np.linalg.inv(m), atol=1e-4)


def test_presets_name_settings_that_exist():
    for name, fields in registry.get("erasers.edits", "uce").presets.items():
        made = edit("uce", **fields)
        assert (made.ridge, made.erase_scale) == (0.5, 1.0)
        assert len(made.templates) == (6 if "," in name else 1)


def test_time_moves_values_alone_when_asked(sd1):
    after = dict(edit("time", guide="blue ring", keys=False).apply(sd1, REQUEST).named_parameters())
    changed = {n.removesuffix(".weight") for n, p in sd1.named_parameters() if not torch.equal(after[n], p)}
    assert changed == {s.name for s in sd1.sites(KIND) if s.name.endswith("to_v")}
    with pytest.raises(BadInput, match="keys and values alike"):
        edit("time", guide="blue ring", keys=False, form="prompt hook").apply(sd1, REQUEST)


def test_rece_leaves_less_for_the_attacker_than_its_start(sd1):
    """After a round, the old adversarial features no longer say what the concept said."""
    start = edit("rece", epochs=1, penalty=0.01, preserve_retained=False)
    rece = registry.module_of("erasers.edits", "rece")
    one = TextMap.between(sd1, start.apply(sd1, REQUEST))[0]
    uce = edit("uce", **registry.get("erasers.edits", "uce").presets["2023"]).apply(
        sd1, Request(FORGET, Samples(), "ring")
    )
    first = TextMap.between(sd1, uce)[0]
    from rasura.models.text_map import gram

    c = torch.from_numpy(features(sd1, "ring"))
    bad = rece.Seen.by(first, gram(sd1)).adversarial(c, 0.01)
    said = [float(((t.of_features(bad) - c) @ gram(sd1) * (t.of_features(bad) - c)).sum()) for t in (first, one)]
    assert said[1] > 2 * said[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_three_forms_draw_the_same(name, kind, tmp_path):
    model = TextToImage(getattr(_tiny_pipelines, kind)())

    def drawn(handle):
        with torch.no_grad():
            return handle.sample(handle.embed(["a red ring"]), [1], steps=3, guidance=3.0)

    plain = drawn(model)
    edited = drawn(edit(name).apply(model, REQUEST))
    hooked = drawn(edit(name, form="prompt hook").apply(model, REQUEST))
    outcome = edit(name, form="adapter").run(model, REQUEST, checkpoint=tmp_path)
    assert float((edited - plain).abs().max()) > 1e-3
    for other in (hooked, drawn(outcome.model)):
        assert float((edited - other).abs().max()) < 1e-4
    assert len(list((tmp_path / "adapter").glob("*.safetensors"))) == 1
    assert [n for n, _ in outcome.model.named_parameters()] == [n for n, _ in model.named_parameters()]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_run_tells(sd1, name):
    state = {n: p.clone() for n, p in sd1.named_parameters()}
    outcome = edit(name).run(sd1, REQUEST, seed=7)
    assert isinstance(outcome, Outcome) and outcome.stopped == "closed form" and outcome.transcript.steps == ()
    assert {"rank", "condition_number", "distance_from_identity"} <= set(outcome.derived)
    assert all(np.isfinite(v) and v > 0 for v in outcome.derived.values())
    assert len(outcome.model.treatments) == 1 and "'ring'" in outcome.model.treatments[0]
    assert outcome.model.fingerprint == edit(name).apply(sd1, REQUEST).fingerprint != sd1.fingerprint
    assert all(torch.equal(p, state[n]) for n, p in sd1.named_parameters()) and sd1.treatments == ()
    assert edit(name, form="prompt hook").suppression and not edit(name).suppression


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(sd1, name):
    with pytest.raises(BadInput, match=f"{name} erases a phrase: name it"):
        edit(name).apply(sd1, Request(FORGET, KEEP))
    with pytest.raises(BadInput, match="the guide is the concept itself"):
        edit(name, guide=" ring").apply(sd1, REQUEST)
    for settings in ({"form": "else"}, {"templates": ("no place",)}, {"ridge": 0.0}):
        with pytest.raises(BadInput, match=f"^{name}: "):
            edit(name, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_without_templates_the_forget_prompts_are_edited(sd1, name):
    """Whole words, in any case; braces mean nothing; prompts that do not name the concept take no part."""
    asked = Request(Samples.of(["a Ring {x}", "a ring", "rings", "a ring"]), Samples(), "ring")
    ours = edit(name, guide="cross", templates=()).apply(sd1, asked)
    named = edit(name, guide="cross", templates=("a {} {x}", "a {}")).apply(sd1, asked)
    assert ours.fingerprint == named.fingerprint
    with pytest.raises(BadInput, match="no forget prompt names the concept"):
        edit(name, templates=()).apply(sd1, Request(Samples.of(["rings"]), KEEP, "ring"))


@pytest.mark.parametrize("name", NAMES)
def test_words_in_pieces_and_texts_left_out_are_told(sd1, name):
    outcome = edit(name, guide="zebra").run(sd1, Request(FORGET, KEEP, "ring"))
    assert any("no word for the guide: it is read as" in w for w in outcome.warnings)
    strange = edit(name).run(sd1, Request(FORGET, Samples(), "wombat"))
    assert any("no word for the concept" in w for w in strange.warnings)
    told = any("1 retain texts name the concept" in w for w in edit(name).run(sd1, REQUEST).warnings)
    assert told == (name in {f for f in NAMES if "preserve_scale" in {x.name for x in dataclasses.fields(edit(f))}})
