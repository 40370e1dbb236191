"""Source URIs: ``scheme://target?name=value&...``, split, typed, and made safe to print."""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from edge.errors import SourceError
from edge.settings import redact

#: Example of each scheme, shown wherever a URI is not understood.
EXAMPLES = {
    "file": "file://clip.mp4?loop=1",
    "dir": "dir://photos/?fps=2",
    "v4l2": "v4l2:///dev/video0?width=640&height=480&fps=30",
    "csi": "csi://0?width=1280&height=720&fps=30",
    "rtsp": "rtsp://user:password@camera/stream",
    "synthetic": "synthetic://car?seed=0",
}
#: Schemes whose target and query belong to a camera on the network, passed on as they are.
NETWORK = ("rtsp", "rtsps")


class SourceUri(NamedTuple):
    """A URI taken apart. scheme is "" for a bare path. text: safe to print."""

    scheme: str
    target: str
    query: Dict[str, str]
    text: str


def parse_uri(text: str) -> SourceUri:
    """Split a source URI. Raises SourceError: empty, unknown scheme, parameter without a value or given twice."""
    if not text.strip():
        raise SourceError("no source given; give one of: %s" % known_sources())
    scheme, separator, rest = text.partition("://")
    if not separator:
        return SourceUri("", text, {}, text)
    scheme = scheme.lower()
    if scheme in NETWORK:
        return SourceUri(scheme, text, {}, redact(text))
    if scheme not in EXAMPLES:
        raise SourceError("unknown kind of source %s; give one of: %s" % (redact(text), known_sources()))
    target, _, query = rest.partition("?")
    return SourceUri(scheme, unquote(target), _split_query(text, query), text)


def known_sources() -> str:
    """The examples of all schemes in one line."""
    return ", ".join(EXAMPLES[name] for name in sorted(EXAMPLES)) + ", or the path of a clip, a picture or a folder"


def _split_query(text: str, query: str) -> Dict[str, str]:
    pairs: List[Tuple[str, str]] = []
    for item in filter(None, query.split("&")):
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise SourceError("source %s: parameter %r has no value; write name=value" % (text, item))
        pairs.append((unquote(name), unquote(value)))
    found = dict(pairs)
    if len(found) != len(pairs):
        raise SourceError("source %s gives a parameter twice; give each once" % text)
    return found


class Parameters:
    """The query of a URI, typed and range-checked; what is not among ``known`` is refused at once."""

    def __init__(self, uri: SourceUri, known: Tuple[str, ...]) -> None:
        self._uri = uri
        for name in uri.query:
            if name not in known:
                raise SourceError(
                    "source %s: unknown parameter %s; %s:// knows %s"
                    % (uri.text, name, uri.scheme or "file", ", ".join(sorted(known)))
                )

    def flag(self, name: str, default: bool) -> bool:
        """1 or 0."""
        value = self._uri.query.get(name)
        if value is None:
            return default
        if value.lower() in ("1", "true", "yes"):
            return True
        if value.lower() in ("0", "false", "no"):
            return False
        raise self._wrong(name, value, "1 or 0")

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self._uri.query.get(name)
        if value is None:
            return default
        if not re.match(r"-?[0-9]+\Z", value) or not low <= int(value) <= high:
            raise self._wrong(name, value, "a whole number from %d to %d" % (low, high))
        return int(value)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number from low to high."""
        value = self._uri.query.get(name)
        if value is None:
            return default
        parsed = _float(value)
        if parsed is None or not low <= parsed <= high:
            raise self._wrong(name, value, "a number from %g to %g" % (low, high))
        return parsed

    def _wrong(self, name: str, value: str, wanted: str) -> SourceError:
        return SourceError("source %s: %s is %r; give %s" % (self._uri.text, name, value, wanted))


def _float(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return None
