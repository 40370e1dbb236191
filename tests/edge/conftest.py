"""Makes ``from tests.edge.helpers import ...`` work on Python 3.6.

With --import-mode=importlib pytest 7.0, the last for 3.6, leaves an empty stand-in for each package above a test
module in sys.modules if the package was not imported before; helpers beside the tests are then out of reach.
So the real packages are imported here, first. Newer versions of pytest do so by themselves.
"""

import importlib
import sys

for _name in ("tests", "tests.edge", "tests.edge.cli", "tests.edge.client", "tests.edge.runtime", "tests.edge.server"):
    if not hasattr(sys.modules.get(_name), "__path__"):
        sys.modules.pop(_name, None)
        importlib.import_module(_name)
