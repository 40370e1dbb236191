"""From scene, light, car and camera to the uniforms of the shaders."""

from __future__ import annotations

from typing import Any

import moderngl
import numpy as np

from training.render.appearance import Dress, Materials
from training.render.camera import Camera
from training.render.details import Details
from training.render.light import Light
from training.render.scene import Backdrop, Neighbour
from training.render.shader_scene import MAX_BOXES

Values = dict[str, Any]


def write(program: moderngl.Program, values: Values) -> None:
    """Set what the program has of these; arrays go in as float32, matrices transposed by the caller."""
    for name, value in values.items():
        if name in program:
            member = program[name]
            if isinstance(value, np.ndarray):
                member.write(np.ascontiguousarray(value, "f4").tobytes())
            else:
                member.value = value


def shared(camera: Camera, light: Light, sun_matrix: np.ndarray) -> Values:
    """What car and surroundings both need."""
    return {
        "eye": camera.eye, "sunDirection": light.sun_direction, "sunColour": light.sun_colour,
        "sunMatrix": sun_matrix.T, "shadowStrength": light.shadow_strength, "shadowSoftness": light.shadow_softness,
        "turned": 0.0, "reach": 0.0,
    }


def surroundings(
    camera: Camera, light: Light, backdrop: Backdrop, ground: float, footprint: tuple[float, float],
    size: tuple[int, int],
) -> Values:
    """What the scene shader needs. ground: height of the floor; footprint: half length and width of the car."""
    above = 0.8 * light.sun_colour * max(light.sun_direction[2], 0) + (light.zenith + light.horizon) / 2
    boxes = np.zeros((MAX_BOXES, 12), np.float32)
    boxes[: len(backdrop.boxes)] = backdrop.boxes
    boxes[:, 2] += ground
    to_pixel = np.array([[size[0] / 2, 0, size[0] / 2], [0, -size[1] / 2, size[1] / 2], [0, 0, 1.0]])
    rays = camera.R.T @ np.linalg.inv(camera.K) @ to_pixel
    return {
        "ground": ground, "zenith": light.zenith, "horizon": light.horizon, "clouds": light.clouds,
        "studio": light.studio, "groundLit": backdrop.ground * above, "skyline": backdrop.skyline,
        "skylineColour": backdrop.skyline_colour * above,
        "rays": rays.T, "kind": backdrop.kind, "colourA": backdrop.colour_a, "colourB": backdrop.colour_b,
        "blend": backdrop.blend, "groundColour": backdrop.ground, "pattern": backdrop.pattern,
        "footprint": np.array([*footprint, *backdrop.contact]), "boxes": len(backdrop.boxes),
        "boxPlace": boxes[:, :4], "boxShape": boxes[:, 4:8], "boxColour": boxes[:, 8:],
    }


def car(materials: Materials, dress: Dress, details: Details, ground: float) -> Values:
    """What the car shader needs to know of one car."""
    sill, belt, roof, _ = details.levels
    livery = dress.livery.copy()
    livery[1] = {1.0: sill + livery[1] * (belt - sill), 2.0: roof - 0.35 * (roof - belt)}.get(livery[0], livery[1])
    livery[2] *= float(details.seams.any())
    plates = details.plates * (1.0 if dress.plates else 0.0)
    return {
        "albedo": materials.albedo, "finish": materials.finish, "ground": ground, "wheels": details.wheels,
        "seams": np.array([*details.seams, dress.seam_strength]), "levels": details.levels, "plates": plates,
        "plateLook": dress.plate_look, "livery": livery, "liveryColour": dress.livery_colour,
        "wheelLook": dress.wheel_look,
    }


def placed(other: Neighbour, ground: float, own_ground: float) -> np.ndarray:
    """Matrix (4, 4) from a neighbour's own frame into the scene."""
    c, s = np.cos(other.turn) * other.scale, np.sin(other.turn) * other.scale
    return np.array([
        [c, -s, 0, other.x], [s, c, 0, other.y], [0, 0, other.scale, ground - other.scale * own_ground], [0, 0, 0, 1.0],
    ])


def seen_from(place: np.ndarray, other: Neighbour, common: Values, camera: Camera) -> Values:
    """Eye and sun in a neighbour's own frame: the car shader works there, as if the neighbour were the car."""
    back = np.linalg.inv(place)
    return {
        "eye": back[:3, :3] @ camera.eye + back[:3, 3],
        "sunDirection": place[:3, :3].T @ common["sunDirection"] / other.scale,
        "turned": float(other.turn), "shadowStrength": 0.0, "reach": 1.0 / other.scale,
    }


def clip_matrix(camera: Camera, size: tuple[int, int], near: float = 0.02, far: float = 50.0) -> np.ndarray:
    """OpenGL clip matrix (4, 4) of an OpenCV camera: y is turned up, depth 0..far to -1..1."""
    K, (width, height) = camera.K, size
    lens = np.array([
        [2 * K[0, 0] / width, 0, 2 * K[0, 2] / width - 1, 0],
        [0, -2 * K[1, 1] / height, 1 - 2 * K[1, 2] / height, 0],
        [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)],
        [0, 0, 1, 0],
    ])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = camera.R, camera.t
    return lens @ pose
