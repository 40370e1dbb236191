"""Clouds and logs for other programs: PCD, MCAP, and the command that writes them."""

import base64
import json
import os
import sys

import numpy as np
import pytest

from edge.cli import main
from edge.client import foxglove, rerunfile
from edge.client.log import CLOUD, PICTURE, SESSION, LogReader, LogWriter
from edge.client.pcd import to_bytes
from edge.errors import LogError
from edge.geometry import Cloud
from edge.ply import read_ply
from edge.wire import decode, encode
from tests.edge.server.fake import car_cloud

JPEG = b"\xff\xd8 a picture"


def coloured(count=700, seed=1):
    random = np.random.RandomState(seed)
    cloud = car_cloud(count, seed)
    return cloud._replace(rgb=random.randint(0, 256, (count, 3)).astype(np.uint8),
                          mark=random.randint(0, 3, count).astype(np.uint8))


def recorded(path):
    """A log of three clouds and a picture; returns its path."""
    with LogWriter(str(path)) as log:
        log.append(SESSION, 0, {"unix_us": 1700000000000000})
        for number in range(1, 4):
            log.append(CLOUD, 50000 * number, {"age_ms": 30.0}, encode(coloured(seed=number), number, 0, 0))
        log.append(PICTURE, 160000, {"age_ms": 100.0, "headers": {}}, JPEG)
    return str(path)


def test_pcd_has_the_fields_that_are_known():
    cloud = coloured()
    data = to_bytes(cloud)
    head, body = data.split(b"DATA binary\n")
    assert b"FIELDS x y z rgb confidence mark\nSIZE 4 4 4 4 4 1\nTYPE F F F U F U\nCOUNT 1 1 1 1 1 1\n" in head
    assert b"WIDTH 700\nHEIGHT 1\n" in head and b"POINTS 700\n" in head
    table = np.frombuffer(body, [("p", "<f4", 3), ("rgb", "<u4"), ("c", "<f4"), ("m", "u1")])
    assert (table["p"] == cloud.points).all() and (table["c"] == cloud.confidence).all()
    assert (table["m"] == cloud.mark).all()
    assert (table["rgb"] >> 16 == cloud.rgb[:, 0]).all() and (table["rgb"] & 255 == cloud.rgb[:, 2]).all()
    assert b"FIELDS x y z\n" in to_bytes(Cloud(cloud.points)) and len(to_bytes(Cloud(cloud.points[:0])))


def test_pcd_is_read_by_open3d(tmp_path):
    open3d = pytest.importorskip("open3d", reason="Open3D is not installed: PCD is not read back by it")
    cloud, path = coloured(), str(tmp_path / "a.pcd")
    with open(path, "wb") as handle:
        handle.write(to_bytes(cloud))
    found = open3d.io.read_point_cloud(path)
    assert np.abs(np.asarray(found.points) - cloud.points).max() == 0
    assert np.abs(np.asarray(found.colors) * 255 - cloud.rgb).max() < 1e-3


def test_a_point_cloud_message_says_where_its_fields_lie():
    cloud = coloured()
    message = foxglove.point_cloud(cloud, 1700000000123456789)
    assert message["timestamp"] == {"sec": 1700000000, "nsec": 123456789}
    kinds = {foxglove.FLOAT32: "<f4", foxglove.UINT8: "u1"}
    kind = np.dtype({
        "names": [field["name"] for field in message["fields"]],
        "formats": [kinds[field["type"]] for field in message["fields"]],
        "offsets": [field["offset"] for field in message["fields"]], "itemsize": message["point_stride"]})
    table = np.frombuffer(base64.b64decode(message["data"]), kind)
    assert (np.stack([table["x"], table["y"], table["z"]], 1) == cloud.points).all()
    assert (np.stack([table["red"], table["green"], table["blue"]], 1) == cloud.rgb).all()
    assert (table["alpha"] == 255).all() and (table["mark"] == cloud.mark).all()
    json.dumps(message)
    plain = foxglove.point_cloud(Cloud(cloud.points), 0)
    assert [field["name"] for field in plain["fields"]] == ["x", "y", "z"] and plain["point_stride"] == 12


def test_messages_have_what_their_schemas_say():
    """Foxglove takes bytes for text unless the schema says base64, and then shows no point."""
    message, schema = foxglove.point_cloud(coloured(), 0), foxglove.SCHEMAS["foxglove.PointCloud"]
    assert sorted(message) == sorted(schema["properties"]) and schema["title"] == "foxglove.PointCloud"
    for schema in foxglove.SCHEMAS.values():
        assert schema["properties"]["data"] == {"type": "string", "contentEncoding": "base64"}


def test_times_are_those_of_capture(tmp_path):
    with LogReader(recorded(tmp_path / "a")) as log:
        found = [(entry.kind, time_ns - 1700000000 * 10**9) for entry, time_ns in foxglove.times(log)]
    assert found == [(CLOUD, 20000000), (PICTURE, 60000000), (CLOUD, 70000000), (CLOUD, 120000000)]


