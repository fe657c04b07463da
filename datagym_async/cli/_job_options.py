"""The options of `upload` and `download`: each is declared here, once.

A row says flag, group, words and how a value is read; type and default come from `UploadConfig` or
`DownloadConfig`, or from the parameter of the command that has its name (see `Option`). Help, the
configuration, `jobs show`, hints in sentences and docs/cli.md are derived from the rows. **A new
option is a field of the configuration and a row.**
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from datagym_async.cli._option_table import Option, OptionTable

_STOPS: Final = "When to stop before the end (no limits by default; the same command resumes)"


def _or_own_file(journal: Path | None) -> Path | bool:
    """Keep a journal in any case: whoever types a command expects that it can be resumed."""
    return journal or True


def _or_no_limit(rate: float) -> float | None:
    return rate or None


_RATE: Final = Option(
    "--rate N",
    "Requests a second; 0 for no limit.",
    client="rate_limit",
    type=float,
    default=200.0,
    least=0,
    convert=_or_no_limit,
)
_MAX_DURATION: Final = Option(
    "--max-duration TIME",
    "Stop after this time, for example `30m` or `2h`; a plain number is seconds.",
)
_STATS: Final = Option(
    "--stats SECONDS",
    "Seconds between two lines of progress where there is no terminal; 0 for none.",
)
_STORE_OPTION: Final = Option(
    "--store-option KEY=VALUE",
    "How object stores (`s3://`, `gs://`, `az://`) are opened: `region=`, `endpoint=`, "
    "`skip_signature=true`, `request_payer=true` and the other options of obstore. Credentials are "
    "better set in the environment. May be repeated. Needs the extra `cloud`.",
    field="store_options",
)

_CLUSTER: Final = (
    Option(
        "--scheduler ADDRESS",
        "Work through the Dask cluster of this scheduler, for example `tcp://10.0.0.1:8786`; its "
        "workers must see the same files, and have `DATAGYM_TOKEN` and `DATAGYM_BASE_URL`.",
    ),
    Option("--workers-local N", "Work through N processes of this machine.", least=1, most=256),
)

UPLOAD: Final = OptionTable(
    "datagym_async.uploads:UploadConfig",
    {
        "Where to": (
            Option(
                "--dataset -d NAME|ID",
                "The dataset to upload into. Names are compared as the service does, without case; "
                "of several with the name the ids are listed, and nothing is done. With "
                "`--retry-failed` the dataset of the report is taken unless one is named.",
            ),
            Option("--create", "Create the dataset unless it exists."),
            Option(
                "--project NAME|ID",
                "Attach the dataset, and every dataset that is created on the way, to this project "
                "before the upload. May be repeated.",
                field="attach_to",
            ),
            Option(
                "--max-per-dataset N|auto",
                "Spread over datasets `NAME`, `NAME 2`, `NAME 3` and so on of at most N images "
                "each; by default all go into one. The service takes longer for an upload the more "
                "its dataset holds: 1000 to 2000 keep it fast, and `auto` finds the number out as "
                "it goes. All of them count as one for skipping, clashes, resuming and the report.",
                type=int | None,
            ),
            Option(
                "--no-skip",
                "Send also what the dataset holds by name. The service refuses it, so it counts as "
                "failed. What the journal knows as done is not sent again; add `--fresh` for that.",
                field="skip_existing",
            ),
        ),
        "Which files, and their names": (
            Option(
                "--include GLOB",
                "Take only such files of folders and globs: `'*.jpg'` (at any depth, `A.JPG` too), "
                "`'2026/**/*.png'`; all by default. May be repeated.",
            ),
            Option(
                "--exclude GLOB",
                "Leave such files and folders out; it wins over `--include`. May be repeated.",
            ),
            Option(
                "--hidden",
                "Take also files and folders that begin with a dot.",
                field="include_hidden",
            ),
            Option(
                "--symlinks",
                "Which links count: those to files, while one to a folder is named as rejected "
                "(`files`); both, each folder once (`follow`); none (`skip`).",
            ),
            Option(
                "--name POLICY",
                "Name images by their last part (`basename`), by their path below the source "
                "(`relative`: the way out where subfolders hold files of one name), or by a "
                "template: `{name}` `{stem}` `{suffix}` `{parent}` `{relative}` `{index:06}` "
                "`{sha256:.8}`, for example `'{parent}_{name}'`.",
                type=str,
                default="basename",
            ),
            Option(
                "--name-separator TEXT",
                "What stands between the folders of a relative path in a name.",
            ),
            Option(
                "--ignore-others",
                "Skip files that are no images (by their first bytes) instead of rejecting them, "
                "which would make the exit status 1.",
            ),
            Option(
                "--on-clash",
                "Of several files of one name all but the first are rejected (`skip`) or numbered "
                "(`rename`: `photo (2).jpg`), or nothing is sent at all (`error`).",
            ),
        ),
        "Stores": (_STORE_OPTION,),
        "Checks": (
            Option(
                "--check",
                "How closely an image is looked at before it is sent: not at all, its first bytes, "
                "also its structure, or decoded whole, which finds cut JPEGs that the service "
                "would store (needs the extra `images`).",
            ),
            Option(
                "--max-bytes SIZE",
                "Reject images larger than this, for example `15M`; no limit by default. Above 15 "
                "MiB, which few services take, there is a warning in any case.",
            ),
            Option(
                "--prepare STEPS",
                "Before they are sent, turn images upright by their EXIF orientation "
                "(`orientation`), make a JPEG or PNG of WebP, HEIC (needs the extra `heic`), AVIF, "
                "TIFF, BMP and GIF (`convert`), make larger ones smaller (`resize=4096`: the most "
                "pixels of the longer side); joined by commas. What needs none of it is sent byte "
                "for byte. Needs the extra `images`.",
            ),
            Option(
                "--dedupe",
                "Of files with equal bytes send each with a warning (`report`), or the first alone "
                "(`skip`). Each file is read once more when it is listed; not compared by default.",
            ),
            Option(
                "--check-links",
                "Ask for each URL, without credentials, and reject dead ones: the service never "
                "looks, and takes them.",
            ),
            Option(
                "--allow-private-links",
                "Let `--check-links` ask hosts of private networks and of this machine too.",
            ),
            Option(
                "--verify",
                "At the end, download 100 of the uploaded images, or all, also those that were "
                "there before, and compare their bytes with the files; none by default.",
            ),
            Option(
                "--allow-private-store",
                "Let `--verify` fetch images from a store at a private or loopback address, where "
                "the service answers with a pre-signed URL.",
                client="allow_private_store",
                type=bool,
                default=False,
            ),
            Option(
                "--remove-doubles",
                "Delete extra copies of an image that a lost answer has made; without it they are "
                "named.",
            ),
        ),
        "Speed": (
            Option(
                "--concurrency --workers N",
                "Uploads in flight at once, 1 to 256, fixed; by default the best number is found "
                "out as it runs.",
                least=1,
                most=256,
            ),
            Option(
                "--max-concurrency N",
                "The most uploads in flight that may be found out, 1 to 256: the service holds one "
                "of its ten database connections for each.",
                client="max_uploads",
                type=int,
                default=8,
                least=1,
                most=256,
            ),
            _RATE,
            Option(
                "--bwlimit --max-upload-rate SIZE",
                "Bytes a second for file uploads: `500k`, `10M`; no limit by default.",
                client="max_upload_rate",
                type=int | None,
            ),
            *_CLUSTER,
        ),
        "Resuming where a run stopped": (
            Option(
                "--journal PATH",
                "Keep the journal in this file. By default it has a file of its own in the state "
                "folder: `DATAGYM_STATE_DIR`, else `XDG_STATE_HOME/datagym-async`, else "
                "`~/.local/state/datagym-async`. Only one process at a time can use it.",
                type=Path | None,
                convert=_or_own_file,
            ),
            Option(
                "--no-journal",
                "Keep no journal: the next run goes by what the dataset holds alone.",
            ),
            Option("--fresh", "Drop the journal of an earlier run and start anew."),
            Option(
                "--identity",
                "What tells that a file is the one in the journal: its size and time of change, or "
                "also the hash of its bytes, for which each file is read once more.",
            ),
            Option(
                "--retry-failed REPORT",
                "Upload what failed in an earlier run, from its report (`--report FILE.json`), "
                "instead of sources.",
            ),
            Option(
                "--watch",
                "Keep uploading what arrives in one folder, each file once it has stopped "
                "changing, until Ctrl-C (needs the extra `watch`).",
            ),
            Option("--settle-after TIME", "", hidden=True),
        ),
        _STOPS: (
            Option("--max-files N", "Stop after N images and links were sent.", least=1),
            Option(
                "--max-bytes-total SIZE", "Stop after this many bytes were sent, for example `50G`."
            ),
            Option("--max-failures N", "Stop after N items failed.", least=1),
            _MAX_DURATION,
        ),
        "Display and report": (
            Option(
                "--dry-run -n",
                "Print what would be done, a line an item (JSON lines with `--json`), and send "
                "nothing: the dataset is listed, and the sources are read. The status is 1 if "
                "something would be rejected.",
            ),
            _STATS,
            Option(
                "--report FILE",
                "Write the report: `FILE.json` with all counts and problems, `FILE.csv` with a "
                "line a problem, `FILE.html` as a page that shows how the run went (needs the "
                "extra `look`). May be repeated.",
            ),
        ),
    },
)

DOWNLOAD: Final = OptionTable(
    "datagym_async.downloads:DownloadConfig",
    {
        "What to download": (
            Option("--dataset -d NAME|ID", "A dataset."),
            Option(
                "--project NAME|ID",
                "All datasets of a project, each into a folder of its own; with `--dataset` the "
                "project whose labels and tasks count.",
                field="project_id",
            ),
            Option(
                "--labels FORMAT",
                "Write the labels of finished tasks beside the media, in this format: `json`, "
                "`jsonl`, `coco`, `yolo`, `yolo-seg`, `yolo-pose`, `yolo-obb`, `voc`, `kitti`, "
                "`cvat`, `imagefolder` or `lightly`. All but the first three are folders that "
                "trainers take, with links to the images. May be repeated.",
            ),
            Option(
                "--no-exact",
                "Take whole pixels, as the service exports them, and not exact coordinates from "
                "each task, a request each. `json` and `jsonl` are what is exported in any case.",
                field="exact",
            ),
            Option(
                "--classes --categories FILE",
                "A data.yaml, a COCO file, or a file with a name a line: these classes come first "
                "and keep their numbers. The others have the order of the label configuration.",
            ),
            Option("--clip", "Cut shapes of labels off at the edges of their image."),
            Option("--zero-based", "For `--labels voc`: the first pixel is 0 and not 1."),
            Option(
                "--split SHARES",
                "Parts of the labelled dataset, such as `train=0.8,val=0.1,test=0.1`, by a hash of "
                "the id of each image: it stays in its part as the dataset grows.",
            ),
            Option(
                "--group HOW",
                "Keep images in one part that have the same folder "
                "(`folder`), or the same match of a "
                "regular expression in the names of their files.",
            ),
            Option(
                "--lossy-ok", "Exit with 0 although a format of `--labels` has left something out."
            ),
            Option(
                "--shards N|SIZE",
                "Write WebDataset shards instead of files: tars of N images, or of about SIZE "
                "bytes (`500M`); with `--labels json` each image has its labels beside it.",
                type=str | None,
            ),
            Option("--bitmaps", "Fetch the segmentation bitmaps of finished tasks, too."),
            Option(
                "--links",
                "What becomes of link images: left alone (`skip`); fetched from their own address, "
                "without any credentials (`source`); or through the service, which encodes them "
                "anew and moves the tasks of those that it cannot fetch to SKIPPED (`service`).",
            ),
            Option(
                "--allow-private-links",
                "Let `--links source` ask private, loopback and other special addresses, too.",
            ),
            Option(
                "--allow-private-store",
                "Follow the service's pre-signed URLs, as of videos, to private and loopback "
                "addresses, too: for installations whose store is private.",
                client="allow_private_store",
                type=bool,
                default=False,
            ),
            Option(
                "--tree",
                "Make the folders in names folders again, as `upload --name relative` wrote them: "
                "`cam 1/a.jpg` and not `cam 1_a.jpg`.",
            ),
            Option(
                "--verify",
                "Hash what an earlier run has downloaded, and fetch again what has changed; by "
                "default its size has to do.",
            ),
        ),
        "Speed": (
            Option(
                "--concurrency --workers N",
                "Downloads in flight at once, 1 to 64, fixed; by default the best number is found "
                "out as it runs.",
                least=1,
                most=64,
            ),
            Option(
                "--max-concurrency N",
                "The most downloads in flight that may be found out, 1 to 64.",
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
            Option("--max-files N", "Stop after N media were asked for.", least=1),
            Option(
                "--max-bytes-total SIZE",
                "Stop after this many bytes have arrived, for example `50G`.",
            ),
            Option("--max-failures N", "Stop after N media failed.", least=1),
            _MAX_DURATION,
        ),
        "Display and report": (
            _STATS,
            Option(
                "--report FILE",
                "Write the report: `FILE.json` with everything, `FILE.csv` with what failed, "
                "`FILE.html` as a page that shows how the run went (needs the extra `look`). May "
                "be repeated.",
            ),
        ),
    },
)
