"""The paper's Table 2: its two aggregates come out of its seven columns."""

import csv
from pathlib import Path

import pytest

from service.schemas import DomainSpec, Measurement, StudySpec
from trainer.benchmarks.table import BENCHMARKS

TABLE = Path(__file__).parents[2] / "data" / "modomodo" / "table2.csv"
ROWS = list(csv.DictReader(TABLE.open()))


def test_the_table_is_whole():
    assert len(ROWS) == 42


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['group']}-{row['experiment']}" for row in ROWS])
def test_in_score_and_out_score_are_weighted_means_of_the_columns(row):
    benchmarks = {name: found for name, found in BENCHMARKS.items() if name in row}
    study = StudySpec(
        name="paper",
        domains=[DomainSpec(name="coco")],
        benchmarks=[benchmark.spec() for benchmark in benchmarks.values()],
    )
    scores = study.scores(
        Measurement(benchmark=name, score=float(row[name]), samples=benchmark.samples)
        for name, benchmark in benchmarks.items()
    )
    assert scores.in_score is not None
    assert scores.out_score is not None
    assert scores.in_score.value == pytest.approx(float(row["in_score"]), abs=2e-4)
    assert scores.out_score.value == pytest.approx(float(row["out_score"]), abs=2e-4)
    assert 0.003 < scores.out_score.se < 0.007
