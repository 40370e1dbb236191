"""Hard scenes through the shipped bundle, the whole pipeline and the server: what a person is shown, in words."""

import http.client
import re
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np
import pytest

from edge import wire
from edge.bundle import load_bundle
from edge.geometry import Cloud
from edge.runtime.backends import open_backend
from edge.runtime.capture import NewestFrame
from edge.runtime.finder import open_finder
from edge.runtime.following import Follower
from edge.runtime.pipeline import Pipeline
from edge.runtime.reconstructor import Reconstructor
from edge.runtime.sources import Frame, Source
from edge.runtime.tracking import PATIENCE, alike
from edge.server.app import create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from tests.edge.scenes import STEP, beside, demo, lit, turning, without_car

LIVE, NO_CAR = "live", "no car in view"
#: Pictures after which a car that is not seen any more is given up, with one for rounding.
GIVEN_UP = int(round(PATIENCE / STEP)) + 1


class Film(Source):
    """Stands in for a camera: the given pictures, ``STEP`` seconds apart, of which the last is taken now."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        super().__init__("film://", True)
        self.ending = "the film is over"
        began = time.monotonic() - STEP * (len(pictures) - 1)
        self._frames = [Frame(picture, n + 1, began + STEP * n) for n, picture in enumerate(pictures)]

    def read(self) -> Optional[Frame]:
        return self._frames.pop(0) if self._frames else None


class Shown(NamedTuple):
    """What the page gets after one picture. status: of /api/v1/status. packet: of /api/v1/cloud, b"" without any."""

    status: Dict[str, Any]
    packet: bytes

    @property
    def state(self) -> str:
        return str(self.status["state"])

    @property
    def followed(self) -> Optional[int]:
        return next((car["number"] for car in self.status["cars"] if car["followed"]), None)

    @property
    def unseen(self) -> bool:
        """Whether the car that is followed was looked for in this picture, and not found."""
        return any(car["followed"] and car["unseen_s"] > 0 for car in self.status["cars"])

    @property
    def cloud(self) -> Cloud:
        return wire.decode(self.packet).cloud


class Cinema:
    """The shipped bundle, opened once for all films, looked at in every picture."""

    def __init__(self) -> None:
        self.bundle = load_bundle("morphable")
        finder = open_finder(self.bundle, "auto", 1)
        assert finder is not None, "the shipped bundle finds cars"
        self.finder, self.backend = finder, open_backend(self.bundle, "auto", 1)

    def play(
        self, pictures: Sequence[np.ndarray], act: Callable[[int, Any], None] = lambda number, client: None
    ) -> List[Shown]:
        """One Shown for each picture. act: called after each, with how many there were, and a client of the server."""
        hub, shown = Hub(), []  # type: ignore[var-annotated]
        follower = Follower(self.finder, interval=0.0)
        client = create_app(hub, choose=follower.follow).test_client()

        def look() -> None:
            packet = client.get("/api/v1/cloud?timeout=0").data
            shown.append(Shown(client.get("/api/v1/status").get_json(), packet))
            act(len(shown), client)

        def sink(result: Any) -> None:
            hub.publish(result)
            look()

        def unseen(glimpse: Any) -> None:
            hub.publish_unseen(glimpse)
            look()

        with NewestFrame(Film(pictures)) as newest:
            reconstructor = Reconstructor(self.bundle, self.backend)
            Pipeline(newest, reconstructor, sink, None, follower, unseen, average=True).run(threading.Event())
        assert len(shown) == len(pictures)
        return shown


@pytest.fixture(scope="module")
def cinema() -> Iterator[Cinema]:
    opened = Cinema()
    with opened.finder, opened.backend:
        yield opened


@pytest.fixture(scope="module")
def hidden(cinema: Cinema) -> List[Shown]:
    """A car is seen in five pictures, hidden for 1.2 s as if something stood before it, and seen in four more."""
    shots = demo(15)
    return cinema.play([without_car(shot) if 5 <= n < 11 else shot.image for n, shot in enumerate(shots)])


@pytest.fixture(scope="module")
def dark(cinema: Cinema) -> List[Shown]:
    """A car in the last light, then for longer than anybody waits in none, then in the light again."""
    lights = [1, 1, 1, 0.5, 0.25, 0.12, 0.06, 0.03] + [0] * (GIVEN_UP + 2) + [0.1, 0.5, 1]
    return cinema.play([lit(shot.image, light) for shot, light in zip(demo(len(lights)), lights)])


def assert_kept(before: Shown, after: Shown) -> None:
    """The cloud is that of before: to a thousandth of the car's length, and in its colours."""
    old, new = before.cloud, after.cloud
    assert after.status["directions"] == before.status["directions"]
    assert np.linalg.norm(new.points - old.points, axis=1).mean() < 1e-3
    assert old.rgb is not None and new.rgb is not None
    assert np.abs(new.rgb.astype(int) - old.rgb.astype(int)).mean() < 1.0


