"""Stands in for the Python module of TensorRT 8.0, JetPack 4.6; see ../core/fakegpu/__init__.py."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "core"))

from fakegpu.module import fill  # noqa: E402

fill(globals(), "8.0.1.6")
del fill, os, sys
