"""The embedded DataGym-compatible service."""
