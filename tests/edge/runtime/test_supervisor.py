"""edge.runtime.supervisor: a camera that stalls, hangs, is gone and comes back; no camera and no waiting."""

import gc
import os
import threading
from typing import Any, List, Optional, Tuple

import pytest

from edge.errors import SourceError
from edge.runtime.capture import NewestFrame
from edge.runtime.restart import DaemonRestart
from edge.runtime.sources import Frame
from edge.runtime.supervisor import Backoff, CameraState, Event, Limits, SupervisedCamera
from tests.edge.runtime.fakes import wait_for
from tests.edge.runtime.flaky import FRAME, HANG, SILENCE, FlakyCamera, JumpingClock, Life

GONE = SourceError("camera 0 is gone")
ABSENT = SourceError("there is no camera 0")


class FakeRestart(DaemonRestart):
    """Counts, lets the camera go if told to, and complains if told to."""

    def __init__(self, camera: Optional[FlakyCamera] = None, trouble: str = "") -> None:
        self.runs = 0
        self._camera, self._trouble = camera, trouble

    def run(self, stopped: Any) -> str:
        self.runs += 1
        if self._camera is not None:
            self._camera.unplug()
        return self._trouble


class Watched:
    """A supervised flaky camera with its own time; ``with`` opens and closes it."""

    def __init__(self, *lives: Life, **more: Any) -> None:
        self.flaky = FlakyCamera(*lives)
        self.clock = JumpingClock()
        self.events: List[Event] = []
        self.source = SupervisedCamera(self.flaky.camera(), self.events.append, clock=self.clock, **more)
        self.clock.idle = self._idle

    def _idle(self) -> bool:
        reader = self.source._reader
        return reader is None or reader.done or self.flaky.blocked != ""

    def pull(self) -> Frame:
        """The next frame."""
        self.flaky.wanted.release()
        frame = self.source.read()
        assert frame is not None
        return frame

    def states(self) -> List[str]:
        return [event.state.value for event in self.events]

    def told(self, state: CameraState) -> List[Tuple[str, str]]:
        """Sentence and what is done, of the events with that state."""
        return [(event.sentence, event.then) for event in self.events if event.state is state]

    def __enter__(self) -> "Watched":
        self.source.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.flaky.unplug()
        self.source.close()
        assert self.flaky.held == 0


def test_a_camera_that_works_is_opened_once_and_given_back() -> None:
    with Watched([FRAME, FRAME]) as watched:
        assert watched.source.describe() == "flaky camera, 64 x 48" and not watched.source.on_demand
        assert [watched.pull().seq for _ in range(2)] == [1, 2]
        assert watched.flaky.held == 1
    assert watched.states() == ["opening", "live"] and watched.flaky.opened == 1 and watched.source.reconnects == 0
    assert watched.source.read() is None and watched.source.ending == "csi://0 was stopped"
    watched.source.close()


def test_a_camera_that_is_gone_is_opened_again_until_it_is_back() -> None:
    with Watched([FRAME, FRAME, GONE], ABSENT, ABSENT, ABSENT, [FRAME, FRAME]) as watched:
        frames = [watched.pull() for _ in range(4)]
        assert [frame.seq for frame in frames] == [1, 2, 3, 4], "numbers go on"
        assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 1, 2], "and the pictures are the new ones"
        assert watched.source.reconnects == 1
    assert watched.states() == ["opening", "live"] + 4 * ["reopening"] + ["live"]
    assert watched.told(CameraState.REOPENING) == [
        ("camera 0 is gone", "Trying again in 0.5 s"), ("there is no camera 0", "Trying again in 1 s"),
        ("there is no camera 0", "Trying again in 2 s"), ("there is no camera 0", "Trying again in 4 s"),
    ]  # fmt: skip
    assert watched.told(CameraState.LIVE) == [("", ""), ("csi://0 is back after 7.5 s", "")]


def test_a_camera_that_stalls_is_closed_and_opened_again() -> None:
    with Watched([FRAME, SILENCE], [FRAME]) as watched:
        assert [watched.pull().seq for _ in range(2)] == [1, 2]
        assert watched.clock.time == 1000 + 5 + 0.5, "it gave the device back when it was asked to"
    assert watched.states() == ["opening", "live", "stalled", "reopening", "live"]
    assert watched.told(CameraState.STALLED) == [("csi://0 has given no picture for 5 s", "")]


