"""``training classify``: photos and their split, the classifier, the surface, the measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError, SettingsError
from edge.photosets import open_photos
from edge.pose import Pose
from tests.training import datasets_fixtures as published
from training.classify import measure, surface
from training.classify.arms import on_surface
from training.classify.head import Part, directions, fit_and_tell, folds, joined, scaled
from training.classify.photos import counts, examples_of, open_examples, read_truth
from training.datasets.rendered import TRUTH, TRUTH_FORMAT


def bmw10(root: Path, photos: int = 4, classes: tuple[int, ...] = (1, 2, 10)) -> Path:
    """Photos of some classes in the published layout, each class's first half for training."""
    rows, train, test = [], [], []
    for label in classes:
        for number in range(photos):
            name = f"{label}/{number}.jpg"
            rows.append({"fname": name, "class": label, "bbox_x1": 5, "bbox_y1": 3, "bbox_x2": 44, "bbox_y2": 32})
            published.put_picture(root / "bmw10_ims" / name, colour=(20 * label, 40 * number, 90))
            (train if number < photos / 2 else test).append([len(rows)])
    published.bmw10(root, rows, train_indices=np.array(train), test_indices=np.array(test))
    return root


def test_the_published_split_boxes_and_classes_are_taken(tmp_path: Path) -> None:
    found = open_examples(f"bmw10:{bmw10(tmp_path)}")
    assert found.classes == ["bmw 1", "bmw 2", "bmw 10"] and len(found.names) == 12
    assert [found.names[row] for row in np.flatnonzero(~found.test)][:2] == ["bmw10_ims/1/0.jpg", "bmw10_ims/1/1.jpg"]
    assert found.test.sum() == 6 and found.boxes[0] == (4, 2, 40, 30)
    assert (np.bincount(found.labels) == 4).all() and np.isnan(found.azimuth).all()
    assert "the split is the one that comes with bmw10" in found.notes
    assert counts(found) == "3 classes; 6 photos to learn from (2 a class), 6 to test on"


def test_a_class_without_training_photos_is_left_out_and_said(tmp_path: Path) -> None:
    bmw10(tmp_path, classes=(1, 2))
    found = open_photos(str(tmp_path))
    only = [photo._replace(group="bmw 3") if photo.split == "test" else photo for photo in found.photos[:3]]
    kept = examples_of(found._replace(photos=only + found.photos[4:]))
    assert kept.classes == ["bmw 1", "bmw 2"] and len(kept.names) == 6
    assert "1 photo of other splits, or of classes without training photos, left out" in kept.notes


def test_stanford_cars_are_read_on_their_split_with_their_names(tmp_path: Path) -> None:
    published.stanford(tmp_path)
    found = open_examples(f"stanford-cars:{tmp_path}")
    assert found.classes == ["Acura RL Sedan 2012", "BMW 1 Series Coupe 2012"]
    assert found.test.tolist() == [False, False, True] and found.labels[found.test].tolist() == [0]
    assert found.boxes[2] == (6, 7, 14, 13) and "1 photo listed but not there" in found.notes


def test_a_test_side_without_classes_is_refused(tmp_path: Path) -> None:
    published.stanford(tmp_path, labels=False)
    with pytest.raises(DataError, match=r"has no photo with a class to test on; get it from https://"):
        open_examples(f"stanford-cars:{tmp_path}")


