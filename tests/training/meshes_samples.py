"""Tiny cars in every format the importers read, written by the tests themselves."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from edge.bundle import sha256_file
from training.meshes import packages
from training.meshes.model import CarMesh, MeshPart

BOX_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    np.int32,
)  # fmt: skip


def box(lower: tuple[float, float, float], upper: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (8, 3) and faces (12, 3) of an axis-aligned box."""
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    low, high = np.array(lower), np.array(upper)
    return (low + np.array(corners) * (high - low)).astype(np.float32), BOX_FACES


def box_part(category: str, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> MeshPart:
    """A part that is a box."""
    vertices, faces = box(lower, upper)
    return MeshPart(category, category, vertices, faces, (0.5, 0.5, 0.5))  # type: ignore[arg-type]


def toy_car(*extra: MeshPart) -> CarMesh:
    """A closed body on four box wheels, 4.4 x 1.8 x 1.4 m, with lamps at the right ends."""
    wheels = [
        box_part("tyre", (x - 0.3, y - 0.1, 0.0), (x + 0.3, y + 0.1, 0.6)) for x in (-1.3, 1.3) for y in (-0.75, 0.75)
    ]
    rims = [
        box_part("rim", (x - 0.2, y - 0.005, 0.1), (x + 0.2, y + 0.005, 0.5))
        for x in (-1.3, 1.3)
        for y in (-0.855, 0.855)
    ]
    parts = [
        box_part("paint", (-2.2, -0.9, 0.25), (2.2, 0.9, 0.8)),
        box_part("glass", (-1.4, -0.8, 0.8), (0.9, 0.8, 1.2)),
        box_part("paint", (-1.4, -0.8, 1.2), (0.9, 0.8, 1.4)),
        box_part("light_front", (2.19, -0.8, 0.6), (2.2, 0.8, 0.7)),
        box_part("light_rear", (-2.2, -0.8, 0.6), (-2.19, 0.8, 0.7)),
        *wheels,
        *rims,
        *extra,
    ]
    return CarMesh("toy", "tests", "CC0", "nobody", "sedan", "toy", tuple(parts), 4.4)


ACC = """AC3Db
MATERIAL "paint" rgb 0.8 0.2 0.1 amb 1 1 1 emis 0 0 0 spec 0 0 0 shi 0 trans 0
OBJECT world
kids {kids}
{objects}"""


def acc_box(name: str, lower: tuple[float, float, float], upper: tuple[float, float, float], texture: str = "") -> str:
    """One AC3D object, a box given in the CAR frame (x forward, y left, z up), as six TORCS strips with normals.

    Every corner's u, v is 0.25, 0.75.
    """
    vertices, _ = box(lower, upper)
    rows = "\n".join(f"{x:.4f} {z:.4f} {-y:.4f} 0 1 0" for x, y, z in vertices)
    strips = [(0, 1, 2, 3), (4, 6, 5, 7), (0, 4, 1, 5), (2, 3, 6, 7), (0, 2, 4, 6), (1, 5, 3, 7)]
    surfaces = "\n".join(
        "SURF 0x34\nmat 0\nrefs 4\n" + "\n".join(f"{i} 0.25 0.75 0.1 0.1 0.2 0.2" for i in strip) for strip in strips
    )
    layers = f'texture "{texture}" base\ntexture "other.rgb" tiled\n' if texture else ""
    return f'OBJECT poly\nname "{name}"\n{layers}numvert 8\n{rows}\nnumsurf 6\n{surfaces}\nkids 0\n'


def acc_text(*objects: str) -> str:
    """A whole AC3D file."""
    return ACC.format(kids=len(objects), objects="".join(objects))


def torcs_xml(width: float = 200.0) -> str:
    """The wheels of a TORCS car: 16 inch rims, 200 mm tyres, radius 0.3032 m, ride height 150 mm."""
    rows = ""
    for end, x in (("Front", 1.3), ("Rear", -1.3)):
        rows += f'<section name="{end} Axle"><attnum name="xpos" unit="m" val="{x}"/></section>'
        for side, y in (("Right", -0.75), ("Left", 0.75)):
            rows += (
                f'<section name="{end} {side} Wheel"><attnum name="ypos" unit="m" val="{y}"/>'
                f'<attnum name="rim diameter" unit="in" val="16"/><attnum name="tire width" unit="mm" val="{width}"/>'
                '<attnum name="tire height-width ratio" val="0.5"/>'
                '<attnum name="ride height" unit="mm" val="150"/></section>'
            )
    return f'<?xml version="1.0"?><params name="x">{rows}</params>'


def write_torcs_car(folder: Path, name: str) -> None:
    """A named-parts TORCS car: red livery, a window, an inner roof, a driver and an aerial."""
    base = folder / name
    base.mkdir(parents=True)
    (base / f"{name}.acc").write_text(
        acc_text(
            acc_box("BODY_s_1", (-2.2, -0.9, 0.0), (2.2, 0.9, 0.6), f"{name}.rgb"),
            acc_box("WIFRONT_s_0", (-1.2, -0.8, 0.6), (0.9, 0.8, 1.2), f"{name}.rgb"),
            acc_box("ROOFINSIDE_s_0", (-1.0, -0.7, 0.6), (0.8, 0.7, 1.1), f"{name}.rgb"),
            acc_box("DRIVERPART1_s_0", (-0.2, 0.2, 0.6), (0.2, 0.6, 1.5), f"{name}.rgb"),
            acc_box("ANTENNA_s_0", (-0.01, 0.2, 1.2), (0.01, 0.21, 1.9), f"{name}.rgb"),
        )
    )
    (base / f"{name}.xml").write_text(torcs_xml())
    # Every corner's uv is (0.25, 0.75): the picture's top left quarter, red; the rest is blue.
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 2] = 255
    picture[:4, :4] = (204, 26, 26)
    Image.fromarray(picture).save(base / f"{name}.rgb", format="SGI")


