"""Stands in for the Python module of TensorRT 8.5, JetPack 5.1; see ../core/fakegpu/__init__.py."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "core"))

from fakegpu.module import fill  # noqa: E402

fill(globals(), "8.5.2.2")
del fill, os, sys
