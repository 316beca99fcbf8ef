"""What must hold of everything that reads, whatever it is given: an answer, or one line that says what is wrong."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from rasura.core.errors import RasuraError
from rasura.core.records import from_json, to_json
from rasura.core.types import Samples
from rasura.data.readers import read_samples


def answers(read: Callable[[Path], Any], name: str, data: bytes, context: str = "") -> Any:
    """What a reader makes of a file; None where it refuses it, in one line that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            return read(path)
        except RasuraError as error:
            line = str(error)
            assert line and "\n" not in line and len(line) < 2000 and line.isprintable(), repr(line)
            assert name in line, line
            assert error.__cause__ is None
            return None


def reads_samples(name: str, data: bytes) -> None:
    found = answers(read_samples, name, data)
    if found is not None:
        assert isinstance(found, Samples) and len(found) and len(set(found.ids)) == len(found)
        for sample in found:
            assert isinstance(sample.id, str) and isinstance(sample.text, str) and "\0" not in sample.text
            sample.text.encode("utf-8")
            assert 0 <= sample.start <= len(sample.text)
        found.digest  # noqa: B018 (every sample can be hashed)


def reads_transcript(data: bytes) -> None:
    from rasura.data.transcripts import read_transcript

    found = answers(read_transcript, "o.jsonl", data)
    if found is not None:
        assert len(found.samples) == len(found.position) == len(found.block)
        assert all(map(math.isfinite, found.position))
        found.samples.digest  # noqa: B018


def reads_picture(name: str, data: bytes) -> None:
    from rasura.data.pictures import open_picture

    found = answers(open_picture, name, data)
    assert found is None or (found.ndim == 3 and found.shape[2] == 3 and found.dtype == "uint8")


def reads_key(data: bytes) -> None:
    """A key is read, and its method asked what it wants to know: what stands in the key is anybody's."""
    from rasura._mark import key_of

    answers(key_of, "mark.json", data)


def reads_configuration(data: bytes) -> None:
    from rasura.models._folder import check_folder

    def check(path: Path) -> None:
        (path.parent / "model.safetensors").write_bytes(b"")
        (path.parent / "tokenizer.json").write_bytes(b"{}")
        check_folder(path.parent, False, False)

    answers(check, "config.json", data)


def reads_record(data: bytes) -> Any:
    """A record that is read is written and read again as the same record."""
    from rasura.core.records import read

    found = answers(read, "a.json", data)
    if found is not None:
        survives(found)
    return found


def survives(record: Any) -> None:
    """parse(dump(r)) == r; NaN is no equal of itself, so the second dump stands in."""
    text = to_json(record)
    text.encode("utf-8")
    again = from_json(text)
    assert type(again) is type(record) and to_json(again) == text
    if "NaN" not in text:
        assert again == record


def page_of_text(text: str) -> None:
    """Where JSON is a record, its page is inert."""
    found = reads_record(text.encode())
    if found is not None:
        is_inert(found)


class Active(HTMLParser):
    """What on a page could run, load or leave the page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "form", "base", "link", "frame", "audio", "video"):
            self.found.append(tag)
        for name, value in attrs:
            near = (value or "").startswith(("#", "data:image/png;base64,"))
            if name.startswith("on") or (name in ("href", "src", "action", "xlink:href", "srcset") and not near):
                self.found.append(f"{tag} {name}={value}")
            if name == "style" and ("url(" in (value or "").replace("url(#", "") or "@import" in (value or "")):
                self.found.append(f"{tag} style={value}")


def is_inert(record: Any, reveal: bool = False) -> None:
    """The page of a record is written, and nothing on it runs or loads."""
    import warnings

    from rasura.report import render

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = render([record], reveal=reveal)
    html.encode("utf-8")
    assert Active(html).found == []
    assert "Content-Security-Policy" in html and html.count("<html") == 1
