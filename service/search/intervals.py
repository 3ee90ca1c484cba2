"""How wide intervals of the normal distribution are, without the second that a library takes."""

from __future__ import annotations

from statistics import NormalDist

Z90 = NormalDist().inv_cdf(0.95)
Z95 = NormalDist().inv_cdf(0.975)
"""Half the widths of a 90% and of a 95% interval, in standard deviations."""
