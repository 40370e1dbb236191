"""Checks a running server: pulls clouds, looks at each, says how fast and how old they were."""

import statistics
import sys
import time
from typing import Callable, List

import numpy as np

from edge.client.pull import NoCloud, PullClient
from edge.errors import ServerError, WireError
from edge.wire import Packet

#: A cloud must have more points than this, all of them within this cube (half its edge, canonical units).
LEAST_POINTS, CUBE = 500, 1.0
#: Longest time to wait for one cloud, seconds. The first one waits for the network to warm up.
PATIENCE = 30.0


def run_check(
    client: PullClient, count: int, still_worth_it: Callable[[], None], progress: Callable[[int], None]
) -> int:
    """Pull ``count`` clouds, look at each, print rate and age. Returns the exit code: 0 if all are sound, else 1.

    still_worth_it: called every second at least; raises if no cloud will ever come.
    progress: called with the number of clouds so far.
    """
    packets: List[Packet] = []
    ages: List[float] = []
    times: List[float] = []
    try:
        with client:
            while len(packets) < count:
                packets.append(_next(client, still_worth_it))
                times.append(time.monotonic())
                ages.append(client.age)
                examine(packets[-1], packets[-2].seq if len(packets) > 1 else 0)
                progress(len(packets))
    except (ServerError, WireError) as error:
        still_worth_it()
        print("check failed at cloud %d of %d: %s" % (max(1, len(packets)), count, error), file=sys.stderr)
        return 1
    points = [len(packet.cloud.points) for packet in packets]
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else float("nan")
    print("check passed: %d clouds, %.1f a second, median age %.0f ms, %d to %d points, %d skipped" % (
        len(packets), rate, 1e3 * statistics.median(ages), min(points), max(points), client.skipped))
    return 0


def _next(client: PullClient, still_worth_it: Callable[[], None]) -> Packet:
    deadline = time.monotonic() + PATIENCE
    while True:
        still_worth_it()
        try:
            return client.next(1.0)
        except NoCloud:
            if time.monotonic() > deadline:
                raise


def examine(packet: Packet, last_seq: int) -> None:
    """Raise WireError unless a cloud is newer than the last, large enough, finite and within the unit cube."""
    points = packet.cloud.points
    if packet.seq <= last_seq:
        raise WireError("cloud %d came after cloud %d" % (packet.seq, last_seq))
    if len(points) <= LEAST_POINTS:
        raise WireError("cloud %d has %d points, wanted are more than %d" % (packet.seq, len(points), LEAST_POINTS))
    if not np.isfinite(points).all():
        raise WireError("cloud %d has points that are not finite" % packet.seq)
    slack = 1e-6
    if (np.abs(points - packet.centre) > packet.half + slack).any():
        raise WireError("cloud %d has points outside its own box" % packet.seq)
    if np.abs(points).max() > CUBE:
        raise WireError("cloud %d reaches %.2f from the origin; a canonical car stays within %g"
                        % (packet.seq, np.abs(points).max(), CUBE))
