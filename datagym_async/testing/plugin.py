"""The fixtures of the pytest plugin, for a conftest.py that names them.

pytest finds them by itself where this package is installed. Where it looks for no plugins
(``PYTEST_DISABLE_PLUGIN_AUTOLOAD``), write ``pytest_plugins = ["datagym_async.testing.plugin"]``.
"""

from __future__ import annotations

from datagym_async._pytest_plugin import (
    datagym_client,
    datagym_faults,
    datagym_project,
    datagym_server,
    datagym_token,
)

__all__ = ["datagym_client", "datagym_faults", "datagym_project", "datagym_server", "datagym_token"]
