"""`jobs`: the journals of uploads; list them, look at one, clean up, and how to resume a job."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from datagym_async._printable import for_shell
from datagym_async._runs._text import counted, size
from datagym_async.cli._command import Invocation, command, group
from datagym_async.cli._errors import WELL, CommandError
from datagym_async.cli._job_options import UPLOAD
from datagym_async.cli._options import OF_CLIENTS, Yes, argument, flag, parse_seconds
from datagym_async.cli._screen import local, local_time, plain
from datagym_async.models._names import fold_name
from datagym_async.uploads import JobSummary, clean_jobs, jobs_folder, list_jobs, show_job

SHOWN: Final = 20
"""Sources of a command that is for eyes; the one for programs has all that are known."""

LEFT_OUT: Final = "..."  # replaces sources that are not named


def command_of(
    job: JobSummary, *, most: int | None = None, quote: Callable[[str], str] = for_shell
) -> str | None:
    """Return the command that resumes a job; None if only the program that started it can.

    Dots stand for sources that the journal does not keep, and for those beyond `most`. `quote`
    makes one word for a shell of any text.
    """
    if (words := words_of(job, most=most)) is None:
        return None
    return " ".join(each if each == LEFT_OUT else quote(each) for each in words)


def words_of(job: JobSummary, *, most: int | None = None) -> list[str] | None:
    """Return the words of the command that resumes a job, as `command_of` has them."""
    if job.words is None:
        return None
    named = job.words[:most]
    words = ["datagym-async", "upload", *named, *[LEFT_OUT] * (len(named) < job.count)]
    words += ["--dataset", job.dataset_id, "--base-url", job.base_url]
    # The options that the command line has; others are of programs, and change no item.
    flags = {row.library_name: row.flags[0] for row in UPLOAD.rows}
    for name, value in job.options.items():
        if name not in flags:
            continue
        if isinstance(value, bool):
            words.append(flags[name])
            continue
        for each in value if isinstance(value, list | tuple) else (value,):
            words += [flags[name], str(each)]
    if job.path.parent != jobs_folder():
        words += ["--journal", str(job.path)]
    return words


def how_to_resume(job: JobSummary) -> str:
    """Return the command for people, or a text instead of it."""
    if (command := command_of(job, most=SHOWN, quote=quoted_for_display)) is None:
        return "the program that started it: no command can express its sources or options"
    known = len(job.words or ())
    if job.count > known > 0:
        return f"{command}  (all {job.count:,} sources; the journal keeps the first {known:,})"
    if known > SHOWN:
        return f"{command}  (and {known - SHOWN:,} more sources, which --json names)"
    return command


def quoted_for_display(word: str) -> str:
    r"""Return a word to be pasted into bash, zsh or ksh, as ``$'a\x1b.jpg'`` if not printable."""

    def escaped(one: str) -> str:
        if one.isprintable() and one not in "'\\":
            return one
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(one))

    return for_shell(word) if word.isprintable() else f"$'{''.join(map(escaped, word))}'"


app = group("jobs")

_SHORT, _SOURCES = 6, 19
_LEFT: Final = ("planned", "sending", "failed")
_DONE: Final = ("uploaded", "skipped", "rejected")


@command(app, "list", client=False)
def list_(invocation: Invocation) -> int:
    """List the jobs whose journals lie in the state folder, the most recent first."""
    jobs, today = list_jobs(), local(datetime.now(UTC)).date()
    columns = ("Job!", "Dataset", "Sources", ">Done", ">Left", "Last active!", "State!")
    documents, names = [job_document(each) for each in jobs], [each.path.stem for each in jobs]
    rows = []
    for job in jobs:
        full, when = job.path.stem, job.last_active and local(job.last_active)
        # What a row has to say fits into 80 columns: the beginning of a name that no other has, the
        # end of long sources, and the time of today's jobs. --json has all of it.
        lengths = range(_SHORT, len(full))
        starts = (full[:size] for size in lengths)
        short = (each for each in starts if sum(name.startswith(each) for name in names) == 1)
        sources = job.problem or job.sources
        done, left = (sum(job.counts.get(each, 0) for each in some) for some in (_DONE, _LEFT))
        rows.append(
            (
                next(short, full),
                job.dataset_name,
                f"…{sources[-_SOURCES:]}"
                if len(sources) > _SOURCES and not job.problem
                else sources,
                "" if job.problem else f"{done:,}",
                "" if job.problem else f"{left:,}",
                "" if when is None else f"{when:{'%H:%M' if when.date() == today else '%Y-%m-%d'}}",
                "unreadable" if job.problem else _state(job),
            )
        )
    empty = f"There are no journals in {jobs_folder()}."
    invocation.output.listing(documents, columns, rows, empty=empty)
    return WELL


@command(app, "show", client=False)
def show(
    invocation: Invocation,
    job: Annotated[
        str,
        argument(
            "JOB",
            "The job, as `jobs list` names it (its beginning is enough), its dataset's name, or a "
            "journal's path.",
        ),
    ],
) -> int:
    """Show a job: what is done and what is left, and the command that resumes it."""
    found = show_job(_path_of(job))
    if invocation.output.as_json:
        invocation.output.document(job_document(found))
        return invocation.output.whole()
    if found.problem:
        raise CommandError(f"{found.path} cannot be read as a journal: {found.problem}")
    counts = [f"{found.counts.get(each, 0):,} {each}" for each in (*_DONE, *_LEFT)]
    for title, text in (
        ("Job", found.path.stem),
        ("Journal", f"{found.path} ({size(found.size)})"),
        ("Service", found.base_url),
        ("Dataset", f"{found.dataset_name} ({found.dataset_id})"),
        ("Sources", found.sources),
        ("Started", local_time(found.started)),
        ("Last active", f"{local_time(found.last_active)}, {counted(found.runs, 'run')}"),
        ("State", _state(found)),
        ("Items", ", ".join(counts)),
        ("Resume with", how_to_resume(found)),
    ):
        invocation.output.result(f"{title:<14}{text}")
    return invocation.output.whole()


@command(app, "resume")
def resume(
    invocation: Invocation,
    job: Annotated[str, argument("JOB", "The job, as `jobs show` takes it.")],
) -> int:
    """Resume a job: run the command that `jobs show` names, with its sources and options."""
    found = show_job(_path_of(job))
    if found.problem:
        raise CommandError(f"{found.path} cannot be read as a journal: {found.problem}")
    words = words_of(found)
    if words is None or LEFT_OUT in words:
        raise CommandError(
            f"The journal of {found.path.stem} does not keep all sources; name them again: "
            f"{how_to_resume(found)}"
        )
    # Not at the top: listing journals opens no client, and `_app` loads this module.
    from datagym_async._client_jobs import DEFAULT_BASE_URL
    from datagym_async.cli._app import run
    from datagym_async.cli._connect import address_of

    shared = invocation.shared
    # The token goes to no address that a file alone names, if that may be somebody else's; in our
    # folder it is of this user, who named the address in the first run.
    here, is_ours = address_of(invocation), found.path.parent == jobs_folder()
    is_chosen = shared.base_url or here != DEFAULT_BASE_URL
    if here != found.base_url.rstrip("/") and (is_chosen or not is_ours):
        raise CommandError(
            f"The job belongs to {found.base_url}, and this command is for {here}; choose that "
            "address with --base-url or --profile if you trust it with your token."
        )
    for name in OF_CLIENTS:
        value = getattr(shared, name)
        flag_ = "--json" if name == "as_json" else f"--{name.replace('_', '-')}"
        if name != "base_url" and value is not None and value is not False:
            words += [flag_] if value is True else [flag_, str(value)]
    return run(words[1:])


@command(app, "clean", client=False)
def clean(
    invocation: Invocation,
    older_than: Annotated[
        float | None,
        flag(
            "--older-than TIME",
            "Keep journals written less than this ago, for example 30d.",
            parser=parse_seconds,
        ),
    ] = None,
    unfinished: Annotated[
        bool, flag("--unfinished", "Also delete journals of unfinished jobs.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Delete journals of complete jobs from the state folder, never one in use.

    It asks first; --yes skips the question. Images are not touched. A job without its journal
    relies on the listing of its dataset.
    """
    output = invocation.output
    invocation.require_consent(yes=yes)
    age = None if older_than is None else timedelta(seconds=older_than)
    which = "all jobs, also of unfinished ones," if unfinished else "complete jobs"
    unwritten = "" if age is None else f" not written for {str(age).removesuffix(', 0:00:00')}"
    question = f"Delete the journals of {which}{unwritten} in {jobs_folder()}?"
    if not yes and not output.ask(question, otherwise="Nothing was deleted."):
        return WELL
    deleted = clean_jobs(older_than=age, unfinished=unfinished)
    freed = size(sum(each.size for each in deleted))
    sentence = f"Deleted {counted(len(deleted), 'journal')} ({freed})."
    output.outcome([job_document(each) for each in deleted], sentence)
    return WELL


