"""Import labels out of files.

* `_label_files`: the labels of a file or folder in one of the formats there are, into a project.
"""

from __future__ import annotations

from datagym_async._public import publish
from datagym_async.imports._label_files import ImportedLabels, LabelImport

__all__ = ["ImportedLabels", "LabelImport"]

publish(globals())
