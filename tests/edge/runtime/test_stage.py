"""edge.runtime.stage: order, overlap, waiting, and what becomes of errors."""

import threading
from typing import List

import pytest

from edge.runtime.stage import Stage


def test_pieces_are_worked_on_in_order_and_the_last_is_waited_for() -> None:
    done: List[int] = []
    with Stage(done.append, "test") as stage:
        for piece in range(50):
            stage.give(piece)
    assert done == list(range(50))


def test_giving_returns_while_the_work_goes_on_and_waits_before_the_next() -> None:
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
    done: List[int] = []

    def work(piece: int) -> None:
        begun.release()
        assert go_on.acquire(timeout=20)
        done.append(piece)

    with Stage(work, "test") as stage:
        stage.give(1)
        assert begun.acquire(timeout=20) and done == [], "given, and not yet done"
        second = threading.Thread(target=stage.give, args=(2,))
        second.start()
        second.join(0.05)
        assert second.is_alive(), "one piece at a time"
        go_on.release()
        second.join(20)
        assert not second.is_alive() and done == [1]
        go_on.release()
    assert done == [1, 2]


def test_what_the_work_raises_comes_out_where_it_is_given_once() -> None:
    done: List[int] = []

    def work(piece: int) -> None:
        if piece == 2:
            raise ValueError("two")
        done.append(piece)

    with pytest.raises(ValueError, match="two"), Stage(work, "test") as stage:
        for piece in range(1, 9):
            stage.give(piece)
    assert done == [1]


def test_an_error_on_the_last_piece_is_not_lost() -> None:
    def work(piece: int) -> None:
        raise ValueError("the last one")

    with pytest.raises(ValueError, match="the last one"), Stage(work, "test") as stage:
        stage.give(1)


def test_an_error_of_the_giver_stands_before_one_of_the_work() -> None:
    def work(piece: int) -> None:
        raise ValueError("of the work")

    with pytest.raises(KeyError), Stage(work, "test") as stage:
        stage.give(1)
        raise KeyError("of the giver")
    assert not stage._thread.is_alive()
