"""Keeps as many workers as there is work. It knows nothing but what service and engine say: it may
end and come back at any moment, and two at once start at most what both saw missing, which ends by
itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from modomodo.fleet.engines import Engine, Started
from service.client import Client, ServiceError
from service.schemas import Demand, WorkerSeen


@dataclass(frozen=True, slots=True)
class Pool:
    """What is known of the workers for one study, or for any.

    Attributes:
        running: trials that workers of this fleet hold.
        started: workers of it that the engine has.
        want: workers that there should be.
    """

    study: str | None
    demand: Demand
    running: int
    started: Sequence[Started]
    want: int

    @property
    def missing(self) -> int:
        return max(0, self.want - len(self.started))

    @property
    def surplus(self) -> list[Started]:
        """Workers that wait for a machine and are not needed any more. Of those that have one, who
        finds no trial ends by itself."""
        pending = [worker for worker in self.started if worker.state == "pending"]
        return pending[: max(0, len(self.started) - self.want)]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one look came to."""

    pools: Sequence[Pool]
    gone: Sequence[str]

    @property
    def is_over(self) -> bool:
        """Nothing runs here and nothing more comes by itself."""
        return all(
            not pool.started and pool.want == 0 and pool.demand.retry_after_s is None
            for pool in self.pools
        )


@dataclass(frozen=True, slots=True)
class Controller:
    """Compares and corrects.

    Attributes:
        studies: only work of these; of any where there are none.
        least, most: workers in all. The least are kept as long as there is something left to do.
        has: what a worker has, as `Client.demand` takes it: of studies that require more, nothing
            is to be done here.
    """

    client: Client
    engine: Engine
    studies: Sequence[str]
    most: int
    least: int = 0
    has: Mapping[str, Any] = field(default_factory=dict)

    def look(self) -> Turn:
        """What is, and what should be; changes nothing but that the leases of dead machines end."""
        # The service first: a lease that it tells of is of a worker that the engine then knows, or
        # that has ended meanwhile.
        seen = [w for w in self.client.workers(f"{self.engine.fleet}.") if w.trial is not None]
        named: list[str | None] = [*self.studies] or [None]
        demands = {study: self.client.demand(study, **self.has) for study in named}
        lost = set(self.engine.lost([worker.name for worker in seen]))
        started = self.engine.workers()
        pools = _pools(demands, [w for w in seen if w.name not in lost], started, self.most)
        return Turn(_at_least(pools, self.least), sorted(lost))

    def turn(self) -> Turn:
        """Looks, and has the engine start what is missing and take back what is not needed."""
        found = self.look()
        log = structlog.get_logger()
        for name in found.gone:
            try:
                trials = self.client.gone(name)
            except ServiceError as error:
                log.warning("a dead machine cannot be told of", worker=name, error=str(error))
            else:
                log.info("machine gone", worker=name, trials=trials)
        for pool in found.pools:
            for worker in pool.surplus:
                self.engine.cancel(worker)
            if pool.missing:
                self.engine.start(pool.study, pool.missing)
        return found


def _pools(
    demands: dict[str | None, Demand],
    holders: Sequence[WorkerSeen],
    started: Sequence[Started],
    most: int,
) -> list[Pool]:
    """1. What runs stays. 2. Of the rest of `most` each study in turn gets one, as long as it has
    a trial to begin."""
    running = {study: sum(study in (None, holder.study) for holder in holders) for study in demands}
    room = max(0, most - sum(running.values()))
    want = dict(running)
    while room > 0:
        open_ = [s for s, d in demands.items() if want[s] < running[s] + d.claimable]
        if not open_:
            break
        for study in open_[:room]:
            want[study] += 1
        room -= len(open_[:room])
    return [
        Pool(
            study,
            demand,
            running[study],
            [worker for worker in started if study in (None, worker.study)],
            min(most, want[study]),
        )
        for study, demand in demands.items()
    ]


def _at_least(pools: Sequence[Pool], least: int) -> list[Pool]:
    """The first pool with anything left has more, where all together would be too few."""
    short = least - sum(pool.want for pool in pools)
    found = list(pools)
    for i, pool in enumerate(pools):
        if short > 0 and pool.demand.left and pool.demand.retry_after_s is not None:
            more = pool.want + short
            found[i] = Pool(pool.study, pool.demand, pool.running, pool.started, more)
            break
    return found
