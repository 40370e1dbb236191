"""One line of doctor's report."""

from typing import NamedTuple

OK, WARNING, ERROR = "ok", "warning", "error"


class Check(NamedTuple):
    """What was looked at. level: ok, warning or error. fix: the command that mends it, "" if nothing is to do."""

    name: str
    level: str
    text: str
    fix: str = ""
