"""A built picture testbed on disk: models by role, the judge, records as JSON lines beside their pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ..core.types import Samples
from ..data.pictures import write_picture
from ..data.readers import read_samples, write_samples
from ..models.judges import Judge
from ..models.text_to_image import TextToImage
from ._picture_plan import PicturePlan
from ._planted import Planted

PARTS = ("members", "nonmembers", "forget", "retain", "heldout")
MORE = ("paraphrases", "near", "far", "pictures", "ordinary", "bias")
ROLES = ("target", "retrained")


def write(plan: PicturePlan, folder: Path, about: Mapping[str, Any]) -> None:
    """Pictures, records, and last ``testbed.json``, by which a folder is known to be whole."""
    for name in (*PARTS, *MORE):
        samples = []
        for draft in plan.parts[name]:
            place = folder / "pictures" / f"{draft.sample.id}.png"
            picture = None if draft.pixels is None else write_picture(draft.pixels, place)
            samples.append(replace(draft.sample, picture=picture))
        write_samples(samples, folder / f"{name}.jsonl")
    partial = folder / ".testbed.json"
    partial.write_text(json.dumps({"twins": dict(plan.twins), **about}, indent=1, sort_keys=True))
    os.replace(partial, folder / "testbed.json")


def load_pictures(folder: str | Path) -> Planted:
    """A built testbed of text-to-image models. Raises BadInput when the folder is not one."""
    folder = Path(folder)
    if not (folder / "testbed.json").is_file():
        raise BadInput(
            f"{folder}: not a testbed folder (no testbed.json); make one with: rasura testbed build images --out {folder}"
        )
    about = json.loads((folder / "testbed.json").read_text())
    models = {}
    for role in ROLES:
        models[role] = TextToImage.load(str(folder / role))
        models[role].name = f"{about['name']} {role}"
    judge = Judge.load(str(folder / "judge"))
    judge.name = f"{about['name']} judge"
    parts = {name: _read(folder / f"{name}.jsonl") for name in PARTS}
    more = {name: _read(folder / f"{name}.jsonl") for name in MORE}
    return Planted(models, **parts, twins=about["twins"], more=more, concept=about["concept"], judge=judge)


def _read(path: Path) -> Samples:
    return read_samples(path) if path.stat().st_size else Samples()
