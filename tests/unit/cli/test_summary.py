"""What people read in a terminal."""

from datetime import UTC, datetime

from rich.console import Console

from modomodo.summary import cost_text, mixture_text, summary_table, trial_head, trial_line
from service.schemas import Phase, Proposal, Score, Scores, Study, StudyCost, TrainThis, Trial

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
        "planned": 32,
        "gpu_hours_used": 0.0,
        "created_at": NOW,
        "updated_at": NOW,
        "trials": {},
        "baseline_scores": {"objective": {"value": 0.25, "se": 0.01}},
    }
)


def train(numbers, mixture, value, gain=None):
    return TrainThis(
        mixture=mixture,
        trials=numbers,
        score=Score(value=value, se=0.01),
        gain=gain,
        predicted=None,
        predicted_gain=None,
    )


def test_the_table_names_base_uniform_and_the_one_mixture_to_train_with_their_gains():
    best = {"a": 0.3, "b": 0.7}
    trials = [
        trial(1, {"a": 1.0, "b": 0.0}, 0.40),
        trial(2, {"a": 0.5, "b": 0.5}, 0.50),
        trial(3, best, 0.62, strategy="quadsurface"),
        trial(4, best, 0.58, strategy="confirm"),
        trial(5, {"a": 0.5, "b": 0.5}, 0.40),
        trial(6, {"a": 0.5, "b": 0.5}, 0.90, state="failed"),
    ]
    gain = Score(value=0.15, se=0.01)
    shown = text(summary_table(STUDY, trials, train([3, 4], best, 0.60, gain)))
    lines = {line.split("  ")[0].strip(): line for line in shown.splitlines()}
    assert "-20.0 ± 2.4" in lines["base"]
    assert lines["uniform"].split()[1:5] == ["2", "45.0", "±", "1.4"]
    assert lines["train this"].split()[2:6] == ["2", "60.0", "±", "1.4"]
    assert "+15.0 ± 2.0" in lines["train this"]
    assert shown.count("train this") == 1


def test_a_run_with_a_schedule_is_no_run_of_its_mean():
    equal, phases = {"a": 0.5, "b": 0.5}, [{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}]
    scheduled = trial(1, equal, 0.9).model_copy(
        update={"schedule": [Phase(share=0.5, mixture=mixture) for mixture in phases]}
    )
    best = {"a": 1.0, "b": 0.0}
    shown = text(summary_table(STUDY, [scheduled, trial(2, best, 0.5)], train([2], best, 0.5)))
    assert not any(line.strip().startswith("uniform") for line in shown.splitlines())
    assert "schedule" in text(trial_line(scheduled))


def test_uniform_is_one_row_where_it_is_what_to_train():
    equal = {"a": 0.5, "b": 0.5}
    shown = text(summary_table(STUDY, [trial(1, equal, 0.5)], train([1], equal, 0.5)))
    assert "train this" in shown
    assert "  uniform" not in shown


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


def test_gpu_hours_are_told_in_a_line_the_dearest_domain_first():
    cost = StudyCost(used=12.34, running=0.0, a_run=2.0, left=4.0, domains={"a": 2.0, "b": 10.3})
    assert cost_text(cost) == "GPU-hours: 12.3 used, about 4 to go; b 10.3, a 2"
    cost.channels = {"full": 12.34}
    assert cost_text(cost) == "GPU-hours: 12.3 used, about 4 to go; b 10.3, a 2"
    cost.channels = {"merged": 0.34, "full": 12.0}
    said = "GPU-hours: 12.3 used, about 4 to go; full 12, merged 0.34; b 10.3, a 2"
    assert cost_text(cost) == said
    began = StudyCost(used=0.5, running=0.5, a_run=None, left=None)
    assert cost_text(began) == "GPU-hours: 0.5 used"