CATALOGUE = "model#7=/scopia/{name}/{name}.obj\nwidth#7=190\ndepth#7=440.0\nheight#7=150\ncreator#7=Scopia\n"


def write_sweethome_library(path: Path, folder: str, name: str, catalogue: str = CATALOGUE) -> None:
    """A .sh3f with one car: units of 5 cm, y up, nose +z; paint, glass and four tyres; a thin aerial."""
    pieces = [
        ("firstcolor", (-18, 5, -44), (18, 16, 44)),
        ("glass", (-16, 16, -20), (16, 28, 20)),
        *(("tires", (x - 2, 0, z - 6), (x + 2, 12, z + 6)) for x in (-15, 15) for z in (-26, 26)),
        ("aerial", (0.0, 28, 0), (0.1, 40, 0.1)),
        ("textured", (-10, 10, -44.2), (10, 14, -44)),
    ]
    text, count = f"mtllib {name}.mtl\nvt 0.25 0.75\n", 0
    for material, lower, upper in pieces:
        vertices, faces = box(lower, upper)
        text += "".join(f"v {x} {y} {z}\n" for x, y, z in vertices) + f"usemtl {material}\n"
        text += "".join("f " + " ".join(f"{i + count + 1}/1" for i in face) + "\n" for face in faces)
        count += len(vertices)
    mtl = "newmtl firstcolor\nKd 0.8 0.5 0.0\nd 1\nnewmtl glass\nKd 0.1 0.1 0.1\nd 0.3\nnewmtl tires\nKd 0 0 0\n"
    mtl += "newmtl textured\nKd 1 1 1\nmap_Kd map.png\n"
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 10, 10)).save(picture, format="PNG")
    with zipfile.ZipFile(path, "w") as library:
        library.writestr("PluginFurnitureCatalog.properties", catalogue.format(name=name))
        library.writestr(f"{folder}/{name}/{name}.obj", text)
        library.writestr(f"{folder}/{name}/{name}.mtl", mtl)
        library.writestr(f"{folder}/{name}/map.png", picture.getvalue())


