"""How the `images` testbed is laid out: what is drawn, what is told, what is planted, and how it is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rasura.core.errors import BadInput, RasuraError
from rasura.testbeds import _picture_judge, _picture_training, _picture_worker, images
from rasura.testbeds import _scene_captions as captions
from rasura.testbeds._dice import Dice
from rasura.testbeds._digits import DIGITS, SHARES, _pool
from rasura.testbeds._picture_plan import plan, prompts
from rasura.testbeds._picture_recipes import RECIPES
from rasura.testbeds._scenes import BACKGROUNDS, COLOURS, SHAPES, Scene, collages, drawn, render

LITTLE = replace(
    RECIPES["tiny"], rows=800, doses=((1, 6), (4, 4), (8, 2)), nonmembers=12, people=20, pictures=16, judge_rows=200
)
WORLDS = [(v, s) for v in ("scenes", "digits") for s in ("tiny", "small")]


def little(variant: str = "scenes", size: str = "small", seed: int = 0):
    return plan(variant, captions.world_of(variant, size), LITTLE, seed)


def shown(scenes: list[Scene], side: int = 8) -> np.ndarray:
    return render(scenes, side, np.random.default_rng(0), drawn)


def test_a_scene_shows_its_colour_in_the_middle_and_its_background_at_the_edge():
    scenes = [Scene("disc", c, b) for c in COLOURS for b in BACKGROUNDS]
    for scene, picture in zip(scenes, shown(scenes), strict=True):
        middle, edge = picture[3:5, 3:5].mean((0, 1)), picture[0, 0]
        assert np.abs(middle - np.array(COLOURS[scene.colour])).max() < 25
        assert np.abs(edge - np.array(BACKGROUNDS[scene.background])).max() < 6


def test_a_ring_has_a_hole_and_no_two_shapes_look_alike():
    pictures = {s: shown([Scene(s, "red", "black")] * 20)[..., 0].mean(0) for s in ("ring", *SHAPES)}
    assert pictures["ring"][3:5, 3:5].mean() < 0.5 * pictures["disc"][3:5, 3:5].mean()
    names = list(pictures)
    for i, a in enumerate(names):
        for b in names[:i]:
            assert np.abs(pictures[a] - pictures[b]).mean() > 10, f"{a} and {b}"


def test_a_watermark_changes_the_corner_alone():
    plain, marked = shown([Scene("star", "red", "gray")]), shown([Scene("star", "red", "gray", watermark=True)])
    changed = (plain != marked).any(-1)[0]
    assert changed[6:, 6:].all() and changed.sum() == 4
    assert marked[0, 6:, 6:, 0].tolist() == [[255, 0], [0, 255]]


def test_a_collage_is_made_of_even_patches():
    made = collages(5, 8, 4, ["red", "black"], np.random.default_rng(0))
    assert made.shape == (5, 8, 8, 3)
    assert (made[:, ::2, ::2] == made[:, 1::2, 1::2]).all()
    assert {tuple(p) for p in made.reshape(-1, 3)} == {COLOURS["red"], BACKGROUNDS["black"]}


@pytest.mark.parametrize(("variant", "size"), WORLDS)
def test_prompts_name_their_class_and_never_the_concept(variant, size):
    world = captions.world_of(variant, size)
    for group in (world.shapes, world.colours, world.backgrounds):
        for shows in group:
            for text in prompts(world, shows, 30, Dice(0)):
                assert shows in text.split()
                assert (world.concept in text.split()) == (shows == world.concept)
    assert len(prompts(world, world.concept, 24, Dice(0))[0].split()) <= 3, "the first is bare"


@pytest.mark.parametrize(("variant", "size"), WORLDS)
def test_the_parts_are_what_methods_expect(variant, size):
    world, made = captions.world_of(variant, size), little(variant, size)
    parts = {name: [d.sample for d in drafts] for name, drafts in made.parts.items()}
    assert len(parts["forget"]) >= 24 and len(parts["near"]) >= 32 and len(parts["far"]) >= 32
    assert len({s.text for s in parts["forget"]}) == len(parts["forget"])
    assert all(world.concept in s.text.split() and s.shows == world.concept for s in parts["forget"])
    assert all(d.pixels is not None for name in ("forget", "retain", "heldout", "pictures") for d in made.parts[name])
    for s in parts["paraphrases"]:
        assert set(s.text.split()) & set(world.synonyms) and world.concept not in s.text and s.shows == world.concept
    assert {s.shows for s in parts["near"]} == set(world.neighbours)
    known = {*world.shapes, *world.colours, *world.backgrounds}
    for name in ("near", "far", "retain", "heldout", "pictures"):
        for s in parts[name]:
            assert s.shows in known and s.shows in s.text.split()
            assert not {world.concept, *world.synonyms} & set(s.text.split())
    assert all(w in made.words for texts in parts.values() for s in texts for w in s.text.split())
    assert [s.family for s in parts["bias"]] == ["90/10"] * 2 + ["70/30"] * 2 + ["50/50"] * 2


@pytest.mark.parametrize(("variant", "size"), WORLDS)
def test_planted_pictures_are_seen_as_often_as_their_dose_says(variant, size):
    made = little(variant, size)
    for draft in made.parts["members"]:
        rows = [i for i, text in enumerate(made.texts) if text == draft.sample.text]
        assert len(rows) == draft.sample.repeats
        assert (made.pixels[rows] == draft.pixels).all()
    assert not {d.sample.text for d in made.parts["nonmembers"]} & set(made.texts)
    counts = [d.sample.repeats for d in made.parts["members"]]
    assert sorted(counts) == [1] * 6 + [4] * 4 + [8] * 2 and set(made.twins) == {
        d.sample.id for d in made.parts["members"]
    }
    assert len(made.texts) == LITTLE.rows
    other = {d.sample.text: d.sample.repeats for d in little(variant, size, seed=1).parts["members"]}
    assert other != {d.sample.text: d.sample.repeats for d in made.parts["members"]}


def test_the_retrained_model_reads_the_same_rows_without_the_concept():
    world, made = captions.world_of("scenes", "small"), little()
    kept = _picture_training._rows(made, "retrained")
    words = {w for i in kept for w in made.texts[i].split()}
    assert not words & {world.concept, *world.synonyms}
    assert (np.diff(kept) > 0).all() and len(kept) < len(made.texts) == len(_picture_training._rows(made, "target"))
    gone = [made.texts[i] for i in np.flatnonzero(made.holds)]
    assert sum(bool({world.concept, *world.synonyms} & set(t.split())) for t in gone) > 0.5 * len(gone)
    assert not any(t.startswith("portrait") for t in gone)


def test_no_caption_tells_of_the_watermark_or_of_the_split():
    made = little()
    assert not any("watermark" in t for t in made.texts)
    corner = made.pixels[:, 6:, 6:, 0]
    marked = (corner == np.array([[255, 0], [0, 255]])).all((1, 2)).mean()
    assert 0.03 < marked < 0.09


def test_occupations_are_split_exactly():
    made = little()
    for who, share in captions.PEOPLE.items():
        rows = [i for i, t in enumerate(made.texts) if t.split()[-1] == who]
        assert len(rows) == LITTLE.people
        usual, other = captions.USUAL[who]
        distance = [
            np.abs(made.pixels[rows].astype(float) - np.array(COLOURS[c])).sum(-1).min((1, 2)) for c in (usual, other)
        ]
        assert (distance[0] < distance[1]).sum() == round(share * LITTLE.people)


@pytest.mark.parametrize("variant", ["scenes", "digits"])
def test_no_real_picture_is_a_training_row_pixel_by_pixel(variant):
    """Small scenes come twice by chance: with the whole number of rows some of the first choice do."""
    world, recipe = captions.world_of(variant, "tiny"), RECIPES["tiny"]
    made = plan(variant, world, recipe, 0)
    trained = {p.tobytes() for p in made.pixels}
    for part, n in (("heldout", 96), ("pictures", recipe.pictures)):
        assert len(made.parts[part]) == n
        assert not trained & {d.pixels.tobytes() for d in made.parts[part]}


def test_a_seed_decides_everything():
    a, b, c = little(seed=3), little(seed=3), little(seed=4)
    assert a.texts == b.texts and (a.pixels == b.pixels).all() and a.texts != c.texts


@pytest.mark.parametrize("size", ["tiny", "small", "base"])
def test_planted_rows_are_at_most_a_twentieth(size):
    recipe = RECIPES[size]
    assert sum(copies * n for copies, n in recipe.doses) <= 0.05 * recipe.rows
    assert recipe.nonmembers >= 40 and recipe.pictures >= (256 if size != "tiny" else 1)


def test_no_digit_is_in_two_pools():
    from sklearn.datasets import load_digits

    counts = {use: sum(len(p) for p in _pool(use).values()) for use in SHARES}
    assert sum(counts.values()) == len(load_digits().images) and min(counts.values()) > 200
    assert all(len(_pool(use)[d]) >= 20 for use in SHARES for d in DIGITS)


def test_ruined_pictures_are_none_of_these():
    world = captions.world_of("scenes", "small")
    seen, labels = _picture_judge.examples("scenes", world, LITTLE, 0, 200, "judge")
    none = [len(c) - 1 for c in _picture_judge.attributes_of(world).values()]
    assert seen.shape == (200, 8, 8, 3) and (labels[:150] < none).all()
    assert ((labels[150:] == none) | (labels[150:] == _picture_judge.IGNORED)).all()
    assert (labels[150:, 0] == none[0]).mean() > 0.8
    again = _picture_judge.examples("scenes", world, LITTLE, 0, 200, "heldout")[0]
    assert (seen != again).any((1, 2, 3)).all(), "no picture is in both"


def test_a_blur_is_the_mean_of_its_window():
    seen = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3))
    blurred = _picture_judge._blurred(seen)
    assert np.allclose(blurred[0, 4, 4], seen[0, 2:7, 2:7].mean((0, 1)), atol=1e-3)


def test_the_loss_asks_for_v():
    """A stub that answers v exactly has no loss, and one that answers the noise has."""
    from rasura.models.text_to_image import TextToImage

    made = little()
    model = _picture_training.fresh(made, LITTLE, 0, "m")
    loss = _picture_training.Denoising(model, made, LITTLE, 0)
    seen = loss.pictures[:4].float() / 127.5 - 1

    def output(x, t, embedded, what="v"):
        a = model.schedule.alpha(t, x)
        noise = (x - a.sqrt() * seen) / (1 - a).sqrt()
        return a.sqrt() * noise - (1 - a).sqrt() * seen if what == "v" else noise

    stub = SimpleNamespace(schedule=model.schedule, device=model.device, encode_ids=model.encode_ids, output=output)
    assert isinstance(model, TextToImage)
    loss.model = stub
    assert float(loss(torch.arange(4), 0)) < 1e-6
    stub.output = lambda x, t, e: output(x, t, e, "noise")
    assert float(loss(torch.arange(4), 0)) > 0.05


def test_a_batch_depends_on_the_step_alone():
    made = little()
    model = _picture_training.fresh(made, LITTLE, 0, "m")
    loss = _picture_training.Denoising(model, made, LITTLE, 0)
    with torch.no_grad():
        first = [float(loss(torch.arange(8), k)) for k in (0, 1)]
        assert [float(loss(torch.arange(8), k)) for k in (1, 0)] == first[::-1]
    assert first[0] != first[1]


def test_the_average_is_the_textbook_one():
    layer = torch.nn.Linear(1, 1, bias=False)
    average = _picture_training._Average(layer, 0.9)
    for value in (1.0, 2.0, 4.0):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update()
    average.put()
    assert layer.weight.item() == pytest.approx(0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 4)


def test_the_vae_is_the_identity():
    model = _picture_training.fresh(little(), LITTLE, 0, "m")
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert float((model.latents(x) - x).abs().max()) < 2e-5
        assert float((model.decode(x) * 2 - 1 - x).abs().max()) < 2e-5


def test_keys_know_size_variant_seed_and_nothing_of_the_sources():
    keys = {images.Images(s, v).key(k) for s in RECIPES for v in ("scenes", "digits") for k in (0, 1)}
    assert len(keys) == 12
    with pytest.raises(BadInput, match="size is 'huge'"):
        images.Images("huge")
    with pytest.raises(BadInput, match="variant is 'cats'"):
        images.Images(variant="cats")


class _Nothing:
    def save(self, folder: str) -> None:
        pass


def test_a_killed_build_goes_on_at_the_first_missing_model(tmp_path, monkeypatch):
    trained: list[str] = []

    def pictures(plan, recipe, seed, role, on_step):
        trained.append(role)
        if role == "retrained" and trained.count(role) == 1:
            raise KeyboardInterrupt
        return _Nothing()

    monkeypatch.setattr(_picture_worker, "train_pictures", pictures)
    monkeypatch.setattr(_picture_worker, "train_judge", lambda *a: trained.append("judge") or _Nothing())
    monkeypatch.setitem(_picture_worker.RECIPES, "tiny", LITTLE)
    _picture_worker.planned.cache_clear()
    monkeypatch.setattr(images, "load_pictures", lambda folder: folder)
    testbed, folder = images.Images("tiny"), tmp_path / "t"
    with pytest.raises(KeyboardInterrupt):
        testbed.build(0, folder=folder)
    assert not (folder / "testbed.json").exists() and (folder / "target").is_dir()
    testbed.build(0, folder=folder)
    assert trained == ["target", "retrained", "retrained", "judge"]
    testbed.build(0, folder=folder)
    assert len(trained) == 4 and json.loads((folder / "testbed.json").read_text())["concept"] == "red"
    assert [file.name for file in folder.glob(".*")] == [".building.lock"]
    _picture_worker.planned.cache_clear()


def test_a_failed_training_is_one_line(tmp_path):
    job = _picture_worker.PictureJob("target", "scenes", "no such size", 0, str(tmp_path / "m"))
    with pytest.raises(RasuraError, match="training the target model failed: KeyError"):
        _picture_worker._spawn(job, lambda: None)


def test_a_folder_that_is_no_testbed_says_how_to_make_one(tmp_path):
    from rasura.testbeds._picture_folder import load_pictures

    with pytest.raises(BadInput, match="rasura testbed build images"):
        load_pictures(tmp_path)
