"""What a record looks like to a classifier without a model: similarities of words, character triples, metadata, pixels."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Kernel = Callable[
    [np.ndarray], np.ndarray
]  # training positions (t,) -> similarity of every text to them, (n, t) float32

METADATA = (
    "length in characters",
    "length in words",
    "zlib bytes per byte",
    "share of digits",
    "share of upper case",
    "latest year mentioned",
)
MAX_FEATURES = 4096  # the most widespread ones; a rarer word touches too few texts to order them
WORD = re.compile(r"\w+")
_YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")
_BANDWIDTH = 0.15  # in ranks: sharp enough to see a cut-off year, smooth enough not to memorise


def text_kernels(texts: Sequence[str]) -> Mapping[str, Kernel]:
    """The three feature sets by name; whatever they learn from texts, they learn from the training positions only."""
    return {
        "words": count_kernel(_counts(texts, analyzer="word", token_pattern=WORD.pattern)),
        "character 3-grams": count_kernel(_counts(texts, analyzer="char", ngram_range=(3, 3))),
        "metadata": metadata_kernel(np.array([metadata(text) for text in texts])),
    }


def _counts(texts: Sequence[str], **how: Any) -> Any:
    """Occurrences of each term in each text, (n, terms) sparse; zero columns if no text has a term."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        return CountVectorizer(dtype=np.float32, **how).fit_transform(texts)
    except ValueError:  # empty vocabulary: only blank or very short texts
        return csr_array((len(texts), 0), dtype=np.float32)


def count_kernel(counts: Any) -> Kernel:
    """Cosine of TF-IDF vectors (1 + log count, inverse document frequency of the training texts).

    Only terms in at least two training texts take part, and of those the ``MAX_FEATURES`` in most of them.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    columns = counts.tocsc()

    def kernel(train: np.ndarray) -> np.ndarray:
        spread = np.diff(columns[train].tocsc().indptr)  # training texts that hold each term
        kept = np.argsort(-spread, kind="stable")[:MAX_FEATURES]
        kept = np.sort(kept[spread[kept] >= 2])
        if not len(kept):
            return np.zeros((columns.shape[0], len(train)), dtype=np.float32)
        chosen = columns[:, kept].tocsr()
        vectors = TfidfTransformer(sublinear_tf=True).fit(chosen[train]).transform(chosen)
        vectors = vectors.toarray()  # one dense product is many times faster than a sparse one on long texts
        return vectors @ vectors[train].T

    return kernel


def metadata(text: str) -> tuple[float, ...]:
    """The numbers named in ``METADATA``; rates of an empty text are 0, and so is the year of a text that names none.

    >>> [round(v, 3) for v in metadata("Born 1999")]
    [9.0, 2.0, 1.889, 0.444, 0.111, 1999.0]
    """
    raw, length = text.encode("utf-8", "replace"), max(1, len(text))
    return (
        float(len(text)),
        float(len(text.split())),
        len(zlib.compress(raw)) / max(1, len(raw)),
        sum(map(str.isdigit, text)) / length,
        sum(map(str.isupper, text)) / length,
        float(max(map(int, _YEAR.findall(text)), default=0)),
    )


def metadata_kernel(values: np.ndarray) -> Kernel:
    """Mean over columns of a Gaussian similarity of ranks among the training texts; ``values`` is (n, columns).

    A sum over columns keeps the classifier additive, so 20 texts a side suffice; ranks make units irrelevant.
    """

    def kernel(train: np.ndarray) -> np.ndarray:
        total = np.zeros((len(values), len(train)), dtype=np.float32)
        for column in values.T:
            ordered = np.sort(column[train])
            ranks = np.searchsorted(ordered, column, "left") + np.searchsorted(ordered, column, "right")
            place = (ranks / (2 * len(train))).astype(np.float32)
            total += np.exp(-0.5 * ((place[:, None] - place[train]) / _BANDWIDTH) ** 2)
        return total / values.shape[1]

    return kernel


def pixel_kernel(values: np.ndarray) -> Kernel:
    """Cosine of pictures, (n, p) pixels, after the mean picture of the training positions is taken away."""
    flat = np.asarray(values, dtype=np.float32).reshape(len(values), -1)

    def kernel(train: np.ndarray) -> np.ndarray:
        centred = flat - flat[train].mean(axis=0)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        vectors = centred / np.where(lengths > 0, lengths, 1)
        return vectors @ vectors[train].T

    return kernel
