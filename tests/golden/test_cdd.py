"""The peak of sampled outputs against the numbers of the authors' own code.

Provenance: YihongDong/CDD-TED4LLMs, commit 4e08707ff7f701e48d920aae6888eb0ca5cf2091: ``get_edit_distance_distribution_star``
and ``calculate_ratio`` of CDD.py, run once on the lists made by ``outputs`` below, each as text of decimal ids with a
tokenizer that reads them back (``encode = lambda s: [int(x) for x in s.split()]``), numpy's RandomState, Python 3.11.
"""

from __future__ import annotations

import numpy as np
import pytest

from rasura.signals.cdd import peak

BACKS = ("signals.cdd",)


def outputs(seed: int, length: int, n: int = 10, vocabulary: int = 12) -> tuple[list[int], list[list[int]]]:
    """A greedy output and n samples, number i with i // 2 random edits."""
    r = np.random.RandomState(seed)
    greedy = r.randint(0, vocabulary, size=length)
    samples = []
    for i in range(n):
        s = list(greedy)
        for _ in range(i // 2):
            kind, at = r.randint(3), r.randint(len(s))
            if kind == 0:
                s[at] = int(r.randint(vocabulary))
            elif kind == 1:
                del s[at]
            else:
                s.insert(at, int(r.randint(vocabulary)))
        samples.append([int(x) for x in s])
    return [int(x) for x in greedy], samples


@pytest.mark.parametrize(
    ("seed", "length", "peaks"),
    [
        (0, 40, [0.2, 0.6, 1.0, 1.0]),  # distances 0 0 1 1 2 2 3 3 4 4, L = 42
        (1, 40, [0.2, 0.7, 1.0, 1.0]),  # 0 0 1 1 2 1 3 3 1 4, L = 41
        (2, 130, [0.2, 1.0, 1.0, 1.0]),  # 0 0 2 2 2 1 4 4 3 4, L = 100: cut
        (3, 12, [0.2, 0.2, 0.4, 0.9]),  # 0 0 1 1 2 2 3 2 2 2, L = 14: longer than the greedy one
    ],
)
def test_peaks(seed, length, peaks):
    greedy, samples = outputs(seed, length)
    assert [peak(greedy, samples, alpha, 100) for alpha in (0, 0.05, 0.1, 0.2)] == peaks
