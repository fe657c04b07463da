"""The retry table: what follows a failure, by the kind of request.

===========================  =========  ===================  ==========================
failure                      SAFE       SETTLE               NEVER
===========================  =========  ===================  ==========================
nothing sent, or body cut    retry      retry                retry
body whole, answer lost      retry      settle, then retry   unknown
429, 503 without a key       retry      settle, then retry   retry
502, 504, 500 without a key  retry      settle, then retry   unknown
500 ``ex_system``            once more  settle, once more    failed
anything else                failed     failed               failed
===========================  =========  ===================  ==========================

"Anything else" is every 4xx, 500 ``ex_gen_*`` (rules of the service), 503
``ex_service_unavailable`` (a part that is not installed), and a connection that is refused for a
reason that lasts, such as a certificate; ``ex_gen_aiseg_gpu_busy`` is treated like a 503. If the
body of a request was cut short, the service stores nothing (observed).

aiohttp itself sends GET, PUT and DELETE a second time if a kept-alive connection is closed; those
are SAFE here, and so one attempt of ours can be two requests at the service.
"""

from __future__ import annotations

import enum

from datagym_async._wire._messages import Replay
from datagym_async.exceptions import APIConnectionError, APIError, APIStatusError


class Trouble(enum.Enum):
    NOT_SENT = "nothing was sent, or the body was cut"
    ANSWER_LOST = "the answer was lost"
    BUSY = "the service asks to wait"
    BROKEN = "the service, or a proxy before it, failed"
    SYSTEM = "the service failed in a way that often repeats"
    FINAL = "the answer is final"


class Action(enum.Enum):
    RETRY = "send again"
    RETRY_ONCE = "send again, one time"
    SETTLE = "look whether it was done, then send again"
    SETTLE_ONCE = "look whether it was done, then send again, one time"
    UNKNOWN = "say that the outcome is unknown"
    FAIL = "raise"


_TABLE = {
    trouble: dict(zip((Replay.SAFE, Replay.SETTLE, Replay.NEVER), actions, strict=True))
    for trouble, actions in {
        Trouble.NOT_SENT: (Action.RETRY, Action.RETRY, Action.RETRY),
        Trouble.ANSWER_LOST: (Action.RETRY, Action.SETTLE, Action.UNKNOWN),
        Trouble.BUSY: (Action.RETRY, Action.SETTLE, Action.RETRY),
        Trouble.BROKEN: (Action.RETRY, Action.SETTLE, Action.UNKNOWN),
        Trouble.SYSTEM: (Action.RETRY_ONCE, Action.SETTLE_ONCE, Action.FAIL),
        Trouble.FINAL: (Action.FAIL, Action.FAIL, Action.FAIL),
    }.items()
}

_BUSY_KEYS = frozenset({"ex_gen_aiseg_gpu_busy"})


def classify(error: APIError) -> Trouble:
    """Return the row of the table for an error."""
    if isinstance(error, APIConnectionError):
        if error.lasting:
            return Trouble.FINAL
        return Trouble.ANSWER_LOST if error.request_sent else Trouble.NOT_SENT
    if not isinstance(error, APIStatusError):
        return Trouble.FINAL
    status, key = error.status, error.key
    if key in _BUSY_KEYS or status == 429 or (status == 503 and not key):
        return Trouble.BUSY
    if status in {502, 504} or (status == 500 and not key):
        return Trouble.BROKEN
    return Trouble.SYSTEM if key == "ex_system" else Trouble.FINAL


def is_outage(error: Exception) -> bool:
    """Return whether a failure looks as if the service is down: not reached, or a proxy says so."""
    if isinstance(error, APIStatusError):
        return error.status in {502, 503, 504} and not error.key
    return isinstance(error, APIConnectionError)


def decide(error: APIError, replay: Replay) -> Action:
    return _TABLE[classify(error)][replay]
