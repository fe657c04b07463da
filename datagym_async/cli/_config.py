"""`config`: the label configurations of projects; look at them, check them, replace them safely."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from datagym_async._client import DataGymClient
from datagym_async._files import read_whole, write_file
from datagym_async._printable import for_shell
from datagym_async._runs._text import counted
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._connect import with_client
from datagym_async.cli._errors import INTERRUPTED, SOME_FAILED, WELL, CommandError
from datagym_async.cli._import import READING, By, Outlined, source_of
from datagym_async.cli._lookup import project_of, refuse_to_overwrite
from datagym_async.cli._option_table import Given
from datagym_async.cli._options import ProjectArgument, Yes, argument, flag
from datagym_async.cli._screen import Output, plain
from datagym_async.cli._signals import on_stop_signals
from datagym_async.exceptions import LabelConfigError
from datagym_async.formats import FormatError, sniff
from datagym_async.labels import ConfigDiff, ConfigEntry, LabelConfig, diff
from datagym_async.models import ConfigBackup, ConfigStakes, Project

app = group("config")

FileArgument = Annotated[
    Path,
    argument(
        "FILE", "A label configuration as JSON or YAML (.yaml, .yml); also an export of the editor."
    ),
]
BackupFolder = Annotated[
    Path, flag("--backup-folder FOLDER", "Where the backup goes, in a new folder of its own.")
]
NoBackup = Annotated[bool, flag("--no-backup", "Save nothing before labels are deleted.")]

_BACKUPS = Path("datagym-backups")


@command(app, "show")
def show(
    invocation: Invocation,
    project: ProjectArgument,
    as_yaml: Annotated[
        bool, flag("--yaml", "Print it as YAML, as `config upload` takes it.")
    ] = False,
) -> int:
    """Show the label configuration of a project; --json and --yaml print what upload takes."""
    _check_forms(invocation, as_yaml=as_yaml)
    present = _seen(invocation, project)
    if invocation.output.as_json:
        invocation.output.document(present.to_json())
    elif as_yaml:
        invocation.output.document(present.to_yaml())
    elif not len(present):
        invocation.output.message(f"The label configuration of {project!r} is empty.")
    else:
        rows = [row for entry in present.entries for row in _rows(entry, 0)]
        invocation.output.table(("Key!", "Type!", "Text", "Details"), rows)
    return invocation.output.whole()


def _check_forms(invocation: Invocation, *, as_yaml: bool) -> None:
    if as_yaml and invocation.output.as_json:
        raise CommandError("--json and --yaml are two forms of one document; give only one.")


@command(app, "validate", client=False)
def validate(invocation: Invocation, file: FileArgument) -> int:
    """Check a label configuration, without a service: all problems at once, and warnings."""
    config = _read(file)
    problems, warnings = config.problems(), config.warnings()
    if invocation.output.as_json:
        invocation.output.document({"problems": problems, "warnings": warnings})
    for sentence in problems:
        invocation.output.result(f"problem: {sentence}")
    for sentence in warnings:
        invocation.output.warning(f"warning: {sentence}")
    if not problems and not invocation.output.quiet:
        entries = sum(1 for root in config.entries for _ in root.walk())
        invocation.output.result(f"{file}: {counted(entries, 'entry', 'entries')}, no problem.")
    return SOME_FAILED if problems else WELL


@command(app, "diff")
def show_diff(invocation: Invocation, project: ProjectArgument, file: FileArgument) -> int:
    """Show what uploading a file would change; the exit status is 1 if something differs."""
    wanted = _read(file)
    changes = diff(_seen(invocation, project), wanted)
    if invocation.output.as_json:
        invocation.output.document(_document_of(changes))
    elif changes:
        for line in str(changes).split("\n"):
            invocation.output.result(line)
    else:
        invocation.output.message("Nothing differs.")
    return SOME_FAILED if changes else WELL


@command(app, "upload")
def upload(
    invocation: Invocation,
    project: ProjectArgument,
    file: FileArgument,
    backup_folder: BackupFolder = _BACKUPS,
    no_backup: NoBackup = False,
    yes: Yes = False,
) -> int:
    """Replace the label configuration of a project: deletes all its labels.

    It checks the file, shows what changes and what would be lost, asks (unless --yes is given),
    saves the present configuration and labels, and then replaces it. If nothing differs, nothing is
    done. If replacing fails, the old configuration is restored.
    """
    config = _read(file)
    if problems := config.problems():
        raise CommandError(f"{file} has problems; nothing was changed.", *problems)
    return _replace(invocation, project, config, None if no_backup else backup_folder, yes=yes)


@command(app, "from", table=READING)
def from_labels(
    invocation: Invocation,
    given: Given,
    file: Annotated[
        Path, argument("FILE", "A file or folder of labels: COCO, YOLO, Pascal VOC and others.")
    ],
    output: Annotated[
        Path | None,
        flag("--output -o FILE", "Save it, as JSON or YAML (.yaml, .yml), instead of printing it."),
    ] = None,
    as_yaml: Annotated[bool, flag("--yaml", "Print it as YAML.")] = False,
    project: Annotated[
        str | None, flag("--upload NAME|ID", "Replace that of this project, as `upload` does.")
    ] = None,
    add: Annotated[
        bool, flag("--add", "With --upload: keep what the project has, and add what it lacks.")
    ] = False,
    backup_folder: BackupFolder = _BACKUPS,
    no_backup: NoBackup = False,
    yes: Yes = False,
    shape: Outlined | None = None,
    by: By = "supercategory",
) -> int:
    """Make a label configuration for all labels of a file or folder.

    It is printed, saved with --output, or uploaded to a project with --upload, with the questions
    and the backup of `config upload`.
    """
    if add and project is None:
        raise CommandError("--add needs --upload.")
    _check_forms(invocation, as_yaml=as_yaml)
    if as_yaml and (output or project):
        raise CommandError("--yaml is for printing; leave it out, or --output and --upload.")
    if output is not None:
        refuse_to_overwrite([file, given.config["images"]], output, folder=file)
    source = source_of(file, given, shape, by)
    present = _seen(invocation, project) if add and project is not None else None
    config = source.label_config(present)
    if problems := config.problems():
        raise CommandError(
            f"No label configuration can be made of the classes in {file}.", *problems
        )
    for sentence in (*source.losses.items, *config.warnings()):
        invocation.output.warning(f"warning: {sentence}")
    if output is not None:
        in_yaml = output.suffix.lower() in (".yaml", ".yml")
        write_file(output, (config.to_yaml() if in_yaml else config.to_json()).encode())
        if project is None:
            entries = counted(len(config), "entry", "entries")
            invocation.output.outcome({"path": str(output)}, f"Wrote {entries} to {output}.")
    elif project is None:
        invocation.output.document(config.to_yaml() if as_yaml else config.to_json())
    if project is None:
        return invocation.output.whole()
    return _replace(invocation, project, config, None if no_backup else backup_folder, yes=yes)


@command(app, "restore")
def restore(
    invocation: Invocation,
    project: ProjectArgument,
    saved: Annotated[Path, argument("FOLDER", "The folder of a backup.")],
    backup_folder: BackupFolder = _BACKUPS,
    no_backup: NoBackup = False,
    yes: Yes = False,
) -> int:
    """Replace the label configuration with that of a backup: deletes all present labels.

    Import its labels afterwards: `datagym-async import FOLDER/labels.json -p PROJECT --replace`.
    """
    file = saved / "label-config.json" if saved.is_dir() else saved
    backup = None if no_backup else backup_folder
    status = _replace(invocation, project, _read(file), backup, yes=yes, restored_from=file)
    files = [file.with_name(name) for name in ("labels.json", "unfinished-tasks.jsonl")]
    if status == WELL and (there := [each for each in files if each.is_file()]):
        invocation.output.message("To restore the labels too:")
        for each in there:
            words = ("datagym-async", "import", str(each), "-p", project, "--replace")
            invocation.output.message(" ".join(map(for_shell, words)))
    return status


@command(app, "backup")
def backup(
    invocation: Invocation, project: ProjectArgument, backup_folder: BackupFolder = _BACKUPS
) -> int:
    """Save the label configuration and the labels of a project to a new folder."""

    async def work(client: DataGymClient) -> ConfigBackup:
        found = await project_of(client, project)
        return await client.label_configs.backup(found.id, backup_folder)

    saved = with_client(invocation, work)
    invocation.output.outcome(plain(saved), str(saved.folder))
    return WELL


def _replace(
    invocation: Invocation,
    wanted: str,
    config: LabelConfig,
    backup: Path | None,
    *,
    yes: bool,
    restored_from: Path | None = None,
) -> int:
    """Replace a configuration: show what changes and what is lost, ask, save, replace."""
    output = invocation.output

    async def look(
        client: DataGymClient,
    ) -> tuple[Project, LabelConfig | None, ConfigDiff, ConfigStakes | None]:
        project, present = await _present(client, wanted)
        changes = diff(present or (), config)
        loses = present and changes
        stakes = await client.label_configs.at_stake(project.id) if loses else None
        return project, present, changes, stakes

    project, present, changes, stakes = with_client(invocation, look)
    if present is not None and not changes:
        return _say(output, project, changes, stakes)
    if present is None or len(present):
        for line in str(changes).split("\n"):
            output.message(line)
        if stakes is not None:
            output.warning(str(stakes))
        if backup is None:
            output.warning("No backup is made (--no-backup).")
        invocation.require_consent(
            yes=yes, danger="Replacing a label configuration deletes labels. "
        )
        if not yes and not output.ask(f"Replace the label configuration of {project.name!r}?"):
            return WELL
    kept: list[ConfigBackup] = []

    async def work(client: DataGymClient) -> None:
        task = asyncio.current_task()

        def stop() -> None:
            output.warning(
                "Stopping: the configuration is restored first, which may take a minute."
            )
            if task is not None:
                task.cancel()

        config_id, configs = project.label_configuration_id, client.label_configs
        # Further signals must not interrupt the restoring.
        with on_stop_signals(stop):
            saving: Any = {"backup": backup, "on_backup": kept.append}
            if restored_from is not None:
                await configs.restore(config_id, restored_from, **saving)
            else:
                await configs.upload(config_id, config, replace=True, **saving)

    try:
        with_client(invocation, work)
    except asyncio.CancelledError:
        output.warning("Interrupted.")
        return INTERRUPTED
    return _say(output, project, changes, stakes, *kept, changed=True)


def _say(
    output: Output,
    project: Project,
    changes: ConfigDiff,
    stakes: ConfigStakes | None,
    saved: ConfigBackup | None = None,
    *,
    changed: bool = False,
) -> int:
    if output.as_json:
        output.document(
            {
                "project_id": project.id,
                "changed": changed,
                "diff": _document_of(changes),
                "backup": saved and plain(saved),
                "stakes": stakes and plain(stakes),
            }
        )
    elif not changed:
        output.message("Nothing differs; nothing was changed.")
    elif not output.quiet:
        output.result(f"The label configuration of {project.name!r} is replaced.")
        if saved is not None:
            output.result(f"The old one and its labels are in {saved.folder}.")
    return WELL


async def _present(client: DataGymClient, wanted: str) -> tuple[Project, LabelConfig | None]:
    project = await project_of(client, wanted)
    view = await client.label_configs.read(project.id)
    return project, None if view is None else LabelConfig.from_entries(view)


def _seen(invocation: Invocation, wanted: str) -> LabelConfig:
    """Return the label configuration of a project, or raise why it cannot be read."""
    _, present = with_client(invocation, lambda client: _present(client, wanted))
    if present is None:
        raise CommandError(
            f"The project {wanted!r} has no task, and the service shows configurations only in "
            "tasks; attach a dataset with an image first."
        )
    return present


def _read(file: Path) -> LabelConfig:
    try:
        text = read_whole(file)
        if file.suffix.lower() in (".yaml", ".yml"):
            return LabelConfig.from_yaml(text)
        return LabelConfig.from_json(text)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except LabelConfigError as error:
        hint = ""
        if file.suffix.lower() not in (".yaml", ".yml"):
            with suppress(FormatError, OSError):
                name, command_line = sniff(file), f"config from {for_shell(str(file))}"
                hint = f" It holds labels ({name}); `{command_line}` makes one for their classes."
        raise CommandError(f"{file}: {error}.{hint}") from None


def _rows(entry: ConfigEntry, level: int) -> list[tuple[str, str, str, str]]:
    details = (
        entry.color,
        f"shortcut {entry.shortcut}" if entry.shortcut is not None else None,
        f"at most {entry.max_length} characters" if entry.max_length is not None else None,
        "required" if entry.required else None,
        " | ".join(entry.options),
    )
    words = ", ".join(filter(None, details))
    row = ("  " * level + entry.key, entry.type.value.lower(), entry.value, words)
    return [row, *(each for child in entry.children for each in _rows(child, level + 1))]


def _document_of(changes: ConfigDiff) -> dict[str, Any]:
    return {
        "added": [each.path for each in changes.added],
        "removed": [each.path for each in changes.removed],
        "changed": [{"path": each.path, "fields": [*each.fields]} for each in changes.changed],
    }
