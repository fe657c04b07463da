"""The routes, one module a noun, each with its view and its input.

* `_projects`: listed, with the datasets that belong to them. `_datasets`: made and listed.
* `_media`: new files and links; media read and deleted.
* `_tasks`: listed, shown, completed, skipped. `_configs`: label configurations, filled and cleared.
* `_values`: one label value at a time. `_predictions`: labels by the project.
* `_exports`: finished tasks, videos, bitmaps.

A module has plain functions `async def name(call: Call) -> web.StreamResponse` and a table
`ROUTES`; one of a new noun is added to the list below. The order of the methods in a table is the
order in `Allow`. A handler takes `call.ids["dataset_id"]` from the path, `call.request.query`,
`await call.json()` or `await call.body()`; it answers with `call.answer(value)` (200, JSON) or
`web.Response()`, and refuses by raising `refuse("ex_notfound", "Project", "id", project_id)`,
`EmptyAnswer(400)`, or through `require(...)`. It reads what is committed by
`call.service.store.rows` and `.row`, and writes within `async with call.service.store.writing() as
db:`, a transaction that any exception undoes.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from typing import Final

from datagym_async.server._service import Route
from datagym_async.server.routes import (
    _configs,
    _datasets,
    _exports,
    _media,
    _predictions,
    _projects,
    _tasks,
    _values,
)
from datagym_async.server.routes._configs import build_entries, read_entries
from datagym_async.server.routes._exports import classifications_view, labels_view
from datagym_async.server.routes._tasks import first_invalid, is_valid

_MODULES: Final = (
    *(_projects, _datasets, _media, _tasks, _configs, _values, _predictions, _exports),
)
ROUTES: Final[tuple[Route, ...]] = tuple(route for module in _MODULES for route in module.ROUTES)
