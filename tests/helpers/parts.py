"""Datasets in parts, as a listing gives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datagym_async.models import Dataset


async def parts_of(*datasets: Dataset, size: int = 2) -> AsyncGenerator[Dataset, None]:
    """Give datasets in parts of a few media; each has one at least."""
    for dataset in datasets:
        for start in range(0, max(1, len(dataset.media)), size):
            await asyncio.sleep(0)
            yield attrs.evolve(dataset, media=dataset.media[start : start + size])
