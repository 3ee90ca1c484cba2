"""What a person might type, by command: shown by `--help`, and in `docs/reference/commands.md`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

EXAMPLES: dict[str, tuple[str, ...]] = {
    "serve": ("modomodo serve", "modomodo serve --port 9000 --database sqlite:///studies.db"),
    "worker": (
        "modomodo worker --study first",
        "modomodo worker --url http://head:8765 --gpus 0,1,2,3 --per-trial 2",
    ),
    "demo": ("modomodo demo", "modomodo demo --trials 12 --steps 10 --domains coco,lisa,sat"),
    "suggest": (
        "modomodo suggest --data runs.csv -n 4",
        "modomodo suggest --data runs.csv --strategy bayes-quadratic --bounds coco=0.1:0.5",
        "modomodo suggest --data runs.csv --floor 'scienceqa >= uniform - 0.02'",
        "modomodo suggest --data runs.csv --phases 2",
    ),
    "fit": (
        "modomodo fit --data runs.csv",
        "modomodo fit --data runs.csv --surrogate gp --at mixtures.csv --plot fit.html",
        "modomodo fit --data runs.csv --front in_score --floor 'scienceqa >= uniform - 0.02'",
    ),
    "score": ("modomodo score --list", "modomodo score --rule math --in cases.jsonl"),
    "openapi": ("modomodo openapi",),
    "train": (
        "modomodo train tiny --mixture coco=0.5,sat=0.5 --folder run",
        "modomodo train tiny --phase coco=1 --phase coco=0.2,sat=0.8 --shares 0.25,0.75",
    ),
    "rescore": ("modomodo rescore run/responses/step-24/chartqa.parquet --rule paper",),
    "study create": ("modomodo study create offline", "modomodo study create study.yaml"),
    "study list": ("modomodo study list",),
    "study show": ("modomodo study show first",),
    "study edit": (
        "modomodo study edit first --budget 60",
        "modomodo study edit first --gpu-hours 400",
        "modomodo study edit first --channels full,merged",
        "modomodo study edit first --channels full,step-500 --early-stopping",
        "modomodo study edit first --bounds coco=0.1:0.5 --limit 'coco + 2*sat <= 0.6'",
        "modomodo study edit first --add geo --samples geo=4000 --drop sat",
        "modomodo study edit first --add geo --similarity similarity.yaml",
        "modomodo study edit first --floor 'scienceqa >= uniform - 0.02'",
        "modomodo study edit first --split coco=indoor:0.6,outdoor:0.4",
        "modomodo study edit first --weight 2 --requires gpus=4 --requires label:pool=a100",
    ),
    "study front": ("modomodo study front first",),
    "study rename": ("modomodo study rename first vlm-2b",),
    "study clone": ("modomodo study clone second --from first --budget 40",),
    "study delete": ("modomodo study delete first",),
    "study changes": ("modomodo study changes first",),
    "study pause": ("modomodo study pause first",),
    "study resume": ("modomodo study resume first",),
    "study finish": ("modomodo study finish first",),
    "study export": (
        "modomodo study export first --out runs.csv",
        "modomodo study export first --format yaml --trainer verl --out mixture.yaml",
        "modomodo study export first --format yaml --trial 3 --out schedule.yaml",
        "modomodo study export first --format archive --out first.json",
    ),
    "study compare": ("modomodo study compare first second",),
    "study effects": ("modomodo study effects first",),
    "study plot": ("modomodo study plot first --out figures",),
    "study import": ("modomodo study import first.json --as second",),
    "trial add": (
        "modomodo trial add first coco=0.25 sat=0.75",
        "modomodo trial add first coco=0.25 sat=0.75 --measurements scores.json",
        "modomodo trial add first coco=0.25 sat=0.75 --channel merged",
        "modomodo trial add first --phase coco=0.9,sat=0.1 --phase coco=0.1,sat=0.9",
    ),
    "trial list": (
        "modomodo trial list first --state failed",
        "modomodo trial list first --same-as 3",
    ),
    "trial show": ("modomodo trial show first 3",),
    "trial curves": (
        "modomodo trial curves first 3 7 12",
        "modomodo trial curves first 3 7 --metric kl",
    ),
    "trial import": (
        "modomodo trial import first runs.csv --dry-run",
        "modomodo trial import first runs.csv --tag spring",
    ),
    "trial tag": (
        "modomodo trial tag first 3 7-12 --add 'second look'",
        "modomodo trial tag first 3 --remove 'second look'",
    ),
    "trial retry": ("modomodo trial retry first 3", "modomodo trial retry first 3 7-12"),
    "trial cancel": ("modomodo trial cancel first 3", "modomodo trial cancel first 3 7-12"),
    "trial pause": ("modomodo trial pause first 3",),
    "trial continue": ("modomodo trial continue first 3 --stop-at 1000",),
    "trial stop": ("modomodo trial stop first 3",),
    "trial stop-early": ("modomodo trial stop-early first 3",),
    "db upgrade": ("modomodo db upgrade --database sqlite:///modomodo.db",),
    "db current": ("modomodo db current",),
    "db check": ("modomodo db check",),
    "key create": (
        "modomodo key create nodes --scope worker",
        "modomodo key create ana --scope admin --owner vision",
    ),
    "key list": ("modomodo key list",),
    "key revoke": ("modomodo key revoke nodes",),
    "owner list": ("modomodo owner list",),
    "owner set": ("modomodo owner set vision --gpu-hours 2000",),
    "owner give": ("modomodo owner give vision first",),
    "owner release": ("modomodo owner release first",),
    "recipe list": ("modomodo recipe list",),
    "recipe schema": ("modomodo recipe schema",),
    "recipe show": ("modomodo recipe show paper",),
    "recipe check": ("modomodo recipe check recipe.yaml --mixture coco=0.5,sat=0.5",),
    "data prepare": ("modomodo data prepare mine.jsonl --out data/mine",),
    "data show": ("modomodo data show data/mine -n 5",),
    "data list": ("modomodo data list",),
    "data similarity": (
        "modomodo data similarity data/coco data/coco-indoor data/sat --out similarity.yaml",
        "modomodo data similarity data/coco new=data/mine --model models/all-MiniLM-L6-v2",
    ),
    "tiny build": ("modomodo tiny build --out tiny-base",),
    "fleet": ("modomodo fleet --engine ray --max 64 --gpus-per-trial 8 --store s3://bucket/runs",),
    "fleet status": (
        "modomodo fleet status --engine ray",
        "modomodo fleet status --engine ray --watch",
    ),
    "fleet manifest": (
        "modomodo fleet manifest --url http://modomodo --image registry/worker:1 --max 8",
        "modomodo fleet manifest --engine kuberay --url http://modomodo --image registry/ray:1",
    ),
    "fleet drain": ("modomodo fleet drain --engine ray",),
    "fleet stop": ("modomodo fleet stop --engine ray",),
}


GROUPS: dict[str, tuple[str, ...]] = {
    "": ("modomodo demo", "modomodo serve", "modomodo study create offline", "modomodo worker"),
    "study": (
        "modomodo study create study.yaml",
        "modomodo study show first",
        "modomodo study export first --format yaml --out mixture.yaml",
    ),
    "trial": (
        "modomodo trial list first --state failed",
        "modomodo trial show first 3",
        "modomodo trial retry first 3",
    ),
    "db": ("modomodo db current", "modomodo db upgrade"),
    "key": ("modomodo key create nodes --scope worker", "modomodo key list"),
    "owner": ("modomodo owner set vision --gpu-hours 2000", "modomodo owner list"),
    "recipe": ("modomodo recipe list", "modomodo recipe check recipe.yaml"),
    "data": ("modomodo data prepare mine.jsonl --out data/mine", "modomodo data show data/mine"),
    "tiny": ("modomodo tiny build --out tiny-base",),
    "fleet": (
        "modomodo fleet --engine ray --max 64 --gpus-per-trial 8 --store s3://bucket/runs",
        "modomodo fleet status --engine ray",
        "modomodo fleet stop --engine ray",
    ),
}
"""The same of groups of commands: what is typed most, in the order in which it is typed."""


def add_to(app: typer.Typer, *above: str) -> None:
    """Puts the examples below the help of every command and group of the app."""
    app.info.epilog = _shown(GROUPS[" ".join(above)])
    for command in app.registered_commands:
        name = str(command.name or getattr(command.callback, "__name__", ""))
        command.epilog = _shown(EXAMPLES[" ".join((*above, name))])
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_to(group.typer_instance, *above, str(group.name))


def _shown(lines: Sequence[str]) -> str:
    # Paragraphs: lines of one are joined.
    return "\n\n".join(["For example:", *(f"  {line}" for line in lines)])
