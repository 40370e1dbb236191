"""The further networks of a bundle that a command opens: finder and silhouette, where its settings want them."""

from contextlib import ExitStack
from typing import Optional

from edge.bundle import Bundle
from edge.runtime.finder import Finder, open_finder
from edge.runtime.silhouette import Silhouette, open_silhouette
from edge.settings import Settings


def enter_finder(stack: ExitStack, bundle: Bundle, chosen: Settings) -> Optional[Finder]:
    """The bundle's finder, which ``stack`` closes; None with --box or --no-find, or a bundle without one.

    Raises BackendError.
    """
    if not chosen.find or chosen.box is not None:
        return None
    finder = open_finder(bundle, chosen.backend, chosen.threads)
    return None if finder is None else stack.enter_context(finder)


def enter_silhouette(stack: ExitStack, bundle: Bundle, chosen: Settings) -> Optional[Silhouette]:
    """The bundle's silhouette network, which ``stack`` closes; None for a bundle without one. Raises BackendError."""
    silhouette = open_silhouette(bundle, chosen.backend, chosen.threads)
    return None if silhouette is None else stack.enter_context(silhouette)
