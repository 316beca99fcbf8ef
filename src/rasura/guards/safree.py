"""Soften the words of a prompt that pull towards a forbidden subspace, for as many steps as needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Request
from ..models import _prompts
from ..observations._engine import Engine, Progress, quiet
from ._math import PUBLISHED_STEPS, Guarded, phrase_of

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded
    from ..models.text_to_image import Steer


class Reading(NamedTuple):
    """What the guard makes of one prompt."""

    hidden: torch.Tensor  # (L, d): the embedding with trigger words projected
    triggers: tuple[int, ...]  # words of the prompt, from 0
    beta: float  # how far the projection would move the prompt's words


@method(paper="arXiv:2410.12761")
@dataclass(frozen=True)
class Safree:
    """Trigger words projected off the concept's subspace for the first t' steps, found without training.

        P_C = C C^+,   C = [pooled embeddings of the phrases]  (d, k);      P_I likewise of p_1 .. p_n
        d_i = || (I - P_C) p_i ||,   p_i = pooled embedding of the prompt with word token i masked
        i is a trigger iff d_i >= (1 + alpha) mean_{j != i} d_j;   there   e_i <- (I - P_C) P_I e_i
        beta = 1 - mean_i cos((I - P_C) P_I e_i, e_i) over the word tokens
        t' = round(sigmoid(2 k (10 beta - m)) longest),  counted in steps of 50 and scaled to the run's number of steps

    alpha = ``alpha``, k = ``sharpness``, m = ``middle``, ``longest`` = 10. ``phrases`` (none: the request's concept) span the
    subspace; e_i is row i of what cross-attention reads. After t' steps the prompt's own embedding is used. Masking puts
    "!" (or the unknown token, where it is not the end token) in the word's place. Pooled is the output at the first end
    token, in SDXL of both encoders side by side, so that pooled and word vectors live in one space.

    The authors' (k, m) are (2.5, 5.333), for artists (3.5, 5.5), measured on their encoder. ``middle`` None is calibrated:
    the smallest m for which every retain prompt that does not name a phrase gets t' <= 1 in a run of 50 (BadInput when
    there is none). A prompt known only as an embedding (soft words) has no words to mask and is left alone. In
    a prompt of one word, which has no others to compare with, the word is a trigger if masking it raises d.
    BadInput unless alpha >= 0, k > 0 and 0 <= longest <= 50.

    Source: Yoon, Yu, Patil, Yao and Bansal, "SAFREE: Training-free and adaptive guard for safe text-to-image and video
    generation", ICLR 2025. Deviations: the latent re-attention (its last step, a no-op as shipped) is left out; public
    scripts always add a negative prompt besides, here the unconditional branch stays the empty prompt; SDXL's separate
    pooled vector is passed on unchanged. Tokens after the words carry the concept too and are not softened, as in the
    paper.

    By hand: three words with d = (1, 1, 1.3), alpha = .01: only the last is above 1.01 times the mean of the others.

    >>> triggers([1.0, 1.0, 1.3], 0.01), Safree(middle=5.0).softened(0.5, 20)
    ((2,), 2)
    """

    phrases: tuple[str, ...] = ()
    alpha: float = 0.01
    sharpness: float = 2.5
    middle: float | None = 5.333
    longest: float = 10.0

    modality: ClassVar[str] = "images"
    suppression: ClassVar[bool] = True
    testbed_settings: ClassVar[Mapping[str, float]] = {"longest": 50.0, "middle": 0.0}
    testbed_reason: ClassVar[str] = (
        "in a testbed's encoder beta is .2 to .5 for prompts with the concept and .2 for others: no m between them keeps the "
        "filter on for one and off for the other, so it is on for all steps of all prompts"
    )
    leaves_direct_prompts: ClassVar[tuple[str, float]] = (
        "end and padding tokens carry the concept too and are not softened: even always on, it does not lower the rate there",
        1.05,
    )

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.sharpness <= 0:
            raise BadInput(f"safree: expected alpha >= 0 and sharpness > 0, got {self.alpha} and {self.sharpness}")
        if not 0 <= self.longest <= PUBLISHED_STEPS:
            raise BadInput(f"safree: longest is {self.longest}, expected 0 to {PUBLISHED_STEPS} steps of 50")

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any:
        """A guarded handle on the same weights; nothing is drawn, so ``seed`` has no effect. Raises BadInput."""
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
    ) -> Guarded:
        """As ``apply``, with its story: the m in force, and beta averaged over the forget prompts."""
        guard = replace(self, phrases=self.phrases or (phrase_of(None, request, "safree"),))
        if guard.middle is None:
            guard = replace(guard, middle=guard._calibrated(model, request))
        readings = guard._read(model, request.forget.texts) if request.forget else []
        derived = {"middle": float(guard.middle or 0.0)}
        if readings:
            derived["beta"] = sum(r.beta for r in readings) / len(readings)
        return Guarded(model.with_guard(guard), derived)

    def softened(self, beta: float, steps: int) -> int:
        """t' of a run of ``steps``."""
        share = 1 / (1 + math.exp(-max(-500.0, min(500.0, 2 * self.sharpness * (10 * beta - (self.middle or 0.0))))))
        return round(share * self.longest * steps / PUBLISHED_STEPS)

    def steer(self, model: Any, embedded: Embedded, guidance: float, steps: int) -> Steer:
        """Guidance on the softened embedding until each row's t', then on its own."""
        import torch

        known = [p for p in dict.fromkeys(embedded.prompts) if p]
        read = dict(zip(known, self._read(model, known), strict=True)) if known else {}
        soft = [read[p].hidden if p in read else row for p, row in zip(embedded.prompts, embedded.hidden, strict=True)]
        ends = [self.softened(read[p].beta, steps) if p in read else 0 for p in embedded.prompts]
        until = torch.tensor(ends, device=embedded.hidden.device)[:, None, None]
        filtered = torch.stack([row.to(embedded.hidden.dtype) for row in soft])

        def guided(x: torch.Tensor, i: int, t: int) -> torch.Tensor:
            now = embedded.with_hidden(torch.where(until > i, filtered, embedded.hidden))
            return model.classifier_free(now, guidance)(x, i, t)

        return guided

    def _read(self, model: Any, prompts: Sequence[str]) -> list[Reading]:
        import torch

        with torch.no_grad():
            forbidden = _projector(torch.cat([_pooled(model, [p]) for p in self.phrases]))
            return [self._reading(model, p, forbidden) for p in prompts]

    def _reading(self, model: Any, prompt: str, forbidden: torch.Tensor) -> Reading:
        import torch

        own = model.encode_prompts([prompt]).hidden[0].float()
        words = list(model.tokens(prompt).words)
        if not words:
            return Reading(own, (), 0.0)
        masked = _pooled(model, [prompt] * len(words), words)
        off = torch.eye(len(forbidden), device=own.device) - forbidden
        distances = (masked @ off).norm(dim=-1).tolist()
        if len(words) == 1:
            found = (0,) if distances[0] >= (1 + self.alpha) * float((own[words[0] + 1] @ off).norm()) else ()
        else:
            found = triggers(distances, self.alpha)
        moved = own[words] @ _projector(masked) @ off  # both projectors are symmetric
        beta = 1 - float(torch.nn.functional.cosine_similarity(moved, own[words], dim=-1).mean())
        hidden = own.clone()
        for i in found:
            hidden[words[i]] = moved[i]
        return Reading(hidden, found, beta)

    def _calibrated(self, model: Any, request: Request) -> float:
        """The smallest m with round(10 sigmoid(2k(10 beta - m))) <= 1 on every benign prompt."""
        benign = [s.text for s in request.retain if not any(model.span(s.text, p) for p in self.phrases)]
        if not benign:
            raise BadInput(
                "safree: middle none is calibrated on retain prompts that do not name the concept: give some"
            )
        largest = max(r.beta for r in self._read(model, benign))
        highest = min(1.49 / self.longest, 1 - 1e-9) if self.longest else 0.5  # rounds to 1
        return 10 * largest - math.log(highest / (1 - highest)) / (2 * self.sharpness)


