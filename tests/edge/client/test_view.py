"""The window's logic without a window, and, where there are Open3D and a screen, the window itself."""

import os
import sys
import time

import numpy as np
import pytest

from edge.cli import main
from edge.cli.view import MODES, Lines
from edge.client.viewing import FRONT, MARKS, Feed, Mode, View, beside, cut, framing, paint, point_size
from edge.client.window import Window, next_name
from edge.errors import ServerError, WindowError
from edge.geometry import Cloud
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from edge.wire import decode, encode
from tests.edge.server.fake import car_cloud, result

TOKEN, PATIENCE = "a-token-of-good-length", 60
CLOUD = Cloud(
    np.array([[0, 0, -0.2], [0, 0, 0.0], [0, 0, 0.2]], np.float32), np.array([0.1, 0.5, 0.9], np.float32),
    np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8), None, np.array([0, 1, 2], np.uint8))


def packet(seq=1, cloud=CLOUD):
    return decode(encode(cloud, seq, 0, 0))


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def serve(hub, token=None, port=0):
    server = Server(create_app(hub, ServerSettings(token=token)), port=port)
    server.start()
    return server


def test_colours_mean_what_the_mode_says():
    assert (paint(CLOUD, Mode.PICTURE) == np.eye(3)).all()
    assert (paint(CLOUD, Mode.SOURCE) == MARKS).all()
    for mode in (Mode.CONFIDENCE, Mode.HEIGHT):
        green = paint(CLOUD, mode)[:, 1]
        assert green[0] < green[1] < green[2]
    bare = Cloud(CLOUD.points)
    for mode in (Mode.PICTURE, Mode.CONFIDENCE, Mode.SOURCE):
        assert np.ptp(paint(bare, mode)) == 0 and paint(bare, mode).shape == (3, 3)
    assert [mode.name.lower() for mode in Mode] == list(MODES)


def test_the_cut_takes_all_planes_along():
    rest = cut(CLOUD, 0.5)
    assert len(rest.points) == len(rest.confidence) == len(rest.rgb) == len(rest.mark) == 2
    assert (rest.rgb == CLOUD.rgb[1:]).all() and rest.view is None
    assert cut(CLOUD, 0.0) is CLOUD and len(cut(Cloud(CLOUD.points), 0.9).points) == 3


def test_cars_stand_side_by_side_and_in_rows():
    assert (beside(1) == 0).all() and beside(0).shape == (0, 3)
    assert beside(3)[:, 1].tolist() == pytest.approx([-0.8, 0, 0.8])
    places = beside(9)
    assert len({tuple(place) for place in places.round(3)}) == 9
    assert np.ptp(places[:4, 0]) == 0 and places[4, 0] < places[0, 0] and places[4, 1] == places[0, 1]
    assert places.max(0) == pytest.approx(-places.min(0))


def test_keys_change_what_is_shown():
    view = View()
    modes = [view.mode]
    for _ in range(4):
        assert view.press("C")
        modes.append(view.mode)
    assert modes == list(Mode) + [Mode.PICTURE]
    for _ in range(30):
        view.press("+")
    assert view.least == 0.95 and view.line() == "colours of the picture, confidence from 0.95"
    for _ in range(30):
        view.press("-")
    assert view.least == 0 and view.press("F") and view.line() == "colours of the picture, frozen"
    assert not view.press("S") and not view.press("X")


def test_a_view_composes_only_what_changed():
    view, first, second = View(), packet(1), packet(2)
    points, colours = view.compose([first, None])
    assert points == pytest.approx(first.cloud.points + (0, -0.4, 0)) and (colours == np.eye(3)).all()
    assert view.compose([first, None]) is None
    assert len(view.compose([first, second])[0]) == 6
    view.press("+")
    view.press("+")
    view.press("+")
    assert len(view.compose([first, second])[0]) == 4
    assert View().compose([None])[0].shape == (0, 3)


def test_a_frozen_view_keeps_its_clouds_and_still_changes_colours():
    view, first, second = View(), packet(1), packet(2, Cloud(CLOUD.points * 2))
    view.compose([first])
    view.press("F")
    frozen = view.compose([second])
    assert frozen is not None and frozen[0] == pytest.approx(first.cloud.points)
    assert view.compose([second]) is None
    view.press("C")
    assert not (view.compose([second])[1] == frozen[1]).all()
    view.press("F")
    assert view.compose([second])[0] == pytest.approx(second.cloud.points)


def test_a_feed_tells_age_and_loss_and_comes_back():
    hub = Hub()
    server = serve(hub)
    with Feed(server.url) as feed:
        until(lambda: feed.line(0.0).endswith("no cloud yet"))
        hub.publish(result(1))
        until(lambda: feed.newest is not None)
        now = time.monotonic()
        assert ": 6000 points, age " in feed.line(now) and "lost 0" in feed.line(now)
        assert "age 50" in feed.line(now + 500) and feed.line(now + 500).split("age ")[1].split(",")[0].endswith(" s")
        hub.close()
        server.stop()
        until(lambda: feed.line(now).endswith("no answer, trying again"))
        fresh = Hub()
        for _ in range(2):  # the first has the number of the one that was seen
            fresh.publish(result(1, car_cloud(700)))
        again = serve(fresh, port=server.port)
        until(lambda: "700 points" in feed.line(now) and "no answer" not in feed.line(now))
        fresh.close()
        again.stop()


