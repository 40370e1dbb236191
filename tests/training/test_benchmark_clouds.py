"""Clouds of another program: every format, and a sentence for everything that can be wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry import Cloud
from edge.ply import write_ply
from training.benchmark import clouds

POINTS = (np.random.default_rng(0).random((50, 3)).astype(np.float32) - 0.5) * np.float32([1, 0.4, 0.3])
ASCII = (
    "ply\nformat ascii 1.0\nelement vertex {}\nproperty uchar red\n"
    "property float x\nproperty float y\nproperty float z\nend_header\n"
)


def save(path: Path, points: np.ndarray = POINTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".npz":
        np.savez(path, points=points, colours=points)
    elif path.suffix == ".xyz":
        path.write_text("# x y z\n" + "\n".join(" ".join(f"{v:.9g}" for v in p) for p in points))
    else:
        write_ply(str(path), Cloud(points))
    return path


def saved(write: Callable[..., None], spoilt: int | None = None) -> bytes:
    buffer = io.BytesIO()
    write(buffer, POINTS)
    data = bytearray(buffer.getvalue())
    if spoilt is not None:
        data[spoilt : spoilt + 8] = b"\xff" * 8
    return bytes(data)


@pytest.mark.parametrize("suffix", clouds.SUFFIXES)
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(clouds.read(save(tmp_path / f"a.{suffix}")), POINTS)


def test_text_ply_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text(ASCII.format(2) + "9 1 2 3\n9 4 5 6\n3 0 1 1\n")
    assert clouds.read(path).tolist() == [[1, 2, 3], [4, 5, 6]]
    path.write_text(ASCII.format(3) + "9 1 2 3\n")
    with pytest.raises(DataError, match="cut short: it has 1 of 3 points"):
        clouds.read(path)


def test_text_ply_is_read_whatever_comes_before_its_vertices(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    faces = "element face 2\nproperty list uchar int vertex_indices\n"
    header = ASCII.format(2).replace("element vertex", f"{faces}element vertex")
    path.write_text(header + "3 0 1 1\n4 0 1 1 0\n9 1 2 3\n9 4 5 6\n")
    assert clouds.read(path).tolist() == [[1, 2, 3], [4, 5, 6]]
    path.write_text(header.replace("element vertex", "element point") + "9 1 2 3\n")
    with pytest.raises(DataError, match="cannot be read as a cloud .*'vertex' is not in list"):
        clouds.read(path)


def test_further_columns_are_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", np.concatenate([POINTS, POINTS], axis=1))
    assert np.array_equal(clouds.read(path), POINTS)


@pytest.mark.parametrize("suffix", clouds.SUFFIXES)
def test_an_empty_cloud_is_named(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"empty.{suffix}", POINTS[:0])
    with pytest.raises(DataError, match=rf"empty\.{suffix} is empty: .* --missing worst") as caught:
        clouds.read(path)
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.npy", b"no array", "cannot be read as a cloud"),
        ("a.npz", b"PK cut", "cannot be read as a cloud"),
        ("a.npz", saved(np.save), "cannot be read as a cloud"),
        ("a.npz", saved(np.savez_compressed, spoilt=60), "cannot be read as a cloud .*decompressing"),
        ("a.ply", b"ply\nformat binary_little_endian 1.0\n", "cannot be read as a cloud"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n", "cannot be read as a"),
        ("a.xyz", b"1 2 3\n4 five 6\n", "cannot be read as a cloud .*five"),
        ("a.xyz", b"1 2 3\n4 5\n", "lines of different lengths"),
        ("a.xyz", b"1 2\n4 5\n", r"array of shape \(2, 2\); save the points as \(N, 3\)"),
    ],
)
def test_what_is_no_cloud_is_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        clouds.read(tmp_path / name)


def test_arrays_that_would_run_code_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as a cloud"):
        clouds.read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (POINTS * 4.5, "has a longest edge far from 1"),
        (POINTS[:, [1, 0, 2]], "is not longest along x"),
        (POINTS + np.float32([0, 0, 0.2]), "is off centre"),
        (np.concatenate([POINTS, [[np.nan, 0, 0]]]), "has points that are not finite"),
    ],
)
def test_another_frame_is_noticed(points: np.ndarray, sentence: str) -> None:
    (hint,) = clouds.hints(points)
    assert hint.startswith(sentence)
    assert clouds.hints(POINTS) == []


def test_survey_names_what_is_missing_and_warns_once_a_kind(tmp_path: Path) -> None:
    for view in range(3):
        save(tmp_path / "suv" / "plain" / f"{view:02d}.ply", POINTS * np.float32(4.5 if view else 1))
    found = clouds.survey(tmp_path, ["suv"], ["plain"], 3, worst=False)
    (warning,) = found.warnings
    assert warning.startswith("2 of 3 clouds, such as suv/plain/01.ply, longest edge 4") and not found.missing
    with pytest.raises(DataError, match=r"lacks 1 of 4 clouds: suv/plain/03\.\*\. .*--missing worst"):
        clouds.survey(tmp_path, ["suv"], ["plain"], 4, worst=False)
    assert clouds.survey(tmp_path, ["suv"], ["plain"], 4, worst=True).missing == ["suv/plain/03.*"]
    # Nothing at all is a wrong folder, whatever --missing says.
    with pytest.raises(DataError, match="lacks 4 of 4 clouds"):
        clouds.survey(tmp_path, ["van"], ["plain"], 4, worst=True)
    with pytest.raises(DataError, match="no folder of clouds at .*BODY/CONDITION/07.ply"):
        clouds.survey(tmp_path / "absent", ["suv"], ["plain"], 4, worst=True)


def test_survey_tells_changed_clouds_apart_and_two_files_of_one_view(tmp_path: Path) -> None:
    save(tmp_path / "suv/plain/00.ply")
    first = clouds.survey(tmp_path, ["suv"], ["plain"], 1, worst=False).sha256
    save(tmp_path / "suv/plain/00.ply", POINTS[1:])
    assert clouds.survey(tmp_path, ["suv"], ["plain"], 1, worst=False).sha256 != first
    save(tmp_path / "suv/plain/00.npy")
    with pytest.raises(DataError, match="00.ply and 00.npy are both there for one view"):
        clouds.survey(tmp_path, ["suv"], ["plain"], 1, worst=False)


def test_a_cloud_without_a_finite_point_is_warned_of_not_a_crash(tmp_path: Path) -> None:
    save(tmp_path / "suv/plain/00.npy", np.array([[np.nan, 0, 0], [0, np.inf, 0]], np.float32))
    (warning,) = clouds.survey(tmp_path, ["suv"], ["plain"], 1, worst=False).warnings
    assert "longest edge 0.00, has points that are not finite" in warning
