"""The measurements behind ``carcloud bench``: stages, networks alone, pull latency, and a reference for machines."""

import os
import threading
import time
from array import array
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from edge.bundle import Graph
from edge.errors import CarcloudError, NoCarError
from edge.runtime.backends import Backend
from edge.runtime.capture import NewestFrame
from edge.runtime.finder import Finder
from edge.runtime.following import Follower
from edge.runtime.pipeline import Glimpse, Pipeline, Result
from edge.runtime.reconstructor import Box, Reconstructor
from edge.runtime.sources import Frame, Source, open_source

#: Results left out at the start: the first runs fill caches and start threads.
WARM_UP = 5
#: Side of the matrices of the reference loop, and how often they are multiplied.
REFERENCE_SIZE, REFERENCE_LOOPS = 512, 16
#: In their order; "find" only where the car is looked for, "colour" only where the network tells the pose.
STAGES = ("capture", "find", "crop", "network", "fusion", "silhouette", "handover", "average", "colour")


class Stage(NamedTuple):
    """Milliseconds."""

    median: float
    p90: float


class PipelineFigures(NamedTuple):
    """stages: by name. fps: frames a second end to end. frames: how many were measured. points: median of a cloud.

    seconds: median time between results in the first and in the last tenth. megabytes: of memory that the process held
    after the first tenth and at the end, NaN where the system does not tell.
    """

    stages: Dict[str, Stage]
    fps: float
    frames: int
    points: int
    seconds: Tuple[float, float]
    megabytes: Tuple[float, float]


class PullFigures(NamedTuple):
    """What pull clients saw. latency: from publication to the decoded cloud. rate: clouds a second and client."""

    clients: int
    latency: Stage
    rate: float
    clouds: int


class Where(NamedTuple):
    """Where the car is: a box, or a finder that looks for it, or neither: then it fills the picture. average: whether
    its cloud is averaged over the frames."""

    box: Optional[Box] = None
    finder: Optional[Finder] = None
    average: bool = False

    def follower(self) -> Optional[Follower]:
        """Follows the car of a new run, None without a finder."""
        return None if self.finder is None else Follower(self.finder)


class Repeated(Source):
    """A source that is opened again when it ends, so that a short clip can be measured for long."""

    def __init__(self, opener: Callable[[], Source]) -> None:
        self._opener = opener
        self._source = opener()
        super().__init__(self._source.uri, self._source.on_demand)
        self._seq = 0
        self._stopped = False

    def read(self) -> Optional[Frame]:
        frame = self._source.read()
        if frame is None and not self._stopped:
            self._source.close()
            self._source = self._opener()
            frame = self._source.read()
        if frame is None:
            self.ending = self._source.ending
            return None
        self._seq += 1
        return frame._replace(seq=self._seq)

    def describe(self) -> str:
        return self._source.describe()

    def stop(self) -> None:
        self._stopped = True
        self._source.stop()

    def close(self) -> None:
        self._source.close()


def stage(values: List[float]) -> Stage:
    """Median and 90th percentile; NaN of nothing."""
    if not values:
        return Stage(float("nan"), float("nan"))
    return Stage(float(np.median(values)), float(np.percentile(values, 90)))


def measure_network(backend: Backend, graph: Graph, runs: int) -> Stage:
    """Milliseconds of one network alone, in its backend and on noise, in ``runs`` runs after the warm-up.

    Copies between host and device count: the pipeline has them too. Raises BackendError from the network.
    """
    noise = np.random.RandomState(0).standard_normal(graph.input_shape).astype(np.float32)
    times = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        backend.run({graph.input_name: noise})
        times.append((time.perf_counter() - start) * 1e3)
    return stage(times[WARM_UP:])


