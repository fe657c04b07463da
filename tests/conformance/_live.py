"""A live service as the subject: what only a database can prepare is skipped there."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from attrs import field, frozen

from tests.conformance._http import exchange
from tests.conformance._subject import CannotPrepareError, ProjectIds


@frozen
class LiveSubject:
    """A running service that has the projects ``Img Project`` and ``Vid Project``."""

    address: tuple[str, int]
    token: str = field(repr=False)

    async def projects(self) -> Mapping[str, ProjectIds]:
        """Find the two projects by name."""
        reply = await exchange(
            self.address,
            method="GET",
            path="/api/v1/project",
            headers=[("Authorization", f"Token {self.token}")],
        )
        return {
            row["name"]: ProjectIds(row["id"], row["labelConfigurationId"], row["labelIterationId"])
            for row in json.loads(reply.body)
        }

    async def add_video_dataset(self, name: str, *, video: str) -> tuple[str, str]:
        """Refuse: no route creates a dataset of videos."""
        raise CannotPrepareError(f"no route creates the dataset {name} with the video {video}")

    async def add_dataset_twin(self, name: str) -> None:
        """Refuse: only a race makes two datasets of one name."""
        raise CannotPrepareError(f"only a race makes two datasets called {name}")

    async def soft_delete_dataset(self, dataset_id: str) -> None:
        """Refuse: only the web interface deletes a dataset."""
        raise CannotPrepareError(f"only the web interface deletes the dataset {dataset_id}")

    async def set_task_state(self, task_id: str, state: str) -> None:
        """Refuse: no route moves a task to WAITING."""
        raise CannotPrepareError(f"no route moves the task {task_id} to {state}")


@contextlib.asynccontextmanager
async def live(url: str) -> AsyncIterator[LiveSubject]:
    """Yield the service at `url`, with the token of ``DATAGYM_LIVE_TOKEN``."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError(f"{url}: the raw replay speaks plain HTTP only; name a http:// address.")
    yield LiveSubject((parts.hostname, parts.port or 80), os.environ["DATAGYM_LIVE_TOKEN"])
