"""From records of single clouds to the tables: mean over views, then bodies; worst decile; classes; saloons apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.benchmark.protocol import Record

#: Figures where less is worse; of all others, more is worse.
MORE_IS_BETTER = ("f1", "f2", "f5", "rank")
WORST_PART = 0.1
#: Figures of which the median over all views is given too: a few cars taken back to front would hide the rest.
MEDIANS = ("pose.direction_deg", "pose.azimuth_deg", "length.error")
#: Figures of which a worst decile says nothing: sizes, and what is either right or wrong in one view.
NO_DECILE = ("points", "pose.flipped", "length.covered", "class.right", "confidence.promised", "confidence.kept")
#: Histograms, which are kept as one mean a row: of every view, body and class they would be most of the file.
HISTOGRAMS = ("confidence.decile_", "confidence.bin_")


@dataclass
class Row:
    """One line of the tables: a network under one condition, or a control.

    kind: network, clouds (of another program), control, oracle (chose or fitted something with the ground truth) or
    floor. condition: "plain", "clutter", "occluded", or "any" for what does not look at a picture.
    records: per body, one record a view (or a single one if condition is "any"). notes: per body, what was chosen.
    """

    name: str
    kind: str
    condition: str
    records: dict[str, list[Record]]
    notes: dict[str, str] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)


def mean_records(records: Iterable[Record]) -> Record:
    """Mean of each figure over the records that have it."""
    records = list(records)
    keys = dict.fromkeys(key for record in records for key in record)
    return {key: float(np.mean([r[key] for r in records if key in r])) for key in keys}


def worst_decile(records: Iterable[Record]) -> Record:
    """Mean of each figure over its own worst tenth of the records, at least one."""
    records = list(records)
    out: Record = {}
    for key in dict.fromkeys(key for record in records for key in record):
        if key in NO_DECILE:
            continue
        values = np.sort([r[key] for r in records if key in r])
        count = int(np.ceil(WORST_PART * len(values)))
        worst = values[:count] if key.rsplit(".", 1)[-1] in MORE_IS_BETTER else values[-count:]
        out[key] = float(worst.mean())
    return out


def medians(records: Iterable[Record]) -> Record:
    """Median over the records of the figures in MEDIANS that any of them has."""
    records = list(records)
    held = {key: [r[key] for r in records if key in r] for key in MEDIANS}
    return {key: float(np.median(values)) for key, values in held.items() if values}


def summarise(row: Row, classes: Mapping[str, str], saloons: frozenset[str]) -> dict[str, Any]:
    """The row as it stands in results.json: figures only, no times.

    classes: body name to class. saloons: the classes that count as three-box saloons.
    """
    records = {name: [of_one_view(r) for r in body] for name, body in row.records.items()}
    histograms = [mean_records(map(histograms_of, body)) for body in row.records.values()]
    bodies = {name: mean_records(body) for name, body in records.items()}
    members: dict[str, list[Record]] = {}
    groups: dict[str, list[Record]] = {}
    for name, record in bodies.items():
        members.setdefault(classes[name], []).append(record)
        groups.setdefault("saloons" if classes[name] in saloons else "others", []).append(record)
    return {
        "name": row.name,
        "kind": row.kind,
        "condition": row.condition,
        "mean": nested(mean_records(bodies.values())),
        "histograms": nested(mean_records(histograms)),
        "median": nested(medians(r for body in records.values() for r in body)),
        "worst_decile": nested(worst_decile(r for body in records.values() for r in body)),
        "groups": {name: nested(mean_records(groups[name])) for name in sorted(groups, reverse=True)},
        "classes": {name: nested(mean_records(members[name])) for name in sorted(members)},
        "bodies": {name: nested(record) for name, record in bodies.items()},
        "notes": row.notes,
        "cost": row.cost,
        "pairs": {name: [nested(r) for r in body] for name, body in records.items()},
    }


def of_one_view(record: Record) -> Record:
    """The figures of a record that are kept for every view: what is the same on every run, but no histograms."""
    return {key: value for key, value in record.items() if not key.startswith(("ms.", *HISTOGRAMS))}


def histograms_of(record: Record) -> Record:
    """The histograms of a record."""
    return {key: value for key, value in record.items() if key.startswith(HISTOGRAMS)}


def times_of(row: Row) -> dict[str, float]:
    """Mean milliseconds a stage over all pictures, rounded; empty for what was not timed."""
    mean = mean_records(r for body in row.records.values() for r in body)
    return {key[3:]: round(value, 3) for key, value in mean.items() if key.startswith("ms.")}


def nested(record: Record, digits: int = 4) -> dict[str, Any]:
    """{"whole.f1": 1.0, "emd": 2.0} to {"whole": {"f1": 1.0}, "emd": 2.0}, rounded."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        *path, last = key.split(".")
        place = out
        for part in path:
            place = place.setdefault(part, {})
        place[last] = round(value, digits)
    return out
