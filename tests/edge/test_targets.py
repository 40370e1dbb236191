"""edge.targets: the table agrees with itself and with the camera pipeline, and detection reads L4T's file."""

from typing import Any

import pytest

from edge.errors import SettingsError
from edge.runtime.sources.gstreamer import csi_pipeline, pipeline_elements
from edge.targets import TARGETS, detect_target, find_target


def test_the_camera_elements_are_those_of_the_pipeline() -> None:
    used = tuple(pipeline_elements(csi_pipeline(0, 1280, 720, 30)))
    assert {target.camera_elements for target in TARGETS.values()} == {used, ()}


def test_the_nano_has_no_int8_and_says_why() -> None:
    nano = find_target("nano-jp46")
    assert "int8" not in nano.precisions and nano.python == (3, 6) and nano.opset == 13
    assert "no INT8" in nano.note


def test_every_target_has_its_name_and_the_fp32_network_fits_it() -> None:
    assert list(TARGETS) == ["nano-jp46", "orin-jp5", "orin-jp6", "orin-jp7", "x86-trt", "cpu"]
    for name, target in TARGETS.items():
        assert target.name == name and target.opset >= 13 and target.precisions[0] == "fp32"


def test_every_jetson_has_a_base_image_of_a_fixed_tag() -> None:
    images = {name: target.base_image for name, target in TARGETS.items() if target.camera_elements}
    assert len(set(images.values())) == 4
    for image in images.values():
        name, _, tag = image.rpartition(":")
        assert name.startswith("nvcr.io/nvidia/") and tag != "latest" and any(c.isdigit() for c in tag)
    assert find_target("nano-jp46").base_image.endswith(":r32.7.1")  # the oldest that a host of 32.7.1 and later runs
    assert find_target("cpu").base_image == find_target("x86-trt").base_image == ""


def test_an_unknown_target_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match="unknown target 'xavier'; known are nano-jp46, orin-jp5"):
        find_target("xavier")


@pytest.mark.parametrize(
    "line, name",
    [
        ("# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64", "nano-jp46"),
        ("# R35 (release), REVISION: 6.4, GCID: 1", "orin-jp5"),
        ("# R36 (release), REVISION: 4.3, GCID: 1", "orin-jp6"),
        ("# R38 (release), REVISION: 2.0, GCID: 1", "orin-jp7"),
    ],
)
def test_a_jetson_is_told_by_its_release_file(tmp_path: Any, line: str, name: str) -> None:
    path = tmp_path / "nv_tegra_release"
    path.write_text(line + "\nmore\n")
    assert detect_target(str(path)).name == name


def test_a_machine_without_the_file_is_a_cpu(tmp_path: Any) -> None:
    assert detect_target(str(tmp_path / "none")).name == "cpu"


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("# R32 (release), REVISION: 6.1", "L4T 32.6.1, whose TensorRT 8.0 lacks operators .* update to JetPack 4.6.1"),
        ("# R28 (release), REVISION: 1.0", "names no release carcloud knows: # R28"),
        ("", "names no release carcloud knows: it is empty"),
    ],
)
def test_an_unsupported_release_is_refused(tmp_path: Any, line: str, sentence: str) -> None:
    path = tmp_path / "nv_tegra_release"
    path.write_text(line)
    with pytest.raises(SettingsError, match=sentence):
        detect_target(str(path))
