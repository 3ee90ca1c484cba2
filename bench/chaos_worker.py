"""A worker that trains nothing: takes trials, beats, posts a score, and notes what was answered.

`python -m bench.chaos_worker URL NAME LEDGER SEED`
"""

from __future__ import annotations

import os
import random
import sys
import time

from service.client import Client, ServiceError
from service.schemas import Heartbeat, Measurement, NextRequest, Result

STUDY, BENCHMARK = "chaos", "score"


def main(url: str, name: str, ledger: str, seed: int) -> None:
    """Works until nothing more is to come."""
    chance = random.Random(seed)
    note = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with Client(url, patience_s=120.0, timeout_s=5.0) as client:
        while True:
            answer = client.next(NextRequest(worker=name, study=STUDY))
            if answer.trial is None or answer.lease is None:
                if answer.retry_after_s is None:
                    return
                time.sleep(min(0.5, answer.retry_after_s))
                continue
            trial, token = answer.trial.id, answer.lease.token
            try:
                for step in range(chance.randint(0, 3)):
                    time.sleep(chance.uniform(0, 0.1))
                    client.heartbeat(trial, Heartbeat(token=token, step=step))
                score = Measurement(benchmark=BENCHMARK, score=chance.random(), samples=100)
                client.result(trial, Result(token=token, measurements=[score]))
            except ServiceError as error:
                if error.status != 409:
                    raise
                continue  # another has it: its own score was kept as a replicate
            except Exception as error:  # a heartbeat has little patience; the lease may run out
                print(f"{name}: {error}", file=sys.stderr)
                continue
            os.write(note, f"{trial} {score.score!r}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
