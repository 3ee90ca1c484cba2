"""`modomodo study edit|rename|clone|delete|changes`: a study that is another from now on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.connect import UrlOption, connect
from modomodo.edit_options import EditOptions
from modomodo.errors import CommandFailed, problems
from modomodo.similarity_option import SimilarityOption
from modomodo.study import JsonOption, StudyArgument, print_json, used
from service.schemas import Study, StudyChange, StudyClone, StudyPatch

BudgetOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Trials to run in all. More of them and a finished study goes on; fewer, and queued "
        "proposals that no longer fit are withdrawn.",
    ),
]
HoursOption = Annotated[
    float | None,
    typer.Option(
        help="GPU-hours to use in all: no more trials are proposed than they last for, at what one "
        "has cost so far."
    ),
]
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="What the search may spend on: full, and step-500 for runs that pause at step 500, or "
        "merged.",
    ),
]
StoppingOption = Annotated[
    bool | None,
    typer.Option(
        "--early-stopping/--no-early-stopping",
        help="Whether the search may pause and end runs at evaluation points.",
    ),
]
NoteOption = Annotated[str | None, typer.Option(help="Free text.")]
StrategyOption = Annotated[str | None, typer.Option(help="What proposes from now on.")]
LookaheadOption = Annotated[
    int | None, typer.Option(min=1, help="Proposals kept ready for workers.")
]
AddOption = Annotated[
    list[str] | None, typer.Option("--add", metavar="DOMAIN", help="A new domain. Repeatable.")
]
DropOption = Annotated[
    list[str] | None,
    typer.Option(
        "--drop",
        metavar="DOMAIN",
        help="A domain that is to be used no more; its runs go on teaching. Repeatable.",
    ),
]
BoundsOption = Annotated[
    list[str] | None,
    typer.Option("--bounds", help="Least and greatest weight, as coco=0.1:0.5. Repeatable."),
]
LeastOption = Annotated[
    list[str] | None,
    typer.Option(
        "--zero-or-at-least", help="A used domain gets at least this, as coco=0.05. Repeatable."
    ),
]
SamplesOption = Annotated[
    list[str] | None,
    typer.Option("--samples", help="Number of samples of a domain, as coco=5997. Repeatable."),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data", help="Prepared folder of a domain, as coco=data/coco. Repeatable."),
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        help="A linear limit, as 'coco + 2*lisa <= 0.6'. All there are to be. Repeatable.",
    ),
]
MaxActiveOption = Annotated[
    int | None, typer.Option("--max-active", min=1, help="Most domains that a mixture uses.")
]
FloorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--floor",
        help="What a benchmark has to score at least, as 'chartqa >= 0.4' or 'chartqa >= uniform - "
        "0.02' (what equal weights score). All there are to be. Repeatable.",
    ),
]
ProbabilityOption = Annotated[
    float | None,
    typer.Option(
        "--floor-probability",
        min=0.5,
        max=0.999,
        help="How likely each --floor has to hold; 0.9 unless said.",
    ),
]
ObjectivesOption = Annotated[
    str | None,
    typer.Option(help="Two or three scores to improve together, as out_score,in_score."),
]
ObjectiveOption = Annotated[
    str | None, typer.Option(help="out_score, in_score, or a name of your own with --weigh.")
]
WeighOption = Annotated[
    list[str] | None,
    typer.Option(help="Weight of a benchmark in an objective of your own, as chartqa=2."),
]
WeightOption = Annotated[
    float | None,
    typer.Option(
        help="Its share of the GPUs of workers that name no study, beside other studies; 1 unless "
        "said."
    ),
]
RequiresOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What a worker must have, as gpus=4, gpu_memory_gb=80 or label:pool=a100. All there "
        "is to be. Repeatable."
    ),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What there is to be no more: limits, floors, objectives, requires, similarity, "
        "gpu-hours, max-active or reach. Repeatable."
    ),
]


B = TypeVar("B", bound=BaseModel)

FIELDS = ("budget", "gpu_hours", "note", "strategy", "lookahead", "max_active", "weight")
"""Options that are fields of the call as they are."""


def _options(**given: Any) -> EditOptions:
    """The options that were given; None was not."""
    fields = {name: given.pop(name) for name in FIELDS}
    others = {name: value for name, value in given.items() if value is not None}
    return EditOptions(fields=fields, **others)


def _valid(kind: type[B], body: Mapping[str, Any]) -> B:
    """The body of a call.

    Raises:
        BadParameter: what was given makes none.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from error


