"""Stands in for the CUDA runtime of cuda-python 12.6; see core/fakegpu/__init__.py."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "core"))

from fakegpu.cuda_runtime import fill  # noqa: E402

fill(globals(), loads_driver=True)
del fill, os, sys
