"""What each switch of a recipe's section `speed` does to a step and to an evaluation, on a CPU.

`python -m bench.switches [--rounds 2]`

A small model of random weights looks at pictures of 640 x 640, so that reading them is the large
part of it that it is for a real model beside a GPU; answers end by chance, after 150 tokens in the
mean. Each switch is turned off alone, then all, each in a process of its own. What only a GPU can
tell (`compiled`, `plain_bfloat16`) is in `bench.gpu`.
"""

from __future__ import annotations

import json
import sys
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer

from bench.gpu_stages import AS_TRL, Settings, answered, steps
from bench.processes import in_a_process
from bench.report import machine, table, write_results, write_section

SETTINGS = Settings(small=True, steps=5, tokens=128, items=48, rows=(12,))
BATCH, ITEMS = 24, 72
STEP_TOKENS = 16

SPEED: dict[str, dict[str, Any]] = {
    "all as shipped": {},
    "without `features`": {"features": False},
    "without `pictures_once`": {"pictures_once": False},
    "without `prefetch`": {"prefetch": False},
    "without `evaluation_stages`": {"evaluation_stages": False},
    "without `evaluation_sorted`": {"evaluation_sorted": False},
    "none of them": AS_TRL["speed"],
}

app = typer.Typer()


@app.command()
def main(
    rounds: Annotated[int, typer.Option(help="Runs of each; the least disturbed counts.")] = 2,
    run: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    if run is not None:
        print(json.dumps(measure(SPEED[run])))
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SPEED}
    with TemporaryDirectory() as folder:
        for number in range(rounds):
            for name in SPEED if number % 2 == 0 else reversed(SPEED):
                measured = in_a_process(
                    "bench.switches", "--run", name, BENCH_MODEL=f"{folder}/model"
                )
                found[name].append(measured)
                print(name, found[name][-1], file=sys.stderr)
    write_results("switches", found)
    text = report(found)
    write_section("switches", text)
    print(text)


def measure(speed: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    short = Settings(small=True, steps=SETTINGS.steps, tokens=STEP_TOKENS, items=0, rows=())
    trained = steps(short, {"speed": speed, "gradient_accumulation": 1})["parts_s"]
    return {"step": trained, "evaluation": answered(SETTINGS, BATCH, ITEMS, speed)}


def report(found: dict[str, list[dict[str, Any]]]) -> str:
    def least(name: str, part: str, kind: str) -> float:
        return min(float(one[part][kind]) for one in found[name])

    rows = [
        [
            name,
            f"{least(name, 'step', 'cpu'):.2f}",
            f"{least(name, 'step', 'preprocess') * 1000:,.0f}",
            f"{least(name, 'step', 'step'):.2f}",
            f"{least(name, 'evaluation', 'cpu_s_an_item') * 1000:,.0f}",
            f"{max(one['evaluation']['items_per_s'] for one in found[name]):.1f}",
        ]
        for name in found
    ]
    head = [
        *("", "CPU s a step", "of it pictures, ms", "s a step"),
        *("CPU ms an item", "items / s"),
    ]
    rounds = len(next(iter(found.values())))
    of_each = f"The least disturbed of {rounds} runs each" if rounds > 1 else "One run each"
    return "\n\n".join(
        [
            f"A small model with random weights, 2 prompts x 6 completions of {STEP_TOKENS} tokens "
            f"with pictures of 640 x 640; an evaluation of {ITEMS} such items in batches of "
            f"{BATCH}, answers of at most {SETTINGS.tokens * 4} tokens. {of_each}.",
            table(head, rows),
            f"Made on {machine()}.",
        ]
    )


if __name__ == "__main__":
    app()
