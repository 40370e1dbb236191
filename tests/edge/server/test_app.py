"""The routes through Flask's own client: answers, headers, refusals."""

import json
import re
import time
from urllib.parse import unquote

import numpy as np
import pytest

from edge import wire
from edge.errors import ServerError
from edge.geometry import Cloud
from edge.ply import to_bytes
from edge.pose import Pose
from edge.runtime.following import Sight
from edge.runtime.outputs import BodyClass, Length
from edge.runtime.pipeline import Glimpse
from edge.runtime.tracking import Track
from edge.server.app import CONTENT_SECURITY_POLICY, ServerSettings, create_app
from edge.server.hub import Hub, State
from edge.server.page import load_page
from tests.edge.server.fake import result

TOKEN = "a-token-of-good-length"
DATA_ROUTES = ["/api/v1/cloud?timeout=0", "/api/v1/status", "/cloud.ply", "/camera.jpg?timeout=0"]


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def client(hub):
    return create_app(hub, ServerSettings(source="synthetic://car", bundle="tiny")).test_client()


def sentence(answer):
    return json.loads(answer.data.decode())["error"]


def test_cloud(hub, client):
    hub.publish(result(1))
    answer = client.get("/api/v1/cloud?after=0")
    packet = wire.decode(answer.data)
    assert answer.status_code == 200 and answer.headers["X-Seq"] == "1" and packet.seq == 1
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert len(packet.cloud.points) == 6000 and packet.published_us >= packet.captured_us
    timing = dict(item.split(";dur=") for item in answer.headers["Server-Timing"].split(", "))
    assert set(timing) == {"capture", "crop", "network", "fusion", "encode"} and timing["network"] == "30.25"
    assert 0 <= float(answer.headers["X-Age-Ms"]) < 5000


def test_nothing_newer_is_204(hub, client):
    assert client.get("/api/v1/cloud?timeout=0.01").status_code == 204
    hub.publish(result(1))
    answer = client.get("/api/v1/cloud?after=1&timeout=0.01")
    assert answer.status_code == 204 and answer.data == b""
    assert client.get("/camera.jpg?after=1&timeout=0").status_code == 204


@pytest.mark.parametrize("query", [
    "after=x", "after=-1", "after=1.5", "after=", "after=99999999999999999", "after=%D9%A1", "timeout=x", "timeout=-1",
    "timeout=nan", "timeout=inf", "timeout=31", "timeout=",
])
def test_bad_numbers_are_400(client, query):
    answer = client.get("/api/v1/cloud?" + query)
    assert answer.status_code == 400 and query.split("=")[0] in sentence(answer)


def test_one_client_too_many_is_503():
    client = create_app(Hub(max_waiting=0)).test_client()
    answer = client.get("/api/v1/cloud?timeout=5")
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "1" and "try again" in sentence(answer)


def test_a_stopping_server_is_503_and_not_an_endless_204(hub, client):
    hub.publish(result(1))
    hub.close()
    answer = client.get("/api/v1/cloud?after=1&timeout=5")
    assert answer.status_code == 503 and "stopping" in sentence(answer) and "Retry-After" in answer.headers


def test_camera(hub, client):
    hub.publish(result(1))
    answer = client.get("/camera.jpg")
    assert answer.status_code == 200 and answer.mimetype == "image/jpeg" and answer.data[:2] == b"\xff\xd8"
    assert answer.headers["X-Image-Size"] == "320,240" and answer.headers["X-Crop"] == "40,0,240"


def test_camera_can_be_switched_off(hub):
    client = create_app(hub, ServerSettings(camera_preview=False)).test_client()
    hub.publish(result(1))
    answer = client.get("/camera.jpg")
    assert answer.status_code == 404 and "--no-camera-preview" in sentence(answer)
    assert json.loads(client.get("/api/v1/status").data.decode())["camera_preview"] is False


def test_ply(hub, client):
    answer = client.get("/cloud.ply")
    assert answer.status_code == 404 and "no cloud yet" in sentence(answer)
    hub.publish(result(1))
    answer = client.get("/cloud.ply")
    assert answer.data == to_bytes(hub.newest.result.reconstruction.cloud)
    assert "carcloud-1.ply" in answer.headers["Content-Disposition"]


def test_status_and_probes(hub, client):
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert facts["state"] == "starting" and facts["age_s"] is None and facts["seq"] == 0
    assert client.get("/healthz").status_code == 200 and client.get("/readyz").status_code == 503
    hub.publish(result(1))
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert facts["state"] == "live" and facts["points"] == 6000 and facts["source"] == "synthetic://car"
    assert facts["bundle"] == "tiny" and facts["timings_ms"]["network"] == 30.25 and facts["warnings"] == []
    assert facts["pose"] is None and facts["length"] is None and facts["body_class"] is None
    assert client.get("/readyz").status_code == 200
    hub.set_camera(State.REOPENING, "unplugged", "Trying again in 2 s")
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert facts["state"] == "reopening" and facts["message"] == "unplugged. Trying again in 2 s"
    assert facts["errors"] == ["unplugged"] and facts["points"] == 6000
    assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200


