"""Doctor's look at the clock: certificates and logs need the right time, and a Nano has no battery to keep it."""

import ctypes
import os
import time
from typing import Callable, Optional

from edge.cli.check import OK, WARNING, Check

#: Years in which carcloud may be running; a board that has never heard of the time begins in 1970 or its image's year.
YEARS = (2025, 2060)
#: The kernel's clock counts as synchronised while its error stays below this, microseconds (as for timedatectl).
MAX_ERROR_US = 16000000
#: Where systemd-timesyncd says that it has heard of the time (systemd 239 and later).
SYNCHRONISED = "run/systemd/timesync/synchronized"


class Timex(ctypes.Structure):
    """The beginning of the kernel's ``struct timex``, and room for the rest of it."""

    _fields_ = [
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_long * 60),
    ]  # fmt: skip


def kernel_error_us() -> Optional[int]:
    """The error that the kernel ascribes to its clock, microseconds; None where it cannot be asked. Changes nothing."""
    asked = Timex()
    try:
        status = ctypes.CDLL(None).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):  # no such library, or another one's function
        return None
    return None if status < 0 else int(asked.maxerror)


def check_clock(
    root: str = "/", now: Optional[float] = None, error_us: Callable[[], Optional[int]] = kernel_error_us
) -> Check:
    """Whether the year makes sense, and the time is kept by another clock. now: seconds since 1970."""
    moment = time.gmtime(time.time() if now is None else now)
    text = time.strftime("%Y-%m-%d %H:%M UTC", moment)
    fix = "sudo timedatectl set-ntp true   (needs a network; or: sudo date -s '2027-01-31 12:00')"
    if not YEARS[0] <= moment.tm_year <= YEARS[1]:
        return Check("clock", WARNING, text + " cannot be right; https and logs will be wrong", fix)
    if os.path.exists(os.path.join(root, SYNCHRONISED)):
        return Check("clock", OK, text + ", synchronised")
    error = error_us()
    if error is None:
        return Check("clock", OK, text + "; whether it is synchronised is not told here")
    if error >= MAX_ERROR_US:
        return Check("clock", WARNING, text + ", not synchronised with any other clock", fix)
    return Check("clock", OK, text + ", synchronised")
