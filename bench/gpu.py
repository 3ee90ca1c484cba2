"""The paper's trial on one GPU: the parts of a step, decoding, evaluation, what 2,000 steps cost.

`python -m bench.gpu [--steps 5] [--completion-tokens 256] [--minutes 14] [--only STAGE] [--again]`

A model of Qwen2-VL-2B's shape with random weights (nothing is downloaded), by the recipe
`single-gpu` on 640 x 640 pictures of noise, as TRL does it and as this package does, in one go;
with `--lora` the steps of `lora-24gb`. Each stage is a process of its own; its figures are kept in
`bench/results/gpu.json` as soon as it ends, and one that is there is not done again (`--again`
does it). No stage begins after `--minutes`. `--small` runs all of it with a small model wherever it
is started, and keeps nothing.

Random weights never end a completion, so each of a step has exactly `--completion-tokens`: a step
of a real model is as fast as its longest completion. Answers of an evaluation end by chance, after
150 tokens in the mean.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import transformers
import trl
import typer

from bench.gpu_stages import STAGES, Settings, train
from bench.report import ROOT, read_results, table, write_results, write_section
from trainer.planning import memory
from trainer.run.decoding import Decoding

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 FLOP/s by a part of the device's name, from NVIDIA's data sheets."""
TRIAL_STEPS, TRIAL_ITEMS, TRIAL_EVALUATIONS = 2000, 14_543, 3
"""Of the paper's trial: what its benchmarks hold, scored at 500, 1,500 and 2,000 steps."""

OF_STEPS = ("as TRL does it", "ours", "ours, not compiled")
"""Stages that adapters have a part in."""
LORA = "lora-24gb: "

app = typer.Typer()


@app.command()
def main(
    steps: Annotated[int, typer.Option(min=3, help="Steps; the first two are not timed.")] = 5,
    completion_tokens: Annotated[int, typer.Option(help="Tokens of each completion.")] = 256,
    lora: Annotated[bool, typer.Option(help="The recipe lora-24gb instead.")] = False,
    small: Annotated[bool, typer.Option(help="A small model, also without a GPU.")] = False,
    minutes: Annotated[float, typer.Option(help="No stage begins later.")] = 14.0,
    only: Annotated[list[str] | None, typer.Option(help="Only these stages.")] = None,
    again: Annotated[bool, typer.Option(help="Also stages whose figures are kept.")] = False,
    stage: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    settings = Settings(
        small=small,
        steps=steps,
        tokens=min(completion_tokens, 16) if small else completion_tokens,
        items=8 if small else 128,
        rows=(4, 6, 8) if small else (12, 64, 256),
        pixels=56 * 56 if small else None,
        lora=lora,
    )
    if stage is not None:
        _run_stage(stage, settings)
        return
    if not torch.cuda.is_available() and not small:
        print(
            "There is no GPU here (torch.cuda.is_available() is false), so there is nothing to "
            "measure. --small tries the script with a small model on the CPU.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    known = {} if small else read_results("gpu")
    prefix, stages = (LORA, OF_STEPS) if lora else ("", tuple(STAGES))
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        for name in only or stages:
            left = minutes * 60 - (time.monotonic() - started)
            if (prefix + name in known and not again) or left <= 0:
                continue
            found = _in_a_process(name, left, Path(folder))
            print(name, json.dumps(found), file=sys.stderr)
            if "error" in found:
                continue
            known[prefix + name] = found
            if not small:
                write_results("gpu", known)
    if small:
        print(report(known))
    else:
        write_section("gpu", report(known))


def _run_stage(name: str, settings: Settings) -> None:
    if not torch.cuda.is_available():
        Decoding.backend = "eager"  # compiling for a CPU takes minutes and tells nothing
    run = train if name == "train" else STAGES[name]
    found = run(settings)
    found["settings"] = asdict(settings)
    found["versions"] = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "trl": trl.__version__,
        "python": platform.python_version(),
    }
    Path(os.environ["BENCH_FOUND"]).write_text(json.dumps(found))


def _in_a_process(name: str, limit_s: float, folder: Path) -> dict[str, Any]:
    file = folder / "found.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.gpu", *sys.argv[1:], "--stage", name]
    environment = os.environ | {"BENCH_FOUND": str(file), "BENCH_MODEL": str(folder / "model")}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=sys.stderr, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"did not end in the {limit_s:.0f} s that were left"}
    if done.returncode or not file.exists():
        return {"error": f"ended with {done.returncode}"}
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def report(known: dict[str, dict[str, Any]]) -> str:
    """All that is known, a table a kind."""
    runs = {name: found for name, found in known.items() if "step_s" in found}
    said = []
    if runs:
        said += [
            "Random weights of Qwen2-VL-2B's shape, pictures of noise, generation by transformers; "
            "scores not included.",
            _steps_table(runs),
        ]
    if parts := {name: found for name, found in runs.items() if "parts_s" in found}:
        kinds = list(next(iter(parts.values()))["parts_s"])
        rows = [
            [kind, *(f"{one['parts_s'][kind]:.2f}" for one in parts.values())] for kind in kinds
        ]
        said += ["Seconds of a step's parts:", table(["", *parts], rows)]
    if found := known.get("decode"):
        rows = [
            [
                n,
                *(f"{one[how]['ms_a_token']:.1f}" for how in ("plain", "compiled")),
                f"{one['compiled']['compile_s']:.0f}",
                f"{one['agreement']:.1%}",
            ]
            for n, one in found["rows"].items()
        ]
        head = ["rows", "ms a token", "compiled", "s to compile", "equal tokens"]
        said += ["Decoding:", table(head, rows)]
    if found := known.get("evaluation"):
        rows = [
            [
                n,
                how,
                f"{one['items']}",
                f"{one['items_per_s']:.2f}",
                f"{one['tokens_an_answer']:.0f}",
            ]
            for n, ways in found["batches"].items()
            for how, one in ways.items()
        ]
        head = ["batch", "", "items", "items / s", "tokens an answer"]
        said += ["Evaluation:", table(head, rows)]
        said += _trials(known, found)
    if found := known.get("moved"):
        shares = [
            f"{name} {share:.2%}" for name, share in found.items() if isinstance(share, float)
        ]
        said.append(f"Weights of the miniature moved in 12 steps at 1e-6: {', '.join(shares)}.")
    if found := known.get("kill"):
        said.append(
            "A run killed in the middle of a step: "
            f"{found['taken_bytes'] / memory.GIB:.1f} GiB taken, "
            f"{max(0, found['left_bytes']) / memory.GIB:.1f} left after "
            f"{found['freed_after_s']:.1f} s."
        )
    return "\n\n".join(said)


