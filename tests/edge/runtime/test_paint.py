"""edge.runtime.paint: colours side by side, in turns, and what no frame saw."""

from typing import List, Sequence, Tuple

import numpy as np

from edge.geometry import FILLED, MIRRORED, SEEN, Cloud
from edge.runtime.paint import FRESH, Look, Paint

RED, BLUE, BLACK = [200, 0, 0], [0, 0, 200], [0, 0, 0]
LINE = np.zeros((8, 3), np.float32)
LINE[:, 0] = np.linspace(-0.5, 0.5, 8)
NEW: Tuple[List[int], int] = (BLACK, FILLED)


def shows(*kinds: Tuple[List[int], int]) -> Look:
    """A look that finds these colours and marks; stands in for a picture."""
    rgb, mark = (np.array(column, np.uint8) for column in zip(*kinds))
    return lambda cloud, share: Cloud(cloud.points[share], None, rgb[share], None, mark[share])


def blind(cloud: Cloud, share: slice) -> Cloud:
    """A look at a car that is out of the picture."""
    return Cloud(cloud.points[share])


def colours(cloud: Cloud) -> Tuple[List[List[int]], List[int]]:
    assert cloud.rgb is not None and cloud.mark is not None
    assert cloud.rgb.dtype == cloud.mark.dtype == np.uint8
    return cloud.rgb.tolist(), cloud.mark.tolist()


def close(found: Sequence[int], wanted: Sequence[int]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted)) <= 2


def test_colours_come_side_by_side() -> None:
    paint, cloud = Paint(shares=1), Cloud(LINE[:3])
    rgb, mark = colours(paint.add(cloud, shows((RED, SEEN), (RED, MIRRORED), NEW)))
    assert mark == [SEEN, MIRRORED, FILLED] and rgb == [RED, RED, RED], "nothing but red is known yet"
    # From the other side: the first point is hidden now, and stays as it was seen.
    rgb, mark = colours(paint.add(cloud, shows(NEW, (BLUE, SEEN), (BLUE, MIRRORED))))
    assert mark == [SEEN, SEEN, MIRRORED] and rgb == [RED, BLUE, BLUE]
    # What was seen itself stands over what its mirror image shows.
    rgb, mark = colours(paint.add(cloud, shows((BLUE, MIRRORED), NEW, NEW)))
    assert mark == [SEEN, SEEN, MIRRORED] and rgb == [RED, BLUE, BLUE]
    for look in (shows(NEW, NEW, NEW), blind):
        assert colours(paint.add(cloud, look)) == (rgb, mark), "nothing that was seen is forgotten"
    for _ in range(60):
        rgb, mark = colours(paint.add(cloud, shows((BLUE, SEEN), (BLUE, SEEN), (BLUE, SEEN))))
    assert all(close(point, BLUE) for point in rgb), "but what is seen now counts in the end"


def test_a_colour_is_the_mean_of_the_first_frames_and_then_follows() -> None:
    paint, cloud = Paint(shares=1), Cloud(LINE[:1])
    paint.add(cloud, shows((RED, SEEN)))
    rgb, _ = colours(paint.add(cloud, shows((BLUE, SEEN))))
    assert rgb == [[100, 0, 100]]
    for _ in range(30):
        paint.add(cloud, shows((BLUE, SEEN)))
    rgb, _ = colours(paint.add(cloud, shows((RED, SEEN))))
    assert close(rgb[0], [round(FRESH * 200), 0, round((1 - FRESH) * 200)])


def test_shares_take_turns_after_a_first_look_at_all() -> None:
    paint, cloud = Paint(), Cloud(LINE)
    looked: List[List[int]] = []

    def look(whole: Cloud, share: slice) -> Cloud:
        looked.append(list(range(len(LINE)))[share])
        count = len(looked[-1])
        return Cloud(whole.points[share], None, np.full((count, 3), 9, np.uint8), None, np.full(count, SEEN, np.uint8))

    for _ in range(3):
        _, mark = colours(paint.add(cloud, look))
        assert mark == [SEEN] * 8, "no point is ever without a colour"
    even, odd = [0, 2, 4, 6], [1, 3, 5, 7]
    assert looked == [even, odd, even, odd]


def test_what_no_frame_saw_is_filled_from_all_frames() -> None:
    cloud = Cloud(np.array([[0, 0, 0], [0.01, 0, 0], [0.9, 0, 0]], np.float32))
    paint = Paint(shares=1)
    paint.add(cloud, shows((RED, SEEN), NEW, NEW))
    rgb, mark = colours(paint.add(cloud, shows(NEW, NEW, (BLUE, SEEN))))
    assert mark == [SEEN, FILLED, SEEN] and close(rgb[1], RED)


def test_a_car_of_which_nothing_was_seen_yet_has_no_colours() -> None:
    paint, cloud = Paint(), Cloud(LINE)
    for _ in range(3):
        assert paint.add(cloud, blind) is cloud
    # Half of the points are out of the picture: not before each share has a colour.
    half = shows(*([(RED, SEEN), NEW] * 4))
    assert paint.add(cloud, half) is cloud
    rgb, mark = colours(paint.add(cloud, shows(*([NEW, (BLUE, SEEN)] * 4))))
    assert rgb == [RED, BLUE] * 4 and mark == [SEEN] * 8


def test_a_cloud_of_a_single_point_is_coloured() -> None:
    assert colours(Paint().add(Cloud(LINE[:1]), shows((RED, SEEN)))) == ([RED], [SEEN])


def test_another_number_of_points_begins_anew() -> None:
    paint = Paint()
    paint.add(Cloud(LINE), shows(*[(RED, SEEN)] * 8))
    rgb, mark = colours(paint.add(Cloud(LINE[:6]), shows(*[(BLUE, SEEN)] * 6)))
    assert rgb == [BLUE] * 6 and mark == [SEEN] * 6


def test_a_cloud_given_out_is_not_painted_over() -> None:
    paint, cloud = Paint(), Cloud(LINE)
    first = paint.add(cloud, shows(*[(RED, SEEN)] * 8))
    paint.add(cloud, shows(*[(BLUE, SEEN)] * 8))
    assert colours(first)[0] == [RED] * 8
