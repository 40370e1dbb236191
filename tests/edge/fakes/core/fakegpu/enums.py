"""Enumerations as pybind11 makes them: convertible by int(), but equal to members of their own kind only.

Not even the "arithmetic" ones take part in sums or compare with numbers: ``1 << BuilderFlag.FP16`` is a TypeError.
"""

from typing import Any, Dict, Sequence, Union


class EnumMember:
    """Base of every enumeration."""

    __slots__ = ("name", "value")
    __members__: Dict[str, "EnumMember"] = {}
    #: its members are ordered
    arithmetic = False

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.value == other.value  # type: ignore[attr-defined]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return self.value < self._number(other)

    def __le__(self, other: Any) -> bool:
        return self.value <= self._number(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > self._number(other)

    def __ge__(self, other: Any) -> bool:
        return self.value >= self._number(other)

    def _number(self, other: Any) -> int:
        if not self.arithmetic or type(other) is not type(self):
            raise TypeError("Expected an enumeration of matching type!")
        return other.value  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "<%s.%s: %d>" % (type(self).__name__, self.name, self.value)

    def __str__(self) -> str:
        return "%s.%s" % (type(self).__name__, self.name)


def make_enum(name: str, members: Union[Sequence[str], Dict[str, int]], arithmetic: bool = False) -> Any:
    """A class with the members, numbered as listed."""
    numbers = members if isinstance(members, dict) else {member: index for index, member in enumerate(members)}
    kind = type(name, (EnumMember,), {"__slots__": (), "arithmetic": arithmetic})
    kind.__members__ = {member: kind(member, value) for member, value in numbers.items()}  # type: ignore[attr-defined]
    for member, value in kind.__members__.items():  # type: ignore[attr-defined]
        setattr(kind, member, value)
    return kind
