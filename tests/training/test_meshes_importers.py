"""Importers: AC3D with TORCS strips, OBJ in a furniture library, GLB packs; frames, scale, categories, damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from edge.errors import DataError
from tests.training import meshes_samples as samples
from training.meshes import glb, metadrive, openmrac, smarts, sweethome, torcs, trigger, wavefront
from training.meshes.acc import read_acc
from training.meshes.build import geometry_nodes
from training.meshes.model import CarMesh
from training.meshes.texture import to_linear
from training.meshes.wings import has_wings, without_wings


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
    samples.write_torcs_car(tmp_path / "cars", "car7-trb1")
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
    samples.write_torcs_car(tmp_path / "cars", "car7-trb1")
    xml = tmp_path / "cars" / "car7-trb1" / "car7-trb1.xml"
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
        ("MIRRORCABIN", "paint"),
        ("MIRROR", "chrome"),
        ("LICENSEPLAT", "trim"),
        ("INNERFRONTL", "light_front"),
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
    with pytest.raises(DataError, match="GLB folder .* holds no manifest.json; .*docs/own-cars.md"):
        glb.read_manifest(tmp_path)
    with pytest.raises(DataError, match="GLB folder .*nowhere is no folder"):
        glb.read_manifest(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text(json.dumps({"cars": [{"name": "no file"}]}))
    with pytest.raises(DataError, match="not a mesh pack manifest"):
        glb.read_manifest(tmp_path)


def test_torcs_wing_is_a_part_of_its_own(tmp_path: Path) -> None:
    samples.write_torcs_car(tmp_path / "cars", "car7-trb1")
    acc = tmp_path / "cars" / "car7-trb1" / "car7-trb1.acc"
    body = samples.acc_box("BODY_s_1", (-2.2, -0.9, 0.0), (2.2, 0.9, 0.6), "car7-trb1.rgb")
    wing = samples.acc_box("REARWINGTOP_s_0", (-2.2, -0.8, 1.3), (-1.8, 0.8, 1.35), "car7-trb1.rgb")
    acc.write_text(samples.acc_text(body, wing))
    car = torcs.load_torcs(tmp_path, next(c for c in torcs.CARS if c.name == "car7-trb1"))
    assert has_wings(car) and {p.category for p in car.parts if p.name == "wing"} == {"paint"}
    assert size(car)[2] == pytest.approx(1.5, abs=1e-3)
    assert size(without_wings(car))[2] == pytest.approx(0.75, abs=1e-3)


def test_trigger_car_is_enlarged_and_plain_and_keeps_wing_not_aerial(tmp_path: Path) -> None:
    listed = next(c for c in trigger.CARS if c.name == "fox")
    samples.write_trigger_car(tmp_path, "fox")
    car = trigger.load_trigger(tmp_path, listed)
    enlarged = 0.5 * trigger.ENLARGED
    # Body from z -0.4 to 2.3 (the wing) in units of 0.5 m; wheels (radius 0.297 m) reach lower, by the file's places.
    lowest = (-0.1 + listed.lift - 0.033 * 0.3 * 30) * trigger.ENLARGED
    assert np.allclose(size(car), [7.2 * enlarged, 3.0 * enlarged, 2.3 * enlarged - lowest], atol=2e-3)
    assert np.allclose(paint_colour(car), to_linear(np.array([220, 0, 0]) / 255), atol=1e-3)
    glass, ground = by_category(car, "glass"), -lowest
    assert glass[:, 2].min() == pytest.approx(0.8 * enlarged + ground, abs=0.02)
    assert has_wings(car) and size(without_wings(car))[2] == pytest.approx(2.0 * enlarged - lowest, abs=2e-3)
    tyres = by_category(car, "tyre")
    front = tyres[tyres[:, 0] > 0]
    assert front[:, 0].mean() == pytest.approx(1.2 * trigger.ENLARGED, abs=0.02)
    assert by_category(car, "underbody")[:, 0].min() > 1.0 and car.licence == "GPL-2.0-or-later"


def test_trigger_lamps_and_windows_are_what_all_liveries_share() -> None:
    liveries = np.zeros((3, 1, 5, 3), np.float32)
    liveries[:, 0, 0] = [(0.9, 0, 0), (0, 0.9, 0), (0, 0, 0.9)]
    liveries[:, 0, 1] = (0.1, 0.1, 0.1)
    liveries[:, 0, 2] = (0.8, 0.1, 0.1)
    liveries[:, 0, 3] = (0.8, 0.8, 0.8)
    liveries[:, 0, 4] = [(0.1, 0.1, 0.1), (0.1, 0.1, 0.1), (0.9, 0.9, 0.9)]
    expected = [[0, 0, 1], [0, 0, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0]]
    assert trigger.label_picture(liveries)[0].tolist() == expected


def test_smarts_car_is_turned_and_has_rims_and_lamps(tmp_path: Path) -> None:
    listed = smarts.CARS[1]
    samples.write_smarts_car(tmp_path, listed.file)
    car = smarts.load_smarts(tmp_path, listed)
    assert np.allclose(size(car), np.array([4.03, 1.81, 1.4]) * listed.scale, atol=0.02)
    assert by_category(car, "light_front")[:, 0].min() > 2 and by_category(car, "light_rear")[:, 0].max() < -2
    rims = by_category(car, "rim")
    assert len(rims) == 32 and np.abs(rims[:, 1]).min() > 0.9 * listed.scale
    # The grille is metal too, and at the nose.
    assert by_category(car, "chrome")[:, 0].min() > 2
    assert {p.category for p in car.parts} >= {"paint", "glass", "tyre"}


def test_metadrive_car_gets_wheels_where_the_game_has_them_and_panes(tmp_path: Path) -> None:
    listed = metadrive.CARS[0]
    samples.write_metadrive_car(tmp_path, listed.folder)
    car = metadrive.load_metadrive(tmp_path, listed)
    lower, upper = car.bounds()
    assert upper[0] - lower[0] == pytest.approx(4.42, abs=1e-3), "the colour swatches are no part of the car"
    rims = by_category(car, "rim")
    front = rims[rims[:, 0] > 0]
    assert (front[:, 0].min() + front[:, 0].max()) / 2 == pytest.approx(listed.front - listed.shift[0], abs=1e-3)
    assert rims[:, 2].min() == pytest.approx(0, abs=1e-5) and rims[:, 2].max() == pytest.approx(0.68, abs=1e-3)
    # The outer side (0.12 m) of the one right wheel is outside on the left too.
    assert np.allclose([rims[:, 1].min(), rims[:, 1].max()], [-listed.side - 0.12, listed.side + 0.12], atol=1e-3)
    glass = by_category(car, "glass")
    assert np.allclose(np.ptp(glass, axis=0), np.array([2.0, 1.4, 0.4]) * 1.004, atol=1e-3)
    assert by_category(car, "light_front")[:, 0].min() > 2.1 and by_category(car, "light_rear")[:, 0].max() < -2.1
    assert "mononofu" in car.attribution and car.licence == "CC BY 4.0"


def test_metadrive_picture_kinds() -> None:
    row = [(0.2, 0.5, 0.6, 1), (0.7, 0.7, 0.7, 1), (0.05, 0.05, 0.05, 1), (0.4, 0.25, 0.1, 1), (0.8, 0.1, 0.1, 1)]
    row.append((0.2, 0.5, 0.6, 0.3))
    kinds = np.rint(metadrive.label_picture(np.array([row], np.float32))[0, :, 0] * 8).astype(int).tolist()
    m = metadrive
    assert kinds == [m.PAINT, m.CHROME, m.TRIM, m.INTERIOR, m.RED, m.GLASS]


@pytest.mark.parametrize("source", ["trigger", "smarts", "metadrive"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, source: str) -> None:
    load = {
        "trigger": lambda: trigger.load_trigger(tmp_path, trigger.CARS[0]),
        "smarts": lambda: smarts.load_smarts(tmp_path, smarts.CARS[0]),
        "metadrive": lambda: metadrive.load_metadrive(tmp_path, metadrive.CARS[0]),
    }[source]
    with pytest.raises(DataError, match="cannot be read .*meshes fetch"):
        load()
    samples.write_trigger_car(tmp_path, "fox")
    samples.write_smarts_car(tmp_path, smarts.CARS[0].file)
    samples.write_metadrive_car(tmp_path, metadrive.CARS[0].folder)
    load()
    for path in tmp_path.rglob("*.*"):
        if path.suffix in (".png", ".glb", ".gltf"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="cannot be read .*meshes fetch"):
        load()


def test_placed_meshes_come_in_one_order_whatever_their_nodes_are_called() -> None:
    def scene(names: tuple[str, str, str]) -> trimesh.Scene:
        made, (first, second, third) = trimesh.Scene(), names
        ball, cube = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((2, 2, 2))
        right = trimesh.transformations.translation_matrix([1, 0, 0])
        made.add_geometry(cube, node_name=first, geom_name="cube")
        made.add_geometry(ball, node_name=second, geom_name="ball", transform=right)
        made.graph.update(third, matrix=np.eye(4), geometry="ball")
        return made

    orders = [[(g, t[0, 3]) for _, t, g in geometry_nodes(scene(n))] for n in (("a", "b", "c"), ("z", "y", "x"))]
    assert orders[0] == orders[1] == [("ball", 0.0), ("ball", 1.0), ("cube", 0.0)]