def triggers(distances: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Which entries stand out: at least (1 + alpha) times the mean of the others. Needs two or more entries."""
    total, n = sum(distances), len(distances)
    return tuple(i for i, d in enumerate(distances) if d >= (1 + alpha) * (total - d) / (n - 1))


def _projector(rows: torch.Tensor) -> torch.Tensor:
    """The orthogonal projector (d, d) on the span of rows (k, d)."""
    import torch

    return (torch.linalg.pinv(rows.double()) @ rows.double()).to(rows.dtype)


def _pooled(model: Any, prompts: Sequence[str], masked: Sequence[int] | None = None) -> torch.Tensor:
    """Output at the first end token of each prompt, (B, d) float32; ``masked``: a token position to hide in each."""
    import torch

    read = [[_prompts.tokens(tokenizer, p) for p in prompts] for tokenizer in model.tokenizers]
    ids = [torch.tensor([r.ids for r in rows], device=model.device) for rows in read]
    if masked is not None:
        for tokenizer, part in zip(model.tokenizers, ids, strict=True):
            part[torch.arange(len(prompts)), torch.as_tensor(masked)] = _mask_id(tokenizer)
    ends = torch.tensor([r.end for r in read[0]])
    return model.encode_ids(ids).hidden[torch.arange(len(prompts)), ends].float()


def _mask_id(tokenizer: Any) -> int:
    """The token put in a word's place: "!", which CLIP's vocabularies begin with, or the unknown token."""
    found = tokenizer.get_vocab().get("!")
    if found is not None:
        return int(found)
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown == tokenizer.eos_token_id:
        raise BadInput('safree: this tokenizer has neither "!" nor an unknown token to put in the place of a word')
    return int(unknown)
