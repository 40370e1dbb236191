"""Progress of a loop: a bar on a terminal, plain lines when piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
#: Seconds between two plain lines.
PAUSE = 10.0


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Iterate and show on standard error how far it is; loops shorter than PAUSE print nothing when piped."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, leave=False, delay=1.0)
        return
    start = said = time.monotonic()
    for index, item in enumerate(items):
        yield item
        now = time.monotonic()
        if now - said > PAUSE:
            said = now
            print(f"{label}: {index + 1} of {len(items)} after {now - start:.0f} s", file=sys.stderr, flush=True)
