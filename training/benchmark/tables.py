"""The tables of a run, as rows of text: Markdown and HTML are made of the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from training.benchmark.attributes import DECILES, FLIPPED, LAPLACE

TITLES = {
    "mean": "mean training car",
    "median-maps": "median of the fixed-view maps",
    "medoid": "best single training body (medoid)",
    "cluster": "nearest of 8 cluster means (oracle)",
    "retrieval": "retrieval by image features",
    "oracle": "nearest training body (oracle)",
    "oracle-box": "nearest training body after fitting length, width, height (oracle)",
    "noise": "ground truth sampled twice (noise floor)",
}
FIGURES = (
    ("pred_to_gt", "pred->GT", 2),
    ("gt_to_pred", "GT->pred", 2),
    ("f1", "F@1", 1),
    ("f2", "F@2", 1),
    ("f5", "F@5", 1),
)
LABELS = {"whole": "whole cloud", "8192": "8,192 points", "2048": "2,048 points"}
#: Size of the main table: dense enough for F@1, and what the shape-space study used.
MAIN = "8192"
DASH = "–"
POSE = (
    "Angle between the predicted and the true direction from the car's centre to the camera. Confused: azimuth wrong "
    f"by more than {FLIPPED:g} degrees. Length: percent of the true one; an honest expected error (Laplace) covers "
    f"{LAPLACE:.1f} % of the errors. Class: of bodies whose class the network knows."
)
CONFIDENCE = (
    "Confidence is the probability that a point lies within 2 % of a car length of the true surface (a network of maps "
    "gives its mask's probability instead). Rank correlation (Spearman) of expected and true distance, per view. "
    "Promised: mean confidence; kept: share of points within 2 %; calibration error: their mean difference, by tenths "
    "of confidence. Right: mean true distance x 100 of each tenth of the points, ordered by confidence."
)
COST = (
    "FP16: two bytes for every floating-point constant of the graph. Nano: estimated from operations and bytes, not "
    "measured on hardware. Peak memory: what the process grew by from opening the network to its first clouds."
)

Results = dict[str, Any]
Pick = Callable[[Results], Results]


class Table(NamedTuple):
    """Cells of text; the first column is words, the others are numbers unless ``words`` is set."""

    header: list[str]
    lines: list[list[str]]
    words: bool = False


def label(row: Results) -> str:
    """What a row is called, whatever the condition; a network named like a control is told apart from it."""
    named = {"network": f"network {row['name']}", "clouds": f"clouds {row['name']}"}
    return named.get(row["kind"]) or TITLES[row["name"]]


def title(row: Results) -> str:
    """What a row is called in the tables."""
    return label(row) if row["condition"] == "any" else f"{label(row)}, {row['condition']}"


def number(record: Results, path: str, digits: int) -> str:
    """One figure of a nested record as text, or a dash where it was not computed."""
    value: Any = record
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return DASH
        value = value[key]
    return f"{value:.{digits}f}"


def figure_table(rows: Sequence[Results], size: str, pick: Pick = lambda row: row["mean"]) -> Table:
    """The five nearest-neighbour figures of all rows at one cloud size."""
    lines = [[title(r), *(number(pick(r), f"{size}.{key}", digits) for key, _, digits in FIGURES)] for r in rows]
    return Table(["row", *(name for _, name, _ in FIGURES)], lines)


def main_table(rows: Sequence[Results]) -> Table:
    """The headline: figures on 8,192 points, CD-L2, EMD and the worst decile."""
    lines = []
    for row in rows:
        mean, worst = row["mean"], row["worst_decile"]
        cells = [number(mean, f"{MAIN}.{key}", digits) for key, _, digits in FIGURES]
        cells += [number(mean, "cd_l2", 2), number(mean, "emd", 2)]
        cells += [number(worst, f"{MAIN}.{key}", 1) for key in ("f1", "f2")]
        lines.append([title(row), *cells, number(mean, "points", 0)])
    names = [name for _, name, _ in FIGURES]
    return Table(["row", *names, "CD-L2", "EMD", "worst decile F@1", "worst decile F@2", "points"], lines)


def worst_table(rows: Sequence[Results]) -> Table:
    """Worst decile of every figure."""
    near = figure_table(rows, MAIN, lambda row: row["worst_decile"])
    lines = [
        [*line, number(row["worst_decile"], "cd_l2", 2), number(row["worst_decile"], "emd", 2)]
        for line, row in zip(near.lines, rows, strict=True)
    ]
    return Table([*near.header, "CD-L2", "EMD"], lines)


def group_table(rows: Sequence[Results]) -> Table:
    """F@1 and F@2 of saloons and of the rest."""
    lines = []
    for row in rows:
        groups = row["groups"]
        lines.append(
            [title(row)]
            + [number(groups.get(g, {}), f"{MAIN}.{key}", 1) for g in ("saloons", "others") for key in ("f1", "f2")]
        )
    return Table(["row", "saloons F@1", "saloons F@2", "others F@1", "others F@2"], lines)


def class_table(rows: Sequence[Results], bodies: Sequence[Results], figure: str) -> Table:
    """One figure per class of body and row."""
    counts: dict[str, int] = {}
    for body in bodies:
        counts[body["body_class"]] = counts.get(body["body_class"], 0) + 1
    names = sorted(counts)
    lines = [[title(r), *(number(r["classes"].get(n, {}), f"{MAIN}.{figure}", 1) for n in names)] for r in rows]
    return Table(["row", *(f"{name} ({counts[name]})" for name in names)], lines)


def body_table(rows: Sequence[Results], bodies: Sequence[Results], figure: str) -> Table:
    """One figure per body and row."""
    lines = [[title(row), *(number(row["bodies"][b["name"]], f"{MAIN}.{figure}", 1) for b in bodies)] for row in rows]
    return Table(["row", *(f"{b['name']} ({b['body_class']})" for b in bodies)], lines)


def notes_table(rows: Sequence[Results], bodies: Sequence[Results]) -> Table | None:
    """What each control chose for each body; None if there is nothing to tell."""
    told = [row for row in rows if row["notes"]]
    lines = [[b["name"], *(row["notes"].get(b["name"], DASH) for row in told)] for b in bodies]
    return Table(["body", *(title(row) for row in told)], lines, words=True) if told else None


def pose_table(rows: Sequence[Results]) -> Table | None:
    """Camera, length and class of the rows that tell any of them; None if none does."""
    told = [row for row in rows if row["mean"].keys() & {"pose", "length", "class"}]
    lines = []
    for row in told:
        median, mean = row["median"], row["mean"]
        cells = [number(median, "pose.direction_deg", 1), number(mean, "pose.direction_deg", 1)]
        cells += [number(median, "pose.azimuth_deg", 1), number(mean, "pose.flipped", 1)]
        cells += [number(median, "length.error", 1), number(mean, "length.error", 1)]
        cells += [number(mean, "length.covered", 1), number(mean, "class.right", 1)]
        lines.append([title(row), *cells])
    header = ["row", "direction, median °", "mean °", "azimuth, median °", "front/back confused, %"]
    header += ["length error, median %", "mean %", "within the expected error, %", "class right, %"]
    return Table(header, lines) if lines else None


def confidence_table(rows: Sequence[Results]) -> Table | None:
    """How well confidence sorts points, and whether it means what it says; None if no row has it."""
    told = [row for row in rows if "confidence" in row["mean"]]
    lines = []
    for row in told:
        mean, histograms = row["mean"], row["histograms"]
        cells = [number(mean, "confidence.rank", 2), number(mean, "confidence.promised", 1)]
        cells += [number(mean, "confidence.kept", 1), f"{calibration_error(histograms['confidence']):.1f}"]
        cells += [number(histograms, f"confidence.decile_{place}", 2) for place in range(1, DECILES + 1)]
        lines.append([title(row), *cells])
    header = ["row", "rank correlation", "promised, %", "kept, %", "calibration error, %"]
    header += [{1: "least sure tenth", DECILES: "surest tenth"}.get(i, str(i)) for i in range(1, DECILES + 1)]
    return Table(header, lines) if lines else None


def calibration_error(confidence: Results) -> float:
    """Mean difference of promised and kept probability over the bins, by their points, percent (Guo et al., 2017)."""
    bins = [value for key, value in confidence.items() if key.startswith("bin_")]
    return float(sum(abs(held["promised"] - held["kept"]) for held in bins))


def nano(cost: Results) -> str:
    """Estimated milliseconds of a Jetson Nano with the estimator's range."""
    text = number(cost, "nano_ms", 1)
    return text if DASH in text else f"{text} ({number(cost, 'nano_low', 1)}–{number(cost, 'nano_high', 1)})"


