"""One client of the load, a process of its own: pulls clouds over a plain socket, no faster than it is told to read.

Says "ready", waits for a line with the moments to begin and to end (of the monotonic clock, which all processes of a
machine share), and ends with a line of JSON.
"""

import argparse
import json
import select
import socket
import sys
import time

from edge import wire

#: A limited client reads so many seconds' worth of bytes at a time, and makes up for so many that it was late.
TICK, LATE = 0.01, 0.05
#: What the system may keep for a client that is limited, or does not read: little, so that it pushes back soon.
BUFFER = 16384
#: Seconds after which a server that says nothing is given up.
PATIENCE = 30.0
REQUEST = "GET /api/v1/cloud?after=%d&timeout=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#: Seconds between two requests of who never reads an answer.
PESTER = 0.25


class Tap:
    """Reads a socket through a token bucket. rate: bytes a second, 0 for as they come."""

    def __init__(self, rate):
        self._rate = rate
        self._due = 0.0

    def read(self, connection, most):
        """Up to ``most`` bytes. Raises ConnectionError at the end of the stream."""
        if self._rate:
            most = min(most, max(1, int(self._rate * TICK)))
            pause = self._due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
        data = connection.recv(most)
        if not data:
            raise ConnectionError("the server hung up")
        if self._rate:
            self._due = max(self._due, time.monotonic() - LATE) + len(data) / float(self._rate)
        return data


def connect(port, small):
    """A connection to the server on this machine. small: as one on a thin line, whose buffers hold little."""
    connection = socket.socket()
    if small:
        # Before it connects, so that the window that it offers is small from the start.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, tap, after):
    """One request; its status and body."""
    connection.sendall((REQUEST % after).encode("ascii"))
    data = b""
    while b"\r\n\r\n" not in data:
        data += tap.read(connection, 65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    parts, left = [rest], int(headers.get("content-length", "0")) - len(rest)
    while left > 0:
        parts.append(tap.read(connection, min(left, 262144)))
        left -= len(parts[-1])
    return int(lines[0].split(" ")[1]), b"".join(parts)


def pull(port, rate, end):
    """Ask for what is newer than the last, again and again, until ``end``.

    frames: of each its number, and the moments of its capture, of the request and of its last byte. bytes: of them.
    refused: answers that were neither a frame nor "nothing new". hung_up: how often the server ended the connection.
    """
    tap, after, connection = Tap(rate), 0, None
    found = {"frames": [], "bytes": 0, "refused": 0, "hung_up": 0}
    while time.monotonic() < end:
        try:
            connection = connection or connect(port, rate > 0)
            asked = time.monotonic()
            status, body = ask(connection, tap, after)
        except OSError:
            found["hung_up"] += 1
            connection = connection and connection.close()
            time.sleep(0.1)
            continue
        received = time.monotonic()
        if status == 200:
            packet = wire.decode(body)
            after = packet.seq
            found["frames"].append((packet.seq, packet.captured_us / 1e6, asked, received))
            found["bytes"] += len(body)
        elif status != 204:
            found["refused"] += 1
            time.sleep(0.1)
    return found


def pester(port, end):
    """Ask and never read, until ``end``; when the server ends the connection, begin with a new one."""
    found, connection = {"frames": [], "bytes": 0, "refused": 0, "hung_up": 0, "asked": 0}, None
    while time.monotonic() < end:
        try:
            connection = connection or connect(port, True)
            connection.settimeout(PESTER)
            connection.sendall((REQUEST % 0).encode("ascii"))
            found["asked"] += 1
        except socket.timeout:
            pass
        except OSError:
            found["hung_up"] += 1
            connection = connection and connection.close()
        if connection is not None and gone(connection, min(PESTER, end - time.monotonic())):
            found["hung_up"] += 1
            connection = connection.close()
    return found


def gone(connection, seconds):
    """Whether the other side ends a connection within that time; found out without reading."""
    watch = select.poll()
    watch.register(connection, 0)  # errors and a hang-up are told all the same
    return bool(watch.poll(max(0.0, seconds) * 1e3))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=int, default=0, help="bytes a second, 0 for no limit, -1 for never reading")
    options = parser.parse_args(arguments)
    print("ready", flush=True)
    begin, end = (float(word) for word in sys.stdin.readline().split())
    time.sleep(max(0.0, begin - time.monotonic()))
    found = pester(options.port, end) if options.rate < 0 else pull(options.port, options.rate, end)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
