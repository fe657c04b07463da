"""The ways to upload a folder that are compared; each runs in a fresh process of its own.

Each module is called with a folder, the server's address and a number of workers, uploads every
file of the folder, and prints what it took (`benchmarks.measure`). Those that run in the side
environment import nothing but the standard library and what they measure.
"""
