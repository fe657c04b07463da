"""Projects and datasets: what counts as done, and how a doubtful creation is settled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from datagym_async.exceptions import AlreadyExistsError, ConflictError, RequestRefusedError
from datagym_async.models import Dataset
from datagym_async.resources import DatasetsResource, ProjectsResource
from tests.helpers.examples import example
from tests.helpers.fake_session import FakeSession, LostAnswerError, answer, json_of, refusal

if TYPE_CHECKING:
    from datagym_async._wire import Request, Response


def dataset(name: str, dataset_id: str = "D", timestamp: int = 1) -> dict[str, Any]:
    return {"id": dataset_id, "name": name, "timestamp": timestamp, "media": []}


async def test_list_and_find_a_project() -> None:
    """A project is found by name without regard to case; an unknown one is None."""
    listing = answer(example("11_projects", "current"))
    session = FakeSession([listing, listing, listing])
    projects = ProjectsResource(session)
    assert [project.name for project in await projects.list()] == ["Street scenes", "Video_Dummy"]
    found = await projects.find("STREET SCENES ")
    assert found is not None
    assert found.id == "d2f7a8be-4c0e-4a3e-9a0f-6b7c8d9e0f11"
    assert await projects.find("Street") is None


async def test_ping_is_a_head() -> None:
    """Asking whether the token is good transfers nothing."""
    session = FakeSession([answer(None)])
    await ProjectsResource(session).ping()
    assert session.sent == [("HEAD", "project")]


async def test_attached_already_is_attached() -> None:
    """Attaching what is attached is done; other conflicts are not."""
    session = FakeSession([refusal(412, "ex_already_contains", "Project", "Dataset")])
    await ProjectsResource(session).add_dataset("P", "D")
    assert session.sent == [("POST", "project/P/dataset/D")]
    with pytest.raises(ConflictError):
        await ProjectsResource(FakeSession([refusal(412, "ex_other")])).add_dataset("P", "D")


async def test_not_attached_is_detached() -> None:
    """Detaching what is not attached is done; other refusals are not."""
    session = FakeSession([refusal(500, "ex_gen_does_not_contain", "Project", "Dataset")])
    await ProjectsResource(session).remove_dataset("P", "D")
    assert session.sent == [("DELETE", "project/P/dataset/D/remove")]
    with pytest.raises(RequestRefusedError):
        await ProjectsResource(FakeSession([refusal(500, "ex_gen_x")])).remove_dataset("P", "D")


async def test_find_prefers_the_exact_name_then_the_oldest() -> None:
    """Names that a race has doubled are told apart in one and the same way."""
    listing = [
        dataset("photos", "younger", 9),
        dataset("PHOTOS", "older", 1),
        dataset("photos", "old", 5),
    ]
    session = FakeSession(handler=lambda _: answer(listing))
    names = {"photos": "old", "Photos": "older"}
    for name, expected in names.items():
        found = await DatasetsResource(session).find(name)
        assert found is not None
        assert found.id == expected


async def test_create_lists_and_then_creates() -> None:
    """The service takes these two fields and no other."""
    session = FakeSession([answer([]), answer(dataset("Photos"))])
    created = await DatasetsResource(session).create("Photos", short_description="of 2026")
    assert created == Dataset(id="D", name="Photos", timestamp=1)
    assert session.sent == [("GET", "dataset"), ("POST", "dataset")]
    assert json_of(session.requests[1]) == {"name": "Photos", "shortDescription": "of 2026"}


async def test_a_taken_name_is_refused_before_anything_is_created() -> None:
    """Once a race has doubled a name the service says ex_system; the listing says the truth."""
    session = FakeSession([answer([dataset("PHOTOS"), dataset("photos", "E")])])
    with pytest.raises(AlreadyExistsError, match="exist_ok"):
        await DatasetsResource(session).create("Photos")
    assert session.sent == [("GET", "dataset")]


async def test_exist_ok_returns_what_is_there() -> None:
    """With exist_ok the dataset of the name is returned and nothing created."""
    session = FakeSession([answer([dataset("PHOTOS", "there")])])
    found = await DatasetsResource(session).create("photos", exist_ok=True)
    assert found.id == "there"


async def test_exist_ok_survives_another_creator() -> None:
    """Somebody else creates the name between the listing and the creation."""
    taken = refusal(412, "ex_alreadyexists", "Dataset", "name", "photos")
    session = FakeSession([answer([]), taken, answer([dataset("photos", "theirs")])])
    found = await DatasetsResource(session).create("photos", exist_ok=True)
    assert found.id == "theirs"


async def test_a_doubtful_creation_is_looked_up() -> None:
    """After a lost answer the dataset is found by name; those that were there do not count."""
    before = [dataset("other", "O")]
    after = [*before, dataset("PHOTOS", "new")]
    session = FakeSession([answer(before), LostAnswerError(), answer(after)])
    assert (await DatasetsResource(session).create("photos")).id == "new"


async def test_a_creation_that_was_lost_is_sent_again() -> None:
    """Nothing of the name in the listing: it was not created."""
    created = answer(dataset("photos", "second"))
    session = FakeSession([answer([]), LostAnswerError(), answer([]), created])
    assert (await DatasetsResource(session).create("photos")).id == "second"


async def test_creations_of_one_client_wait_for_each_other() -> None:
    """The service's check races with itself, so that one client never sends two at once."""
    stored: list[dict[str, Any]] = []

    def serve(request: Request) -> Response:
        if request.method == "POST":
            stored.append(dataset("photos", f"id-{len(stored)}"))
            return answer(stored[-1])
        return answer(stored)

    datasets = DatasetsResource(FakeSession(handler=serve))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(datasets.create("photos", exist_ok=True)) for _ in range(5)]
    assert {task.result().id for task in tasks} == {"id-0"}


async def test_a_large_listing_is_decoded_beside_the_loop() -> None:
    """A listing of thousands of media does not hold the loop up; its content is whole."""
    media = [
        {"id": f"m{n}", "timestamp": n, "mediaSourceType": "LOCAL", "mediaName": f"{n}.jpg"}
        for n in range(4000)
    ]
    session = FakeSession([answer({**dataset("big"), "media": media})])
    found = await DatasetsResource(session).get("D")
    assert (len(found.media), found.media[-1].name) == (4000, "3999.jpg")
