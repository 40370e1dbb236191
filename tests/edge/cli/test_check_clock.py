"""Doctor's look at the clock."""

import calendar
import os
from typing import Any, Optional

import pytest

from edge.cli.check import OK, WARNING
from edge.cli.check_clock import MAX_ERROR_US, SYNCHRONISED, check_clock, kernel_error_us

NOW = calendar.timegm((2026, 11, 27, 20, 5, 0))


@pytest.mark.parametrize("error, level, text", [
    (MAX_ERROR_US - 1, OK, "2026-11-27 20:05 UTC, synchronised"),
    (MAX_ERROR_US, WARNING, "2026-11-27 20:05 UTC, not synchronised with any other clock"),
    (None, OK, "2026-11-27 20:05 UTC; whether it is synchronised is not told here"),
])  # fmt: skip
def test_the_kernel_says_whether_it_is_synchronised(tmp_path: Any, error: Optional[int], level: str, text: str) -> None:
    check = check_clock(str(tmp_path), NOW, lambda: error)
    assert (check.level, check.text) == (level, text)
    assert check.fix.startswith("sudo timedatectl set-ntp true") == (level == WARNING)


def test_so_does_systemds_file(tmp_path: Any) -> None:
    path = tmp_path / SYNCHRONISED
    os.makedirs(str(path.parent))
    path.write_text("")
    assert check_clock(str(tmp_path), NOW, lambda: MAX_ERROR_US).text == "2026-11-27 20:05 UTC, synchronised"


@pytest.mark.parametrize("year", [1970, 2018, 2061])
def test_a_year_that_cannot_be(tmp_path: Any, year: int) -> None:
    check = check_clock(str(tmp_path), calendar.timegm((year, 1, 1, 0, 0, 30)), lambda: 0)
    assert check.level == WARNING and "sudo date -s" in check.fix
    assert check.text == "%d-01-01 00:00 UTC cannot be right; https and logs will be wrong" % year


def test_the_kernel_can_be_asked() -> None:
    error = kernel_error_us()
    assert error is None or 0 <= error < 10**9
