"""A pipeline saved by plain diffusers code, not by us, goes through audit, erase and save, and loads in plain diffusers.

Random weights, the class shapes of Stable Diffusion 1 and XL; every step by the command line.
"""

from __future__ import annotations

import json

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import _tiny_pipelines
from rasura.cli import main
from rasura.core.records import read
from rasura.models.text_to_image import TextToImage

KINDS = {"sd1": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(w) for w in words])
    assert ended.value.code == 0


@pytest.fixture(params=KINDS)
def ground(request, tmp_path):
    pipeline = getattr(_tiny_pipelines, request.param)()
    pipeline.save_pretrained(tmp_path / "plain", safe_serialization=True)
    words = iter("red blue green".split() * 20)
    for side, seed in (("members", 0), ("nonmembers", 1)):
        folder = tmp_path / side
        folder.mkdir()
        rng, lines = np.random.default_rng(seed), []
        for i in range(12):
            shown = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(shown).save(folder / f"{i}.png")
            text = f"a {next(words)} {'cat' if seed else 'dog'} on a {next(words)} picture"
            lines.append(json.dumps({"file_name": f"{i}.png", "text": f"{text} " + "the " * (i % 3)}))
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "retain.jsonl").write_text('{"text": "a cat"}\n{"text": "a blue dog"}\n')
    return request.param, tmp_path


def test_audit_erase_save_and_load_in_plain_diffusers(ground, monkeypatch):
    kind, folder = ground
    monkeypatch.setenv("RASURA_CACHE", str(folder / "cache"))
    sides = ("--members", folder / "members", "--nonmembers", folder / "nonmembers")
    signals = ("--signal", "denoising_loss", "--signal", "pia")
    run("audit", folder / "plain", *sides, *signals, "--out", folder / "audit")
    found = read(folder / "audit" / "audit.json")
    assert {s.method.name for s in found.signals} == {"denoising_loss", "pia"}
    assert all(s.unscorable == 0 and s.auc.n == 24 for s in found.signals)
    assert found.models[0].architecture == KINDS[kind].__name__

    asked = ("--concept", "ring", "--retain", folder / "retain.jsonl", "--method", "uce", "--set", "uce.guide=cross")
    run("erase", folder / "plain", *asked, "--out", folder / "erased")
    record = read(folder / "erased" / "erasure.json")
    assert record.derived["rank"] >= 1 and 0 < record.changed_parameters.value < 1

    plain = KINDS[kind].from_pretrained(folder / "erased", dtype=torch.float32)
    before = TextToImage.load(str(folder / "plain"), device="cpu")
    after = TextToImage(plain)
    assert after.fingerprint == record.models[1].fingerprint != before.fingerprint
    changed = {n for n, p in before.named_parameters() if not torch.equal(p, dict(after.named_parameters())[n])}
    projections = {f"{site.name}.weight" for site in before.sites("cross_attention.key_value")}
    assert changed == projections
    plain.set_progress_bar_config(disable=True)
    shown = plain("a red ring", num_inference_steps=2, height=16, width=16).images[0]
    assert shown.size == (16, 16)
