"""A picture model trained in less than a minute with known members: what tests of the picture half stand on."""

from __future__ import annotations

import fcntl
import os
from functools import cache
from pathlib import Path
from typing import Any

from rasura.testbeds._planted import Planted
from rasura.testbeds.images import Images


@cache
def planted(variant: str = "scenes") -> Planted:
    """The smallest `images` testbed."""
    return kept(Images("tiny", variant))


def kept(testbed: Any, seed: int = 0) -> Planted:
    """A testbed trained once, by whichever worker comes first, then read from disk."""
    cache = Path(os.environ.get("RASURA_TEST_CACHE") or Path(__file__).parent.parent / ".pytest_cache" / "tiny")
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / testbed.key(seed)
    with open(cache / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return testbed.build(seed, folder=folder)
