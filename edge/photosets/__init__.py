"""Folders of photos: an ordinary tree, BMW-10 or Stanford Cars as published. NumPy only; SciPy where a .mat is read."""

from edge.photosets.base import Box, Photo, PhotoSet, Published
from edge.photosets.opening import KINDS, open_photos

__all__ = ["KINDS", "Box", "Photo", "PhotoSet", "Published", "open_photos"]
