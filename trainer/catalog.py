"""All datasets known by name."""

from __future__ import annotations

from trainer.benchmarks.table import BENCHMARKS
from trainer.domains import coco, geoqav, lisa, sat, scienceqa
from trainer.domains.source import Source

DOMAINS: dict[str, Source] = {
    source.name: source
    for source in (coco.TRAIN, lisa.TRAIN, geoqav.TRAIN, sat.TRAIN, scienceqa.TRAIN)
}

SOURCES: dict[str, Source] = DOMAINS | {
    benchmark.source.name: benchmark.source for benchmark in BENCHMARKS.values()
}
