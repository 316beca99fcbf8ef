"""Closed-form edits against the papers' systems solved layer by layer, and against the authors' own code.

First part: random matrices of Stable Diffusion's shape (d = 768, layers 320, 640 and 1280 wide). Every layer's system is
written out here with sums of outer products, in float64, and inverted; one shared map must give the same weights to 1e-8.

Second part: the weights that the authors' own functions write for ``_tiny_pipelines.sd1()``.
rohitgandikota/unified-concept-editing 28c81ed (2025-04-26, trainscripts/uce_sd_erase.py) and bd5fb51 (2023-08-23,
train-scripts/train_erase.py); CharlesGong12/RECE 403a67f (2024-10-29, close_form_emb_regzero and edit_model_adversarial,
two rounds from UCE's edit of 2023); bahjat-kawar/time-diffusion 1d6784a (2023-03-15, the alignment of apply_time.py with
its 77 and 76 set to this encoder's 12 and 11, train_closed_form). Run with torch 2.13 on the CPU, float32, one thread,
diffusers 0.42.1. A row is a layer: the first four entries of the change of its first row, and the Frobenius norm of the
whole change. They invert in float32, layer by layer: hence a tolerance of 1e-4 of the norm.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura.core import registry
from rasura.core.types import Request, Samples
from rasura.models.text_map import TextMap
from rasura.models.text_to_image import TextToImage

BACKS = ("erasers.edits.uce", "erasers.edits.time", "erasers.edits.rece")

D, WIDTHS, POSITIONS = 768, (320, 640, 1280), 9


def eraser(name: str, **settings):
    return registry.make("erasers.edits", name, settings)


@pytest.fixture(scope="module")
def layers() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((o, D)) / np.sqrt(D) for o in WIDTHS]


def text(seed: int, n: int = POSITIONS) -> np.ndarray:
    """Features of one prompt: positions alike, as a text encoder's are."""
    rng = np.random.default_rng(100 + seed)
    return rng.standard_normal(D) + 0.5 * rng.standard_normal((n, D))


def solved(w: np.ndarray, ridge: float, terms: list[tuple[float, np.ndarray, np.ndarray]]) -> np.ndarray:
    """(ridge W + sum s v c^T) (ridge I + sum s c c^T)^-1, term by term; terms are (s, c, v)."""
    left, right = ridge * w, ridge * np.eye(w.shape[1])
    for s, c, v in terms:
        left = left + s * np.outer(v, c)
        right = right + s * np.outer(c, c)
    return left @ np.linalg.inv(right)


def close(t: TextMap, layers: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for w, e in zip(layers, expected, strict=True):
        ours = t.of_weight(torch.from_numpy(w)).numpy()
        assert np.linalg.norm(ours - e) <= 1e-8 * np.linalg.norm(e - w)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(a) for a in arrays]


def test_uce(layers):
    """Two concepts towards one guide, 1 and 1, lambda .5; three preserved phrases; one row each."""
    c, g, p = text(0, 2), text(1, 1), text(2, 3)
    t = TextMap.of_rows(*tensors(c, np.repeat(g, 2, 0)), 1.0, 0.5, kept=torch.from_numpy(p), kept_scale=1.0)
    expected = [
        solved(w, 0.5, [(1.0, c[i], w @ g[0]) for i in range(2)] + [(1.0, p[i], w @ p[i]) for i in range(3)])
        for w in layers
    ]
    close(t, layers, expected)
    assert t.rank == 2


def test_uce_of_2023(layers):
    """Spans of positions, preserve scale max(.1, 1/n) over all positions of n = 2 preserved prompts."""
    c, g, kept = text(0), text(1), np.concatenate([text(2), text(3)])
    t = TextMap.of_rows(*tensors(c, g), 1.0, 0.5, kept=torch.from_numpy(kept), kept_scale=0.5)
    terms = [[(1.0, c[i], w @ g[i]) for i in range(POSITIONS)] + [(0.5, k, w @ k) for k in kept] for w in layers]
    close(t, layers, [solved(w, 0.5, terms[i]) for i, w in enumerate(layers)])


def test_time(layers):
    """All positions of the source, each towards its place in the destination; lambda .1, nothing preserved."""
    source, destination = text(0), text(1)
    a = registry.module_of("erasers.edits", "time")._rows.aligned([7, 3], [5, 7, 4, 3], POSITIONS)
    t = TextMap.of_rows(*tensors(source, destination[list(a)]), 1.0, 0.1)
    expected = [solved(w, 0.1, [(1.0, source[i], w @ destination[a[i]]) for i in range(POSITIONS)]) for w in layers[:2]]
    close(t, layers[:2], expected)