def _trials(known: dict[str, Any], evaluation: dict[str, Any]) -> list[str]:
    """What the paper's trial takes, by the best batch of each way."""
    said = []
    for run in (prefix + how for prefix in ("", LORA) for how in ("as TRL does it", "ours")):
        if run not in known:
            continue
        how = run.removeprefix(LORA)
        rates = [ways[how]["items_per_s"] for ways in evaluation["batches"].values()]
        training = TRIAL_STEPS * known[run]["step_s"] / 3600
        scoring = TRIAL_ITEMS / max(rates) / 3600
        whole = training + TRIAL_EVALUATIONS * scoring
        said.append(
            f"A trial of {TRIAL_STEPS:,} steps with {TRIAL_EVALUATIONS} evaluations of "
            f"{TRIAL_ITEMS:,} items, {run}: {whole:.1f} h, {training:.1f} of it training, "
            f"{scoring * 60:.0f} minutes an evaluation."
        )
    return said


def _steps_table(runs: dict[str, dict[str, Any]]) -> str:
    rows: dict[str, list[str]] = {}
    for x in runs.values():
        used, versions = x["peak_bytes"], x["versions"]
        peak = next((value for part, value in PEAK.items() if part in x["device"]), None)
        mfu = None if peak is None else x["flop"] / x["step_s"] / peak
        column = {
            "device": x["device"],
            "parameters, billions": f"{x['parameters'] / 1e9:.2f}",
            "completions a step": str(x["completions"]),
            "tokens of a prompt, a completion": f"{x['prompt_tokens']}, {x['completion_tokens']}",
            "seconds a step": f"{x['step_s']:.2f}",
            "of it generation": f"{x['generation_share']:.0%}",
            "generated tokens / s": f"{x['tokens_per_s']:,.0f}",
            "peak memory, GiB": "not a GPU" if used is None else f"{used / memory.GIB:.1f}",
            "`recipe check` expects, GiB": f"{x['estimated_bytes'] / memory.GIB:.1f}",
            "model FLOP use": "unknown" if mfu is None else f"{mfu:.1%}",
            "2,000 steps, hours": f"{2000 * x['step_s'] / 3600:.1f}",
            "torch, transformers, trl": ", ".join(
                versions[name] for name in ("torch", "transformers", "trl")
            ),
        }
        for what, said in column.items():
            rows.setdefault(what, [what]).append(said)
    return table(["", *runs], list(rows.values()))


if __name__ == "__main__":
    app()