@pytest.mark.parametrize("mirrored", [False, True])
def test_of_two_cars_the_larger_is_followed_until_a_person_chooses_the_other(cinema: Cinema, mirrored: bool) -> None:
    shots, chosen, answers = demo(34), 6, []  # type: ignore[var-annotated]
    scenes = [beside(shots[n], shots[n + 20], mirrored) for n in range(14)]

    def choose(number: int, client: Any) -> None:
        if number == chosen:
            cars = client.get("/api/v1/status").get_json()["cars"]
            other = next(car["number"] for car in cars if not car["followed"])
            answers.extend(client.post("/api/v1/target", json={"car": car}) for car in (other, 99))

    shown = cinema.play([picture for picture, _ in scenes], choose)
    assert [one.state for one in shown] == [NO_CAR] + [LIVE] * 13, "a car is believed when it is found twice"
    large, small = sorted((1, 2), key=lambda number: number != shown[1].followed)
    for (_, truth), one in zip(scenes[1:], shown[1:]):
        boxes = {car["number"]: car["box"] for car in one.status["cars"]}
        assert set(boxes) == {1, 2}, "both keep their numbers"
        assert alike(boxes[large], truth[0]) > 0.6 and alike(boxes[small], truth[1]) > 0.6, "and do not swap them"
    assert [one.followed for one in shown[1:chosen]] == [large] * (chosen - 1)
    assert [answer.status_code for answer in answers] == [200, 404]
    assert "no car 99 in view" in answers[1].get_json()["error"]
    # The next picture may be under way while the person chooses.
    assert [one.followed for one in shown[chosen + 1 :]] == [small] * (13 - chosen), "and it stays chosen"
    assert shown[chosen - 1].status["directions"] > 1
    assert min(one.status["directions"] for one in shown[chosen : chosen + 2]) == 1, "another car: another cloud"


def test_a_choice_reaches_the_server_as_the_page_sends_it() -> None:
    wishes: List[Optional[int]] = []

    def choose(number: Optional[int]) -> bool:
        wishes.append(number)
        return True

    server = Server(create_app(Hub(), choose=choose), port=0)
    server.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/api/v1/target", '{"car": 2}', {"Content-Type": "application/json"})
        answer = connection.getresponse()
        connection.close()
    finally:
        server.stop()
    assert answer.status == 200 and wishes == [2]


def test_a_car_that_is_hidden_for_a_moment_is_still_the_same_one(hidden: List[Shown]) -> None:
    assert [one.unseen for one in hidden] == [False] * 5 + [True] * 6 + [False] * 4
    assert [one.followed for one in hidden[1:]] == [1] * 14
    assert [one.state for one in hidden[11:]] == [LIVE] * 4
    assert hidden[-1].status["directions"] > hidden[4].status["directions"] > 1, "what was learnt of it goes on growing"


def test_the_camera_turns_away_for_a_moment_and_back(cinema: Cinema) -> None:
    parts = [0, 0, 0, 0.3, 0.6, 1, 1, 1, 1, 0.6, 0.3, 0, 0]
    shown = cinema.play(turning(demo(len(parts)), parts))
    assert any(one.unseen for one in shown[5:9])
    assert [one.followed for one in shown[1:]] == [1] * 12 and shown[-1].state == LIVE


def test_what_was_learnt_of_a_hidden_car_is_kept(hidden: List[Shown]) -> None:
    for one in hidden[5:11]:
        assert_kept(hidden[4], one)


def test_a_car_that_left_is_given_up_and_one_that_comes_is_a_new_one(cinema: Cinema) -> None:
    away, seen = GIVEN_UP + 4, 5
    parts = [0] * 4 + [0.5] + [1] * away + [0.5] + [0] * 3
    shown = cinema.play(turning(demo(len(parts)), parts))
    assert {one.followed for one in shown[1:seen]} == {1} and shown[seen - 1].status["directions"] > 1
    gone = shown[seen + GIVEN_UP : seen + away]
    assert len(gone) == 4 and {one.state for one in gone} == {NO_CAR}
    assert [one.status["cars"] for one in gone] == [[]] * 4
    assert len({one.packet for one in gone}) == 1 and gone[0].status["points"] > 1000, "its last cloud stays"
    assert len({one.status["seq"] for one in gone}) == 1
    ages = [one.status["age_s"] for one in gone]
    assert ages == sorted(ages) and ages[0] > STEP * (len(shown) - seen - GIVEN_UP), "and grows old"
    for one in gone:
        told = re.fullmatch("nothing in the picture is taken for a car; the cloud is of ([0-9]+) s ago",
                            one.status["message"])
        assert told is not None and abs(int(told.group(1)) - one.status["age_s"]) < 1
    back = shown[-3:]
    assert [one.state for one in back] == [LIVE] * 3
    assert len({one.followed for one in back}) == 1 and back[0].followed not in (None, 1), "a new number"
    first = next(one for one in shown[seen + away :] if one.state == LIVE)
    assert first.status["directions"] == 1 and first.status["seq"] == gone[0].status["seq"] + 1, "and a new memory"


def test_without_a_car_there_is_never_a_cloud(cinema: Cinema) -> None:
    answers: List[int] = []

    def ask(number: int, client: Any) -> None:
        answers.extend(client.get(path).status_code for path in ("/api/v1/cloud?timeout=0", "/cloud.ply", "/readyz"))

    shown = cinema.play([without_car(shot) for shot in demo(40)[::4]], ask)
    assert {one.state for one in shown} == {NO_CAR}
    assert {one.status["message"] for one in shown} == {"nothing in the picture is taken for a car"}
    assert [(one.status["seq"], one.status["age_s"], one.packet) for one in shown] == [(0, None, b"")] * 10
    assert answers == [204, 404, 200] * 10


def test_it_goes_dark_and_light_again(dark: List[Shown]) -> None:
    assert [one.followed for one in dark[1:8]] == [1] * 7, "in a thirtieth of the light it is still seen"
    night = dark[8 + GIVEN_UP : 8 + GIVEN_UP + 2]
    assert [(one.state, one.status["cars"]) for one in night] == [(NO_CAR, [])] * 2
    assert night[0].packet == night[1].packet and "the cloud is of" in night[0].status["message"]
    assert [one.state for one in dark[-2:]] == [LIVE] * 2
    assert dark[-1].followed not in (None, 1), "after so long it is a new one"


def test_nothing_is_learnt_in_the_dark(dark: List[Shown]) -> None:
    assert dark[8].unseen
    for one in dark[8 : 8 + GIVEN_UP]:
        assert_kept(dark[7], one)
