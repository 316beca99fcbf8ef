"""Hostile and broken inputs: one row a case, each one clear line and exit code 2, nothing lost and nothing executed.

A row names what is broken, gives the command line, and the words the line must hold. Where what is hostile is harmless
(script in a text), the command must succeed and the row says what must hold of what it wrote. Every case runs under a
limit of time and of memory: hanging, or filling the memory, fails it.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from _hostile import ESCAPES, MEGABYTE, SCRIPT, Ground, header, many, pickled, png, record, torch_file
from rasura.cli import main

SECONDS = 120  # no case takes two on its own; one that hangs ends here, also on a busy machine
GROWTH = 1 << 30  # bytes of address space a case may add
DEEP = "[" * 100_000


class Case(NamedTuple):
    """What is broken, the command line over it, and the words of the one line."""

    broken: str
    words: Callable[[Ground], list[str]]
    said: str
    holds: Callable[[Ground, str], None] | None = None  # the command succeeds, and this must be true of what it wrote


def members(broken: str, name: str, data: bytes | str, said: str) -> Case:
    return Case(broken, lambda g: g.audit(members=g.file(name, data)), said)


def rows(broken: str, said: str, *items: dict[str, Any]) -> Case:
    return Case(broken, lambda g: g.audit(members=g.lines("a.jsonl", *items)), said)


def model(broken: str, said: str, change: Callable[[Ground], Any]) -> Case:
    return Case(broken, lambda g: g.audit(model=change(g)), said)


def option(broken: str, said: str, *more: str) -> Case:
    return Case(broken, lambda g: g.audit(*more), said)


def shown(broken: str, text: str, said: str) -> Case:
    return Case(broken, lambda g: ["report", str(g.file("a.json", text))], said)


GOOD = b'{"id": "a", "text": "first words here"}\n'
TEXTS = [
    members("NUL bytes", "a.jsonl", GOOD + b'{"text": "x\0y"}\n', "line 2: NUL byte"),
    members("NUL as an escape", "a.jsonl", GOOD + b'{"text": "x\\u0000y"}\n', "NUL character"),
    members("invalid UTF-8", "a.jsonl", GOOD + b'{"text": "\xff"}\n', "line 2: not UTF-8 at byte 11"),
    members("half of a surrogate pair", "a.jsonl", GOOD + b'{"text": "\\ud800"}\n', "half of a surrogate pair"),
    members("UTF-16", "a.jsonl", GOOD.decode().encode("utf-16"), "it is UTF-16; save it as UTF-8"),
    members("UTF-16 without a mark", "a.csv", "id,text\n1,x\n".encode("utf-16-le"), "NUL byte"),
    members("a byte-order mark and nothing", "a.jsonl", b"\xef\xbb\xbf", "no records in it"),
    members("an empty file", "a.jsonl", b"", "the file is empty"),
    members("brackets, 100,000 deep", "a.jsonl", '{"text": ' + DEEP, "line 1: JSON nested too deeply"),
    members("brackets, 100,000 deep, in an array", "a.json", DEEP, "JSON nested too deeply"),
    members("a number of 5,000 digits", "a.jsonl", '{"text": ' + "7" * 5000 + "}", "a number too long to read"),
    members("an infinite id", "a.jsonl", b'{"id": 1e999, "text": "x"}', "expected text or a whole number"),
    members("gzip cut short", "a.jsonl.gz", gzip.compress(b'{"text": "words"}\n' * 500)[:-9], "damaged gzip file"),
    members("no gzip at all", "a.jsonl.gz", GOOD, "damaged gzip file"),
    members("gzip under a plain name", "a.jsonl", gzip.compress(GOOD), "its name must end in .gz"),
    members("a bomb of one line", "a.jsonl.gz", many(b"x" * MEGABYTE, 200), "times its size"),
    members("a bomb of many lines", "a.jsonl.gz", many((b'{"text": "' + b"x" * 9_985 + b'"}\n') * 100, 100), "times its size"),
    members("a bomb of an array", "a.json.gz", gzip.compress(b"[") + many(b" " * MEGABYTE, 2000), "times its size"),
    members("a bomb of a text", "a.txt.gz", many(b"x" * MEGABYTE, 800), "larger than 100 MB"),
    members("Parquet that is none", "a.parquet", GOOD, "not a readable Parquet file"),
    members("Parquet with a lying footer", "a.parquet", b"PAR1" + b"\xff" * 64 + b"PAR1", "not a readable Parquet"),
    members("CSV without the column", "a.csv", "id,words\n1,x\n", "line 2: no field 'text'"),
    members("CSV with a quotation mark left open", "a.csv", 'id,text\n1,"x\n', "never closed"),
    members("CSV of 300,000 columns", "a.csv", ",".join(f"c{i}" for i in range(300_000)) + "\n1\n", "the header names"),
    members("an unknown format", "a.xlsx", GOOD, "unknown format '.xlsx'"),
    rows("texts of no length", "is empty in every record", {"text": ""}, {"text": " \n"}),
    rows("the same id twice", "the same id as line 1", {"id": "a", "text": "x"}, {"id": "a", "text": "y"}),
    rows("an id that collides with a number", "the same id as line 1", {"id": "a-2", "text": "x"}, {"text": "y"}),
    rows("a text that is a number", "expected text, found a number", {"text": 7}),
    rows("a line of another version", "written by another version", {"rasura": 2, "text": "x"}),
    rows("a picture outside the folder", "damaged picture", {"rasura": 1, "text": "x", "picture": "/etc/passwd"}),
    rows("a position beyond the text", "a character position from 0 to 1", {"rasura": 1, "text": "x", "start": 10**30}),
    Case("a line of a gigabyte", lambda g: g.audit(members=g.sparse("a.jsonl", 1 << 30)), "line 1: longer than 100 MB"),
    Case("an array of two gigabytes", lambda g: g.audit(members=g.sparse("a.json", 1 << 31)), "a.json: "),
    Case("members are non-members", lambda g: g.audit(nonmembers=g.members), "share 8 texts"),
    Case("a folder in place of a file", lambda g: g.audit(members=g.root / "model"), "without .txt files"),
    Case("a loop of links", lambda g: g.audit(members=g.loop("a.jsonl")), "a.jsonl: "),
    Case("a pipe nobody writes to", lambda g: g.audit(members=g.fifo("a.jsonl")), "not a regular file"),
    Case("a pipe as a caption", lambda g: g.audit(members=captions(g, pipe=True)), "not a regular file"),
    Case("PostScript named .png", lambda g: g.audit(members=captions(g, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")), "damaged picture"),
    Case("a picture of 10^9 pixels", lambda g: g.audit(members=captions(g, png(60_000, 60_000))), "not opened"),
    Case("no file at all", lambda g: g.audit(members=g.place / "none.jsonl"), "no such file"),
    Case("a field that is an escape", lambda g: g.audit("--text-field", ESCAPES), "no field"),
    Case("an escape in a file's name", lambda g: g.audit(members=g.file(f"a{ESCAPES}\nb.jsonl", b"")), "the file is empty"),
    Case("escapes in ids", lambda g: g.audit(**same_under_escapes(g)), "share 1 text"),
    pytest.param(
        Case("no permission", lambda g: g.audit(members=closed(g)), "cannot be read (Permission denied)"),
        marks=pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything"),
        id="no permission",
    ),
]  # fmt: skip

OPTIONS = [
    option("an unknown signal, nearly right", "did you mean min_k", "--signal", "mink"),
    option("a setting that is not a number", "expected a number", "--signal", "min_k", "--set", "min_k.k=nan"),
    option("a setting beyond all numbers", "min_k: k is a share", "--signal", "min_k", "--set", "min_k.k=1e999"),
    option("a setting of nothing", "expected METHOD.FIELD=VALUE", "--set", f"{ESCAPES}"),
    option("a limit of 30 digits", "--limit", "--limit", "1" + "0" * 30),
    option("a negative limit", "--limit", "--limit", "-1"),
    option("a seed of 30 digits", "--seed", "--seed", "1" + "0" * 30),
    option("a negative seed", "--seed", "--seed", "-1"),
    option("a rate that is no number", "--false-discovery-rate", "--false-discovery-rate", "nan"),
    option("a rate above one", "--false-discovery-rate", "--false-discovery-rate", "2"),
    option("a device that does not exist", "banana", "--device", "banana"),
    option("a device of 30 digits", "cuda:", "--device", "cuda:" + "9" * 30),
    option("a number format that does not exist", "banana", "--dtype", "banana"),
    option("a verdict by a signal that does not run", "--decide-by", "--decide-by", "zlib"),
    option("a key and records", "--mark", "--mark", "mark.json"),
    option("a training order and records", "--transcript", "--transcript", "order.jsonl"),
    option("windows of a language model", "text-to-image", "--windows"),
    option("a store of an unknown kind", "banana://x", "--store", "banana://x"),
    option("a folder of no shadows", "shadows.json", "--shadows", "."),
    option("an option that does not exist", "--membres", "--membres", "x"),
    Case("a store that is a file", lambda g: g.audit("--store", g.members), "choose another --store"),
    Case("an output that is a file", lambda g: g.audit("--out", g.members), "choose another --out"),
    Case("an output inside a file", lambda g: g.audit("--out", g.members / "x"), "choose another --out"),
    Case("an output in place of an input", lambda g: over_an_input(g), "audit.json"),
    Case("shadows outside their folder", lambda g: g.audit("--shadows", shadows(g)), "names a folder outside this one"),
    Case("an unknown command", lambda g: ["audti"], "did you mean audit"),
]

MODELS = [
    model("no model folder", "no such model folder", lambda g: g.place / "none"),
    model("a model that is a file", "a model is a folder", lambda g: g.members),
    model("a folder of nothing", "no config.json", lambda g: g.place),
    model("pickled weights", "--allow-pickle", lambda g: g.copy(weights=None, pickled=pickled(g.executed))),
    model("weights of torch.save", "--allow-pickle", lambda g: g.copy(weights=None, pickled=torch_file(g.executed))),
    model("a pickle under a safe name", "model: ", lambda g: g.copy(weights=pickled(g.executed))),
    model("a safe folder that points to a pickle", "names weights that are not safetensors", lambda g: pointing(g, "pytorch_model.bin")),
    model("weights outside the folder", "names a file outside", lambda g: pointing(g, "../../model/model.safetensors")),
    model("a configuration that asks for code", "--trust-remote-code", lambda g: remote(g, '"auto_map"')),
    model("the same, spelled to be overlooked", "--trust-remote-code", lambda g: remote(g, '"\\u0061uto_map"')),
    model("a tokenizer that asks for code", "--trust-remote-code", lambda g: remote_tokenizer(g)),
    model("a header of 2^63 bytes", "model: ", lambda g: g.copy(weights=header(1 << 63))),
    model("a header longer than the file", "model: ", lambda g: g.copy(weights=header(99))),
    model("a header that is no JSON", "model: ", lambda g: g.copy(weights=header(4, b"nope"))),
    model("tensors beyond the end", "model: ", lambda g: cut_short(g)),
    model("weights that are a pipe", "model.safetensors", lambda g: piped(g)),
    model("NaN weights", "NaN or infinite", lambda g: g.weights(lambda w: fill(w, float("nan")))),
    model("infinite weights", "NaN or infinite", lambda g: g.weights(lambda w: fill(w, float("inf")))),
    model("half of the tensors missing", "missing", lambda g: g.weights(lambda w: dict(list(w.items())[::2]))),
    model("a tensor of another shape", "model: ", lambda g: g.weights(lambda w: {n: t[:1] for n, t in w.items()})),
    model("a tokenizer larger than the embedding", "do not belong together", lambda g: larger(g)),
    model("no tokenizer", "no tokenizer in it", lambda g: g.copy(tokenizer=None)),
    model("a tokenizer that is no JSON", "tokenizer cannot be loaded", lambda g: g.copy(tokenizer="{")),
    model("a tokenizer of nothing", "tokenizer", lambda g: empty_tokenizer(g)),
    model("a configuration that is a list", "config.json", lambda g: g.copy(config_json="[]")),
    model("a configuration that is no JSON", "config.json", lambda g: g.copy(config_json=b"\xff{")),
    model("a configuration 100,000 deep", "config.json", lambda g: g.copy(config_json='{"a": ' + DEEP)),
    model("sizes that are words", "model: ", lambda g: g.copy({"hidden_size": "many"})),
    model("a size of nothing", "model: ", lambda g: g.copy({"hidden_size": 0})),
    model("a negative size", "model: ", lambda g: g.copy({"hidden_size": -64})),
    model("heads that do not divide", "model: ", lambda g: g.copy({"num_attention_heads": 5})),
    model("10^9 layers", "num_hidden_layers", lambda g: g.copy({"num_hidden_layers": 10**9})),
    model("10^15 words", "other shapes", lambda g: g.copy({"vocab_size": 10**15})),
    model("architectures that are numbers", "architectures", lambda g: g.copy({"architectures": [7]})),
    model("a kind of model nobody knows", "model: ", lambda g: g.copy({"model_type": ESCAPES})),
    model("a pipeline that is a list", "model_index.json: expected a JSON object", lambda g: g.copy(model_index="[]")),
    model("a pipeline 100,000 deep", "model_index.json", lambda g: g.copy(model_index=DEEP)),
    model("a pipeline of a class that runs code", "no weights", lambda g: g.copy(model_index='{"_class_name": ["os", "system"]}')),
]  # fmt: skip

RECORDS = [
    shown("a record of another version", record(schema=99), "schema 99, this version reads schema 1"),
    shown("a record with a field nobody knows", record(extra=1), "expected only fields of Verdict"),
    shown("a record of an unknown kind", record("Banana"), "not a record of this program"),
    shown("a record whose kind is a list", '{"record": [], "schema": 1}', "not a record of this program"),
    shown("a record that lacks a field", '{"record": "Verdict", "schema": 1}', "expected the fields claim"),
    shown("a field of the wrong kind", record(claim=7), "claim: expected str"),
    shown("a table that is no table", record(table=[["a"], "b"]), "table[1]: expected a list"),
    shown("a record 100,000 deep", '{"record": "Verdict", "x": ' + DEEP, "nested too deeply"),
    shown("a number of 5,000 digits in a record", '{"record": ' + "7" * 5000 + "}", "not JSON"),
    shown("the same field twice", record()[:-1] + ', "outcome": "fails here"}', "twice"),
    Case("a record that is not UTF-8", lambda g: ["report", str(g.file("a.json", b"\xff"))], "not UTF-8"),
    Case("a record of a gigabyte", lambda g: ["report", str(g.sparse("a.json", 1 << 32))], "larger than"),
    Case(
        "a number too large for a float", lambda g: ["report", str(estimate(g, "1" + "0" * 400))], "expected a number"
    ),
    Case("a folder without records", lambda g: ["report", str(g.model)], "holds no records"),
    Case("a pipe as a record", lambda g: ["report", str(g.fifo("a.json"))], "a.json"),
    Case("no folder", lambda g: ["report", str(g.place / "none")], "no such file or folder"),
    Case("a page over its record", lambda g: page_over(g, "a.json"), "a.json"),
    Case("a page that is a folder", lambda g: page_over(g, "."), "cannot be written"),
    Case("a page inside a file", lambda g: page_over(g, "a.json/page.html"), "cannot be written"),
]

OTHERS = [
    Case("mark: no source", lambda g: g.mark(g.place / "none"), "no such file"),
    Case("mark: a method nearly right", lambda g: g.mark(g.members, "--method", "ghost_sentense"), "ghost_sentence"),
    Case("mark: over the originals", lambda g: g.mark(g.members, out=g.root), "never changed"),
    Case("mark: words without end", lambda g: g.mark(g.members, "--set", "ghost_sentence.words=/dev/zero"), "/dev/zero"),
    Case("mark: a negative seed", lambda g: g.mark(g.members, "--seed", "-1"), "--seed"),
    Case("a key 100,000 deep", lambda g: g.ask("--mark", g.file("k.json", DEEP)), "not a key"),
    Case("a key of an unknown method", lambda g: g.ask("--mark", key(g, method=ESCAPES)), "method"),
    Case("a key whose method is a list", lambda g: g.ask("--mark", key(g, method=[])), "damaged"),
    Case("a key of the wrong kinds", lambda g: g.ask("--mark", key(g, key={"sentence": 7})), "damaged"),
    Case("a key that is a pipe", lambda g: g.ask("--mark", g.fifo("k.json")), "key"),
    Case("an order with an endless step", lambda g: g.ask("--transcript", order(g, "1e999")), "line 2, field 'position'"),
    Case("an order of 400 digits", lambda g: g.ask("--transcript", order(g, "1" + "0" * 400)), "line 2, field 'position'"),
    Case("an order with half a surrogate", lambda g: g.ask("--transcript", order(g, "1", "\\ud800")), "half of a surrogate"),
    Case("extract: lengths that are words", lambda g: g.extract("--context-lengths", "a,b"), "--context-lengths"),
    Case("extract: a negative length", lambda g: g.extract("--context-lengths", "-5"), "context"),
    Case("extract: a length of 30 digits", lambda g: g.extract("--context-lengths", "1" + "0" * 30), "context"),
    Case("extract: a negative prefix", lambda g: g.extract("--prefix-tokens", "-1"), "--prefix-tokens"),
    Case("extract: a prefix of 30 digits", lambda g: g.extract("--prefix-tokens", "1" + "0" * 30), "prefix"),
    Case("extract: an unknown method", lambda g: g.extract("--method", "verbatm"), "did you mean verbatim"),
    Case("extract: no records", lambda g: g.extract(records=g.place / "none.jsonl"), "no such file"),
    Case("erase: records that do not exist", lambda g: g.erase(forget=g.place / "none.jsonl"), "no such file"),
    Case("erase: forget what to keep", lambda g: g.erase(retain=g.members), "share 8 texts"),
    Case("erase: over the model", lambda g: g.erase(out=g.model), "never"),
    Case("erase: over the model by a link", lambda g: g.erase(out=linked(g)), "never"),
    Case("erase: an unknown method", lambda g: g.erase("--method", "npoo"), "did you mean npo"),
    Case("erase: an unknown selection", lambda g: g.erase("--selection", "lara"), "lora"),
    Case("erase: a negative number of steps", lambda g: g.erase("--set", "loop.steps=-1"), "steps"),
    Case("erase: a concept of a language model", lambda g: concept(g), "text-to-image"),
    Case("erase: nothing", lambda g: ["erase", str(g.model), "--out", str(g.place / "e")], "nothing to erase"),
    Case("verify: nothing erased", lambda g: g.verify(), "nothing was erased"),
    Case("verify: an unknown attack", lambda g: g.verify("--attack", "relern", after=g.copy()), "did you mean relearn"),
    Case("verify: an unknown guard", lambda g: g.verify("--guard", "../../x"), "no eraser method"),
    Case("verify: no judge", lambda g: g.verify("--judge", g.place / "none"), "no such judge"),
    Case("verify: a pickled judge", lambda g: g.verify("--judge", pickled_judge(g)), "pickled"),
    Case("verify: a judge of the wrong kinds", lambda g: g.verify("--judge", wrong_judge(g)), "judge"),
    Case("verify: forget that does not exist", lambda g: g.verify(forget=g.place / "none.jsonl"), "no such file"),
    Case("methods: an unknown one", lambda g: ["methods", "min_kk"], "did you mean min_k"),
    Case("methods: a family by path", lambda g: ["methods", "--family", "../../etc"], "no family"),
    Case("claims: an unknown one", lambda g: ["claims", f"x{ESCAPES}"], "no claims method"),
    Case("claims: a page nobody can write", lambda g: ["claims", "hubble_dose_response", "--write", "/none/x.md"], "--write"),
    Case("claims: a page over its JSON", lambda g: ["claims", "--write", str(g.place / "x.json")], "x.json"),
    Case("claims: other JSON beside the page", lambda g: beside(g), "x.json"),
    Case("testbed: an unknown one", lambda g: bed(g, "langauge"), "did you mean language"),
    Case("testbed: more members than records", lambda g: bed(g, "language", "--member-fraction", "1.5"), "1.5"),
    Case("testbed: a share that is no number", lambda g: bed(g, "language", "--member-fraction", "nan"), "--member-fraction"),
    Case("testbed: a variant of another one", lambda g: bed(g, "language", "--variant", "digits"), "no such setting"),
    Case("testbed: one record", lambda g: bed(g, "language", "--text", g.lines("a.jsonl", {"text": "x"})), "record"),
    Case("testbed: no text", lambda g: bed(g, "language", "--text", g.place / "none.jsonl"), "no such file"),
    Case("demo: a size that does not exist", lambda g: ["demo", "--size", "huge"], "--size"),
    Case("demo: a folder nobody can write", lambda g: ["demo", "--out", str(g.members)], "choose another --out"),
]  # fmt: skip

HARMLESS = [
    Case("script in texts, ids and names", lambda g: g.audit("--out", g.place, **scripted(g)), "", lambda g, out: inert(g)),
    Case("a path as an id", lambda g: g.audit("--out", g.place, members=paths(g)), "", lambda g, out: stays(g)),
    Case("escapes in texts and ids", lambda g: g.extract("--reveal", "--method", "verbatim", records=escapes(g)), "", lambda g, out: quiet(out)),
    Case("a record of script", lambda g: ["report", str(scripts(g))], "", lambda g, out: inert(g)),
    Case("a record of pictures from elsewhere", lambda g: ["report", str(pictures(g))], "", lambda g, out: inert(g)),
    Case("a curve with sides of two lengths", lambda g: ["report", str(uneven(g))], "", lambda g, out: inert(g)),
    Case("half a surrogate in a record", lambda g: ["report", "--json", str(surrogate(g))], "", lambda g, out: quiet(out)),
]  # fmt: skip

CASES = [*TEXTS, *OPTIONS, *MODELS, *RECORDS, *OTHERS, *HARMLESS]


def name_of(case: Any) -> str | None:
    return case.broken if isinstance(case, Case) else None


# what the rows are made of


def captions(g: Ground, picture: bytes | None = None, pipe: bool = False) -> Path:
    """An image folder of one captioned picture."""
    g.file("p/a.png", png(8, 8) if picture is None else picture)
    g.fifo("p/a.txt") if pipe else g.file("p/a.txt", "a red dog")
    return g.place / "p"


def same_under_escapes(g: Ground) -> dict[str, Path]:
    both = {"id": ESCAPES, "text": "the same words"}
    return {
        "members": g.lines("a.jsonl", both, {"text": "x"}),
        "nonmembers": g.lines("b.jsonl", both, {"text": "y"}),
    }


def closed(g: Ground) -> Path:
    path = g.file("a.jsonl", GOOD)
    path.chmod(0)
    return path


def over_an_input(g: Ground) -> list[str]:
    """The records lie where the audit would write."""
    texts = json.dumps([{"text": t} for t in g.texts[:8]])
    return g.audit("--out", g.place, members=g.file("audit.json", texts))


def shadows(g: Ground) -> Path:
    g.file("s/shadows.json", json.dumps({"../../model": ["a"], "shadow_2": ["b"]}))
    (g.place / "s" / "shadow_2").mkdir()
    return g.place / "s"


def pointing(g: Ground, at: str) -> Path:
    """Weights in parts whose index names another file, with something safe beside it."""
    from safetensors import safe_open

    with safe_open(g.model / "model.safetensors", "pt") as file:
        names = list(file.keys())
    index = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, at)})
    folder = g.copy(weights=None, index=index, pickled=torch_file(g.executed))
    (folder / "safe.safetensors").write_bytes((g.model / "model.safetensors").read_bytes())
    return folder


def remote(g: Ground, key: str) -> Path:
    """A folder with code of its own and a configuration that names it."""
    config = json.loads((g.model / "config.json").read_text()) | {"model_type": "evil"}
    text = json.dumps(config)[:-1] + f', {key}: {{"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}}}'
    folder = g.copy(config_json=text)
    (folder / "evil.py").write_text(f"open({str(g.executed)!r}, 'w')\n")
    return folder


def remote_tokenizer(g: Ground) -> Path:
    config = json.loads((g.model / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}}
    folder = g.copy(tokenizer_config=json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(g.executed)!r}, 'w')\n")
    return folder


def cut_short(g: Ground) -> Path:
    return g.copy(weights=(g.model / "model.safetensors").read_bytes()[:-1000])


def piped(g: Ground) -> Path:
    folder = g.copy(weights=None)
    os.mkfifo(folder / "model.safetensors")
    return folder


def fill(weights: dict[str, Any], value: float) -> None:
    next(iter(weights.values())).view(-1)[0] = value


def larger(g: Ground) -> Path:
    """A tokenizer of 512 entries, an embedding of 16."""
    from safetensors.torch import load_file, save_file

    folder = g.copy({"vocab_size": 16})
    tensors = {
        n: t[:16].clone() if t.shape[0] == 512 else t for n, t in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def empty_tokenizer(g: Ground) -> Path:
    body = json.loads((g.model / "tokenizer.json").read_text())
    body["model"] |= {"vocab": {}, "merges": []}
    return g.copy(tokenizer=json.dumps(body | {"added_tokens": [], "post_processor": None}), tokenizer_config="{}")


def key(g: Ground, **change: Any) -> Path:
    body = {"rasura_mark": 1, "method": "ghost_sentence", "settings": {}, "key": {}, "texts": 1, "marked": 1}
    return g.file("k.json", json.dumps(body | change))


def order(g: Ground, position: str, text: str = "words") -> Path:
    return g.file("o.jsonl", f'{{"text": "first", "position": 0}}\n{{"text": "{text}", "position": {position}}}\n')


def linked(g: Ground) -> Path:
    (g.place / "link").symlink_to(g.model)
    return g.place / "link"


def concept(g: Ground) -> list[str]:
    return ["erase", str(g.model), "--concept", "ring", "--out", str(g.place / "e"), "--store", str(g.root / "store")]


def pickled_judge(g: Ground) -> Path:
    g.file("j/config.json", "{}")
    g.file("j/pytorch_model.bin", pickled(g.executed))
    return g.place / "j"


def wrong_judge(g: Ground) -> Path:
    g.file("j/judge.json", '{"network": [], "attributes": 7, "confusion": []}')
    return g.place / "j"


def beside(g: Ground) -> list[str]:
    g.file("x.json", '{"notes": "mine"}')
    return ["claims", "hubble_dose_response", "--write", str(g.place / "x.md")]


def bed(g: Ground, *words: Any) -> list[str]:
    return [str(w) for w in ("testbed", "build", *words, "--size", "tiny", "--out", g.place / "t")]


def page_over(g: Ground, name: str) -> list[str]:
    return ["report", str(g.file("a.json", record())), "--out", str(g.place / name)]


def estimate(g: Ground, value: str) -> Path:
    from rasura.core.records import to_json

    text = to_json(an_audit()).replace('"value": 0.5', f'"value": {value}', 1)
    return g.file("a.json", text)


def uneven(g: Ground) -> Path:
    from dataclasses import replace

    from rasura.core.records import to_json

    audit = an_audit()
    return g.file("a.json", to_json(replace(audit, signals=(replace(audit.signals[0], roc=((0.0, 1.0), (0.0,))),))))


def an_audit(text: str = "x") -> Any:
    from rasura.core import records as r
    from rasura.core.types import Estimate

    half = Estimate(0.5, 0.4, 0.6, 8, text)
    used = r.MethodUsed("signals", text, {text: text}, text, text)
    card = r.ModelCard("target", text, text, 7, text, (text,))
    signal_ = r.SignalResult(used, half, {"0.01": half}, 0.5, 0.5, None, 0.5, None, None, 0, ((0.0, 1.0), (0.0, 1.0)))
    blind = r.BlindBaseline(half, False, {text: half}, text)
    people = (r.Population(text, 8, text, 1, {text: 1}),)
    run = r.Run(command=text, seed=0, versions={text: text})
    return r.Audit(text, False, (card,), people, blind, (signal_,), (r.Skipped(text, text),), (text,), run)


def scripted(g: Ground) -> dict[str, Path]:
    sides = (g.texts[:8], g.texts[8:])
    made = [
        g.lines(f"<img src=x onerror=1>{i}.jsonl", *({"id": f"{SCRIPT}{n}", "text": f"{SCRIPT} {t}"} for n, t in enumerate(side)))
        for i, side in enumerate(sides)
    ]  # fmt: skip
    return dict(zip(("members", "nonmembers"), made, strict=True))


def paths(g: Ground) -> Path:
    return g.lines("a.jsonl", *({"id": f"../../../up/{i}", "text": t} for i, t in enumerate(g.texts[:8])))


def escapes(g: Ground) -> Path:
    return g.lines("a.jsonl", *({"id": f"{ESCAPES}{i}", "text": f"{ESCAPES} {t}"} for i, t in enumerate(g.texts[:4])))


def scripts(g: Ground) -> Path:
    from rasura.core.records import to_json

    g.file("a.json", to_json(an_audit(SCRIPT)))
    g.file("b.json", record(claim=SCRIPT, why=SCRIPT, table=[[SCRIPT], [ESCAPES]]))
    return g.place


def pictures(g: Ground) -> Path:
    from rasura.core import records as r

    cells = ("javascript:alert(1)", "https://example.org/x.png", "data:image/svg+xml;base64,PHN2Zz4=", "x' onerror='1")
    grid = r.Grid(SCRIPT, (r.GridRow(SCRIPT, cells),), (SCRIPT,) * 4, SCRIPT)
    run = r.Run(command="x", seed=0, versions={})
    windows = r.Windows("x", (), (), (900, 1), (), (("at", "measured"),), (grid,), (), run)
    g.file("a.json", r.to_json(windows))
    return g.place


def surrogate(g: Ground) -> Path:
    return g.file("a.json", record(outcome="\ud800 lost"))


# what must hold


class Active(HTMLParser):
    """What could run or load anything."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "form", "base", "link", "a") and not inside(attrs):
            self.found.append(tag)
        for name, value in attrs:
            near = (value or "").startswith(("#", "data:image/png;base64,"))
            if name.startswith("on") or (name in ("href", "src", "action", "xlink:href") and not near):
                self.found.append(f"{tag} {name}={value}")


