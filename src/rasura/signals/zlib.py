"""The text's own compressibility in place of a second model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def per_compressed_byte(loss: np.ndarray, compressed: np.ndarray) -> np.ndarray:
    """-loss/Z, one a text: (n,) nats a token, (n,) bytes to (n,).

    A loss of 3 nats and 60 compressed bytes: -3/60.

    >>> per_compressed_byte(np.array([3.0]), np.array([60])).tolist()
    [-0.05]
    """
    return -loss / np.maximum(compressed, 1)


@method(paper="arXiv:2012.07805")
@dataclass(frozen=True)
class Zlib:
    """Mean log-probability over the size of the text when compressed by zlib.

        s(x) = -l(x)/Z(x),        l(x) = -(1/T) sum_t log p(x_t | x_<t),    Z(x) = bytes of zlib(UTF-8 of the scored text)

    Nats a token and byte. A repetitive text is easy for the model and for zlib alike, which lowers its score against
    the plain loss. Z counts about 8 bytes of fixed overhead and grows with length while l does not: on texts of very
    different lengths the score partly ranks by length. NaN with fewer than ``minimum_tokens`` scored tokens.

    Source: Carlini et al., "Extracting training data from large language models", 2021, there Z over the
    log-perplexity, which ranks alike. Deviations of public code: perplexity instead of its logarithm; 8 bits a byte; Z
    divided by the number of characters; Z of a text that was cut before it was scored.

    By hand: see ``per_compressed_byte``.
    """

    minimum_tokens: int = 8

    def needs(self) -> Mapping[str, Ask]:
        return {"statistics": Ask(TokenStatistics())}

    def score(self, statistics: TokenData) -> np.ndarray:
        scores = per_compressed_byte(statistics.loss, statistics.zlib_bytes)
        return unscorable_to_nan(scores, statistics.tokens, self.minimum_tokens)
