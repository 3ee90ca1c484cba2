"""How many samples the offline world's domains have; light, for whoever only needs to know that."""

from __future__ import annotations

DOMAIN_SIZES: dict[str, int] = {
    "coco": 300,
    "lisa": 66,
    "geoqav": 98,
    "sat": 750,
    "scienceqa": 311,
}
"""Samples a domain has: a twentieth of the paper's, so that small ones run out here as there."""
