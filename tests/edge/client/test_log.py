"""The log: what is written comes back, and whatever damages it costs only what was damaged."""

import errno
import os
import zlib

import pytest

from edge.client import log as logs
from edge.client.log import CLOUD, HEADER, PICTURE, SESSION, LogReader, LogWriter, pack, sentence_of
from edge.errors import LogError

BODIES = [b"first" * 20, b"", b"CCLR" * 50, bytes(range(256))]


def written(path, bodies=BODIES):
    """A log with a record for each body; returns its path."""
    with LogWriter(str(path)) as log:
        for number, body in enumerate(bodies):
            log.append(CLOUD, 1000 * number, {"number": number}, body)
    return str(path)


def bodies_of(path):
    with LogReader(path) as log:
        return [log.body(entry) for entry in log.entries], log.warnings


def test_what_is_written_comes_back(tmp_path):
    path = str(tmp_path / "a.cclog")
    with LogWriter(path) as log:
        log.append(SESSION, 0, {"url": "http://x"})
        log.append(PICTURE, 7, {"seq": 1, "headers": {"X-Crop": "1,2,3"}}, b"jpeg")
        log.append(99, 8, {}, b"of a later version")
        log.append(CLOUD, 2**40, {"age_ms": None}, b"cloud")
    with LogReader(path) as log:
        kinds = [(entry.kind, entry.time_us) for entry in log.entries]
        assert kinds == [(SESSION, 0), (PICTURE, 7), (99, 8), (CLOUD, 2**40)]
        assert log.entries[1].facts == {"seq": 1, "headers": {"X-Crop": "1,2,3"}}
        assert log.body(log.of_kind(CLOUD)[0]) == b"cloud" and log.warnings == []
        assert log.good == log.size == os.path.getsize(path)
        assert sentence_of(log) == "1 clouds and 1 pictures in 1099511.6 s"


def test_the_bytes_are_those_of_the_documentation(tmp_path):
    path = written(tmp_path / "a.cclog", [b"body"])
    with open(path, "rb") as handle:
        content = handle.read()
    head = b"CCLOG\x00\r\n" + b"\x01\x00" + b"\x10\x00"
    assert content[:16] == head + zlib.crc32(head).to_bytes(4, "little")
    facts = b'{"number":0}'
    front = (b"CCLR" + b"\x02\0\0\0" + len(facts).to_bytes(4, "little") + (4).to_bytes(4, "little") + bytes(8)
             + zlib.crc32(b"body").to_bytes(4, "little"))
    assert content[16:] == front + zlib.crc32(front + facts).to_bytes(4, "little") + facts + b"body"


def test_cut_anywhere_in_the_last_record_only_that_is_lost(tmp_path):
    path = written(tmp_path / "a.cclog")
    with open(path, "rb") as handle:
        whole = handle.read()
    with LogReader(path) as log:
        last = log.entries[-1]
    for length in range(last.start + 1, len(whole)):
        with open(path, "wb") as handle:
            handle.write(whole[:length])
        found, warnings = bodies_of(path)
        assert found == BODIES[:-1]
        assert len(warnings) == 1 and "its end is cut short" in warnings[0]
        assert "%d bytes from byte %d" % (length - last.start, last.start) in warnings[0]


def test_a_last_body_that_never_reached_the_disk_is_left_out(tmp_path):
    """After a power cut a file may have its length, and zeros at its end."""
    path = written(tmp_path / "a.cclog")
    with LogReader(path) as log:
        last, before = log.entries[-1], log.entries[-2]
    with open(path, "r+b") as handle:
        handle.seek(before.body)
        handle.write(bytes(last.end - before.body))
    found, warnings = bodies_of(path)
    assert found == BODIES[:2] and "cut short" in warnings[0]


def test_damage_in_the_middle_costs_that_record_only(tmp_path):
    path = written(tmp_path / "a.cclog")
    with LogReader(path) as log:
        second = log.entries[1]
    with open(path, "r+b") as handle:
        handle.seek(second.start + 9)
        handle.write(b"\xff\xff")
    found, warnings = bodies_of(path)
    assert found == [BODIES[0]] + BODIES[2:] and "damaged and left out" in warnings[0]