def test_mcap_is_read_by_its_own_reader(tmp_path, capsys):
    reader = pytest.importorskip("mcap.reader", reason="the package mcap is not installed: MCAP is not checked")
    log, path = recorded(tmp_path / "a"), str(tmp_path / "a.mcap")
    assert main(["export", log, "--format", "mcap", "--out", path, "--every", "2"]) == 0
    assert "2 clouds in" in capsys.readouterr().out
    with open(path, "rb") as handle:
        messages = list(reader.make_reader(handle, validate_crcs=True).iter_messages())
    found = [(schema.name, schema.encoding, channel.message_encoding, channel.topic, json.loads(message.data.decode()))
             for schema, channel, message in messages]
    assert [item[0] for item in found] == ["foxglove.PointCloud", "foxglove.CompressedImage", "foxglove.PointCloud"]
    assert {item[1:3] for item in found} == {("jsonschema", "json")}
    assert [item[3] for item in found] == ["/carcloud/cloud", "/carcloud/camera", "/carcloud/cloud"]
    assert base64.b64decode(found[1][4]["data"]) == JPEG
    with LogReader(log) as opened:
        last = decode(opened.body(opened.of_kind(CLOUD)[2])).cloud
    assert found[2][4] == foxglove.point_cloud(last, 1700000000120000000)


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcap", None)
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    with LogReader(recorded(tmp_path / "a")) as log, pytest.raises(LogError, match="type: pip install mcap"):
        foxglove.write_mcap(log, str(tmp_path / "a.mcap"), 1, print)
    assert os.listdir(str(tmp_path)) == ["a"]


def test_rrd_is_read_by_rerun(tmp_path, capsys):
    chunks = pytest.importorskip("rerun.chunk", reason="rerun-sdk is not installed: RRD is not checked")
    log, path = recorded(tmp_path / "a"), str(tmp_path / "a.rrd")
    assert main(["export", log, "--format", "rrd", "--out", path, "--every", "2"]) == 0
    assert "2 clouds in" in capsys.readouterr().out
    rows = {}
    for chunk in chunks.RrdReader(path).stream():
        rows[chunk.entity_path] = rows.get(chunk.entity_path, 0) + chunk.num_rows
    assert rows["/car"] == 2 and rows["/camera"] == 1


def test_without_rerun_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with LogReader(recorded(tmp_path / "a")) as log, pytest.raises(LogError, match="type: pip install rerun-sdk"):
        rerunfile.write_rrd(log, str(tmp_path / "a.rrd"), 1, print)
    assert os.listdir(str(tmp_path)) == ["a"]


def test_clouds_are_exported_with_their_numbers(tmp_path, capsys):
    log, out = recorded(tmp_path / "a"), str(tmp_path / "out")
    assert main(["export", log, "--out", out, "--every", "2"]) == 0
    assert sorted(os.listdir(out)) == ["cloud-000001.ply", "cloud-000003.ply"]
    with LogReader(log) as opened:
        third = decode(opened.body(opened.of_kind(CLOUD)[2])).cloud
    cloud = read_ply(os.path.join(out, "cloud-000003.ply"))
    assert (cloud.points == third.points).all() and (cloud.rgb == third.rgb).all() and (cloud.mark == third.mark).all()
    assert main(["export", log, "--out", out, "--format", "pcd", "--last"]) == 0
    assert "cloud-000003.pcd" in os.listdir(out) and "cloud-000001.pcd" not in os.listdir(out)
    capsys.readouterr()
    assert main(["export", log, "--out", out]) == 2
    assert "exists already; add --overwrite" in capsys.readouterr().err
    assert main(["export", log, "--out", out, "--overwrite"]) == 0


def test_a_damaged_cloud_is_left_out_and_said(tmp_path, capsys):
    log, out = recorded(tmp_path / "a"), str(tmp_path / "out")
    with LogReader(log) as opened:
        second = opened.of_kind(CLOUD)[1]
    with open(log, "r+b") as handle:
        handle.seek(second.body + 200)
        handle.write(b"damaged")
    assert main(["export", log, "--out", out]) == 1
    said = capsys.readouterr()
    assert "left out cloud 2: " in said.err and "2 clouds in %s, 1 damaged and left out" % out in said.out
    assert sorted(os.listdir(out)) == ["cloud-000001.ply", "cloud-000003.ply"]


@pytest.mark.parametrize("flags, code, words", [
    (["--every", "0"], 2, "--every is 0; give 1 or more"),
    (["--last", "--format", "mcap"], 2, "--last is for formats with a file for each cloud"),
])
def test_mistakes_are_sentences(tmp_path, flags, code, words, capsys):
    assert main(["export", recorded(tmp_path / "a"), "--out", str(tmp_path / "o")] + flags) == code
    assert words in capsys.readouterr().err


def test_a_log_without_clouds_is_a_sentence(tmp_path, capsys):
    path = str(tmp_path / "a")
    LogWriter(path).close()
    assert main(["export", path, "--out", str(tmp_path / "o")]) == LogError.exit_code
    assert "holds no cloud" in capsys.readouterr().err
