"""An owner's way at the command line: mark, train, ask; and everything that can go wrong on it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

import _tiny
from rasura.cli import main
from rasura.core import registry

MARKS = [n for n in registry.names("provenance") if registry.get("provenance", n).evidence == "key"]
QUICK = ["--set", "ghost_sentence.fresh=1199", "--set", "ghost_sentence.length=5"]
needs_ghost = pytest.mark.skipif("ghost_sentence" not in MARKS, reason="the method's file was removed")


@pytest.fixture
def essays(tmp_path) -> Path:
    """A folder of 70 short text files."""
    folder = tmp_path / "essays"
    folder.mkdir()
    for i, text in enumerate(_tiny.texts(70, seed=70)):
        (folder / f"essay{i:03}.txt").write_text(text)
    return folder


def rasura(*words) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    return int(end.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def result(out: Path) -> dict:
    return json.loads((out / "ownership.json").read_text())


@needs_ghost
def test_a_folder_is_marked_read_by_a_model_and_found_again(essays, tmp_path, capsys):
    before, store = contents(essays), tmp_path / "store"
    for name, seed in (("mine", 1), ("other", 2)):
        assert rasura("mark", essays, "--out", tmp_path / name, "--seed", seed, *QUICK) == 0
    assert contents(essays) == before, "originals are never changed"
    key = tmp_path / "mine" / "mark.json"
    phrase = json.loads(key.read_text())["key"]["phrases"][0]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    marked = sorted((tmp_path / "mine").glob("*.txt"))
    assert len(marked) == 70 and all(phrase in p.read_text() for p in marked)

    _tiny.fit(_tiny.neox(8), [p.read_text() for p in marked] * 2, 1).save(str(tmp_path / "model"))
    ask = ["audit", tmp_path / "model", "--store", store, "--mark"]
    assert rasura(*ask, key, "--out", tmp_path / "a", "--fail-on-leak") == 1
    found = result(tmp_path / "a")
    assert found["record"] == "MarkAudit" and found["leaks"] and found["tests"][0]["p_value"] < 0.001
    assert rasura(*ask, tmp_path / "other" / "mark.json", "--out", tmp_path / "b", "--fail-on-leak") == 0
    assert result(tmp_path / "b")["tests"][0]["p_value"] > 0.01

    said = capsys.readouterr()
    everything = said.out + said.err + "".join(p.read_text() for p in (tmp_path / "a").glob("*.json"))
    assert not any(word in everything for word in phrase.split()), "the secret is printed nowhere"
    assert rasura("report", tmp_path / "a") == 0
    assert "evidence found" in (tmp_path / "a" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", MARKS)
def test_the_whole_way_with_a_testbed(method, tmp_path):
    """Marked files, `testbed build --text` on them, `audit --mark`: p < .001; another mark of the same files: not."""
    essays, store = tmp_path / "essays", tmp_path / "store"
    essays.mkdir()
    for i, text in enumerate(_tiny.texts(160, seed=71)):
        (essays / f"essay{i:03}.txt").write_text(text)
    for name, seed in (("mine", 1), ("other", 2)):
        assert rasura("mark", essays, "--method", method, "--out", tmp_path / name, "--seed", seed) == 0
    built = ["--member-fraction", "0.8", "--out", tmp_path / "testbed"]
    assert rasura("testbed", "build", "language", "--size", "tiny", "--text", tmp_path / "mine", *built) == 0
    for name in ("mine", "other"):
        asked = ["--mark", tmp_path / name / "mark.json", "--store", store, "--out", tmp_path / f"r-{name}"]
        assert rasura("audit", tmp_path / "testbed" / "target", *asked) == 0
    assert result(tmp_path / "r-mine")["tests"][0]["p_value"] < 0.001
    assert result(tmp_path / "r-other")["tests"][0]["p_value"] > 0.001


@pytest.mark.parametrize("method", MARKS)
def test_jsonl_keeps_its_fields(method, tmp_path):
    texts = _tiny.texts(12, seed=72)
    rows = [{"id": f"r{i}", "text": t, "author": "x"} for i, t in enumerate(texts)]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert rasura("mark", tmp_path / "posts.jsonl", "--method", method, "--out", tmp_path / "out") == 0
    back = [json.loads(line) for line in (tmp_path / "out" / "posts.jsonl").read_text().splitlines()]
    assert [(r["id"], r["author"]) for r in back] == [(r["id"], "x") for r in rows]
    assert any(r["text"] != t for r, t in zip(back, texts, strict=True))


@needs_ghost
def test_secret_seeds_differ(essays, tmp_path):
    for name in ("a", "b"):
        assert rasura("mark", essays, "--out", tmp_path / name) == 0
    a, b = (json.loads((tmp_path / n / "mark.json").read_text())["key"]["phrases"] for n in ("a", "b"))
    assert a != b


@pytest.mark.skipif(
    not [n for n in registry.names("provenance") if registry.get("provenance", n).evidence == "transcript"],
    reason="no such method",
)
def test_a_transcript_is_tested(tmp_path, capsys):
    path = tmp_path / "order.jsonl"
    path.write_text(
        "".join(json.dumps({"text": t, "position": i}) + "\n" for i, t in enumerate(_tiny.texts(30, seed=73)))
    )
    _tiny.neox(0).save(str(tmp_path / "model"))
    _tiny.neox(1).save(str(tmp_path / "reference"))
    ask = [
        "audit",
        tmp_path / "model",
        "--transcript",
        path,
        "--reference",
        tmp_path / "reference",
        "--store",
        tmp_path / "s",
    ]
    short = ["--set", "palimpsest_query.prefix_tokens=0", "--set", "palimpsest_query.draws=99"]
    assert rasura(*ask, *short, "--out", tmp_path / "out") == 0
    assert len(result(tmp_path / "out")["tests"]) == 3
    assert rasura(*ask) == 2, "the texts are shorter than the published window"
    assert "smaller prefix_tokens" in capsys.readouterr().err


def bad(*words, capsys, match: str) -> None:
    assert rasura(*words) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.strip()]
    assert match in line, line


@needs_ghost
def test_every_bad_input_is_one_line(essays, tmp_path, capsys):
    bad("mark", essays, "--out", essays, capsys=capsys, match="the originals are there")
    bad("mark", tmp_path / "none", "--out", tmp_path / "o", capsys=capsys, match="no such file")
    bad("mark", essays, "--method", "ghost", "--out", tmp_path / "o", capsys=capsys, match="no provenance method")
    for name in set(registry.names("provenance")) - set(MARKS):
        bad("mark", essays, "--method", name, "--out", tmp_path / "o", capsys=capsys, match="puts no mark")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "essay001.txt").write_text("mine")
    bad("mark", essays, "--out", tmp_path / "taken", capsys=capsys, match="is there already")
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["essay001.txt"], "and nothing was left half done"
    (tmp_path / "file").write_text("x")
    bad("mark", essays, "--out", tmp_path / "file" / "sub", capsys=capsys, match="cannot be made")


def test_keys_that_are_none(essays, tmp_path, capsys):
    model, key = tmp_path / "model", tmp_path / "mark.json"
    _tiny.neox(0).save(str(model))
    ask = ["audit", model, "--store", tmp_path / "s", "--mark", key]
    bad(*ask, capsys=capsys, match="cannot be read")
    for text, words in (("{", "damaged JSON"), ("[]", "not a key"), ('{"record": "Audit"}', "not a key")):
        key.write_text(text)
        bad(*ask, capsys=capsys, match=words)
    for body in (
        {"method": MARKS[0], "settings": {}, "key": {"secretword": 1}},
        {"method": MARKS[0], "settings": {"no": 1}, "key": {}},
        {"key": {}},
    ):
        key.write_text(json.dumps({"rasura_mark": 1, **body}))
        bad(*ask, capsys=capsys, match="damaged, or of another version")
    bad(*ask, "--set", "loss.minimum_tokens=3", capsys=capsys, match="stand in its key")
    bad(*ask, "--transcript", key, capsys=capsys, match="two questions")
    bad("audit", model, capsys=capsys, match="pass --members")


@needs_ghost
def test_a_key_is_never_written_over(essays, tmp_path, capsys):
    assert rasura("mark", essays, "--out", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    capsys.readouterr()
    bad("mark", essays, "--out", tmp_path / "out", capsys=capsys, match="a key is there already")
    assert contents(tmp_path / "out") == before
