"""Camera, length, class and confidence: figures by hand, and the worst value for what is not finite."""

from __future__ import annotations

import numpy as np
import pytest

from edge.pose import Pose
from edge.runtime.outputs import BodyClass, Length, confidence_of
from training.benchmark import attributes
from training.benchmark.attributes import class_record, confidence_record, length_record, pose_record
from training.benchmark.summary import Row as SummaryRow
from training.benchmark.summary import mean_records, summarise
from training.benchmark.tables import calibration_error, confidence_table, pose_table
from training.render.camera import stand


def pose(azimuth: float, elevation: float = 0.0) -> Pose:
    return Pose(azimuth, elevation, 0.0, 0.0, 0.0, 1.0, 0.3)


@pytest.mark.parametrize(
    ("predicted", "true", "direction", "azimuth", "flipped"),
    [
        ((10.0, 0.0), (350.0, 0.0), 20.0, 20.0, 0.0),
        ((0.0, 10.0), (0.0, 25.0), 15.0, 0.0, 0.0),
        ((-135.0, 0.0), (45.0, 0.0), 180.0, 180.0, 100.0),  # a three-quarter view taken from the rear
        ((-90.0, 0.0), (90.0, 0.0), 180.0, 180.0, 100.0),  # a side view: its x has no sign to be wrong in
        ((119.0, 0.0), (0.0, 0.0), 119.0, 119.0, 0.0),
        ((121.0, 0.0), (0.0, 0.0), 121.0, 121.0, 100.0),
        ((np.nan, 0.0), (0.0, 0.0), 180.0, 180.0, 100.0),
        ((0.0, np.nan), (0.0, 0.0), 180.0, 0.0, 0.0),
    ],
)
def test_viewing_direction(
    predicted: tuple[float, float], true: tuple[float, float], direction: float, azimuth: float, flipped: float
) -> None:
    got = pose_record(pose(*predicted), np.array(stand(*true)))
    wanted = {"pose.direction_deg": direction, "pose.azimuth_deg": azimuth, "pose.flipped": flipped}
    assert got == pytest.approx(wanted, abs=1e-9)


def test_small_angles_keep_their_digits() -> None:
    assert pose_record(pose(1e-6), np.array(stand(0, 0)))["pose.direction_deg"] == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("length", "error", "covered"),
    [
        (Length(4.2, 0.06), 5.0, 100.0),
        (Length(3.8, 0.04), 5.0, 0.0),
        (Length(np.nan, 0.1), 100.0, 0.0),
        (Length(22026.0, 22026.0), 100.0, 100.0),
    ],
)
def test_length(length: Length, error: float, covered: float) -> None:
    assert length_record(length, 4.0) == pytest.approx({"length.error": error, "length.covered": covered})


def test_laplace_errors_are_covered_as_often_as_the_page_says() -> None:
    errors = np.random.default_rng(0).laplace(0.0, 0.05, 4000)
    records = [length_record(Length(4.0 * (1 + e), 0.05), 4.0) for e in errors]
    assert mean_records(records)["length.covered"] == pytest.approx(attributes.LAPLACE, abs=2.0)


def test_class_counts_only_where_the_network_has_a_word_for_it() -> None:
    known = ("sedan", "suv")
    assert class_record(BodyClass("sedan", 0.9), known, "saloon") == {"class.right": 100.0}
    assert class_record(BodyClass("suv", 0.9), known, "sedan") == {"class.right": 0.0}
    assert class_record(BodyClass("suv", 0.9), known, "tractor") == {}


