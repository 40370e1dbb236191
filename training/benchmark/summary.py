"""From records of single clouds to the tables: mean over views, then over bodies; worst decile; saloons apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.benchmark.protocol import Record

#: Figures where less is worse; of all others, more is worse.
MORE_IS_BETTER = ("f1", "f2", "f5")
WORST_PART = 0.1


@dataclass
class Row:
    """One line of the tables: a network under one condition, or a control.

    kind: network, control, oracle (chose or fitted something with the ground truth) or floor.
    condition: "plain", "clutter", or "any" for what does not look at a picture.
    records: per body, one record a view (controls: one record). notes: per body, what was chosen.
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
        if key == "points" or key.startswith("ms."):
            continue
        values = np.sort([r[key] for r in records if key in r])
        count = int(np.ceil(WORST_PART * len(values)))
        worst = values[:count] if key.rsplit(".", 1)[-1] in MORE_IS_BETTER else values[-count:]
        out[key] = float(worst.mean())
    return out


def summarise(row: Row, saloons: Mapping[str, bool]) -> dict[str, Any]:
    """The row as it stands in results.json. saloons: body name to whether it is one."""
    bodies = {name: mean_records(records) for name, records in row.records.items()}
    groups = {
        "saloons": [bodies[n] for n in bodies if saloons[n]],
        "others": [bodies[n] for n in bodies if not saloons[n]],
    }
    return {
        "name": row.name,
        "kind": row.kind,
        "condition": row.condition,
        "mean": nested(mean_records(bodies.values())),
        "worst_decile": nested(worst_decile(r for records in row.records.values() for r in records)),
        "groups": {name: nested(mean_records(group)) for name, group in groups.items() if group},
        "bodies": {name: nested(record) for name, record in bodies.items()},
        "notes": row.notes,
        "cost": row.cost,
        "pairs": {name: [nested(r) for r in records] for name, records in row.records.items()},
    }


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
