"""How much of a card the expensive passes use: tokens or rows of the U-Net a second, and the share of its matrix-product peak.

    python benchmarks/accelerator.py                  # on a CUDA device: GPT-NeoX of 1.4 billion parameters, Stable Diffusion 1.5
    python benchmarks/accelerator.py --size small     # the same code on small shapes, anywhere

Weights are random (bfloat16 on a card, float32 elsewhere): speed does not depend on what a model has learnt. The peak is
measured, not the maker's: the best of a few products of two square matrices in the same precision. Operations are those
that ``torch.utils.flop_counter`` counts in the very run that is timed once before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from _side_by_side import texts
from diffusers import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from rasura.core.types import Sample, Samples
from rasura.models.causal_lm import CausalLM
from rasura.models.fresh import gpt_neox, wrap_tokenizer
from rasura.models.fresh_pipeline import clip_tokenizer, stable_diffusion
from rasura.models.noise import WeightNoise
from rasura.models.text_to_image import TextToImage
from rasura.observations.gradient_norms import GradientNorms
from rasura.observations.guidance_magnitude import GuidanceMagnitude
from rasura.observations.token_statistics import TokenStatistics
from rasura.testbeds._plants import corpus
from rasura.testbeds._tokenizer import train_tokenizer

REPEATS = 5


@dataclass(frozen=True)
class Shape:
    """What is built and how much of it is run."""

    hidden: int
    layers: int
    heads: int
    vocabulary: int
    length: int  # tokens a text, about
    batch: int
    widths: tuple[int, ...]  # channels of the U-Net's levels
    side: int  # of a latent picture
    caption_width: int
    captions: int
    square: int  # side of the matrices whose product measures the peak


SHAPES = {
    "full": Shape(2048, 24, 16, 50304, 1024, 16, (320, 640, 1280, 1280), 64, 768, 8, 8192),
    "small": Shape(64, 2, 4, 2048, 128, 8, (16, 32), 16, 32, 4, 512),
}


def language_model(shape: Shape, device: str, dtype: torch.dtype) -> CausalLM:
    """GPT-NeoX of this shape; the tokenizer knows fewer tokens than the matrix has rows."""
    tokenizer = wrap_tokenizer(train_tokenizer(corpus("tiny").background, 1024), context=2 * shape.length)
    handle = gpt_neox(
        tokenizer, hidden=shape.hidden, layers=shape.layers, heads=shape.heads, context=2 * shape.length, seed=0
    )
    handle.module.resize_token_embeddings(shape.vocabulary, mean_resizing=False)
    return CausalLM(handle.module.to(device, dtype), tokenizer)


def long_texts(handle: CausalLM, shape: Shape) -> Samples:
    """Generated passages joined until they fill the length."""
    parts, made = iter(texts(400)), []
    for i in range(shape.batch):
        text = ""
        while len(handle.tokenizer(text)["input_ids"]) < shape.length:
            text += next(parts, texts(1)[0]).text + "\n"
        made.append(Sample(str(i), text))
    return handle.fit(Samples(made), truncate=True)


def picture_model(shape: Shape, device: str, dtype: torch.dtype) -> TextToImage:
    """The U-Net of Stable Diffusion 1.5 in these widths, on pictures of three channels in place of four."""
    words = {word for text in texts(40).texts for word in text.split()}
    small = {"side": 8, "widths": (8,), "attention": (True,), "text_width": shape.caption_width, "text_layers": 2}
    pipeline = stable_diffusion(clip_tokenizer(words, 77), **small).pipeline
    crossed = len(shape.widths) - 1
    pipeline.unet = UNet2DConditionModel(
        sample_size=shape.side,
        in_channels=3,
        out_channels=3,
        block_out_channels=shape.widths,
        down_block_types=("CrossAttnDownBlock2D",) * crossed + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * crossed,
        layers_per_block=2,
        attention_head_dim=8,
        norm_num_groups=min(32, min(shape.widths) // 2),
        cross_attention_dim=shape.caption_width,
    )
    return TextToImage(pipeline.to(device, dtype))


def operations_a_second(shape: Shape, device: str, dtype: torch.dtype) -> float:
    """The best of some products of two square matrices."""
    a, b = (torch.randn(shape.square, shape.square, device=device, dtype=dtype) for _ in range(2))
    return 2.0 * shape.square**3 / min(seconds(lambda: a @ b, device) for _ in range(3 * REPEATS))


def seconds(run: Callable[[], object], device: str) -> float:
    """Wall-clock time until the device is done."""
    began = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def report(what: str, unit: str, amount: int, run: Callable[[], object], device: str, peak: float) -> None:
    """One line: amount a second (median and range over repeats) and the share of the peak."""
    with FlopCounterMode(display=False) as counter:
        run()
    times = sorted(seconds(run, device) for _ in range(REPEATS))
    median = times[REPEATS // 2]
    share = counter.get_total_flops() / median / peak
    spread = f"{amount / times[-1]:,.0f} to {amount / times[0]:,.0f}"
    print(f"  {what:34s} {amount / median:12,.0f} {unit} a second  range {spread:24s} {share:6.1%} of the peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="full")
    shape = SHAPES[parser.parse_args().size]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    peak = operations_a_second(shape, device, dtype)
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{where}, {dtype}: {peak / 1e12:.2f} TFLOP/s in a matrix product, {REPEATS} repeats")

    handle = language_model(shape, device, dtype)
    samples = long_texts(handle, shape)
    tokens = sum(handle.width(s) for s in samples)
    print(f"GPT-NeoX of {handle.parameters / 1e6:,.1f} million parameters, {len(samples)} texts, {tokens:,} tokens")
    ids, mask = handle.batch([handle.encode(s) for s in samples])

    def bare() -> None:
        with torch.inference_mode():
            handle.base.base_model(input_ids=ids, attention_mask=mask, use_cache=False)

    def perturbed() -> None:
        with handle.perturbed(WeightNoise(0.005, 0)) as noisy:
            TokenStatistics().measure(noisy, samples)

    for what, run in {
        "forward pass without the head": bare,
        "token statistics": lambda: TokenStatistics().measure(handle, samples),
        "token statistics under noise": perturbed,
        "gradient norms": lambda: GradientNorms().measure(handle, samples),
    }.items():
        report(what, "tokens", tokens, run, device, peak)

    pictures = picture_model(shape, device, dtype)
    captions = texts(shape.captions)
    asked = GuidanceMagnitude(n=1, steps=5, total=5)
    rows = asked.rows * asked.steps * len(captions)
    print(f"U-Net of {sum(p.numel() for p in pictures.unet.parameters()) / 1e6:,.1f} million parameters, {rows} rows")
    report("guidance magnitude", "rows", rows, lambda: asked.measure(pictures, captions), device, peak)


if __name__ == "__main__":
    main()
