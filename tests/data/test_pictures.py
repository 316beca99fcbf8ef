"""Captioned pictures: what is read, what comes back, and what is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from rasura.core.errors import BadInput
from rasura.core.types import Sample, Samples
from rasura.data import pictures
from rasura.data.readers import read_samples, write_samples


def picture(path, side=8, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(shown).save(path)
    return shown


def test_a_picture_is_known_by_what_it_shows(tmp_path):
    shown = picture(tmp_path / "a.png")
    Image.fromarray(shown).save(tmp_path / "b.bmp")
    one, two = pictures.read_picture(tmp_path / "a.png"), pictures.read_picture(tmp_path / "b.bmp")
    assert one.digest == two.digest and (one.width, one.height) == (8, 8)
    assert np.array_equal(pictures.open_picture(one.path), shown)
    picture(tmp_path / "c.png", seed=1)
    assert pictures.read_picture(tmp_path / "c.png").digest != one.digest


def test_samples_with_pictures_come_back_equal(tmp_path):
    picture(tmp_path / "pictures" / "a.png")
    shown = pictures.read_picture(tmp_path / "pictures" / "a.png")
    samples = Samples([Sample("1", "a ring", picture=shown, shows="ring", repeats=3), Sample("2", "a cross")])
    write_samples(samples, tmp_path / "s.jsonl")
    assert read_samples(tmp_path / "s.jsonl") == samples
    assert json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0])["picture"] == "pictures/a.png"
    assert samples.digest != Samples([Sample("1", "a ring"), Sample("2", "a cross")]).digest


def test_both_kinds_of_image_folder(tmp_path):
    for name in ("one", "two"):
        picture(tmp_path / "pairs" / f"{name}.png", seed=len(name))
        (tmp_path / "pairs" / f"{name}.txt").write_text(f"a picture of {name}\n")
        picture(tmp_path / "listed" / f"{name}.png", seed=len(name))
    (tmp_path / "listed" / "metadata.jsonl").write_text(
        "".join(json.dumps({"file_name": f"{n}.png", "text": f"a picture of {n}"}) + "\n" for n in ("one", "two"))
    )
    pairs, listed = read_samples(tmp_path / "pairs"), read_samples(tmp_path / "listed")
    assert pairs.texts == listed.texts == ["a picture of one", "a picture of two"]
    assert [s.picture.digest for s in pairs] == [s.picture.digest for s in listed] and pairs.digest == listed.digest


def test_a_sample_is_scaled_and_cropped_to_the_models_size(tmp_path):
    shown = np.zeros((8, 16, 3), dtype=np.uint8)
    shown[:, 4:12] = 255
    Image.fromarray(shown).save(tmp_path / "wide.png")
    sample = Sample("1", "wide", picture=pictures.read_picture(tmp_path / "wide.png"))
    assert pictures.pixels(sample, 8).shape == (8, 8, 3) and (pictures.pixels(sample, 8) == 255).all()


def refused(make, source, **fields):
    with pytest.raises(BadInput) as error:
        make(source, **fields)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_caption_without_picture_and_the_other_way_round(tmp_path):
    picture(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "x.txt").write_text("x")
    (tmp_path / "a" / "y.txt").write_text("y")
    assert "y.txt: a caption without a picture: expected y.png" in refused(read_samples, tmp_path / "a")
    picture(tmp_path / "b" / "x.png")
    assert "a picture without a caption" in refused(read_samples, tmp_path / "b")
    (tmp_path / "c.jsonl").write_text('{"text": "x", "image": ""}\n')
    found = refused(read_samples, tmp_path / "c.jsonl", picture_field="image")
    assert "line 1" in found and "a caption without a picture" in found
    assert "a caption without a picture" in refused(lambda s: pictures.pixels(s, 8), Sample("1", "x"))


def test_a_corrupted_picture_and_no_picture_at_all(tmp_path):
    picture(tmp_path / "x.png", side=64)
    whole = (tmp_path / "x.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    assert "half.png: a damaged picture" in refused(pictures.read_picture, tmp_path / "half.png")
    assert "text.png: a damaged picture, or none at all" in refused(pictures.read_picture, tmp_path / "text.png")
    assert "no such picture" in refused(pictures.read_picture, tmp_path / "missing.png")


def test_a_picture_bomb_is_not_opened(tmp_path):
    """A black square of 20,000 x 20,000 pixels: under 100 kB on disk, 1.2 GB unpacked."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (20_000 * 2501), 9)
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    assert "not opened" in refused(pictures.read_picture, tmp_path / "bomb.png")
