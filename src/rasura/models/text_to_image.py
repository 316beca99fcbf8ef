"""The handle of a text-to-image model: a diffusers pipeline with a U-Net and CLIP text encoders.

Stable Diffusion 1.x and 2.x and SDXL, epsilon and v prediction. Everything the house asks of such a model goes through
this file: prompts and their embeddings, the network's output, sampling by DDIM with one seed a picture, pictures to
latents and back, a content fingerprint, cloning, saving for plain diffusers. Nothing of the pipeline is rewritten:
guards hang on the handle, soft words and activations go through hooks.

Latents are (B, c, h, w); pictures going in are (B, 3, H, W) in [-1, 1], coming out in [0, 1].
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, NotYetSupported
from ..core.types import Sample, Samples, Site
from . import _prompts, _unet_sites
from ._fingerprint import pipeline_fingerprint, short_hash
from ._pipelines import load_pipeline, save_pipeline
from ._prompts import Embedded, Tokens
from ._schedule import Schedule

if TYPE_CHECKING:
    import torch

Steer = Callable[["torch.Tensor", int, int], "torch.Tensor"]  # (x_t, index of the step, t) -> guided output


class TextToImage:
    """A text-to-image pipeline.

    ``guards``: inference-time treatments in force. A guard may have ``rewrite(model, embedded) -> Embedded``, which sees
    every prompt after the text encoders (with ``also_nothing`` the unconditional branch as well), and
    ``steer(model, embedded, guidance, steps) -> Steer``, which replaces classifier-free guidance, and
    ``around(model, embedded)``, a context in which every pass of the network runs, for hooks; all are asked through this
    handle, so whoever uses it meets the guarded model.
    ``treatments``: descriptions of what was done since loading, part of the record.
    """

    modality = "images"

    def __init__(
        self, pipeline: Any, *, name: str = "model", treatments: tuple[str, ...] = (), guards: tuple[Any, ...] = ()
    ) -> None:
        from torch import nn

        self.pipeline = pipeline
        self.name, self.treatments, self.guards = name, treatments, guards
        self.unet, self.vae = pipeline.unet.eval(), pipeline.vae.eval()
        self.encoders = [e.eval() for e in (pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)) if e]
        self.tokenizers = [t for t in (pipeline.tokenizer, getattr(pipeline, "tokenizer_2", None)) if t]
        names = ("text_encoder", "text_encoder_2")
        self.module = nn.ModuleDict({"unet": self.unet, **dict(zip(names, self.encoders, strict=False))})
        self.schedule = Schedule.of(pipeline.scheduler, name)
        self._tokens: dict[str, Tokens] = {}

    @classmethod
    def load(
        cls,
        path: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> TextToImage:
        """A pipeline by folder or hub id. Raises BadInput, UnsafeModel, NotYetSupported (transformer-based ones)."""
        pipeline = load_pipeline(
            path, device=device, dtype=dtype, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
        )
        return cls(pipeline, name=str(path))

    # what it is

    @property
    def fingerprint(self) -> str:
        """Hash of every tensor's bytes and dtype, the configurations, the tokenizers, and the guards in force."""
        guards = [repr(guard) for guard in self.guards]
        return short_hash([self._weights_fingerprint, guards]) if guards else self._weights_fingerprint

    @cached_property
    def _weights_fingerprint(self) -> str:
        return pipeline_fingerprint(self)

    def weights_changed(self) -> None:
        """Forget the hash: weights were changed in place by whoever owns this handle."""
        self.__dict__.pop("_weights_fingerprint", None)

    @cached_property
    def vocabulary_hash(self) -> str:
        """Two models with one hash read prompts the same way."""
        return short_hash([sorted(t.get_vocab().items()) for t in self.tokenizers])

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.unet.parameters()).dtype

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @property
    def architecture(self) -> str:
        return type(self.pipeline).__name__

    @property
    def base(self) -> Any:
        """The trainable networks: ``unet`` and the text encoders, in one module."""
        return self.module

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads a record about this model should know."""
        if getattr(self.pipeline, "safety_checker", None) is None:
            return ()
        return (
            "the pipeline has a safety checker: it was not run, pictures are looked at as the U-Net draws them; "
            "saving keeps it",
        )

    @property
    def vocabulary_size(self) -> int:
        return len(self.tokenizers[0].get_vocab())

    def named_parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        return self.module.named_parameters()

    @property
    def resolution(self) -> int:
        """Side of a picture in pixels."""
        return int(self.unet.config.sample_size) * self.pipeline.vae_scale_factor

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one latent."""
        side = int(self.unet.config.sample_size)
        return int(self.unet.config.in_channels), side, side

    def sites(self, kind: str) -> Sequence[Site]:
        """Named places; see models/_unet_sites.py. Raises NotYetSupported when none is found."""
        return _unet_sites.find(self.module, kind)

    def clone(self) -> TextToImage:
        """An independent copy of the networks that can be trained; the VAE, which nothing changes, is shared."""
        parts = {name: copy.deepcopy(part) for name, part in self.module.items()}
        pipeline = type(self.pipeline)(**{**self.pipeline.components, **parts, **_pipeline_flags(self.pipeline)})
        return TextToImage(pipeline, name=self.name, treatments=self.treatments, guards=self.guards)

    def with_treatment(self, description: str) -> TextToImage:
        """The same weights with one more line in their history."""
        return TextToImage(
            self.pipeline, name=self.name, treatments=(*self.treatments, description), guards=self.guards
        )

    def with_guard(self, guard: Any) -> TextToImage:
        """The same weights behind one more guard; the caller's handle is not guarded."""
        return TextToImage(
            self.pipeline, name=self.name, treatments=(*self.treatments, str(guard)), guards=(*self.guards, guard)
        )

    def save(self, folder: str) -> None:
        """The pipeline as plain diffusers loads it, weights as safetensors. Raises BadInput while guards are in force."""
        if self.guards:
            raise BadInput(
                f"{', '.join(str(g) for g in self.guards)}: a guard is not in the weights, so it cannot be saved with them"
            )
        save_pipeline(self.pipeline, folder)

    # prompts

    def tokens(self, prompt: str) -> Tokens:
        """A prompt under the first tokenizer. Raises BadInput when it is too long."""
        if prompt not in self._tokens:
            self._tokens[prompt] = _prompts.tokens(self.tokenizers[0], prompt)
        return self._tokens[prompt]

    def span(self, prompt: str, phrase: str) -> range:
        """Positions of a phrase's tokens in a prompt, empty when it is not in it."""
        return _prompts.span(self.tokenizers[0], prompt, phrase)

    def encode_prompts(self, prompts: Sequence[str]) -> Embedded:
        """What the text encoders answer, before any guard: gradients reach the encoders' weights."""
        return self.encode_ids([self._ids(tokenizer, prompts) for tokenizer in self.tokenizers], prompts)

    def _ids(self, tokenizer: Any, prompts: Sequence[str]) -> torch.Tensor:
        import torch

        first = tokenizer is self.tokenizers[0]
        rows = [(self.tokens(p) if first else _prompts.tokens(tokenizer, p)).ids for p in prompts]
        return torch.tensor(rows, dtype=torch.long, device=self.device)

    def encode_ids(
        self,
        ids: Sequence[torch.Tensor],
        prompts: Sequence[str] | None = None,
        vectors: Sequence[torch.Tensor] | None = None,
        where: torch.Tensor | None = None,
    ) -> Embedded:
        """As ``encode_prompts`` from token ids, (B, L) a text encoder; soft words as in ``_prompts.encode``."""
        import torch

        soft = vectors or [None] * len(self.encoders)
        answers = [_prompts.encode(e, i, v, where) for e, i, v in zip(self.encoders, ids, soft, strict=True)]
        named = tuple(prompts) if prompts is not None else ("",) * len(ids[0])
        if len(answers) == 1:
            return Embedded(answers[0].last_hidden_state, None, named)
        hidden = torch.cat([a.hidden_states[-2] for a in answers], dim=-1)  # SDXL reads the layer before the last
        return Embedded(hidden, answers[-1].text_embeds, named)

    def guarded(self, embedded: Embedded) -> Embedded:
        """Embeddings after the guards that rewrite them."""
        for guard in self.guards:
            if hasattr(guard, "rewrite"):
                embedded = guard.rewrite(self, embedded)
        return embedded

    def embed(self, prompts: Sequence[str]) -> Embedded:
        """Prompts as cross-attention reads them: text encoders, then guards."""
        return self.guarded(self.encode_prompts(prompts))

    def nothing(self, n: int = 1) -> Embedded:
        """The unconditional branch: the empty prompt, or zeros where the pipeline was made so (SDXL)."""
        empty = self.encode_prompts([""])
        if self.pipeline.config.get("force_zeros_for_empty_prompt", False):
            empty = Embedded(empty.hidden * 0, None if empty.pooled is None else empty.pooled * 0, empty.prompts)
        for guard in self.guards:
            if getattr(guard, "also_nothing", False):
                empty = guard.rewrite(self, empty)
        return empty.rows([0] * n)

    # the network

    def output(self, x: torch.Tensor, t: Any, embedded: Embedded) -> torch.Tensor:
        """The U-Net's raw output (epsilon or v) at x_t: (B, c, h, w) float32. ``t``: an integer or (B,) integers."""
        import torch

        steps = torch.as_tensor(t, device=self.device).reshape(-1).expand(len(x))
        more = {}
        if embedded.pooled is not None:
            size = torch.tensor([self.resolution, self.resolution, 0, 0, self.resolution, self.resolution])
            ids = size.to(self.device, self.dtype).expand(len(x), -1)
            more = {"added_cond_kwargs": {"text_embeds": embedded.pooled.to(self.dtype), "time_ids": ids}}
        hidden = embedded.hidden.to(self.dtype)
        with ExitStack() as guards:
            for guard in self.guards:
                if hasattr(guard, "around"):
                    guards.enter_context(guard.around(self, embedded))
            return self.unet(x.to(self.dtype), steps, encoder_hidden_states=hidden, **more).sample.float()

    def noise(self, x: torch.Tensor, t: Any, embedded: Embedded) -> torch.Tensor:
        """eps_theta(x_t, t, c): the predicted noise, whatever the network predicts."""
        return self.schedule.noise_of(self.output(x, t, embedded), x, t)

    def both(self, x: torch.Tensor, t: Any, embedded: Embedded) -> tuple[torch.Tensor, torch.Tensor]:
        """(unconditional, conditional) outputs, from one forward pass of twice the rows."""
        import torch

        twice = torch.as_tensor(t, device=self.device).reshape(-1).expand(len(x)).repeat(2)
        text = _prompts.join([self.nothing(len(x)), embedded])
        unconditional, conditional = self.output(torch.cat([x, x]), twice, text).chunk(2)
        return unconditional, conditional

    def steer(self, embedded: Embedded, guidance: float, steps: int) -> Steer:
        """How one sampling run guides itself: the last guard that has an opinion, else classifier-free guidance."""
        for guard in reversed(self.guards):
            if hasattr(guard, "steer"):
                return guard.steer(self, embedded, guidance, steps)
        return self.classifier_free(embedded, guidance)

    def classifier_free(self, embedded: Embedded, guidance: float) -> Steer:
        """u + w (c - u) (Ho and Salimans 2022); guidance 1 is the conditional output alone."""

        def guided(x: torch.Tensor, i: int, t: int) -> torch.Tensor:
            if guidance == 1:
                return self.output(x, t, embedded)
            unconditional, conditional = self.both(x, t, embedded)
            return unconditional + guidance * (conditional - unconditional)

        return guided

    def sample(
        self,
        embedded: Embedded,
        seeds: Sequence[int],
        *,
        steps: int = 20,
        guidance: float = 4.0,
        watch: Callable[[int, int, torch.Tensor, torch.Tensor], None] | None = None,
        stop: int | None = None,
    ) -> torch.Tensor:
        """Latents drawn by DDIM (eta 0), row i from the noise of ``seeds[i]``: (B, c, h, w).

        ``watch(i, t, x_t, output)`` is called before every step moves. ``stop``: number of steps taken (all of them if
        None). Gradients flow when the caller lets them.
        """
        return self.denoise(self.start(seeds), embedded, steps=steps, guidance=guidance, watch=watch, stop=stop)

    def denoise(
        self,
        x: torch.Tensor,
        embedded: Embedded,
        *,
        first: int = 0,
        steps: int = 20,
        guidance: float = 4.0,
        watch: Callable[[int, int, torch.Tensor, torch.Tensor], None] | None = None,
        stop: int | None = None,
    ) -> torch.Tensor:
        """The sampling steps ``first`` to ``stop`` of ``steps`` from latents x at the noise level of step ``first``."""
        steer = self.steer(embedded, guidance, steps)
        for i, t in list(enumerate(self.schedule.timesteps(steps)))[first:stop]:
            output = steer(x, i, t)
            if watch is not None:
                watch(i, t, x, output)
            x = self.schedule.move(output, x, t, self.schedule.before(t, steps))
        return x

    def start(self, seeds: Sequence[int]) -> torch.Tensor:
        """Standard normal latents, one seed a row, the same on every device and in every batch."""
        import torch

        rows = [torch.randn(self.latent_shape, generator=torch.Generator().manual_seed(int(s))) for s in seeds]
        return torch.stack(rows).to(self.device)

    # pictures

    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """The VAE's mean, scaled: pictures (B, 3, H, W) in [-1, 1] to (B, c, h, w) float32."""
        mean = self.vae.encode(pictures.to(self.device, self.vae.dtype)).latent_dist.mode().float()
        return (mean - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to pictures (B, 3, H, W) in [0, 1], float32."""
        scaled = latents / self.vae.config.scaling_factor + (self.vae.config.shift_factor or 0.0)
        return (self.vae.decode(scaled.to(self.vae.dtype)).sample.float() / 2 + 0.5).clamp(0, 1)

    def pictures(self, samples: Samples) -> torch.Tensor:
        """The samples' pictures as the VAE reads them: (B, 3, H, W) in [-1, 1]. Raises BadInput where one is missing."""
        import numpy as np
        import torch

        from ..data.pictures import pixels

        stacked = np.stack([pixels(s, self.resolution) for s in samples])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).float().to(self.device) / 127.5 - 1

    def width(self, sample: Sample) -> int:
        """Latent positions one sample takes in a batch."""
        return self.latent_shape[1] * self.latent_shape[2]

    def fit(self, samples: Samples, *, truncate: bool = False) -> Samples:
        """Samples the model can read: prompts within the encoder's width, pictures of its size.

        Raises BadInput otherwise, unless ``truncate``: then prompts are cut to their first tokens, and pictures are
        scaled and cropped when they are read.
        """
        if truncate:
            return Samples(self._cut(s) for s in samples)
        for s in samples:
            self.tokens(s.text)
            if s.picture is not None and {s.picture.width, s.picture.height} != {self.resolution}:
                raise BadInput(
                    f"record {s.id}: its picture is {s.picture.width} x {s.picture.height}, the model draws "
                    f"{self.resolution} x {self.resolution}; pass --truncate to scale and crop"
                )
        return samples

    def _cut(self, sample: Sample) -> Sample:
        from dataclasses import replace

        words = sample.text.split()
        while (
            len(_prompts.tokens(self.tokenizers[0], " ".join(words), truncate=True).words)
            >= (self.tokenizers[0].model_max_length - 2)
            and len(words) > 1
        ):
            words.pop()
        text = " ".join(words)
        return sample if text == " ".join(sample.text.split()) else replace(sample, text=text)

    def perturbed(self, noise: Any) -> Any:
        raise NotYetSupported("noise in the weights of a text-to-image model: no signal asks for it")


def _pipeline_flags(pipeline: Any) -> dict[str, Any]:
    """Constructor settings that are no components, such as SDXL's way with empty prompts."""
    known = ("requires_safety_checker", "force_zeros_for_empty_prompt")
    return {name: pipeline.config[name] for name in known if name in pipeline.config}
