"""What the table of hostile inputs is made from: a good ground, ways to break it, and command lines over it."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _tiny

MEGABYTE = 1 << 20
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m\u202e"
SCRIPT = "</style></svg><script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>"


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.mark, "w")


class Ground:
    """A folder with a good model and good records; every case breaks a copy of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.place = folder, folder
        self.model, self.executed = folder / "model", folder / "executed"
        _tiny.neox(0, hidden=16, layers=1).save(str(self.model))
        texts = _tiny.texts(16, seed=20)
        self.members = self.lines("members.jsonl", *({"id": f"m{i}", "text": t} for i, t in enumerate(texts[:8])))
        self.others = self.lines("nonmembers.jsonl", *({"id": f"n{i}", "text": t} for i, t in enumerate(texts[8:])))
        self.texts = texts

    def case(self, number: int) -> Ground:
        """The same ground, with a folder of the case's own."""
        self.place = self.root / f"case{number}"
        self.place.mkdir()
        return self

    def file(self, name: str, data: bytes | str = b"") -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        return path

    def lines(self, name: str, *rows: Mapping[str, Any]) -> Path:
        return self.file(name, "".join(json.dumps(row) + "\n" for row in rows))

    def sparse(self, name: str, size: int) -> Path:
        path = self.file(name)
        os.truncate(path, size)
        return path

    def fifo(self, name: str) -> Path:
        (self.place / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.place / name)
        return self.place / name

    def loop(self, name: str) -> Path:
        (self.place / name).symlink_to(self.place / name)
        return self.place / name

    def copy(self, config: Mapping[str, Any] | None = None, **files: bytes | str | None) -> Path:
        """The model with other files: ``weights``, ``tokenizer``, ``config_json``, ...; None leaves one out."""
        folder = self.place / "model"
        shutil.copytree(self.model, folder)
        names = {
            "weights": "model.safetensors",
            "tokenizer": "tokenizer.json",
            "config_json": "config.json",
            "index": "model.safetensors.index.json",
            "pickled": "pytorch_model.bin",
            "model_index": "model_index.json",
            "tokenizer_config": "tokenizer_config.json",
        }
        if config is not None:
            files["config_json"] = json.dumps(json.loads((folder / "config.json").read_text()) | config)
        for key, data in files.items():
            (folder / names[key]).unlink(missing_ok=True)
            if data is not None:
                (folder / names[key]).write_bytes(data.encode() if isinstance(data, str) else data)
        return folder

    def weights(self, change: Any) -> Path:
        """The model with tensors changed by a function of the dictionary of them."""
        from safetensors.torch import load_file, save_file

        folder = self.copy()
        tensors = load_file(folder / "model.safetensors")
        save_file(change(tensors) or tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    # command lines

    def audit(self, *more: Any, model: Any = None, members: Any = None, nonmembers: Any = None) -> list[str]:
        sides = ["--members", members or self.members, "--nonmembers", nonmembers or self.others]
        words = ["audit", model or self.model, *sides, "--signal", "loss", *self._store(), *more]
        return [str(w) for w in words]

    def ask(self, option: str, path: Any, *more: Any) -> list[str]:
        return [str(w) for w in ("audit", self.model, option, path, *self._store(), *more)]

    def extract(self, *more: Any, records: Any = None) -> list[str]:
        words = ["extract", self.model, "--records", records or self.members, *self._store(), *more]
        return [str(w) for w in words]

    def erase(self, *more: Any, forget: Any = None, retain: Any = None, out: Any = None) -> list[str]:
        sides = ["--forget", forget or self.members, "--retain", retain or self.others]
        words = ["erase", self.model, *sides, "--out", out or self.place / "erased", *self._store(), *more]
        return [str(w) for w in words]

    def verify(self, *more: Any, after: Any = None, forget: Any = None) -> list[str]:
        sides = ["--forget", forget or self.members, "--retain", self.others]
        return [str(w) for w in ("verify", self.model, after or self.model, *sides, *self._store(), *more)]

    def mark(self, source: Any, *more: Any, out: Any = None) -> list[str]:
        return [str(w) for w in ("mark", source, "--out", out or self.place / "marked", *more)]

    def _store(self) -> list[Any]:
        return ["--store", self.root / "store"]


def record(kind: str = "Verdict", **change: Any) -> str:
    """The JSON of a small record that reads well, before ``change``."""
    body = {
        "record": kind,
        "schema": 1,
        "claim": "a_claim",
        "outcome": "holds",
        "ours": "1",
        "theirs": "1",
        "why": "because",
        "threshold": "0",
    }
    return json.dumps(body | change)


def many(member: bytes, times: int) -> bytes:
    """A gzip file that unpacks to ``times`` copies: as many compressed pieces one after the other."""
    return gzip.compress(member) * times


def header(length: int, body: bytes = b"{}") -> bytes:
    """A safetensors file that claims a header of this length."""
    return struct.pack("<Q", length) + body


def png(width: int, height: int) -> bytes:
    """A picture file that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def pickled(mark: Path) -> bytes:
    return pickle.dumps(Payload(mark))


def torch_file(mark: Path) -> bytes:
    import io

    import torch

    out = io.BytesIO()
    torch.save({"weight": Payload(mark)}, out)
    return out.getvalue()
