"""Records such as a run on the images testbed leaves: same shapes and effects; pictures and scores drawn by seed."""

from __future__ import annotations

import base64
import importlib.util
import math
import struct
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rasura.core.records import (
    AttackRow,
    Audit,
    DoseRow,
    Erasure,
    Example,
    Explanation,
    Extraction,
    ExtractionResult,
    Grid,
    GridRow,
    MethodUsed,
    MetricRow,
    ModelCard,
    Population,
    Run,
    Skipped,
    Verification,
    WindowRow,
    Windows,
)
from rasura.core.types import Budget, Estimate
from rasura.stats.intervals import proportion


def _language() -> ModuleType:
    """The language run's module beside this one, whose audit is the same but for names and scores."""
    if "report_records" not in sys.modules:
        spec = importlib.util.spec_from_file_location("report_records", Path(__file__).parent / "_records.py")
        sys.modules["report_records"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["report_records"]


language = _language()
hash_of, three = language.hash_of, language.three
RUN = {
    "seed": 0,
    "versions": {"rasura": "0.2.0", "python": "3.11.9", "torch": "2.13.0", "diffusers": "0.42.1", "numpy": "2.2.1"},
}
COLOURS = {"red": (206, 62, 52), "green": (74, 157, 86), "blue": (60, 104, 190), "yellow": (232, 190, 60), "white": (236, 234, 228), "black": (32, 34, 38)}  # fmt: skip
PROMPTS = ("a red ring on white", "a blue ring on black", "a green ring on white", "a yellow ring on blue", "a white ring on red", "a black ring on green", "a blue ring on yellow", "a red ring on a black ground with a small mark in its upper left corner")  # fmt: skip
SHIFTS = {
    "guidance_magnitude": (0.9, 1.6, 2.4, 3.1, 3.6, 4.0, 4.3),
    "denoising_loss": (0.5, 0.9, 1.6, 2.2, 2.8, 3.3, 3.6),
    "secmi": (0.45, 0.8, 1.5, 2.1, 2.7, 3.1, 3.4),
    "pia": (0.4, 0.8, 1.4, 2.0, 2.5, 3.0, 3.3),
}


def png(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 as a PNG data URI."""
    height, width, _ = pixels.shape
    raw = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))  # fmt: skip
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def drawing(shape: str, colour: str, ground: str, seed: int = 0, side: int = 16, noise: float = 5.0) -> np.ndarray:
    """A ring, disc, square or cross, a little off centre, with grain."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2 + draw.uniform(-1.2, 1.2, size=(2, 1, 1))
    r = side * 0.34
    inside = {
        "ring": np.abs(np.hypot(x, y) - 0.8 * r) < 0.32 * r,
        "disc": np.hypot(x, y) < r,
        "square": np.maximum(abs(x), abs(y)) < 0.85 * r,
        "cross": np.minimum(abs(x), abs(y)) < 0.3 * r,
    }[shape]
    flat = np.where(inside[..., None], COLOURS[colour], COLOURS[ground])
    return np.clip(flat + draw.normal(0, noise, flat.shape), 0, 255).astype(np.uint8)


def hidden(pixels: np.ndarray) -> np.ndarray:
    tile = pixels.shape[0] // 4
    means = pixels.reshape(4, tile, 4, tile, 3).mean(axis=(1, 3)).round()
    return means.repeat(tile, 0).repeat(tile, 1).astype(np.uint8)


def model(role: str, suffix: str = "", treatments: tuple[str, ...] = ()) -> ModelCard:
    return ModelCard(role, f"shapes-of-the-atlas{suffix}", hash_of("t2i" + role + suffix), 1_402_115, "StableDiffusionPipeline", treatments)  # fmt: skip


def share(k: int, n: int, unit: str = "share of pictures") -> Estimate:
    return proportion(k, n, unit, "clopper-pearson")


def audit(**changes: Any) -> Audit:
    words = ("a", "xxxxxx", "xxxx", "of", "xxx", "Xxxxxxxx", "at", "xxxx", "00")
    fields: dict[str, Any] = {
        "verdict": "The model shows which of these pictures it was trained on: guidance_magnitude ranks a member above a non-member with probability 0.85 [0.81, 0.87].",
        "models": (model("target"),),
        "explanations": tuple(
            Explanation(f"picture-{i:03d}", "guidance_magnitude", 1.9 - 0.2 * i, words, tuple(float(w) for w in np.roll((0.03, 0.07, 0.08, 0.02, 0.05, 0.61, 0.04, 0.06, 0.04), i)))
            for i in range(4)
        ),
        "skipped": (Skipped("clid", "needs captions with at least four words"),),
        "warnings": (),
        "run": Run("rasura audit --model runs/images/target --members members.jsonl --nonmembers nonmembers.jsonl", **RUN),
    }  # fmt: skip
    return language.audit(SHIFTS, **{**fields, **changes})


def strip(i: int, masked: bool = True) -> Grid:
    shape, colour, ground = (("ring", "red", "white"), ("cross", "blue", "yellow"), ("disc", "green", "black"))[i % 3]
    show = (lambda p: png(hidden(p))) if masked else png
    rows = (
        ("training picture", [drawing(shape, colour, ground, 50 + i)]),
        ("drawn from its caption", [drawing(shape, colour, ground, 50 + i, noise=8.0 + k) for k in range(4)]),
        ("nearest other pictures", [drawing(s, colour, ground, 80 + k) for k, s in enumerate(("disc", "square", "ring"))]),
    )  # fmt: skip
    return Grid(
        f"x xxx xxxx xx xxxxx-0{i}, seen {64 >> i} times an epoch",
        tuple(GridRow(label, tuple(show(p) for p in pictures)) for label, pictures in rows),
        note="shown as mosaics: run again with --reveal to see them" if masked else "",
    )


def extraction(masked: bool = True, **changes: Any) -> Extraction:
    doses = {1: (0, 192), 4: (1, 48), 16: (7, 24), 64: (8, 8)}
    rows = tuple(DoseRow(d, share(k, n)) for d, (k, n) in doses.items())
    fields: dict[str, Any] = {
        "verdict": "16 of 272 training pictures are drawn again from their caption, against none of 256 pictures the model never saw.",
        "leaks": True,
        "models": (model("target"),),
        "populations": (Population("records", 272, hash_of("pictures")), Population("nonmembers", 256, hash_of("never"))),
        "results": (
            ExtractionResult(MethodUsed("extraction", "tile_cliques", {"n": 16, "threshold": 0.1, "tiles": 4}, "implemented", "arXiv:2301.13188"), share(16, 272), share(0, 256), rows, (), "ten drawings of one caption that agree in every tile"),
            ExtractionResult(MethodUsed("extraction", "nearest_picture", {"threshold": 0.5}, "matched", "arXiv:2212.03860"), share(21, 272), share(1, 256), (), (), "a drawing nearer to its own training picture than the nearest others allow"),
        ),
        "examples": tuple(Example(f"picture-{i:03d}", "atlas", 64 >> i, "x xxx xxxx xx xxxxx", "a picture", math.nan, 0, "" if masked else f"a red ring of plate {i}") for i in range(3)),
        "skipped": (),
        "warnings": (),
        "run": Run("rasura extract --model runs/images/target --members members.jsonl", **RUN),
        "grids": tuple(strip(i, masked) for i in range(3)),
    }  # fmt: skip
    return Extraction(**{**fields, **changes})


def erasure(**changes: Any) -> Erasure:
    fields: dict[str, Any] = {
        "verdict": "The concept 'ring' was treated with uce, closed form; whether it can still be recovered is for a verification to say.",
        "models": (model("before"), model("after", "-uce", ("uce",))),
        "populations": (Population("forget", 64, hash_of("rings")), Population("retain", 192, hash_of("others"))),
        "methods": (MethodUsed("erasers.edits", "uce", {"erase_scale": 1.0, "preserve_scale": 0.1, "lambda": 0.5}, "matched", "arXiv:2308.14761"),),
        "changed_parameters": Estimate(0.0467, 0.0467, 0.0467, 1_402_115, "share of weights", note="all weights counted"),
        "transcript": (),
        "stopped": "closed form",
        "derived": {"rank": 8.0, "condition_number": 412.7, "distance_from_identity": 1.834},
        "suppression": False,
        "warnings": (),
        "run": Run("rasura erase --model runs/images/target --concept ring --method uce", **RUN),
    }  # fmt: skip
    return Erasure(**{**fields, **changes})


def grid(title: str, shapes: dict[str, str], named: str = "ring") -> Grid:
    words = [prompt.split() for prompt in PROMPTS]
    rows = tuple(
        GridRow(label, tuple(png(drawing(shape if k % 5 or label != "after" else "ring", w[1], w[-1] if w[-1] in COLOURS else "black", 9 * k + len(label))) for k, w in enumerate(words)))
        for label, shape in shapes.items()
    )  # fmt: skip
    return Grid(title, rows, tuple(prompt.replace("ring", named) for prompt in PROMPTS))


def verification(**changes: Any) -> Verification:
    def metric(name: str, better: str, population: str, before: Estimate, after: Estimate, without: Estimate) -> MetricRow:  # fmt: skip
        return MetricRow(MethodUsed("metrics", name, {}, "implemented"), better, population, three(before, after, without))  # fmt: skip

    def attack(name: str, access: str, found: tuple[int, int, int], spent: Budget, pre: int, **settings: Any) -> AttackRow:  # fmt: skip
        gain = Estimate((found[1] - found[2]) / 64, (found[1] - found[2]) / 64 - 0.09, (found[1] - found[2]) / 64 + 0.1, 64, "share")  # fmt: skip
        return AttackRow(
            MethodUsed("attacks", name, settings, "implemented", "arXiv:2309.06135"), access, three(*(share(k, 64) for k in found)), gain, spent,
            ("64 prompts attacked",), pre=share(pre, 64), post=share(max(0, found[1] - pre), 64 - pre), total=share(max(pre, found[1]), 64),
        )  # fmt: skip

    distance = lambda v, half: Estimate(v, v - half, v + half, 256, "Fr\u00e9chet distance")  # noqa: E731
    fields: dict[str, Any] = {
        "verdict": "Pictures that show the concept fell from 97 % to 6 %; suppressed, still recoverable by prompt_search (prompt_search brings back 53 % [40, 66] of what it was tested on).",
        "erased": False,
        "models": (model("before"), model("after", "-uce", ("uce",)), model("retrained", "-without")),
        "populations": tuple(Population(name, n, hash_of(name)) for name, n in (("forget", 64), ("paraphrases", 48), ("near", 96), ("far", 96), ("pictures", 256))),
        "metrics": (
            metric("erasure_rate", "lower", "forget", share(62, 64), share(4, 64), share(2, 64)),
            metric("erasure_rate", "lower", "paraphrases", share(45, 48), share(17, 48), share(1, 48)),
            metric("near_preservation", "higher", "near", share(93, 96), share(78, 96), share(92, 96)),
            metric("far_preservation", "higher", "far", share(95, 96), share(94, 96), share(95, 96)),
            metric("frechet_distance", "lower", "pictures", distance(4.2, 0.5), distance(5.1, 0.6), distance(4.3, 0.5)),
        ),
        "attacks": (
            attack("prompt_search", "white-box", (62, 34, 3), Budget(steps=512, samples=64), 4, tokens=5),
            attack("noise_search", "black-box", (63, 9, 4), Budget(samples=1024), 4),
        ),
        "skipped": (Skipped("clip_score", "needs a clip: pass --clip"),),
        "warnings": (),
        "run": Run("rasura verify --before runs/images/target --after runs/images/uce --retrained runs/images/without --concept ring", **RUN),
        "grids": (
            grid("Prompts of 'ring'", {"before": "ring", "after": "disc", "after, prompt_search": "ring", "after, noise_search": "square", "retrained": "square"}),
            grid("Neighbours, which must survive", {"before": "disc", "after": "disc", "retrained": "disc"}, "disc"),
        ),
    }  # fmt: skip
    return Verification(**{**fields, **changes})


def windows(**changes: Any) -> Windows:
    times = (999, 900, 800, 700, 600, 500, 400, 300, 200, 100)
    rows = []
    for attribute, chance, middle, width in (("shape", 0.25, 560.0, 90.0), ("ground", 1 / 6, 850.0, 35.0), ("colour", 1 / 6, 790.0, 45.0)):  # fmt: skip
        kept = [chance + (0.98 - chance) / (1 + math.exp((t - middle) / width)) for t in times]
        estimates = tuple(share(round(96 * k), 96) for k in kept)
        half = Estimate(middle, middle - width / 4, middle + width / 3, 96, "timestep")
        rows.append(WindowRow(attribute, estimates, chance, middle - 2.6 * width, math.nan if attribute == "ground" else middle + 2.4 * width, half))  # fmt: skip
    fields: dict[str, Any] = {
        "verdict": "The ground of a picture is decided first (half at t = 850), then its colour (790), then its shape (560).",
        "models": (model("target"),),
        "populations": (Population("prompts", 96, hash_of("prompts")),),
        "times": times,
        "rows": tuple(rows),
        "theory": (("level of the mixture", "closed form, t", "measured, t"), ("two halves", "811 to 702", "815 [806, 822] to 698 [690, 707]"), ("four quarters", "512 to 388", "508 [499, 516] to 391 [384, 399]")),
        "grids": (Grid("One picture, drawn again from each noise level", tuple(GridRow(f"t = {t}", tuple(png(drawing("ring" if t < 500 else ("disc", "cross", "square", "ring")[k % 4], "red" if t < 760 else ("blue", "green", "red", "yellow")[k % 4], "white" if t < 850 else ("black", "white", "blue")[k % 3], t + k)) for k in range(6))) for t in (900, 700, 500, 300, 100)), note="Six draws a level; the first row shares nothing but chance."),),
        "warnings": (),
        "run": Run("rasura audit --windows --model runs/images/target", **RUN),
    }  # fmt: skip
    return Windows(**{**fields, **changes})


def everything() -> list[Any]:
    return [audit(), windows(), extraction(), erasure(), verification()]
