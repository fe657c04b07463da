"""One or two lines for each command, to be copied: they end its help, and a test runs them all."""

from collections.abc import Mapping
from typing import Final

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
