"""The seven benchmarks: group, source, and the paper's number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.schemas import BenchmarkSpec
from trainer.benchmarks import chartqa, infovqa, mathvista, mmmu
from trainer.domains import lisa, sat, scienceqa
from trainer.domains.source import Source


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A test set and the score it counts in."""

    source: Source
    group: Literal["in", "out"]
    samples: int
    """Its weight in In-Score or Out-Score: the paper's number of samples."""

    def spec(self) -> BenchmarkSpec:
        """The benchmark in a study's words; measured under its domain's name."""
        return BenchmarkSpec(name=self.source.domain, group=self.group, samples=self.samples)


BENCHMARKS: dict[str, Benchmark] = {
    "lisa": Benchmark(lisa.TEST, "in", 3397),
    "sat": Benchmark(sat.TEST, "in", 1928),
    "scienceqa": Benchmark(scienceqa.TEST, "in", 2017),
    "chartqa": Benchmark(chartqa.TEST, "out", 2500),
    "infovqa": Benchmark(infovqa.TEST, "out", 2801),
    "mathvista": Benchmark(mathvista.TEST, "out", 1000),
    "mmmu": Benchmark(mmmu.TEST, "out", 900),
}
"""By the name that measurements carry, in the paper's order."""
