"""The description of the API against the running application: by hand, and by Schemathesis where it is installed."""

import json
import re
import time

import pytest

from edge.errors import ServerError
from edge.pose import Pose
from edge.runtime.following import Sight
from edge.runtime.outputs import BodyClass, Length
from edge.runtime.tracking import Track
from edge.server import page
from edge.server.app import OPEN_PATHS, ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.limits import Guesses, Limits, Rates
from edge.server.telemetry import QUALITIES
from tests.edge.server.fake import result

TOKEN = "a-token-of-good-length"
BEARER = {"Authorization": "Bearer " + TOKEN}
#: Requests that Schemathesis makes up of each operation, of good and of bad ones each.
EXAMPLES = 8


def spec():
    return json.loads(page.load_openapi().decode("utf-8"))


def live_app():
    """An application with a car in view; a request that would have to wait gets 503, so that the test need not."""
    hub = Hub(max_waiting=0)
    made = result(1)
    told = made.reconstruction._replace(
        pose=Pose(-41.62, 8.04, 0, 0, 0, 1, 0, 0.91), length=Length(4.2, 0.05), body_class=BodyClass("suv", 0.8))
    car = Track(3, (10.4, 20.0, 100.0, 50.6), 0.87654, 5, 0.123)
    hub.publish(made._replace(reconstruction=told, sight=Sight((car,), 3, 8.0), captured=time.monotonic()))
    # Schemathesis tries wrong tokens by the dozen, and wants 401 for each.
    bounds = Limits(Guesses(free=10**6), Rates())
    return create_app(hub, ServerSettings(token=TOKEN), lambda number: number in (None, 3), lambda: {"captured": 1},
                      limits=bounds)


@pytest.fixture(scope="module")
def app():
    return live_app()


def test_every_route_is_described_and_every_description_is_a_route(app):
    routes = {
        (re.sub("<([a-z]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, operations in spec()["paths"].items() for method in operations}
    assert described == routes


def test_what_needs_no_token_is_described_so():
    described = {
        path for path, operations in spec()["paths"].items() if next(iter(operations.values())).get("security") == []}
    assert described == set(OPEN_PATHS) | {"/static/{name}"}


def test_it_is_served_without_a_token(app):
    answer = app.test_client().get("/api/v1/openapi.json")
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    assert json.loads(answer.data.decode()) == spec()


def fits(value, schema, where):
    """Hold a value to the part of JSON Schema that the description uses; raises AssertionError."""
    if "$ref" in schema:
        return fits(value, spec()["components"]["schemas"][schema["$ref"].rpartition("/")[2]], where)
    if value is None:
        assert schema.get("nullable"), where
        return None
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    assert isinstance(value, kinds[schema["type"]]), (where, value)
    assert value in schema.get("enum", [value]), (where, value)
    if schema["type"] == "array":
        for item in value:
            fits(item, schema["items"], where + "[]")
    if "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), (where, set(value))
        for name, part in value.items():
            fits(part, schema["properties"][name], where + "." + name)
    return None


def test_the_status_is_as_described(app):
    schemas = spec()["components"]["schemas"]
    assert tuple(schemas["Status"]["properties"]["quality"]["enum"]) == QUALITIES
    for other in (app, create_app(Hub(), ServerSettings(token=TOKEN))):
        answer = other.test_client().get("/api/v1/status", headers=BEARER)
        fits(json.loads(answer.data.decode()), schemas["Status"], "status")
    with pytest.raises(AssertionError):
        fits({"error": 3}, schemas["Error"], "error")
    with pytest.raises(AssertionError):
        fits({}, schemas["Error"], "error")


def test_a_page_that_was_not_installed_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "OPENAPI", str(tmp_path / "openapi.json"))
    with pytest.raises(ServerError, match="openapi.json: No such file or directory; install carcloud again"):
        page.load_openapi()


def test_schemathesis_finds_no_difference(app):
    """Made-up requests, good and bad, to every operation; each answer must be one that the description has."""
    schemathesis = pytest.importorskip(
        "schemathesis", reason="schemathesis is not installed: pip install schemathesis (Python 3.10 or later)")
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import negative_data_rejection, not_a_server_error
    from schemathesis.generation import GenerationMode

    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    seen = {}

    def no_bug(context, response, case):
        seen.setdefault((case.operation.path, case.method), set()).add(response.status_code)
        assert response.status_code != 500, response.text

    for found in schema.get_all_operations():
        operation = found.ok()
        described = spec()["paths"][operation.path][operation.method]
        # Nothing else can be wrong: each text may be the name of a file.
        takes = "requestBody" in described or any(item["in"] == "query" for item in described.get("parameters", ()))
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)[: 1 + takes]:

            @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                      suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                # 503 (nobody may wait here) is an answer, not a failure; a parameter that nobody knows is no mistake.
                case.call_and_validate(headers=BEARER, additional_checks=[no_bug],
                                       excluded_checks=[not_a_server_error, negative_data_rejection])

            ask()
    # All but the description itself, which it was read from.
    assert {path for path, _ in seen} == set(spec()["paths"]) - {"/api/v1/openapi.json"}
    assert 200 in seen["/api/v1/cloud", "GET"] and 400 in seen["/api/v1/cloud", "GET"]
