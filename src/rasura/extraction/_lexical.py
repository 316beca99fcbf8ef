"""How alike two texts are by the words and letters they share: no embedding model needed.

Each text is a vector of weighted counts of its words, pairs of words, and runs of 3 to 5 letters; words and letters
weigh half each, and the likeness of two texts is the cosine. A term t weighs

    (1 + log count of t) (1 + log((1 + D) / (1 + D_t)))

with D texts in the background and D_t of them holding t. The background is what the model said, so that the likeness
of a record to a draw depends on no other record. Terms are hashed into 2^20 places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

BLOCK = 256  # draws compared with all records at once
KINDS = ({"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\w+|[^\w\s]"},) + (
    {"analyzer": "char_wb", "ngram_range": (3, 5)},
)
Compare = Callable[[slice], np.ndarray]


def cosines(said: Sequence[str], texts: Sequence[str]) -> Compare:
    """A function from a block of ``said`` to its cosines with all ``texts``: (block, n) float64.

    >>> likeness = cosines(["the old boat", "nothing of it"], ["the old boat", "the old coat"])(slice(0, 2))
    >>> bool(abs(likeness[0, 0] - 1) < 1e-9), bool(likeness[0, 1] > likeness[1, 1])
    (True, True)
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    left, right = [], []
    for kind in KINDS:
        terms = HashingVectorizer(n_features=1 << 20, alternate_sign=False, norm=None, **kind)
        weights = TfidfTransformer(sublinear_tf=True, smooth_idf=True, norm="l2").fit(terms.transform(said))
        for side, rows in ((left, said), (right, texts)):
            side.append(weights.transform(terms.transform(rows)) * np.sqrt(0.5))
    drawn, records = hstack(left, format="csr"), hstack(right, format="csr").T.tocsc()
    return lambda block: (drawn[block] @ records).toarray()


def edit_similarities(said: Sequence[str], texts: Sequence[str]) -> Compare:
    """The same for 1 - (least insertions, deletions, substitutions) / (length of the longer), over characters.

    >>> edit_similarities(["abcd"], ["abxd", "abcd", ""])(slice(0, 1)).tolist()
    [[0.75, 1.0, 0.0]]
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    said, texts = list(said), list(texts)
    return lambda block: cdist(said[block], texts, scorer=Levenshtein.normalized_similarity, dtype=np.float64)


def blocks(n: int) -> Iterator[slice]:
    """Slices that cover n rows."""
    return (slice(at, min(at + BLOCK, n)) for at in range(0, n, BLOCK))
