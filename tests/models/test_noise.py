"""Noise in force: exactly the weights a noisy copy would have, a module at a time."""

from __future__ import annotations

import pytest
import torch

import _tiny
from rasura.core.types import Samples
from rasura.models.noise import WeightNoise


@pytest.mark.parametrize("sign", [1, -1])
def test_in_place_is_bit_for_bit_the_noisy_copy(sign):
    model, samples, noise = _tiny.llama(2, tied=True), Samples.of(_tiny.texts(3, 5)), WeightNoise(0.05, 3, sign)
    copy = model.clone()
    with torch.no_grad():
        for name, p in copy.module.named_parameters():
            p.copy_(p + sign * 0.05 * noise.draw(name, p))
        before = [p.clone() for p in model.module.parameters()]
        with model.perturbed(noise):
            found = model.score(samples).log_probability
        assert torch.equal(found, copy.score(samples).log_probability)
        assert not torch.equal(found, model.score(samples).log_probability)
    assert all(torch.equal(a, b) for a, b in zip(before, model.module.parameters(), strict=True))


def test_never_more_than_one_module_is_noisy():
    """While one matrix runs, all others hold their own weights in their own memory: there is no second copy."""
    model = _tiny.neox(1)
    own = {id(p): p.data_ptr() for p in model.module.parameters()}
    noisy = []
    linear = [m for m in model.module.modules() if isinstance(m, torch.nn.Linear)]
    with model.perturbed(WeightNoise(0.05)):
        hooks = [
            m.register_forward_pre_hook(
                lambda m, _: noisy.append(
                    {p for p in model.module.parameters() if p.data_ptr() != own[id(p)]} == set(m.parameters())
                )
            )
            for m in linear
        ]
        with torch.no_grad():
            model.score(Samples.of(_tiny.texts(2, 5)))
    for hook in hooks:
        hook.remove()
    assert len(noisy) >= len(linear) - 1 and all(noisy)


def test_a_parameter_that_is_handed_on_keeps_its_memory():
    """A table of positions returns its parameter itself: the next one of that shape is drawn elsewhere."""

    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.zeros(3, 5))

        def forward(self):
            return self.table[:2]

    module, noise = torch.nn.ModuleList([Table(), Table()]), WeightNoise(1.0)
    with torch.no_grad(), noise.attached(module):
        first = module[0]()
        seen = first.clone()
        second = module[1]()
    assert torch.equal(first, seen) and not torch.equal(first, second)
    assert all(torch.equal(p, torch.zeros(3, 5)) for p in module.parameters())
