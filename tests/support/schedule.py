"""Which files go to one process of several that run tests, because what they share costs seconds.

Any other file goes alone to the next process that is free.
"""

from __future__ import annotations

import sys

import pytest
from xdist.scheduler import LoadFileScheduling

DEAR = frozenset({"torch", "transformers", "trl", "peft", "ax", "botorch", "scipy.stats"})
"""What takes a second or more to import: only tests that need it do, collecting never."""

COLLECTED = pytest.StashKey[frozenset[str]]()
"""Which of these collecting imported."""

TOGETHER = {
    "a browser with Plotly compiled, and a service": ("tests/acceptance/dashboard/",),
    "a server that training runs are forked from": (
        "tests/acceptance/test_demo.py",
        "tests/acceptance/test_pages.py",
        "tests/acceptance/test_workers_training.py",
        "tests/integration/test_processes.py",
        "tests/integration/test_resume.py",
    ),
    "torch, transformers and TRL": (
        "tests/integration/test_adapters.py",
        "tests/integration/test_answers.py",
        "tests/integration/test_bfloat16.py",
        "tests/integration/test_generation.py",
        "tests/integration/test_memory.py",
        "tests/integration/test_merging.py",
        "tests/integration/test_prepared_run.py",
        "tests/integration/test_real_models.py",
        "tests/integration/test_rescore.py",
        "tests/integration/test_run.py",
        "tests/integration/test_sharded.py",
        "tests/integration/test_speed.py",
        "tests/integration/test_tiny_model.py",
        "tests/unit/bench/",
        "tests/unit/trainer/",
    ),
    "BoTorch, or Ax": (
        "tests/integration/test_study_spaces.py",
        "tests/unit/search/test_auto.py",
        "tests/unit/search/test_comparison.py",
        "tests/unit/search/test_gp_channels.py",
        "tests/unit/search/test_listed.py",
        "tests/unit/search/test_many_runs.py",
        "tests/unit/search/test_one_mixture.py",
        "tests/unit/search/test_strategies.py",
        "tests/unit/search/test_surrogates.py",
    ),
    "a PostgreSQL server": (
        "tests/acceptance/test_clocks.py",
        "tests/acceptance/test_service_processes.py",
        "tests/acceptance/test_shutdown.py",
        "tests/integration/dashboard/test_sign_in.py",
        "tests/integration/dashboard/test_stored_fits.py",
        "tests/integration/db/",
        "tests/integration/test_api_calls.py",
        "tests/integration/test_api_keys.py",
        "tests/integration/test_budget.py",
        "tests/integration/test_demand.py",
        "tests/integration/test_deployment.py",
        "tests/integration/test_gpu_hours.py",
        "tests/integration/test_heartbeats.py",
        "tests/integration/test_hostile_text.py",
        "tests/integration/test_many_studies.py",
        "tests/integration/test_operations.py",
        "tests/integration/test_owners.py",
        "tests/integration/test_service_proposals.py",
        "tests/integration/test_sharing.py",
        "tests/integration/test_study_archives.py",
        "tests/integration/test_waiting.py",
    ),
}


def dear() -> frozenset[str]:
    """Which of `DEAR` this process has imported."""
    return DEAR & sys.modules.keys()


def shared_by(nodeid: str) -> str | None:
    """What a test shares with those of other files; None where it shares nothing dear."""
    return next((what for what, files in TOGETHER.items() if nodeid.startswith(files)), None)


class Schedule(LoadFileScheduling):
    """A file, or several that share something, as one piece of work."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_by(nodeid) or super()._split_scope(nodeid)
