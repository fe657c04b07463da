"""`Loaders`: what ``client.loader`` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

import attrs

from datagym_async.data._config import LoaderConfig
from datagym_async.data._loader import DatasetLoader
from datagym_async.data._needs import Library

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from datagym_async.data._config import Decode, Links, OnError
    from datagym_async.data._sample import Sample

T = TypeVar("T")

_MIB = 1 << 20


@attrs.frozen
class Loaders:
    """Make data loaders: ``client.loader(dataset_id, ...)``.

    Args:
        library: The parts of the client that they work with.
    """

    _library: Library = attrs.field(repr=False)

    @overload
    def __call__(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: None = None,
        batch_size: None = None,
        drop_last: bool = False,
        prefetch: int = 64,
        prefetch_bytes: int = 256 * _MIB,
        max_bytes: int = 1024 * _MIB,
        ordered: bool = True,
        shuffle: int | None = None,
        shard: tuple[int, int] = (0, 1),
        decode: Decode = "bytes",
        on_error: OnError = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 * 1024 * _MIB,
        links: Links = "refuse",
        labels: bool = True,
        concurrency: int | None = None,
    ) -> DatasetLoader[Sample]: ...
    @overload
    def __call__(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: None = None,
        batch_size: int,
        drop_last: bool = False,
        prefetch: int = 64,
        prefetch_bytes: int = 256 * _MIB,
        max_bytes: int = 1024 * _MIB,
        ordered: bool = True,
        shuffle: int | None = None,
        shard: tuple[int, int] = (0, 1),
        decode: Decode = "bytes",
        on_error: OnError = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 * 1024 * _MIB,
        links: Links = "refuse",
        labels: bool = True,
        concurrency: int | None = None,
    ) -> DatasetLoader[tuple[Sample, ...]]: ...
    @overload
    def __call__(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: Callable[[Sample], T],
        batch_size: None = None,
        drop_last: bool = False,
        prefetch: int = 64,
        prefetch_bytes: int = 256 * _MIB,
        max_bytes: int = 1024 * _MIB,
        ordered: bool = True,
        shuffle: int | None = None,
        shard: tuple[int, int] = (0, 1),
        decode: Decode = "bytes",
        on_error: OnError = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 * 1024 * _MIB,
        links: Links = "refuse",
        labels: bool = True,
        concurrency: int | None = None,
    ) -> DatasetLoader[T]: ...
    @overload
    def __call__(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: Callable[[Sample], T],
        batch_size: int,
        drop_last: bool = False,
        prefetch: int = 64,
        prefetch_bytes: int = 256 * _MIB,
        max_bytes: int = 1024 * _MIB,
        ordered: bool = True,
        shuffle: int | None = None,
        shard: tuple[int, int] = (0, 1),
        decode: Decode = "bytes",
        on_error: OnError = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 * 1024 * _MIB,
        links: Links = "refuse",
        labels: bool = True,
        concurrency: int | None = None,
    ) -> DatasetLoader[tuple[T, ...]]: ...
    def __call__(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: Callable[[Sample], object] | None = None,
        batch_size: int | None = None,
        drop_last: bool = False,
        prefetch: int = 64,
        prefetch_bytes: int = 256 * _MIB,
        max_bytes: int = 1024 * _MIB,
        ordered: bool = True,
        shuffle: int | None = None,
        shard: tuple[int, int] = (0, 1),
        decode: Decode = "bytes",
        on_error: OnError = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_bytes: int = 10 * 1024 * _MIB,
        links: Links = "refuse",
        labels: bool = True,
        concurrency: int | None = None,
    ) -> DatasetLoader[object]:
        """Return a loader of the samples of a dataset, or of all datasets of a project.

        Nothing is fetched before the iteration.

        Args:
            dataset_id: UUID of the dataset; None for all datasets of the project.
            project_id: UUID of the project whose labels the samples carry; None for no labels.
            transform: Called in a thread with each sample; what it returns is yielded instead.
            batch_size: See `LoaderConfig`, as for all that follow.
            drop_last: See there.
            prefetch: See there.
            prefetch_bytes: See there.
            max_bytes: See there.
            ordered: See there.
            shuffle: See there.
            shard: See there.
            decode: See there.
            on_error: See there.
            cache: See there.
            cache_bytes: See there.
            links: See there.
            labels: See there.
            concurrency: See there.

        Raises:
            ConfigurationError: An option cannot be used as it is.
        """
        config = LoaderConfig(
            batch_size=batch_size,
            drop_last=drop_last,
            prefetch=prefetch,
            prefetch_bytes=prefetch_bytes,
            max_bytes=max_bytes,
            ordered=ordered,
            shuffle=shuffle,
            shard=shard,
            decode=decode,
            on_error=on_error,
            cache=cache,
            cache_bytes=cache_bytes,
            links=links,
            labels=labels,
            concurrency=concurrency,
        )
        return self.of(dataset_id, project_id=project_id, transform=transform, config=config)

    def of(
        self,
        dataset_id: str | None = None,
        *,
        project_id: str | None = None,
        transform: Callable[[Sample], object] | None = None,
        config: LoaderConfig | None = None,
    ) -> DatasetLoader[object]:
        """Return a loader whose options come as one value; else as a call.

        Args:
            dataset_id: As for a call.
            project_id: As for a call.
            transform: As for a call.
            config: The options.
        """
        return DatasetLoader(
            self._library, dataset_id, project_id=project_id, transform=transform, config=config
        )
