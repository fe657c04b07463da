"""Test your code against the embedded service, and against its failures.

`FaultPlan` makes a `datagym_async.server.Server` misbehave on demand::

    plan = FaultPlan()
    plan.add(RetryAfter(429, after=2), method="POST", path=r"/file$", first=1)
    plan.add(CommitThenDrop(), method="POST", path=r"/file$", nth=5)
    async with Server(middlewares=[plan.middleware]) as server:
        ...
    assert plan.count("POST", r"/file$") == 12

`outage` stops the service for a while. With pytest, use the fixture ``datagym_server`` or
``datagym_client``: pytest finds them by itself.

* `_faults`: which request gets which fault, and a record of all requests; faults that are answers,
  faults of the connection, and `outage`.
* `plugin`: the fixtures, for a conftest.py that names them.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.testing._faults import (
    Action as Action,
    CommitThenDelay as CommitThenDelay,
    CommitThenDrop as CommitThenDrop,
    Delay as Delay,
    Drop as Drop,
    DropMidBody as DropMidBody,
    Fault as Fault,
    FaultPlan as FaultPlan,
    Hang as Hang,
    Html as Html,
    Redirect as Redirect,
    RefuseToken as RefuseToken,
    RetryAfter as RetryAfter,
    SeenRequest as SeenRequest,
    ServiceError as ServiceError,
    Status as Status,
    Truncate as Truncate,
    WrongShape as WrongShape,
    chance as chance,
    outage as outage,
)

publish(globals())
