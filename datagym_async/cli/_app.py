"""The application: the names of all commands, and the options before them.

The module of a command is loaded when that command runs, so that help and `--version` need none.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import Parameter
from typing import Annotated, Any, Final

import rich  # noqa: F401 -- all commands draw with it: if it is missing, that is said at once
import typer.core
import typer.main

from datagym_async._extras import silence_pillow
from datagym_async._version import __version__
from datagym_async.cli._options import OF_CLIENTS, Shared, sign

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "auth login": ("auth login", "auth login --profile work --base-url https://datagym.example"),
    "auth logout": ("auth logout --profile work",),
    "auth status": ("auth status",),
    "bitmaps": ("bitmaps Cars bitmaps",),
    "config backup": ("config backup Cars --backup-folder backups",),
    "config diff": ("config diff Cars config.yaml",),
    "config from": (
        "config from labels.coco.json -o config.yaml",
        "config from yolo/data.yaml --upload Cars",
    ),
    "config restore": ("config restore Cars backups/cars",),
    "config show": ("config show Cars --yaml > config.yaml",),
    "config upload": ("config upload Cars config.yaml",),
    "config validate": ("config validate config.yaml",),
    "datasets create": ("datasets create Photos --exist-ok",),
    "datasets list": ("datasets list",),
    "datasets show": ("datasets show Photos",),
    "demo": ("demo",),
    "download": ("download photos -d Photos", "download cars --project Cars --labels coco"),
    "export": (
        "export Cars -o labels.json",
        "export Cars -o cars.coco.json --format coco",
        "export Cars -o cars --format yolo --images download --split train=0.8,val=0.2",
    ),
    "gallery": (
        "gallery Cars -o cars",
        "gallery photos --labels labels.coco.json --compare predictions.json",
    ),
    "import": (
        "import labels.coco.json -p Cars --check",
        "import labels.coco.json -p Cars --replace",
        "import yolo/data.yaml -p Cars --replace --create-config",
    ),
    "jobs clean": ("jobs clean --older-than 30d",),
    "jobs list": ("jobs list",),
    "jobs resume": ("jobs resume 3f2a",),
    "jobs show": ("jobs show 3f2a",),
    "media get": ("media get Photos street.jpg -o photos",),
    "media list": ("media list Photos",),
    "media rm": ("media rm Photos street.jpg",),
    "preview": ("preview Cars -o cars.png", "preview photos --class car -n 12 -o cars.pdf"),
    "projects attach": ("projects attach Photos Cars",),
    "projects detach": ("projects detach Photos Cars",),
    "projects list": ("projects list",),
    "serve": ("serve --port 8080",),
    "stats": ("stats Cars", "stats labels.coco.json -o stats.html --fail-on tiny,double"),
    "tasks complete": ("tasks complete Cars --state in_progress",),
    "tasks list": ("tasks list Cars --state waiting --limit 20",),
    "tasks skip": ("tasks skip Cars --state waiting",),
    "upload": ("upload photos -d Photos --create", "upload photos -d Photos --dry-run"),
}
"""What is typed behind the name of the program, by command."""


def epilog_of(path: str) -> str:
    lines = (f"  datagym-async {line}" for line in EXAMPLES[path])
    return "\n\n".join(("Examples:", *lines))


PROGRAM: Final = "datagym-async"

COMMANDS: Final[Mapping[str, str]] = {
    "upload": "Upload images into a dataset.",
    "download": "Download the media of a dataset or a project, and their labels.",
    "export": "Export the labels of a project's finished tasks.",
    "import": "Import labels of a file or folder into a project.",
    "bitmaps": "Download the segmentation bitmaps of a project's finished tasks.",
    "stats": "Count what labels hold: classes, sizes, states and problems.",
    "gallery": "Make a gallery of images and labels to open in a browser.",
    "preview": "Draw labels on images: a contact sheet of some, or one image.",
    "demo": "Show the main job on this machine: no account, no network.",
    "serve": "Run a DataGym-compatible server on this machine, for tests.",
    "projects": "List projects; attach and detach datasets.",
    "datasets": "List, show and create datasets.",
    "config": "Show, make, check, compare and replace label configurations.",
    "media": "List, download and delete single media of a dataset.",
    "tasks": "List labelling tasks; complete and skip them.",
    "jobs": "List, show and resume upload jobs; delete their journals.",
    "auth": "Keep a token for later commands, check it, delete it.",
}
"""Each command, or group of commands, with the first line of its help; module `_name` has it."""

_ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("projects", "datasets", "media"), "resources"),
    **dict.fromkeys(("preview", "gallery", "stats"), "look"),
    "bitmaps": "export",
}
"""The modules of those that belong together."""


def load(name: str) -> Any:
    module = import_module(f"datagym_async.cli._{_ELSEWHERE.get(name, name)}")
    apps = (each for each in vars(module).values() if isinstance(each, typer.Typer))
    found: Any = typer.main.get_command(next(each for each in apps if each.info.name == name))
    found.help = found.help or COMMANDS[name]
    return found


class _Commands(typer.core.TyperGroup):
    """Has the names of commands and loads the one that is run."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, line in COMMANDS.items():
            self.add_command(typer.core.TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        near = [f"'{each}'" for each in EXAMPLES if each.endswith(f" {args[0]}")]
        if near and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?")
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(found.name or ""), rest


app = typer.Typer(
    name=PROGRAM,
    cls=_Commands,
    add_completion=True,
    rich_markup_mode=None,  # plain help: loading rich would double its time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _shared_options(context: typer.Context, version: object, **given: Any) -> None:
    """Upload images to DataGym, import and export labels, and download datasets.

    Start with `datagym-async demo`: it needs no account and no network.

    Exit status: 0 success; 1 some items failed, were rejected or are left; 2 wrong usage or
    settings; 130 interrupted.
    """
    context.obj = Shared(**given)


_VERSION = Annotated[
    bool,
    typer.Option(
        "--version", "-V", callback=_say_version, is_eager=True, help="Print the version and exit."
    ),
]
_version = Parameter("version", Parameter.KEYWORD_ONLY, annotation=_VERSION, default=False)
sign(_shared_options, [_version], OF_CLIENTS)
app.callback()(_shared_options)


def run(argv: Sequence[str]) -> int:
    silence_pillow()
    try:
        whole: Any = typer.main.get_command(app)
        status = whole(args=list(argv) or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except Exception as error:
        from datagym_async._checks import shown
        from datagym_async.cli._errors import INTERRUPTED, STOPPED
        from datagym_async.cli._screen import Output

        if isinstance(error, typer.Abort):
            return INTERRUPTED
        if not hasattr(error, "format_message"):  # the class of wrong usage moves in each release
            raise
        # Newer releases of typer use the words of pydantic, which do not name the value.
        message = " ".join(error.format_message().split()).rstrip(".")
        message = message.replace(": Value error, ", ": ").partition(", unable to parse")[0]
        if ": Input should be" in message:
            cause: Any = error.__cause__
            value = shown(cause.errors()[0]["input"])
            message = message.replace(": Input should be", f": {value} must be")
        context = getattr(error, "ctx", None)  # none if an option has no value
        command = next((each for each in (" ".join(argv[:2]), *argv[:1]) if each in EXAMPLES), "")
        where = context.command_path if context is not None else f"{PROGRAM} {command}".rstrip()
        see = f" See `{where} --help`." if message.endswith("?") else f"; see `{where} --help`."
        Output().error(f"{message}{see}")
        return STOPPED
    return status if isinstance(status, int) else 0
