"""carcloud: everything that runs on the device. Python 3.6 and later, no torch."""

__version__ = "0.1.0"
