"""The bytes of an engine, and the sentences with which TensorRT refuses those of another version or device."""

import json
import struct
from typing import Any, Dict, List, NamedTuple, Tuple

from fakegpu import knobs
from fakegpu.generations import Generation

MAGIC = b"FAKETRT"
#: After the magic: lengths of the header and of the ONNX file.
LENGTHS = struct.Struct("<IQ")


class Plan(NamedTuple):
    """header: version, serial, compute capability, precision, layers. model: the ONNX file."""

    header: Dict[str, Any]
    model: bytes

    def to_bytes(self) -> bytes:
        header = json.dumps(self.header, sort_keys=True).encode()
        return MAGIC + LENGTHS.pack(len(header), len(self.model)) + header + self.model


class Refused(Exception):
    """``args``: (code, kind, sentence) of each line of the log."""


def read_plan(data: bytes, generation: Generation) -> Plan:
    """Raises Refused: other magic, format, version or device, or cut short."""
    if not data:
        raise Refused((3, "API Usage Error", "Parameter check failed, condition: blob != nullptr && size > 0"))
    start = len(MAGIC) + LENGTHS.size
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise Refused(_serialization("magicTagRead == kMAGIC_TAG", "Magic tag does not match"))
    header_size, model_size = LENGTHS.unpack(data[len(MAGIC) : start])
    if start + header_size + model_size != len(data):
        raise Refused(
            _serialization(
                "sizeRead == static_cast<uint64_t>(mEnd - mCurrent)",
                "Size specified in header does not match archive size",
            )
        )
    plan = Plan(json.loads(data[start : start + header_size].decode()), data[start + header_size :])
    _check_version(plan.header, generation)
    device, built = "%d.%d" % knobs.compute_capability(), plan.header["compute_capability"]
    if built != device:
        sentence = "The engine plan file is generated on an incompatible device, expecting compute %s got compute %s"
        raise Refused((6, "API Usage Error", sentence % (device, built) + ", please rebuild."))
    return plan


def _check_version(header: Dict[str, Any], generation: Generation) -> None:
    if header["serial"] != generation.serial:
        ours = "kSERIALIZATION_VERSION" if generation.at_least("10.3") else "serializationVersion"
        sentence = "Version tag does not match. Note: Current Version: %d, Serialized Engine Version: %d"
        numbers = (generation.serial, header["serial"])
        raise Refused(_serialization("stdVersionRead == " + ours, sentence % numbers))
    ours, theirs = (".".join(v.split(".")[:3]) for v in (generation.version, header["version"]))
    if ours != theirs:
        sentence = "The engine plan file is not compatible with this version of TensorRT, expecting library version %s"
        raise Refused((6, "API Usage Error", (sentence + " got %s, please rebuild.") % (ours, theirs)))


def _serialization(condition: str, sentence: str) -> Tuple[int, str, str]:
    return 1, "Serialization", "Serialization assertion %s failed.%s" % (condition, sentence)


def error_line(generation: Generation, function: str, code: int, kind: str, sentence: str) -> str:
    """One error as a generation logs it: with a file and line up to 8.6, with the method's name afterwards."""
    if generation.at_least("10.3"):
        method = {"deserializeCudaEngine": "IRuntime", "buildSerializedNetwork": "IBuilder"}.get(function)
        return "%s::%s: Error Code %d: %s (%s)" % (method or "IExecutionContext", function, code, kind, sentence)
    if code == 6:
        return "6: %s" % sentence
    place = {
        "deserializeCudaEngine": "runtime.cpp::deserializeCudaEngine::50",
        "buildSerializedNetwork": "builder.cpp::buildSerializedNetwork::636",
        "executeV2": "genericReformat.cu::executeMemcpy::1334",
        "enqueueV2": "genericReformat.cu::executeMemcpy::1334",
        "enqueueV3": "genericReformat.cu::executeMemcpy::1334",
    }[function]
    if kind == "Serialization":
        place = "stdArchiveReader.cpp::StdArchiveReader::%d" % (32 if "Magic" in sentence else 40)
    elif code == 10:
        place = "optimizer.cpp::computeCosts::2011"
    elif code == 4 and function == "buildSerializedNetwork":
        place = "network.cpp::validate::2770"
    return "%d: [%s] Error Code %d: %s (%s)" % (code, place, code, kind, sentence)


def refusal_lines(generation: Generation, refused: Refused) -> List[str]:
    lines = [error_line(generation, "deserializeCudaEngine", *line) for line in refused.args]
    if not generation.at_least("10.3"):
        lines.append(
            error_line(generation, "deserializeCudaEngine", 4, "Internal Error", "Engine deserialization failed.")
        )
    return lines
