"""The loader as a state machine: shards step, stop and go on, and are dealt anew, in any order.

The model is the set of media that an epoch has given: none comes twice, and all have come when
each shard is at its end.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from datagym_async.data import DatasetLoader, LoaderConfig
from tests.helpers.fake_library import DATASET, FakeLibrary

if TYPE_CHECKING:
    from collections.abc import Coroutine


class LoadMachine(RuleBasedStateMachine):
    """The loaders of all shards, in one loop."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.loaders: list[DatasetLoader[object]] = []
        self.ended: set[int] = set()
        self.seen: set[int] = set()
        self.count = 0
        self.options: dict[str, Any] = {}

    def teardown(self) -> None:
        """Close all."""
        self._close()
        self.runner.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def _close(self) -> None:
        for loader in self.loaders:
            self._do(loader.aclose())
        self.loaders = []

    def _open(self, shards: int) -> None:
        self._close()
        self.loaders = [self._loader(shard, shards) for shard in range(shards)]
        self.ended = set()

    def _loader(self, shard: int, shards: int) -> DatasetLoader[object]:
        config = LoaderConfig(shard=(shard, shards), **self.options)
        return DatasetLoader(FakeLibrary(self.count, seed=shard).library, DATASET, config=config)

    def _state(self, shard: int) -> Any:
        return json.loads(json.dumps(self.loaders[shard].state_dict()))

    @initialize(
        count=st.integers(1, 30),
        shards=st.integers(1, 4),
        shuffle=st.one_of(st.none(), st.integers(0, 99)),
        ordered=st.booleans(),
        prefetch=st.integers(1, 6),
        batch_size=st.one_of(st.none(), st.integers(1, 4)),
    )
    def begin(self, count: int, shards: int, **options: Any) -> None:
        """A dataset, and so many shards of it."""
        self.count, self.options = count, options
        self._open(shards)

    @rule(shard=st.integers(0, 3), most=st.integers(1, 6))
    def step(self, shard: int, most: int) -> None:
        """A shard gives some values, up to the end of its epoch."""
        shard %= len(self.loaders)
        if shard not in self.ended:
            self._do(self._take(shard, most))

    async def _take(self, shard: int, most: int | None) -> None:
        values = 0
        while values != most:
            try:
                value: Any = await anext(self.loaders[shard])
            except StopAsyncIteration:
                self.ended.add(shard)
                return
            values += 1
            for sample in value if isinstance(value, tuple) else (value,):
                assert sample.index not in self.seen, "a media came twice"
                self.seen.add(sample.index)

    @rule(shard=st.integers(0, 3))
    def restart(self, shard: int) -> None:
        """A shard is killed behind a checkpoint, and goes on from it."""
        shard %= len(self.loaders)
        if shard in self.ended:
            return
        state, shards = self._state(shard), len(self.loaders)
        self._do(self.loaders[shard].aclose())
        self.loaders[shard] = self._loader(shard, shards)
        self._do(self.loaders[shard].load_state_dict(state))

    @precondition(lambda self: not self.ended)
    @rule(shards=st.integers(1, 5))
    def deal_anew(self, shards: int) -> None:
        """All stop, and another number of shards takes over."""
        states = [self._state(shard) for shard in range(len(self.loaders))]
        self._open(shards)
        for loader in self.loaders:
            self._do(loader.load_state_dict(states))

    @rule()
    def finish(self) -> None:
        """Each shard comes to the end of its epoch: together they have given each media once."""
        for shard in range(len(self.loaders)):
            if shard not in self.ended:
                self._do(self._take(shard, None))
        assert self.seen == set(range(self.count))
        self.seen, self.ended = set(), set()


TestLoader = pytest.mark.slow(LoadMachine.TestCase)
TestLoader.settings = settings(max_examples=40, stateful_step_count=16)
