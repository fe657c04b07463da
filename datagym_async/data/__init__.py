"""The async data loader: a dataset and its labels as a stream of samples.

``client.loader(...)`` makes a `DatasetLoader`; `datagym_async.data.torch` makes an
``IterableDataset`` of it for those who have torch.
"""

from __future__ import annotations

from datagym_async.data._config import LoaderConfig
from datagym_async.data._loader import DatasetLoader
from datagym_async.data._loaders import Loaders
from datagym_async.data._sample import Sample

__all__ = ["DatasetLoader", "LoaderConfig", "Loaders", "Sample"]
