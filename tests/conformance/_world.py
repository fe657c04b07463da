"""What the recordings presuppose: datasets, media, tasks and states that no recorded request made.

Each step belongs to the first case that needs it and runs just before that case.
"""

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


_UPLOADS = "61d8b2be-027d-41df-9bfe-e52ee42e0b3d"
_LINKS = "77d15dec-54a6-4f29-ad78-3c7dec5306fe"
_TASKS = "75bde7ea-b8ba-4a5e-bd46-df771f7816da"
_SECOND = "63b1a3e9-d0ab-4b76-a73e-d33b7f7789b2"
_VIDEOS = "751436ee-c7b5-4973-ace8-811bd36d8b3d"
_VIDEO = "8f86b43a-abf9-44a7-bc4d-6bc06857b75a"
_PREDICTED = "f8857c5b-39dd-49fc-8df5-9ee21afdefc6"
_DELETED = "29702a45-e010-4d15-b496-7dc15ca96a5e"
_SIDE_EFFECT = "bea768ed-80cc-4e77-9033-b39ffc01979e"

STEPS: Mapping[str, Sequence[Step]] = {
    "POST_media_dataset_file/0": [dataset(_UPLOADS, "uploads")],
    "POST_dataset/43": [twins("dsrace 1795434748043500435")],
    "POST_media_dataset_url/0": [dataset(_LINKS, "links")],
    "POST_project_dataset/0": [
        dataset(_TASKS, "proj ds 1795434916", images=[f"im{n}.jpg" for n in range(8)]),
        dataset(_SECOND, "second"),
    ],
    "GET_task_list/2": [tasks_as_listed],
    "GET_task_list/3": [tasks_as_listed],
    "GET_task_list/8": [tasks_as_listed],
    "POST_media_dataset_file/84": [
        video_dataset(_VIDEOS, "vid 1795435166", video=(_VIDEO, "clip.mp4"))
    ],
    "GET_project/13": [
        dataset(_PREDICTED, "pred 1795435662389468503"),
        link_images(_PREDICTED, 300),
        attached(IMAGE_PROJECT, _PREDICTED),
    ],
    "GET_dataset_id/9": [dataset(_DELETED, "gone"), soft_deleted(_DELETED)],
    "POST_media_dataset_url/58": [dataset(_SIDE_EFFECT, "side effect")],
    "GET_media/41": [attached(IMAGE_PROJECT, _SIDE_EFFECT)],
}
"""The steps before each case, by its key; a PUT of a configuration is preceded by `cleared` too."""


def steps_before(case: Case) -> Sequence[Step]:
    """Return what has to be made before `case`."""
    fills = case.file == "PUT_config" and case.method == "PUT" and case.key != "PUT_config/1"
    return [*STEPS.get(case.key, ()), *([cleared] if fills else ())]