def edit(
    study: StudyArgument,
    budget: BudgetOption = None,
    gpu_hours: HoursOption = None,
    channels: ChannelsOption = None,
    early_stopping: StoppingOption = None,
    note: NoteOption = None,
    strategy: StrategyOption = None,
    lookahead: LookaheadOption = None,
    add: AddOption = None,
    drop: DropOption = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Domains that take the place of one, with their shares of its weight, as "
            "coco=indoor:0.6,outdoor:0.4. Repeatable."
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(help="A domain that takes the place of several, as street=coco,lisa."),
    ] = None,
    bounds: BoundsOption = None,
    zero_or_at_least: LeastOption = None,
    samples: SamplesOption = None,
    data: DataOption = None,
    limit: LimitOption = None,
    max_active: MaxActiveOption = None,
    similarity: SimilarityOption = None,
    floor: FloorOption = None,
    floor_probability: ProbabilityOption = None,
    objectives: ObjectivesOption = None,
    objective: ObjectiveOption = None,
    weigh: WeighOption = None,
    weight: WeightOption = None,
    requires: RequiresOption = None,
    without: WithoutOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a study; what is left out stays. Its runs stay evidence, running trials go on."""
    options = _options(
        budget=budget,
        gpu_hours=gpu_hours,
        note=note,
        strategy=strategy,
        lookahead=lookahead,
        max_active=max_active,
        weight=weight,
        channels=channels,
        early_stopping=early_stopping,
        add=add,
        drop=drop,
        split=split,
        merge=merge,
        bounds=bounds,
        least=zero_or_at_least,
        samples=samples,
        data=data,
        limits=limit,
        similarity=similarity,
        floors=floor,
        floor_probability=floor_probability,
        objectives=objectives,
        objective=objective,
        weigh=weigh,
        requires=requires,
        without=without,
    )
    if not options.is_any:
        raise typer.BadParameter("nothing to change: give an option, such as --budget or --bounds")
    with connect(url) as client:
        now = client.study(study)
        changed = client.patch_study(study, _valid(StudyPatch, options.body(now)))
    _say(changed, as_json)


def clone(
    study: Annotated[str, typer.Argument(help="Name of the new study.")],
    from_: Annotated[str, typer.Option("--from", help="Name of the study that it is to be like.")],
    budget: BudgetOption = None,
    gpu_hours: HoursOption = None,
    channels: ChannelsOption = None,
    early_stopping: StoppingOption = None,
    note: NoteOption = None,
    strategy: StrategyOption = None,
    lookahead: LookaheadOption = None,
    add: AddOption = None,
    drop: DropOption = None,
    bounds: BoundsOption = None,
    zero_or_at_least: LeastOption = None,
    samples: SamplesOption = None,
    limit: LimitOption = None,
    max_active: MaxActiveOption = None,
    similarity: SimilarityOption = None,
    floor: FloorOption = None,
    floor_probability: ProbabilityOption = None,
    objectives: ObjectivesOption = None,
    objective: ObjectiveOption = None,
    weigh: WeighOption = None,
    weight: WeightOption = None,
    requires: RequiresOption = None,
    without: WithoutOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a study like another, with its specification and none of its trials."""
    options = _options(
        budget=budget,
        gpu_hours=gpu_hours,
        note=note,
        strategy=strategy,
        lookahead=lookahead,
        max_active=max_active,
        weight=weight,
        channels=channels,
        early_stopping=early_stopping,
        add=add,
        drop=drop,
        bounds=bounds,
        least=zero_or_at_least,
        samples=samples,
        limits=limit,
        similarity=similarity,
        floors=floor,
        floor_probability=floor_probability,
        objectives=objectives,
        objective=objective,
        weigh=weigh,
        requires=requires,
        without=without,
    )
    with connect(url) as client:
        body = options.body(client.study(from_)) | {"name": study}
        made = client.clone_study(from_, _valid(StudyClone, body))
    _say(made, as_json)


def rename(
    study: StudyArgument,
    name: Annotated[str, typer.Argument(help="What it is to be called.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a study otherwise. It is found by its former name too, while no other has that."""
    patch = _valid(StudyPatch, {"name": name})
    with connect(url) as client:
        changed = client.patch_study(study, patch)
    _say(changed, as_json)


def delete(
    study: StudyArgument,
    confirm: Annotated[
        str | None, typer.Option(help="The study's name once more; asked for without.")
    ] = None,
    url: UrlOption = None,
) -> None:
    """Delete a study with its trials, scores and events, for good."""
    with connect(url) as client:
        found = client.study(study)
        n = sum(found.trials.values())
        if confirm is None:
            Console().print(
                f"study [bold]{escape(found.name)}[/] has {n} trials, which go with it; "
                f"`modomodo study export {escape(found.name)} --format archive` keeps them"
            )
            confirm = typer.prompt("its name, to delete it")
        if confirm != found.name:
            raise CommandFailed(f"{confirm!r} is not its name, {found.name!r}: nothing is deleted")
        client.delete_study(found.name)
    Console().print(f"study [bold]{escape(found.name)}[/] is deleted")


def changes(study: StudyArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show what was changed of a study, by whom and when."""
    with connect(url) as client:
        found = client.changes(study)
    if as_json:
        print_json(found)
        return
    table = Table("when", "by", "after trial", "what", "before", "after")
    for change in found:
        for place, (path, (before, after)) in enumerate(change.changes.items()):
            head = ("", "", "") if place else _head(change)
            table.add_row(*head, escape(path), escape(_short(before)), escape(_short(after)))
    Console().print(table if found else "nothing was changed yet")


def _head(change: StudyChange) -> tuple[str, str, str]:
    when = f"{change.at:%Y-%m-%d %H:%M}"
    return when, escape(change.actor), str(change.after_trial or "")


def _short(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _say(study: Study, as_json: bool) -> None:
    if as_json:
        print_json(study)
        return
    Console().print(
        f"study [bold]{escape(study.name)}[/] is {study.state}: "
        f"{used(study, 'of its budget of')} used"
    )


def add_to(app: typer.Typer) -> None:
    """Makes these commands of `modomodo study`."""
    for command in (edit, rename, clone, delete, changes):
        app.command()(command)
