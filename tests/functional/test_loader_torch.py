"""The `IterableDataset` over the loader, with a stand-in for torch where it is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pickle
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

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
    service: tuple[str, str], config: LoaderConfig | None = None, **options: int | None
) -> LoaderDataset:
    """Return a dataset whose workers open clients of their own."""
    module = importlib.import_module("datagym_async.data.torch")
    base_url, dataset_id = service
    client = partial(DataGymClient, TOKEN, base_url, rate_limit=None)
    made = module.LoaderDataset(client, dataset_id, transform=index_of, config=config, **options)
    return cast("LoaderDataset", made)


def loops() -> int:
    """Return how many loaders have a thread: the service starts and ends others as it likes."""
    return sum(each.name == "datagym-loader" for each in threading.enumerate())


def forked(dataset: LoaderDataset) -> LoaderDataset:
    """Return the dataset that a forked worker has: a copy of all but the shared memory."""
    made = object.__new__(type(dataset))
    vars(made).update(vars(dataset))
    return made


def given(torch: Standing, workers: list[LoaderDataset]) -> list[object]:
    """Return what a DataLoader gives of an epoch: in turn, those that have ended passed over."""
    iterations, values = [], list[object]()
    for number, worker in enumerate(workers):
        torch.worker = Worker(number, len(workers))
        iterations.append(iter(worker))
    active = list(range(len(workers)))
    while active:
        for number in list(active):
            torch.worker = Worker(number, len(workers))
            try:
                values.append(next(iterations[number]))
            except StopIteration:
                active.remove(number)
    torch.worker = None
    return values


def left_after(dataset: LoaderDataset, count: int) -> list[object]:
    """Iterate, and leave after so many values at most."""
    iteration = iter(dataset)
    values = [*islice(iteration, count)]
    cast("types.GeneratorType[object, None, None]", iteration).close()
    return values


def indexes(values: Iterable[object]) -> list[int]:
    """Return the indexes in batches, sorted."""
    return sorted(index for batch in values for index in cast("tuple[int, ...]", batch))


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
    iteration = iter(dataset)
    assert [next(iteration) for _ in range(3)] == [0, 1, 2]
    assert loops() == 1
    cast("types.GeneratorType[object, None, None]", iteration).close()

    assert loops() == 0
    assert list(dataset) == list(range(COUNT))


def test_workers_go_on_where_others_stood(service: tuple[str, str], torch: Standing) -> None:
    """States that three workers had are gone on from by two, then by four, exactly."""
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
    for workers, most in ((2, 5), (4, COUNT)):  # of two, one ends the epoch and one is left
        before, states = states, []
        for worker in range(workers):
            torch.worker = Worker(worker, workers)
            dataset = dataset_of(service, LoaderConfig(shuffle=1))
            dataset.load_state_dict(before)
            seen += dataset if worker == 0 else left_after(dataset, most)
            states.append(dataset.state_dict())

    assert sorted(cast("list[int]", seen)) == list(range(COUNT))


def test_errors_come_out_as_they_are(service: tuple[str, str], torch: Standing) -> None:
    """An unknown dataset is the error of the loader, and the thread ends."""
    with pytest.raises(NotFoundError):
        list(dataset_of((service[0], "0" * 8), LoaderConfig()))

    assert loops() == 0


def test_shards_are_not_asked_for_by_hand(service: tuple[str, str], torch: Standing) -> None:
    """A shard among the options would be one of the workers' shards."""
    with pytest.raises(ConfigurationError, match="pass rank and world_size"):
        dataset_of(service, LoaderConfig(shard=(0, 2)))


