"""A small helping of the fuzzer, and that it notices what it looks for. In full: python -m tests.edge.server.fuzz"""

import os

import pytest
from flask import Flask, Response

from edge import wire
from edge.errors import WireError
from edge.server.app import create_app
from edge.server.hub import Hub
from tests.edge.server import fuzz

#: Inputs in all; FUZZ_COUNT=100000 for the full size.
COUNT = int(os.environ.get("FUZZ_COUNT", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


def test_no_request_brings_anything_but_a_clean_answer():
    codes = fuzz.fuzz_app(COUNT * 60 // 100, SEED)
    assert {200, 400, 401, 403, 404, 405} <= set(codes), codes


def test_no_bytes_on_the_wire_bring_anything_but_a_clean_answer():
    codes = fuzz.fuzz_socket(COUNT * 5 // 100, SEED)
    assert {200, 400} <= set(codes), codes


def test_no_damaged_frame_brings_anything_but_a_sentence():
    verdicts = fuzz.fuzz_wire(COUNT * 35 // 100, SEED)
    assert verdicts[True] > COUNT / 100 and verdicts[False] > COUNT / 10, verdicts


@pytest.mark.parametrize("answer, words", [
    (Response("oh", 500), "status 500"),
    (Response("oh", 404), "without a sentence"),
    (Response("", 302, {"Location": "http://evil.example/"}), "status 302"),
    (Response("", 200, {"Location": "http://evil.example/"}), "header location: http://evil.example/"),
    (Response("", 200, {"Access-Control-Allow-Origin": "*"}), "access-control-allow-origin"),
    (Response("", 200), "without"),
])
def test_the_fuzzer_notices_answers_that_are_not_clean(answer, words):
    app = Flask("broken")
    app.before_request(lambda: answer)
    with pytest.raises(fuzz.Finding, match=words):
        fuzz.fuzz_app(50, 1, [app])


def test_the_fuzzer_notices_a_crash_in_the_application_and_behind_the_socket():
    app = create_app(Hub())
    app.wsgi_app = lambda environ, start_response: 1 // 0
    with pytest.raises(fuzz.Finding, match="request 0 of seed 1: the application raised ZeroDivisionError"):
        fuzz.fuzz_app(1, 1, [app])
    with pytest.raises(fuzz.Finding, match="ZeroDivisionError"):
        fuzz.fuzz_socket(20, 1, app)


@pytest.mark.parametrize("error, words", [(KeyError("x"), "raised KeyError"), (WireError("no"), "no sentence")])
def test_the_fuzzer_notices_a_decoder_that_is_not_clean(monkeypatch, error, words):
    def decode(data):
        raise error

    monkeypatch.setattr(wire, "decode", decode)
    with pytest.raises(fuzz.Finding, match=words):
        fuzz.fuzz_wire(10, 1)