def exponential(count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Expected distances of points, and true ones drawn as the contract supposes."""
    rng = np.random.default_rng(seed)
    expected = rng.uniform(0.003, 0.06, count)
    return expected, rng.exponential(expected)


def test_honest_confidence_is_calibrated_and_sorts_points() -> None:
    expected, distance = exponential()
    got = confidence_record(confidence_of(expected), distance)
    assert got["confidence.promised"] == pytest.approx(got["confidence.kept"], abs=1.0)
    assert got["confidence.rank"] > 0.4
    deciles = [got[f"confidence.decile_{i}"] for i in range(1, 11)]
    # The least sure tenth expects about 5.7 % of a length, the surest 0.6 %.
    assert deciles == sorted(deciles, reverse=True)
    assert deciles[0] == pytest.approx(5.7, abs=0.5) and deciles[-1] == pytest.approx(0.6, abs=0.1)
    assert sum(got[f"confidence.bin_{i}.share"] for i in range(10)) == pytest.approx(100.0)
    assert calibrated(got) < 2.0
    overconfident = confidence_record(confidence_of(expected / 3), distance)
    assert overconfident["confidence.rank"] == pytest.approx(got["confidence.rank"], abs=1e-3)
    assert calibrated(overconfident) > 15.0


def calibrated(record: dict[str, float]) -> float:
    (row,) = rows({"a": [record]})
    return calibration_error(row["histograms"]["confidence"])


def test_confidence_that_says_nothing_has_no_rank_and_no_order() -> None:
    distance = np.array([0.0, 0.01, 0.03, 0.04] * 5)
    got = confidence_record(np.full(20, 0.5, np.float32), distance)
    assert got["confidence.rank"] == 0.0 and got["confidence.kept"] == 50.0
    # Every tenth of equally sure points is the same: which point stands in which is no merit.
    assert {round(got[f"confidence.decile_{i}"], 9) for i in range(1, 11)} == {2.0}


def test_odd_confidences_are_no_crash() -> None:
    assert confidence_record(np.zeros(0, np.float32), np.zeros(0)) == {}
    got = confidence_record(np.array([np.nan, 2.0, -1.0], np.float32), np.array([0.01, 0.5, 0.01]))
    assert got["confidence.promised"] == pytest.approx(100 / 3) and got["confidence.rank"] < 0
    assert all(np.isfinite(value) for value in got.values())


def rows(records: dict[str, list[dict[str, float]]], name: str = "told") -> list[dict]:
    made = SummaryRow(name, "network", "plain", records)
    return [summarise(made, dict.fromkeys(records, "suv"), frozenset())]


def test_medians_are_over_all_views_and_histograms_are_kept_once_a_row() -> None:
    angles = {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 175.0]}
    expected, distance = exponential(500)
    shared = confidence_record(confidence_of(expected), distance)
    records = {
        name: [shared | {"pose.direction_deg": v, "pose.flipped": 100.0 * (v > 120)} for v in values]
        for name, values in angles.items()
    }
    (row,) = rows(records)
    assert row["median"] == {"pose": {"direction_deg": 3.5}}
    assert row["mean"]["pose"] == {"direction_deg": pytest.approx(31.6667), "flipped": pytest.approx(16.6667)}
    assert row["worst_decile"]["pose"] == {"direction_deg": 175.0}
    assert row["worst_decile"]["confidence"].keys() == {"rank"}
    kept = {"rank", "promised", "kept"}
    assert row["pairs"]["a"][0]["confidence"].keys() == row["mean"]["confidence"].keys() == kept
    assert row["histograms"]["confidence"]["bin_5"].keys() == kept - {"rank"} | {"share"}
    assert row["histograms"]["confidence"]["decile_1"] == pytest.approx(shared["confidence.decile_1"], abs=1e-4)


def test_tables_show_only_rows_that_tell_and_dashes_for_what_they_do_not() -> None:
    (bare,) = rows({"a": [{"8192.f1": 1.0}]}, "bare")
    (some,) = rows({"a": [{"length.error": 4.0, "length.covered": 100.0}]}, "some")
    table = pose_table([bare, some])
    assert table is not None
    assert table.lines == [["network some, plain", "–", "–", "–", "–", "4.0", "4.0", "100.0", "–"]]
    assert len(table.header) == len(table.lines[0])
    assert pose_table([bare]) is None and confidence_table([bare, some]) is None
    (sure,) = rows({"a": [confidence_record(np.array([0.9, 0.1]), np.array([0.01, 0.05]))]}, "sure")
    found = confidence_table([bare, sure])
    assert found is not None and len(found.lines) == 1 and len(found.header) == len(found.lines[0])
    assert found.lines[0][:6] == ["network sure, plain", "1.00", "50.0", "50.0", "10.0", "5.00"]
    # Two points fill two tenths; the others have none.
    assert found.lines[0][6:] == ["1.00", *["–"] * 8]
