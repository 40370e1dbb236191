"""One backend in the place of another that is not there yet."""

import logging
from typing import Callable, Dict, Tuple

import numpy as np

from edge.errors import BackendError
from edge.runtime.backends.base import Backend

LOG = logging.getLogger("carcloud.backends")


class Fallback(Backend):
    """Runs a spare backend until the wanted one can be opened.

    spare: what runs meanwhile. opener: opens the wanted one, or raises BackendError with the reason why not.
    """

    def __init__(self, spare: Backend, opener: Callable[[], Backend]) -> None:
        self._backend = spare
        self._opener = opener
        self._retry = False

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._backend.name

    @property
    def detail(self) -> str:  # type: ignore[override]
        return self._backend.detail

    @property
    def precision(self) -> str:  # type: ignore[override]
        return self._backend.precision

    def retry(self) -> None:
        """Try the wanted backend with the next run, in the thread that runs it. From any thread."""
        self._retry = True

    def buffer(self, shape: Tuple[int, ...]) -> np.ndarray:
        return self._backend.buffer(shape)

    def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        if self._retry:
            self._retry = False
            self._change()
        return self._backend.run(inputs)

    def close(self) -> None:
        self._backend.close()

    def _change(self) -> None:
        try:
            wanted = self._opener()
        except BackendError as error:
            LOG.warning("event=fallback %s. %s goes on", error, self._backend.detail)
            return
        self._backend.close()
        self._backend = wanted
        LOG.warning("event=backend from now on it is %s", wanted.detail)