def test_nobody_there_is_said():
    with Feed("http://127.0.0.1:9") as feed:
        assert feed.line(0.0) == "127.0.0.1:9: no answer, trying again" and feed.failure is None


def test_a_refusal_ends_the_feed():
    hub = Hub()
    server = serve(hub, TOKEN)
    try:
        with Feed(server.url, "wrong") as feed:
            until(lambda: feed.failure is not None)
            assert isinstance(feed.failure, ServerError) and "answers 401" in feed.line(0.0)
    finally:
        hub.close()
        server.stop()


def test_screenshots_never_replace_one(tmp_path):
    folder = str(tmp_path)
    assert next_name(folder) == os.path.join(folder, "carcloud-0001.png")
    (tmp_path / "carcloud-0001.png").write_bytes(b"")
    assert next_name(folder) == os.path.join(folder, "carcloud-0002.png")


def test_lines_are_for_terminals(capsys, monkeypatch):
    Lines().say(["a"])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    lines = Lines()
    lines.say(["a", "b"])
    lines.say(["c", "d"])
    assert capsys.readouterr().err == "\r\033[Ka\n\r\033[Kb\n\033[2A\r\033[Kc\n\r\033[Kd\n"


def test_without_open3d_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(WindowError, match="pip install open3d-cpu, or look at the server's page"):
        Window([], View())


class NoScreen:
    """Open3D where there is no screen."""

    class visualization:
        class VisualizerWithKeyCallback:
            def create_window(self, *_):
                return False


@pytest.mark.parametrize("display", ["", ":12345"])
def test_without_a_screen_it_says_so(monkeypatch, display):
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "open3d", NoScreen)
    with pytest.raises(WindowError, match="is there a screen.*xvfb-run -a carcloud view URL --screenshot FILE"):
        Window([], View())


class Blank:
    """A window and files of Open3D where a screen went away: pictures are saved, and show nothing."""

    io = visualization = utility = geometry = None

    def capture_screen_image(self, path, do_render):
        with open(path, "wb") as handle:
            handle.write(b"png")

    def read_image(self, path):
        return np.full((4, 4, 3), 20, np.uint8)


def test_an_empty_picture_is_not_said_to_be_saved(tmp_path):
    window = Window.__new__(Window)
    window._window = blank = Blank()
    window._open3d = Blank()
    window._open3d.io = blank
    window._placed = 0
    assert window.screenshot(str(tmp_path / "a.png")) == str(tmp_path / "a.png")  # no cloud yet: rightly empty
    window._placed = 1
    with pytest.raises(WindowError, match="a.png is empty: the screen .* did not answer; is it there"):
        window.screenshot(str(tmp_path / "a.png"))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_cars_are_within_the_picture_and_fill_it(count):
    points = np.concatenate([car_cloud(2000).points + place for place in beside(count)])
    centre, half = framing(points, 1.6)
    front = np.asarray(FRONT) / np.linalg.norm(FRONT)
    right = np.cross((0, 0, 1), front) / np.linalg.norm(np.cross((0, 0, 1), front))
    across = (points - centre) @ right / (1.6 * half)
    upwards = (points - centre) @ np.cross(front, right) / half
    assert across.max() == pytest.approx(-across.min()) and upwards.max() == pytest.approx(-upwards.min())
    assert max(across.max(), upwards.max()) == pytest.approx(1 / 1.2)


def test_fewer_and_nearer_points_are_larger():
    assert point_size(16384, 800) == pytest.approx(8.8, abs=0.1)
    assert point_size(4096, 400) == pytest.approx(point_size(16384, 800))
    assert point_size(10, 800) == 12 and point_size(10**6, 100) == 2 and point_size(0, 800) == 12


@pytest.mark.parametrize("flags, code, words", [
    (["http://x", "--least", "2"], 2, "--least is 2; give 0 to 0.95"),
    (["http://x", "--screenshot", "a.jpg"], 13, "a screenshot is a PNG"),
    (["ftp://x"], 6, "is not the address of a carcloud server"),
])
def test_mistakes_are_sentences(flags, code, words, capsys):
    assert main(["view"] + flags) == code
    assert words in capsys.readouterr().err


def test_the_window_shows_two_servers(tmp_path, capsys):
    pytest.importorskip("open3d", reason="Open3D is not installed: no window is opened")
    if not os.environ.get("DISPLAY"):
        pytest.skip("there is no screen (DISPLAY): no window is opened; scripts/test --only window opens it under Xvfb")
    import cv2

    hub = Hub()
    server = serve(hub)
    path = str(tmp_path / "a.png")
    try:
        hub.publish(result(1, car_cloud(6000)._replace(rgb=np.full((6000, 3), (255, 60, 0), np.uint8))))
        assert main(["view", server.url, server.url, "--screenshot", path]) == 0
    finally:
        hub.close()
        server.stop()
    assert capsys.readouterr().out.count("6000 points, age ") == 2
    picture = cv2.imread(path).astype(int)
    orange = (picture[..., 2] > 200) & (picture[..., 0] < 60)
    half = picture.shape[1] // 2
    assert orange[:, :half].sum() > 3000 and orange[:, half:].sum() > 3000
