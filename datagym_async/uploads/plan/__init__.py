"""The plan of an upload and its journal."""
