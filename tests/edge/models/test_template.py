"""The template: closed, bent as the cloud's points move, kept in a file, made anew if that is damaged."""

from typing import Any

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.client.meshing import Mesh, is_closed, volume
from edge.errors import MeshError
from edge.geometry import Cloud
from edge.models.template import load_template, make_template, mean_cloud, save_template, vertex_normals
from tests.edge.helpers import TINY_BUNDLE

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def ball() -> np.ndarray:
    """An ellipsoid of 8,000 points."""
    on = np.random.RandomState(0).normal(size=(8000, 3))
    return (on / np.linalg.norm(on, axis=1)[:, None] * (0.5, 0.2, 0.16)).astype(np.float32)


@pytest.fixture(scope="module")
def template(ball: np.ndarray) -> Any:
    return make_template(ball)


def test_its_surfaces_are_closed_and_of_the_wanted_size(template: Any) -> None:
    for surface, triangles in ((template.fine, 20000), (template.coarse, 10000)):
        assert is_closed(surface.triangles) and len(surface.triangles) <= triangles
        assert np.allclose(surface.weight.sum(1), 1, atol=1e-5)
    assert len(template.coarse.vertices) < 65536  # the gallery's indices have 16 bits


def test_the_mean_itself_gives_the_surface_it_was_made_of(template: Any, ball: np.ndarray) -> None:
    mesh = template.bend(Cloud(ball))
    assert np.array_equal(mesh.vertices, template.fine.vertices)
    assert volume(mesh.vertices, mesh.triangles) == pytest.approx(4 / 3 * np.pi * 0.5 * 0.2 * 0.16, rel=0.03)


def test_it_goes_along_with_the_points(template: Any, ball: np.ndarray) -> None:
    """Twice as high at one end: a smooth change, and so is that of the surface."""
    bent = ball * np.stack([np.ones(8000), np.ones(8000), 1.5 + ball[:, 0]], 1)
    mesh = template.bend(Cloud(bent.astype(np.float32)))
    x, y, z = mesh.vertices.T
    wanted = (x / 0.5) ** 2 + (y / 0.2) ** 2 + (z / (0.16 * (1.5 + x))) ** 2
    assert np.abs(wanted - 1).mean() < 0.03
    assert is_closed(mesh.triangles) and isinstance(mesh, Mesh)


def test_it_takes_the_colours_of_the_points_and_tells_their_normals(template: Any, ball: np.ndarray) -> None:
    rgb = np.where(ball[:, :1] > 0, np.array([[250, 0, 0]]), np.array([[0, 0, 250]])).astype(np.uint8)
    mesh = template.bend(Cloud(ball, rgb=rgb))
    away = np.abs(mesh.vertices[:, 0]) > 0.05
    red = mesh.rgb[:, 0] > 200
    assert np.array_equal(red[away], (mesh.vertices[:, 0] > 0)[away])
    normals = template.point_normals(mesh)
    true = ball / np.array((0.5, 0.2, 0.16)) ** 2
    true /= np.linalg.norm(true, axis=1)[:, None]
    assert (normals * true).sum(1).mean() > 0.97


def test_normals_of_a_triangle_point_to_where_it_turns_anticlockwise() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]], np.float32)
    assert vertex_normals(corners, np.array([[0, 1, 2]])).tolist()[:3] == [[0, 0, 1]] * 3


def test_it_is_kept_and_a_damaged_or_another_one_is_not_taken(template: Any, tmp_path: Any) -> None:
    path = str(tmp_path / "t.npz")
    assert load_template(path, "a") is None
    save_template(path, template, "a")
    kept = load_template(path, "a")
    assert kept is not None and np.array_equal(kept.fine.rows, template.fine.rows)
    assert load_template(path, "b") is None
    content = (tmp_path / "t.npz").read_bytes()
    (tmp_path / "t.npz").write_bytes(content[: len(content) // 2])
    assert load_template(path, "a") is None
    (tmp_path / "t.npz").write_bytes(content[:1000] + bytes(1000) + content[2000:])
    assert load_template(path, "a") is None


def test_clouds_whose_points_do_not_correspond_have_no_mean() -> None:
    with pytest.raises(MeshError, match="do not correspond from picture to picture; add --no-mesh"):
        mean_cloud(load_bundle(TINY_BUNDLE))
