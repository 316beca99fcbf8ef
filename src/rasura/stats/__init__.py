"""Plain functions that say how sure a number is: arrays in, ``Estimate`` out, no model and no torch.

- ``roc``: AUC, its interval, paired differences, true positives at few false positives
- ``delong``: the variance of an AUC in the time of a sort, and the interval it gives
- ``intervals``: shares, means, differences of means, any statistic by bootstrap
- ``distance``: how far apart two samples are, and whether they are close enough to call equal
- ``multiplicity``: p values made honest about how many questions were asked
- ``calibration``: thresholds chosen on one half, reported on the other
- ``blind``: what a classifier that never sees the model can already tell
- ``randomness``: exposure of canaries, exact p values for coin-flip designs, rank correlation
- ``attempts``: the chance of at least one success in n tries, and how many tries a chance takes
- ``_math``: cleaning, ranks and resampling that several of these share; ``_text_kernels``: what ``blind`` sees
"""
