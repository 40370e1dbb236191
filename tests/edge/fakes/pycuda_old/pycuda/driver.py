"""Without Device.retain_primary_context."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "core"))

from fakegpu.pycuda_driver import fill  # noqa: E402

fill(globals(), primary=False)
del fill, os, sys
