"""``rasura audit --windows`` on planted truth: backgrounds are decided before the rest."""

from __future__ import annotations

import pytest

from rasura._windows import windows
from rasura.cli import main
from rasura.core.errors import BadInput, WrongModality
from rasura.core.records import read
from rasura.data.readers import write_samples
from rasura.models.loading import load


def test_the_command_writes_a_record_with_every_attribute(planted_images, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RASURA_CACHE", str(tmp_path / "cache"))
    planted_images.models["target"].save(str(tmp_path / "m"))
    planted_images.judge.save(str(tmp_path / "judge"))
    prompts = write_samples(planted_images.more["ordinary"].take(range(16)), tmp_path / "prompts.jsonl")
    words = [
        "audit",
        tmp_path / "m",
        "--windows",
        "--members",
        prompts,
        "--judge",
        tmp_path / "judge",
        "--out",
        tmp_path,
    ]
    with pytest.raises(SystemExit) as ended:
        main([str(w) for w in words])
    assert ended.value.code == 0
    record = read(tmp_path / "windows.json")
    assert {r.attribute for r in record.rows} == set(planted_images.judge.attributes)
    assert record.verdict in capsys.readouterr().out
    assert len(record.times) == len(record.rows[0].kept) == len(record.grids[0].rows) - 1
    rows = {r.attribute: r for r in record.rows}
    assert all(r.kept[-1].value >= 0.8 for r in record.rows), "noise that hides nothing changes little"
    assert rows["background"].kept[0].value < 0.95 and rows["background"].half.n == 16
    assert rows["background"].half.value >= rows["shape"].half.value
    inside = [float(row[3]) for row in record.theory[1:] if row[4] == "yes"]
    outside = [float(row[3]) for row in record.theory[1:] if row[4] == "no"]
    assert max(inside) < 0.05 < min(outside)


def test_what_it_needs_is_said_in_one_line(planted_images, neox):
    prompts = planted_images.more["ordinary"].take(range(16))
    with pytest.raises(BadInput, match="windows need a judge"):
        windows(planted_images.models["target"], prompts, None)
    with pytest.raises(WrongModality, match="windows are about text-to-image models"):
        windows(neox, prompts, planted_images.judge)
    with pytest.raises(BadInput, match="prompts: 3 records, at least 8"):
        windows(planted_images.models["target"], prompts.take(range(3)), planted_images.judge)


def test_a_model_is_loaded_by_what_its_folder_holds(planted_images, neox, tmp_path):
    planted_images.models["target"].save(str(tmp_path / "pictures"))
    neox.save(str(tmp_path / "text"))
    assert load(str(tmp_path / "pictures"), device="cpu").modality == "images"
    assert load(str(tmp_path / "text"), device="cpu").modality == "text"
