"""Reading shards: into memory, as a stream, with WebDataset itself and with plain tar; refusals that say what to do."""

from __future__ import annotations

import json
import subprocess

import cv2
import numpy as np
import pytest
import webdataset
from torch.utils.data import DataLoader

from edge.errors import DataError
from tests.training.data_samples import hand_made
from training.data.dataset import load_cloud, load_dataset, read_members
from training.data.shards import read_index, read_meta
from training.data.stream import stream

SHAPES, PICTURES = 7, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return root, hand_made(root, SHAPES, PICTURES)


def keys(samples):
    return [sample["key"] for sample in samples]


# --- in memory ----------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(made):
    root, drawn = made
    data = load_dataset(root, "train", 16)
    flat = [picture for row in drawn for picture in row]
    assert len(data) == 21 and data.shape_index.dtype == np.int32
    assert data.shape_index.tolist() == [n // PICTURES for n in range(21)]
    assert np.array_equal(data.images, [p.rgb for p in flat]) and np.array_equal(data.masks, [p.mask for p in flat])
    assert np.allclose(data.K, [p.K for p in flat]) and np.allclose(data.t, [p.t for p in flat], atol=1e-6)
    assert data.box[0].tolist() == [1, 2, 12, 6] and data.view[0].tolist() == [10, 5, 50] and data.hidden[0] == 0.125
    assert data.conditions == ["occluded"] * 21
    assert data.fixed_depth[:, 0, 0, 0].tolist() == [1 + n / 8 for n in range(SHAPES)]
    assert data.fixed_depth.dtype == np.float16 and data.novel_depth.shape == (7, 1, 128, 128)
    assert data.names[2] == "s2-0" and data.bodies[2] == "s2" and data.classes == ["suv"] * 7
    assert data.length_m.tolist() == [4, 5, 6, 7, 8, 9, 10] and data.extents_m[3].tolist() == [4, 2, 1.5]
    assert data.real.tolist() == [True, False, True, False, True, False, True]
    assert load_cloud(root, "s3-0").tolist() == [[3 / 16] * 3] * 5
    surface = read_members(root / "s3-0.tar", lambda member: member == "shape.surface.npz")["shape"]["surface"]
    assert surface["normal"].dtype == np.int8 and surface["part"].dtype == np.uint8
    assert surface["normal"].tolist() == [[0, 0, 127], [0, 0, -127], [127, 0, 0], [0, 127, 0], [76, 102, 0]]
    assert surface["part"].tolist() == [3, 4, 5, 6, 7]


def test_smaller_pictures_are_area_means_and_their_cameras_follow(made):
    root, drawn = made
    data = load_dataset(root, "train", 8)
    block = drawn[0][0].rgb.astype(float).reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    assert data.images.shape == (21, 8, 8, 3) and np.abs(block - data.images[0]).max() <= 1
    assert data.K[0].tolist() == [[20, 0, 4], [0, 20, 4], [0, 0, 1]] and data.box[0].tolist() == [0.5, 1, 6, 3]


def test_only_what_is_asked_for(made):
    data = load_dataset(made[0], "train", 16, limit=2, novel=False)
    assert len(data) == 14 and data.novel_depth.size == 0 and data.novel_rotation.shape == (7, 0, 3, 3)
    assert np.array_equal(data.images[2], made[1][1][0].rgb)
    bare = load_dataset(made[0], "train", 16, novel=False, fixed=False)
    assert bare.fixed_depth.shape == (7, 0, 128, 128) and bare.length_m.tolist() == data.length_m.tolist()
    assert np.array_equal(bare.images, load_dataset(made[0], "train", 16).images)


def test_held_out_bodies_are_validated_on_and_their_variants_are_nowhere(tmp_path):
    hand_made(tmp_path, 6, pictures=1)
    index = read_index(tmp_path)
    bodies = {
        "s1-0": ("s0", "variant", "train"), "s3-0": ("s2", "variant", "train"), "s5-0": ("s5", "original", "validation")
    }  # fmt: skip
    for entry in index["shards"]:
        if entry["name"] in bodies:
            entry["body"], entry["kind"], entry["split"] = bodies[entry["name"]]
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    names = {split: load_dataset(tmp_path, split, 16, hold_out=("s0",)).names for split in ("train", "validation")}
    assert names == {"train": ["s2-0", "s3-0", "s4-0"], "validation": ["s0-0", "s5-0"]}
    assert load_dataset(tmp_path, "train", 16).names == ["s0-0", "s1-0", "s2-0", "s3-0", "s4-0"]
    for unknown in ("s9", "s5"):
        with pytest.raises(DataError, match=f"'{unknown}' is no training body of .*; mend hold_out in the settings"):
            load_dataset(tmp_path, "train", 16, hold_out=("s2", unknown))


@pytest.mark.parametrize(("split", "size", "sentence"), [
    ("train", 0, "not in 1..16"), ("train", 17, "not in 1..16"),
    ("training", 8, "choose one of train, validation, test"),
    ("validation", 8, "no validation shard.*python -m training data"),
])
def test_wrong_requests_say_so(made, split, size, sentence):
    with pytest.raises(DataError, match=sentence):
        load_dataset(made[0], split, size)


def test_missing_altered_and_truncated_shards_say_what_to_type(tmp_path):
    with pytest.raises(DataError, match="python -m training data --out"):
        load_dataset(tmp_path, "train", 16)
    hand_made(tmp_path, 1)
    shard, whole = tmp_path / "s0-0.tar", (tmp_path / "s0-0.tar").read_bytes()
    shard.write_bytes(whole[:-11000] + b"x" + whole[-10999:])
    with pytest.raises(DataError, match="does not match the index.*python -m training data"):
        load_dataset(tmp_path, "train", 16)
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="altered or cut short"):
        load_dataset(tmp_path, "train", 16, verify=False)
    with pytest.raises(DataError, match="missing or damaged"):
        load_cloud(tmp_path, "s0-0")
    shard.unlink()
    with pytest.raises(DataError, match="missing.*python -m training data"):
        load_dataset(tmp_path, "train", 16)


