"""What every bulk job is; nothing here knows of uploads or downloads.

In reading order:

* `_engine`: `BulkRun`, one feeder and N workers between two queues, and when a run ends.
* `_options`: what options may be, and the limits at which a run ends.
* `_needs`: what jobs and the loader need of the resources below them.
* `_text`: how counts and sizes are said; the tally and the report of a run.
* `_disk`: reading, locking, and putting files in their places.
* `_database`: journals and manifests: one thread at a time, sealed, checked.
* `_decode`: images as Pillow sees them.
"""
