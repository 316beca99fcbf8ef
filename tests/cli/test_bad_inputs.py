"""Bad inputs: each one clear line on standard error, exit code 2, and nothing lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import _tiny
from rasura.cli import main
from rasura.testbeds._tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Path:
    """A folder with a good model, a good reference and good records."""
    folder = tmp_path_factory.mktemp("ground")
    _tiny.neox(0).save(str(folder / "model"))
    _tiny.neox(1).save(str(folder / "reference"))
    texts = _tiny.texts(24, seed=20)
    lines(folder / "members.jsonl", texts[:12])
    lines(folder / "nonmembers.jsonl", texts[12:])
    return folder


def lines(path: Path, texts: list[str], **more) -> Path:
    path.write_text(
        "".join(json.dumps({"id": f"{path.stem}{i}", "text": t, **more}) + "\n" for i, t in enumerate(texts))
    )
    return path


def audit(g: Path, **change) -> list[str]:
    options = {"members": g / "members.jsonl", "nonmembers": g / "nonmembers.jsonl", "store": g / "store"} | change
    model = options.pop("model", g / "model")
    words = ["audit", str(model), "--signal", "loss"]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def pickled(g: Path) -> Path:
    shutil.copytree(g / "model", g / "pickled")
    (g / "pickled" / "model.safetensors").unlink()
    torch.save({}, g / "pickled" / "pytorch_model.bin")
    return g / "pickled"


def nan_weights(g: Path) -> Path:
    model = _tiny.neox(0)
    with torch.no_grad():
        model.module.gpt_neox.final_layer_norm.weight[0] = float("nan")
    model.save(str(g / "nan"))
    return g / "nan"


def other_vocabulary(g: Path) -> Path:
    from rasura.models.causal_lm import CausalLM
    from rasura.models.fresh import wrap_tokenizer

    tokenizer = wrap_tokenizer(train_tokenizer(_tiny.texts(200, seed=30), 400), context=128)
    CausalLM(_tiny.neox(2).module, tokenizer).save(str(g / "other"))
    return g / "other"


def unwritable(g: Path) -> Path:
    (g / "a_file").write_text("in the way")
    return g / "a_file" / "out"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def duplicate_ids(g: Path) -> Path:
    return write(
        g / "twice.jsonl", b'{"id": "a", "text": "first words here"}\n{"id": "a", "text": "other words here"}\n'
    )


CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "empty file": (lambda g: audit(g, members=write(g / "empty.jsonl", b"")), "empty.jsonl"),
    "wrong field": (lambda g: audit(g, text_field="txet"), "txet"),
    "member and non-member overlap": (lambda g: audit(g, nonmembers=g / "members.jsonl"), "share 12 texts"),
    "one record": (lambda g: audit(g, members=lines(g / "one.jsonl", ["only one record"])), "1 record, at least 2"),
    "binary file": (lambda g: audit(g, members=write(g / "b.jsonl", bytes(range(256)) * 9)), "b.jsonl"),
    "missing model": (lambda g: audit(g, model=g / "nowhere"), "no such model folder"),
    "pickle weights": (lambda g: audit(g, model=pickled(g)), "--allow-pickle"),
    "vocabulary mismatch with the reference": (
        lambda g: [*audit(g, reference=other_vocabulary(g)), "--signal", "reference"],
        "do not share a vocabulary",
    ),
    "text longer than the context": (
        lambda g: audit(g, members=lines(g / "long.jsonl", ["word " * 300, "short text here"])),
        "--truncate",
    ),
    "duplicate ids": (lambda g: audit(g, members=duplicate_ids(g)), "twice.jsonl"),
    "NaN weights": (lambda g: audit(g, model=nan_weights(g)), "NaN"),
    "no retain set": (
        lambda g: [
            "erase",
            str(g / "model"),
            "--forget",
            str(g / "members.jsonl"),
            "--out",
            str(g / "e"),
            "--store",
            str(g / "store"),
        ],
        "retain",
    ),
    "unwritable output": (lambda g: audit(g, out=unwritable(g)), "cannot write there"),
    "unknown method": (lambda g: [*audit(g), "--signal", "mink"], "did you mean min_k"),
    "unknown setting": (lambda g: [*audit(g), "--set", "loss.k=3"], "loss"),
    "setting of the wrong type": (lambda g: [*audit(g), "--signal", "min_k", "--set", "min_k.k=many"], "min_k.k"),
    "a signal without its model": (lambda g: [*audit(g), "--signal", "reference"], "--reference"),
    "unknown command": (lambda g: ["audti"], "did you mean audit"),
    "no such records": (lambda g: audit(g, members=g / "none.jsonl"), "none.jsonl"),
    "same model before and after": (
        lambda g: [
            "verify",
            str(g / "model"),
            str(g / "model"),
            "--forget",
            str(g / "members.jsonl"),
            "--retain",
            str(g / "nonmembers.jsonl"),
            "--store",
            str(g / "store"),
        ],
        "nothing was erased",
    ),
    "a folder without records": (lambda g: ["report", str(g / "model")], "model"),
    "forget and retain overlap": (
        lambda g: [
            "erase",
            str(g / "model"),
            "--forget",
            str(g / "members.jsonl"),
            "--retain",
            str(g / "members.jsonl"),
            "--out",
            str(g / "e"),
            "--store",
            str(g / "store"),
        ],
        "share 12 texts",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_line_and_exit_code_2(case: str, ground: Path, capsys):
    words, expected = CASES[case][0](ground), CASES[case][1]
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert ended.value.code == 2, err
    said = err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("rasura: "), said
    assert expected in said[0]
    assert "Traceback" not in err and not out.strip()
    assert (ground / "members.jsonl").read_text().count("\n") == 12, "inputs are never touched"


def test_a_good_run_still_works_after_all_that(ground: Path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*audit(ground, out=ground / "fine"), "--json"])
    assert ended.value.code == 0
    record = json.loads(capsys.readouterr().out)
    assert record["record"] == "Audit" and (ground / "fine" / "audit.json").is_file()


def test_fail_on_leak_is_exit_code_1(planted, tmp_path):
    from rasura.data.writers import write_samples

    planted.models["target"].save(str(tmp_path / "target"))
    for name in ("members", "nonmembers"):
        write_samples(getattr(planted, name), tmp_path / f"{name}.jsonl")
    words = [
        "audit",
        str(tmp_path / "target"),
        "--members",
        str(tmp_path / "members.jsonl"),
        "--nonmembers",
        str(tmp_path / "nonmembers.jsonl"),
    ]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--signal", "loss", "--store", str(tmp_path / "s"), "--fail-on-leak"])
    assert ended.value.code == 1
