"""Surfaces from clouds, and the files they are written to."""

import json
import re
import struct
import sys

import numpy as np
import pytest

from edge.cli import main
from edge.client import meshing
from edge.client.meshfiles import linear, to_glb, to_gltf_axes, to_obj, write_mesh
from edge.client.meshing import Mesh, directions, is_closed, make_mesh, volume
from edge.errors import MeshError
from edge.geometry import Cloud
from edge.ply import write_ply
from tests.edge.server.fake import car_cloud

#: A tetrahedron with its corner at the origin, anticlockwise seen from outside.
CORNERS = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
NORMALS = (CORNERS - CORNERS.mean(0)) / np.linalg.norm(CORNERS - CORNERS.mean(0), axis=1, keepdims=True)
SMALL = Mesh(CORNERS, NORMALS.astype(np.float32), TRIANGLES,
             np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [188, 188, 188]], np.uint8))


def body(count=4000):
    """A Cloud of an egg with a cabin, red above and green below, and a clump of points within it."""
    random = np.random.RandomState(3)
    points = directions(count) * (0.5, 0.22, 0.15)
    points[:, 2] *= np.where(points[:, 2] > 0, 1 + 0.6 * np.exp(-(points[:, 0] / 0.25) ** 2), 1)
    inside = random.uniform(-0.05, 0.05, (300, 3))
    rgb = np.where(points[:, 2:] > 0, [[220, 10, 10]], [[10, 220, 10]])
    rgb = np.concatenate([rgb, np.full((300, 3), 255)])
    return Cloud(np.concatenate([points, inside]).astype(np.float32), None, rgb.astype(np.uint8))


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("open3d", reason="Open3D is not installed: no surface is made")
    cloud = body()
    return cloud, make_mesh(cloud)


def test_the_surface_is_closed_and_as_large_as_the_cloud(made):
    cloud, mesh = made
    assert is_closed(mesh.triangles) and volume(mesh.vertices, mesh.triangles) > 0.03
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx(np.ptp(cloud.points, axis=0), rel=0.03)
    assert mesh.vertices.dtype == np.float32 and mesh.triangles.dtype == np.int32 and mesh.rgb.dtype == np.uint8


def test_a_cloud_that_is_open_below_is_closed_at_its_own_lower_edge():
    pytest.importorskip("open3d", reason="Open3D is not installed: no surface is made")
    cloud = car_cloud(4000)
    mesh = make_mesh(cloud)
    assert is_closed(mesh.triangles)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx(np.ptp(cloud.points, axis=0), rel=0.03)


def test_normals_point_outwards(made):
    _, mesh = made
    assert ((mesh.normals * mesh.vertices).sum(1) > 0).mean() > 0.99
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-3)


def test_colours_are_those_of_the_points_near_by(made):
    _, mesh = made
    high, low = mesh.vertices[:, 2] > 0.05, mesh.vertices[:, 2] < -0.05
    assert (np.abs(mesh.rgb[high].astype(int) - (220, 10, 10)) < 3).all()
    assert (np.abs(mesh.rgb[low].astype(int) - (10, 220, 10)) < 3).all()


def test_what_nobody_sees_from_outside_is_left_out(made):
    cloud, mesh = made
    import open3d

    kept, _ = meshing.outside(open3d, cloud.points.astype(np.float64), 1.2)
    assert kept[:4000].mean() > 0.95 and kept[4000:].sum() == 0
    assert np.linalg.norm(mesh.vertices / (0.5, 0.22, 0.15), axis=1).min() > 0.9


def test_a_cloud_without_colours_gives_a_grey_mesh():
    pytest.importorskip("open3d", reason="Open3D is not installed: no surface is made")
    mesh = make_mesh(Cloud(body(1500).points))
    assert (mesh.rgb == meshing.GREY).all() and is_closed(mesh.triangles)