def test_the_status_tells_the_cars_that_are_seen(hub, client):
    assert json.loads(client.get("/api/v1/status").data.decode())["cars"] is None, "nobody looks for them"
    car = Track(3, (10.4, 20.0, 100.0, 50.6), 0.87654, 5, 0.123)
    hub.publish(result(1)._replace(sight=Sight((car,), 3, 8.0)))
    facts = json.loads(client.get("/api/v1/status").data.decode())
    wanted = {"number": 3, "box": [10, 20, 100, 51], "score": 0.877, "followed": True, "unseen_s": 0.12}
    assert facts["cars"] == [wanted] and facts["state"] == "live"
    assert json.loads(client.get("/camera.jpg").headers["X-Cars"]) == [wanted]


def test_a_picture_tells_the_pose_for_the_overlay(hub, client):
    made = result(1)
    hub.publish(made)
    assert "X-Pose" not in client.get("/camera.jpg").headers
    pose = Pose(-41.62, 8.04, 1.5, 0.1, -0.2, 1.25, 0.3, 0.91)
    hub.publish(made._replace(reconstruction=made.reconstruction._replace(pose=pose)))
    assert client.get("/camera.jpg").headers["X-Pose"] == "-41.62,8.04,1.5,0.1,-0.2,1.25,0.3"


def test_a_picture_without_a_car_is_shown_without_a_crop(hub, client):
    frame = result(1).frame
    timings, sight = {"capture": 1.0, "find": 9.0}, Sight((), None, 9.0)
    hub.publish_unseen(Glimpse(1, frame, timings, time.monotonic(), "", 0.0, sight))
    answer = client.get("/camera.jpg")
    assert answer.status_code == 200 and answer.headers["X-Seq"] == "1" and "X-Crop" not in answer.headers
    assert answer.headers["X-Image-Size"] == "320,240" and "find;dur=9.00" in answer.headers["Server-Timing"]
    assert client.get("/api/v1/cloud?timeout=0").status_code == 204
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert facts["state"] == "no car in view" and facts["cars"] == [] and facts["age_s"] is None
    assert client.get("/readyz").status_code == 200, "it works, there is only no car"


def post(client, body, kind="application/json", **headers):
    return client.post("/api/v1/target", data=body, headers=dict(headers, **{"Content-Type": kind}))


def test_a_car_can_be_chosen(hub):
    wishes = []
    client = create_app(hub, choose=lambda number: wishes.append(number) or number in (None, 3)).test_client()
    answer = post(client, '{"car": 3}')
    assert answer.status_code == 200 and json.loads(answer.data.decode()) == {"car": 3}
    assert post(client, '{"car": null}').status_code == 200 and wishes == [3, None]
    answer = post(client, '{"car": 4}')
    assert answer.status_code == 404 and "there is no car 4 in view" in sentence(answer)


@pytest.mark.parametrize(
    "body", ["", "3", "[3]", "{}", '{"car": 0}', '{"car": -1}', '{"car": 1.5}', '{"car": true}', '{"car": "3"}',
             '{"car": 3, "more": 1}', "{", "\xff"])
def test_a_choice_that_is_none_is_refused(hub, body):
    client = create_app(hub, choose=lambda number: pytest.fail("it was taken")).test_client()
    answer = post(client, body)
    assert answer.status_code == 400 and '{"car": 2}' in sentence(answer)


def test_other_sites_cannot_choose(hub):
    client = create_app(hub, choose=lambda number: pytest.fail("it was taken")).test_client()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert post(client, '{"car": 3}', kind).status_code == 415
    assert post(client, '{"car": 3}', Host="evil.example").status_code == 403
    assert client.get("/api/v1/target").status_code == 405
    assert client.options("/api/v1/target").headers.get("Access-Control-Allow-Origin") is None
    assert post(client, '{"car": ' + " " * 5000 + "3}").status_code == 413


def test_a_choice_wants_the_token(hub):
    settings = ServerSettings(token=TOKEN)
    client = create_app(hub, settings, lambda number: True).test_client()
    assert post(client, '{"car": 3}').status_code == 401
    assert post(client, '{"car": 3}', Authorization="Bearer " + TOKEN).status_code == 200


def test_where_nobody_looks_for_cars_none_can_be_chosen(hub, client):
    answer = post(client, '{"car": 3}')
    assert answer.status_code == 404 and "started with --box or --no-find" in sentence(answer)


def test_the_status_tells_what_the_network_tells(hub, client):
    made = result(1)
    told = made.reconstruction._replace(
        pose=Pose(-41.62, 8.04, 0, 0, 0, 1, 0, 0.91), length=Length(4.2, 0.05), body_class=BodyClass("suv", 0.8432))
    assert json.loads(client.get("/api/v1/status").data.decode())["pose"] is None
    hub.publish(made._replace(reconstruction=told))
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert facts["pose"] == {"azimuth": -41.6, "elevation": 8.0, "certainty": 0.91}
    assert facts["length"] == {"metres": 4.2, "plus_minus": 0.21}
    assert facts["body_class"] == {"name": "suv", "probability": 0.843}


