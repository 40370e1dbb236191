"""Views, ground truth, the cache."""

from __future__ import annotations

import importlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError
from edge.pose import Pose
from edge.runtime.outputs import BodyClass, Length
from tests.training.benchmark_cars import toy_car
from training.benchmark import pictures, protocol, store
from training.benchmark.store import Store
from training.render.camera import Framing, frame_camera


def test_views_are_fixed_even_and_in_range() -> None:
    views = protocol.views_of("p406")
    assert views == protocol.views_of("p406") != protocol.views_of("suv")
    assert len(views) == 24 and len({v.seed for v in views}) == 24
    step = 15.0
    for index, view in enumerate(views):
        off = (view.azimuth - index * step + 180) % 360 - 180
        assert abs(off) <= step / 2
        assert 0 <= view.elevation <= 30 and 28 <= view.focal <= 85


def test_views_of_a_body_are_these() -> None:
    """Figures of different dates compare only while the views stay the same."""
    got = [tuple(round(v, 3) for v in protocol.views_of("p406")[i]) for i in (0, 11)]
    assert got == [(354.098, 19.378, 79.271, 1253586031), (157.792, 7.522, 48.741, 911654302)]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> protocol.Truth:
    return protocol.truth_of(toy_car("p406"), Store(tmp_path_factory.mktemp("cache")), 20_000)


def test_outside_truth_leaves_out_what_is_hidden(truth: protocol.Truth) -> None:
    # The floor of the cabin lies on the body's roof: on all surfaces, but not visible.
    def hidden(points: np.ndarray) -> int:
        along, across, up = np.abs(points - [0, 0, (0.7 - 0.65) / 4]).T
        return int(((along < 0.2) & (across < 0.15) & (up < 1e-3)).sum())

    assert hidden(truth.surface.points) > 500
    assert hidden(truth.outside.points) == 0
    assert np.allclose(truth.extents, (1.0, 0.45, 1.3 / 4), atol=1e-6)
    assert truth.saloon


def test_score_has_every_figure(truth: protocol.Truth) -> None:
    got = protocol.score(truth.outside.points, truth)
    assert got["whole.f1"] == 100.0 and got["whole.pred_to_gt"] == 0.0
    assert got["2048.f1"] < got["8192.f1"] < 100.0
    assert got["all.f1"] < 100.0 and got["all.gt_to_pred"] > 0.1
    assert {"cd_l2", "emd", "points"} <= got.keys()


def test_a_single_size_has_the_same_figures_and_no_others(truth: protocol.Truth) -> None:
    whole, one = protocol.score(truth.outside.points, truth), protocol.score(truth.outside.points, truth, (8192,))
    assert one == {key: value for key, value in whole.items() if key == "points" or key.startswith("8192.")}
    assert len(one) == 6


def test_score_views_scores_what_the_predictor_gives(truth: protocol.Truth) -> None:
    def predict(rgb: np.ndarray) -> protocol.Answer:
        return protocol.Answer(truth.outside.points if rgb.any() else np.zeros((0, 3)), {"network": 2.0})

    pictures = [np.ones((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)]
    good, bad = protocol.score_views(predict, truth, pictures)
    assert good["whole.f1"] == 100.0 and bad["whole.f1"] == 0.0
    assert good["ms.network"] == 2.0
    assert good["emd"] < bad["emd"] == 100.0
    assert not any(key.startswith(("pose.", "length.", "class.", "confidence.")) for key in good)


def test_what_else_is_told_is_scored_for_the_view_it_is_told_of(truth: protocol.Truth) -> None:
    views = iter(protocol.views_of("p406", 2))

    def predict(rgb: np.ndarray) -> protocol.Answer:
        view = next(views)
        pose = Pose(view.azimuth, view.elevation, 0.0, 0.0, 0.0, 1.0, 0.0)
        points = truth.outside.points[:1000]
        sure = np.full(len(points), 0.9, np.float32)
        return protocol.Answer(points, {}, sure, pose, Length(4.4, 0.05), BodyClass("sedan", 0.8), ("sedan", "suv"))

    for record in protocol.score_views(predict, truth, [np.zeros((8, 8, 3), np.uint8)] * 2):
        assert record["pose.direction_deg"] == pytest.approx(0.0, abs=1e-6) and record["pose.flipped"] == 0.0
        assert record["length.error"] == pytest.approx(10.0) and record["length.covered"] == 0.0
        assert record["class.right"] == 100.0 and record["confidence.kept"] == 100.0


def test_the_viewing_direction_is_that_of_the_camera_whatever_lens_and_crop_do() -> None:
    hull = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 3)) * [1.0, 0.4, 0.3]
    jitter = Framing(fill=0.5, scale=1.2, shift=(0.08, -0.05), aim=(0.1, -0.12), roll_deg=4.0)
    for view in protocol.views_of("suv"):
        camera = frame_camera(hull, view.azimuth, view.elevation, view.focal, 128, jitter)
        assert np.allclose(camera.eye / np.linalg.norm(camera.eye), view.direction, atol=1e-6)


