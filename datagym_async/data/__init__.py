"""The async data loader: a dataset and its labels as a stream of samples.

``client.loader(...)`` makes a `DatasetLoader`. In reading order:

* `_config`: `LoaderConfig`, the options, and how ``client.loader`` takes them;
* `_loader`: `DatasetLoader`, the iterator: begin, give, mark, end, state;
* `_listing`: what a loader calls of a client, and what there is to load, listed once, and its
  labels, packed;
* `_order`: the order of an epoch, shards, and what is done of them; pure;
* `_state`: where a loader stands, and how it resumes; pure;
* `_prefetch`: the workers that load ahead, bounded by samples and bytes;
* `_samples`: `Sample`, and how one is downloaded, decoded and transformed;
* `_images`: an image decoded by stated rules, and turned with its labels;
* `_cache`: media on disk, shared by processes;
* `torch`: a loader as an ``IterableDataset``, for those who have torch.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.data._config import LoaderConfig
from datagym_async.data._loader import DatasetLoader
from datagym_async.data._samples import Sample

__all__ = ["DatasetLoader", "LoaderConfig", "Sample"]

publish(globals())
