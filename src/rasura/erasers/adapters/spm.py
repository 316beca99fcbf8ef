"""Semi-permeable membranes, SPM (Lyu, Yang, Hong, Chen, Jin, He, Jin, Han and Ding 2024).

    y     = W x + gamma (alpha / r) u (a^T x)            in every linear layer of the U-Net's transformer blocks; u = 0 at first
    L_e   = mean | eps_m(x_t, t, c) - [ s - eta (c - s) ] |^2       s, c: the frozen model's answers for surrogate and concept
    L_a   = mean | eps_m(x_t, t, z) - eps_0(x_t, t, z) |^2          z: random embeddings of the size of the concept's
    L     = L_e + anchoring * L_a                                trained at gamma = 1

z: Gaussian, of length |h(c)| times a number between .8 and 1.2, accepted with probability 1 - cos(z, h(c)). Afterwards a
prompt p meets the membrane at strength

    gamma = max( cos(h(p) - h(""), h(c) - h("")), |tokens(p) and tokens(c)| / |tokens(c)| )

Several adapters on one model add up as changes: sum_k gamma_k u_k a_k^T (see _membranes.py).

Deviations. x_t comes from trajectories of the frozen model (training/trajectories.py), where the authors draw it from the
model with the membrane on: an approximation that is exact at the start and costs no sampling. The empty prompt is
subtracted before the cosine, because embeddings of any two prompts share their start and padding positions and are
alike without it (``calibrated=False``: the authors' way). gamma is each row's own, so the unconditional branch stays as
it was. The authors' code scales both factors of a layer and so applies gamma^2; here gamma is applied once. Convolutions
are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.errors import BadInput
from ...core.protocols import Loss
from ...core.registry import method
from ...core.types import Request
from ...models import adapters
from ...models._prompts import Embedded, join
from ...observations._engine import Engine, Progress, quiet
from ...training.frozen_images import Dice, FrozenImages
from ...training.loop import Loop, pinned_threads, train
from ...training.trajectories import Trajectories, Tuples
from .._outcome import Outcome
from ..objectives._score import TEMPLATES, away, filled
from ._membranes import KINDS, Membranes

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2312.16145")
@dataclass(frozen=True)
class SPM:
    """A rank-1 membrane beside every layer, as strong as the prompt is like the concept; can be taken off and combined.

    ``surrogate``: what takes the concept's place; "": nothing. ``eta``: how far beyond it. ``anchoring``: weight of L_a, on
    ``anchors`` random embeddings a step. ``guidance``, ``sampling_steps``, ``trajectories``: of the frozen model, the last a
    prompt. ``batch``: tuples a step. ``templates``: prompts, {} is the concept. ``merged``: whether the result has the
    adapters in its weights, at gamma = 1 for every prompt, instead of beside them as a guard.
    """

    surrogate: str = ""
    eta: float = 1.0
    rank: int = 1
    alpha: float = 1.0
    anchoring: float = 1000.0
    anchors: int = 4
    guidance: float = 3.0
    sampling_steps: int = 30
    trajectories: int = 4
    batch: int = 1
    templates: tuple[str, ...] = TEMPLATES
    calibrated: bool = True
    merged: bool = False
    loop: Loop = field(default_factory=lambda: Loop(steps=3000, learning_rate=1e-4, schedule="cosine", warmup=1 / 6))

    modality: ClassVar[str] = "images"
    testbed_settings: ClassVar[Mapping[str, Any]] = {
        "batch": 8,
        "sampling_steps": 20,
        "anchoring": 10.0,
        "templates": ("{}", "a {}", "a {} thing", "picture of a {}"),
    }
    testbed_loop: ClassVar[Mapping[str, Any]] = {"steps": 60, "learning_rate": 1e-2}
    testbed_reason: ClassVar[str] = (
        "the published steps and learning rate are those of a network a thousand times larger, and random embeddings are like "
        "nothing in a text encoder this small, so that holding them 1000 times as hard leaves little to be erased"
    )
    not_in_the_weights: ClassVar[str] = "the adapters are a guard beside the weights; merged=True puts them in"

    @property
    def suppression(self) -> bool:
        """Beside the weights, the concept is still in them."""
        return not self.merged

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any:
        """The guarded (or merged) handle. Raises BadInput as ``run`` does."""
        return self.run(model, request, seed=seed).model

    def run(
        self,
        model: Any,
        request: Request,
        *,
        seed: int = 0,
        engine: Engine | None = None,
        checkpoint: Path | None = None,
        progress: Progress = quiet,
    ) -> Outcome:
        """Train and keep the story. Raises BadInput when the request names no concept or the rank is below 1."""
        if self.rank < 1:
            raise BadInput(f"rank is {self.rank}: a membrane needs at least 1")
        frozen = FrozenImages(model, engine, request, seed)
        student = _Student(model, frozen.concept, self, seed)

        def step_loss(k: int) -> Loss:
            frozen.step = k
            return self.loss(student, frozen)

        file = None if checkpoint is None else Path(checkpoint) / self._file(model, request, seed)
        with pinned_threads(self.loop.threads):
            told = train(student, step_loss, self.loop, checkpoint=file, progress=progress)
        trained, base = student.membranes(detach=True), model.with_treatment(f"{self}, seed {seed}")
        result = trained.merged(base) if self.merged else _guarded(base, trained)
        derived = {"adapter parameters": float(sum(p.numel() for p in student.module.parameters()))}
        return Outcome(result, derived, (), told.steps, told.stopped)

    def loss(self, student: Any, frozen: FrozenImages) -> Loss:
        """L_e and the weighted L_a from one pass of the network, and one without gradients for the anchors."""
        import torch

        recipe = Trajectories(self.trajectories, self.sampling_steps, self.guidance, frozen.seed)
        prompts = filled(self.templates, frozen.concept)
        at = frozen.trajectories(prompts, recipe).draw(frozen.step, self.batch, frozen.seed)
        base = student.base
        with torch.no_grad():
            named, z = base.embed(at.prompts), anchors(base.embed(prompts), self.anchors, frozen.dice("anchors"))
            rows = [i % len(at.x) for i in range(len(z))]
            before = base.output(at.x[rows], at.t[rows], z)
            target = self._target(base, at)
        everything = torch.cat([at.x, at.x[rows]]), torch.cat([at.t, at.t[rows]])
        with student.membranes().at(base, torch.ones(len(everything[0]))):
            said = base.output(*everything, join([named, z]))
        error = (said - torch.cat([target, before])) * base.schedule.noise_scale(everything[1], said)
        erase, hold = error[: len(at.x)].square().mean(), error[len(at.x) :].square().mean()
        return Loss(erase, self.anchoring * hold if self.anchoring else None)

    def _target(self, base: Any, at: Tuples) -> torch.Tensor:
        """s - eta (c - s) as the network's own output; without gradient."""
        if not self.surrogate:
            return away(at.unconditional, at.conditional, self.eta)
        surrogate = base.output(at.x, at.t, base.embed([self.surrogate] * len(at.x)))
        return away(surrogate, at.conditional, self.eta)

    def _file(self, model: Any, request: Request, seed: int) -> str:
        from ...core.types import digest

        return f"training-{digest([self, seed, model.fingerprint, request.concept])}.safetensors"

    def __str__(self) -> str:
        where = "merged" if self.merged else "beside the weights"
        return f"spm ({where}, {self.loop.steps} steps at {self.loop.learning_rate:g})"