def test_a_read_that_hangs_neither_hangs_the_supervisor_nor_is_the_device_opened_twice() -> None:
    with Watched([FRAME, HANG], [FRAME]) as watched:
        assert watched.pull().seq == 1
        watched.clock.later = [(1060.0, watched.flaky.unplug)]
        assert watched.pull().seq == 2 and watched.flaky.opened == 2
        assert watched.clock.time == 1060, "opened as soon as the device is given back, whatever the back-off"
    assert watched.states() == ["opening", "live", "stalled"] + 7 * ["reopening"] + ["live"]
    held = "a read of csi://0 hangs in the driver, which holds the device; unplug it if that lasts"
    assert watched.told(CameraState.REOPENING) == [
        (held, "Trying again in %g s" % delay) for delay in (0.5, 1, 2, 4, 8, 16, 30)]


def test_a_camera_that_hangs_while_it_is_opened_again_is_left_alone_too() -> None:
    with Watched([FRAME, GONE], HANG, [FRAME]) as watched:
        watched.pull()
        watched.clock.later = [(1050.0, watched.flaky.unplug)]
        assert watched.pull().seq == 2
    assert watched.flaky.opened == 3
    assert "csi://0 has given no picture for 40 s" in [event.sentence for event in watched.events]


def test_the_daemon_is_restarted_at_once_where_a_read_hangs() -> None:
    flaky_restart = FakeRestart()
    with Watched([FRAME, HANG], [FRAME], restart=flaky_restart) as watched:
        flaky_restart._camera = watched.flaky
        watched.pull()
        assert watched.pull().seq == 2 and flaky_restart.runs == 1
    assert watched.states() == ["opening", "live", "stalled", "reopening", "live"]


def test_the_daemon_is_restarted_once_a_try_from_the_second_on_and_its_failure_is_said() -> None:
    restart = FakeRestart(trouble="the camera daemon was not restarted: no")
    with Watched([FRAME, GONE], ABSENT, ABSENT, [FRAME, GONE], [FRAME], restart=restart) as watched:
        assert watched.pull().seq == 1
        assert watched.pull().seq == 2 and restart.runs == 2 and watched.flaky.opened == 4
        assert watched.pull().seq == 3 and restart.runs == 2, "the first try of the next time is without"
    assert watched.told(CameraState.REOPENING)[2] == ("the camera daemon was not restarted: no", "")


def test_a_camera_that_never_worked_is_an_error_at_once() -> None:
    watched = Watched(ABSENT)
    with pytest.raises(SourceError, match="there is no camera 0"):
        watched.source.open()
    assert watched.states() == ["opening", "failed"] and watched.flaky.opened == 1


def test_a_camera_that_hangs_at_its_first_opening_keeps_others_a_second_and_then_is_an_error() -> None:
    watched = Watched(HANG)
    watched.source.open()
    assert watched.clock.time == 1001 and watched.states() == ["opening"]
    with pytest.raises(SourceError, match="csi://0 hangs while it is opened; unplug it, or restart its daemon"):
        watched.source.read()
    assert watched.clock.time == 1001 + 40 + 2 and watched.states() == ["opening", "failed"]
    watched.flaky.unplug()
    watched.source.close()
    assert watched.flaky.held == 0


def test_it_shows_that_it_goes_on_whatever_becomes_of_the_camera() -> None:
    times: List[float] = []
    restart = FakeRestart()
    watched = Watched([FRAME, HANG], ABSENT, ABSENT, ABSENT, [FRAME], restart=restart,
                      beat=lambda: times.append(watched.clock.time))
    restart._camera = watched.flaky
    with watched:
        for _ in range(2):
            watched.pull()
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert times[-1] > 1005 + 0.5 + 1 + 2 and max(gaps) <= 1.0


@pytest.mark.parametrize(
    "life, sentence", [([GONE], "is gone"), ([SILENCE], "csi://0 has given no picture for 40 s")]
)
def test_a_camera_that_opens_and_never_gives_a_frame_is_an_error(life: Life, sentence: str) -> None:
    watched = Watched(life)
    with pytest.raises(SourceError, match=sentence):  # in open() where it fails soon enough
        watched.source.open().read()
    watched.source.close()
    assert watched.states() == ["opening", "failed"]


