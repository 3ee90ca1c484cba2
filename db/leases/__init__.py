"""The lease protocol: how workers take trials, keep them, finish them and give them back.

A lease is an attempt that is live: a random token, and a time it runs out by the database's clock.
It is only taken away when a reaper passes by, and as long as no other worker has taken the trial,
its old holder may still carry on: a slow heartbeat does not throw away a GPU run. What each state
means is said in `states.py`.

Locks are taken worker first (`seen`), then trial, then study (`events.changed`). What can be done
before the study is locked is, since all that is written of a study lines up at its row. Whoever
holds it first, to count trials, passes over trials that others have locked.

The calls that come all the time are done in few statements where they are as nearly always
(`common.py`), by the objects of the session where they are not.
"""

from db.leases.claim import claim, resume, seen
from db.leases.common import Given, Run, held
from db.leases.common import claim as claim_unheld
from db.leases.holder import MAX_METRICS, Pulse, fail, heartbeat, leave, measure, release
from db.leases.reaper import bound, count_held, gone, reap, run_out
from db.leases.results import Refusal, RefusalCode, finish, finish_in_part
from db.leases.tokens import token_hash, was_given

__all__ = [
    "MAX_METRICS",
    "Given",
    "Pulse",
    "Refusal",
    "RefusalCode",
    "Run",
    "bound",
    "claim",
    "claim_unheld",
    "count_held",
    "fail",
    "finish",
    "finish_in_part",
    "gone",
    "heartbeat",
    "held",
    "leave",
    "measure",
    "reap",
    "release",
    "resume",
    "run_out",
    "seen",
    "token_hash",
    "was_given",
]