def test_a_damaged_body_is_a_sentence_when_it_is_read(tmp_path):
    path = written(tmp_path / "a.cclog")
    with LogReader(path) as log:
        first = log.entries[0]
    with open(path, "r+b") as handle:
        handle.seek(first.body)
        handle.write(b"X")
    with LogReader(path) as log:
        assert len(log.entries) == len(BODIES)
        with pytest.raises(LogError, match="record at byte 16 is damaged"):
            log.body(log.entries[0])


def test_appending_cuts_the_damaged_end_off_and_says_so(tmp_path):
    path = written(tmp_path / "a.cclog")
    with open(path, "ab") as handle:
        handle.write(pack(CLOUD, 5000, {}, b"half of it")[:-3])
    with LogWriter(path, append=True) as log:
        assert "cut short" in log.warnings[0] and "cut off now" in log.warnings[1]
        assert log.began_us == 3000 + 1000000
        log.append(CLOUD, log.began_us, {}, b"more")
    assert bodies_of(path) == (BODIES + [b"more"], [])


def test_appending_to_nothing_makes_the_log(tmp_path):
    path = str(tmp_path / "a.cclog")
    with LogWriter(path, append=True) as log:
        log.append(CLOUD, 0, {}, b"x")
    assert bodies_of(path) == ([b"x"], [])


@pytest.mark.parametrize("content, words", [
    (b"", "is no log of carcloud record"),
    (b"ply\nformat binary", "is no log of carcloud record"),
    (b"CCLOG\x00\r\n\x01", "cut short within its header"),
    (HEADER.pack(b"CCLOG\x00\r\n", 2, 16, 0), "log version 2 and this carcloud reads 1"),
    (HEADER.pack(b"CCLOG\x00\r\n", 1, 16, 0), "header of .* is damaged"),
])
def test_what_is_no_log_is_a_sentence(tmp_path, content, words):
    path = tmp_path / "a.cclog"
    path.write_bytes(content)
    with pytest.raises(LogError, match=words):
        LogReader(str(path))


def test_a_log_is_never_replaced(tmp_path):
    path = written(tmp_path / "a.cclog")
    with pytest.raises(LogError, match="is there already; give another --out, or add to it with --append"):
        LogWriter(path)
    assert bodies_of(path)[0] == BODIES
    with pytest.raises(LogError, match="cannot open the log .*No such file"):
        LogReader(str(tmp_path / "none"))
    with pytest.raises(LogError, match="cannot write the log .*No such file"):
        LogWriter(str(tmp_path / "no" / "folder"))


def test_what_is_too_large_is_a_sentence():
    with pytest.raises(LogError, match="larger than a log takes"):
        pack(CLOUD, 0, {}, bytes(logs.MAX_BODY + 1))


def test_a_full_disk_is_a_sentence_and_what_is_there_stays(tmp_path, monkeypatch):
    """A disk that fills up takes a part of the last record, and then says so."""
    path, real, left = str(tmp_path / "a.cclog"), os.write, [500]

    def write(handle, data):
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(handle, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(logs.os, "write", write)
    with LogWriter(path) as log:
        log.append(CLOUD, 0, {}, bytes(200))
        with pytest.raises(LogError, match=r"No space left on device; its first 1 records \(0.0 MB\) are whole"):
            log.append(CLOUD, 1, {}, bytes(300))
        left[0] = 1000  # somebody made room
        log.append(CLOUD, 2, {}, b"goes on")
    assert bodies_of(path) == ([bytes(200), b"goes on"], [])


def test_random_bytes_never_break_the_reader(tmp_path):
    """Flipped, cut and repeated bytes: a sentence or fewer records, nothing else."""
    import random

    path = written(tmp_path / "a.cclog")
    with open(path, "rb") as handle:
        whole = handle.read()
    chance = random.Random(0)
    damaged = str(tmp_path / "b.cclog")
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data
        with open(damaged, "wb") as handle:
            handle.write(bytes(data))
        try:
            with LogReader(damaged) as log:
                for entry in log.entries:
                    body = log.body(entry)
                    assert body in BODIES
        except LogError:
            pass
