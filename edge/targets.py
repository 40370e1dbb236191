"""One record for each platform carcloud runs on; nobody else knows a version number."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from edge.errors import SettingsError

#: Elements of the CSI pipeline (``edge.runtime.sources.gstreamer.csi_pipeline``).
CSI_ELEMENTS = ("nvarguscamerasrc", "nvvidconv", "videoconvert", "appsink")


class Target(NamedTuple):
    """A platform.

    python: (major, minor) of its system interpreter, or the oldest that works.
    tensorrt: lowest and lowest-refused version, or None where there is none. The runtime detects features, it never
        compares versions; the range serves lint and doctor.
    compute_capability: of the GPU, "" without one or where it varies.
    opset: highest ONNX opset its parser reads. precisions: what the hardware runs faster or as fast, best last.
    camera_elements: GStreamer elements of the CSI camera, () without a CSI connector.
    base_image: what its container image is built from (docker/), "" where there is none.
    note: what one must know, for people.
    """

    name: str
    title: str
    python: Tuple[int, int]
    tensorrt: Optional[Tuple[str, str]]
    compute_capability: str
    opset: int
    precisions: Tuple[str, ...]
    camera_elements: Tuple[str, ...]
    base_image: str
    note: str


TARGETS: Dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "nano-jp46", "Jetson Nano, JetPack 4.6.1 to 4.6.6", (3, 6), ("8.2", "8.3"), "5.3", 13, ("fp32", "fp16"),
            CSI_ELEMENTS, "nvcr.io/nvidia/l4t-base:r32.7.1",
            "no INT8: its Maxwell GPU (sm_53) has none, engines build but run slower than FP16",
        ),
        Target(
            "orin-jp5", "Jetson Orin, JetPack 5.1", (3, 8), ("8.5", "8.6"), "8.7", 17, ("fp32", "fp16", "int8"),
            CSI_ELEMENTS, "nvcr.io/nvidia/l4t-jetpack:r35.4.1", "not measured on hardware",
        ),
        Target(
            "orin-jp6", "Jetson Orin, JetPack 6", (3, 10), ("8.6", "10.4"), "8.7", 17, ("fp32", "fp16", "int8"),
            CSI_ELEMENTS, "nvcr.io/nvidia/l4t-jetpack:r36.4.0", "not measured on hardware",
        ),
        Target(
            "orin-jp7", "Jetson Orin, JetPack 7.2", (3, 12), ("10.13", "12"), "8.7", 18, ("fp32", "fp16", "int8"),
            CSI_ELEMENTS, "nvcr.io/nvidia/tensorrt:26.07-py3",
            "not measured on hardware; precision lives in the ONNX file from TensorRT 11 on",
        ),
        Target(
            "x86-trt", "PC with an NVIDIA GPU and TensorRT", (3, 8), ("8.6", "12"), "", 17, ("fp32", "fp16", "int8"),
            (), "", "INT8 where the GPU has compute capability 6.1 or 7.x and later",
        ),
        Target(
            "cpu", "any machine, ONNX Runtime on its CPU", (3, 6), None, "", 13, ("fp32", "int8"), (), "",
            "opset 13 and IR 8 are what onnxruntime 1.10, the last for Python 3.6, reads",
        ),
    )
}  # fmt: skip


def find_target(name: str) -> Target:
    """The target of a name. Raises SettingsError listing all of them."""
    if name not in TARGETS:
        raise SettingsError("unknown target %r; known are %s" % (name, ", ".join(TARGETS)))
    return TARGETS[name]


def l4t_version(release: str = "/etc/nv_tegra_release") -> str:
    """Jetson Linux's version, like "32.7.1", from the first line of its release file, which is like
    ``# R32 (release), REVISION: 7.1``; "" without such a file or where that line names none."""
    words = _first_words(release) or []
    line = next((word[1:] for word in words if word[:1] == "R" and word[1:].isdigit()), "")
    revision = words[words.index("REVISION:") + 1] if "REVISION:" in words[:-1] else ""
    return ".".join(part for part in (line, revision) if part) if line else ""


def detect_target(release: str = "/etc/nv_tegra_release") -> Target:
    """The target this machine is, by L4T's release file.

    Without such a file it is ``cpu``: a PC's TensorRT is found by the backend that needs it, not here.
    Raises SettingsError for an L4T release no target covers.
    """
    words = _first_words(release)
    if words is None:
        return TARGETS["cpu"]
    line, _, revision = l4t_version(release).partition(".")
    if line == "32" and revision.split(".")[0].isdigit() and int(revision.split(".")[0]) < 7:
        raise SettingsError(
            "this Jetson runs L4T 32.%s, whose TensorRT 8.0 lacks operators carcloud uses; update to JetPack 4.6.1"
            " (L4T 32.7.1) or later" % revision
        )
    names = {"32": "nano-jp46", "35": "orin-jp5", "36": "orin-jp6", "38": "orin-jp7", "39": "orin-jp7"}
    if line not in names:
        raise SettingsError("%s names no release carcloud knows: %s" % (release, " ".join(words) or "it is empty"))
    return TARGETS[names[line]]


def _first_words(path: str) -> Optional[List[str]]:
    """Words of a file's first line, None without the file."""
    try:
        with open(path, encoding="ascii", errors="replace") as handle:
            return handle.readline().replace(",", " ").split()
    except FileNotFoundError:
        return None
