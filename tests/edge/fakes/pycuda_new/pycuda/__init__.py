"""Stands in for pycuda 2022.1; see ../../core/fakegpu/__init__.py."""

VERSION = (2022, 1)
VERSION_STATUS = ""
VERSION_TEXT = "2022.1"
