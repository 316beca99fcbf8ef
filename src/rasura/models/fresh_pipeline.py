"""New, untrained Stable Diffusion pipelines of the standard classes, for testbeds.

The VAE is the identity, exactly (to 1e-6): the pipeline is latent diffusion whose latents are the pictures, so that
nothing but the U-Net and the text encoder has to be trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ._pipelines import library
from .text_to_image import TextToImage

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS_APART = 10.0  # words start this much further apart than CLIP's; a few hundred steps are too short to part them
LARGE = 1000.0  # next to it, pictures in [-1, 1] do not move a group norm


def clip_tokenizer(words: Iterable[str], width: int) -> Any:
    """A transformers ``CLIPTokenizer`` reading ``width`` positions: a known word is one token, others fall to pieces."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=20000,
        min_frequency=1,
        end_of_word_suffix="</w>",
        initial_alphabet=alphabet,
        special_tokens=[*alphabet, *(f"{a}</w>" for a in alphabet)],  # fixed ids break ties, else chance does
        show_progress=False,
    )
    learner.train_from_iterator(sorted(set(words)), trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    pieces = [*alphabet, *(f"{a}</w>" for a in alphabet), *("".join(pair) for pair in merges)]
    entries = [*dict.fromkeys(pieces), START, END]
    return CLIPTokenizer(
        vocab={piece: i for i, piece in enumerate(entries)},
        merges=merges,
        model_max_length=width,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
    )


def stable_diffusion(
    tokenizer: Any,
    *,
    side: int,
    widths: Sequence[int],
    attention: Sequence[bool],
    text_width: int,
    text_layers: int,
    heads: int = 4,
    seed: int = 0,
    name: str = "stable-diffusion",
) -> TextToImage:
    """StableDiffusionPipeline on ``side`` x ``side`` pictures, v prediction, DDIM, weights drawn from ``seed``.

    ``widths``: channels of the U-Net's levels, each half the size of the one before; ``attention``: which of them have
    cross-attention. The middle of the network always has it.
    """
    import torch
    from transformers import CLIPTextModel

    diffusers = library()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = CLIPTextModel(_text_config(tokenizer, text_width, text_layers, heads))
        with torch.no_grad():
            encoder.get_input_embeddings().weight.mul_(WORDS_APART)
        unet = _unet(side, widths, attention, text_width, heads)
        pipeline = diffusers.StableDiffusionPipeline(
            vae=identity_vae(side),
            text_encoder=encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return TextToImage(pipeline, name=name)


def _unet(side: int, widths: Sequence[int], attention: Sequence[bool], text_width: int, heads: int) -> Any:
    kinds = ["CrossAttn" if has else "" for has in attention]
    return library().UNet2DConditionModel(
        sample_size=side,
        in_channels=3,
        out_channels=3,
        block_out_channels=tuple(widths),
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        layers_per_block=1,
        attention_head_dim=heads,  # diffusers reads it as the number of heads
        norm_num_groups=8,
        cross_attention_dim=text_width,
    )


def _scheduler() -> Any:
    """Sampling starts at pure noise ("trailing"), where a network that predicts v has something to say."""
    return library().DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        clip_sample=False,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
        set_alpha_to_one=True,
    )


def _text_config(tokenizer: Any, width: int, layers: int, heads: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def identity_vae(side: int) -> Any:
    """An ``AutoencoderKL`` of the standard class that gives back its picture; max error about 1e-6.

    Channels 0-2 carry x, 3-5 carry -x, and 6, 7 carry +K, -K, which pins the mean of the only group norm to 0 and its
    deviation to K / 2, undone by the norm's weight; the activation is undone by SiLU(a) - SiLU(-a) = a.
    """
    import torch

    vae = library().AutoencoderKL(
        block_out_channels=(8,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        layers_per_block=1,
        norm_num_groups=1,
        latent_channels=3,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        sample_size=side,
    )
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            if ".conv2." in name:  # residual blocks add nothing
                parameter.zero_()
        for half in (vae.encoder, vae.decoder):
            _carry(half)
        vae.encoder.conv_out.bias[3:] = -30.0  # log-variance
        for conv, channels in ((vae.quant_conv, 6), (vae.post_quant_conv, 3)):
            conv.weight.copy_(torch.eye(channels)[:, :, None, None])
            conv.bias.zero_()
    return vae.requires_grad_(False).eval()


def _carry(half: Any) -> None:
    import torch

    for conv in (half.conv_in, half.conv_out):
        conv.weight.zero_()
        conv.bias.zero_()
    for c in range(3):
        half.conv_in.weight[[c, c + 3], c, 1, 1] = torch.tensor([1.0, -1.0])
        half.conv_out.weight[c, [c, c + 3], 1, 1] = torch.tensor([1.0, -1.0])
    half.conv_in.bias[6:] = torch.tensor([LARGE, -LARGE])
    half.conv_norm_out.weight.fill_(LARGE / 2)
    half.conv_norm_out.bias.zero_()
