"""Photos without 3-D truth: what silhouettes and known changes of a picture teach, and what keeps a car a car."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edge.errors import CarcloudError, SettingsError
from edge.pose import decode_pose, project
from tests.training.toys import SMALL, same
from training import checkpoint
from training.__main__ import main
from training.morphable.space import ShapeSpace
from training.networks import build, rebuilt
from training.networks.morphable import Morphable
from training.unlabelled import guards, losses, variants
from training.unlabelled.photos import EXTENT, SIDE, Photo, whole_crop
from training.unlabelled.run import Unlabelled, flagship, split
from training.unlabelled.score import drawn_mask
from training.unlabelled.settings import WEIGHTS, UnlabelledSettings
from training.unlabelled.student import Student, camera_direction, look, seen

PLAIN = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def photo(
    name: str = "a.png", centre: tuple[float, float] = (0.0, 0.0), axes: tuple[float, float] = (0.7, 0.35)
) -> Photo:
    """A bright ellipse, in crop coordinates, on a dark ground; the outermost pixels lie beyond the picture."""
    at = (np.arange(128) + 0.5) / 64 - 1
    away = ((at - centre[0]) / axes[0]) ** 2 + ((at[:, None] - centre[1]) / axes[1]) ** 2
    mask = (away < 1).astype(np.float32)
    rgb = np.repeat((40 + 150 * mask).astype(np.uint8)[..., None], 3, 2)
    return whole_crop(name, Path(name).parent.name, rgb, mask)


@functools.cache
def toy_flagship() -> Morphable:
    """Never changed: a run teaches copies of its parts."""
    torch.manual_seed(0)
    made = build("morphable", **SMALL)
    assert isinstance(made, Morphable)
    rng = np.random.default_rng(0)
    mean, basis = rng.uniform((-0.5, 0, -0.16), (0.5, 0.2, 0.16), (400, 3)), rng.normal(size=(4, 400, 3)) * 0.02
    boxes = np.array([[1, 0.4, 0.3], [1, 0.5, 0.4]], np.float32)
    made.start_from(ShapeSpace(mean.astype(np.float32), basis.astype(np.float32)), boxes)
    return made.eval().requires_grad_(False)


def write_checkpoint(path: Path, name: str = "morphable") -> Path:
    checkpoint.save(path, start_state(name))
    return path


def start_state(name: str = "morphable") -> dict[str, Any]:
    weights = toy_flagship().state_dict()
    return {"settings": "{}", "network_name": name, "arguments": SMALL, "average": weights,
             "training_average": weights, "step": 1, "samples": 1, "seconds": 1.0}  # fmt: skip


# --- silhouettes ----------------------------------------------------------------------------------------------------


def test_a_displaced_cloud_moves_into_its_mask() -> None:
    target = photo(centre=(0.1, -0.05))
    silhouettes = losses.silhouettes_of([target])
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 700), np.sqrt(rng.uniform(0, 1, 700))
    disc = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]).float()
    shape = torch.tensor([0.5, 0.5, -0.1, 0.1], requires_grad=True)  # half axes and centre, all wrong
    optimizer = torch.optim.Adam([shape], lr=0.03)
    for _ in range(60):
        place = (disc * shape[:2] + shape[2:])[None]
        loss = 4 * losses.outside_loss(place, silhouettes).sum() + losses.contour_loss(place, silhouettes).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.allclose(shape.detach().numpy(), (0.7, 0.35, 0.1, -0.05), atol=0.03)


def test_points_beyond_the_picture_and_where_the_mask_is_unsure_cost_nothing() -> None:
    silhouettes = losses.silhouettes_of([photo()])
    at = torch.tensor([[[0.0, 0.0], [0.0, 0.8], [1.2, 0.0]]])
    each = torch.stack([losses.outside_loss(at[:, n : n + 1], silhouettes) for n in range(3)])[:, 0]
    assert each[0] == 0 and each[1] > 0.05 and each[2] == 0
    unsure = silhouettes._replace(sure=torch.zeros_like(silhouettes.sure))
    assert losses.outside_loss(at, unsure) == 0


def test_what_is_far_off_hardly_pulls_more_than_what_is_near() -> None:
    near, far = (torch.tensor(v, requires_grad=True) for v in (0.01, 0.6))
    for value in (near, far):
        losses.saturating(value).backward()
    assert near.grad is not None and far.grad is not None
    assert near.grad > 0.9 and far.grad < 0.01 and losses.saturating(far) <= losses.FAR


def test_a_group_is_pulled_to_its_own_mean() -> None:
    half = torch.tensor([[[0.0, 0, 0]], [[0.2, 0, 0]], [[5.0, 0, 0]]])
    assert torch.isclose(losses.group_loss(half, torch.tensor([0, 0, 1])), torch.tensor(0.2 / 3), atol=1e-5)


def test_a_drawn_silhouette_is_that_of_its_points() -> None:
    rng = np.random.default_rng(0)
    mask = photo().mask > 0.5
    rows, columns = np.nonzero(mask)
    pixel = np.stack([columns, rows], 1) + rng.uniform(0, 1, (len(rows), 2))
    place = pixel[rng.random(len(pixel)) < 0.6] * (2 * EXTENT / SIDE) - EXTENT
    drawn = drawn_mask(place)
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.95


# --- variants -------------------------------------------------------------------------------------------------------


def test_a_variant_shows_each_place_where_its_matrix_says() -> None:
    rgb = np.zeros((128, 128, 3), np.uint8)
    spot = np.array([0.35, -0.2])
    cv2.circle(rgb, tuple(((spot + 1) * 64 - 0.5).round().astype(int).tolist()), 4, (255, 255, 255), -1)
    shown = whole_crop("a", "", rgb, np.ones((128, 128)))
    for matrix in variants.drawn(6, np.random.default_rng(0)):
        made = variants.warped(shown, matrix, 128)[..., 0]
        rows, columns = np.nonzero(made > 100)
        found = torch.tensor([[[columns.mean() + 0.5, rows.mean() + 0.5]]]).float() / 64 - 1
        back = variants.moved(found, torch.from_numpy(matrix)[None])
        assert np.allclose(back[0, 0].numpy(), spot, atol=0.02)


def test_the_first_variant_is_the_photo_and_every_second_is_mirrored() -> None:
    matrices = torch.from_numpy(variants.drawn(5, np.random.default_rng(0)))
    assert variants.is_mirrored(matrices).tolist() == [False, True, False, True, False]
    shown = photo(centre=(0.2, 0.0))
    border = (SIDE - 128) // 2
    assert np.array_equal(variants.warped(shown, PLAIN, 128), shown.rgb[border:-border, border:-border])
    swapped = variants.sides_swapped(torch.arange(4.0).view(1, 4, 1), torch.tensor([True]))
    assert swapped.flatten().tolist() == [2, 3, 0, 1]


# --- the student ----------------------------------------------------------------------------------------------------


def test_a_new_student_says_what_its_network_says() -> None:
    network = toy_flagship()
    student = Student(network)
    picture = variants.warped(photo(), PLAIN, network.input_size)
    looked = look(network, [picture])
    with torch.no_grad():
        guess = student(looked)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.mean, network.std))
        whole = network((torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255 - mean) / std)
        rows = torch.arange(400)
        half = student.half(guess, rows)
        place = seen(half, guess).place[0]
        assert whole.points is not None and torch.allclose(half, whole.points[:, :400], atol=1e-5)
        assert torch.allclose(guess.camera, whole.camera, atol=1e-5)
        pose = decode_pose(guess.azimuth[0].numpy(), guess.camera[0].numpy())
        assert np.allclose(place.numpy(), project(whole.points[0].numpy(), pose)[0], atol=1e-4)
        back = student.put_back().state_dict()
        assert all(torch.equal(value, back[name]) for name, value in network.state_dict().items())


def test_the_azimuth_is_that_of_the_likeliest_bin() -> None:
    azimuth = torch.zeros(1, 48)
    azimuth[0, 5], azimuth[0, 24 + 5], azimuth[0, 24 + 6] = 4.0, 0.5, -0.7
    azimuth.requires_grad_(True)
    direction = camera_direction(azimuth)
    angle = np.degrees(np.arctan2(direction[0, 1].item(), direction[0, 0].item()))
    assert angle == pytest.approx(decode_pose(azimuth[0].detach().numpy(), np.zeros(6)).azimuth, abs=1e-4)
    direction[0, 1].backward()
    assert azimuth.grad is not None and torch.nonzero(azimuth.grad[0]).flatten().tolist() == [24 + 5]


# --- guards ---------------------------------------------------------------------------------------------------------


def test_the_prior_leaves_usual_codes_alone_and_pulls_strange_ones_back() -> None:
    codes = torch.randn(400, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 1, 1, 1, 0.5, 0.5])
    prior = guards.prior_of(codes)
    assert (prior.loss(codes) > 0).float().mean() <= 1 - guards.USUAL + 0.01
    assert prior.strangeness(codes).mean() == pytest.approx(1.0, abs=0.1)
    code = torch.full((1, 6), 4.0, requires_grad=True)
    prior.loss(code).sum().backward()
    assert code.grad is not None and prior.loss(code) > 5 and (code.grad > 0).all()


def test_drift_is_told_by_strange_shapes_and_by_worse_rendered_cars() -> None:
    start = {"strange": 0.05, "rehearsed": 0.010, "iou": 0.9}
    assert guards.drifted(start, start) == ""
    assert guards.drifted({**start, "strange": 0.30}, start) == (
        "30 % of the photos are read as unusual shapes, 5 % before"
    )
    assert guards.drifted({**start, "rehearsed": 0.012}, start) == (
        "the error on rendered cars rose from 0.0100 to 0.0120"
    )


def test_what_a_run_leaves_out_counts_nothing() -> None:
    assert UnlabelledSettings().weight("anchor") == WEIGHTS["anchor"]
    assert UnlabelledSettings(guards=False).weight("anchor") == 0
    assert UnlabelledSettings(without=("place",)).weight("place") == 0
    assert UnlabelledSettings().weight("group") == 0 < UnlabelledSettings(grouped=True).weight("group")
    with pytest.raises(SettingsError, match="no part 'beauty'"):
        UnlabelledSettings(without=("beauty",))
    with pytest.raises(SettingsError, match="--steps"):
        UnlabelledSettings(steps=0)


# --- runs -----------------------------------------------------------------------------------------------------------


def album() -> list[Photo]:
    return [photo(f"{n % 3}/{n}.png", (0.05 * n - 0.1, 0.0), (0.6 + 0.02 * n, 0.3)) for n in range(6)]


def begun(folder: Path, **changes: Any) -> Unlabelled:
    usual = {"steps": 6, "photos": 4, "variants": 3, "points": 100, "validate_every": 3, "learning_rate": 1e-3}
    settings = UnlabelledSettings(**{**usual, "checkpoint_seconds": 1e9, **changes})
    return Unlabelled(settings, toy_flagship(), start_state(), album(), album(), None, folder)


def test_a_run_raises_the_silhouettes_overlap_and_leaves_a_flagship(tmp_path: Path) -> None:
    run = begun(tmp_path, steps=40, guards=False, learning_rate=5e-3)
    figures = run.train()
    assert figures["iou"] > run.first["iou"] + 0.02
    state = checkpoint.load(tmp_path / "last.pt")
    network = rebuilt(state, tmp_path / "last.pt").state_dict()
    before = toy_flagship().state_dict()
    changed = {name.split(".")[0] for name, value in network.items() if not torch.equal(value, before[name])}
    assert changed == {"lift", "box", "coefficients", "extras"}


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.unlabelled.run.drifted", lambda now, start: "")
    whole = begun(tmp_path / "a", grouped=True)
    whole.train()
    killed = begun(tmp_path / "b", grouped=True)
    update = killed._update

    def stop() -> dict[str, float]:
        if killed.step == 4:
            killed.save()
            raise KeyboardInterrupt
        return update()

    killed._update = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    again = begun(tmp_path / "b", grouped=True)
    assert again.resume() and again.step == 4
    again.train()
    one, other = (checkpoint.load(tmp_path / side / "last.pt") for side in "ab")
    assert one["step"] == other["step"] == 6
    assert same(one["average"], other["average"]) and same(one["unlabelled"], other["unlabelled"])


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    begun(tmp_path, steps=1).train()
    with pytest.raises(SettingsError, match="other settings or photos"):
        begun(tmp_path, steps=2).resume()


def test_a_run_that_drifts_stops_and_keeps_what_was_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path, learning_rate=1.0, steps=30)
    figures = run.train()
    assert "unusual shapes" in run.ended and run.step < 30
    assert figures["strange"] <= run.first["strange"] + guards.STRANGE
    free = begun(tmp_path / "free", learning_rate=1.0, steps=6, guards=False)
    assert free.train()["strange"] > run.first["strange"] + guards.STRANGE and free.ended == ""


def test_the_anchor_holds_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.unlabelled.run.drifted", lambda now, start: "")

    weights = {**WEIGHTS, "anchor": 100.0}

    def moved(*without: str) -> float:
        run = begun(tmp_path / "-".join(without), steps=12, learning_rate=5e-3, without=without, weights=weights)
        run.train()
        with torch.no_grad():
            now = run.student(run.looked)
            rows = torch.arange(400)
            return float(guards.anchor_loss(run.student.half(now, rows), run.student.half(run.before, rows)).mean())

    assert moved("prior") < 0.8 * moved("prior", "anchor")


def test_few_photos_teach_and_judge_many_are_split() -> None:
    few = album()
    assert split(few) == (few, few)
    many = [photo(f"{n}.png") for n in range(40)]
    teaching, kept = split(many)
    assert len(teaching) + len(kept) == 40 and 2 <= len(kept) < len(teaching)
    assert not {p.name for p in teaching} & {p.name for p in kept}
    assert [p.name for p in split(many)[1]] == [p.name for p in kept]


# --- the command ----------------------------------------------------------------------------------------------------


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) != 0
    return capsys.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, other = write_checkpoint(tmp_path / "last.pt"), write_checkpoint(tmp_path / "points.pt", "points")
    empty, out = tmp_path / "empty", ["--out", str(tmp_path / "run")]
    empty.mkdir()
    command = ["unlabelled", str(empty), *out, "--checkpoint"]
    assert "holds no photo" in refused([*command, str(good)], capsys)
    nowhere = ["unlabelled", str(tmp_path / "no"), *command[2:], str(good)]
    assert "there is no folder" in refused(nowhere, capsys)
    cv2.imwrite(str(empty / "grey.png"), np.full((64, 64, 3), 90, np.uint8))
    assert "holds a network 'points'" in refused([*command, str(other)], capsys)
    assert "no checkpoint at" in refused([*command, str(tmp_path / "no.pt")], capsys)
    assert "no part 'beauty'" in refused([*command, str(good), "--without", "beauty"], capsys)
    assert "shows a car that could teach" in refused([*command, str(good)], capsys)
    trial = ["unlabelled-trial", "--shards", str(tmp_path), *out, "--checkpoint", str(good)]
    assert "an arm is guarded, unguarded, grouped or without-PART" in refused([*trial, "--arms", "lucky"], capsys)
    assert "--arms is empty" in refused([*trial, "--arms", ","], capsys)
    assert "--seeds is 0" in refused([*trial, "--seeds", "0"], capsys)


def test_one_photo_cannot_teach(tmp_path: Path) -> None:
    network, state = flagship(write_checkpoint(tmp_path / "start.pt"))
    with pytest.raises(CarcloudError, match="1 photos cannot teach"):
        Unlabelled(UnlabelledSettings(), network, state, album()[:1], album(), None, tmp_path)
