"""Attacks: try to get erased content back, with a budget, and say what it cost.

``attack(model, request, budget, *, seed=0, before=None)`` returns one score a forget record: 1 recovered, 0 not, between
for partial recovery, NaN for records the attack was shown or could not judge. ``before`` is the model as it was before
the erasure, for attackers who kept it; most attacks ignore it. A field of ``budget`` that is positive caps the attack
(0: no cap). The model handed in is never changed.

A score means something only beside two others, which the verb measures: the same attack on the untreated model (the
ceiling) and on the retrained one (the floor).
"""
