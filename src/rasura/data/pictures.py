"""Pictures on disk: opened once, checked, known by what they show.

A picture is read as RGB, its orientation tag applied. One that claims more pixels than ``LARGEST`` is refused before it
is decoded, so that a small file cannot fill the memory. Every fault is one BadInput line naming the file.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Picture, Sample
from ._source import shown as shown_name

LARGEST = 64_000_000  # pixels: 8000 x 8000
# what a decoder is used for: others of the library run programs (PostScript) or are seldom looked after
DECODED = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM")
FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def read_picture(path: str | Path) -> Picture:
    """A picture's size and content hash. Raises BadInput when it is missing, damaged, no picture, or too large."""
    shown = open_picture(path)
    h = hashlib.blake2b(f"{shown.shape}".encode(), digest_size=16)
    h.update(shown.tobytes())
    return Picture(str(path), h.hexdigest(), shown.shape[1], shown.shape[0])


def open_picture(path: str | Path) -> np.ndarray:
    """RGB pixels: (H, W, 3) uint8."""
    from PIL import Image, ImageOps

    path, name = Path(path), shown_name(path)
    if not path.is_file():
        raise BadInput(f"{name}: no such picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd about a file and does no harm
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=DECODED) as image:
                if image.width * image.height > LARGEST:
                    raise BadInput(f"{name}: {image.width} x {image.height} pixels, more than {LARGEST:,}: not opened")
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadInput(f"{name}: a picture that unpacks to more than {LARGEST:,} pixels: not opened") from None
    except BadInput:
        raise
    except Exception as error:  # the decoders raise what their parts raise: struct.error, KeyError, zlib.error, ...
        raise BadInput(f"{name}: a damaged picture, or none at all ({type(error).__name__})") from None


def pixels(sample: Sample, side: int) -> np.ndarray:
    """A sample's picture at a model's size: (side, side, 3) uint8, scaled on its short side and cropped to the middle."""
    if sample.picture is None:
        raise BadInput(f"record {sample.id}: a caption without a picture; this needs both")
    return fitted(open_picture(sample.picture.path), side)


def fitted(shown: np.ndarray, side: int) -> np.ndarray:
    """Unchanged when it has the size already."""
    if shown.shape[:2] == (side, side):
        return shown
    from PIL import Image

    height, width = shown.shape[:2]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    scaled = Image.fromarray(shown).resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return np.asarray(scaled.crop((left, top, left + side, top + side)), dtype=np.uint8)


def write_picture(shown: Any, path: str | Path) -> Picture:
    """Pixels (H, W, 3) uint8 as a PNG file."""
    from PIL import Image

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(shown, dtype=np.uint8)).save(path)
    return read_picture(path)
