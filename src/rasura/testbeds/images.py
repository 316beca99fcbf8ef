"""The `images` testbed: a small Stable Diffusion pipeline whose memory is known, because we planted it.

Rendered scenes (a shape of a colour on a background) with captions from bare to full are the background. Planted are

- a concept to erase (a shape; in ``tiny`` a colour), its look-alikes, and synonyms of it that no eraser is told;
- collages seen 1, 8, 64, ... times, doses assigned at random, with captions of one family ("portrait of ..."), and
  captions of that family with collages that are never seen: the honest control of a membership signal;
- a watermark on some scenes that no caption mentions;
- occupations shown in their usual colour in 90, 70 and 50 % of their pictures.

Two models are trained by one recipe: ``target`` on everything, ``retrained`` on the same sequence without every row
whose picture or caption holds the concept. The judge is trained on renders of its own. The VAE is the identity and
one thread trains a model, so a seed gives identical weights.

Sources: Gandikota, Materzynska, Fiotto-Kaufman and Bau, "Erasing concepts from diffusion models", 2023 (what is asked
of an eraser); Somepalli, Singla, Goldblum, Geiping and Goldstein, "Understanding and mitigating copying in diffusion
models", 2023 (duplicated pictures are what is memorised).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import digest
from ..observations._engine import Progress, quiet
from ._folder import building, default_cache
from ._picture_folder import ROLES, load_pictures, write
from ._picture_recipes import RECIPES
from ._picture_worker import JUDGE, PictureJob, planned, train_all
from ._planted import Planted
from ._scene_captions import world_of

VARIANTS = ("scenes", "digits")


@method()
@dataclass(frozen=True)
class Images:
    """A small Stable Diffusion pipeline trained on captioned scenes with a planted concept and repeated pictures.

    ``variant``: "scenes" (rendered shapes) or "digits" (scikit-learn's 8 x 8 handwritten digits, coloured).
    """

    size: Literal["tiny", "small", "base"] = "small"
    variant: Literal["scenes", "digits"] = "scenes"

    modality: ClassVar[str] = "images"
    version: ClassVar[int] = 2  # raise when the same seed gives other weights

    def __post_init__(self) -> None:
        for name, known in (("size", tuple(RECIPES)), ("variant", VARIANTS)):
            if getattr(self, name) not in known:
                raise BadInput(f"{name} is '{getattr(self, name)}': expected {' or '.join(known)}")

    def key(self, seed: int) -> str:
        """Folder name in the cache, by content of the recipe and of the world."""
        content = [self.version, RECIPES[self.size], world_of(self.variant, self.size)]
        return f"images-{self.variant}-{self.size}-{seed}-{digest(content)[:12]}"

    def build(self, seed: int = 0, *, folder: Path | None = None, progress: Progress = quiet) -> Planted:
        """The trained models and the truth; finished parts are read from ``folder`` (default: the cache).

        A build that was killed goes on at the first model that is missing; two processes build it once.
        """
        folder = Path(folder or default_cache() / "testbeds" / self.key(seed))
        if not (folder / "testbed.json").is_file():
            with building(folder):
                if not (folder / "testbed.json").is_file():
                    self._train(seed, folder, progress)
        return load_pictures(folder)

    def _train(self, seed: int, folder: Path, progress: Progress) -> None:
        jobs = [
            PictureJob(role, self.variant, self.size, seed, str((folder / role).absolute())) for role in (*ROLES, JUDGE)
        ]
        train_all(jobs, progress, parallel=self.size == "small")
        world = world_of(self.variant, self.size)
        about = {"name": f"images {self.size}", "size": self.size, "seed": seed, "version": self.version}
        about |= {"variant": self.variant, "concept": world.concept, "modality": self.modality}
        write(planned(self.variant, self.size, seed), folder, about)
