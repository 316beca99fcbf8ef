"""What can be wrong with a text-to-image model, its pictures and its judge: one clear line, or degraded as designed."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import _tiny_pipelines
from rasura._audit import audit
from rasura._erase import erase
from rasura._guided import unguided
from rasura._inputs import Everything
from rasura.cli import main
from rasura.core.errors import BadInput
from rasura.core.registry import get
from rasura.core.types import Ask, Request, Sample, Samples
from rasura.data.pictures import write_picture
from rasura.models.judges import NONE, Judge
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.observations.generated_images import GeneratedImages

SIDE = 16


def folder_of(place: Path, seed: int = 0, side: int = SIDE, n: int = 3) -> Path:
    """An image folder of random pictures with captions."""
    rng = np.random.default_rng(seed)
    colours = ("red", "blue", "green")
    for i in range(n):
        write_picture(rng.integers(0, 256, (side, side, 3), dtype=np.uint8), place / f"{i}.png")
        (place / f"{i}.txt").write_text(f"a {colours[i % 3]} {'cat' if seed else 'dog'} {'the ' * (i // 3)}")
    return place


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    _tiny_pipelines.sd1().save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """One command; what it printed on standard error, after exit code 2 and one line."""
    monkeypatch.setenv("RASURA_CACHE", str(tmp_path / "cache"))

    def go(*words: object) -> str:
        capsys.readouterr()  # what making the model printed
        with pytest.raises(SystemExit) as ended:
            main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert ended.value.code == 2 and out == "" and err.strip().count("\n") == 0, err
        return err

    return go


def judge_of(*classes: str) -> Judge:
    from rasura.models._judge_networks import picture_net

    torch.manual_seed(0)
    heads = {"shape": len(classes) + 1}
    return Judge(picture_net()(side=8, width=4, heads=heads), {"shape": (*classes, NONE)}, name="shapes")


def test_unknown_prediction_type(run, tmp_path):
    pipeline = _tiny_pipelines.sd1()
    pipeline.scheduler.register_to_config(prediction_type="flow_matching")
    pipeline.save_pretrained(tmp_path / "m", safe_serialization=True)
    said = run("erase", tmp_path / "m", "--concept", "ring", "--out", tmp_path / "o")
    assert "prediction_type 'flow_matching'; known are epsilon and v_prediction" in said


class Untrained(TextToImage):
    """Knows its pictures (they are black) by any caption, and answers nonsense to the empty prompt."""

    def output(self, x, t, embedded):
        a = self.schedule.alpha(t, x)
        eps = (x + a.sqrt()) / (1 - a).sqrt()  # exact where every latent is -1
        empty = torch.tensor([float(p == "") for p in embedded.prompts]).reshape(-1, 1, 1, 1)
        return eps + empty

    def latents(self, pictures):
        return super().latents(pictures) * 0 - 1


class Trained(Untrained):
    """The same with an unconditional branch."""

    def output(self, x, t, embedded):
        return super().output(x, t, type(embedded)(embedded.hidden, embedded.pooled, ("a",) * len(x)))


def test_no_unconditional_training(tmp_path):
    words = [f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("ring", "cross", "star", "dog")]
    rng = np.random.default_rng(0)

    def side(name: str) -> Samples:
        shown = (write_picture(rng.integers(0, 256, (SIDE, SIDE, 3)), tmp_path / f"{name}{i}.png") for i in range(12))
        return Samples(
            Sample(f"{name}{i}", f"{w} {name}", picture=p) for i, (w, p) in enumerate(zip(words, shown, strict=True))
        )

    models, sides = [kind(_tiny_pipelines.sd1()) for kind in (Untrained, Trained)], (side("the"), side("photo"))
    everyone = Samples([*sides[0], *sides[1]])
    said, nothing = (unguided({"target": model}, everyone, Engine()) for model in models)
    assert "never to have been trained without captions" in said and nothing == ""
    record = audit(
        models[0], *sides, signals=Everything([get("signals", n)() for n in ("guidance_magnitude", "denoising_loss")])
    )
    assert {s.name: s.why for s in record.skipped} == {"guidance_magnitude": said}
    assert [s.method.name for s in record.signals] == ["denoising_loss"]
    with pytest.raises(BadInput, match="guidance_magnitude: with the empty prompt the model denoises worse"):
        audit(models[0], *sides, signals=["guidance_magnitude"])


def test_a_safety_checker_is_not_run_and_not_lost(tmp_path):
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    small = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 8,
    }
    config = CLIPConfig(text_config=small, vision_config={**small, "image_size": 8, "patch_size": 4}, projection_dim=8)
    parts = {**_tiny_pipelines.sd1().components, "safety_checker": StableDiffusionSafetyChecker(config)}
    parts["feature_extractor"] = CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    StableDiffusionPipeline(**parts).save_pretrained(tmp_path / "m", safe_serialization=True)
    model = TextToImage.load(str(tmp_path / "m"), device="cpu")
    assert "safety checker: it was not run" in model.notes[0]
    model.clone().save(str(tmp_path / "saved"))
    again = StableDiffusionPipeline.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    assert again.safety_checker is not None and again.config.requires_safety_checker


def test_wrong_picture_size(run, plain, tmp_path):
    sides = folder_of(tmp_path / "a"), folder_of(tmp_path / "b", seed=1, side=12)
    said = run("audit", plain, "--members", sides[0], "--nonmembers", sides[1])
    assert "its picture is 12 x 12, the model draws 16 x 16; pass --truncate" in said


def test_a_caption_without_a_picture(run, plain, tmp_path):
    members, nonmembers = folder_of(tmp_path / "a"), folder_of(tmp_path / "b", seed=1)
    (members / "lonely.txt").write_text("a dog")
    said = run("audit", plain, "--members", members, "--nonmembers", nonmembers)
    assert "lonely.txt: a caption without a picture" in said


def test_a_corrupted_png(run, plain, tmp_path):
    members, nonmembers = folder_of(tmp_path / "a"), folder_of(tmp_path / "b", seed=1)
    whole = (members / "1.png").read_bytes()
    (members / "1.png").write_bytes(whole[: len(whole) // 2])
    assert "1.png: a damaged picture" in run("audit", plain, "--members", members, "--nonmembers", nonmembers)


def test_a_picture_bomb(run, plain, tmp_path):
    members, nonmembers = folder_of(tmp_path / "a"), folder_of(tmp_path / "b", seed=1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * (20_000 * 2501), 9)) + chunk(b"IEND", b"")
    (members / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "not opened" in run("audit", plain, "--members", members, "--nonmembers", nonmembers)


def test_a_judge_without_the_concept(run, plain, tmp_path):
    judge_of("cross", "star").save(str(tmp_path / "judge"))
    run_erase = ("erase", str(plain), "--concept", "ring", "--set", "uce.guide=cross", "--out", str(tmp_path / "e"))
    with pytest.raises(SystemExit) as ended:
        main(list(run_erase))
    assert ended.value.code == 0
    capsys_free = (plain, tmp_path / "e", "--concept", "ring", "--judge", tmp_path / "judge")
    with pytest.raises(BadInput, match="the judge .*judge does not know 'ring'; it knows cross, star"):
        from rasura._erase import as_request
        from rasura._verify import verify

        before = TextToImage.load(str(capsys_free[0]), device="cpu")
        judge = Judge.load(str(tmp_path / "judge"))
        verify(before, str(tmp_path / "e"), as_request(before, Request(concept="ring", judge=judge)))


def test_a_concept_that_is_no_word_of_the_tokenizer():
    result = erase(TextToImage(_tiny_pipelines.sd1()), Request(concept="zebra"), method="uce")
    assert "the tokenizer has no word for the concept: it is read as 5 pieces" in result.record.warnings


def test_zero_matched_layers(run, tmp_path):
    from diffusers import UNet2DConditionModel

    pipeline = _tiny_pipelines.sd1()
    pipeline.unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        mid_block_type=None,
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=32,
    )
    pipeline.save_pretrained(tmp_path / "m", safe_serialization=True)
    said = run("erase", tmp_path / "m", "--concept", "ring", "--set", "uce.guide=cross", "--out", tmp_path / "o")
    assert "no cross_attention.key_value layer was found in this U-Net" in said


def test_half_precision_that_overflows():
    """Pictures that are not finite are not pictures: an empty row with its reason, never a black square."""
    model = TextToImage(_tiny_pipelines.sd1())
    with torch.no_grad():
        model.unet.conv_out.weight.mul_(1e30)
    data = Engine().observe(Ask(GeneratedImages(n=1, steps=2)), {"target": model}, Samples.of(["a dog", "a cat"]))
    assert [len(data.pictures(i)) for i in range(2)] == [0, 0]
    assert all("not finite (try --dtype float32)" in why for why in data.reason)


def test_running_out_of_memory_halves_the_batch():
    model, samples = TextToImage(_tiny_pipelines.sd1()), Samples.of(["a dog", "a cat", "a ring", "a star"])
    asked = Ask(GeneratedImages(n=1, steps=2))
    whole = Engine().observe(asked, {"target": model}, samples)

    class Small(TextToImage):
        def output(self, x, t, embedded):
            if len(x) > 2:
                raise RuntimeError("CUDA out of memory")
            return super().output(x, t, embedded)

    parts = Engine().observe(asked, {"target": Small(model.pipeline)}, samples)
    assert all(np.abs(parts.pictures(i).astype(int) - whole.pictures(i)).max() <= 1 for i in range(4))


def test_a_picture_method_on_a_language_model_and_the_other_way_round(run, plain, tmp_path):
    members, nonmembers = folder_of(tmp_path / "a"), folder_of(tmp_path / "b", seed=1)
    said = run("audit", plain, "--members", members, "--nonmembers", nonmembers, "--signal", "min_k")
    assert "min_k is for language models; this is one of the text-to-image models" in said
    assert "is for language models" in run(
        "erase", plain, "--concept", "ring", "--method", "npo", "--out", tmp_path / "o"
    )
