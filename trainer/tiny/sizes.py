"""How many samples the offline world's domains and benchmarks have; imports nothing."""

from __future__ import annotations

DOMAIN_SIZES: dict[str, int] = {
    "coco": 300,
    "lisa": 66,
    "geoqav": 98,
    "sat": 750,
    "scienceqa": 311,
}
"""Samples a domain has: a twentieth of the paper's, so that small ones run out here as there."""

ITEMS: dict[str, int] = {
    "lisa": 300,
    "sat": 300,
    "scienceqa": 300,
    "chartqa": 500,
    "infovqa": 500,
    "mathvista": 300,
    "mmmu": 300,
}
"""Test items drawn of each benchmark: most where Out-Score weighs most."""
