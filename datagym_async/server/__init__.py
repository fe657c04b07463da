"""The embedded DataGym-compatible service: aiohttp.web, SQLite, and files in a folder.

`async with Server() as server:` runs it in your own loop; `server.base_url` and `server.token` are
what a client needs. It imports nothing of the client, so that both cannot be wrong together. In
reading order, from the wire inwards:

* `_server`: opens and closes everything; makes data for tests (projects, videos, states) that no
  route can.
* `_app`: counts requests, closes connections as the real service does, and handles all requests:
  header block, route, method, token; exceptions become answers.
* `_answers`: how JSON is read and written, in both generations of names; every answer that refuses,
  every rule of a field.
* `routes/`: one module a noun, with its view and its input; how a route is written stands there.
* `_labels`: configurations, tasks and values as they are stored and shown. `_prediction_schema`:
  the schema of an import of labels.
* `_service`: what all routes share: plan, tokens, settings, and their request.
* `_store`: the tables, how names are compared, transactions. `_files`: the data folder, bodies on
  their way into it, the type and size of an image. `_links`: link images, and fetching them.
"""

from __future__ import annotations

from aiohttp.typedefs import Middleware as Middleware

from datagym_async._public import publish

try:
    from datagym_async.server._app import ServerStatistics as ServerStatistics
    from datagym_async.server._answers import Dialect as Dialect
    from datagym_async.server._labels import TaskState as TaskState
    from datagym_async.server._links import FetchLinks as FetchLinks
    from datagym_async.server._server import (
        SeedDataset as SeedDataset,
        SeedKeyframe as SeedKeyframe,
        SeedMedia as SeedMedia,
        SeedProject as SeedProject,
        SeedVideo as SeedVideo,
        SeedVideoObject as SeedVideoObject,
        SeededDataset as SeededDataset,
        SeededProject as SeededProject,
        Server as Server,
    )
    from datagym_async.server._service import Plan as Plan
    from datagym_async.server._store import StoreError as StoreError
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] not in ("aiosqlite", "PIL"):
        raise
    from datagym_async._installed import COMMAND

    raise ModuleNotFoundError(
        f"The embedded server needs the extra 'server' (no module {_error.name} here): "
        + COMMAND.replace("EXTRA", "server"),
        name=_error.name,
    ) from None

publish(globals(), "Middleware")
