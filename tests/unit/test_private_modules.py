"""Tests import from packages; a private module is imported where it is what is tested."""

from __future__ import annotations

from typing import Final

from tests import house

SUBJECTS: Final = {
    "cli/conftest.py": {"cli._progress"},
    "cli/test_auth.py": {"cli._connect"},
    "cli/test_closing.py": {"cli._closing"},
    "cli/test_errors.py": {"_extras"},
    "cli/test_export.py": {"cli._export"},
    "cli/test_networks.py": {"cli._connect"},
    "cli/test_output.py": {"_threads"},
    "cli/test_signals.py": {"cli._signals"},
    "cli/test_terminal.py": {"cli._serve"},
    "faults/test_damage.py": {"downloads._manifest"},
    "functional/test_bitmaps.py": {"_runs._engine", "exports._bitmaps"},
    "functional/test_look_browser.py": {"look._gallery", "look._pages"},
    "functional/test_predict.py": {"predict._run"},
    "functional/test_transport_pages.py": {"_wire._pages", "resources._media"},
    "functional/test_upload_links.py": {"uploads._sending"},
    "functional/test_upload_prepare.py": {"_runs._images", "uploads._reading"},
    "fuzz.py": {"_runs._images", "downloads._manifest", "predict._run", "server._files"},
    "helpers/fake_library.py": {"data._listing"},
    "helpers/fake_service.py": {"models._names"},
    "helpers/label_files.py": {"formats._losses", "formats._raw"},
    "helpers/picture.py": {"look._subjects"},
    "helpers/simulated_run.py": {"_session", "uploads._tally"},
    "isolated/test_predict_processes.py": {"_processes"},
    "property/test_file_names.py": {"_files"},
    "property/test_fitted_labels.py": {"labels._geometry"},
    "property/test_formats.py": {"formats._masks"},
    "property/test_formats_classes.py": {
        "formats._classes",
        "formats._losses",
        "formats._mapping",
        "formats._raw",
    },
    "property/test_json_depth.py": {"_json"},
    "property/test_listings.py": {"_wire._codec"},
    "property/test_loader_order.py": {"data._order"},
    "property/test_loader_resume.py": {"data._config", "data._order"},
    "property/test_names.py": {"_printable", "models._names", "uploads._screening"},
    "property/test_uploads_family.py": {"uploads._target"},
    "property/test_uploads_structure.py": {"server._files"},
    "helpers/cluster_job.py": {"distributed._cluster"},
    "isolated/test_distributed.py": {"distributed._cluster", "distributed._jobs"},
    "unit/test_adaptive.py": {"_limits._adaptive"},
    "unit/test_download_plan.py": {"downloads._manifest"},
    "unit/test_exports_tasks.py": {"exports._tasks"},
    "unit/test_extras.py": {"_extras"},
    "unit/test_files.py": {"_files", "_locks"},
    "unit/test_formats_coco_files.py": {
        "formats._losses",
        "formats._masks",
        "formats._raw",
        "formats._table",
        "formats.coco._reading",
    },
    "unit/test_formats_geometry.py": {"formats._reading", "labels._geometry"},
    "unit/test_formats_json.py": {"formats._table"},
    "unit/test_formats_mapping.py": {
        "formats._labelled",
        "formats._losses",
        "formats._mapping",
        "formats._raw",
    },
    "unit/test_formats_xml.py": {"formats._losses", "formats._table"},
    "unit/test_formats_writing.py": {"formats._label_texts"},
    "unit/test_formats_yolo.py": {"formats._losses", "formats._raw", "formats._table"},
    "unit/test_groups.py": {"_threads"},
    "unit/test_home.py": {"_home"},
    "unit/test_json_depth.py": {"_json", "resources._base", "uploads.sources._lists"},
    "unit/test_limits_session.py": {"_session"},
    "unit/test_loader_bounds.py": {"data._config"},
    "unit/test_loader_cache.py": {"data._cache"},
    "unit/test_loader_images.py": {"data._config", "data._samples"},
    "unit/test_loader_listing.py": {"data._listing"},
    "unit/test_look_pages.py": {"look._pages"},
    "unit/test_look_stats.py": {"look._overlap", "look._pages", "look._stats"},
    "unit/test_printable.py": {"_printable", "_json"},
    "unit/test_runs_decode.py": {"_extras"},
    "unit/test_server_config_input.py": {"server._answers"},
    "unit/test_server_prediction_schema.py": {"server._prediction_schema"},
    "unit/test_server_values.py": {"server._labels"},
    "unit/test_server_words.py": {
        "models._names",
        "server._answers",
        "server._files",
        "server._links",
        "server._store",
    },
    "unit/test_session.py": {"_session"},
    "unit/test_threads.py": {"_threads"},
    "unit/test_transport_deadlines.py": {"_transport._base"},
    "unit/test_uploads_advice.py": {"uploads._advice"},
    "unit/test_uploads_events.py": {"uploads._tally"},
    "unit/test_uploads_holdings.py": {"uploads._target"},
    "unit/test_uploads_journal.py": {"_locks", "_runs._disk", "uploads.plan._journal"},
    "unit/test_uploads_open_files.py": {"uploads._reading"},
    "unit/test_uploads_prepare.py": {"_runs._images", "uploads._reading", "uploads._screening"},
    "unit/test_uploads_reading.py": {"uploads._reading"},
    "unit/test_uploads_report.py": {"uploads._tally"},
    "unit/test_uploads_screening.py": {"uploads._screening"},
    "unit/test_uploads_settling.py": {"uploads._settling", "uploads._target"},
    "unit/test_uploads_target.py": {"uploads._target"},
    "unit/test_uploads_verdicts.py": {"uploads._verdicts"},
    "unit/test_uploads_verify.py": {"uploads._tally", "uploads._settling"},
    "unit/test_uploads_watch.py": {"_extras"},
    "unit/test_url_screening.py": {"resources._links"},
    "unit/test_wire_names.py": {"models._names"},
    "unit/test_wire_pages.py": {"_wire._pages"},
    "unit/test_wire_routes.py": {"_wire._routes"},
}
"""What each test may import of private modules: those that it tests."""


def test_tests_import_private_modules_only_where_these_are_tested() -> None:
    """What else a test needs, its package exports; what is no longer imported leaves the table."""
    found = {
        path.removeprefix("tests/"): {name.removeprefix(f"{house.PACKAGE}.") for name in names}
        for path, names in house.private_imports().items()
    }

    assert found == SUBJECTS