def anchors(concept: Embedded, n: int, dice: Dice) -> Embedded:
    """n random embeddings: Gaussian, each as long as a concept's embedding up to 20 %, rarely in its direction."""
    import torch

    parts = []
    for like in (concept.hidden, concept.pooled):
        if like is None:
            parts.append(None)
            continue
        flat, kept = like.float().flatten(1), []
        while len(kept) < n:
            of = flat[len(kept) % len(flat)]
            z = torch.nn.functional.normalize(dice.noise(of.shape, of.device), dim=0)
            chance, size = dice.uniform(2).tolist()
            if chance <= 1 - float(z @ torch.nn.functional.normalize(of, dim=0)):
                kept.append(z * of.norm() * (0.8 + 0.4 * size))
        parts.append(torch.stack(kept).reshape(n, *like.shape[1:]).to(like.dtype))
    return Embedded(parts[0], parts[1], ("",) * n)


class _Student:
    """Adapters in training over the caller's tensors, which take no gradient; what the loop asks of a handle."""

    def __init__(self, model: Any, concept: str, settings: SPM, seed: int) -> None:
        import torch
        from torch import nn

        self.base, self.concept, self.settings = adapters.shared(model), concept, settings
        self.names = tuple(site.name for kind in KINDS for site in model.sites(kind))
        shapes = [self.base.module.get_submodule(n).weight.shape for n in self.names]
        dice, rank = Dice(seed, 0, "spm"), settings.rank
        down = [(2 * dice.uniform(rank * i) - 1).reshape(rank, i) * (3 / i) ** 0.5 for _, i in shapes]
        self.module = nn.ModuleDict(
            {
                "up": nn.ParameterList(nn.Parameter(torch.zeros(o, rank)) for o, _ in shapes),
                "down": nn.ParameterList(nn.Parameter(d) for d in down),
            }
        ).to(model.device)
        self.device = model.device

    def membranes(self, detach: bool = False) -> Membranes:
        """The adapters as they are."""
        up, down = (tuple(p.detach().clone() if detach else p for p in self.module[k]) for k in ("up", "down"))
        s = self.settings
        return Membranes(self.concept, (self.concept,), self.names, up, down, s.alpha / s.rank, s.calibrated)

    def weights_changed(self) -> None:
        """The base is as it was; nothing keeps a hash of the adapters while they are trained."""


def _guarded(base: Any, trained: Membranes) -> Any:
    """The handle behind one more guard, told of once in its history."""
    return type(base)(base.pipeline, name=base.name, treatments=base.treatments, guards=(*base.guards, trained))