def test_store_makes_once_and_again_when_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(3)}

    cache = Store(tmp_path / "cache")
    assert cache.get("kind", "key", make)["a"].tolist() == [0, 1, 2]
    assert cache.get("kind", "key", make)["a"].tolist() == [0, 1, 2]
    assert len(made) == 1
    (path,) = cache.folder.iterdir()
    for times, damage in ((2, b"cut"), (3, b"")):  # an empty file is what a power cut may leave
        caplog.clear()
        path.write_bytes(damage)
        with caplog.at_level(logging.WARNING):
            assert cache.get("kind", "key", make)["a"].tolist() == [0, 1, 2]
        assert len(made) == times and "is unreadable" in caplog.text and str(path) in caplog.text
    assert list(cache.folder.iterdir()) == [path], "no scratch file is left"


def test_fingerprints_tell_meshes_apart() -> None:
    assert store.mesh_fingerprint(toy_car("a")) == store.mesh_fingerprint(toy_car("a"))
    cars = [toy_car("a"), toy_car("b"), toy_car("a", width=1.81)]
    first = cars[0].parts[0]
    for other in (replace(first, colour=(1.0, 0.0, 0.0)), replace(first, category="trim"), replace(first, name="wing")):
        cars.append(replace(cars[0], parts=(other, *cars[0].parts[1:])))
    assert len({store.mesh_fingerprint(c) for c in cars}) == 6
    with pytest.raises(ValueError, match="without a source file"):
        store.code_fingerprint([object()])


def test_code_behind_a_package_is_followed_through_its_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "house/__init__.py": "",
        "house/nets/__init__.py": "from house.nets.net import Net",
        "house/nets/net.py": "import numpy\nfrom house.space import SIZE\nclass Net:\n    pass",
        "house/space.py": "SIZE = 1\ndef f():\n    from house.deep import leaf",
        "house/deep/__init__.py": "",
        "house/deep/leaf.py": "import house.nets",
        "house/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    nets = importlib.import_module("house.nets")
    found = store.with_imports(nets)
    assert [str(p.relative_to(tmp_path)) for p in found] == sorted(set(files) - {"house/__init__.py", "house/other.py"})
    before = store.files_fingerprint(found)
    (tmp_path / "house/deep/leaf.py").write_text("import house.nets  # changed")
    assert store.files_fingerprint(found) != before


def test_a_view_that_nothing_hides_takes_the_next_seed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def render_view(mesh: object, *arguments: object) -> int:
        seed = arguments[4]
        asked.append(seed)
        if seed != 7:
            raise DataError(f"no view with seed {seed}")
        return 7

    monkeypatch.setattr("training.render.views.render_view", render_view)
    monkeypatch.setattr(pictures, "renderer", lambda: None)
    view = protocol.View(10.0, 5.0, 50.0, 5)
    assert pictures.draw(toy_car("a"), view, "occluded") == 7 and asked == [5, 6, 7]
    assert "no view with seed 6; the benchmark takes the next one" in caplog.text
    # Any other error of the renderer is one.
    with pytest.raises(DataError, match="no view with seed 5"):
        pictures.draw(toy_car("a"), view, "clutter")
