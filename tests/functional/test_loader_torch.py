"""The `IterableDataset` over the loader, with a stand-in for torch where it is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
import threading
import types
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import attrs
import pytest

from datagym_async import DataGymClient
from datagym_async.data import LoaderConfig, Sample
from datagym_async.exceptions import ConfigurationError, NotFoundError
from datagym_async.server import SeedDataset, SeedMedia, SeedProject
from tests.helpers.photos import jpeg
from tests.helpers.sentinel import TOKEN
from tests.helpers.server_thread import ServerThread

if TYPE_CHECKING:
    from datagym_async.data.torch import LoaderDataset

COUNT = 17
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen
class Worker:
    """What torch tells a worker process of itself."""

    id: int
    num_workers: int


class Standing:
    """A stand-in for what is used of ``torch.utils.data``."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def module(self) -> types.ModuleType:
        """Return the module, with the documented names."""
        module = types.ModuleType("torch.utils.data")

        class IterableDataset(Generic[T_co]):
            """As documented: a class to inherit from."""

        vars(module)["IterableDataset"] = IterableDataset
        vars(module)["get_worker_info"] = lambda: self.worker
        return module


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    """Put the stand-in where torch would be."""
    standing = Standing()
    for name in ("torch", "torch.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "torch.utils.data", standing.module())
    yield standing
    sys.modules.pop("datagym_async.data.torch", None)


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, str]]:
    """Return the address of a service and the id of a dataset with 17 photos."""
    media = [SeedMedia(f"{number}.jpg", jpeg(1600, seed=number)) for number in range(COUNT)]
    with ServerThread(token=TOKEN) as thread:
        seed = SeedProject("Street scenes", datasets=(SeedDataset("Photos", media=media),))
        (project,) = thread.call(thread.server.seed(seed))
        yield thread.base_url, project.datasets[0].id


def index_of(sample: Sample) -> int:
    """Return the index of a sample: a transform that can be pickled."""
    return sample.index


def dataset_of(
    service: tuple[str, str], config: LoaderConfig, *, rank: int = 0, world_size: int = 1
) -> LoaderDataset:
    """Return a dataset whose workers open clients of their own."""
    module = importlib.import_module("datagym_async.data.torch")
    base_url, dataset_id = service
    client = partial(DataGymClient, TOKEN, base_url, rate_limit=None)
    made = module.LoaderDataset(
        client, dataset_id, transform=index_of, config=config, rank=rank, world_size=world_size
    )
    return cast("LoaderDataset", made)


def test_workers_are_shards(service: tuple[str, str], torch: Standing) -> None:
    """Workers of several trainings, each a copy of the dataset, yield each media once."""
    seen: list[object] = []
    for rank in range(2):
        dataset = dataset_of(service, LoaderConfig(shuffle=3), rank=rank, world_size=2)
        for worker in range(3):
            torch.worker = Worker(worker, 3)
            seen += pickle.loads(pickle.dumps(dataset))

    assert sorted(cast("list[int]", seen)) == list(range(COUNT))


def test_epochs_follow_each_other(service: tuple[str, str], torch: Standing) -> None:
    """Each iteration is the next epoch, and set_epoch tells copies which one it is."""
    dataset = dataset_of(service, LoaderConfig(shuffle=3))
    first, second = list(dataset), list(dataset)
    copy = dataset_of(service, LoaderConfig(shuffle=3))
    copy.set_epoch(1)

    assert sorted(cast("list[int]", first)) == list(range(COUNT))
    assert first != second
    assert list(copy) == second


def test_an_iteration_that_is_left_ends_its_thread(
    service: tuple[str, str], torch: Standing
) -> None:
    """Nothing runs behind a loop that was left; the epoch begins anew the next time."""
    dataset = dataset_of(service, LoaderConfig())
    before = threading.active_count()
    iteration = iter(dataset)
    assert [next(iteration) for _ in range(3)] == [0, 1, 2]
    assert threading.active_count() > before
    cast("types.GeneratorType[object, None, None]", iteration).close()

    assert threading.active_count() == before
    assert list(dataset) == list(range(COUNT))


def test_workers_go_on_where_others_stood(service: tuple[str, str], torch: Standing) -> None:
    """States that three workers had are gone on from by two, exactly."""
    seen, states = [], []
    for worker in range(3):
        torch.worker = Worker(worker, 3)
        dataset = dataset_of(service, LoaderConfig(shuffle=1))
        assert dataset.state_dict()["passed"] == 0
        iteration = iter(dataset)
        seen += [next(iteration) for _ in range(worker + 1)]
        states.append(dataset.state_dict())
        cast("types.GeneratorType[object, None, None]", iteration).close()
        assert dataset.state_dict() == states[-1]
    for worker in range(2):
        torch.worker = Worker(worker, 2)
        dataset = dataset_of(service, LoaderConfig(shuffle=1))
        dataset.load_state_dict(states)
        seen += dataset

    assert sorted(cast("list[int]", seen)) == list(range(COUNT))


def test_errors_come_out_as_they_are(service: tuple[str, str], torch: Standing) -> None:
    """An unknown dataset is the error of the loader, and the thread ends."""
    before = threading.active_count()
    with pytest.raises(NotFoundError):
        list(dataset_of((service[0], "0" * 8), LoaderConfig()))

    assert threading.active_count() == before


def test_shards_are_not_asked_for_by_hand(service: tuple[str, str], torch: Standing) -> None:
    """A shard among the options would be one of the workers' shards."""
    with pytest.raises(ConfigurationError, match="pass rank and world_size"):
        dataset_of(service, LoaderConfig(shard=(0, 2)))


def test_torch_is_named_where_it_is_missing() -> None:
    """Without torch the import fails by its name, and nothing else of the package needs it."""
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed here")
    with pytest.raises(ModuleNotFoundError, match="torch"):
        importlib.import_module("datagym_async.data.torch")
