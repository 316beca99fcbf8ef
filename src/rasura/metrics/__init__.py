"""Metrics: observations to one number with its interval; cheap and pure, numpy only.

A metric says three things besides its formula:

- ``better``: "higher" or "lower", seen by somebody who wants the forget records gone and the rest intact;
- ``population``: the records its asks are about ("forget", "retain", "heldout" or "nonmembers"); an ask wrapped in
  ``On`` is about another one (see ``_population``);
- ``goal``, only where both directions are faults: the value of a model that never saw the forget records.

One metric may say that it is the share (``says_extracted``) or the distance (``says_distinguishable``) a verdict names.

Role "target" is the model under test, "retrained" the same training without the forget set.
"""
