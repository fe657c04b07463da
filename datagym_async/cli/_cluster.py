"""The workers of `--scheduler` and `--workers-local`, for the duration of a command."""

import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from datagym_async._client import DataGymClient
from datagym_async._client_jobs import BASE_URL_VARIABLE
from datagym_async._extras import extra_module
from datagym_async._runs._text import counted
from datagym_async._threads import in_thread
from datagym_async.cli._command import TOKEN_VARIABLE, Invocation
from datagym_async.cli._connect import address_of, find_token
from datagym_async.cli._errors import CommandError


@attrs.frozen
class Workers:
    """Where a job runs: in this process, on the workers of a scheduler, or in local processes."""

    scheduler: str | None = None
    count: int | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse both options at once, or a missing extra, before a token is needed."""
        if self.scheduler is not None and self.count is not None:
            raise CommandError("Use --workers-local or --scheduler, not both.")
        if self.scheduler is not None or self.count is not None:
            extra_module("distributed")

    @asynccontextmanager
    async def through(
        self, invocation: Invocation, client: DataGymClient
    ) -> AsyncIterator[DataGymClient]:
        """Give a client whose jobs run on these workers."""
        if self.scheduler is None and self.count is None:
            yield client
            return
        from datagym_async.distributed import through

        # Dask shows a table of all differences; we have a sentence for those that matter.
        warnings.filterwarnings("ignore", "Mismatched versions")
        async with AsyncExitStack() as stack:
            scheduler = self.scheduler or ""
            if self.count is not None:
                # The token goes only to processes of ours, in their environment.
                environment = {
                    TOKEN_VARIABLE: await in_thread(find_token, invocation),
                    BASE_URL_VARIABLE: address_of(invocation),
                }
                cluster: Any = extra_module("distributed").LocalCluster(
                    n_workers=self.count,
                    threads_per_worker=1,
                    asynchronous=True,
                    dashboard_address=None,
                    silence_logs=50,
                    env=environment,
                )
                await stack.enter_async_context(cluster)
                scheduler = cluster.scheduler_address
            there = await stack.enter_async_context(through(client, scheduler=scheduler))
            where = f"through the cluster of {scheduler}"
            if self.count is not None:
                where = f"in {counted(self.count, 'process', 'processes')} of this machine"
            invocation.output.message(f"Working {where}.")
            yield there
