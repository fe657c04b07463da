"""The sources of an upload, split into candidates. In reading order:

* `_leaves`: which values are sources: a path, a glob, a list, an item, a stream, the failed items
  of an earlier report, a collection of these.
* `_candidates`: what a source yields; names of files, and filters.
* `_folders`: folders and prefixes of object stores are walked, and globs matched.
* `_archives`: members of archives.
* `_lists`: lists of paths and URLs as .txt, .csv or .jsonl.
* `_open_files`: open files of the caller are measured, read and rewound.
* `_watch`: a folder that yields each file as it arrives.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from datagym_async.uploads._screening import Screening
from datagym_async.uploads.sources._candidates import Candidate, Filters, Naming, Rules
from datagym_async.uploads.sources._leaves import (
    Stream,
    check_sources,
    check_there,
    failed_items,
    leaves,
    read_report,
)
from datagym_async.uploads.sources._lists import MAX_LINE, in_list
from datagym_async.uploads.sources._open_files import Spool, size_of_open
from datagym_async.uploads.sources._watch import FolderWatch
