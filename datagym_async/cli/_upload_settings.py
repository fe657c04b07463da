"""From the options of `upload` to those of client and uploader: pure functions.

An option of the command line that has a counterpart in `UploadConfig` means the same. The journal
alone differs: it is kept unless it is refused, since whoever types a command expects it to go on.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from datagym_async.cli._connect import ClientOptions
from datagym_async.cli._errors import CommandError
from datagym_async.cli._upload_options import Checks, Files, GoingOn, Speed, Stops, Telling, Where
from datagym_async.transfer import UploadConfig


@attrs.frozen(kw_only=True)
class Options:
    """All groups of options of `upload`."""

    where: Where = attrs.field(factory=Where)
    files: Files = attrs.field(factory=Files)
    checks: Checks = attrs.field(factory=Checks)
    speed: Speed = attrs.field(factory=Speed)
    going_on: GoingOn = attrs.field(factory=GoingOn)
    stops: Stops = attrs.field(factory=Stops)
    telling: Telling = attrs.field(factory=Telling)


def check_together(options: Options, sources: Sequence[str]) -> None:
    """Refuse options that make no sense together.

    Raises:
        CommandError: They do not, or one is missing.
    """
    where, going_on = options.where, options.going_on
    for is_wrong, sentence in (
        (not sources and going_on.retry_failed is None, _NO_SOURCE),
        (sources and going_on.retry_failed, _TWO_KINDS_OF_SOURCES),
        (where.dataset is None and going_on.retry_failed is None, _NO_DATASET),
        (going_on.no_journal and (going_on.journal or going_on.fresh), _NO_AND_YET_A_JOURNAL),
        (going_on.watch and options.telling.dry_run, _WATCHED_DRY_RUN),
        (options.telling.report and options.telling.dry_run, _NOTHING_TO_REPORT),
        (going_on.watch and len(sources) != 1, _ONE_FOLDER),
        (options.checks.allow_private_links and not options.checks.check_links, _NOTHING_TO_ALLOW),
    ):
        if is_wrong:
            raise CommandError(sentence)


_NO_SOURCE: Final = (
    "Missing argument 'SOURCE...': name files, folders or URLs; see `datagym-async upload --help`."
)
_NO_DATASET: Final = "Missing option '--dataset' / '-d'; see `datagym-async upload --help`."
_TWO_KINDS_OF_SOURCES: Final = (
    "--retry-failed takes its items from the report; leave the other sources out."
)
_NO_AND_YET_A_JOURNAL: Final = "--no-journal contradicts --journal and --fresh; leave one out."
_WATCHED_DRY_RUN: Final = "--dry-run looks once and --watch for ever; leave one out."
_NOTHING_TO_REPORT: Final = "--dry-run has no --report; take its output, or leave one out."
_ONE_FOLDER: Final = "--watch takes one folder; start another command for each other folder."
_NOTHING_TO_ALLOW: Final = "--allow-private-links is for --check-links; add it, or leave both out."


def client_options(options: Options) -> ClientOptions:
    """Return what the client is made with."""
    speed = options.speed
    return ClientOptions(
        concurrency=speed.concurrency,
        max_uploads=speed.max_concurrency,
        rate=speed.rate or None,
        max_upload_rate=speed.max_upload_rate,
        settle_after=options.going_on.settle_after,
    )


def upload_config(options: Options, *, attach_to: Sequence[str] = ()) -> UploadConfig:
    """Return the options of the uploader.

    Args:
        options: The options of the command.
        attach_to: Ids of the projects that they name.

    Raises:
        ConfigurationError: One is out of its range.
    """
    where, files, checks = options.where, options.files, options.checks
    speed, going_on, stops = options.speed, options.going_on, options.stops
    return UploadConfig(
        attach_to=tuple(attach_to),
        max_per_dataset=where.max_per_dataset,
        skip_existing=not where.no_skip,
        include=tuple(files.include or ()),
        exclude=tuple(files.exclude or ()),
        include_hidden=files.hidden,
        symlinks=files.symlinks,
        name=files.name,
        name_separator=files.name_separator,
        on_clash=files.on_clash,
        check=checks.check,
        max_bytes=checks.max_bytes,
        check_links=checks.check_links,
        allow_private_links=checks.allow_private_links,
        verify=checks.verify,
        remove_doubles=checks.remove_doubles,
        concurrency=speed.concurrency,
        journal=False if going_on.no_journal else going_on.journal or True,
        fresh=going_on.fresh,
        identity=going_on.identity,
        max_files=stops.max_files,
        max_bytes_total=stops.max_bytes_total,
        max_failures=stops.max_failures,
        max_duration=stops.max_duration,
    )
