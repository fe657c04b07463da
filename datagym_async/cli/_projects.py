"""`projects`: list them, attach datasets to them, detach datasets from them."""

from datagym_async._client import DataGymClient
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import address_of, with_client
from datagym_async.cli._errors import WELL
from datagym_async.cli._lookup import dataset_of, project_of, whole_dataset_of
from datagym_async.cli._options import DatasetArgument, ProjectArgument, Yes
from datagym_async.cli._screen import plain
from datagym_async.models import Dataset, Project

app = group("projects")


@command(app, "list")
def list_projects(invocation: Invocation) -> int:
    """List the projects with their datasets."""
    projects = with_client(invocation, lambda client: client.projects.list())
    rows = [
        (
            project.id,
            project.name,
            project.media_type.value.lower(),
            f"{len(project.datasets):,}",
            f"{sum(each.media_count for each in project.datasets):,}",
        )
        for project in projects
    ]
    columns = ("Id!", "Name", "Type", ">Datasets", ">Media")
    invocation.output.listing(
        [plain(each) for each in projects],
        columns,
        rows,
        empty=f"There are no projects at {address_of(invocation)}.",
    )
    return WELL


@command(app, "attach")
def attach(invocation: Invocation, dataset: DatasetArgument, project: ProjectArgument) -> int:
    """Attach a dataset to a project, which gets one task for each of its images."""

    async def work(client: DataGymClient) -> tuple[Dataset, Project]:
        found = await _both(client, dataset, project)
        await client.projects.add_dataset(found[1].id, found[0].id)
        return found

    return _say(invocation, *with_client(invocation, work), attached=True)


@command(app, "detach")
def detach(
    invocation: Invocation, dataset: DatasetArgument, project: ProjectArgument, yes: Yes = False
) -> int:
    """Detach a dataset from a project: deletes its tasks there, and all their labels.

    The images stay. It asks first; --yes skips the question.
    """
    invocation.require_consent(yes=yes, danger="Detaching destroys tasks and labels. ")
    found = with_client(invocation, lambda client: _both(client, dataset, project, whole=True))
    if not yes and not invocation.output.ask(
        f"Detaching {found[0].name!r} from {found[1].name!r} destroys its tasks there "
        f"(up to {len(found[0].media):,}) and all their labels. Detach it?"
    ):
        return WELL
    with_client(invocation, lambda client: client.projects.remove_dataset(found[1].id, found[0].id))
    return _say(invocation, *found, attached=False)


async def _both(
    client: DataGymClient, dataset: str, project: str, *, whole: bool = False
) -> tuple[Dataset, Project]:
    look = whole_dataset_of if whole else dataset_of
    return await look(client, dataset), await project_of(client, project)


def _say(invocation: Invocation, dataset: Dataset, project: Project, *, attached: bool) -> int:
    words = "is attached to" if attached else "is no longer attached to"
    invocation.output.outcome(
        {"dataset_id": dataset.id, "project_id": project.id, "attached": attached},
        f"Dataset {dataset.name!r} {words} project {project.name!r}.",
    )
    return WELL
