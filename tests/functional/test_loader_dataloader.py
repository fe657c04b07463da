"""The recipes of docs/loader.md with torch and torchdata themselves, where they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

import pytest

from datagym_async import DataGymClient
from datagym_async.data import LoaderConfig, Sample
from datagym_async.exceptions import ConfigurationError
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

data = pytest.importorskip("torch.utils.data")

# What torch says of few cores, and of what torchdata calls.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create", "ignore:'set_vital' is deprecated"
)

COUNT = 23
EPOCHS = 3
WORKERS = [(0, False), (2, False), (3, True)]


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, str]]:
    """Return the address of a service and the id of a dataset with 23 photos."""
    media = [SeedMedia(f"{number}.jpg", jpeg(1600, seed=number)) for number in range(COUNT)]
    with ServerThread(token=TOKEN) as thread:
        seed = SeedProject("Street scenes", datasets=(SeedDataset("Photos", media=media),))
        (project,) = thread.call(thread.server.seed(seed))
        yield thread.base_url, project.datasets[0].id


def index_of(sample: Sample) -> int:
    """Return the index of a sample: a transform that can be pickled."""
    return sample.index


def pair_of(service: tuple[str, str], kind: Any, workers: int, persistent: bool) -> tuple[Any, Any]:
    """Return a dataset and its DataLoader, as the page has them."""
    module = importlib.import_module("datagym_async.data.torch")
    base_url, dataset_id = service
    dataset = module.LoaderDataset(
        partial(DataGymClient, TOKEN, base_url, rate_limit=None),
        dataset_id,
        transform=index_of,
        config=LoaderConfig(shuffle=3, batch_size=2),
        num_workers=workers,
    )
    options = {"num_workers": workers, "persistent_workers": persistent}
    return dataset, kind(dataset, batch_size=None, collate_fn=tuple, **options)


def epochs_of(dataset: Any, loader: Any, first: int = 0) -> list[list[tuple[int, ...]]]:
    """Return the batches of each epoch from one on."""
    epochs = []
    for epoch in range(first, EPOCHS):
        dataset.set_epoch(epoch)
        epochs.append(list(loader))
    return epochs


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
def test_the_recipe(service: tuple[str, str], workers: int, persistent: bool) -> None:
    """Each epoch is whole, also after a resume; len() is right; a repeated epoch is an error."""
    dataset, loader = pair_of(service, data.DataLoader, workers, persistent)
    whole = epochs_of(dataset, loader)
    assert [sorted(chain(*epoch)) for epoch in whole] == [list(range(COUNT))] * EPOCHS
    assert {len(epoch) for epoch in whole} == {len(loader)}
    dataset.set_epoch(1)
    seen = list(islice(loader, 5))
    states = dataset.states_after(5)
    dataset.set_epoch(2)  # an epoch that was left disturbs no other
    next(iter(loader))
    dataset.set_epoch(2)
    assert list(loader) == whole[2]

    dataset, loader = pair_of(service, data.DataLoader, workers, persistent)
    dataset.load_state_dict(states)
    resumed, following = epochs_of(dataset, loader, dataset.epoch)

    assert sorted(chain(*seen, *resumed)) == list(range(COUNT))
    assert following == whole[2]
    if workers:
        with pytest.raises(ConfigurationError, match="before each epoch"):
            list(loader)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 8, 12])
@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
def test_the_loader_of_torchdata(
    service: tuple[str, str], workers: int, persistent: bool, stop: int
) -> None:
    """A StatefulDataLoader keeps the state itself, and resumes at the very next batch."""
    kind = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    whole = epochs_of(*pair_of(service, kind, workers, persistent))
    dataset, loader = pair_of(service, kind, workers, persistent)
    dataset.set_epoch(1)
    seen = list(islice(loader, stop))
    state = loader.state_dict()

    dataset, loader = pair_of(service, kind, workers, persistent)
    loader.load_state_dict(state)
    resumed, following = epochs_of(dataset, loader, 1)

    assert [*seen, *resumed] == whole[1]
    assert following == whole[2]