def test_a_damaged_picture_is_found_without_checksums(tmp_path):
    hand_made(tmp_path, 1)
    shard = tmp_path / "s0-0.tar"
    data = shard.read_bytes()
    place = data.index(b"\x89PNG")
    shard.write_bytes(data[:place] + b"nope" + data[place + 4 :])
    with pytest.raises(DataError, match="s0-0.tar is missing or damaged.*not a readable PNG"):
        load_dataset(tmp_path, "train", 16, verify=False)


def test_unreadable_index_and_other_versions_are_refused(made, tmp_path):
    index = json.loads((made[0] / "index.json").read_text(encoding="utf-8"))
    (tmp_path / "index.json").write_text(json.dumps({**index, "format_version": 9}), encoding="utf-8")
    with pytest.raises(DataError, match="format carcloud-shards 9, wanted carcloud-shards 3.*delete the folder"):
        load_dataset(tmp_path, "train", 16)
    (tmp_path / "index.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        load_dataset(tmp_path, "train", 16)
    (tmp_path / "x-0.tar").write_bytes(b"nothing")
    with pytest.raises(DataError, match="shard .*x-0.tar is missing or damaged"):
        read_meta(tmp_path / "x-0.tar")


# --- as a stream --------------------------------------------------------------------------------------------------


def test_stream_gives_every_picture_once_with_its_labels(made):
    root, drawn = made
    samples = {sample["key"]: sample for sample in stream(root, "train", seed=3, shuffle=5, novel=True, verify=True)}
    assert set(samples) == {f"s{s}-0/{p:04d}" for s in range(SHAPES) for p in range(PICTURES)}
    sample, picture = samples["s4-0/0002"], drawn[4][2]
    for name in ("rgb", "mask", "silhouette", "parts"):
        assert np.array_equal(sample[name], getattr(picture, name))
    assert np.allclose(sample["K"], picture.K) and sample["view"].tolist() == [10, 5, 50]
    assert sample["condition"] == "occluded" and sample["hidden"] == 0.125
    assert sample["name"] == "s4-0" and sample["body_class"] == "suv" and sample["real"] and sample["length_m"] == 8
    assert sample["fixed_depth"].shape == (8, 128, 128) and sample["fixed_depth"][0, 0, 0] == 1.5
    assert sample["novel_depth"].shape == (1, 128, 128) and sample["novel_rotation"].shape == (1, 3, 3)


def test_order_depends_on_seed_and_epoch_alone(made):
    root = made[0]
    first = keys(stream(root, "train", seed=1, epoch=0, shuffle=6))
    assert first == keys(stream(root, "train", seed=1, epoch=0, shuffle=6)) != sorted(first)
    assert first != keys(stream(root, "train", seed=1, epoch=1, shuffle=6))
    assert first != keys(stream(root, "train", seed=2, epoch=0, shuffle=6))
    assert keys(stream(root, "train", shuffle=0)) == sorted(first)


def test_ranks_and_workers_share_the_pictures_without_duplicates(made):
    root = made[0]
    seen = []
    for rank in range(2):
        source = stream(root, "train", seed=1, rank=rank, world=2, shuffle=4, images=("rgb",))
        batches = list(DataLoader(source, batch_size=2, num_workers=2))
        seen += [key for batch in batches for key in batch["key"]]
        assert batches[0]["rgb"].shape == (2, 16, 16, 3) and "mask" not in batches[0]
    assert len(seen) == SHAPES * PICTURES and len(set(seen)) == len(seen)


def test_more_readers_than_shards_is_no_error(made):
    assert sum(len(keys(stream(made[0], "train", rank=rank, world=9))) for rank in range(9)) == SHAPES * PICTURES


def test_stream_refusals(tmp_path):
    hand_made(tmp_path, 1)
    with pytest.raises(DataError, match="no image 'depth'.*rgb, mask, silhouette, parts"):
        stream(tmp_path, "train", images=("depth",))
    with pytest.raises(DataError, match="rank 2 of 2"):
        stream(tmp_path, "train", rank=2, world=2)
    shard = tmp_path / "s0-0.tar"
    data = shard.read_bytes()
    place = data.index(b"\x89PNG")
    shard.write_bytes(data[:place] + b"nope" + data[place + 4 :])
    with pytest.raises(DataError, match="does not match the index"):
        list(stream(tmp_path, "train", verify=True))
    with pytest.raises(DataError, match="is damaged.*python -m training data"):
        list(stream(tmp_path, "train"))
    shard.write_bytes(data[:4000])
    with pytest.raises(DataError, match="cut short"):
        list(stream(tmp_path, "train"))


def test_a_stream_does_not_end_silently_at_a_damaged_header(tmp_path):
    hand_made(tmp_path, 2)
    for name in ("s0-0", "s1-0"):  # before another shard, and at the end of all
        shard = tmp_path / f"{name}.tar"
        data = shard.read_bytes()
        place = data.index(f"{name}/0002.rgb.png".encode())
        shard.write_bytes(data[:place] + b"X" + data[place + 1 :])
        with pytest.raises(DataError, match=f"{name} lacks 1 of its pictures.*python -m training data"):
            list(stream(tmp_path, "train", shuffle=0))
        shard.write_bytes(data)


# --- by others ----------------------------------------------------------------------------------------------------


def test_webdataset_reads_the_tars(made):
    root, drawn = made
    urls = sorted(str(path) for path in root.glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert [s["__key__"] for s in samples][:5] == ["s0-0/shape", "s0-0/0000", "s0-0/0001", "s0-0/0002", "s1-0/shape"]
    shape, picture = samples[0], samples[1]
    assert shape["meta.json"]["name"] == "s0-0" and shape["cloud.npy"].shape == (5, 3)
    assert shape["fixed.npz"]["depth"].shape == (8, 128, 128) and shape["novel.npz"]["rotation"].shape == (1, 3, 3)
    assert shape["surface.npz"]["normal"].shape == (5, 3) and shape["surface.npz"]["part"].shape == (5,)
    assert np.array_equal(picture["rgb.png"], drawn[0][0].rgb)
    assert np.array_equal(picture["parts.png"][..., 0], drawn[0][0].parts)
    assert picture["camera.json"]["condition"] == "occluded"
    pictures = webdataset.WebDataset(urls, shardshuffle=False).select(lambda s: "rgb.png" in s).decode("l8")
    rows = list(pictures.to_tuple("mask.png", "camera.json"))
    assert len(rows) == SHAPES * PICTURES and np.array_equal(rows[4][0], drawn[1][1].mask)


def test_plain_tar_and_an_image_viewer_read_them(made, tmp_path):
    root, drawn = made
    subprocess.run(["tar", "xf", str(root / "s2-0.tar"), "-C", str(tmp_path)], check=True)
    image = cv2.imread(str(tmp_path / "s2-0" / "0001.rgb.png"))
    assert np.array_equal(image[..., ::-1], drawn[2][1].rgb)
    assert np.load(tmp_path / "s2-0" / "shape.fixed.npz")["depth"].dtype == np.float16
