"""Without the training set: does a caption keep giving the same picture, whatever noise it starts from?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.generated_images import GeneratedImages, ImageData
from ..stats._pictures import clique, tile_distances
from ._pictures import ExtractedPictures, found_pictures


@method(paper="arXiv:2301.13188")
@dataclass(frozen=True)
class TileCliques:
    """Captions whose generated pictures form a clique of near-copies; needs no training picture.

        success = [ k of the n pictures are pairwise closer than delta ],    d(a, b) = max over tiles T of sqrt( mean_{p in T} (a_p - b_p)^2 )

    with n = ``n`` pictures drawn by DDIM (``steps`` steps, guidance ``guidance``, noises by a hash of caption, ``seed`` and
    number), ``grid`` x ``grid`` tiles that do not overlap, pixels in [0, 1], delta = ``threshold`` and k = ``clique``. The
    search for the clique is exact. ``hits`` is the size of the largest clique, at most k, divided by k; ``distance`` the
    smallest over pictures of the distance to the (k-1)-th nearest other one: no smaller threshold can give success.

    A caption that leaves nothing open ("a red ring on white") agrees with itself without any memory: compare with
    captions of the same kind that were never trained on.

    Source: Carlini, Hayes, Nasr, Jagielski, Sehwag, Tramer, Balle, Ippolito and Wallace, "Extracting training data from
    diffusion models", USENIX Security 2023. Deviations: 64 pictures and cliques of 5, where the paper draws 500 and asks
    for 10; ``threshold`` is that paper's distance for calling a picture memorised and must be chosen for the model.

    By hand: three equal pictures and a fourth; a clique of 3 is there, one of 4 is not (3 of 4 found).

    >>> from rasura.core.types import Ragged
    >>> row = np.concatenate([np.zeros(3 * 12), np.full(12, 255)]).astype(np.uint8)  # four pictures of 2 x 2 pixels
    >>> data = ImageData(Ragged.of([row]), np.array([2]), np.array([""], dtype=object))
    >>> found = [TileCliques(n=4, clique=k, grid=2).extract(data) for k in (3, 4)]
    >>> [(f.success.tolist(), f.hits.tolist(), f.distance.tolist()) for f in found]
    [([1.0], [1.0], [0.0]), ([0.0], [0.75], [1.0])]
    """

    n: int = 64
    steps: int = 20
    guidance: float = 4.0
    seed: int = 0
    grid: int = 4
    threshold: float = 0.15
    clique: int = 5

    modality: ClassVar[str] = "images"
    came_out: ClassVar[str] = "are drawn again and again from their captions"  # a verdict's words for a success
    testbed_settings: ClassVar[Mapping[str, float]] = {
        "n": 8,
        "steps": 10,
        "guidance": 1.0,
        "threshold": 0.25,
        "clique": 4,
    }
    testbed_reason: ClassVar[str] = (
        "fewer pictures and steps keep tests quick, at the guidance that another test of extraction draws at too"
    )
    draws_alike: ClassVar[tuple[str, float]] = (
        "a testbed draws nearly the same picture again and again for captions it never saw, so that half of those form a "
        "clique as well: without the training pictures, cliques tell memory from lack of variety only in models that vary",
        0.6,
    )

    def __post_init__(self) -> None:
        if not 2 <= self.clique <= self.n:
            raise BadInput(f"tile_cliques: clique must lie between 2 and n; got {self.clique} of {self.n}")

    def needs(self) -> Mapping[str, Ask]:
        return {"drawn": Ask(GeneratedImages(self.n, self.steps, self.guidance, self.seed))}

    def extract(self, drawn: ImageData) -> ExtractedPictures:
        rows = [self._row(drawn.pictures(i)) for i in range(len(drawn))]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        note = f"a clique of {self.clique} among {self.n} pictures closer than {self.threshold:g} in every tile"
        return found_pictures(*columns, drawn.reason, note)  # type: ignore[arg-type]

    def _row(self, pictures: np.ndarray) -> tuple[float, float, float, int]:
        if len(pictures) < self.clique:
            return np.nan, np.nan, np.nan, -1
        apart = tile_distances(pictures, pictures, self.grid)
        np.fill_diagonal(apart, 0.0)
        reach = np.sort(apart, axis=1)[:, self.clique - 1]  # the picture itself comes first
        size = min(len(clique(apart < self.threshold, self.clique)), self.clique)
        return float(size >= self.clique), size / self.clique, float(reach.min()), int(reach.argmin())