def test_a_coloured_cloud_is_sent_with_its_marks(hub, client):
    cloud = Cloud(np.zeros((3, 3), np.float32), None, np.full((3, 3), 9, np.uint8), None, np.array([0, 1, 2], np.uint8))
    hub.publish(result(1, cloud))
    sent = wire.decode(client.get("/api/v1/cloud").data).cloud
    assert sent.rgb.tolist() == [[9, 9, 9]] * 3 and sent.mark.tolist() == [0, 1, 2]
    assert b"property uchar mark" in client.get("/cloud.ply").data


def test_a_broken_cloud_is_a_sentence_and_kept_in_the_status(hub, client):
    hub.publish(result(1, Cloud(np.full((2, 3), np.nan, np.float32))))
    answer = client.get("/api/v1/cloud")
    assert answer.status_code == 500 and "not finite" in sentence(answer)
    assert "not finite" in json.loads(client.get("/api/v1/status").data.decode())["errors"][0]


def test_empty_cloud_is_valid(hub, client):
    hub.publish(result(1, Cloud(np.zeros((0, 3), np.float32))))
    assert len(wire.decode(client.get("/api/v1/cloud").data).cloud.points) == 0


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/healthz", "/nowhere"] + DATA_ROUTES)
def test_security_headers_everywhere(client, path):
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY" and headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers and "Set-Cookie" not in headers
    assert headers["Cache-Control"] == ("no-cache" if path in ("/", "/static/app.js") else "no-store")


@pytest.mark.parametrize("path", DATA_ROUTES)
def test_data_wants_the_token(hub, path):
    client = create_app(hub, ServerSettings(host="0.0.0.0", token=TOKEN)).test_client()
    hub.publish(result(1))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic " + TOKEN}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in answer.data.decode() and "#token=" in sentence(answer)
    assert client.get(path, headers={"Authorization": "Bearer " + TOKEN}).status_code == 200


def test_page_and_probes_load_without_the_token(hub):
    client = create_app(hub, ServerSettings(host="0.0.0.0", token=TOKEN)).test_client()
    for path in ("/", "/static/app.js", "/healthz"):
        assert client.get(path).status_code == 200


def test_token_in_the_address_is_refused(hub):
    client = create_app(hub, ServerSettings(token=TOKEN)).test_client()
    answer = client.get("/api/v1/status?token=" + TOKEN)
    assert answer.status_code == 400 and "ends up in logs" in sentence(answer)


def test_unprotected_bind_is_refused_or_shown(hub):
    with pytest.raises(ServerError, match="--token-file"):
        create_app(hub, ServerSettings(host="0.0.0.0"))
    client = create_app(hub, ServerSettings(host="0.0.0.0", no_auth=True)).test_client()
    assert "--no-auth" in json.loads(client.get("/api/v1/status").data.decode())["warnings"][0]


def test_foreign_host_names_are_refused(client):
    answer = client.get("/api/v1/status", headers={"Host": "evil.example:8000"})
    assert answer.status_code == 403 and "--allow-host" in sentence(answer)
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/api/v1/status", headers={"Host": "10.0.0.7:8000"}).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_only_get(client, method):
    assert getattr(client, method)("/api/v1/cloud").status_code == 405


@pytest.mark.parametrize("path", ["/api//v1/status", "/static//app.js", "/static//a%0d%0aX: y"])
def test_nothing_is_redirected(client, path):
    """Werkzeug sends such a path on to one without the second slash, or fails over the line break in it."""
    answer = client.get("/", environ_overrides={"PATH_INFO": unquote(path)})
    assert answer.status_code == 404 and "Location" not in answer.headers and "there is no" in sentence(answer)


@pytest.mark.parametrize("name, kind", [
    ("wire.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml"),
])
def test_static_files_have_their_types_and_revalidate(client, name, kind):
    answer = client.get("/static/" + name)
    assert answer.status_code == 200 and answer.mimetype == kind
    again = client.get("/static/" + name, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and again.data == b""


@pytest.mark.parametrize("path", [
    "/static/package.json", "/static/../app.py", "/static/%2e%2e/app.py", "/static/nope.js",
])
def test_other_files_are_not_served(client, path):
    assert client.get(path).status_code == 404


def test_page_asks_for_every_module_at_once_and_for_nothing_foreign(client):
    """Otherwise a phone on a slow link fetches them level by level."""
    page = client.get("/").data.decode()
    modules = {name for name in load_page() if name.endswith(".js")}
    assert modules == set(re.findall('(?:modulepreload" href|module" src)="/static/([a-z]+.js)"', page))
    for name, (body, _, _) in load_page().items():
        body = body.replace(b"http://www.w3.org/2000/svg", b"")
        assert not re.search(rb"(https?:)?//[a-z0-9.-]+[.][a-z]{2,}", body), name
