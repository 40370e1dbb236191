"""The log of a recording: records appended to one file, each with its length and checksums; see ``docs/client.md``.

Whatever ends the writer (a full disk, a kill, a power cut), all records before the last one are whole, and the reader
tells where they end.
"""

import json
import os
import struct
import zlib
from typing import IO, Any, Dict, List, NamedTuple, Optional, Tuple

from edge.errors import LogError

MAGIC = b"CCLOG\x00\r\n"
VERSION = 1
#: magic, version, header length, CRC-32 of the 12 bytes before.
HEADER = struct.Struct("<8sHHI")
SYNC = b"CCLR"
#: sync, kind, length of the facts, length of the body, time, CRC-32 of the body, CRC-32 of the 28 bytes before and the
#: facts.
RECORD = struct.Struct("<4sB3xIIQII")
#: What a record holds. A reader skips kinds it does not know.
SESSION, CLOUD, PICTURE, STATUS = 1, 2, 3, 4
#: More is no record of ours: facts are JSON of some hundred bytes, a body is a cloud or a JPEG.
MAX_FACTS, MAX_BODY = 1 << 20, 16 << 20
#: A record in the middle that is damaged is looked past in steps of this many bytes.
CHUNK = 1 << 20


class Entry(NamedTuple):
    """Where a record lies. kind: as above. facts: its JSON object. time_us: microseconds since the log began.
    start, body, end: file offsets of the record, of its body, and of what follows. checksum: of the body."""

    kind: int
    time_us: int
    facts: Dict[str, Any]
    start: int
    body: int
    end: int
    checksum: int


def pack(kind: int, time_us: int, facts: Dict[str, Any], body: bytes = b"") -> bytes:
    """One record as bytes. Raises LogError if it is larger than a reader takes."""
    text = json.dumps(facts, separators=(",", ":"), sort_keys=True).encode("utf-8")
    if len(text) > MAX_FACTS or len(body) > MAX_BODY:
        raise LogError("a record of %d + %d bytes is larger than a log takes (%d + %d); thin the clouds out"
                       % (len(text), len(body), MAX_FACTS, MAX_BODY))
    head = RECORD.pack(SYNC, kind, len(text), len(body), time_us, zlib.crc32(body), 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(text, zlib.crc32(head))) + text + body


class LogReader:
    """The records of a log. Opening reads their heads, not their bodies: an hour opens in a moment.

    entries: in the order they were written. warnings: a sentence for each part that is damaged and left out.
    size: of the file, bytes. good: of it up to the end of the last whole record. Raises LogError if this is no log.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.warnings: List[str] = []
        try:
            self._file: IO[bytes] = open(path, "rb")  # noqa: SIM115  closed by close()
        except OSError as error:
            raise LogError("cannot open the log %s: %s" % (path, error.strerror))
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            _check_header(path, self._file.read(HEADER.size))
            self.entries = self._scan()
        except BaseException:
            self._file.close()
            raise
        self.good = self.entries[-1].end if self.entries else HEADER.size

    def __enter__(self) -> "LogReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def of_kind(self, kind: int) -> List[Entry]:
        """The entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def body(self, entry: Entry) -> bytes:
        """The body of a record. Raises LogError if it is damaged."""
        body = self._read(entry.body, entry.end - entry.body)
        if zlib.crc32(body) != entry.checksum:
            raise LogError("%s: the record at byte %d is damaged; leave it out" % (self.path, entry.start))
        return body

    def _scan(self) -> List[Entry]:
        """Whole records; says what it leaves out. The last bodies are checked here: they may be half on the disk."""
        entries, position = [], HEADER.size
        while position < self.size:
            entry = self._entry(position)
            if entry is None:
                following = self._search(position + 1)
                if following is None:
                    break
                self.warnings.append("%s: %d bytes from byte %d on are damaged and left out" % (
                    self.path, following - position, position))
                position = following
                continue
            entries.append(entry)
            position = entry.end
        while entries and self._checksum(entries[-1]) != entries[-1].checksum:
            position = entries.pop().start
        if position < self.size:
            self.warnings.append("%s: its end is cut short (the recorder was killed, or the disk was full); %d bytes "
                                 "from byte %d on are left out" % (self.path, self.size - position, position))
        return entries

    def _checksum(self, entry: Entry) -> int:
        return zlib.crc32(self._read(entry.body, entry.end - entry.body))

    def _entry(self, position: int) -> Optional[Entry]:
        """The record at a position, None if there is no whole one."""
        head = self._read(position, RECORD.size)
        if len(head) < RECORD.size or head[:4] != SYNC:
            return None
        _, kind, text_length, body_length, time_us, checksum, head_checksum = RECORD.unpack(head)
        body = position + RECORD.size + text_length
        if text_length > MAX_FACTS or body_length > MAX_BODY or body + body_length > self.size:
            return None
        text = self._read(position + RECORD.size, text_length)
        if zlib.crc32(text, zlib.crc32(head[:-4])) != head_checksum:
            return None
        try:
            facts = json.loads(text.decode("utf-8"))
        except ValueError:
            return None
        if not isinstance(facts, dict):
            return None
        return Entry(kind, time_us, facts, position, body, body + body_length, checksum)

    def _search(self, position: int) -> Optional[int]:
        """The next position with a whole record, None if there is none."""
        while position < self.size:
            chunk = self._read(position, CHUNK + len(SYNC) - 1)
            found = chunk.find(SYNC)
            while found >= 0:
                if self._entry(position + found) is not None:
                    return position + found
                found = chunk.find(SYNC, found + 1)
            position += CHUNK
        return None

    def _read(self, position: int, length: int) -> bytes:
        self._file.seek(position)
        return self._file.read(length)