def inside(attrs: list[tuple[str, str | None]]) -> bool:
    return all((value or "").startswith("#") for name, value in attrs if name == "href") and bool(attrs)


def inert(g: Ground) -> None:
    from rasura.report import write_report

    text = write_report(g.place).read_text(encoding="utf-8")
    assert Active(text).found == []
    assert "<script" not in text.lower() and "Content-Security-Policy" in text


def stays(g: Ground) -> None:
    assert (g.place / "audit.json").is_file()
    assert not (g.root / "up").exists() and not (g.root.parent / "up").exists()


def quiet(out: str) -> None:
    """Nothing a terminal would act on."""
    assert out.strip() and all(c == "\n" or c.isprintable() for c in out)


# the test


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RASURA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Ground(tmp_path_factory.mktemp("hostile"))


def contents(g: Ground) -> dict[str, str]:
    files = [p for p in (g.members, g.others, *g.model.rglob("*")) if p.is_file()]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Time and memory run out here rather than on the machine of whoever runs the tests."""

    def too_long(*_: Any) -> None:
        raise TimeoutError(f"longer than {SECONDS} seconds")

    before, size = resource.getrlimit(resource.RLIMIT_AS), int(Path("/proc/self/statm").read_text().split()[0])
    handler = signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (size * resource.getpagesize() + GROWTH, before[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_one_clear_line(case: Case, ground: Ground, request, capsys):
    words = case.words(ground.case(list(request.session.items).index(request.node)))
    before = contents(ground)
    capsys.readouterr()
    with bounded(), pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert ended.value.code == (0 if case.holds else 2), err
    assert "Traceback" not in err and "\x1b" not in out + err
    if case.holds:
        case.holds(ground, out)
    else:
        said = err.strip().split("\n")
        assert len(said) == 1 and said[0].startswith("rasura: ") and len(said[0]) < 1000, said
        assert case.said in said[0] and all(c.isprintable() for c in said[0]), said[0]
        assert not out.strip()
    assert contents(ground) == before, "what was there is there"
    assert not ground.executed.exists(), "nothing was executed"


def test_the_table_is_large_and_every_verb_is_in_it(ground: Ground):
    from rasura.cli import COMMANDS

    every = [case if isinstance(case, Case) else case.values[0] for case in CASES]
    assert len(every) >= 80 and len({case.broken for case in every}) == len(every)
    used = {case.words(ground.case(10**6 + i))[0] for i, case in enumerate(every)}
    assert used >= set(COMMANDS)