def test_missing_data_say_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere with bmw10; get it from https://\S+ \(bmw10_release.tgz"):
        open_examples(f"bmw10:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match=r"does not hold stanford-cars(.|\n)*get it from https://"):
        open_examples(f"stanford-cars:{bmw10(tmp_path)}")
    for wrong in ("bmw10", "bmw11:x", "tree:", "stand-in:x"):
        with pytest.raises(SettingsError, match="is none of bmw10:DIR, stanford-cars:DIR, tree:DIR, stand-in"):
            open_examples(wrong)


def test_a_tree_is_split_in_halves_of_each_class_the_same_each_time(tmp_path: Path) -> None:
    for kind in ("3 series", "5 series"):
        for number in range(5):
            published.put_picture(tmp_path / kind / f"{number}.jpg")
    one, again, other = (open_examples(f"tree:{tmp_path}", seed) for seed in (0, 0, 1))
    assert one.classes == ["3 series", "5 series"]
    assert (np.bincount(one.labels[~one.test]) == 3).all() and (np.bincount(one.labels[one.test]) == 2).all()
    assert (one.test == again.test).all() and (one.test != other.test).any()
    assert any("half of each class, by chance" in note for note in one.notes)
    assert any("10 photos without a box" in note for note in one.notes)


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    published.put_picture(tmp_path / "only" / "a.jpg")
    with pytest.raises(DataError, match="has 1 classes with photos to learn from, and two are needed"):
        open_examples(f"tree:{tmp_path}")


def test_names_and_viewpoints_come_from_the_truth_beside_rendered_photos(tmp_path: Path) -> None:
    rows = [{"name": "bmw10_ims/1/0.jpg", "azimuth_deg": 30.0}]
    truth = {"format": TRUTH_FORMAT, "photos": rows, "classes": [{"class": 10, "body": "p406"}]}
    (bmw10(tmp_path) / TRUTH).write_text(json.dumps(truth))
    found = open_examples(f"bmw10:{tmp_path}")
    assert found.classes == ["bmw 1", "bmw 2", "p406"] and found.azimuth[0] == 30 and np.isnan(found.azimuth[1])
    (tmp_path / TRUTH).write_text('{"format": "somebody else\'s"}')
    assert read_truth(tmp_path) == ({}, {})
    (tmp_path / TRUTH).write_text(json.dumps({**truth, "photos": [{}]}))
    with pytest.raises(DataError, match="is damaged .*; render the photos again, or delete it"):
        read_truth(tmp_path)


def clouds(seed: int, count: int = 30, size: int = 310) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that differ along two directions among many that mean nothing."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), count)
    rows = rng.normal(size=(len(labels), size))
    rows[:, 7] += 9 * (labels == 1)
    rows[:, 300] += 9 * (labels == 2)
    return rows, labels


def test_the_classifier_finds_what_differs_and_looks_at_no_test_label() -> None:
    rows, labels = clouds(0)
    train, test = np.arange(0, 90, 2), np.arange(1, 90, 2)
    found = fit_and_tell([Part(rows)], labels, train, test, 3)
    assert (found.chances.argmax(1) == labels[test]).mean() > 0.8
    assert found.chances.sum(1) == pytest.approx(np.ones(45))
    shuffled = labels.copy()
    shuffled[test] = np.roll(labels[test], 20)
    again = fit_and_tell([Part(rows)], shuffled, train, test, 3)
    assert (again.chances == found.chances).all()
    noise = fit_and_tell([Part(np.random.default_rng(5).normal(size=(90, 50)))], labels, train, test, 3)
    assert (noise.chances.argmax(1) == labels[test]).mean() < 0.65


def test_what_is_added_helps_where_it_tells_more() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 30)
    noise, telling = rng.normal(size=(90, 40)), rng.normal(size=(90, 3)) * 0.3 + np.eye(3)[labels]
    train, test = np.arange(0, 90, 2), np.arange(1, 90, 2)
    alone = fit_and_tell([Part(noise)], labels, train, test, 3)
    both = fit_and_tell([Part(noise), Part(telling, added=True)], labels, train, test, 3)
    right = [(found.chances.argmax(1) == labels[test]).mean() for found in (alone, both)]
    assert right[1] > right[0] + 0.2 and alone.weight == 1.0 and both.weight > 1


def test_a_part_has_length_one_and_whitened_directions_one_spread() -> None:
    rows = np.random.default_rng(2).normal(size=(90, 20)) * np.linspace(0.1, 5, 20) + 3
    train, test = np.arange(60), np.arange(60, 90)
    near, far = scaled(Part(rows), train, test)
    assert near.mean(0) == pytest.approx(np.zeros(20), abs=1e-9) and np.square(near).sum(1).mean() == pytest.approx(1)
    assert far.shape == (30, 20)
    near, _ = scaled(Part(rows, whiten=5), train, test)
    assert near.T @ near / 60 == pytest.approx(np.eye(5) / 5, abs=1e-9)
    first, second = joined([Part(rows), Part(rows, added=True)], train, test, 2.0)
    assert np.square(first[:, :-1]).sum(1).mean() == pytest.approx(1 + 4) and (second[:, -1] == 1).all()