def measure_pipeline(
    uri: str, reconstructor: Reconstructor, where: Where, frames: int, on_frame: Callable[[int], None]
) -> PipelineFigures:
    """Run a source through the pipeline for ``frames`` results after the warm-up."""
    stop = threading.Event()
    # Plain numbers: thousands of dictionaries would show as memory that the pipeline holds.
    timings: Dict[str, "array[float]"] = {}
    sizes, times = array("l"), array("d")
    held: List[float] = []
    total = frames + WARM_UP

    def sink(result: Result) -> None:
        # Neither pictures nor clouds are kept: thousands of them would fill the memory that is measured.
        for name, value in result.timings.items():
            timings.setdefault(name, array("d")).append(value)
        sizes.append(len(result.reconstruction.cloud.points))
        times.append(time.perf_counter())
        if len(times) in (WARM_UP + max(1, frames // 10), total):
            held.append(resident())
        on_frame(min(len(times), total))
        if len(times) >= total:
            stop.set()

    unseen: List[int] = []

    def empty(glimpse: Glimpse) -> None:
        unseen.append(glimpse.seq)
        if len(unseen) >= 10 * total:
            stop.set()

    with NewestFrame(Repeated(lambda: open_source(uri))) as newest:
        Pipeline(newest, reconstructor, sink, where.box, where.follower(), empty, where.average).run(stop)
    if len(times) < total and unseen:
        raise NoCarError(
            "in %d frames of %s no car was found, and in %d one was; say where it is with --box x,y,width,height, or "
            "that it fills the picture with --no-find" % (len(unseen), newest.source.uri, len(times))
        )
    if len(times) < total:
        raise CarcloudError("%s gave %d frames only; bench needs %d" % (newest.source.uri, len(times), total))
    elapsed = times[total - 1] - times[WARM_UP - 1]
    stages = {name: stage(list(timings[name][WARM_UP:total])) for name in STAGES if name in timings}
    gaps, tenth = np.diff(times[WARM_UP - 1 : total]), max(1, frames // 10)
    return PipelineFigures(
        stages, frames / elapsed, frames, int(np.median(sizes[WARM_UP:total])),
        (float(np.median(gaps[:tenth])), float(np.median(gaps[-tenth:]))), (held[0], held[-1]),
    )  # fmt: skip


def resident() -> float:
    """Megabytes (2**20 bytes) of memory that this process holds; NaN where the system does not tell (not Linux)."""
    try:
        with open("/proc/self/statm") as handle:
            return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2.0**20
    except (OSError, ValueError, IndexError, AttributeError):  # no such file, or no sysconf
        return float("nan")


class OtherProcesses:
    """How much of the processor others than this process use, from when it is made."""

    def __init__(self, stat: str = "/proc/stat") -> None:
        self._stat = stat
        self._start, self._busy, self._own = time.monotonic(), busy_seconds(stat), own_seconds()

    def cores(self) -> Optional[float]:
        """So many cores on average; on a virtual machine those that it was denied count too. None where not told."""
        now, own = busy_seconds(self._stat), own_seconds() - self._own
        # Some sandboxes tell zeros: nobody uses less than this process alone. Its ticks are of 10 ms.
        if now is None or self._busy is None or now - self._busy < 0.8 * own - 0.1:
            return None
        return max(0.0, now - self._busy - own) / max(time.monotonic() - self._start, 1e-9)


def busy_seconds(stat: str = "/proc/stat") -> Optional[float]:
    """Seconds that the cores have worked since the machine started, summed; None where not told (not Linux)."""
    try:
        with open(stat, encoding="ascii") as handle:
            ticks = [int(word) for word in handle.readline().split()[1:9]]
        # user, nice, system, idle, iowait, irq, softirq, steal
        return (sum(ticks) - ticks[3] - ticks[4]) / float(os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def own_seconds() -> float:
    """Seconds that the cores have worked for this process."""
    return sum(os.times()[:2])


def measure_pulls(
    uri: str, reconstructor: Reconstructor, where: Where, clients: int, seconds: float
) -> PullFigures:
    """Serve the live pipeline on a loopback port and pull from it with so many clients, all in this process."""
    from edge.server.app import create_app
    from edge.server.hub import Hub
    from edge.server.serving import Server

    hub = Hub(max_waiting=clients + 1)
    server = Server(create_app(hub), port=0)
    stop = threading.Event()
    latencies: List[List[float]] = [[] for _ in range(clients)]
    errors: List[Exception] = []
    with NewestFrame(Repeated(lambda: open_source(uri))) as newest:
        pipeline = Pipeline(
            newest, reconstructor, hub.publish, where.box, where.follower(), hub.publish_unseen, where.average
        )
        jobs = [lambda: pipeline.run(stop)] + [_puller(server.url, into, stop) for into in latencies]
        threads = [threading.Thread(target=_guarded, args=(job, errors, stop), daemon=True) for job in jobs]
        server.start()
        try:
            for thread in threads:
                thread.start()
            stop.wait(seconds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            hub.close()
            server.stop()
    if errors:
        raise errors[0]
    # The first cloud of a client pays for its connection.
    values = [value for one in latencies for value in one[1:]]
    if not values:
        raise CarcloudError("no cloud was pulled in %g s; give more time: --seconds %g" % (seconds, seconds * 4))
    return PullFigures(clients, stage(values), len(values) / seconds / clients, len(values))


def time_reference() -> List[float]:
    """Milliseconds of 512 x 512 float32 matrix products in NumPy: 0.27 GFLOP, on as many threads as its BLAS takes."""
    rng = np.random.RandomState(0)
    a, b = (rng.rand(REFERENCE_SIZE, REFERENCE_SIZE).astype(np.float32) for _ in range(2))
    times = []
    for _ in range(REFERENCE_LOOPS):
        start = time.perf_counter()
        np.matmul(a, b)
        times.append((time.perf_counter() - start) * 1e3)
    return times[WARM_UP:]


def _puller(url: str, into: List[float], stop: threading.Event) -> Callable[[], Any]:
    from edge.client.pull import PullClient
    from edge.errors import ServerError

    def pull() -> None:
        with PullClient(url) as client:
            while not stop.is_set():
                try:
                    packet = client.next(0.5)
                except ServerError:  # nothing yet; a network may take longer than this for one frame
                    continue
                into.append(time.monotonic() * 1e3 - packet.published_us / 1e3)

    return pull


def _guarded(job: Callable[[], Any], errors: List[Exception], stop: threading.Event) -> None:
    try:
        job()
    except Exception as error:  # noqa: BLE001  raised again in the main thread
        errors.append(error)
        stop.set()
