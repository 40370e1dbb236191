"""The first network against the controls and against Lin 2018, and which goals of the project it reaches: computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from training.benchmark.tables import DASH, MAIN, TITLES, Results, Table, label

#: The network that all others are compared with; it was trained on the same data.
REFERENCE = "lin2018"
#: Controls that have to be beaten. The others are variants of them, or the noise floor, which nothing can beat.
CONTROLS = ("mean", "median-maps", "medoid", "cluster", "retrieval", "oracle", "oracle-box")
#: Conditions that the goals are about, besides what they say of "occluded".
CONDITIONS = ("plain", "clutter")
#: The figures that are compared, and whether more is better.
COMPARED = (("pred_to_gt", "pred->GT", False), ("gt_to_pred", "GT->pred", False), ("f1", "F@1", True))
BEATEN = (*COMPARED, ("f2", "F@2", True))
GOALS = (
    "Of the first network, computed from this run; a dash: not measured in it. Better than a control means lower in "
    "both distances and higher in F@1 and F@2; ratios are the network's figure divided by the other's."
)
COMPARISON = "The first network's figures divided by those of each row: distances below 1, F-scores above 1 are better."


class Goal(NamedTuple):
    """name: of what. figure, goal: in words. reached: None if the figure is not there."""

    name: str
    figure: str
    goal: str
    reached: bool | None


def first_network(rows: Sequence[Results]) -> str | None:
    """Name of the network that the comparison is about."""
    return next((row["name"] for row in rows if row["kind"] == "network"), None)


def row_of(rows: Sequence[Results], kinds: tuple[str, ...], name: str, condition: str) -> Results | None:
    """The row of that name under a condition; controls that see no picture stand for all conditions."""
    return next(
        (r for r in rows if r["kind"] in kinds and r["name"] == name and r["condition"] in (condition, "any")), None
    )


def figure_of(record: Results | None, path: str) -> float | None:
    """One figure of a nested record, or None."""
    value: object = record
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, (int, float)) else None


def ratio(row: Results | None, other: Results | None, figure: str) -> float | None:
    """Mean figure of ``row`` as a part of that of ``other``, at the main table's size; infinite if that is 0."""
    own, its = (figure_of(r and r["mean"], f"{MAIN}.{figure}") for r in (row, other))
    if own is None or its is None:
        return None
    return own / its if its else float("inf") if own else 1.0


def rivals(rows: Sequence[Results], condition: str) -> list[Results]:
    """Lin 2018 and the controls that stand beside a condition, unless the first network is that very one."""
    own = first_network(rows)
    found = [row_of(rows, ("network",), REFERENCE, condition)] if own != REFERENCE else []
    found += [row_of(rows, ("control", "oracle"), name, condition) for name in CONTROLS]
    return [row for row in found if row is not None]


def comparison_table(rows: Sequence[Results]) -> Table | None:
    """Ratios of the first network's figures to those of each rival, a line a condition; None without a network."""
    name = first_network(rows)
    lines: list[list[str]] = []
    if name is None:
        return None
    for condition in dict.fromkeys(row["condition"] for row in rows if row["condition"] != "any"):
        own = row_of(rows, ("network",), name, condition)
        for rival in rivals(rows, condition):
            ratios = [ratio(own, rival, key) for key, _, _ in BEATEN]
            lines.append([f"{label(rival)}, {condition}", *(DASH if r is None else f"{r:.2f}" for r in ratios)])
    return Table([f"network {name} as a part of", *(title for _, title, _ in BEATEN)], lines) if lines else None


def goals(results: Results, timings: Results) -> list[Goal]:
    """Every goal of the project's issue on networks, for the first network; empty without one."""
    rows = results["rows"]
    name = first_network(rows)
    if name is None:
        return []
    own = {c: row_of(rows, ("network",), name, c) for c in (*CONDITIONS, "occluded")}
    found: list[Goal] = []
    for condition in CONDITIONS:
        found += against_reference(rows, own[condition], condition) if name != REFERENCE else []
        found += against_controls(rows, own[condition], condition)
    found += absolute(own["plain"])
    found += [worse(name, own[name], own["plain"], bound) for name, bound in (("clutter", 15.0), ("occluded", 30.0))]
    for condition in CONDITIONS:
        found += beyond_shape(own[condition], condition)
    return found + costs(own["plain"] or own["clutter"], timings.get("networks", {}).get(name, {}))


def limit(name: str, value: float | None, bound: float, most: bool, unit: str = "", digits: int = 2) -> Goal:
    """A goal that a figure stays at or below (``most``), or reaches or exceeds, a bound."""
    words = f"{'at most' if most else 'at least'} {bound:g}{unit}"
    if value is None:
        return Goal(name, DASH, words, None)
    # As it is printed, so that no reader sees "6.0, at most 6: no".
    shown = round(value, digits)
    return Goal(name, f"{shown:.{digits}f}{unit}", words, shown <= bound if most else shown >= bound)