@pytest.mark.parametrize("persistent", [False, True])
def test_one_recipe_is_right_for_workers(
    service: tuple[str, str], torch: Standing, persistent: bool
) -> None:
    """With set_epoch before each epoch, workers give all of it, new ones and old ones alike."""
    dataset = dataset_of(service, LoaderConfig(shuffle=3, batch_size=2))
    workers: list[LoaderDataset] = []
    epochs = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        if not (persistent and workers):
            workers = [forked(dataset) for _ in range(3)]
        epochs.append(given(torch, workers))
    alone = dataset_of(service, LoaderConfig(shuffle=3, batch_size=2))

    assert [indexes(epoch) for epoch in epochs] == [list(range(COUNT))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert [indexes(alone) for _ in range(3)] == [list(range(COUNT))] * 3


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("batches", [0, 1, 4, 8, 9])
def test_a_resume_is_of_one_epoch(
    service: tuple[str, str], torch: Standing, batches: int, persistent: bool
) -> None:
    """After a resume the rest of that epoch comes, and the next ones are whole."""
    config = LoaderConfig(shuffle=3, batch_size=2)
    first = dataset_of(service, config)
    first.set_epoch(1)
    seen = given(torch, [forked(first) for _ in range(3)])[:batches]
    states = first.states_after(batches)

    dataset = dataset_of(service, config)
    dataset.load_state_dict(json.loads(json.dumps(states)))
    assert dataset.epoch == 1
    workers: list[LoaderDataset] = []
    epochs = []
    for epoch in range(dataset.epoch, 4):
        dataset.set_epoch(epoch)
        if not (persistent and workers):
            workers = [forked(dataset) for _ in range(2)]  # another number of them
        epochs.append(given(torch, workers))

    assert indexes([*seen, *epochs[0]]) == list(range(COUNT))
    assert [indexes(epoch) for epoch in epochs[1:]] == [list(range(COUNT))] * 2
    with pytest.raises(ConfigurationError, match="count one epoch"):
        first.states_after(10)
    with pytest.raises(ConfigurationError, match="batches is -1; it must be a whole number, 0 or "):
        first.states_after(-1)


def test_trainings_resume_each_on_its_own(service: tuple[str, str], torch: Standing) -> None:
    """Each rank goes on from the states of its own workers, and all are as long as before."""
    config = LoaderConfig(shuffle=3, batch_size=2, even="pad")
    seen: list[object] = []
    for rank in range(2):
        dataset = dataset_of(service, config, rank=rank, world_size=2)
        whole = given(torch, [forked(dataset) for _ in range(2)])
        resumed = dataset_of(service, config, rank=rank, world_size=2)
        resumed.load_state_dict(dataset.states_after(3))
        rest = given(torch, [forked(resumed) for _ in range(2)])
        assert indexes([*whole[:3], *rest]) == indexes(whole)
        seen += whole

    assert set(indexes(seen)) == set(range(COUNT))


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_worker_that_begins_late_disturbs_no_epoch(
    service: tuple[str, str], torch: Standing, is_asked: bool
) -> None:
    """Whoever leaves an epoch may begin the next one, though a worker had not begun at all yet."""
    dataset = dataset_of(service, LoaderConfig(shuffle=3))
    worker = forked(dataset)
    torch.worker = Worker(0, 1)
    left = iter(worker) if is_asked else None
    dataset.set_epoch(1)
    next(left or iter(worker))
    torch.worker = None
    alone = dataset_of(service, LoaderConfig(shuffle=3))
    alone.set_epoch(1)

    assert dataset.state_dict()["epoch"] == 1
    assert given(torch, [worker]) == list(alone)


def test_states_are_those_that_were_loaded_until_workers_begin(
    service: tuple[str, str], torch: Standing
) -> None:
    """Whoever saves before the first batch saves what was loaded."""
    config = LoaderConfig(shuffle=3, batch_size=2)
    dataset = dataset_of(service, config, rank=0, world_size=2)
    given(torch, [forked(dataset) for _ in range(2)])
    states = dataset.states_after(3)
    resumed = dataset_of(service, config, rank=0, world_size=2)
    resumed.load_state_dict(states)
    resumed.set_epoch(0)

    assert resumed.states_after(0) == states


def test_without_workers_there_is_one_state(service: tuple[str, str], torch: Standing) -> None:
    """Of the iteration here: what it gave does not come again, and the rest does."""
    dataset = dataset_of(service, LoaderConfig(shuffle=3, batch_size=2))
    iteration = iter(dataset)
    seen = [next(iteration) for _ in range(3)]
    states = dataset.states_after(3)
    cast("types.GeneratorType[object, None, None]", iteration).close()
    resumed = dataset_of(service, LoaderConfig(shuffle=3, batch_size=2))
    resumed.load_state_dict(states)

    assert len(states) == 1
    assert resumed.states_after(0) == states
    iteration = iter(resumed)
    seen.append(next(iteration))
    states = resumed.states_after(1)
    cast("types.GeneratorType[object, None, None]", iteration).close()
    (state,) = resumed.states_after(1)
    again = dataset_of(service, LoaderConfig(shuffle=3, batch_size=2))
    assert again.states_after(0) == [again.state_dict()]
    again.load_state_dict(state)
    assert states == again.states_after(0) == [state]
    assert indexes([*seen, *again]) == list(range(COUNT))


def test_what_would_repeat_an_epoch_is_an_error(service: tuple[str, str], torch: Standing) -> None:
    """Without set_epoch, workers that are new cannot know that an epoch was given."""
    shuffled = dataset_of(service, LoaderConfig(shuffle=3))
    given(torch, [forked(shuffled)])
    with pytest.raises(ConfigurationError, match="before each epoch"):
        given(torch, [forked(shuffled)])
    plain = dataset_of(service, LoaderConfig())
    assert given(torch, [forked(plain)]) == given(torch, [forked(plain)]) == list(range(COUNT))
    begun = dataset_of(service, LoaderConfig(batch_size=4))
    given(torch, [forked(begun)])
    plain.load_state_dict(begun.states_after(2))
    assert given(torch, [forked(plain)]) == list(range(8, COUNT))
    with pytest.raises(ConfigurationError, match="before each epoch"):
        given(torch, [forked(plain)])


def test_states_that_would_not_be_true_are_errors(
    service: tuple[str, str], torch: Standing
) -> None:
    """The main process has none while workers iterate, and workers take none once begun."""
    dataset = dataset_of(service, LoaderConfig(shuffle=1))
    assert dataset.state_dict()["epoch"] == 0
    worker = forked(dataset)
    given(torch, [worker])
    with pytest.raises(ConfigurationError, match="StatefulDataLoader"):
        dataset.state_dict()
    with pytest.raises(ConfigurationError, match="that takes batch_size"):
        dataset.states_after(1)
    state = dataset_of(service, LoaderConfig(shuffle=1)).state_dict()
    dataset.load_state_dict(state)
    assert dataset.state_dict() == state
    with pytest.raises(ConfigurationError, match="before the first epoch"):
        given(torch, [worker])
    torch.worker = Worker(0, 1)
    late = forked(dataset_of(service, LoaderConfig(shuffle=1)))
    late.set_epoch(0)
    with pytest.raises(ConfigurationError, match="begin with the epoch of the state"):
        late.load_state_dict({**late.state_dict(), "epoch": 2})
    with pytest.raises(ConfigurationError, match="list of states is empty"):
        late.load_state_dict([])
    with pytest.raises(ConfigurationError, match="epoch is -1"):
        late.set_epoch(-1)


def test_a_state_of_an_epoch_that_has_ended_begins_the_next(
    service: tuple[str, str], torch: Standing
) -> None:
    """Where set_epoch was called for a later one, a worker gives that from its beginning."""
    first = dataset_of(service, LoaderConfig(shuffle=1))
    next(iter(first))
    state = first.state_dict()
    dataset = dataset_of(service, LoaderConfig(shuffle=1))
    dataset.set_epoch(2)
    worker = forked(dataset)
    torch.worker = Worker(0, 1)
    worker.load_state_dict(state)
    alone = dataset_of(service, LoaderConfig(shuffle=1))
    alone.set_epoch(2)

    assert worker.state_dict()["epoch"] == 2
    assert given(torch, [worker]) == given(torch, [forked(alone)])
    assert state["passed"] == 1


@pytest.mark.parametrize("before", ["nothing", "the epoch is set", "another epoch was given here"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_worker_resumes_a_state_of_its_epoch(
    service: tuple[str, str], torch: Standing, epoch: int, before: str
) -> None:
    """Also where nobody called set_epoch: the state says which epoch it is."""
    first = dataset_of(service, LoaderConfig(shuffle=1))
    first.set_epoch(epoch)
    iteration = iter(first)
    seen = [next(iteration) for _ in range(5)]
    state = first.state_dict()
    dataset = dataset_of(service, LoaderConfig(shuffle=1))
    if before == "the epoch is set":
        dataset.set_epoch(epoch)
    elif before != "nothing":
        assert len(list(dataset)) == COUNT
    worker = forked(dataset)
    torch.worker = Worker(0, 1)
    worker.load_state_dict(state)

    assert sorted([*seen, *given(torch, [worker])]) == list(range(COUNT))  # type: ignore[type-var]  # numbers


@pytest.mark.parametrize(
    "begins", ["nowhere", "nowhere yet", "here", "in a worker", "in the same worker"]
)
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_loaded_state_is_used_once_and_for_its_epoch(
    service: tuple[str, str], torch: Standing, epoch: int, begins: str
) -> None:
    """When set_epoch is called again, or for another epoch, that comes from its beginning."""
    first = dataset_of(service, LoaderConfig(shuffle=1))
    left_after(first, 5)
    dataset = dataset_of(service, LoaderConfig(shuffle=1))
    dataset.load_state_dict(first.state_dict())
    worker = forked(dataset)
    if begins == "here":
        left_after(dataset, 1)
    elif not begins.startswith("nowhere"):
        assert len(given(torch, [worker])) == COUNT - 5
    dataset.set_epoch(epoch)
    worker = worker if begins in {"in the same worker", "nowhere yet"} else forked(dataset)
    resumes = begins.startswith("nowhere") and epoch == 0

    assert len(given(torch, [worker])) == (COUNT - 5 if resumes else COUNT)


def test_a_worker_tells_where_it_resumes(service: tuple[str, str], torch: Standing) -> None:
    """As torchdata's loader asks: before the first sample, and after the last one of the epoch."""
    torch.worker = Worker(0, 1)
    dataset = dataset_of(service, LoaderConfig(shuffle=1))
    iteration = iter(dataset)
    seen = [next(iteration) for _ in range(5)]
    state = dataset.state_dict()
    cast("types.GeneratorType[object, None, None]", iteration).close()
    other = dataset_of(service, LoaderConfig(shuffle=1))
    other.load_state_dict(state)
    assert other.state_dict() == state
    rest = list(other)
    assert sorted(cast("list[int]", seen + rest)) == list(range(COUNT))

    ended = dataset_of(service, LoaderConfig(shuffle=1))
    ended.load_state_dict(other.state_dict())
    assert (ended.epoch, list(ended)) == (0, [])

    torch.worker = None
    told = dataset_of(service, LoaderConfig(shuffle=1))
    worker = forked(told)
    assert len(given(torch, [worker])) == COUNT
    told.set_epoch(1)
    torch.worker = Worker(0, 1)
    assert (worker.state_dict()["epoch"], worker.state_dict()["passed"]) == (1, 0)


@pytest.mark.parametrize(
    ("config", "is_known"),
    [
        (LoaderConfig(batch_size=2, ordered=False), False),
        (LoaderConfig(batch_size=2, on_error="skip"), False),
        (LoaderConfig(batch_size=2, on_error=lambda *_: 0), False),
        (LoaderConfig(batch_size=2, on_error=lambda *_: 0, even="pad"), True),
        (LoaderConfig(batch_size=2), True),
        (LoaderConfig(), False),
    ],
)
def test_batches_count_where_they_tell_what_was_yielded(
    service: tuple[str, str], torch: Standing, config: LoaderConfig, is_known: bool
) -> None:
    """Without order, or if one that is skipped makes a shard shorter, they do not."""
    dataset = dataset_of(service, config)
    given(torch, [forked(dataset) for _ in range(2)])

    if is_known:
        assert [state["passed"] for state in dataset.states_after(3)] == [4, 2]
    else:
        with pytest.raises(ConfigurationError, match="that takes batch_size"):
            dataset.states_after(3)


def test_last_batches_that_are_dropped_are_not_counted(
    service: tuple[str, str], torch: Standing
) -> None:
    """Of 17 media, 3 workers give 3, 3 and 2 batches of 2; what is left of them is dropped."""
    config = LoaderConfig(batch_size=2, drop_last=True)
    dataset = dataset_of(service, config)
    assert len(given(torch, [forked(dataset) for _ in range(3)])) == 8

    assert [state["passed"] for state in dataset.states_after(8)] == [6, 6, 4]
    with pytest.raises(ConfigurationError, match="1 batches more than there are"):
        dataset.states_after(9)


def test_the_usual_options_are_those_without_any(service: tuple[str, str], torch: Standing) -> None:
    """All media in order, of one training."""
    assert list(dataset_of(service)) == list(range(COUNT))


@pytest.mark.parametrize("even", ["pad", "drop"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_trainings_have_as_many_batches(
    service: tuple[str, str], torch: Standing, even: Literal["pad", "drop"], drop_last: bool
) -> None:
    """Of 17 media, 3 trainings with 2 workers have the same number of batches, which len says."""
    config = LoaderConfig(batch_size=2, drop_last=drop_last, even=even)
    lengths, seen = [], []
    for rank in range(3):
        dataset = dataset_of(service, config, rank=rank, world_size=3, num_workers=2)
        values = given(torch, [forked(dataset) for _ in range(2)])
        assert len(dataset) == len(values)
        lengths.append(len(values))
        seen += indexes(values)

    samples = {"pad": 3, "drop": 2}[even]
    assert lengths == [2 * (samples // 2 if drop_last else -(-samples // 2))] * 3
    if not drop_last:
        assert len(seen) == 6 * samples
        assert len(set(seen)) == min(COUNT, 6 * samples)


def test_lengths_are_known_or_said_to_be_unknown(service: tuple[str, str], torch: Standing) -> None:
    """The number of workers decides on lengths: without it len is a TypeError, as torch has it."""
    with pytest.raises(TypeError, match="pass it"):
        len(dataset_of(service, LoaderConfig()))
    assert len(dataset_of(service, LoaderConfig(), num_workers=0)) == COUNT
    uneven = dataset_of(service, LoaderConfig(), rank=0, world_size=3, num_workers=2)
    assert len(uneven) == len(given(torch, [forked(uneven) for _ in range(2)])) == 6
    torch.worker = Worker(1, 2)
    assert len(dataset_of(service, num_workers=2)) == COUNT  # of all workers, in each of them
    torch.worker = None
    half = dataset_of(service, num_workers=0)
    left_after(half, 1)
    half.load_state_dict(half.state_dict())
    assert (len(half), len(list(half))) == (COUNT, COUNT - 1)  # of an epoch, and what is left of it
    begun = dataset_of(service, rank=0, world_size=3)
    given(torch, [forked(begun) for _ in range(2)])
    assert len(begun) == 6
    with pytest.raises(ConfigurationError, match="num_workers is 2, and the DataLoader has 1"):
        given(torch, [forked(uneven)])


def test_rank_and_world_size_are_found(
    service: tuple[str, str], torch: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those of torch.distributed, else of the environment; one alone is refused."""

    def seen() -> list[object]:
        return list(dataset_of(service, LoaderConfig()))

    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigurationError, match="RANK is None and WORLD_SIZE '4'"):
        seen()
    monkeypatch.setenv("RANK", "1")
    assert seen() == [1, 5, 9, 13]
    assert list(dataset_of(service, LoaderConfig(), rank=0, world_size=1)) == list(range(COUNT))
    distributed = types.ModuleType("torch.distributed")
    answers = {"is_available": True, "is_initialized": True, "get_rank": 2, "get_world_size": 8}
    for name, answer in answers.items():
        vars(distributed)[name] = partial(bool if answer is True else int, answer)
    monkeypatch.setitem(sys.modules, "torch.distributed", distributed)
    assert seen() == [2, 10]
    for name in ("is_available", "is_initialized"):
        vars(distributed)[name] = partial(bool, False)
        assert seen() == [1, 5, 9, 13]
        vars(distributed)[name] = partial(bool, True)
    for rank, size in ((0, None), (1, None), (None, 2)):
        with pytest.raises(ConfigurationError, match="pass both or none"):
            dataset_of(service, rank=rank, world_size=size)


def test_a_copy_has_an_epoch_of_its_own(service: tuple[str, str], torch: Standing) -> None:
    """What is pickled for no worker is a dataset by itself, at the same epoch."""
    dataset = dataset_of(service, LoaderConfig(shuffle=1))
    dataset.set_epoch(2)
    copy = pickle.loads(pickle.dumps(dataset))
    dataset.set_epoch(5)

    assert (copy.epoch, dataset.epoch) == (2, 5)


def test_torch_is_named_where_it_is_missing() -> None:
    """Without torch the import fails by its name, and nothing else of the package needs it."""
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed here")
    with pytest.raises(ModuleNotFoundError, match="torch"):
        importlib.import_module("datagym_async.data.torch")
