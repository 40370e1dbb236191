"""Work spread over processes: the same results in the same order, however many there are."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

from edge.errors import DataError
from training.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def follow_parent() -> None:
    """End this process as soon as its parent is gone: nobody works for, or waits for, a parent that was killed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent: Any = multiprocessing.parent_process()
    wait([parent.sentinel])
    os._exit(1)


def _begin(start: Callable[[], object] | None) -> None:
    follow_parent()
    if start is not None:
        start()


class Workers:
    """Calls a function for every item, in ``count`` processes, or in this one if ``count`` is 1.

    Functions must stand at the top of a module and depend on nothing but their arguments and the files of the cache;
    then the number of processes changes no result. Processes are spawned, not forked: PyTorch's and OpenGL's threads
    do not survive a fork.

    start: called once in every process before its first item, for what all items need and what is too large to be
    sent with each.
    """

    def __init__(self, count: int = 1, start: Callable[[], object] | None = None) -> None:
        self.count, self._start = count, start
        self._started = False
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
        """Results in the order of ``items``. What a call raises is raised here; DataError if a process dies."""
        if self.count == 1 or len(items) < 2:
            if self._start is not None and not self._started:
                self._start()
                self._started = True
            return [function(item) for item in track(items, label)]
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.count, context, _begin, (self._start,))
        futures: list[Future[Result]] = []
        try:
            for item in items:
                futures.append(self._pool.submit(function, item))  # raises, too, if a process has died by now
            return [future.result() for future in track(futures, label)]
        except BrokenProcessPool as error:
            raise DataError(
                f"a worker process died during {label} (often: out of memory); what is done is kept in the cache, "
                "so run the same command again, with --workers 1"
            ) from error
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
