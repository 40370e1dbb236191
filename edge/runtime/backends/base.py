"""The interface of a backend."""

from types import TracebackType
from typing import Dict, Optional, Tuple, Type

import numpy as np


class Backend:
    """Runs one network. Not safe for use by two threads at once: each thread opens its own.

    name: what ``--backend`` calls it. detail: version and device, for people. precision: what it computes in, one of
    :data:`edge.bundle.PRECISIONS`.
    """

    name = ""
    detail = ""
    precision = "fp32"

    def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Tensors by name in, tensors by name out. Raises BackendError if the network refuses the inputs."""
        raise NotImplementedError

    def buffer(self, shape: Tuple[int, ...]) -> np.ndarray:
        """A float32 array for an input, in memory from which this backend takes it in one copy."""
        return np.zeros(shape, np.float32)

    def close(self) -> None:
        """Free what the network holds; the backend cannot be used afterwards. May be called twice."""

    def __enter__(self) -> "Backend":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
