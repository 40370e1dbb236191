"""edge.runtime.tracking: identity, occlusion, wrong boxes, and which car is followed."""

from typing import List, Optional, Sequence, Tuple

from edge.runtime.finder import Detection
from edge.runtime.reconstructor import Box
from edge.runtime.tracking import BELIEVED, PATIENCE, Tracker

SIZE = (640, 480)


def car(x: float, y: float = 200, w: float = 120, h: float = 80, score: float = 0.8) -> Detection:
    return Detection((x, y, w, h), score)


def see(tracker: Tracker, frames: Sequence[Sequence[Detection]], start: float = 0.0, step: float = 0.1) -> float:
    now = start
    for number, found in enumerate(frames):
        now = start + number * step
        tracker.update(found, now, SIZE)
    return now


def followed(tracker: Tracker) -> Tuple[Optional[int], Optional[Box]]:
    track = tracker.followed
    return (None, None) if track is None else (track.number, track.box)


def test_a_car_is_followed_once_it_was_found_twice() -> None:
    tracker = Tracker()
    tracker.update([car(100)], 0.0, SIZE)
    assert tracker.followed is None and tracker.tracks == []
    tracker.update([car(100)], 0.1, SIZE)
    number, box = followed(tracker)
    assert number == 1 and box == (100, 200, 120, 80)
    assert tracker.followed is not None and tracker.followed.found == BELIEVED == 2


def test_a_single_wrong_box_becomes_no_car() -> None:
    tracker = Tracker()
    see(tracker, [[car(100)], [], [], [], [], [], [], [car(400)], [], [], [], [], [], []])
    assert tracker.tracks == [] and tracker.followed is None


def test_a_moving_car_keeps_its_number_and_leads_its_box() -> None:
    tracker = Tracker()
    now = see(tracker, [[car(50 + 12 * n)] for n in range(20)])
    number, box = followed(tracker)
    assert number == 1 and box is not None and abs(box[0] - (50 + 12 * 19)) < 12
    # Nobody looks for three frames: it is expected further on, not where it was.
    for n in (1, 2, 3):
        tracker.glance(now + 0.1 * n)
    assert followed(tracker)[1][0] > box[0] + 12  # type: ignore[index]


def test_a_car_behind_a_post_keeps_its_number_and_one_that_left_does_not() -> None:
    tracker = Tracker()
    now = see(tracker, [[car(100)]] * 5)
    now = see(tracker, [[]] * 15, now + 0.1)
    assert followed(tracker)[0] == 1, "hidden for one and a half seconds"
    assert tracker.followed is not None and 1.4 < tracker.followed.unseen < 1.6
    now = see(tracker, [[car(110)]] * 2, now + 0.1)
    assert followed(tracker)[0] == 1
    now = see(tracker, [[]] * 30, now + 0.1)
    assert tracker.followed is None and tracker.tracks == [], "gone for longer than %g s" % PATIENCE
    see(tracker, [[car(110)]] * 2, now + 0.1)
    assert followed(tracker)[0] == 2, "what comes back after that may be another car"


def test_a_car_in_the_same_place_after_a_long_gap_is_another_one() -> None:
    """A camera that was away for a minute: nobody looked, so nobody missed the car."""
    tracker = Tracker()
    now = see(tracker, [[car(100)]] * 5)
    assert tracker.follow(1)
    tracker.update([car(100)], now + 60, SIZE)
    assert tracker.followed is None and not tracker.follow(1), "a new one, found only once"
    tracker.update([car(100)], now + 60.1, SIZE)
    assert [track.number for track in tracker.tracks] == [2] and followed(tracker) == (2, (100, 200, 120, 80))


def test_a_machine_that_looks_seldom_knows_a_car_again() -> None:
    tracker = Tracker()
    see(tracker, [[car(100)]] * 4, step=1.5 * PATIENCE)
    assert [(track.number, track.found) for track in tracker.tracks] == [(1, 4)]


