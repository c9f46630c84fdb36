"""A real kind cluster for tests, made from public images or, where none can be pulled, from source.

Standard library only: it runs before any virtual environment exists.
"""
