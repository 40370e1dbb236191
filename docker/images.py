"""The device images: a Dockerfile for each JetPack line, from one template and ``edge.targets``, so that none drifts.

python docker/images.py            write them
python docker/images.py --check    write nothing; exit code 1 if one is not what it would be
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from edge.targets import TARGETS  # noqa: E402

#: pip and what builds the wheel, by Python: the last for 3.6 and 3.8.
TOOLS = {
    (3, 6): "pip==21.3.1 setuptools==59.6.0 wheel==0.37.1 flit_core==3.12.0",
    (3, 8): "pip==25.0.1 setuptools==75.3.0 wheel==0.45.1 flit_core==3.12.0",
    (3, 10): "pip==26.1 setuptools==84.2.1 wheel==0.48.0 flit_core==3.12.0",
}
#: Lists of versions, by Python. JetPack's OpenCV from 6 on was built for NumPy 1 and does not load beside NumPy 2.
CONSTRAINTS = {
    (3, 6): "constraints-py36.txt",
    (3, 8): "constraints-py38.txt",
    (3, 10): "docker/constraints-numpy1.txt",
}

#: pycuda is compiled, with CUDA's compiler, against the CUDA that is there.
PYCUDA = """\
ARG DEBIAN_FRONTEND=noninteractive
# Empty: an image that can use ONNX Runtime only.
ARG PYCUDA=pycuda==2022.1
COPY docker/constraints-pycuda.txt docker/install-pycuda ./
RUN if [ -z "${PYCUDA}" ]; then echo "no pycuda: this image will not use TensorRT"; else \\
    apt-get update && apt-get install -y --no-install-recommends g++ python3-dev \\
    && rm -rf /var/lib/apt/lists/* && ./install-pycuda "${PYCUDA}"; fi"""

#: cuda-python has wheels; its major and minor version must not be above CUDA's.
CUDA_PYTHON = """\
RUN /opt/carcloud/bin/pip install --no-cache-dir --only-binary :all: -c constraints.txt %s"""


class Line(NamedTuple):
    """What is of a JetPack line's images alone.

    base_note: what is known about the base, as a comment. gpu: the stage that installs pycuda or cuda-python.
    repository: of NVIDIA's packages for Jetsons, which hold OpenCV with GStreamer; "": the distribution's is taken.
    opencv: packages.
    """

    base_note: str
    gpu: str
    repository: str
    opencv: str


LINES = {
    "nano-jp46": Line(
        "CUDA, cuDNN and TensorRT are the host's: NVIDIA's container runtime mounts them. Not built on this base yet.",
        PYCUDA, "common r32.7 main", "libopencv-python=4.1.1-2-gd5a58aa75",
    ),
    "orin-jp5": Line(
        "The base holds CUDA and TensorRT, the host the driver. Not built on this base yet.",
        PYCUDA, "common r35.4 main", "libopencv-python",
    ),
    "orin-jp6": Line(
        "The base holds CUDA and TensorRT, the host the driver. Not built on this base yet.",
        CUDA_PYTHON % "cuda-python==12.6.2.post1", "common r36.4 main", "libopencv-python",
    ),
    "orin-jp7": Line(
        "The base holds CUDA and TensorRT, the host the driver. Not built on this base yet; others ran it on a Thor.",
        CUDA_PYTHON % "cuda-bindings==13.0.3", "", "python3-opencv",
    ),
}  # fmt: skip


def dockerfile(name: str) -> str:
    """The Dockerfile of a target, whole. Raises KeyError: there is no image for it."""
    target, line = TARGETS[name], LINES[name]
    era = max(version for version in TOOLS if version <= target.python)
    values = {
        "name": name, "title": target.title, "base_image": target.base_image,
        "python": ".".join(map(str, target.python)), "tools": TOOLS[era], "constraints": CONSTRAINTS[era],
        **line._asdict(),
    }  # fmt: skip
    text = (HERE / "device.Dockerfile.in").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def path_of(name: str) -> Path:
    return HERE / f"{name}.Dockerfile"


def main(arguments: list[str]) -> int:
    """Write all of them, or with ``--check`` say which differ."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = [name for name in LINES if not path_of(name).is_file() or path_of(name).read_text() != dockerfile(name)]
    for name in stale:
        if arguments:
            print(f"error: docker/{name}.Dockerfile is not what its template gives; type: python docker/images.py")
        else:
            path_of(name).write_text(dockerfile(name), encoding="utf-8")
            print(f"wrote docker/{name}.Dockerfile")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