def test_a_camera_that_is_not_there_yet_is_waited_for_if_that_is_wanted() -> None:
    with Watched(ABSENT, ABSENT, OSError(19, "No such device"), [FRAME], wait=True) as watched:
        assert watched.source.describe() == "csi://0, not open yet"
        assert watched.pull().seq == 1 and watched.source.reconnects == 0
        assert watched.source.describe() == "flaky camera, 64 x 48"
    assert watched.states() == ["opening"] * 4 + ["live"]
    assert watched.events[3].sentence == "csi://0: [Errno 19] No such device" and watched.events[-1].sentence == ""


def test_a_bug_is_not_tried_again() -> None:
    with Watched([FRAME, ZeroDivisionError("a bug")]) as watched:
        watched.pull()
        with pytest.raises(ZeroDivisionError, match="a bug"):
            watched.source.read()
    assert watched.states()[-1] == "failed" and watched.flaky.opened == 1


def test_back_off_doubles_up_to_its_limit_and_begins_anew_after_a_healthy_minute() -> None:
    backoff = Backoff()
    assert [backoff.next(0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.next(59) == 30 and backoff.next(60) == 0.5 and backoff.next(59) == 1


def test_a_camera_that_comes_and_goes_is_tried_ever_less_often() -> None:
    with Watched([FRAME, GONE], [FRAME, GONE], [FRAME, FRAME, GONE], [FRAME]) as watched:
        for _ in range(3):
            watched.pull()
        watched.clock.time += 60
        watched.pull()
        watched.pull()
    delays = [then for _, then in watched.told(CameraState.REOPENING)]
    assert delays == ["Trying again in %g s" % delay for delay in (0.5, 1, 0.5)] and watched.source.reconnects == 3


def test_nobody_who_listens_late_takes_the_camera_for_stalled() -> None:
    with Watched([FRAME, FRAME, FRAME]) as watched:
        watched.pull()
        watched.clock.time += 3600
        assert watched.pull().seq == 2
    assert watched.states() == ["opening", "live"]


def test_a_read_that_hangs_at_the_end_is_said() -> None:
    watched = Watched([FRAME, HANG], limits=Limits(join=0.05))
    watched.source.open()
    watched.pull()
    wait_for(lambda: watched.flaky.blocked == HANG)
    with pytest.raises(
        SourceError, match="csi://0 hangs in a read and cannot be closed; unplug it or kill this process"
    ):
        watched.source.close()
    watched.flaky.unplug()
    wait_for(lambda: watched.flaky.held == 0)
    watched.source.close()


@pytest.mark.parametrize("life", [[FRAME, SILENCE], [FRAME, GONE], [FRAME]])
def test_stop_ends_a_read_and_a_wait_at_once(life: Life) -> None:
    flaky = FlakyCamera(life, ABSENT)  # by the real clock: a back-off of 0.5 s and more, and 5 s to a stall
    with NewestFrame(SupervisedCamera(flaky.camera(), lambda event: None).open()) as newest:
        flaky.wanted.release()
        assert newest.get(0, 30.0) is not None
    assert flaky.held == 0 and newest.ended


def readers() -> int:
    """Threads that read a camera."""
    return [thread.name for thread in threading.enumerate()].count("camera")


def open_files() -> int:
    """Of this process."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("failure", [GONE, SILENCE, HANG])
def test_a_hundred_restarts_leave_nothing_behind(failure: Any) -> None:
    with Watched(*[[FRAME, failure]] * 100 + [[FRAME]]) as watched:
        files = size = 0
        for number in range(1, 102):
            watched.flaky.wanted.release()
            if failure == HANG:
                watched.clock.later = [(watched.clock.time + 20, watched.flaky.unplug)]
            frame = watched.source.read()
            assert frame is not None and frame.seq == number
            wait_for(lambda: readers() <= 1)
            if number == 1:
                gc.collect()
                files, size = open_files(), len(gc.get_objects())
        assert open_files() <= files + 1, "the one that is open now"
        assert watched.source.reconnects == 100 and watched.flaky.opened == 101 and watched.flaky.held == 1
        del watched.events[:]
        gc.collect()
        assert len(watched.flaky.sources) == 1, "the lives before are forgotten"
        assert len(gc.get_objects()) - size < 100
    wait_for(lambda: readers() == 0)


def test_the_newest_frame_of_a_camera_that_comes_back() -> None:
    with Watched([FRAME, GONE], [FRAME]) as watched:
        watched.flaky.wanted.release(), watched.flaky.wanted.release()
        newest = NewestFrame(watched.source)
        frame = newest.get(1, 30.0)
        assert frame is not None and frame.seq == 2 and newest.captured == 2 and not newest.ended
        newest.close()