def job_document(job: JobSummary) -> dict[str, Any]:
    return plain(job) | {"job": job.path.stem, "command": command_of(job)}


def _state(job: JobSummary) -> str:
    done = f"{failed:,} failed" if (failed := job.counts.get("failed")) else "complete"
    return "running" if job.in_use else done if job.complete else "unfinished"


def _path_of(job: str) -> Path:
    if os.path.isfile(job):  # noqa: PTH113 -- any text is fine
        return Path(job).absolute()  # what names it stays true elsewhere
    jobs = list_jobs() if job else []  # an empty name, as of a variable that is not set, is no job
    found = [each.path for each in jobs if each.path.stem.startswith(job)]
    found = [path for path in found if path.stem == job] or found
    said, way = "begin with", "give more of the name"
    if not found:
        found = [each.path for each in jobs if fold_name(each.dataset_name) == fold_name(job)]
        said, way = "belong to the dataset", "give one of these names"
    if not found:
        raise CommandError(
            f"There is no job {job!r} in {jobs_folder()}, and none of a dataset of this name; "
            "`datagym-async jobs list` shows them."
        )
    if len(found) > 1:
        names = ", ".join(path.stem for path in found)
        raise CommandError(f"{len(found)} jobs {said} {job!r}: {names}; {way}.")
    return found[0]
