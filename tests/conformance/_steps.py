"""Steps that make what a recording presupposes, with real ids for the recorded ones."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import frozen

from tests.conformance._bodies import ok_jpeg
from tests.conformance._http import Reply, exchange
from tests.conformance._ids import Ids
from tests.conformance._recordings import Case
from tests.conformance._subject import ProjectIds, Subject

IMAGE_PROJECT = ProjectIds(
    "9ae13a08-fb0d-48af-9057-58536c09b21b",
    "89915496-ff58-4e0f-af0c-52a28db2c6a2",
    "25ce7899-f854-4109-9e19-78090ef4ed62",
)
VIDEO_PROJECT = ProjectIds(
    "694c6cc7-a034-40a9-b2e0-ebab03be5906",
    "3802dfcb-499a-4333-9cd1-c910cb97e2fe",
    "4059d474-27c6-4d18-9a74-d02b9853007f",
)


@frozen
class Stage:
    """What a step works on."""

    subject: Subject
    ids: Ids

    async def ask(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request of our own, with recorded ids in its path; it must succeed."""
        sent = {
            "Authorization": f"Token {self.subject.token}",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        reply = await exchange(
            self.subject.address,
            method=method,
            path=f"/api/v1/{self.ids.translate(path)}",
            headers=list(sent.items()),
            body=body,
        )
        assert reply.status == 200, (method, path, reply)
        return reply


Step = Callable[[Stage, Case], Awaitable[None]]


async def known_projects(stage: Stage) -> None:
    """Pair the recorded ids of the two projects with the subject's."""
    real = await stage.subject.projects()
    for name, recorded in (("Img Project", IMAGE_PROJECT), ("Vid Project", VIDEO_PROJECT)):
        stage.ids.learn(recorded.project, real[name].project)
        stage.ids.learn(recorded.label_configuration, real[name].label_configuration)
        stage.ids.learn(recorded.label_iteration, real[name].label_iteration)


def dataset(recorded_id: str, name: str, *, images: Sequence[str] = ()) -> Step:
    """Create a dataset that stands for `recorded_id`, with `images` in it."""

    async def step(stage: Stage, _: Case) -> None:
        body = json.dumps({"name": name}).encode()
        reply = await stage.ask(
            "POST", "dataset", body=body, headers={"Content-Type": "application/json"}
        )
        stage.ids.learn(recorded_id, json.loads(reply.body)["id"])
        for image in images:
            path = f"media/{recorded_id}/file"
            await stage.ask("POST", path, body=ok_jpeg(), headers={"X-filename": image})

    return step


def link_images(recorded_id: str, count: int) -> Step:
    """Add `count` link images to a dataset."""

    async def step(stage: Stage, _: Case) -> None:
        body = json.dumps([f"http://127.0.0.1:9/{n}.jpg" for n in range(count)]).encode()
        headers = {"Content-Type": "application/json"}
        await stage.ask("POST", f"media/{recorded_id}/url", body=body, headers=headers)

    return step


def video_dataset(recorded_id: str, name: str, *, video: tuple[str, str]) -> Step:
    """Create a dataset of videos that stands for `recorded_id`, with one video: id and name."""

    async def step(stage: Stage, _: Case) -> None:
        real, real_video = await stage.subject.add_video_dataset(name, video=video[1])
        stage.ids.learn(recorded_id, real)
        stage.ids.learn(video[0], real_video)

    return step


def attached(project: ProjectIds, dataset_id: str) -> Step:
    """Attach a dataset to a project."""

    async def step(stage: Stage, _: Case) -> None:
        await stage.ask("POST", f"project/{project.project}/dataset/{dataset_id}")

    return step


def twins(name: str) -> Step:
    """Create two datasets of one name, as concurrent requests did in the recording."""

    async def step(stage: Stage, _: Case) -> None:
        await stage.subject.add_dataset_twin(name)
        await stage.subject.add_dataset_twin(name)

    return step


def soft_deleted(dataset_id: str) -> Step:
    """Delete a dataset as the web interface does."""

    async def step(stage: Stage, _: Case) -> None:
        await stage.subject.soft_delete_dataset(stage.ids.translate(dataset_id))

    return step


async def cleared(stage: Stage, case: Case) -> None:
    """Clear the configuration that a PUT is about to fill, as the recorder did each time."""
    if "nope" not in case.path:
        await stage.ask("DELETE", case.path.removeprefix("/api/v1/"))


async def tasks_as_listed(stage: Stage, case: Case) -> None:
    """Put the tasks into the states that the case's own answer shows; the first case named them."""
    rows = case.response.body
    assert isinstance(rows, list)
    for row in rows:
        if row["hasJsonUpload"]:
            item = stage.ids.translate(json.dumps([{"internal_media_ID": row["mediaId"]}]))
            await stage.ask("POST", f"project/{row['projectId']}/prediction", body=item.encode())
        task_id = stage.ids.translate(row["taskId"])
        await stage.subject.set_task_state(task_id, row["labelTaskState"])


def configured_at(recorded: int) -> Step:
    """Let a recorded time of the configuration's last change stand for the real one."""

    async def step(stage: Stage, _: Case) -> None:
        reply = await stage.ask("GET", f"task/{IMAGE_PROJECT.project}/list?state=BACKLOG&limit=1")
        tasks = json.loads(reply.body) or json.loads(
            (await stage.ask("GET", f"task/{IMAGE_PROJECT.project}/list?limit=1")).body
        )
        task = json.loads((await stage.ask("GET", f"task/{tasks[0]['taskId']}")).body)
        stage.ids.learn_time(recorded, task["lastChangedConfig"])

    return step


def tasks_named(recorded: Mapping[str, str], *, state: str) -> Step:
    """Find the tasks of these media, by name, among those in a state of the image project."""

    async def step(stage: Stage, _: Case) -> None:
        reply = await stage.ask("GET", f"task/{IMAGE_PROJECT.project}/list?state={state}")
        real = {row["mediaName"]: row["taskId"] for row in json.loads(reply.body)}
        for name, task_id in recorded.items():
            stage.ids.learn(task_id, real[name])

    return step


def empty_value(recorded: str, *, entry_id: str, task_id: str, media_id: str) -> Step:
    """Create an empty value that stands for `recorded`."""

    async def step(stage: Stage, _: Case) -> None:
        iteration = IMAGE_PROJECT.label_iteration
        body = {"iterationId": iteration, "mediaId": media_id, "labelTaskId": task_id}
        data = stage.ids.translate(json.dumps({**body, "lcEntryId": entry_id})).encode()
        headers = {"Content-Type": "application/json"}
        reply = await stage.ask("POST", f"lcValue/{entry_id}", body=data, headers=headers)
        stage.ids.learn(recorded, json.loads(reply.body)["id"])

    return step


def image(recorded: str, dataset_id: str, name: str, *, state: str) -> Step:
    """Upload an image that stands for `recorded`, and move its task in the image project."""

    async def step(stage: Stage, _: Case) -> None:
        path = f"media/{dataset_id}/file"
        reply = await stage.ask("POST", path, body=ok_jpeg(), headers={"X-filename": name})
        media_id = json.loads(reply.body)["id"]
        stage.ids.learn(recorded, media_id)
        reply = await stage.ask("GET", f"task/{IMAGE_PROJECT.project}/list?state=BACKLOG")
        tasks = (row["taskId"] for row in json.loads(reply.body) if row["mediaId"] == media_id)
        await stage.subject.set_task_state(next(tasks), state)

    return step


def moved(task_id: str, state: str) -> Step:
    """Move a task as people do in the web interface."""

    async def step(stage: Stage, _: Case) -> None:
        await stage.subject.set_task_state(stage.ids.translate(task_id), state)

    return step