def write_glb_pack(folder: Path, names: tuple[str, ...] = ("chrono_toy",), **changes: str) -> None:
    """A pack of GLB cars, +Y up, nose +Z: body with a textured paint and a lamp, four wheels placed by their nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name in names:
        scene = trimesh.Scene(base_frame=name)
        for kind, lower, upper in (
            ("paint", (-0.9, 0.25, -2.2), (0.9, 0.8, 2.2)),
            ("glass.2", (-0.8, 0.8, -1.4), (0.8, 1.4, 0.9)),
            ("light", (-0.8, 0.6, 2.2), (0.8, 0.7, 2.21)),
        ):
            scene.add_geometry(_glb_mesh(kind, lower, upper), node_name=f"body_{kind}", geom_name=kind)
        for x in (-0.75, 0.75):
            for z in (-1.3, 1.3):
                place = np.eye(4)
                place[:3, 3] = (x, 0.3, z)
                wheel = _glb_mesh("tyre", (-0.1, -0.3, -0.3), (0.1, 0.3, 0.3))
                scene.add_geometry(wheel, node_name=f"wheel_{x}_{z}", geom_name=f"wheel_{x}_{z}", transform=place)
        path = folder / f"{name}.glb"
        path.write_bytes(scene.export(file_type="glb"))
        entry = {
            "file": path.name,
            "licence": "CC0",
            "authors": "nobody",
            "body_class": "sedan",
            "ancestry_group": name,
            "sha256": sha256_file(str(path)),
        }
        entries.append({**entry, **changes})
    (folder / "manifest.json").write_text(json.dumps({"cars": entries}))


def _glb_mesh(kind: str, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> trimesh.Trimesh:
    vertices, faces = box(lower, upper)
    picture = Image.new("RGB", (2, 2), (128, 128, 128)) if kind == "paint" else None
    material = trimesh.visual.material.PBRMaterial(
        name=kind, baseColorFactor=[51, 102, 204, 255], baseColorTexture=picture
    )
    visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(vertices), 2)), material=material)
    return trimesh.Trimesh(vertices=vertices, faces=faces, visual=visual, process=False)


def text_3dm() -> str:
    """A .3dm: a shadow, a driver, a body under a roof, four wheels; the roof lies in the window of the mask."""
    pieces = [
        ("Plane.001", 1, (-2, 0, -3), (2, 0.01, 3)),
        ("male01", 2, (-0.2, 0.5, -0.2), (0.2, 2.0, 0.2)),
        ("body", 2, (-0.8, 0.25, -2.0), (0.8, 0.9, 2.0)),
        ("roof", 3, (-0.7, 0.9, -1.0), (0.7, 1.4, 1.0)),
        *(
            (f"wheel_{x}{z}", 2, (x - 0.1, 0, z - 0.3), (x + 0.1, 0.6, z + 0.3))
            for x in (-0.7, 0.7)
            for z in (-1.3, 1.3)
        ),
    ]
    text = f"3dm {len(pieces)} 3\nshtoy.png\ntoyd.png\ntoya.png\n"
    for name, texture, lower, upper in pieces:
        vertices, faces = box(lower, upper)
        u = 0.75 if name == "roof" else 0.25
        # The place is taken off the vertices again, and the second vertex repeats the first one's x y z by a blank.
        rows = [f"{x} {y - 5} {z} {u} 0.5" for x, y, z in vertices]
        rows.insert(1, f" {u} 0.5")
        text += f"o {name}\n0 5 0 {texture}\nv {len(rows)}\n" + "\n".join(rows) + f"\nf {len(faces)}\n"
        text += "".join(" ".join(str(i + (i > 0)) for i in face) + "\n" for face in faces)
    return text


def write_openmrac(path: Path, name: str, picture: str, mask: str) -> None:
    """An openmrac.dat with one car: blue livery, and a mask whose right half is window."""
    livery, window = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    livery[...] = (20, 60, 230)
    window[:, 4:] = 0
    with tarfile.open(path, "w") as archive:
        for member, data in ((f"{name}.3dm", text_3dm().encode()), (picture, livery), (mask, window)):
            if not isinstance(data, bytes):
                buffer = io.BytesIO()
                Image.fromarray(data).save(buffer, format="PNG")
                data = buffer.getvalue()
            about = tarfile.TarInfo(member)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))


def obj_text(*pieces: tuple[tuple[float, float, float], tuple[float, float, float], float]) -> str:
    """An OBJ of boxes (lower, upper, u of all its corners; v is 0.5), with one material."""
    text, count = "usemtl skin\n", 0
    for number, (lower, upper, u) in enumerate(pieces):
        vertices, faces = box(lower, upper)
        text += f"vt {u} 0.5\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in vertices)
        text += "".join("f " + " ".join(f"{i + count + 1}/{number + 1}" for i in face) + "\n" for face in faces)
        count += len(vertices)
    return text


def write_trigger_car(folder: Path, name: str) -> None:
    """A Trigger Rally car in three liveries: x right, y forward, z up, units of 0.5 m (the scale in its file).

    A lower and an upper box with one footprint (3.6 m long), a wing behind, an aerial above, an axle below. The
    picture's left half is livery, red, green and blue; the right half is black in all.
    """
    wheels = "".join(
        f'<wheel pos="{x}, {y}, -0.1" radius="0.3"/>' for y in (1.2, -1.0) for x in (0.6, -0.6)
    )
    chassis = f'<vehicle><genparams wheelscale="0.033"/><part scale="0.5">{wheels}</part></vehicle>'
    body = obj_text(
        ((-1.5, -3.6, -0.4), (1.5, 3.6, 0.8), 0.25),
        ((-1.5, -3.6, 0.8), (1.5, 3.6, 2.0), 0.75),
        ((-1.4, -3.6, 2.2), (1.4, -3.0, 2.3), 0.25),
        ((-0.01, -2.0, 2.0), (0.01, -1.8, 4.0), 0.25),
        ((-1.2, 2.2, -0.5), (1.2, 2.6, -0.1), 0.25),
    )
    for colour, livery in enumerate(("wrc", "kitcar", "super500")):
        base = folder / "vehicles" / f"{name}_{livery}"
        base.mkdir(parents=True)
        (base / f"{name}_{livery}.vehicle").write_text(chassis)
        (base / f"{name}_{livery}.obj").write_text(body)
        (base / f"{name}_{livery}_wheel.obj").write_text(obj_text(((-15, -30, -30), (15, 30, 30), 0.25)))
        picture = np.zeros((8, 8, 3), np.uint8)
        picture[:, :4, colour] = 220
        Image.fromarray(picture).save(base / f"{name}_{livery}.png")


def _coloured(name: str, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> trimesh.Trimesh:
    vertices, faces = box(lower, upper)
    material = trimesh.visual.material.PBRMaterial(name=name, baseColorFactor=[51, 102, 204, 255])
    visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(vertices), 2)), material=material)
    return trimesh.Trimesh(vertices=vertices, faces=faces, visual=visual, process=False)


def write_smarts_car(folder: Path, file: str) -> None:
    """A SMARTS car: y up, nose -z, 4 m long; lamps at both ends, tyres with flat metal discs, a metal grille."""
    pieces = [
        ("body", (-0.8, 0.3, -2.0), (0.8, 0.9, 2.0)),
        ("windows", (-0.7, 0.9, -0.8), (0.7, 1.4, 1.2)),
        ("lights", (-0.7, 0.6, -2.01), (0.7, 0.7, -2.0)),
        ("lights.red", (-0.7, 0.6, 2.0), (0.7, 0.7, 2.01)),
        ("metal", (-0.3, 0.4, -2.02), (0.3, 0.5, -2.0)),
    ]
    for x in (-0.8, 0.8):
        for z in (-1.3, 1.3):
            pieces.append(("tires", (x - 0.1, 0.0, z - 0.3), (x + 0.1, 0.6, z + 0.3)))
            pieces.append(("metal", (x * 1.13, 0.15, z - 0.15), (x * 1.131, 0.45, z + 0.15)))
    scene = trimesh.Scene()
    for number, (name, lower, upper) in enumerate(pieces):
        scene.add_geometry(_coloured(name, lower, upper), node_name=f"{name}_{number}", geom_name=f"{name}_{number}")
    target = folder / "vehicles" / "visual_model" / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(scene.export(file_type="glb"))


def write_metadrive_car(folder: Path, name: str) -> None:
    """A MetaDrive car as its 130: y up, nose -z, no panes over the cabin, colour swatches below it, and one wheel."""
    target = folder / "vehicle" / name
    target.mkdir(parents=True)
    nodes = {
        "body_body_0": ((-0.85, 0.2, -2.2), (0.85, 0.8, 2.2)),
        "body_interior_0": ((-0.7, 0.8, -0.8), (0.7, 1.2, 1.2)),
        "body_lens_0": ((-0.7, 0.5, -2.21), (0.7, 0.6, -2.2)),
        "body_lens_1": ((-0.7, 0.5, 2.2), (0.7, 0.6, 2.21)),
        "color_b_red_0": ((-0.2, 0.4, 5.0), (0.2, 0.5, 5.4)),
    }
    for file, pieces in (
        ("vehicle.gltf", nodes),
        ("right_tire_front.gltf", {"rim": ((-0.1, -0.34, -0.34), (0.12, 0.34, 0.34))}),
    ):
        scene = trimesh.Scene()
        for node, (lower, upper) in pieces.items():
            scene.add_geometry(_coloured(node, lower, upper), node_name=node, geom_name=node)
        files = trimesh.exchange.gltf.export_gltf(scene, embed_buffers=True)
        (target / file).write_bytes(files["model.gltf"])


def write_cache(cache: Path) -> None:
    """A mesh cache that looks fetched, with two cars of the many: the ``suv`` and ``p406`` of the two packages."""
    for package in packages.PACKAGES:
        folder = packages.package_folder(cache, package)
        folder.mkdir(parents=True)
        (folder / packages.STAMP).write_text(json.dumps({"sha256": package.sha256}))
    write_sweethome_library(cache / "sweethome3d" / "Scopia.sh3f", "scopia", "suv")
    write_torcs_car(cache / "torcs" / "cars", "p406")
