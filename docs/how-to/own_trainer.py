#!/usr/bin/env python3
"""A trainer for `backend: command`: reads its job, reports steps, writes scores. No packages."""

import json
import os
import random
import sys


def main():
    with open(os.environ["MODOMODO_JOB"]) as file:
        job = json.load(file)
    recipe, mixture = job["recipe"], job["mixture"]
    chance = random.Random(job["seed"])
    skill = dict.fromkeys(mixture, 0.2)

    # Training: here a toy in which each step teaches the domain it draws.
    domains, weights = zip(*mixture.items())
    with open(job["progress"], "a") as progress:
        for step in range(1, recipe["steps"] + 1):
            domain = chance.choices(domains, weights)[0]
            skill[domain] += 0.5 * (1 - skill[domain]) / recipe["steps"] * len(domains)
            line = {
                "step": step,
                "total_steps": recipe["steps"],
                "metrics": {"reward": sum(skill.values()) / len(skill)},
            }
            print(json.dumps(line), file=progress, flush=True)

    # Evaluation: one measurement a benchmark, scores from 0 to 1 and the samples behind them.
    measurements = [
        {"benchmark": name, "score": min(1.0, value), "samples": 1000, "step": recipe["steps"]}
        for name, value in skill.items()
    ]
    with open(job["result"], "w") as file:
        json.dump({"measurements": measurements, "steps": recipe["steps"]}, file)
    print(f"trained on {mixture}", file=sys.stderr)


if __name__ == "__main__":
    main()
