"""What became of papers' claims here: one file a claim, each a sentence with a threshold frozen before the run.

A claim has a *study*, what one seed of it costs (trainings, passes), and a decision: a pure function of the studies of
all its seeds. ``check(store)`` runs the studies that are not in the store and gives a ``Verdict``. ``about`` names the
methods a claim that holds is evidence for, ``testbed`` the planted truth it is checked on.

An inequality *holds* if its whole 95 % interval is on the right side of the threshold, *fails here* if all of it is on
the other side, and is *not resolvable* otherwise. A failing claim is a result about small models, not a mistake to
tune away.
"""
