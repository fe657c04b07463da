"""The plan of an upload and its journal, in reading order.

* `_plan`: the plan of a run: items go in, are sorted, claim names, and are handed out.
* `_tables`: its tables and every statement on them, the journal's schema among them.
* `_rows`: an item as a row, its identity, its outcome, and the listing of the target.
* `_names`: which items earlier runs have left, which item gets a name that several want, and how
  clashes are numbered.
* `_journal`: the file of a plan: its job, its lock, its checks; journals are listed and deleted.
"""

# ruff: noqa: F401 -- what a package of ours alone imports is what it exports

from datagym_async.uploads.plan._journal import (
    Job,
    JobSummary,
    check_place,
    clean_jobs,
    jobs_folder,
    journal,
    journal_path,
    list_jobs,
    show_job,
)
from datagym_async.uploads.plan._names import Claim, Verdict, judge, numbered
from datagym_async.uploads.plan._plan import Plan, Planned
from datagym_async.uploads.plan._rows import Added
from datagym_async.uploads.plan._tables import OF_ONE_RUN, SCHEMA, State, stated