def against_reference(rows: Sequence[Results], own: Results | None, condition: str) -> list[Goal]:
    """Distances at least 30 % lower, F@1 at least 1.5 times."""
    other = row_of(rows, ("network",), REFERENCE, condition)
    bounds = {"pred_to_gt": 0.7, "gt_to_pred": 0.7, "f1": 1.5}
    return [
        limit(f"{title} against {REFERENCE}, {condition}", ratio(own, other, key), bounds[key], not more, " times")
        for key, title, more in COMPARED
    ]


def against_controls(rows: Sequence[Results], own: Results | None, condition: str) -> list[Goal]:
    """Better than each control in both distances, F@1 and F@2; one line a control."""
    found = []
    for name in CONTROLS:
        other = row_of(rows, ("control", "oracle"), name, condition)
        words = f"against {TITLES[name]}, {condition}"
        ratios = [(part, title, more) for key, title, more in BEATEN if (part := ratio(own, other, key)) is not None]
        if len(ratios) < len(BEATEN):
            found.append(Goal(words, DASH, "all four better", None))
            continue
        figure = ", ".join(f"{title} x{part:.2f}" for part, title, _ in ratios)
        won = all(part > 1 if more else part < 1 for part, _, more in ratios)
        found.append(Goal(words, figure, "all four better", won))
    return found


def absolute(own: Results | None) -> list[Goal]:
    """Figures on 8,192 points, plain."""
    record = own["mean"] if own else None
    bounds = (
        ("pred_to_gt", "pred->GT", 0.8, True, 2), ("gt_to_pred", "GT->pred", 1.2, True, 2),
        ("f1", "F@1", 60.0, False, 1), ("f2", "F@2", 92.0, False, 1), ("f5", "F@5", 99.5, False, 1),
    )  # fmt: skip
    return [
        limit(f"{title}, plain", figure_of(record, f"{MAIN}.{key}"), bound, most, "", digits)
        for key, title, bound, most, digits in bounds
    ]


def worse(name: str, own: Results | None, plain: Results | None, bound: float) -> Goal:
    """How much worse a condition may be than plain: the worst of both distances and F@1, percent."""
    lost = []
    for key, _, more in COMPARED:
        part = ratio(own, plain, key)
        lost += [] if part is None else [100.0 * ((1 - part) if more else (part - 1))]
    value = max(lost) if len(lost) == len(COMPARED) else None
    return limit(f"{name}, worst of both distances and F@1, worse than plain by", value, bound, True, " %", 1)


def beyond_shape(own: Results | None, condition: str) -> list[Goal]:
    """Camera and length."""
    median, mean = (own["median"], own["mean"]) if own else (None, None)
    return [
        limit(
            f"viewing direction, median error, {condition}", figure_of(median, "pose.direction_deg"), 6.0, True, "°", 1
        ),
        limit(f"front/back confusion, {condition}", figure_of(mean, "pose.flipped"), 2.0, True, " %", 1),
        limit(f"length, median error, {condition}", figure_of(median, "length.error"), 5.0, True, " %", 1),
    ]


def costs(own: Results | None, measured: Results) -> list[Goal]:
    """What the network costs."""
    cost = own["cost"] if own else None
    return [
        limit("operations", figure_of(cost, "gflop"), 4.0, True, " GFLOP"),
        limit("Jetson Nano, network, estimated", figure_of(cost, "nano_ms"), 15.0, True, " ms", 1),
        limit("points", figure_of(own["mean"], "points") if own else None, 16_000, False, "", 0),
        limit("network, two threads of this machine", figure_of(measured, "ms_two_threads"), 40.0, True, " ms", 1),
        limit("size in FP16", figure_of(cost, "megabytes_fp16"), 25.0, True, " MB", 1),
    ]


def goals_table(results: Results, timings: Results) -> Table | None:
    """The goals as a table; None without a network."""
    told = {True: "yes", False: "no", None: DASH}
    lines = [[goal.name, goal.figure, goal.goal, told[goal.reached]] for goal in goals(results, timings)]
    name = first_network(results["rows"])
    return Table([f"goal for network {name}", "figure", "goal", "reached"], lines, words=True) if lines else None


def sections(results: Results, timings: Results) -> list[tuple[str, str, list[Table]]]:
    """Goals and comparison: heading, explanation, tables."""
    found = (
        ("Goals", GOALS, goals_table(results, timings)),
        ("Against Lin 2018 and the controls", COMPARISON, comparison_table(results["rows"])),
    )
    return [(heading, text, [table]) for heading, text, table in found if table]
