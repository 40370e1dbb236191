"""How a machine was doing while something was measured on it, and whether it slowed itself down."""

import threading
from typing import Dict, NamedTuple, Optional

from edge.runtime.board import Clocks, read_clocks, read_temperatures, read_trips

#: A clock counts as below its maximum from this part of it downwards: kernels round.
BELOW = 0.98


class Range(NamedTuple):
    """The lowest and the highest that was read."""

    low: float
    high: float

    def and_(self, value: float) -> "Range":
        """Widened to a value."""
        return Range(min(self.low, value), max(self.high, value))


class Watch:
    """Reads clocks and temperatures while a measurement runs: as a context, in a thread of its own, or with
    :meth:`sample` between frames. A reading opens some twenty small files. Not tried on a board.

    samples: readings so far. gpu_mhz, cpu_mhz: Range of the clocks, None where not told. temperatures: Range by zone.
    gpu_max_mhz, cpu_max_mhz: Range of what the clocks might have been, counting from before the measurement.
    hot: the first zone that was at or above its trip point, "" if none was.
    """

    def __init__(self, root: str = "/", period: float = 0.25) -> None:
        """period: seconds between two readings of the thread. The first one comes after that time, under load."""
        self.samples = 0
        self.hot = ""
        self.temperatures: Dict[str, Range] = {}
        self._root, self._period = root, period
        self._trips = read_trips(root)
        self._ranges: Dict[str, Range] = {}
        self._slow: Optional[str] = None
        clocks = read_clocks(root)
        for name in ("gpu_max_mhz", "cpu_max_mhz"):
            self._widen(name, getattr(clocks, name))
        self._stop = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def sample(self) -> None:
        """Read once."""
        clocks, temperatures = read_clocks(self._root), read_temperatures(self._root)
        for name, value in clocks._asdict().items():
            self._widen(name, value)
        for name, value in temperatures.items():
            self.temperatures[name] = self.temperatures.get(name, Range(value, value)).and_(value)
        self.samples += 1
        self._slow = self._slow or self._slowed(clocks, temperatures)

    @property
    def gpu_mhz(self) -> Optional[Range]:
        return self._ranges.get("gpu_mhz")

    @property
    def cpu_mhz(self) -> Optional[Range]:
        return self._ranges.get("cpu_mhz")

    @property
    def gpu_max_mhz(self) -> Optional[Range]:
        return self._ranges.get("gpu_max_mhz")

    @property
    def cpu_max_mhz(self) -> Optional[Range]:
        return self._ranges.get("cpu_max_mhz")

    @property
    def throttled(self) -> Optional[bool]:
        """Whether the machine slowed itself down.

        True: in some reading a zone was at or above its lowest passive or hot trip point *and* a clock was below 98 %
        of the highest that was allowed since the watch began; or that allowed maximum itself fell, be it for heat,
        for want of current, or because somebody changed the power mode. False: neither happened, and a clock
        with its maximum and a zone with such a trip point could be read. None: that could not be read.

        Not counted, for they are of type active: the limits of voltage that a Nano sets at 66 and 86 C (CPU) and 83 C
        (GPU) and that may cost a step of the clock.
        """
        if self._slow or self._fallen():
            return True
        clocks = any(self._ranges.get(n + "_mhz") and self._ranges.get(n + "_max_mhz") for n in ("gpu", "cpu"))
        return False if clocks and self._trips.keys() & self.temperatures.keys() else None

    @property
    def reason(self) -> str:
        """Why :attr:`throttled` is what it is, in words."""
        if self.throttled:
            return self._slow or self._fallen()
        if self.throttled is False:
            near = min(
                ((self._trips[name] - self.temperatures[name].high, name) for name in self._trips
                 if name in self.temperatures)
            )  # fmt: skip
            if near[0] <= 0:
                return "%s was at its trip point of %.1f C, but no clock fell" % (near[1], self._trips[near[1]])
            return "%s stayed %.0f C below its trip point of %.1f C" % (near[1], near[0], self._trips[near[1]])
        if not self.samples:
            return "the measurement was over before anything was read"
        if not self.temperatures:
            return "this machine tells no temperature"
        if not self._trips.keys() & self.temperatures.keys():
            return "this machine tells no temperature at which it slows down"
        return "this machine tells no clock"

    def _run(self) -> None:
        while not self._stop.wait(self._period):
            self.sample()

    def _widen(self, name: str, value: Optional[float]) -> None:
        if value is not None:
            self._ranges[name] = self._ranges.get(name, Range(value, value)).and_(value)

    def _slowed(self, clocks: Clocks, temperatures: Dict[str, float]) -> Optional[str]:
        hot = [name for name, trip in sorted(self._trips.items()) if temperatures.get(name, -273.0) >= trip]
        self.hot = self.hot or "".join(hot[:1])
        for name, now in (("GPU", clocks.gpu_mhz), ("CPU", clocks.cpu_mhz)):
            most = self._ranges.get(name.lower() + "_max_mhz")
            if hot and now is not None and most is not None and now < BELOW * most.high:
                return "the %s ran at %.0f of %.0f MHz while %s was at %.1f C; it slows down from %.1f C on" % (
                    name, now, most.high, hot[0], temperatures[hot[0]], self._trips[hot[0]],
                )  # fmt: skip
        return None

    def _fallen(self) -> str:
        for name in ("GPU", "CPU"):
            most = self._ranges.get(name.lower() + "_max_mhz")
            if most is not None and most.low < BELOW * most.high:
                return "what the %s may run at fell from %.0f to %.0f MHz" % (name, most.high, most.low)
        return ""
