"""Stands in for pycuda 2019.1.2; see ../../core/fakegpu/__init__.py."""

VERSION = (2019, 1, 2)
VERSION_STATUS = ""
VERSION_TEXT = "2019.1.2"
