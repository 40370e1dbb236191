"""What a process asks of Linux for itself: to end with the one that started it, and to be killed before others."""

import ctypes
import os
import signal

#: prctl's option: the signal that this process gets when the thread that started it ends.
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Be killed when the process that started this one ends, whatever of. Without effect where there is no prctl."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    except (OSError, AttributeError, TypeError):  # no Linux
        return


def be_killed_first() -> None:
    """When memory runs out, this process goes before any other. Without effect where Linux does not tell."""
    path = "/proc/self/oom_score_adj"
    if os.path.exists(path):
        try:
            with open(path, "w") as handle:
                handle.write("1000")
        except OSError:  # a container may forbid it; then the kernel chooses by size, and this one is large
            return