def cost_table(rows: Sequence[Results], timings: Results) -> Table | None:
    """What the networks cost; None if none was scored."""
    times = {(t["name"], t["condition"]): t["ms"] for t in timings["rows"]}
    lines = []
    for row in rows:
        if row["kind"] == "network":
            cost, ms = row["cost"], times.get((row["name"], row["condition"]), {})
            measured = timings.get("networks", {}).get(row["name"], {})
            cells = [number(cost, "gflop", 2), number(cost, "parameters_m", 2)]
            cells += [number(cost, "megabytes_fp16", 1), number(cost, "megabytes", 1), nano(cost)]
            cells += [number(ms, stage, 1) for stage in ("crop", "network", "fusion", "colour")]
            cells += [number(measured, "ms_two_threads", 1), number(measured, "peak_megabytes", 0)]
            lines.append([title(row), *cells, number(row["mean"], "points", 0)])
    header = ["row", "GFLOP", "parameters, M", "MB in FP16", "MB, file", "Nano ms, estimated"]
    header += ["crop ms", "network ms", "fusion ms", "colour ms", "network ms, 2 threads", "peak memory, MB", "points"]
    return Table(header, lines) if lines else None


def sections(results: Results, timings: Results) -> list[tuple[str, str, list[Table]]]:
    """Everything but the main table: heading, explanation, tables."""
    rows, bodies = results["rows"], results["bodies"]
    saloons = ", ".join(b["name"] for b in bodies if b["saloon"]) or "none"
    notes, cost = notes_table(rows, bodies), cost_table(rows, timings)
    pose, confidence = pose_table(rows), confidence_table(rows)
    found: list[tuple[str, str, list[Table]]] = [
        (
            "Saloons and the rest",
            f"Saloons: {saloons}. One ordinary saloon guessed for every car scores well on them and badly on the rest.",
            [group_table(rows)],
        ),
        ("F@1 by class", "In brackets: how many bodies.", [class_table(rows, bodies, "f1")]),
        ("F@2 by class", "", [class_table(rows, bodies, "f2")]),
        ("F@1 by body", "", [body_table(rows, bodies, "f1")]),
        ("F@2 by body", "", [body_table(rows, bodies, "f2")]),
        (
            "Worst decile",
            "Mean of each figure over its worst tenth of the (body, view) pairs.",
            [worst_table(rows)],
        ),
        ("On the whole cloud", "", [figure_table(rows, "whole")]),
        ("On 2,048 points", "", [figure_table(rows, "2048")]),
        (
            "Against all surfaces",
            "Whole cloud, ground truth with hidden surfaces: for comparison with other papers.",
            [figure_table(rows, "all")],
        ),
    ]
    if pose:
        found.append(("Camera, length and class", POSE, [pose]))
    if confidence:
        found.append(("Confidence of points", CONFIDENCE, [confidence]))
    if notes:
        found.append(("What the controls chose", chosen(results), [notes]))
    if cost:
        found.append(("Cost", f"Milliseconds a picture on {timings['device']}. {COST}", [cost]))
    return found


def chosen(results: Results) -> str:
    """How many neighbours vote in retrieval, and why."""
    found = results.get("retrieval")
    if not found:
        return ""
    tried = ", ".join(f"k = {k}: {f1:.1f}" for k, f1 in found["leave_one_body_out_f1"].items())
    return (
        f"Retrieval: k = {found['neighbours']}, chosen on training bodies, each left out in turn with its kin (mean "
        f"F@1 there, {tried}); gallery of {found['gallery_views']} pictures a body and condition "
        f"({', '.join(found['gallery_conditions'])}). The bodies it answered with are given by how many views did."
    )
