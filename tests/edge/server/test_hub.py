"""The hub: newest wins, encoded once and only if asked, states in words."""

import threading
import time

import numpy as np
import pytest

from edge import wire
from edge.errors import WireError
from edge.geometry import Cloud
from edge.runtime.following import Sight
from edge.runtime.pipeline import Glimpse
from edge.runtime.tracking import Track
from edge.server import hub as hubs
from edge.server.hub import Busy, Hub, State
from tests.edge.server.fake import result


def test_newest_wins_and_numbers_count_publications():
    hub = Hub()
    for seq in (5, 9, 40):
        hub.publish(result(seq))
    slot = hub.wait(0, 0)
    assert slot.seq == 3 and slot.result.seq == 40
    assert hub.wait(3, 0) is None


def test_nothing_is_encoded_until_asked_and_then_once(monkeypatch):
    calls = []
    encode = wire.encode
    monkeypatch.setattr(hubs.wire, "encode", lambda *given: calls.append(1) or encode(*given))
    hub = Hub()
    hub.publish(result(1))
    hub.publish(result(2))
    assert not calls and "encode" not in hub.newest.timings()
    bodies = []
    threads = [threading.Thread(target=lambda: bodies.append(hub.newest.cloud())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(set(map(id, bodies))) == 1
    assert wire.decode(bodies[0]).seq == 2 and hub.newest.timings()["encode"] > 0


def test_jpeg_is_the_camera_picture():
    import cv2

    hub = Hub()
    hub.publish(result(1, width=64, height=48))
    picture = cv2.imdecode(np.frombuffer(hub.picture.jpeg(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (48, 64, 3)
    assert hub.picture.jpeg() is hub.picture.jpeg()


def test_wait_wakes_on_publish_and_times_out():
    hub = Hub()
    threading.Timer(0.1, lambda: hub.publish(result(1))).start()
    start = time.monotonic()
    assert hub.wait(0, 5).seq == 1
    assert time.monotonic() - start < 2
    assert hub.wait(1, 0.05) is None


def test_a_number_from_an_earlier_life_gets_the_newest_at_once():
    hub = Hub()
    hub.publish(result(1))
    assert hub.wait(5000, 5).seq == 1


def test_one_waiting_too_many_is_refused_but_a_ready_answer_is_not():
    hub = Hub(max_waiting=1)
    thread = threading.Thread(target=hub.wait, args=(0, 5))
    thread.start()
    while hub.status().waiting == 0:
        time.sleep(0.005)
    with pytest.raises(Busy):
        hub.wait(0, 5)
    assert hub.wait(0, 0) is None
    hub.close()
    thread.join(2)
    assert not thread.is_alive() and hub.closed


def test_states_in_words(monkeypatch):
    hub = Hub()
    status = hub.status()
    assert (status.state, status.seq, status.points, status.age_s) == (State.STARTING, 0, 0, None)
    hub.publish(result(1))
    status = hub.status()
    assert status.state is State.LIVE and status.points == 6000 and status.timings_ms["network"] == 30.25
    hub.set_state(State.FAILED, "the box lies outside")
    status = hub.status()
    assert (status.state.value, status.message) == ("failed", "the box lies outside")
    assert status.errors == ("the box lies outside",)
    assert hub.newest.seq == 1 and status.points == 6000  # the last cloud stays
    hub.publish(result(2))
    assert hub.status().state is State.LIVE
    monkeypatch.setattr(hubs, "STALLED_AFTER", -1)
    assert hub.status().state.value == "stalled" and "no new frame" in hub.status().message
    hub.close()
    assert hub.status().state is State.STOPPED


def test_a_camera_that_is_away_wins_over_late_clouds_and_comes_back(monkeypatch):
    hub = Hub()
    hub.set_camera(State.OPENING, "")
    assert (hub.status().state.value, hub.status().message) == ("opening", "")
    hub.set_camera(State.LIVE, "")
    assert hub.status().state is State.STARTING
    hub.publish(result(1))
    hub.set_camera(State.STALLED, "no picture for 5 s")
    hub.publish(result(2))  # captured before
    status = hub.status()
    assert (status.state, status.message, status.seq) == (State.STALLED, "no picture for 5 s", 2)
    for then in ("Trying again in 0.5 s", "Trying again in 1 s"):
        hub.set_camera(State.REOPENING, "no picture for 5 s", then)
        hub.set_camera(State.REOPENING, "the daemon did not restart.", then)
    status = hub.status()
    assert (status.state.value, status.message) == ("reopening", "the daemon did not restart. Trying again in 1 s")
    assert status.errors == ("no picture for 5 s", "the daemon did not restart."), "each once"
    later = time.monotonic() + 60
    monkeypatch.setattr(hubs.time, "monotonic", lambda: later)
    hub.set_camera(State.LIVE, "csi://0 is back after 60 s")
    status = hub.status()
    assert (status.state, status.message, status.points) == (State.LIVE, "", 6000), "not stalled: it has just begun"
    assert status.age_s > 50 and status.errors[-1] == "csi://0 is back after 60 s"
    hub.set_camera(State.REOPENING, "no picture for 5 s")
    assert hub.status().errors[-1] == "no picture for 5 s", "another time, another event"
    hub.set_state(State.STOPPED, "stopped")
    assert hub.status().state is State.STOPPED


def glimpse(seq, cars=()):
    made = result(seq)
    return Glimpse(seq, made.frame, {"capture": 1.0, "find": 9.0}, time.monotonic(), "", 10.0, Sight(cars, None, 9.0))


def test_without_a_car_the_picture_goes_on_and_the_cloud_stays():
    hub = Hub()
    hub.publish_unseen(glimpse(1))
    status = hub.status()
    assert status.state is State.NO_CAR and status.state.value == "no car in view" and status.seq == 0
    assert hub.newest is None and hub.picture.seq == 1 and hub.picture.crop is None
    assert hub.wait(0, 0) is None and hub.wait_picture(0, 0).seq == 1
    hub.publish(result(2, captured=time.monotonic() - 40))
    assert hub.status().state is State.LIVE and (hub.newest.seq, hub.picture.seq) == (1, 2)
    assert hub.picture.crop == (40, 0, 240)
    hub.publish_unseen(glimpse(3))
    status = hub.status()
    assert status.state is State.NO_CAR and "the cloud is of 40 s ago" in status.message and status.age_s > 39
    assert (status.seq, status.points) == (1, 6000) and status.sight == Sight((), None, 9.0)
    assert hub.wait(1, 0.02) is None and hub.wait_picture(2, 0).seq == 3, "no cloud is made up"
    assert status.timings_ms["find"] == 9.0 and status.timings_ms["network"] == 30.25


def test_a_followed_car_may_be_hidden_for_a_moment():
    hub = Hub()

    def hidden(seq, unseen):
        sight = Sight((Track(4, (1, 2, 30, 20), 0.9, 5, unseen),), 4, 9.0)
        return glimpse(seq)._replace(sight=sight)

    hub.publish_unseen(hidden(1, 0.1))
    assert hub.status().state is State.NO_CAR, "before the first cloud there is nothing that could be live"
    hub.publish(result(2, captured=time.monotonic() - 2))
    hub.publish_unseen(hidden(3, 0.4))
    status = hub.status()
    assert (status.state, status.message, status.seq, hub.picture.seq) == (State.LIVE, "", 1, 3) and status.age_s > 1.9
    hub.publish_unseen(hidden(4, 0.6))
    status = hub.status()
    assert status.state is State.NO_CAR and status.message == "car 4 is hidden, or has left; the cloud is of 2 s ago"


def test_no_car_for_long_is_no_stall_but_no_picture_is(monkeypatch):
    hub = Hub()
    hub.publish_unseen(glimpse(1))
    later = time.monotonic() + 60
    monkeypatch.setattr(hubs.time, "monotonic", lambda: later)
    hub.publish_unseen(glimpse(2))
    assert hub.status().state is State.NO_CAR
    monkeypatch.setattr(hubs.time, "monotonic", lambda: later + 60)
    assert hub.status().state is State.STALLED


def test_rate_is_measured_and_falls_off():
    assert hubs._rate([], 1.0) == 0 and hubs._rate([1.0], 1.0) == 0
    times = [i / 10 for i in range(11)]
    assert hubs._rate(times, 1.05) == pytest.approx(10)
    assert hubs._rate(times, 3.0) == pytest.approx(10 / 2.9)


def test_a_cloud_that_cannot_be_sent_says_so():
    hub = Hub()
    hub.publish(result(1, Cloud(np.full((3, 3), np.nan, np.float32))))
    with pytest.raises(WireError, match="not finite"):
        hub.newest.cloud()


def test_errors_are_kept_once_and_bounded():
    hub = Hub()
    for sentence in ["a", "a"] + [str(i) for i in range(20)]:
        hub.record_error(sentence)
    errors = hub.status().errors
    assert len(errors) == 8 and errors[-1] == "19" and len(set(errors)) == 8
