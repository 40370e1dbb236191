"""What one address may do: how fast it can guess, and that the right token gets through."""

import json
import threading

import pytest

from edge.server import limits
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.limits import Guesses, Limits, Rates, Verdict, network_of

TOKEN = "a-token-of-good-length"


class Time:
    """A clock that sleeping moves."""

    def __init__(self):
        self.now = 1000.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def hours():
    return Time()


@pytest.fixture
def guesses(hours):
    return Guesses(hours.clock, hours.sleep)


def test_ten_wrong_tokens_are_free_and_then_each_takes_its_second(guesses, hours):
    verdicts = [guesses.judge("10.0.0.1", False) for _ in range(12)]
    assert verdicts == [Verdict.WRONG] * 10 + [Verdict.TOO_MANY] * 2 and hours.now == 1002.0
    assert guesses.judge("10.0.0.2", False) is Verdict.WRONG, "another address has tries of its own"
    hours.now += 6.0
    assert guesses.judge("10.0.0.1", False) is Verdict.WRONG, "one is regained"
    assert guesses.judge("10.0.0.1", False) is Verdict.TOO_MANY


def test_the_right_token_is_taken_from_an_address_that_guesses(guesses, hours):
    for _ in range(50):
        guesses.judge("10.0.0.1", False)
    before = hours.now
    assert guesses.judge("10.0.0.1", True) is Verdict.RIGHT and hours.now == before


def attack(guesses, address, count):
    """``count`` wrong tokens at once, all of which are held until the event is set."""
    threads = [threading.Thread(target=guesses.judge, args=(address, False)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_many_at_once_do_not_guess_faster():
    release, held = threading.Event(), threading.Semaphore(0)

    def sleep(seconds):
        held.release()
        assert release.wait(60)

    guesses = Guesses(lambda: 0.0, sleep)
    for _ in range(10):
        guesses.judge("10.0.0.1", False)
    assert guesses.judge("10.0.0.2", True) is Verdict.RIGHT
    threads = attack(guesses, "10.0.0.1", 4)
    for _ in range(4):
        assert held.acquire(timeout=60)
    try:
        # A fifth is answered at once, and nobody looked at it: the right one gets the same answer.
        assert guesses.judge("10.0.0.1", False) is guesses.judge("10.0.0.1", True) is Verdict.TOO_MANY
        assert guesses.judge("10.0.0.2", True) is Verdict.RIGHT, "others do not notice"
    finally:
        release.set()
        for thread in threads:
            thread.join(60)
    assert guesses.judge("10.0.0.1", True) is Verdict.RIGHT


def test_who_showed_the_right_token_is_taken_in_the_middle_of_an_attack_from_the_same_address():
    release, held, now = threading.Event(), threading.Semaphore(0), [0.0]

    def sleep(seconds):
        held.release()
        assert release.wait(60)

    guesses = Guesses(lambda: now[0], sleep)
    assert guesses.judge("10.0.0.1", True) is Verdict.RIGHT
    for _ in range(10):
        guesses.judge("10.0.0.1", False)
    threads = attack(guesses, "10.0.0.1", 4)
    for _ in range(4):
        assert held.acquire(timeout=60)
    try:
        assert guesses.judge("10.0.0.1", True) is Verdict.RIGHT
        assert guesses.judge("10.0.0.1", False) is Verdict.TOO_MANY
    finally:
        release.set()
        for thread in threads:
            thread.join(60)


def test_all_addresses_together_cannot_hold_every_thread(monkeypatch):
    monkeypatch.setattr(limits, "HELD_ALL", 0)
    guesses = Guesses(lambda: 0.0, lambda seconds: pytest.fail("it was held"))
    for _ in range(10):
        guesses.judge("10.0.0.1", False)
    assert guesses.judge("10.0.0.1", False) is Verdict.TOO_MANY


def test_requests_are_counted_by_address(hours):
    rates = Rates(rate=2.0, burst=3.0, clock=hours.clock)
    assert [rates.allow("a") for _ in range(4)] == [True, True, True, False] and rates.allow("b")
    hours.now += 0.5
    assert rates.allow("a") and not rates.allow("a")
    hours.now -= 100.0
    assert not rates.allow("a"), "a clock that goes backwards gives nothing"


def test_the_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "MOST_ADDRESSES", 3)
    rates = Rates(rate=0.0, burst=1.0)
    assert rates.allow("1") and not rates.allow("1")
    assert all(rates.allow(str(number)) for number in range(2, 6))
    assert len(rates._buckets._entries) == 3 and rates.allow("1"), "the quietest is forgotten"


@pytest.mark.parametrize("address, network", [
    ("10.0.0.1", "10.0.0.1"),
    ("::ffff:10.0.0.1", "10.0.0.1"),
    ("fe80::1%eth0", "fe80::/64"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("", ""),
    (None, ""),
    ("unix", "unix"),
])
def test_an_ipv6_network_counts_as_one_address(address, network):
    assert network_of(address) == network


def client_with(hours, **rates):
    bounds = Limits(Guesses(hours.clock, hours.sleep), Rates(clock=hours.clock, **rates))
    return create_app(Hub(), ServerSettings(token=TOKEN), limits=bounds).test_client()


def test_brute_force_is_refused_and_the_viewer_looks_on(hours):
    client = client_with(hours)

    def ask(token, address="10.0.0.66"):
        headers = {} if token is None else {"Authorization": "Bearer " + token}
        return client.get("/api/v1/status", headers=headers, environ_base={"REMOTE_ADDR": address})

    codes = [ask("guess-number-%d" % number).status_code for number in range(200)]
    assert codes[:10] == [401] * 10 and codes.count(429) >= 150 and set(codes) == {401, 429}
    assert hours.now - 1000.0 >= 150, "seconds that 200 guesses took"
    answer = ask("one-more")
    while answer.status_code == 401:  # the second regained one
        answer = ask("one-more")
    assert answer.headers["WWW-Authenticate"] == "Bearer", "by which the page knows to ask for the token"
    assert answer.headers["Retry-After"] == "6" and "wrong tokens" in json.loads(answer.data.decode())["error"]
    assert ask(TOKEN).status_code == 200 and ask(TOKEN, "10.0.0.7").status_code == 200
    assert [ask(None, "10.0.0.8").status_code for _ in range(30)] == [401] * 30, "no token is no guess"
    assert client.get("/healthz", environ_base={"REMOTE_ADDR": "10.0.0.66"}).status_code == 200


def test_a_flood_is_refused_with_a_sentence(hours):
    client = client_with(hours, rate=1.0, burst=5.0)
    answers = [client.get("/healthz") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[5].headers["Retry-After"] == "1"
    assert "too many requests" in json.loads(answers[5].data.decode())["error"]
    assert client.get("/healthz", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200
