"""edge.ply: exact round trips, other people's readers, nothing half-written, each refusal."""

import os
from typing import Any

import numpy as np
import pytest

from edge import ply
from edge.errors import WireError
from edge.geometry import Cloud


def cloud(count: int = 100) -> Cloud:
    """A cloud with everything known."""
    rng = np.random.RandomState(0)
    return Cloud(
        rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32),
        rng.uniform(0, 1, count).astype(np.float32),
        rng.randint(0, 256, (count, 3)).astype(np.uint8),
        rng.randint(0, 8, count).astype(np.uint8),
        rng.randint(0, 3, count).astype(np.uint8),
    )


@pytest.mark.parametrize("with_rgb", [False, True])
@pytest.mark.parametrize("with_confidence", [False, True])
@pytest.mark.parametrize("count", [0, 100])
def test_a_cloud_comes_back_exactly(tmp_path: Any, with_rgb: bool, with_confidence: bool, count: int) -> None:
    full = cloud(count)
    wanted = Cloud(full.points, full.confidence if with_confidence else None)
    if with_rgb:
        wanted = wanted._replace(rgb=full.rgb, mark=full.mark)
    path = str(tmp_path / "a.ply")
    ply.write_ply(path, wanted, ("one", "two\nlines"))
    found = ply.read_ply(path)
    np.testing.assert_array_equal(found.points, wanted.points)
    for name in ("confidence", "rgb", "mark"):
        value, other = getattr(wanted, name), getattr(found, name)
        assert (value is None) == (other is None)
        if value is not None:
            np.testing.assert_array_equal(other, value)


def test_the_header_is_the_one_viewers_expect() -> None:
    header = ply.to_bytes(cloud(2), ("made\nby\tä",)).split(b"end_header\n")[0].decode("ascii")
    assert header.splitlines() == [
        "ply",
        "format binary_little_endian 1.0",
        "comment made by ?",
        "element vertex 2",
        "property float x",
        "property float y",
        "property float z",
        "property uchar red",
        "property uchar green",
        "property uchar blue",
        "property float confidence",
        "property uchar mark",
    ]


def test_another_program_reads_it(tmp_path: Any) -> None:
    trimesh = pytest.importorskip("trimesh")
    path, wanted = str(tmp_path / "a.ply"), cloud()
    ply.write_ply(path, wanted)
    found = trimesh.load(path)
    np.testing.assert_allclose(found.vertices, wanted.points)
    np.testing.assert_array_equal(found.colors[:, :3], wanted.rgb)


def test_other_types_and_more_properties_are_read(tmp_path: Any) -> None:
    table = np.zeros(3, np.dtype([("x", "<f8"), ("nx", "<f4"), ("y", "<f8"), ("z", "<f8"), ("alpha", "u1")]))
    table["y"] = [1, 2, 3]
    path = tmp_path / "a.ply"
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty double x\nproperty float nx\n"
    head += "property double y\nproperty float64 z\nproperty uchar alpha\nelement face 0\n"
    head += "property list uchar int vertex_indices\nend_header\n"
    path.write_bytes(head.encode() + table.tobytes())
    np.testing.assert_array_equal(ply.read_ply(str(path)).points, [[0, 1, 0], [0, 2, 0], [0, 3, 0]])


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "is no PLY file"),
        (b"plx\nend_header\n", "is no PLY file"),
        (
            b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n",
            "PLY of format ascii 1.0; only binary_little_endian",
        ),
        (
            b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n",
            "no vertices with x",
        ),
        (b"ply\nformat binary_little_endian 1.0\nelement face 1\nend_header\n", "the vertices do not come first"),
        (b"ply\nelement vertex 1\nproperty list uchar int i\nend_header\n", "cannot read 'property list uchar int i'"),
        (ply.to_bytes(cloud(5))[:-1], "is cut short: it has 99 of 100 bytes; copy it again"),
    ],
)
def test_what_is_no_cloud_is_refused(tmp_path: Any, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(content)
    with pytest.raises(WireError, match=sentence):
        ply.read_ply(str(path))


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Any) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), ply.atomic_file(str(path)) as handle:
        handle.write(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(str(tmp_path)) == ["a.ply"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Any) -> None:
    mask = os.umask(0o027)
    try:
        ply.write_ply(str(tmp_path / "a.ply"), cloud())
    finally:
        os.umask(mask)
    assert os.stat(str(tmp_path / "a.ply")).st_mode & 0o777 == 0o640


def test_npz_holds_everything_known_and_needs_no_pickle(tmp_path: Any) -> None:
    path, wanted = str(tmp_path / "a.npz"), cloud()
    ply.write_npz(path, wanted, {"image": "a.jpg", "crop_box": (1, 2, 3)})
    with np.load(path, allow_pickle=False) as stored:
        assert set(stored.files) == {"points", "confidence", "rgb", "view", "mark", "image", "crop_box"}
        assert stored["points"].dtype == np.float32
        np.testing.assert_array_equal(stored["points"], wanted.points)
        assert str(stored["image"]) == "a.jpg" and list(stored["crop_box"]) == [1, 2, 3]


def test_npz_leaves_out_what_is_not_known(tmp_path: Any) -> None:
    path = str(tmp_path / "a.npz")
    ply.write_npz(path, Cloud(cloud().points), {})
    with np.load(path) as stored:
        assert stored.files == ["points"]
