"""Whether bodies fit the study they are sent to; what does not is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.orm import Session

from db import models, studies
from service.errors import Refused, invalid
from service.schemas import EvidenceSpec, Measurement, StudySpec, last_measurements
from service.schemas.spec import MERGED
from service.search.space import MixtureSpace
from service.search.strategies import STRATEGIES
from service.search.surrogates import TAKING_CHANNELS
from service.study import engine_terms


def strategy(name: str) -> None:
    """Raises:
    Refused: the engine has no such strategy.
    """
    if name not in STRATEGIES:
        raise invalid(f"unknown strategy {name!r}; there are {', '.join(STRATEGIES)}")


def space(spec: StudySpec) -> MixtureSpace:
    """The mixtures that the study may propose.

    Raises:
        Refused: no mixture satisfies all that the study asks of one.
    """
    try:
        return engine_terms.space(spec)
    except ValueError as error:
        raise invalid(str(error)) from error


def earlier(
    session: Session, spec: StudySpec, own: models.Study, known: Sequence[EvidenceSpec] = ()
) -> None:
    """Whether the studies are there that this one takes as evidence, each by its present name.

    Args:
        own: this one.
        known: what it took before: that may have been deleted since.

    Raises:
        Refused: one is not, or is this very study, or is called otherwise by now.
    """
    for named in spec.evidence:
        if named in known:
            continue
        found = studies.find(session, named.study)
        if found is None:
            raise invalid(
                f"evidence: there is no study {named.study!r} (study {spec.name!r}); name one of "
                "this service, whose runs it has"
            )
        if found.id == own.id:
            raise invalid(
                f"evidence names this very study, {own.name!r}, by its former name "
                f"{named.study!r}; name an earlier one"
            )
        if found.name != named.study:
            raise invalid(
                f"evidence: study {named.study!r} is called {found.name!r} now (study "
                f"{spec.name!r}); name it so"
            )


def channels(spec: StudySpec) -> None:
    """Whether all that the study's channels need can be had.

    Raises:
        Refused: a domain cannot be trained alone, so that there is no expert of it; or the recipe's
            trainer leaves no weights that could be merged; or its runs are not scored at a step
            that one is to pause at; or the strategy cannot choose by cost.
    """
    _parts_of_runs(spec)
    if MERGED not in spec.search.channels:
        return
    names = [domain.name for domain in spec.domains if domain.name not in spec.dropped]
    if len(names) < 2:
        raise invalid(f"channel 'merged' needs two domains in use or more (study {spec.name!r})")
    if spec.recipe.get("backend") == "command":
        raise invalid(
            "channel 'merged' needs weights that the worker can read, and those of back end "
            f"'command' are its trainer's own (study {spec.name!r}); leave the channel out"
        )
    within = space(spec)
    experts = [(f"of {name!r} alone", {name: 1.0}) for name in names]
    for what, weights in (
        *experts,
        ("of all domains equally", dict.fromkeys(names, 1 / len(names))),
    ):
        try:
            mixture(spec, weights, within)
        except Refused as refused:
            raise invalid(
                f"channel 'merged' needs a run {what}, which this study does not allow: "
                f"{refused.detail}; widen its bounds and limits, or leave the channel out"
            ) from refused


def _parts_of_runs(spec: StudySpec) -> None:
    """Channels of steps, and early stopping."""
    wanted = [f"channel 'step-{step}'" for step in spec.search.steps]
    wanted += ["early_stopping"] if spec.search.early_stopping else []
    if not wanted:
        return
    where = f"(study {spec.name!r})"
    if spec.strategy not in TAKING_CHANNELS:
        raise invalid(
            f"{wanted[0]} needs a strategy that chooses by cost: {', '.join(TAKING_CHANNELS)}, not "
            f"{spec.strategy} {where}"
        )
    goal = engine_terms.goal(spec)
    if goal is not None and not goal.is_plain:
        raise invalid(
            f"{wanted[0]} goes by one objective, and this study has goals beside it: leave either "
            f"out {where}"
        )
    steps, points = engine_terms.steps_of(spec)
    if steps is None:
        raise invalid(
            f"{wanted[0]} needs the recipe's number of steps, to know what part of a run costs: "
            f"set recipe.steps {where}"
        )
    if not points:
        raise invalid(
            f"{wanted[0]} needs scores on the way: name steps in recipe.evaluation.at {where}"
        )
    for step in spec.search.steps:
        if step not in points:
            raise invalid(
                f"channel 'step-{step}' needs whole runs to be scored at step {step}, too, to see "
                f"how far it carries over: name one of recipe.evaluation.at, "
                f"{', '.join(map(str, points))}, or add it there {where}"
            )


def channel(spec: StudySpec, name: str) -> None:
    """Raises:
    Refused: the study's search has no such channel.
    """
    if name not in spec.search.channels:
        raise invalid(
            f"study {spec.name!r} has no channel {name!r}, but {', '.join(spec.search.channels)}; "
            "change its search.channels first"
        )


def stop_at(spec: StudySpec, step: int | None) -> None:
    """Raises:
    Refused: no run of the study's recipe gets past this step, so that none would pause there.
    """
    steps, _ = engine_terms.steps_of(spec)
    if step is not None and steps is not None and step >= steps:
        raise invalid(
            f"stop_at {step} is not before the last step of the recipe, {steps}: give a step below "
            f"that, or leave it out to train the whole run (study {spec.name!r})"
        )


def weights(spec: StudySpec, given: Mapping[str, float]) -> dict[str, float]:
    """The mixture in the study's domain order, whatever its bounds.

    Raises:
        Refused: it is none of the study's domains.
    """
    try:
        return spec.weights(given)
    except ValueError as error:
        raise invalid(str(error)) from error


def mixture(
    spec: StudySpec, given: Mapping[str, float], within: MixtureSpace | None = None
) -> dict[str, float]:
    """The mixture in the study's domain order.

    Args:
        within: the study's space, for who checks many: making it takes longer than to look.

    Raises:
        Refused: it is not one of this study's.
    """
    try:
        found = spec.mixture(given)
    except ValueError as error:
        raise invalid(str(error)) from error
    within = within or engine_terms.space(spec)
    broken = within.broken_by(engine_terms.weights(spec, [found])[0])
    if broken:
        raise invalid(f"{broken[0]} (study {spec.name!r})")
    return found


def measurements(spec: StudySpec, given: Iterable[Measurement]) -> None:
    """Raises:
    Refused: an unknown benchmark, or the same one twice at the same step.
    """
    known = {benchmark.name for benchmark in spec.benchmarks}
    seen: set[tuple[str, str, int]] = set()
    for item in given:
        if item.benchmark not in known:
            raise invalid(
                f"unknown benchmark {item.benchmark!r} (study {spec.name!r}); "
                f"it has {', '.join(b.name for b in spec.benchmarks)}"
            )
        key = (item.benchmark, item.rule, item.step)
        if key in seen:
            raise invalid(
                f"benchmark {item.benchmark!r} comes twice at step {item.step} under rule "
                f"{item.rule!r}; send one score each"
            )
        seen.add(key)


def unscored(spec: StudySpec, given: Iterable[Measurement]) -> list[str]:
    """Benchmarks that a run must have to count, and that have no score at any step."""
    return sorted(set(spec.needed_benchmarks()) - last_measurements(given).keys())


def missing(
    spec: StudySpec, result: Sequence[Measurement], known: Iterable[Measurement] = ()
) -> list[str]:
    """Benchmarks that a run must have to count, and that have no score at a result's last step: one
    of an earlier step is not that of the whole run.

    Args:
        known: scores that were stored before, where the result is the rest of them.
    """
    last = _last(result)
    return unscored(spec, [item for item in (*known, *result) if item.step == last])


def _last(result: Sequence[Measurement]) -> int:
    return max((item.step for item in result), default=0)


def lacks(spec: StudySpec, absent: Sequence[str], result: Sequence[Measurement]) -> str:
    """Says which scores a result has not, and at which step."""
    last = _last(result)
    at = f" at step {last}, its last one" if last else ""
    return (
        f"the result has no score of {', '.join(absent)} under rule 'paper'{at}, which the "
        f"{needed_by(spec)} (study {spec.name!r})"
    )


def needed_by(spec: StudySpec) -> str:
    """What a run's benchmarks are needed for: `objective 'out_score' weighs`."""
    if spec.objectives or spec.constraints:
        return "study's objectives and constraints need"
    return f"objective {spec.objective.name!r} weighs"


def is_complete(spec: StudySpec, result: Sequence[Measurement]) -> None:
    """Raises:
    Refused: a benchmark that a run must have to count has no score at the result's last step.
    """
    absent = missing(spec, result)
    if absent:
        raise invalid(lacks(spec, absent, result))