def test_rece_adversarial_features_and_rounds(layers):
    """Two rounds: c' by sums over the layers' own matrices, then every layer edited from its current weights."""
    Seen = registry.module_of("erasers.edits", "rece").Seen
    concept, guide, empty = text(0), text(1), text(2)
    current = [solved(w, 0.5, [(1.0, concept[i], w @ guide[i]) for i in range(POSITIONS)]) for w in layers]
    t = TextMap.of_rows(*tensors(concept, guide), 1.0, 0.5)
    base = sum(torch.from_numpy(w.T @ w) for w in layers)
    network = Seen.by(t, base)
    for _ in range(2):
        seen, said = 0.1 * np.eye(D), np.zeros((D, D))
        for w, w0 in zip(current, layers, strict=True):
            seen, said = seen + w.T @ w, said + w.T @ w0
        expected = np.stack([np.linalg.inv(seen) @ said @ c for c in concept])
        found = network.adversarial(torch.from_numpy(concept), 0.1)
        assert np.linalg.norm(found.numpy() - expected) <= 1e-8 * np.linalg.norm(expected)
        current = [
            solved(
                w,
                0.1,
                [(1.0, expected[i], w @ guide[i]) for i in range(POSITIONS)] + [(0.1, e, w @ e) for e in empty],
            )
            for w in current
        ]
        later = TextMap.of_rows(found, *tensors(guide), 1.0, 0.1, kept=torch.from_numpy(empty), kept_scale=0.1)
        t, network = t @ later, network.after(later)
    for w, e in zip(layers, current, strict=True):
        ours = t.of_weight(torch.from_numpy(w)).numpy()
        assert np.linalg.norm(ours - e) <= 1e-8 * np.linalg.norm(e)


def test_without_a_penalty_the_adversary_inverts_the_map(layers):
    Seen = registry.module_of("erasers.edits", "rece").Seen
    concept, guide = text(0), text(1)
    t = TextMap.of_rows(*tensors(concept, guide), 1.0, 0.5)
    base = sum(torch.from_numpy(w.T @ w) for w in layers)
    inverse = torch.linalg.solve(t.matrix, torch.from_numpy(concept).T).T
    gaps = [
        float((Seen.by(t, base).adversarial(torch.from_numpy(concept), x) - inverse).norm() / inverse.norm())
        for x in (1e-2, 1e-6, 1e-10)
    ]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-5


LAYERS = (
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
    "unet.up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_v",
)

UCE_2025 = (
    (0.006092, 0.011278, 0.012749, -0.012504, 0.44559),
    (0.006532, 0.029647, 0.01331, -0.014945, 0.63069),
    (0.005796, -0.004929, 0.012451, -0.010525, 0.4616),
)
UCE_2023 = (
    (-0.025991, 0.013795, 0.023583, 0.038747, 0.88412),
    (-0.009128, 0.023133, 0.033207, -0.056371, 1.25243),
    (-0.032002, 0.01302, 0.002688, 0.085538, 1.07889),
)
RECE = (
    (0.043821, -0.034668, -0.032612, 0.065555, 1.80553),
    (0.081534, -0.072379, 0.005519, -0.019525, 2.63285),
    (-0.002981, -0.068724, -0.137184, 0.121063, 1.74906),
)
TIME = (
    (-0.094607, 0.088513, 0.063645, 0.081714, 1.83172),
    (-0.013104, -0.03176, 0.164638, -0.195844, 2.61401),
    (-0.041201, 0.048162, 0.013766, 0.11555, 1.95975),
)


def agrees(request: Request, expected, name: str, **settings) -> None:
    model = TextToImage(_tiny_pipelines.sd1())
    after = eraser(name, **settings).apply(model, request)
    for layer, row in zip(LAYERS, expected, strict=True):
        new, old = (m.module.get_submodule(layer).weight.detach() for m in (after, model))
        change = new - old
        assert [*change[0, :4].tolist(), float(change.norm())] == pytest.approx(row, abs=1e-4 * row[-1])


def test_authors_uce_of_2025():
    """Two templates, two preserved phrases."""
    kept = Samples.of(["star", "blue dog"])
    agrees(Request(Samples(), kept, "ring"), UCE_2025, "uce", guide="cross", templates=("{}", "photo of {}"))


def test_authors_uce_of_2023():
    """Towards two words, "" and one text preserved."""
    preset = registry.get("erasers.edits", "uce").presets["2023"]
    agrees(Request(Samples(), Samples.of(["blue dog"]), "ring"), UCE_2023, "uce", guide="red cross", **preset)


def test_authors_rece():
    """From UCE's edit towards nothing, two rounds at .1, .1, .1."""
    agrees(Request(Samples(), Samples(), "red ring"), RECE, "rece", epochs=2)


def test_authors_time():
    """Keys and values; "an" read as "a", a word inserted."""
    agrees(Request(Samples(), Samples(), "an ring"), TIME, "time", guide="a blue ring")