@pytest.mark.parametrize("shape", [(9, 40), (40, 9)])
def test_directions_are_those_of_a_decomposition(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(3).normal(size=shape)
    rows -= rows.mean(0)
    turn, spread = directions(rows, 4)
    assert turn.T @ turn == pytest.approx(np.eye(4), abs=1e-8)
    assert spread == pytest.approx(np.linalg.svd(rows)[1][:4] / np.sqrt(len(rows)))
    assert (rows @ turn).std(0) == pytest.approx(spread)


def test_folds_deal_each_class_out_and_judge_every_row_once() -> None:
    labels = np.repeat([0, 1, 2], [8, 4, 1])
    dealt = folds(labels)
    assert sorted(np.concatenate([held for _, held in dealt]).tolist()) == list(range(13))
    assert all((labels[held] == 0).sum() == 2 and (labels[held] == 1).sum() == 1 for _, held in dealt)
    assert all(not set(kept) & set(held) for kept, held in dealt)


def test_left_and_right_of_a_car_are_one_region() -> None:
    points = np.random.default_rng(0).uniform((-0.5, -0.2, -0.15), (0.5, 0.2, 0.15), (500, 3))
    points = np.concatenate([points, points * (1, -1, 1)])
    regions = surface.regions_of(points)
    assert (regions[:500] == regions[500:]).all() and set(regions) == set(range(surface.REGIONS))
    assert regions[points[:, 0].argmax()] // surface.UP == surface.ALONG - 1, "the nose is in the last ones"


def test_shares_look_a_map_up_bilinearly() -> None:
    rng = np.random.default_rng(1)
    place, owner = rng.uniform(-0.7, 0.7, (50, 2)), rng.integers(0, 4, 50)
    x, y = np.meshgrid((np.arange(8) + 0.5) / 4 - 1, (np.arange(6) + 0.5) / 3 - 1)
    table = surface.shares(place, owner, 6, 8)
    for flat, value in ((x, place[:, 0]), (y, place[:, 1]), (np.ones((6, 8)), np.ones(50))):
        wanted = np.bincount(owner, value, surface.REGIONS)
        assert table @ flat.ravel() == pytest.approx(wanted, abs=1e-4)
    assert surface.shares(np.array([[9.0, -9.0]]), np.array([0]), 6, 8)[0, 7] == 1, "the border goes on"


def test_only_what_the_camera_sees_is_pooled() -> None:
    """A ball before the camera at the nose: half of its points are seen, and a map that is 5 everywhere is 5 there."""
    rng = np.random.default_rng(2)
    ball = rng.normal(size=(3000, 3))
    ball = (0.4 * ball / np.linalg.norm(ball, axis=1, keepdims=True)).astype(np.float32)
    pose = Pose(0.0, 0.0, 0.0, 0.0, 0.0, 1.5, 0.0)
    (sums,), seen = surface.pooled(ball, pose, np.zeros((64, 64, 3), np.uint8), [[np.full((2, 4, 4), 5, np.float32)]])
    assert sums == pytest.approx(5 * np.repeat(seen[:, None], 2, 1), abs=1e-2)
    assert 0.4 < seen.sum() / 3000 < 0.65
    along = seen.reshape(surface.ALONG, surface.UP).sum(1)
    assert along[-1] > 20 * along[0], "the nose is seen, the tail is not"


def test_a_region_that_is_not_seen_has_the_usual_value() -> None:
    seen = np.zeros((3, surface.REGIONS))
    sums = np.zeros((3, surface.REGIONS, 1))
    seen[:, 0], sums[:, 0, 0] = (10, 20, 0), (30, 20, 0)
    values = on_surface(sums, seen, np.array([0, 1]))
    assert values[:, 0] == pytest.approx([3, 1, 2]) and (values[:, 1:] == 0).all()


def test_an_interval_holds_its_mean_and_is_narrower_with_more_photos() -> None:
    few, many = (measure.interval(np.tile([1.0, 1.0, 0.0, 1.0], n)) for n in (10, 100))
    assert few["mean"] == many["mean"] == 0.75
    assert few["low"] < many["low"] < 0.75 < many["high"] < few["high"]
    assert measure.interval(np.ones(9)) == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_a_confusion_matrix_gives_accuracies_by_class() -> None:
    table = measure.confusion(np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2]), 3)
    assert table.tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert measure.per_class(table) == [0.6667, None, 1.0]
    assert measure.mean_per_class(table) == pytest.approx(5 / 6, abs=1e-3)


def test_viewpoints_are_compared_within_the_class_and_from_either_side() -> None:
    azimuth, labels = np.array([10.0, 100.0, -20.0, 350.0]), np.array([0, 1, 0, 1])
    assert measure.folded(azimuth).tolist() == [10, 100, 20, 10]
    far = measure.nearest_view(azimuth, labels, np.array([0, 1]), np.array([2, 3]))
    assert far.tolist() == [10, 90]
    rows = measure.by_distance(np.array([[1.0, 0.0], [0.0, 0.0]]), np.stack([far, far]))
    assert [(row["from"], row["answers"], row["mean"]) for row in rows] == [(5.0, 2, 0.5), (30.0, 2, 0.0)]
    one = measure.by_distance(np.eye(50), np.zeros((50, 50)))[0]
    assert one["low"] == one["high"] == 0.02, "every photo is right once in fifty: whole photos leave no doubt"


def test_a_subset_has_so_many_of_each_class() -> None:
    labels = np.repeat([0, 1], [10, 3])
    picked = measure.subset(labels, np.arange(13), 5, np.random.default_rng(0))
    assert np.bincount(labels[picked]).tolist() == [5, 3] and len(set(picked.tolist())) == 8
    assert measure.sizes_of(labels, np.arange(13)) == [4]
