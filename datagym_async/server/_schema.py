"""The tables, in one place.

Every table has `seq`, so that lists come in the order of creation, and ids are compared without
case, as the service's database does. Timestamps are milliseconds since the epoch. Flags are 0 or 1.
A column that ends in `_json` holds a JSON text. `folded` is `fold(name)` of `_fold`.
"""

__all__ = ["SCHEMA", "SCHEMA_VERSION"]

# Raised when a table changes its shape; a data folder with another number is refused with a
# sentence.
SCHEMA_VERSION = 1

_CORE = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS api_token (
    digest TEXT PRIMARY KEY, main INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS project (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    short_description TEXT,
    description TEXT,
    timestamp INTEGER NOT NULL,
    owner TEXT NOT NULL,
    media_type TEXT NOT NULL,
    config_id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    config_timestamp INTEGER NOT NULL,
    iteration_id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    iteration_run INTEGER NOT NULL DEFAULT 1,
    review_activated INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER
);

CREATE TABLE IF NOT EXISTS dataset (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    short_description TEXT,
    timestamp INTEGER NOT NULL,
    owner TEXT NOT NULL,
    media_type TEXT NOT NULL,
    deleted_at INTEGER
);
CREATE INDEX IF NOT EXISTS dataset_folded ON dataset (folded);

CREATE TABLE IF NOT EXISTS project_dataset (
    project_id TEXT NOT NULL COLLATE NOCASE REFERENCES project (id),
    dataset_id TEXT NOT NULL COLLATE NOCASE REFERENCES dataset (id),
    PRIMARY KEY (project_id, dataset_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS project_dataset_back ON project_dataset (dataset_id);

CREATE TABLE IF NOT EXISTS media (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    dataset_id TEXT NOT NULL COLLATE NOCASE REFERENCES dataset (id),
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    source TEXT NOT NULL,
    valid INTEGER NOT NULL DEFAULT 1,
    reason TEXT,
    url TEXT,
    url_folded TEXT,
    mime TEXT,
    size INTEGER NOT NULL DEFAULT 0,
    width INTEGER,
    height INTEGER,
    video_json TEXT,
    deleted_at INTEGER
);
CREATE INDEX IF NOT EXISTS media_of_dataset ON media (dataset_id, folded);
CREATE INDEX IF NOT EXISTS media_by_url ON media (dataset_id, url_folded);
"""

_LABELS = """
CREATE TABLE IF NOT EXISTS task (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    project_id TEXT NOT NULL COLLATE NOCASE REFERENCES project (id),
    media_id TEXT NOT NULL COLLATE NOCASE REFERENCES media (id),
    state TEXT NOT NULL DEFAULT 'BACKLOG',
    type TEXT NOT NULL DEFAULT 'DEFAULT',
    pre_label_state TEXT,
    labeler TEXT,
    review_comment TEXT,
    has_json_upload INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS task_of_project ON task (project_id, state);
CREATE INDEX IF NOT EXISTS task_of_media ON task (media_id);

CREATE TABLE IF NOT EXISTS lc_entry (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    config_id TEXT NOT NULL COLLATE NOCASE,
    parent_id TEXT COLLATE NOCASE REFERENCES lc_entry (id) ON DELETE CASCADE,
    entry_key TEXT NOT NULL,
    entry_value TEXT NOT NULL,
    type TEXT NOT NULL,
    color TEXT,
    shortcut TEXT,
    timestamp INTEGER NOT NULL,
    max_length INTEGER,
    required INTEGER NOT NULL DEFAULT 0,
    options_json TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS lc_entry_of_config ON lc_entry (config_id);
CREATE INDEX IF NOT EXISTS lc_entry_of_parent ON lc_entry (parent_id);

CREATE TABLE IF NOT EXISTS lc_value (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE COLLATE NOCASE,
    task_id TEXT NOT NULL COLLATE NOCASE REFERENCES task (id) ON DELETE CASCADE,
    entry_id TEXT NOT NULL COLLATE NOCASE REFERENCES lc_entry (id) ON DELETE CASCADE,
    parent_id TEXT COLLATE NOCASE REFERENCES lc_value (id) ON DELETE CASCADE,
    timestamp INTEGER NOT NULL,
    labeler TEXT,
    valid INTEGER NOT NULL DEFAULT 0,
    comment TEXT,
    payload_json TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS lc_value_of_task ON lc_value (task_id);
CREATE INDEX IF NOT EXISTS lc_value_of_entry ON lc_value (entry_id);
CREATE INDEX IF NOT EXISTS lc_value_of_parent ON lc_value (parent_id);
"""

SCHEMA = _CORE + _LABELS
