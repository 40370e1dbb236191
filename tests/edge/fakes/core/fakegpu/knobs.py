"""Reads the environment variables that are listed in this package's docstring."""

import os
from typing import Dict, Tuple

#: What each variable may hold, so that a typing error in a test is one.
BUILDS = ("ok", "slow", "killed", "oom", "crash", "refuse")
PRECISIONS = ("fp32", "fp16", "int8")


def gpu_name() -> str:
    return os.environ.get("FAKE_GPU", "Orin (nvgpu)")


def compute_capability() -> Tuple[int, int]:
    major, minor = os.environ.get("FAKE_CC", "8.7").split(".")
    return int(major), int(minor)


def memory_bytes() -> int:
    return int(os.environ.get("FAKE_GPU_MIB", "7620")) << 20


def integrated() -> bool:
    return _flag("FAKE_INTEGRATED", True)


def no_gpu() -> bool:
    return _flag("FAKE_NO_GPU", False)


def fast_fp16() -> bool:
    """Maxwell of the Nano (5.3) has it, the GeForces of Pascal (6.1) have it not."""
    return _flag("FAKE_FAST_FP16", compute_capability() >= (5, 3) and compute_capability() != (6, 1))


def fast_int8() -> bool:
    """Neither the Nano (5.3) nor the TX2 (6.2) has it."""
    return _flag("FAKE_FAST_INT8", compute_capability() >= (6, 1) and compute_capability() != (6, 2))


def build() -> Dict[str, str]:
    """What FAKE_BUILD asks for: "slow=2,killed" is {"slow": "2", "killed": ""}."""
    wanted = _pairs("FAKE_BUILD", "ok")
    unknown = set(wanted) - set(BUILDS)
    if unknown:
        raise ValueError("FAKE_BUILD has %s; it knows %s" % (", ".join(sorted(unknown)), ", ".join(BUILDS)))
    return wanted


def noise(precision: str) -> float:
    wanted = _pairs("FAKE_NOISE", "")
    unknown = set(wanted) - set(PRECISIONS)
    if unknown:
        raise ValueError("FAKE_NOISE has %s; it knows %s" % (", ".join(sorted(unknown)), ", ".join(PRECISIONS)))
    return float(wanted.get(precision, "0"))


def run_fails() -> bool:
    wanted = os.environ.get("FAKE_RUN", "ok")
    if wanted not in ("ok", "fail"):
        raise ValueError("FAKE_RUN is %r; it knows ok and fail" % wanted)
    return wanted == "fail"


def _flag(name: str, default: bool) -> bool:
    text = os.environ.get(name, "1" if default else "0")
    if text not in ("0", "1"):
        raise ValueError("%s is %r; it knows 0 and 1" % (name, text))
    return text == "1"


def _pairs(name: str, default: str) -> Dict[str, str]:
    pairs = (part.partition("=") for part in os.environ.get(name, default).split(",") if part)
    return {key: value for key, _, value in pairs}
