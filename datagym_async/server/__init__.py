"""The embedded DataGym-compatible service: aiohttp.web, SQLite, and files in a folder.

`async with Server() as server:` runs it in your own loop; `server.base_url` and `server.token` are
what a client needs. It imports nothing of the client, so that both cannot be wrong together.

How it is built, from the wire inwards:

* `_connections` counts requests, closes connections when the real service does, and knows the
  container's limits;
* `_app` is the one door: header block, route (`_router`), method, token (`_auth`), then the route's
  handler; whatever the handler raises becomes an answer (`_errors`: one exception a body shape);
* a module of routes holds plain functions `async def name(call: Call) -> web.StreamResponse` and a
  table `ROUTES: Final = (Route("GET", "/dataset/{dataset_id}", get_dataset), ...)`; **plug it in by
  adding one line to `_ROUTES` in `_app`**. The order of the methods in the table is the order in
  `Allow`;
* a handler takes `call.ids["dataset_id"]` from the path, `call.request.query`, `await call.json()`
  (415 and 400 are its matter) or `await call.body()`; it answers with `call.answer(value)` (200,
  JSON) or `empty()`; it refuses by raising `refuse("ex_notfound", "Project", "id", project_id)`,
  `Bare(400)`, or through `_fields.require(...)`;
* `call.service.store.rows(sql, *parameters)` and `.row(...)` read what is committed; `async with
  call.service.store.writing() as db:` is a transaction (`db.run`, `db.run_many`, `db.rows`,
  `db.row`), undone by whatever exception leaves the block. All tables are in `_schema`;
* `call.service.pretty = True` makes all JSON pretty-printed until the next start (the first export
  does that).
"""

from ._app import Middleware
from ._connections import ServerStatistics
from ._seed import (
    SeedDataset,
    SeededDataset,
    SeededProject,
    SeedMedia,
    SeedProject,
    SeedVideo,
)
from ._seed_video import SeedKeyframe, SeedVideoObject
from ._server import Server
from ._service import Plan
from ._store import StoreError

__all__ = [
    "Middleware",
    "Plan",
    "SeedDataset",
    "SeedKeyframe",
    "SeedMedia",
    "SeedProject",
    "SeedVideo",
    "SeedVideoObject",
    "SeededDataset",
    "SeededProject",
    "Server",
    "ServerStatistics",
    "StoreError",
]
