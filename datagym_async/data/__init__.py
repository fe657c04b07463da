"""The async data loader: a dataset and its labels as a stream of samples.

``client.loader(...)`` makes a `DatasetLoader`. In reading order:

* `_config`: `LoaderConfig`, the options, and how ``client.loader`` takes them;
* `_loader`: `DatasetLoader`, the iterator: begin, yield, mark, end, state;
* `_listing`: what a loader needs from a client; the media, listed once, and their labels, packed;
* `_order`: the order of an epoch, shards, and their progress; the position of a loader, and how it
  resumes; pure;
* `_samples`: the workers that load ahead, within limits of samples and bytes; `Sample`, and how one
  is downloaded, decoded by fixed rules, rotated with its labels, and transformed;
* `_cache`: media on disk, shared by processes;
* `torch`: a loader as an ``IterableDataset`` of torch.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.data._config import LoaderConfig as LoaderConfig
from datagym_async.data._loader import DatasetLoader as DatasetLoader
from datagym_async.data._samples import Sample as Sample

publish(globals())
