"""A second thread behind the first: what is done with a piece while the next one is being made."""

import threading
from typing import Any, Callable, List, Optional


class Stage:
    """Works on one piece at a time, in a thread of its own and in the order they are given; never a queue.

    Who gives waits until the piece before is done: two stages run at the rate of the slower one, and at most one piece
    is under way in each. Use it with ``with``: at the end the last piece is waited for.
    """

    def __init__(self, work: Callable[[Any], Any], name: str) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._pieces: List[Any] = []  # none or one
        self._failed: Optional[BaseException] = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> "Stage":
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if self._failed is not None and error is None:
            raise self._failed

    def give(self, piece: Any) -> None:
        """Hand over a piece. Raises what the work on an earlier piece raised; then nothing more is worked on."""
        with self._changed:
            while self._pieces and self._failed is None:
                self._changed.wait()
            if self._failed is not None:
                failed, self._failed = self._failed, None  # raised once
                self._closed = True
                raise failed
            self._pieces.append(piece)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._pieces and not self._closed:
                    self._changed.wait()
                if not self._pieces:
                    return
            try:
                self._work(self._pieces[0])
            except BaseException as error:  # noqa: BLE001  raised in the thread that gives
                with self._changed:
                    self._failed = error
                    self._changed.notify_all()
                return
            with self._changed:
                del self._pieces[:]
                self._changed.notify_all()
