"""Is the text easier for the model under audit than for a comparable model that has not seen it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def calibrated(loss: np.ndarray, reference: np.ndarray, form: str, clamp: float) -> np.ndarray:
    """Loss of the reference model minus, or over, the loss of the target: (n,), (n,) to (n,).

    Losses 1 and 3 nats: difference 2, ratio 3; a loss of 0 counts as the clamp, 3/.001.

    >>> calibrated(np.array([1.0]), np.array([3.0]), "difference", 1e-3).tolist()
    [2.0]
    >>> calibrated(np.array([1.0, 0.0]), np.array([3.0, 3.0]), "ratio", 1e-3).tolist()
    [3.0, 3000.0]
    """
    return reference - loss if form == "difference" else reference / np.maximum(loss, clamp)


@method(paper="arXiv:2012.07805")
@dataclass(frozen=True)
class Reference:
    """Log-probability under the target minus that under a model that has not seen the text.

        form="difference"   s(x) = l_ref(x) - l(x)                          nats a token, or a byte
        form="ratio"        s(x) = l_ref(x) / max(l(x), clamp)              no unit

    with l(x) = -(1/T) sum_t log p(x_t | x_<t) (per="token") or -(1/B) sum_t log p(x_t | x_<t) (per="byte", B the UTF-8
    bytes of the scored text). Two models that cut text into different tokens can only be compared per byte: each reads
    the text with its own tokenizer. ``clamp`` (nats a token or a byte) bounds the ratio where the target has memorised
    the text. NaN where either model scored fewer than ``minimum_tokens``.

    A reference that was trained on the suspect texts removes the signal, one of another domain shifts it.

    Sources: Carlini et al., "Extracting training data from large language models", 2021 (the ratio of log-perplexities);
    Watson, Guo, Cormode and Sablayrolles, "On the importance of difficulty calibration in membership inference attacks",
    2022 (the difference). Deviations of public code: a mean over each model's own tokens even where these differ; the
    target's token ids fed to the reference; the difference cut off at 0; no clamp.

    By hand: see ``calibrated``.
    """

    form: Literal["difference", "ratio"] = "difference"
    per: Literal["token", "byte"] = "token"
    clamp: float = 1e-3
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if self.form not in ("difference", "ratio") or self.per not in ("token", "byte"):
            raise BadInput(f"reference: form is difference or ratio, per is token or byte; got {self.form}, {self.per}")
        if not self.clamp > 0:
            raise BadInput(f"reference: clamp must be above 0, got {self.clamp}")

    @property
    def across_vocabularies(self) -> bool:
        """May the reference cut text into other tokens than the target?"""
        return self.per == "byte"

    def needs(self) -> Mapping[str, Ask]:
        return {"target": Ask(TokenStatistics()), "reference": Ask(TokenStatistics(), of="reference")}

    def score(self, target: TokenData, reference: TokenData) -> np.ndarray:
        """Raises BadInput when the models' tokens differ and ``per`` is "token"."""
        both = (target.tokens > 0) & (reference.tokens > 0)
        if self.per == "token" and (target.tokens != reference.tokens)[both].any():
            raise BadInput("reference: the two models cut the texts into different tokens; compare them with per=byte")
        scores = calibrated(self._loss(target), self._loss(reference), self.form, self.clamp)
        tokens = np.minimum(target.tokens, reference.tokens)
        return unscorable_to_nan(scores, tokens, self.minimum_tokens)

    def _loss(self, data: TokenData) -> np.ndarray:
        if self.per == "token":
            return data.loss
        return -data.log_probability.sum() / np.maximum(data.text_bytes, 1)
