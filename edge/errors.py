"""The one exception tree of the project: each message says what is wrong, why, and what to type.

A command catches :class:`CarcloudError` once, at the top, prints the sentence and exits with
``exit_code``. Anything else that escapes is a bug and keeps its traceback.
"""


class CarcloudError(Exception):
    """Base of every error a user can cause or mend. ``str(error)`` is the whole sentence."""

    exit_code = 1


class SettingsError(CarcloudError):
    """A settings file or flag that is unknown, of the wrong type or out of range."""

    exit_code = 2


class BundleError(CarcloudError):
    """A bundle that is missing, damaged, of another format version, or altered."""

    exit_code = 3


class SourceError(CarcloudError):
    """A frame source that cannot be opened, ended, or stopped giving frames."""

    exit_code = 4


class ImageError(SourceError):
    """One picture that cannot be read: missing, truncated, or no image at all."""


class BackendError(CarcloudError):
    """The inference backend is not installed or refuses the network."""

    exit_code = 5


class ServerError(CarcloudError):
    """The server cannot start (port in use, non-loopback bind without a token), be reached, or be talked to."""

    exit_code = 6


class WireError(CarcloudError):
    """Bytes that are no carcloud frame, or of a version this side does not read."""

    exit_code = 7


class DataError(CarcloudError):
    """Training data (meshes, shards, checkpoints) that is missing or damaged."""

    exit_code = 8


class NoCarError(CarcloudError):
    """A picture in which nothing is taken for a car, or fewer cars than the one that was asked for."""

    exit_code = 9


class EngineError(CarcloudError):
    """A TensorRT engine that is not there, does not fit, or cannot be built."""

    exit_code = 10


class LogError(CarcloudError):
    """A recording that cannot be written on (the disk is full), opened, or read."""

    exit_code = 11


class MeshError(CarcloudError):
    """A cloud that gives no closed surface, or Open3D, which makes them, is missing."""

    exit_code = 12


class WindowError(CarcloudError):
    """A window that cannot be opened, for want of Open3D or of a screen, or its picture not saved."""

    exit_code = 13
