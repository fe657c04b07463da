"""Converters between label values and other formats: pure, without any I/O of their own."""
