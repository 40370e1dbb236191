"""Eight clients at once, some of them bad: what each gets, how old it is, and what it costs the server.

    python -m tests.edge.server.load --seconds 600

A ``carcloud replay`` in a process of its own publishes clouds at a camera's rate through the real hub, application and
sockets; each client is a process too. All ages are of one clock, that of this machine. Exit code 1, with a sentence
each, if goals are missed. A measurement and no test: what else this machine does shows in it.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from edge import wire
from edge.cli.bench import machine
from edge.cli.playback import LOOP_PAUSE
from edge.client.log import CLOUD, SESSION, STATUS, LogWriter
from edge.geometry import Cloud
from tests.edge import helpers
from tests.edge.server import loadfigures
from tests.edge.server.fake import car_cloud

#: Seconds of clouds in the log, which is played again and again.
LOG_SECONDS = 10.0
#: The client whose frames have an age to keep, and the one that is slower still, bytes a second.
THIN, THINNEST = 1000000, 200000
#: Seconds between two lines of progress, and for which anything may take its time to begin or to end.
LINE, PATIENCE = 30.0, 120.0


def write_log(path, points, rate, seconds):
    """A log as ``carcloud record`` writes it, of a car that turns, which plays at ``rate`` clouds a second, the pause
    at its end included. Returns the bytes of a cloud."""
    cloud, count = car_cloud(points), max(2, int(round(rate * seconds)))
    step = (count / float(rate) - LOOP_PAUSE) / (count - 1)
    shade = np.rint(255 * (cloud.points - cloud.points.min(0)) / np.ptp(cloud.points, axis=0)).astype(np.uint8)
    with LogWriter(path) as log:
        log.append(SESSION, 0, {"url": "made by the load"})
        log.append(STATUS, 0, {"bundle": "none", "fps": rate, "timings_ms": {}})
        for number in range(count):
            angle = 2 * np.pi * number / count
            turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            turned = Cloud((cloud.points @ turn.T).astype(np.float32), cloud.confidence, shade,
                           mark=np.zeros(points, np.uint8))  # all the planes that a network here gives
            body = wire.encode(turned, number + 1, 0, 0)
            log.append(CLOUD, int(number * step * 1e6), {"age_ms": 0.0}, body)
    return len(body)


def environment():
    """That of this process without carcloud's settings; one thread, as the server computes nothing."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CARCLOUD_")}
    return dict(clean, PYTHONPATH=helpers.ROOT, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")


class Replay:
    """The server, a process. ``with`` ends it. port: where it listens."""

    def __init__(self, log):
        command = [sys.executable, "-m", "edge", "replay", log, "--loop", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
        printed = ""
        while "Ctrl-C" not in printed:
            line = self._process.stdout.readline().decode()
            if not line:
                self._process.communicate()
                raise RuntimeError("the server did not start; the reason is above")
            printed += line
        self.port = int(re.search(r"page +http://[^/]+:([0-9]+)/", printed).group(1))

    def memory(self):
        """Resident megabytes (2**20 bytes)."""
        with open("/proc/%d/statm" % self._process.pid) as handle:
            return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2.0**20

    def cpu(self):
        """Seconds of processor so far."""
        with open("/proc/%d/stat" % self._process.pid) as handle:
            fields = handle.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=PATIENCE)
        finally:
            self._process.kill()


class Clients:
    """The clients' processes; ``with`` ends them. limits: bytes a second by name, 0 for none, -1 for never reading."""

    def __init__(self, port, limits):
        self._limits, self._processes = limits, []
        for _, limit in limits:
            command = [sys.executable, "-m", "tests.edge.server.loadclient", "--port", str(port), "--rate", str(limit)]
            self._processes.append(subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), cwd=helpers.ROOT))

    def begin(self, seconds):
        """Wait until all are ready, and let them pull for so long. Returns when they begin."""
        for process in self._processes:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("a client did not start; the reason is above")
        begin = time.monotonic() + 0.5
        for process in self._processes:
            process.stdin.write(b"%r %r\n" % (begin, begin + seconds))
            process.stdin.flush()
        return begin

    def gather(self):
        """What each found, with its name and rate."""
        found = []
        for (name, limit), process in zip(self._limits, self._processes):
            out = process.communicate(timeout=PATIENCE)[0]
            if process.returncode != 0:
                raise RuntimeError("%s ended with exit code %d; the reason is above" % (name, process.returncode))
            found.append(dict(json.loads(out.decode()), name=name, rate=limit))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                process.communicate()


