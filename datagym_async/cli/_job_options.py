"""The options of `upload` and `download`: each is declared here, once.

A row has flag, group, help and the conversion of the value; type and default come from
`UploadConfig` or `DownloadConfig`, or from the parameter of the command with this name (see
`Option`). Help, the configuration, `jobs show`, hints in sentences and docs/cli.md are derived from
the rows. **A new option is a field of the configuration and a row.**
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from datagym_async.cli._option_table import Option, OptionTable

_STOPS: Final = "When to stop early (no limit by default; the same command resumes)"


_RATE: Final = Option(
    "--rate N",
    "Requests a second; 0 for no limit.",
    client="rate_limit",
    type=float,
    default=200.0,
    least=0,
    convert=lambda rate: rate or None,
)
_MAX_DURATION: Final = Option(
    "--max-duration TIME",
    "Stop after this time, for example `30m` or `2h`; a plain number is in seconds.",
)
_STATS: Final = Option(
    "--stats SECONDS",
    "Seconds between two progress lines when the output is not a terminal; 0 for none.",
)
_REPORT: Final = Option(
    "--report FILE",
    "Write a report: `FILE.json` with all counts and problems, `FILE.csv` with one line for each "
    "problem, `FILE.html` as a page that shows how the run went (needs the extra `look`). May be "
    "repeated.",
)
_STORE_OPTION: Final = Option(
    "--store-option KEY=VALUE",
    "An option for object stores (`s3://`, `gs://`, `az://`): `region=`, "
    "`endpoint=`, `skip_signature=true`, `request_payer=true` or another "
    "option of obstore. Credentials are better kept in the environment. May "
    "be repeated. Needs the extra `cloud`.",
    field="store_options",
)

_CLUSTER: Final = (
    Option(
        "--scheduler ADDRESS",
        "Run on the Dask cluster with this scheduler, for example `tcp://10.0.0.1:8786`. Its "
        "workers must see the same files and have `DATAGYM_TOKEN` and `DATAGYM_BASE_URL` set.",
    ),
    Option("--workers-local N", "Run in N processes on this machine.", least=1, most=256),
)

OF_WRITTEN_LABELS: Final = (
    Option(
        "--classes --categories FILE",
        "A data.yaml, a COCO file, or a file with one name a line: these classes come first and "
        "keep their numbers. The others follow in the order of the label configuration. "
        "`--categories` is another name of this option.",
    ),
    Option("--clip", "Cut shapes off at the edges of their image."),
    Option("--zero-based", "For Pascal VOC: the first pixel is 0, not 1."),
    Option(
        "--split SHARES",
        "Split the dataset into parts, such as `train=0.8,val=0.1,test=0.1`. A hash of its id "
        "decides where an image goes, so it stays in its part as the dataset grows.",
        type=str | None,
    ),
    Option(
        "--group HOW",
        "Keep images together in one part if they share a folder (`folder`), or the match of a "
        "regular expression in their file names.",
    ),
    Option("--lossy-ok", "Exit with 0 even if a format could not hold everything."),
)
"""Options of the formats that labels are written in, by `download` and `export`."""

UPLOAD: Final = OptionTable(
    "datagym_async.uploads:UploadConfig",
    {
        "Where to": (
            Option(
                "--dataset -d NAME|ID",
                "The dataset to upload into. Names are compared without case. If several datasets "
                "have the name, their ids are listed and nothing is sent. Default with "
                "`--retry-failed`: the dataset of the report.",
            ),
            Option("--create", "Create the dataset if it does not exist."),
            Option(
                "--project -p NAME|ID",
                "Before the upload, attach the dataset, and each dataset that is created during "
                "the run, to this project. May be repeated.",
                field="attach_to",
            ),
            Option(
                "--max-per-dataset N|auto",
                "Spread the images over datasets `NAME`, `NAME 2`, `NAME 3` and so on, with at "
                "most N images each. By default all go into one. The more a dataset holds, the "
                "longer each upload takes; 1000 to 2000 keep it fast, and `auto` finds the number "
                "during the run. For skipping, name clashes, resuming and the report they count as "
                "one dataset.",
                type=int | None,
            ),
            Option(
                "--no-skip",
                "Also send images whose names the dataset already holds. The service refuses them, "
                "so they count as failed. Images that the journal lists as done are not sent "
                "again; add `--fresh` for that.",
                field="skip_existing",
            ),
        ),
        "Which files, and their names": (
            Option(
                "--include GLOB",
                "Take only matching files of folders and globs: `'*.jpg'` (in any subfolder, also "
                "`A.JPG`), `'2026/**/*.png'`. Default: all files. May be repeated.",
            ),
            Option(
                "--exclude GLOB",
                "Leave out matching files and folders, even if `--include` matches them. May be "
                "repeated.",
            ),
            Option(
                "--hidden",
                "Also take files and folders whose names begin with a dot.",
                field="include_hidden",
            ),
            Option(
                "--symlinks",
                "What to do with symbolic links: take those to files and reject those to folders "
                "(`files`), follow both, each folder once (`follow`), or leave out all (`skip`).",
            ),
            Option(
                "--name POLICY",
                "How images are named: by file name (`basename`), by path below the source "
                "(`relative`; use it if subfolders hold files of the same name), or by a template "
                "of `{name}` `{stem}` `{suffix}` `{parent}` `{relative}`, for example "
                "`'{parent}_{name}'`.",
                type=str,
                default="basename",
            ),
            Option(
                "--name-separator TEXT",
                "Text between the folders of a relative path in a name.",
            ),
            Option(
                "--ignore-others",
                "Skip files that are not images (judged by their first bytes) instead of rejecting "
                "them. Rejected files make the exit status 1.",
            ),
            Option(
                "--on-clash",
                "If several files have the same name: reject all but the first (`skip`), number "
                "the others (`rename`: `photo (2).jpg`), or send nothing at all (`error`).",
            ),
        ),
        "Stores": (_STORE_OPTION,),
        "Checks": (
            Option(
                "--check",
                "How closely each image is checked before it is sent: not at all, its first bytes, "
                "its structure too, or by decoding it. Decoding finds truncated JPEGs, which the "
                "service would store; it needs the extra `images`.",
            ),
            Option(
                "--max-bytes SIZE",
                "Reject images larger than this, for example `15M`. No limit by default; images "
                "above 15 MiB, which most services refuse, always give a warning.",
            ),
            Option(
                "--prepare STEPS",
                "Steps to apply before sending, joined by commas: rotate images upright by their "
                "EXIF orientation (`orientation`); convert WebP, HEIC (needs the extra `heic`), "
                "AVIF, TIFF, BMP and GIF to JPEG or PNG (`convert`); make larger images smaller "
                "(`resize=4096`: pixels of the longer side). All other images are sent byte for "
                "byte. Needs the extra `images`.",
            ),
            Option(
                "--dedupe",
                "If several files have the same bytes: send all with a warning (`report`), or only "
                "the first (`skip`). Each file is read once more for this. Not compared by "
                "default.",
            ),
            Option(
                "--check-links",
                "Request each URL, without credentials, and reject dead links. The service accepts "
                "dead links, because it does not check them.",
            ),
            Option(
                "--allow-private-links",
                "Let `--check-links` request hosts in private networks and on this machine.",
            ),
            Option(
                "--verify",
                "At the end, download 100 of the uploaded images (`sample`) or all images of the "
                "run, also those that the dataset held before (`all`), and compare them with the "
                "files. None by default.",
            ),
            Option(
                "--allow-private-store",
                "Let `--verify` download from a store at a private or loopback address, if the "
                "service answers with a pre-signed URL.",
                client="allow_private_store",
                type=bool,
                default=False,
            ),
            Option(
                "--remove-doubles",
                "Delete extra copies that were made because an answer was lost. Without this "
                "option they are only listed.",
            ),
        ),
        "Speed": (
            Option(
                "--concurrency --workers N",
                "Number of uploads in flight, 1 to 256, fixed. By default the best number is found "
                "during the run.",
                least=1,
                most=256,
            ),
            Option(
                "--max-concurrency N",
                "Upper limit for that number, 1 to 256. The service uses one of its ten database "
                "connections for each upload.",
                client="max_uploads",
                type=int,
                default=8,
                least=1,
                most=256,
            ),
            _RATE,
            Option(
                "--bwlimit --max-upload-rate SIZE",
                "Bytes a second for file uploads: `500k`, `10M`. No limit by default.",
                client="max_upload_rate",
                type=int | None,
            ),
            *_CLUSTER,
        ),
        "Resuming where a run stopped": (
            Option(
                "--journal PATH",
                "File to keep the journal in. By default each job has a file in the state folder: "
                "`DATAGYM_STATE_DIR`, else `XDG_STATE_HOME/datagym-async`, else "
                "`~/.local/state/datagym-async`. Only one process at a time can use a journal.",
                type=Path | None,
                # On the command line people expect that a job can be resumed.
                convert=lambda journal: journal or True,
            ),
            Option(
                "--no-journal",
                "Keep no journal. The next run then relies on the listing of the dataset.",
            ),
            Option("--fresh", "Delete the journal of an earlier run and start again."),
            Option(
                "--identity",
                "How a file is recognised in the journal: by size and time of change, or also by a "
                "hash of its bytes, for which each file is read once more.",
            ),
            Option(
                "--retry-failed REPORT",
                "Instead of sources, upload what failed in an earlier run, as listed in its report "
                "(`--report FILE.json`).",
            ),
            Option(
                "--watch",
                "Keep running until Ctrl-C and upload files that appear in one folder, each once "
                "it has stopped changing. It also ends if the service is gone for too long; the "
                "same command resumes. Needs the extra `watch`.",
            ),
            Option("--settle-after TIME", "", hidden=True),
        ),
        _STOPS: (
            Option("--max-files N", "Stop after sending N images and links.", least=1),
            Option(
                "--max-bytes-total SIZE", "Stop after sending this many bytes, for example `50G`."
            ),
            Option("--max-failures N", "Stop after N items have failed.", least=1),
            _MAX_DURATION,
        ),
        "Display and report": (
            Option(
                "--dry-run -n",
                "Print what would be done, one line for each item (JSON lines with `--json`), and "
                "send nothing. The dataset is listed and the sources are read. The exit status is "
                "1 if something would be rejected.",
            ),
            _STATS,
            _REPORT,
        ),
    },
)

DOWNLOAD: Final = OptionTable(
    "datagym_async.downloads:DownloadConfig",
    {
        "What to download": (
            Option("--dataset -d NAME|ID", "The dataset to download."),
            Option(
                "--project -p NAME|ID",
                "Download all datasets of a project, each into its own folder. With `--dataset`: "
                "the project whose labels and tasks are used.",
                field="project_id",
            ),
            Option(
                "--labels FORMAT",
                "Also write the labels of finished tasks in this format: `json`, `jsonl`, `coco`, "
                "`yolo`, `yolo-seg`, `yolo-pose`, `yolo-obb`, `voc`, `kitti`, `cvat` "
                "or `imagefolder`. All but the first three are folders for training, "
                "with links to the images. May be repeated.",
            ),
            Option(
                "--no-exact",
                "Use the whole-pixel coordinates of the service's export, and do not request each "
                "task for exact ones. `json` and `jsonl` always have those of the export.",
                field="exact",
            ),
            *OF_WRITTEN_LABELS,
            Option(
                "--shards N|SIZE",
                "Write WebDataset shards instead of files: tar files of N images, or of about SIZE "
                "bytes (`500M`). With `--labels json` each image has its labels beside it.",
                type=str | None,
            ),
            Option("--bitmaps", "Also download the segmentation bitmaps of finished tasks."),
            Option(
                "--links",
                "What to do with link images: leave them out (`skip`); fetch them from their own "
                "address, without credentials (`source`); or fetch them through the service "
                "(`service`), which encodes them again and moves the tasks of those that it cannot "
                "fetch to SKIPPED.",
            ),
            Option(
                "--allow-private-links",
                "Let `--links source` request private, loopback and other special addresses.",
            ),
            Option(
                "--allow-private-store",
                "Follow pre-signed URLs of the service (used for videos) to private and loopback "
                "addresses. For installations with a private store.",
                client="allow_private_store",
                type=bool,
                default=False,
            ),
            Option(
                "--tree",
                "Turn the folders in names into folders again, as `upload --name relative` wrote "
                "them: `cam 1/a.jpg`, not `cam 1_a.jpg`.",
            ),
            Option(
                "--verify",
                "Hash the files of an earlier run and download again what has changed. By default "
                "only sizes are compared.",
            ),
        ),
        "Speed": (
            Option(
                "--concurrency --workers N",
                "Number of downloads in flight, 1 to 64, fixed. By default the best number is "
                "found during the run.",
                least=1,
                most=64,
            ),
            Option(
                "--max-concurrency N",
                "Upper limit for that number, 1 to 64.",
                client="max_downloads",
                type=int,
                default=16,
                least=1,
                most=64,
            ),
            _RATE,
            *_CLUSTER,
        ),
        "Stores": (_STORE_OPTION,),
        _STOPS: (
            Option("--max-files N", "Stop after requesting N media.", least=1),
            Option(
                "--max-bytes-total SIZE",
                "Stop after receiving this many bytes, for example `50G`.",
            ),
            Option("--max-failures N", "Stop after N media have failed.", least=1),
            _MAX_DURATION,
        ),
        "Display and report": (_STATS, _REPORT),
    },
)
