"""The networks of a bundle that a command opens: the one that reconstructs, finder and silhouette where wanted."""

from contextlib import ExitStack
from typing import Optional, Tuple

from edge.bundle import Bundle, Graph
from edge.runtime.backends import Backend, open_backend
from edge.runtime.finder import Finder, open_finder
from edge.runtime.silhouette import Silhouette, open_silhouette
from edge.settings import Settings


def how(chosen: Settings) -> Tuple[str, int, str, Optional[str]]:
    """Backend, threads, precision and folder of engines, as all that open networks take them."""
    return chosen.backend, chosen.threads, chosen.precision, chosen.engines


def open_network(bundle: Bundle, chosen: Settings, graph: Optional[Graph] = None) -> Backend:
    """The network that reconstructs, or another ``graph`` of the bundle, as the settings want. Raises BackendError."""
    backend, threads, precision, engines = how(chosen)
    return open_backend(bundle, backend, threads, graph, precision, engines)


def enter_backend(stack: ExitStack, bundle: Bundle, chosen: Settings) -> Backend:
    """The backend of the network that reconstructs, which ``stack`` closes. Raises BackendError."""
    return stack.enter_context(open_network(bundle, chosen))


def enter_finder(stack: ExitStack, bundle: Bundle, chosen: Settings) -> Optional[Finder]:
    """The bundle's finder, which ``stack`` closes; None with --box or --no-find, or a bundle without one.

    Raises BackendError.
    """
    if not chosen.find or chosen.box is not None:
        return None
    finder = open_finder(bundle, *how(chosen))
    return None if finder is None else stack.enter_context(finder)


def enter_silhouette(stack: ExitStack, bundle: Bundle, chosen: Settings) -> Optional[Silhouette]:
    """The bundle's silhouette network, which ``stack`` closes; None for a bundle without one. Raises BackendError."""
    silhouette = open_silhouette(bundle, *how(chosen))
    return None if silhouette is None else stack.enter_context(silhouette)
