"""Stands in for the Python module of TensorRT 10.3, JetPack 6.1 and 6.2; see ../core/fakegpu/__init__.py."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "core"))

from fakegpu.module import fill  # noqa: E402

fill(globals(), "10.3.0")
del fill, os, sys
