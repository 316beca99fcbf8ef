"""Folders of captioned pictures, in the two forms they are kept in.

- metadata.jsonl or metadata.csv with a field ``file_name`` (the image folders of Hugging Face datasets);
- every picture beside a .txt file of the same name that holds its caption (what fine-tuning scripts read).
"""

from __future__ import annotations

from pathlib import Path

from ._source import RECORD_LIMIT, Row, bad, whole
from .pictures import FORMATS

METADATA = ("metadata.jsonl", "metadata.csv")
FILE_NAME = "file_name"


def metadata_of(source: str | Path) -> str | Path:
    """The metadata file of an image folder, else the source itself."""
    try:
        inside = [Path(source) / name for name in METADATA if (Path(source) / name).is_file()]
    except OSError:
        return source
    return inside[0] if inside else source


def holds_pictures(source: str | Path) -> bool:
    """Whether a source is an image folder, or the metadata file of one."""
    try:
        return Path(source).name in METADATA or (Path(source).is_dir() and bool(pictures_in(Path(source))))
    except OSError:
        return False


def pictures_in(folder: Path) -> list[Path]:
    """Picture files directly inside, by name; hidden ones are left out."""
    inside = (p for p in sorted(folder.iterdir()) if p.suffix.lower() in FORMATS and not p.name.startswith("."))
    return [p for p in inside if p.is_file()]


def captioned(folder: Path, text_field: str) -> list[Row]:
    """One row a picture with its caption; none when the folder holds no pictures.

    Raises BadInput for a caption without a picture and a picture without a caption.
    """
    shown = {p.stem: p for p in pictures_in(folder)}
    if not shown:
        return []
    texts = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() == ".txt" and not p.name.startswith(".")}
    for stem in sorted(set(texts) ^ set(shown)):
        lonely, lacking = (
            (texts, "a caption without a picture") if stem in texts else (shown, "a picture without a caption")
        )
        beside = f"{stem}.png" if stem in texts else f"{stem}.txt"
        raise bad(lonely[stem], "", f"{lacking}: expected {beside} beside it")
    return [
        Row.of(
            texts[s],
            "",
            {"id": s, text_field: whole(texts[s], RECORD_LIMIT, "a caption is short").strip(), FILE_NAME: p.name},
        )
        for s, p in shown.items()
    ]
