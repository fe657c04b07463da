"""What the recordings presuppose: datasets, media, tasks and states that no recorded request made.

Each step belongs to the first case that needs it and runs just before that case.
"""

from collections.abc import Mapping, Sequence

from tests.conformance._recordings import Case
from tests.conformance._steps import (
    IMAGE_PROJECT,
    Step,
    attached,
    cleared,
    configured_at,
    dataset,
    empty_value,
    image,
    link_images,
    moved,
    soft_deleted,
    tasks_as_listed,
    tasks_named,
    twins,
    video_dataset,
)

_UPLOADS = "61d8b2be-027d-41df-9bfe-e52ee42e0b3d"
_LINKS = "77d15dec-54a6-4f29-ad78-3c7dec5306fe"
_TASKS = "75bde7ea-b8ba-4a5e-bd46-df771f7816da"
_SECOND = "63b1a3e9-d0ab-4b76-a73e-d33b7f7789b2"
_VIDEOS = "751436ee-c7b5-4973-ace8-811bd36d8b3d"
_VIDEO = "8f86b43a-abf9-44a7-bc4d-6bc06857b75a"
_PREDICTED = "f8857c5b-39dd-49fc-8df5-9ee21afdefc6"
_DELETED = "29702a45-e010-4d15-b496-7dc15ca96a5e"
_SIDE_EFFECT = "bea768ed-80cc-4e77-9033-b39ffc01979e"

_TASK_0 = "134e4048-aa93-4d6f-a474-ea79d9254d5b"
_TASK_7 = "fa55d308-331c-40a6-8e4d-5dd720419ba8"
_NEW_TASK_0 = "85a798e2-d35d-4ad5-ba94-d74ca0d4c678"
_IMAGE_0 = "b2a4fde8-a81d-4ada-a1e4-6e77332bce15"
_MADE_VALUES = {
    "d009ba1b-3806-41c2-98e2-865c21fa685c": "9b1515c2-7b1c-4906-8630-c90789f55b9c",
    "dbed66d8-5eba-4e27-bc03-d02cc564b9fb": "22aa3e8b-0623-403b-8bd6-0ce0e85d90ec",
    "f243b980-f2c7-45f0-aece-d581be477ef8": "e9bee28e-eb24-4562-8ce1-707311bf9421",
    "3f78ce2d-2e14-49e0-b5c8-3899607af3d3": "39463f63-971e-418f-add5-4a064dd94fd9",
}

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
    # What only the label routes' recordings presuppose.
    "PUT_task_completeTask/0": [configured_at(1795434868834)],
    "PUT_lcValue/11": [
        empty_value(value, entry_id=entry, task_id=_TASK_0, media_id=_IMAGE_0)
        for value, entry in _MADE_VALUES.items()
    ],
    "GET_export_bitmap/8": [moved(_TASK_7, "WAITING_CHANGED")],
    "POST_prediction/57": [
        tasks_named(
            {
                "im0.jpg": _NEW_TASK_0,
                "im1.jpg": "e95ca919-d06e-4115-b77c-11a6d226d1fa",
                "im2.jpg": "3e84b5e3-0efe-431c-b29a-5cdc9730393d",
            },
            state="BACKLOG",
        ),
        configured_at(1795435115901),
    ],
    "POST_prediction/62": [
        image("eb516b42-be46-41f9-b98b-90a4a57360fb", _TASKS, "done.jpg", state="COMPLETED"),
        image("08e8c07b-b330-4557-8dee-3b03112c64ac", _TASKS, "gone.jpg", state="SKIPPED"),
    ],
    "PUT_lcValue/25": [
        empty_value(
            "4e75726a-4201-435c-a624-043b3293ac40",
            entry_id="7f1e60d7-f4a2-491f-ba2b-287b30696dba",
            task_id=_NEW_TASK_0,
            media_id=_IMAGE_0,
        )
    ],
}
"""The steps before each case, by its key; a PUT of a configuration is preceded by `cleared` too."""


def steps_before(case: Case) -> Sequence[Step]:
    """Return what has to be made before `case`."""
    fills = case.file == "PUT_config" and case.method == "PUT" and case.key != "PUT_config/1"
    return [*STEPS.get(case.key, ()), *([cleared] if fills else ())]