def test_a_glb_is_read_by_trimesh(made, tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed: GLB is not read back by it")
    cloud, mesh = made
    path = str(tmp_path / "a.glb")
    write_mesh(path, mesh, 4.0)
    found = list(trimesh.load(path).geometry.values())[0]
    assert found.is_watertight and found.is_winding_consistent and found.volume > 0
    sides = 4 * np.ptp(cloud.points, axis=0)
    assert np.ptp(found.vertices, axis=0) == pytest.approx(sides[[1, 2, 0]], rel=0.03)


def test_an_obj_is_read_by_trimesh(tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed: OBJ is not read back by it")
    path = str(tmp_path / "a.obj")
    write_mesh(path, SMALL, 2.0)
    found = trimesh.load(path, process=False)
    assert (found.vertices == CORNERS * 2).all() and (found.faces == TRIANGLES).all()
    assert (np.abs(np.asarray(found.visual.vertex_colors)[:, :3].astype(int) - SMALL.rgb) <= 1).all()


def test_the_bytes_of_a_glb():
    data = to_glb(SMALL, 2.0)
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON") and size % 4 == 0
    document = json.loads(data[20 : 20 + size].decode())
    binary = data[28 + size :]
    assert document["buffers"] == [{"byteLength": len(binary)}]

    def plane(number, kind):
        view = document["bufferViews"][number]
        return np.frombuffer(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]], kind)

    position = plane(0, "<f4").reshape(-1, 3)
    assert (position == to_gltf_axes(CORNERS * 2)).all()
    assert document["accessors"][0]["min"] == [0, 0, 0] and document["accessors"][0]["max"] == [2, 2, 4]
    assert plane(2, "<f4").reshape(-1, 3)[3] == pytest.approx(0.5029, abs=1e-4)
    assert (plane(3, "<u4").reshape(-1, 3) == TRIANGLES).all()
    assert volume(position, TRIANGLES) > 0  # the turn of axes is no mirror


def test_colours_of_gltf_are_linear():
    assert linear(np.array([0, 10, 188, 255])) == pytest.approx([0, 10 / 255 / 12.92, 0.5029, 1], abs=1e-4)


def test_closed_means_two_triangles_at_each_edge():
    assert is_closed(TRIANGLES) and not is_closed(TRIANGLES[:3]) and not is_closed(TRIANGLES[:0])
    assert volume(CORNERS, TRIANGLES) == pytest.approx(1 / 3)


def test_obj_counts_from_one():
    lines = to_obj(SMALL).decode().splitlines()
    assert lines[1] == "v 0 0 0 1 0 0" and lines[-4] == "f 1//1 3//3 2//2"


@pytest.mark.parametrize("cloud, words", [
    (Cloud(np.zeros((10, 3), np.float32)), "of 10 points gives no surface; it takes 300 or more"),
    (Cloud(np.full((400, 3), np.nan, np.float32)), "points that are not finite"),
    (Cloud(car_cloud(400).points * (1, 1, 0)), "the cloud is flat"),
])
def test_what_gives_no_surface_is_a_sentence(cloud, words):
    with pytest.raises(MeshError, match=words):
        make_mesh(cloud)


def test_a_surface_that_does_not_close_is_a_sentence(monkeypatch):
    pytest.importorskip("open3d", reason="Open3D is not installed: no surface is made")
    monkeypatch.setattr(meshing, "DEPTHS", (3,))
    monkeypatch.setattr(meshing, "is_closed", lambda triangles: False)
    with pytest.raises(MeshError, match="no closed surface goes through this cloud"):
        make_mesh(body(1000))


def test_points_all_within_are_a_sentence(monkeypatch):
    pytest.importorskip("open3d", reason="Open3D is not installed: no surface is made")
    monkeypatch.setattr(meshing, "SEEN", 1000)
    with pytest.raises(MeshError, match="only 0 points of the cloud lie on its outside"):
        make_mesh(body(1000))


def test_without_open3d_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MeshError, match="type: pip install open3d-cpu"):
        make_mesh(body(1000))


def test_the_command_writes_a_mesh_and_says_how_large(tmp_path, capsys):
    pytest.importorskip("open3d", reason="Open3D is not installed: no surface is made")
    cloud, out = str(tmp_path / "a.ply"), str(tmp_path / "a.glb")
    write_ply(cloud, body(1500))
    assert main(["mesh", cloud, "--out", out, "--length", "4"]) == 0
    assert re.search(r"a.glb: \d+ triangles, closed, (3.9|4.0)", capsys.readouterr().out)
    assert main(["mesh", cloud, "--out", out]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, code, words", [
    (["x.ply", "--out", "{}/a.stl"], 12, "is written as .glb or .obj; name the file so"),
    (["{}/none.ply", "--out", "{}/a.glb"], 12, "cannot read the cloud"),
    (["x.ply", "--out", "{}/a.glb", "--length", "0"], 2, "--length is 0; give the car's length"),
])
def test_mistakes_are_sentences(arguments, code, words, tmp_path, capsys):
    assert main(["mesh"] + [word.format(tmp_path) for word in arguments]) == code
    assert words in capsys.readouterr().err
