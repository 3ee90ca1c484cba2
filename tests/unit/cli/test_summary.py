"""What people read in a terminal."""

from datetime import UTC, datetime

from rich.console import Console

from modomodo.summary import is_uniform, mixture_text, summary_table, trial_head, trial_line
from service.schemas import Proposal, Score, Scores, Study, Trial

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def trial(number, mixture, out, strategy="seed", state="completed", error=None):
    score = Score(value=out, se=0.01)
    return Trial(
        id=number,
        study="s",
        number=number,
        state=state,
        origin="proposed",
        mixture=mixture,
        seed=1,
        proposal=Proposal(strategy=strategy, seed=0, reason="because"),
        attempts=1,
        worker=None,
        lease_until=None,
        step=None,
        total_steps=None,
        metrics={},
        measurements=[],
        scores=Scores(objective=score, in_score=score, out_score=score),
        wall_s=None,
        artifacts={},
        error=error,
        note="",
        created_at=NOW,
        started_at=None,
        finished_at=None,
        replicates=[],
        revision=number,
    )


def text(renderable):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(renderable)
    return console.export_text()


STUDY = Study.model_validate(
    {
        "name": "s",
        "domains": [{"name": "a"}, {"name": "b"}],
        "benchmarks": [{"name": "x", "group": "out", "samples": 10}],
        "state": "active",
        "created_at": NOW,
        "updated_at": NOW,
        "trials": {},
        "baseline_scores": {"objective": {"value": 0.25, "se": 0.01}},
    }
)


def test_the_table_names_base_uniform_best_of_the_opening_and_best_proposed_with_their_gains():
    shown = text(
        summary_table(
            STUDY,
            [
                trial(1, {"a": 1.0, "b": 0.0}, 0.40),
                trial(2, {"a": 0.5, "b": 0.5}, 0.50),
                trial(3, {"a": 0.3, "b": 0.7}, 0.60, strategy="quadsurface"),
                trial(4, {"a": 0.2, "b": 0.8}, 0.55, strategy="coli"),
            ],
        )
    )
    lines = {line.split(",")[0].split("  ")[0].strip(): line for line in shown.splitlines()}
    assert "-25.0 ± 2.8" in lines["base"]
    assert "50.0 ± 2.0" in lines["uniform"]
    assert lines["best of opening"].split()[3] == "2"
    assert "60.0 ± 2.0" in lines["best proposed"]
    assert "+10.0 ± 2.8" in lines["best proposed"]
    assert lines["best proposed"].split()[2] == "3"


def test_when_less_is_better_the_lowest_score_is_best():
    study = STUDY.model_copy(
        update={"objective": STUDY.objective.model_copy(update={"direction": "minimize"})}
    )
    trials = [trial(1, {"a": 1.0, "b": 0.0}, 0.4), trial(2, {"a": 0.0, "b": 1.0}, 0.3)]
    shown = text(summary_table(study, trials))
    assert any(line.split()[:4] == ["best", "of", "opening", "2"] for line in shown.splitlines())


def test_a_study_without_runs_still_has_a_table():
    assert "base" in text(summary_table(STUDY, []))


def test_a_run_that_was_stopped_early_is_shown_with_its_scores():
    line = text(trial_line(trial(3, {"a": 1.0}, 0.4, state="early_stopped")))
    assert "40.0" in line
    assert "no reason" not in line


def test_hostile_text_is_shown_as_text():
    line = trial_line(trial(1, {"a": 1.0}, 0.4, state="failed", error="[red]boom[/] [link=x]y"))
    assert "[red]boom[/] [link=x]y" in text(line)


def test_a_mixture_names_only_the_domains_in_it():
    assert mixture_text({"coco": 0.25, "lisa": 0.0, "sat": 0.75}) == "coco .25  sat .75"
    assert mixture_text({"coco": 1.0}) == "coco 1.00"


def test_a_line_of_the_built_in_world_fits_80_columns():
    mixture = dict.fromkeys(["coco", "lisa", "geoqav", "sat", "scienceqa"], 0.2)
    line = text(trial_line(trial(1, mixture, 0.4, strategy="alpha-balanced"))).rstrip()
    head = text(trial_head(mixture)).rstrip()
    assert len(line) == len(head) <= 80
    assert line.split()[-5:] == [".20"] * 5


def test_uniform_is_equal_weights_over_all_domains():
    assert is_uniform(trial(1, {"a": 0.5, "b": 0.5}, 0.4))
    assert not is_uniform(trial(1, {"a": 0.6, "b": 0.4}, 0.4))
