"""Exported studies: every column once, and `modomodo fit` reads what stands there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modomodo import runs_file
from modomodo.runs_file import ScoreColumns
from service.errors import Refused
from service.schemas import Measurement, StudySpec, Trial
from service.study import export_columns, exports
from tests.support.bodies import study_body

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEIGHTS = [0.0, 0.25, 0.5, 1.0]
COLLISIONS = {
    "an objective named after its benchmark": (["chart", "mmmu"], "chart", "chart"),
    "a benchmark that an objective's error is called": (["chart_se"], "chart", "chart"),
    "a benchmark that looks like a weight": (["w_a", "w_z"], None, "out_score"),
    "benchmarks that are called like other columns": (
        ["trial", "state", "strategy", "wall_s", "in_score", "out_score", "out_score_se"],
        None,
        "out_score",
    ),
    "a benchmark that is called like one that was renamed": (
        ["benchmark_state", "state", "benchmark_benchmark_state"],
        None,
        "out_score",
    ),
}


def study(benchmarks, objective=None):
    own = {} if objective is None else {"name": objective, "weights": dict.fromkeys(benchmarks, 1)}
    return StudySpec.model_validate(
        study_body(
            domains=[{"name": "a"}, {"name": "b"}],
            benchmarks=[{"name": name, "group": "out", "samples": 100} for name in benchmarks],
            **({"objective": own} if own else {}),
        )
    )


def trial(spec, number, weight, state="completed"):
    measured = [
        Measurement(benchmark=b.name, score=0.3 + 0.1 * place + 0.05 * weight, samples=100)
        for place, b in enumerate(spec.benchmarks)
    ]
    return Trial(
        id=number,
        study=spec.name,
        number=number,
        state=state,
        origin="attached",
        mixture={"a": weight, "b": 1 - weight},
        seed=0,
        proposal=None,
        attempts=0,
        worker=None,
        lease_until=None,
        step=None,
        total_steps=None,
        metrics={},
        measurements=measured,
        replicates=[],
        scores=spec.scores(measured),
        wall_s=None,
        artifacts={},
        error=None,
        note="",
        created_at=NOW,
        started_at=None,
        finished_at=None,
        revision=1,
    )


def read_back(tmp_path, spec, shown):
    file = tmp_path / "export.csv"
    file.write_text(exports.as_csv(spec, shown, {}))
    return runs_file.read(file)


@pytest.mark.parametrize(("benchmarks", "objective", "column"), COLLISIONS.values(), ids=COLLISIONS)
def test_names_that_collide_are_columns_of_their_own(tmp_path, benchmarks, objective, column):
    spec = study(benchmarks, objective)
    heads = export_columns.heads(spec)
    assert len(set(heads)) == len(heads)
    assert [head for head in heads if head.startswith("w_")] == ["w_a", "w_b"]
    shown = [trial(spec, number, weight) for number, weight in enumerate(WEIGHTS, 1)]
    file = read_back(tmp_path, spec, shown)
    runs, _ = runs_file.runs_of(file, ScoreColumns(column, {}, f"{column}_se"))
    assert runs.score == pytest.approx([item.scores.objective.value for item in shown])
    assert runs.noise_sd == pytest.approx([item.scores.objective.se for item in shown])
    for place, own in enumerate(heads[-4 - len(benchmarks) : -4]):
        scores = [item.measurements[place].score for item in shown]
        assert file.numbers(own) == pytest.approx(scores)


def test_names_that_collide_with_nothing_stay_as_they_are():
    assert export_columns.heads(study(["chart", "mmmu"], "mine")) == [
        *("trial", "state", "strategy", "w_a", "w_b", "in_score", "in_score_se"),
        *("out_score", "out_score_se", "mine", "mine_se", "chart", "mmmu"),
        *("wall_s", "gpu_hours", "channel", "tags"),
    ]


@pytest.mark.parametrize("name", ["trial", "state", "wall_s", "out_score_se", "w_a", "w_other"])
def test_a_new_objective_cannot_be_called_like_another_column(name):
    with pytest.raises(Refused, match=f"objective '{name}' has the name of another column"):
        export_columns.check(study(["chart"], name))


def test_a_stored_objective_called_like_another_column_is_exported_beside_it(tmp_path):
    spec = study(["chart"], "state")
    file = read_back(tmp_path, spec, [trial(spec, 1, 0.5)])
    assert file.numbers("objective_state") == pytest.approx([0.325])


@pytest.mark.parametrize("name", ["mine", "chart", "in_score", "out_score"])
def test_other_objectives_are_taken(name):
    own = None if name.endswith("_score") else name
    export_columns.check(study(["chart"], own))


@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled"])
def test_only_what_the_study_counts_as_a_run_is_one_for_fit(tmp_path, state):
    spec = study(["chart"])
    shown = [trial(spec, 1, 0.5), trial(spec, 2, 0.25, "early_stopped"), trial(spec, 3, 1.0, state)]
    file = read_back(tmp_path, spec, shown)
    runs, unscored = runs_file.runs_of(file, ScoreColumns("out_score", {}, None))
    assert runs.weights.tolist() == [[0.5, 0.5]]
    assert runs.channels["stopped"].weights.tolist() == [[0.25, 0.75]]
    assert unscored.tolist() == [[1.0, 0.0]]
    assert file.numbers("chart") == pytest.approx([0.325, 0.3125, 0.35])
