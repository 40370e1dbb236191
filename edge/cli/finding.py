"""The finder of a command, where its settings want one."""

from contextlib import ExitStack
from typing import Optional

from edge.bundle import Bundle
from edge.runtime.finder import Finder, open_finder
from edge.settings import Settings


def enter_finder(stack: ExitStack, bundle: Bundle, chosen: Settings) -> Optional[Finder]:
    """The bundle's finder, which ``stack`` closes; None with --box or --no-find, or a bundle without one.

    Raises BackendError.
    """
    if not chosen.find or chosen.box is not None:
        return None
    finder = open_finder(bundle, chosen.backend, chosen.threads)
    return None if finder is None else stack.enter_context(finder)
