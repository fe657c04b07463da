"""Media names as they travel; the rule itself is with the values that hold names."""

from __future__ import annotations

from datagym_async.models._names import MAX_NAME_LENGTH, decode_name, encode_name, fold_name

__all__ = ["MAX_NAME_LENGTH", "decode_name", "encode_name", "fold_name"]
