"""Stands in for cuda-bindings 13.0: `cuda` is a namespace without a file of its own."""

__version__ = "13.0.3"
