"""Records of the `planted` fixture with a secret a stranger cannot guess."""

from __future__ import annotations

from dataclasses import replace

from rasura.core.types import Samples


def marked(samples: Samples) -> Samples:
    """The same texts ("... in 1594."), the last three digits of the year marked as secret.

    The generator draws years uniformly from 1000 to 1999, so these three digits are uniform and exposure is fair; the
    first digit, which is always 1, is not.
    """
    return Samples(replace(s, secret=len(s.text) - 4) for s in samples)
