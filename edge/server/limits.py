"""What one address may do: guess tokens, and ask. Bounded tables, safe to use from any thread."""

import collections
import ipaddress
import logging
import threading
import time
from enum import Enum
from typing import Callable, Generic, NamedTuple, Optional, TypeVar

LOG = logging.getLogger("carcloud.server")
#: Wrong tokens that an address may send at once, and seconds after which it regains one of them.
FREE_GUESSES, REGAIN_S = 10, 6.0
#: Seconds for which each further wrong one is held, and how many are held at once: of an address, of all.
HOLD_S, HELD_EACH, HELD_ALL = 1.0, 4, 16
#: Seconds for which an address that showed the right token is believed to know it.
TRUST_S = 600.0
#: Requests a second that an address may make in the long run, and at once. A page makes 60, eight of them 480.
RATE, BURST = 600.0, 1200.0
#: Addresses that are remembered; the one that was quiet for longest is forgotten first.
MOST_ADDRESSES = 4096

Entry = TypeVar("Entry")


def network_of(address: Optional[str]) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 host has for itself."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)


class _Table(Generic[Entry]):
    """One entry by address; not locked."""

    def __init__(self, make: Callable[[], Entry]) -> None:
        self._make = make
        self._entries: "collections.OrderedDict[str, Entry]" = collections.OrderedDict()

    def __getitem__(self, address: str) -> Entry:
        entry = self._entries.pop(address, None)
        self._entries[address] = entry = self._make() if entry is None else entry
        if len(self._entries) > MOST_ADDRESSES:
            self._entries.popitem(last=False)
        return entry


class Bucket:
    """A token bucket: ``size`` at once, ``rate`` a second in the long run."""

    def __init__(self, size: float, rate: float, now: float) -> None:
        self._size, self._rate, self._left, self._at = size, rate, size, now

    def take(self, now: float) -> bool:
        """Take one; False if there is none."""
        self._left = min(self._size, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Rates:
    """How often an address may ask."""

    def __init__(self, rate: float = RATE, burst: float = BURST, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets = _Table(lambda: Bucket(burst, rate, clock()))

    def allow(self, address: Optional[str]) -> bool:
        """Whether one more request from there is answered."""
        with self._lock:
            return self._buckets[network_of(address)].take(self._clock())


class Verdict(Enum):
    """What becomes of a request with a token."""

    RIGHT = "right"
    WRONG = "wrong"
    TOO_MANY = "too many"


class _Guesser:
    def __init__(self, free: int, now: float) -> None:
        self.bucket = Bucket(free, 1 / REGAIN_S, now)
        self.suspect = False
        self.trusted_until = now
        self.held = 0


class Guesses:
    """Slows down whoever tries tokens, and never locks out who has the right one.

    An address has ten wrong tries, and regains one each six seconds. While it has none left, each further wrong
    token is answered only after a second, at most four of them at a time, and beyond those nothing is looked at: so
    guessing goes at four tries a second for an address and sixteen for all, whatever it is done with. The right token
    is taken from everybody who is not at that moment holding all four; and always from an address that showed it
    within the last ten minutes.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
        free: int = FREE_GUESSES,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._guessers = _Table(lambda: _Guesser(free, clock()))
        self._held = 0

    def judge(self, address: Optional[str], same: bool) -> Verdict:
        """The verdict on a token; takes its time over a wrong one. same: whether it is the right one."""
        with self._lock:
            now, name = self._clock(), network_of(address)
            guesser = self._guessers[name]
            if guesser.suspect and not (same and now < guesser.trusted_until):
                if guesser.held >= HELD_EACH or self._held >= HELD_ALL:
                    return Verdict.TOO_MANY  # right or wrong: otherwise this would be the way to guess fast
            if same:
                guesser.trusted_until = now + TRUST_S
                return Verdict.RIGHT
            if guesser.bucket.take(now):
                guesser.suspect = False
                return Verdict.WRONG
            if not guesser.suspect:
                LOG.warning("event=token_guessing client=%s", name)
            guesser.suspect = True
            if guesser.held >= HELD_EACH or self._held >= HELD_ALL:
                return Verdict.TOO_MANY
            guesser.held += 1
            self._held += 1
        try:
            self._sleep(HOLD_S)
        finally:
            with self._lock:
                guesser.held -= 1
                self._held -= 1
        return Verdict.TOO_MANY


class Limits(NamedTuple):
    """Of one application."""

    guesses: Guesses
    rates: Rates


def new_limits() -> Limits:
    """Those that the module's constants say."""
    return Limits(Guesses(), Rates())
