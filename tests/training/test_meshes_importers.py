"""Importers: AC3D with TORCS strips, OBJ in a furniture library, GLB packs; frames, scale, categories, damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError
from tests.training import meshes_samples as samples
from training.meshes import glb, openmrac, sweethome, torcs, wavefront
from training.meshes.acc import read_acc
from training.meshes.model import CarMesh
from training.meshes.texture import to_linear


def size(car: CarMesh) -> np.ndarray:
    lower, upper = car.bounds()
    return upper - lower


def by_category(car: CarMesh, category: str) -> np.ndarray:
    return np.concatenate([p.vertices for p in car.parts if p.category == category])


def paint_colour(car: CarMesh) -> tuple[float, float, float]:
    return next(p.colour for p in car.parts if p.category == "paint")


def test_acc_reads_strips_normals_and_base_texture(tmp_path: Path) -> None:
    path = tmp_path / "a.acc"
    path.write_text(samples.acc_text(samples.acc_box("BODY", (-1, -0.5, 0), (1, 0.5, 0.4), "skin.rgb")))
    (body,) = read_acc(path)
    assert (body.name, body.texture, len(body.vertices), len(body.faces)) == ("BODY", "skin.rgb", 8, 12)
    # Two triangles a strip of four, which must cover both halves of each side: the box's surface, 2(ab + bc + ca).
    corners = body.vertices[body.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(2 * (2 * 1 + 1 * 0.4 + 2 * 0.4), rel=1e-4)
    assert np.allclose(body.uv, (0.25, 0.75))


def test_acc_applies_loc_and_rot_of_parents(tmp_path: Path) -> None:
    path = tmp_path / "a.acc"
    child = (
        'OBJECT poly\nname "c"\nloc 1 0 0\nnumvert 3\n0 0 0\n1 0 0\n0 1 0\n'
        "numsurf 1\nSURF 0x10\nmat 0\nrefs 3\n0 0 0\n1 0 0\n2 0 0\nkids 0\n"
    )
    group = f"OBJECT group\nloc 0 0 5\nrot 0 1 0 -1 0 0 0 0 1\nkids 1\n{child}"
    path.write_text(samples.acc_text(group))
    (triangle,) = read_acc(path)
    # AC3D writes the rotation by columns: x goes to y, y to -x.
    assert np.allclose(triangle.vertices, [[0, 1, 5], [0, 2, 5], [-1, 1, 5]])


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_acc_cut_short_is_named(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "cut.acc"
    text = samples.acc_text(samples.acc_box("BODY", (-1, -0.5, 0), (1, 0.5, 0.4)))
    path.write_text(text[: int(len(text) * cut)])
    with pytest.raises(DataError, match=r"cut\.acc is damaged near line \d+ .*meshes fetch"):
        read_acc(path)


def test_acc_refuses_another_format(tmp_path: Path) -> None:
    path = tmp_path / "a.acc"
    path.write_text("solid nothing")
    with pytest.raises(DataError, match="no AC3D file"):
        read_acc(path)


def test_torcs_car_has_wheels_in_place_and_no_driver(tmp_path: Path) -> None:
    samples.write_torcs_car(tmp_path, "car7-trb1")
    listed = next(c for c in torcs.CARS if c.name == "car7-trb1")
    car = torcs.load_torcs(tmp_path, listed)
    # Wheels reach 0.15 m below the body's bottom; driver and aerial, which would be higher than 1.2 m, are gone.
    assert np.allclose(size(car), [4.4, 1.8, 1.35], atol=1e-3)
    assert car.bounds()[0][2] == pytest.approx(0, abs=1e-5)
    tyres = by_category(car, "tyre")
    front_left = tyres[(tyres[:, 0] > 0) & (tyres[:, 1] > 0)]
    assert np.allclose((front_left.min(0) + front_left.max(0)) / 2, [1.3, 0.75, 0.3032], atol=5e-3)
    assert {p.category for p in car.parts} == {"paint", "glass", "tyre", "rim", "underbody"}
    assert np.allclose(paint_colour(car), to_linear([0.8, 0.102, 0.102]), atol=0.01)
    assert by_category(car, "glass")[:, 2].min() > 0.7
    assert (car.ancestry, car.body_class, car.source) == ("torcs-trb7", "sports", "torcs-data")


def test_torcs_missing_wheel_value_is_named(tmp_path: Path) -> None:
    samples.write_torcs_car(tmp_path, "car7-trb1")
    xml = tmp_path / "car7-trb1" / "car7-trb1.xml"
    xml.write_text(xml.read_text().replace("ride height", "height"))
    with pytest.raises(DataError, match="car7-trb1 cannot be read .*ride height"):
        torcs.load_torcs(tmp_path, next(c for c in torcs.CARS if c.name == "car7-trb1"))


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("WISIDE", "glass"),
        ("WI", "glass"),
        ("WI03FRONTLE", "glass"),
        ("WIFRONTLIGH", "light_front"),
        ("WIREARLIGHT", "light_rear"),
        ("REARENDLIGH", "light_rear"),
        ("STEERINGWHEEL", "interior"),
        ("WHEELFRAMEINSIDE", "underbody"),
        ("BODYCOCKPIT", "paint"),
        ("MIRRORCABIN", "interior"),
        ("CARBODY", "paint"),
    ],
)
def test_torcs_part_names(name: str, category: str) -> None:
    assert torcs.category_of(name) == category


def test_sweethome_car_is_scaled_by_its_catalogue_and_loses_its_aerial(tmp_path: Path) -> None:
    samples.write_sweethome_library(tmp_path / "Scopia.sh3f", "scopia", "suv")
    car = sweethome.load_sweethome(tmp_path, next(c for c in sweethome.CARS if c.name == "suv"))
    # 440 cm long over 88.2 units; the thin rod up to 40 units is gone.
    unit = 4.4 / 88.2
    assert np.allclose(size(car), [4.4, 36 * unit, 28 * unit], atol=1e-3)
    assert car.length_m == pytest.approx(4.4, abs=1e-3)
    assert np.allclose(paint_colour(car), to_linear([0.8, 0.5, 0.0]), atol=1e-5)
    # Red in the catch-all material at the tail is a rear lamp.
    assert by_category(car, "light_rear")[:, 0].max() < -2.1
    assert car.attribution.startswith("Scopia")


@pytest.mark.parametrize(
    ("name", "material", "category"),
    [
        ("concept-sedan-02", "PAINT_lt_blue", "paint"),
        ("concept-sedan-02", "GLASS_car_window", "glass"),
        ("concept-sedan-02", "GLASS_brakelight", "light_rear"),
        ("concept-sedan-02", "GLASS_headlights", "light_front"),
        ("VW-new-beetle", "RUBBER_tread", "tyre"),
        ("VW-new-beetle", "PAINT_black", "trim"),
        ("fordFocus", "carPaint", "paint"),
        ("fordFocus", "glass_red", "light_rear"),
        ("seat_leon", "chapa_roja", "paint"),
        ("seat_leon", "neumaticos", "tyre"),
        ("suv", "sweethome3d_window_mirror", "chrome"),
        ("renault-scenic", "color-beige-green", "paint"),
        ("chevrolet", "interior", "interior"),
    ],
)
def test_sweethome_material_names(name: str, material: str, category: str) -> None:
    assert sweethome.category_of(name, wavefront.Material(material)) == category


def test_sweethome_missing_car_and_damaged_library(tmp_path: Path) -> None:
    listed = next(c for c in sweethome.CARS if c.name == "suv")
    with pytest.raises(DataError, match="car suv cannot be read .*meshes fetch"):
        sweethome.load_sweethome(tmp_path, listed)
    (tmp_path / "Scopia.sh3f").write_bytes(b"PK no zip at all")
    with pytest.raises(DataError, match="car suv cannot be read .*zip"):
        sweethome.load_sweethome(tmp_path, listed)


def test_openmrac_car_has_windows_of_the_mask_and_no_driver_or_shadow(tmp_path: Path) -> None:
    listed = openmrac.CARS[0]
    samples.write_openmrac(tmp_path / openmrac.ARCHIVE, listed.name, listed.picture, listed.mask)
    car = openmrac.load_openmrac(tmp_path, listed)
    assert np.allclose(size(car), [4.0, 1.6, 1.4], atol=1e-3) and car.name == "skd" and car.licence == "CC0-1.0"
    assert np.allclose(by_category(car, "glass").min(0), [-1.0, -0.7, 0.9], atol=1e-3)
    assert np.allclose(paint_colour(car), to_linear(np.array([20, 60, 230]) / 255), atol=1e-3)
    assert np.allclose(by_category(car, "tyre").min(0), [-1.6, -0.8, 0.0], atol=1e-3)


def test_openmrac_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="car skd cannot be read .*meshes fetch"):
        openmrac.load_openmrac(tmp_path, openmrac.CARS[0])
    text = samples.text_3dm()
    for cut in (text[: len(text) // 2], text.replace("3dm", "xyz", 1), text.replace("\n0 2 4\n", "\n0 2 99\n", 1)):
        with pytest.raises(DataError, match="toy.3dm is damaged"):
            openmrac.read_3dm(cut, "toy.3dm")


def test_obj_negative_indices_and_polygons() -> None:
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nusemtl m\nf -4/-1 -3/-1 -2/-1 -1/-1\n"
    (group,) = wavefront.read_obj(text, "x.obj")
    assert (group.material, group.faces.tolist()) == ("m", [[0, 1, 2], [0, 2, 3]])
    with pytest.raises(DataError, match="x.obj is damaged .*vertex 9 of 4"):
        wavefront.read_obj(text.replace("f -4/-1", "f 9/1"), "x.obj")
    with pytest.raises(DataError, match="holds no faces"):
        wavefront.read_obj("v 0 0 0\n", "x.obj")


def test_glb_node_transforms_frame_and_colours(tmp_path: Path) -> None:
    samples.write_glb_pack(tmp_path)
    ((name, path, entry),) = glb.iterate(tmp_path)
    car = glb.load_glb(path, entry)
    assert (car.name, car.source, car.licence) == ("chrono_toy", "Project Chrono", "CC0") and name == car.name
    assert np.allclose(size(car), [4.41, 1.8, 1.4], atol=1e-3)
    tyres = by_category(car, "tyre")
    assert np.allclose(tyres.min(0), [-1.605, -0.85, 0], atol=1e-3) and np.allclose(tyres.max(0)[2], 0.6, atol=1e-3)
    # The lamp at +Z of the file is at +x, the nose: a front lamp. Textured paint keeps its factor, not factor x grey.
    assert by_category(car, "light_front")[:, 0].min() > 2.1
    paint = next(p for p in car.parts if p.category == "paint")
    assert np.allclose(paint.colour, [0.2, 0.4, 0.8], atol=1e-3)
    assert {p.category for p in car.parts} == {"paint", "glass", "tyre", "light_front"}


def test_glb_altered_missing_and_unreadable(tmp_path: Path) -> None:
    samples.write_glb_pack(tmp_path)
    ((_, path, entry),) = glb.iterate(tmp_path)
    with pytest.raises(DataError, match="does not match the checksum"):
        glb.load_glb(path, {**entry, "sha256": "0" * 64})
    path.write_bytes(b"glTF" + b"\0" * 40)
    del entry["sha256"]
    with pytest.raises(DataError, match="not readable as binary glTF"):
        glb.load_glb(path, entry)
    path.unlink()
    with pytest.raises(DataError, match="listed in its manifest but missing"):
        glb.load_glb(path, entry)


def test_glb_folder_without_or_with_a_bad_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no manifest.json"):
        glb.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"cars": [{"name": "no file"}]}))
    with pytest.raises(DataError, match="not a mesh pack manifest"):
        glb.read_manifest(tmp_path)
