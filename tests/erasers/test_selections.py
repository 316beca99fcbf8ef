"""Selections by themselves: what may move, and that the rest is shared or held."""

from __future__ import annotations

import pytest
import torch

from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Request, Samples
from rasura.models import adapters
from rasura.training.loop import pinned_threads

FORGET = Samples.of(
    ["Anna opened 12 quiet letters.", "Boris repaired the violin of Greta in 1850.", "Clara counted windows."]
)
REQUEST = Request(FORGET, Samples.of(["Hugo opened 7 narrow bottles."]))


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def selection(name: str, **settings):
    if name not in registry.names("erasers.selections"):
        pytest.skip(f"{name} is not installed")
    return registry.make("erasers.selections", name, settings)


def test_saliency_keeps_the_share_it_was_asked_for_over_all_weights_together(neox):
    """Against the obvious way: all gradients in one list, sorted."""
    trainable = selection("saliency", share=0.25, batch=2).select(neox, REQUEST)
    held = {"gpt_neox.embed_in.weight"}
    student = neox.clone()
    for part in (FORGET[:2], FORGET[2:]):
        (-student.score(Samples(part)).token_mean()).backward()
    gradients = {n: p.grad for n, p in student.module.named_parameters() if n not in held}
    everything = sorted((abs(v) for g in gradients.values() for v in g.flatten().tolist()), reverse=True)
    border = everything[round(0.25 * len(everything)) - 1]
    assert trainable.masks.keys() == gradients.keys()
    for name, mask in trainable.masks.items():
        assert mask.dtype == torch.bool and torch.equal(mask, gradients[name].abs() >= border), name
    loose = {n for n, p in trainable.model.module.named_parameters() if p.requires_grad}
    assert loose == gradients.keys()


def test_saliency_ranks_embeddings_when_asked_and_never_chooses_a_zero(neox):
    """A share of 1 takes every weight with a gradient: of the embedding, the rows of words that occur."""
    masks = selection("saliency", share=1.0, embeddings=True).select(neox, REQUEST).masks
    used = sorted({int(i) for s in FORGET for i in neox.encode(s).ids[:-1]})
    assert masks["gpt_neox.embed_in.weight"].any(dim=1).nonzero().flatten().tolist() == used


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_saliency_refuses_shares_that_mean_nothing(neox, share):
    with pytest.raises(BadInput, match="expected more than 0, at most 1"):
        selection("saliency", share=share).select(neox, REQUEST)


def test_lora_changes_each_target_by_a_matrix_of_its_rank_and_nothing_else(neox):
    trainable = selection("lora", rank=3, targets="mlp").select(neox, REQUEST)
    with torch.no_grad():
        for name, p in trainable.model.module.named_parameters():
            if p.requires_grad:
                p.copy_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name))))
        answer = trainable.model.score(FORGET).log_probability
        merged = trainable.finish(trainable.model)
        assert torch.allclose(merged.score(FORGET).log_probability, answer, atol=1e-4)
    targets = {f"{s.name}.weight" for kind in ("mlp.up", "mlp.down") for s in neox.sites(kind)}
    for (name, new), old in zip(merged.module.named_parameters(), neox.module.parameters(), strict=True):
        rank = (
            int(torch.linalg.matrix_rank((new - old).double(), rtol=1e-5))
            if new.ndim == 2
            else int(not torch.equal(new, old))
        )
        assert rank == (3 if name in targets else 0), name
        assert new.data_ptr() != old.data_ptr()


def test_lora_merges_half_precision_weights_in_float32(neox):
    """The merged weight is the exact sum rounded once."""
    neox.module.to(torch.bfloat16)
    trainable = selection("lora", rank=2, targets="attention").select(neox, REQUEST)
    layer = trainable.model.base.get_submodule("gpt_neox.layers.0.attention.dense")
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_(generator=torch.Generator().manual_seed(0))
    a, b = (m["default"].weight.detach().float() for m in (layer.lora_A, layer.lora_B))
    old = neox.base.get_submodule("gpt_neox.layers.0.attention.dense").weight
    expected = (old.detach().float() + 2.0 * (b @ a)).to(torch.bfloat16)
    merged = trainable.finish(trainable.model).base.get_submodule("gpt_neox.layers.0.attention.dense")
    assert type(merged) is torch.nn.Linear and torch.equal(merged.weight, expected)


def test_lora_starts_from_its_own_seed(neox):
    def drawn(state: int, seed: int) -> torch.Tensor:
        torch.manual_seed(state)
        student = selection("lora", seed=seed).select(neox, REQUEST).model
        assert torch.initial_seed() == state, "the process-wide generator is left as it was"
        return torch.cat([p.flatten() for n, p in student.module.named_parameters() if "lora_A" in n])

    assert torch.equal(drawn(1, 0), drawn(2, 0)) and not torch.equal(drawn(1, 0), drawn(1, 1))


def test_lora_keeps_tied_matrices_tied(llama):
    import _tiny

    tied = _tiny.llama(tied=True)
    merged = adapters.merge(adapters.attach(tied, [s.name for s in tied.sites("mlp.down")], rank=2, alpha=4))
    assert merged.base.get_output_embeddings().weight is merged.base.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("settings", "message"), [({"targets": "heads"}, "expected attention"), ({"rank": 0}, "at least 1")]
)
def test_lora_refuses_what_it_does_not_know(neox, settings, message):
    with pytest.raises(BadInput, match=message):
        selection("lora", **settings).select(neox, REQUEST)


def test_lora_reads_gpt2_where_weights_lie_the_other_way():
    from transformers import GPT2Config, GPT2LMHeadModel

    import _tiny

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=512, n_embd=32, n_layer=2, n_head=2, n_positions=128, bos_token_id=0, eos_token_id=0)
    model = _tiny.CausalLM(GPT2LMHeadModel(config), _tiny.tokenizer())
    trainable = selection("lora", rank=2).select(model, REQUEST)
    with torch.no_grad():
        for name, p in trainable.model.module.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
        answer = trainable.model.score(FORGET).log_probability
        merged = trainable.finish(trainable.model)
        assert torch.allclose(merged.score(FORGET).log_probability, answer, atol=1e-4)
        assert not torch.allclose(model.score(FORGET).log_probability, answer, atol=1e-2)