def test_the_large_one_in_the_middle_is_followed_without_hopping() -> None:
    tracker = Tracker()
    small, large = car(10, 10, 60, 40), car(240, 180, 200, 140)
    now = see(tracker, [[small, large]] * 3)
    number = followed(tracker)[0]
    assert number is not None and followed(tracker)[1] == (240, 180, 200, 140)
    # The other comes a little nearer than the followed one: no reason to hop.
    nearer = car(20, 150, 220, 150)
    now = see(tracker, [[large], [large, nearer], [large, nearer]] * 3, now + 0.1)
    assert followed(tracker)[0] == number
    see(tracker, [[large, car(150, 60, 420, 330)]] * 3, now + 0.1)
    assert followed(tracker)[0] != number, "one that fills the picture is what the camera is pointed at"


def test_a_person_chooses_and_may_leave_it_to_the_tracker_again() -> None:
    tracker = Tracker()
    small, large = car(10, 10, 60, 40), car(240, 180, 200, 140)
    now = see(tracker, [[small, large]] * 3)
    numbers = {track.box[2]: track.number for track in tracker.tracks}
    assert tracker.follow(numbers[60]) and followed(tracker)[0] == numbers[60]
    now = see(tracker, [[small, large]] * 5, now + 0.1)
    assert followed(tracker)[0] == numbers[60], "the large one does not win it back"
    assert not tracker.follow(99), "no such car"
    assert followed(tracker)[0] == numbers[60]
    assert tracker.follow(None)
    see(tracker, [[small, large]], now + 0.1)
    assert followed(tracker)[0] == numbers[200]


def test_a_chosen_car_that_leaves_is_not_waited_for_for_ever() -> None:
    tracker = Tracker()
    small, large = car(10, 10, 60, 40), car(240, 180, 200, 140)
    now = see(tracker, [[small, large]] * 3)
    tracker.follow(next(track.number for track in tracker.tracks if track.box[2] == 60))
    see(tracker, [[large]] * 30, now + 0.1)
    assert followed(tracker)[1] == (240, 180, 200, 140)


def test_a_better_box_moves_it_and_confirms_nothing() -> None:
    tracker = Tracker()
    now = see(tracker, [[car(100)]] * 3)
    number = followed(tracker)[0]
    assert number is not None
    for n in range(1, 40):
        now += 0.1
        tracker.glance(now)
        tracker.refine(number, (110, 205, 125, 82))
        if n == 10:
            x, y, w, h = followed(tracker)[1]  # type: ignore[misc]
            assert abs(x - 110) < 2 and abs(w - 125) < 2
    assert tracker.followed is None, "a cloud that was fitted to a wall must not keep itself alive"


def test_two_cars_that_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    frames: List[List[Detection]] = [[car(40 + 14 * n, 150), car(460 - 14 * n, 250)] for n in range(30)]
    see(tracker, frames)
    places = {track.number: track.box[0] for track in tracker.tracks}
    assert places[1] > 380 and places[2] < 120


def test_faint_boxes_keep_a_car_and_make_none() -> None:
    tracker, faint = Tracker(), [car(104, score=0.25)]
    for n in range(5):
        tracker.update([], 0.1 * n, SIZE, faint)
    assert tracker.tracks == [], "none is made of them"
    tracker.update([car(100)], 1.0, SIZE, faint)
    assert tracker.tracks == [], "nor do they help to believe one"
    now = see(tracker, [[car(100)]] * 2, 1.1)
    for n in range(1, 40):
        tracker.update([], now + 0.1 * n, SIZE, faint)
    track = tracker.followed
    assert track is not None and (track.number, track.unseen, track.score) == (1, 0.0, 0.25)
    for n in range(40, 70):
        tracker.update([], now + 0.1 * n, SIZE, [car(180, score=0.25)])
    assert tracker.followed is None, "one that hardly overlaps is something else"


def test_wrong_boxes_use_up_no_numbers() -> None:
    tracker = Tracker()
    now = see(tracker, [[car(100)], [], [], [], [], [], [], [car(400)], [], [], [], [], [], []])
    assert not tracker.follow(0) and tracker.followed is None, "what is not believed has no number"
    see(tracker, [[car(100)]] * 2, now + 0.1)
    assert followed(tracker)[0] == 1


def test_boxes_that_are_hardly_cars_must_be_found_more_often() -> None:
    tracker = Tracker()
    now = see(tracker, [[car(100, score=0.4)]] * 2)
    assert tracker.followed is None
    tracker.update([car(100, score=0.4)], now + 0.1, SIZE)
    assert followed(tracker)[0] == 1
