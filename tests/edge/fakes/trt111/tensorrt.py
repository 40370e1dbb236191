"""Stands in for the Python module of TensorRT 11.1, JetPack 7.2; see ../core/fakegpu/__init__.py."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "core"))

from fakegpu.module import fill  # noqa: E402

fill(globals(), "11.1.0.106")
del fill, os, sys