class LogWriter:
    """Appends records, each with one write, to a new log or (append) to one that is there. Not for several threads.

    A record is in the system's hands when :meth:`append` returns: a killed process loses none. :meth:`sync` puts them
    on the disk, against a power cut. size: bytes of the file. began_us: time of the first new record.
    warnings: as in LogReader, of what was cut off the log that is appended to. Raises LogError.
    """

    def __init__(self, path: str, append: bool = False) -> None:
        self.path = path
        self.warnings: List[str] = []
        self.began_us = 0
        self.records = 0
        if append and os.path.exists(path):
            self.size = self._prepare()
            flags = os.O_WRONLY
        else:
            self.size = 0
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._handle = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o644)
        except FileExistsError:
            raise LogError("%s is there already; give another --out, or add to it with --append" % path)
        except OSError as error:
            raise LogError("cannot write the log %s: %s" % (path, error.strerror))
        try:
            os.ftruncate(self._handle, self.size)
            os.lseek(self._handle, self.size, os.SEEK_SET)
            if self.size == 0:
                head = HEADER.pack(MAGIC, VERSION, HEADER.size, 0)[:-4]
                self._write(head + struct.pack("<I", zlib.crc32(head)))
        except BaseException:
            os.close(self._handle)
            raise

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, kind: int, time_us: int, facts: Dict[str, Any], body: bytes = b"") -> None:
        """Add a record. Raises LogError if it cannot be written whole; then the log ends with the record before."""
        self._write(pack(kind, time_us, facts, body))
        self.records += 1

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise LogError(self._failed(error))

    def close(self) -> None:
        """Put everything on the disk and close the file. Raises LogError if that fails."""
        if self._handle < 0:
            return
        try:
            self.sync()
        finally:
            os.close(self._handle)
            self._handle = -1

    def _prepare(self) -> int:
        """Look at the log to append to; returns the length to keep."""
        with LogReader(self.path) as reader:
            self.warnings = reader.warnings
            if reader.good < reader.size:
                self.warnings.append("%s: these bytes are cut off now" % self.path)
            # A second between two recordings, so that a replay does not run them into each other.
            self.began_us = reader.entries[-1].time_us + 1000000 if reader.entries else 0
            return reader.good

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:  # a disk that fills up takes a part first, and says why at the next write
                left = left[os.write(self._handle, left) :]
        except OSError as error:
            self._cut()
            raise LogError(self._failed(error))
        self.size += len(data)

    def _cut(self) -> None:
        """Take a part of a record away again. Where even this fails the reader leaves it out."""
        try:
            os.ftruncate(self._handle, self.size)
            os.lseek(self._handle, self.size, os.SEEK_SET)
        except OSError:
            pass

    def _failed(self, error: OSError) -> str:
        return "cannot write on in %s: %s; its first %d records (%.1f MB) are whole and can be read" % (
            self.path, error.strerror, self.records, self.size / 1e6)


def _check_header(path: str, head: bytes) -> None:
    if head[: len(MAGIC)] != MAGIC:
        raise LogError("%s is no log of carcloud record" % path)
    if len(head) < HEADER.size:
        raise LogError("%s is cut short within its header: there is nothing in it" % path)
    _, version, length, checksum = HEADER.unpack(head)
    if version != VERSION:
        raise LogError("%s has log version %d and this carcloud reads %d; install a newer carcloud"
                       % (path, version, VERSION))
    if length != HEADER.size or zlib.crc32(head[:-4]) != checksum:
        raise LogError("the header of %s is damaged; copy it again" % path)


def sentence_of(log: LogReader) -> str:
    """What is in a log, in words."""
    clouds, pictures = len(log.of_kind(CLOUD)), len(log.of_kind(PICTURE))
    return "%d clouds and %d pictures in %.1f s" % (clouds, pictures, span(log)[1] / 1e6)


def span(log: LogReader) -> Tuple[int, int]:
    """Times of the first and the last record, microseconds."""
    return (log.entries[0].time_us, log.entries[-1].time_us) if log.entries else (0, 0)
