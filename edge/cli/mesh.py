"""``carcloud mesh``: a closed, coloured surface from one cloud."""

import argparse
import os
from typing import Any

from edge.errors import MeshError, SettingsError

DESCRIPTION = """Make a closed surface with colours from the cloud of a car, and write it as GLB (for browsers, Blender,
game engines; +Y up, the nose towards +Z) or OBJ (x forward, y left, z up). Takes seconds, and Open3D:
pip install open3d-cpu."""

EPILOG = """examples:
  carcloud mesh clouds/car.ply --out car.glb
  carcloud mesh clouds/car.ply --out car.obj --length 4.42     in metres
"""


def register(subparsers: Any) -> None:
    """Add the ``mesh`` command."""
    parser = subparsers.add_parser(
        "mesh", help="a cloud to a closed, coloured surface (GLB, OBJ)", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud", metavar="CLOUD.ply", help="a cloud of carcloud reconstruct, export, or /cloud.ply")
    parser.add_argument("--out", metavar="FILE", required=True, help="car.glb or car.obj")
    parser.add_argument("--length", type=float, default=1.0, metavar="METRES",
                        help="the car's length, for a mesh in metres (default: its length is 1)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the mesh; says how large it is."""
    from edge.cli.reconstruct import prepare_folder
    from edge.client.meshfiles import check_path, write_mesh
    from edge.client.meshing import make_mesh, volume
    from edge.ply import read_ply

    if not 0 < options.length < 1000:
        raise SettingsError("--length is %g; give the car's length in metres, such as 4.4" % options.length)
    check_path(options.out)
    folder, name = os.path.split(os.path.abspath(options.out))
    prepare_folder(folder, [name], options.overwrite)
    try:
        cloud = read_ply(options.cloud)
    except OSError as error:
        raise MeshError("cannot read the cloud %s: %s" % (options.cloud, error.strerror))
    mesh = make_mesh(cloud)
    try:
        write_mesh(options.out, mesh, options.length)
    except OSError as error:
        raise MeshError("cannot write %s: %s; give another --out" % (options.out, error.strerror))
    extents = (mesh.vertices.max(0) - mesh.vertices.min(0)) * options.length
    print("%s: %d triangles, closed, %.3f x %.3f x %.3f, volume %.4f" % (
        (options.out, len(mesh.triangles)) + tuple(extents)
        + (volume(mesh.vertices * options.length, mesh.triangles),)))
    return 0