def measure(seconds, rate, points, fast, say=lambda text: None):
    """All figures as one dictionary for JSON, and what the clients found."""
    limits = [("fast %d" % (number + 1), 0) for number in range(fast)]
    limits += [("1 MB/s", THIN), ("200 kB/s", THINNEST), ("never reads", -1)]
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "load.cclog")
        size = write_log(path, points, rate, min(LOG_SECONDS, max(1.0, seconds)))
        with Replay(path) as server, Clients(server.port, limits) as clients:
            begin, memory = clients.begin(seconds), []
            wait_until(begin)
            cpu = server.cpu()
            for mark in loadfigures.MARKS:
                wait_until(begin + mark * seconds, lambda: say(
                    "%.0f of %g s, the server holds %.1f MB" % (time.monotonic() - begin, seconds, server.memory())))
                memory.append(server.memory())
            cores = (server.cpu() - cpu) / (time.monotonic() - begin)
            found = clients.gather()
    speed = loadfigures.published(found)
    return {
        "machine": machine(), "busy": busy, "seconds": seconds, "points": points, "frame_bytes": size,
        "wanted_per_s": rate, "published_per_s": speed,
        "clients": [loadfigures.of_client(one, speed, seconds) for one in found],
        "server": {"memory_mb": memory, "growth_percent": loadfigures.growth(memory), "cores": cores},
        "disorder": loadfigures.disorder(found),
    }, found


def wait_until(moment, tell=None):
    """Sleep until a moment of the monotonic clock; ``tell`` now and then."""
    while True:
        left = moment - time.monotonic()
        if left <= 0:
            return
        if tell is not None and left > LINE:
            tell()
        time.sleep(min(left, LINE))


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: %(default)g)")
    parser.add_argument("--rate", type=float, default=30.0, help="clouds a second (default: %(default)g)")
    parser.add_argument("--points", type=int, default=16384, help="points of a cloud (default: %(default)s)")
    parser.add_argument("--fast", type=int, default=5, metavar="N",
                        help="clients without a limit, besides the three others (default: %(default)s)")
    parser.add_argument("--goal-fast", type=float, default=0.9, metavar="PART",
                        help="of what is published, that fast clients get at least (default: %(default)s)")
    parser.add_argument("--goal-age", type=float, default=0.5, metavar="S",
                        help="seconds that a frame of the 1 MB/s client has at most (default: %(default)s)")
    parser.add_argument("--goal-growth", type=float, default=5.0, metavar="PERCENT",
                        help="growth of the server's memory, from 10 %% of the time on (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    if not (options.seconds >= 1 and 1 <= options.rate <= 1000 and 10 <= options.points <= wire.MAX_POINTS
            and 1 <= options.fast <= 25):
        parser.error("--seconds from 1, --rate from 1 to 1000, --points from 10, --fast from 1 to 25")
    figures, _ = measure(options.seconds, options.rate, options.points, options.fast,
                         lambda text: print(text, file=sys.stderr, flush=True))
    goals = {"fast": options.goal_fast, "age": options.goal_age, "age_of": THIN, "growth": options.goal_growth}
    figures["missed"] = loadfigures.missed(figures, goals)
    print(json.dumps(figures, indent=1) if options.json else "\n".join(loadfigures.table(figures)))
    for sentence in figures["missed"]:
        print("missed: %s" % sentence, file=sys.stderr)
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
