"""Measure the uploader against other ways to do its work, on loopback.

``python -m benchmarks.upload`` compares speed; ``python -m benchmarks.memory`` shows how memory
grows with the number of files.
"""
