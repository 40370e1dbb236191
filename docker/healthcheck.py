"""Docker's health check: does the server in this container answer? Python 3.6; port from CARCLOUD_PORT."""

import os
import sys
from urllib.request import urlopen


def main() -> int:
    """0: it answers. 1: it does not, and why."""
    address = "http://127.0.0.1:" + os.environ.get("CARCLOUD_PORT", "8000") + "/healthz"
    try:
        with urlopen(address, timeout=5) as answer:
            answer.read()
    except OSError as error:
        print(f"{address} does not answer: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
