"""``python -m training follow``: a clip through the device's pipeline, in figures and in pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.bundle import load_bundle
from edge.errors import NoCarError, SettingsError
from edge.ply import atomic_file
from edge.runtime.memory import corresponds
from training.benchmark import metrics
from training.benchmark.sheet import save
from training.wild.journal import Journal
from training.wild.play import play
from training.wild.strip import draw_strip
from training.wild.turning import against_known, step_figures


class Plan(NamedTuple):
    """clip: video or folder. fps: None for its own. skipped: seconds at the start that do not count against a known
    ``step`` (degrees a frame). average: as the device does it. columns: of the strip. target: the car it shows."""

    clip: Path
    bundle: str
    out: Path
    fps: float | None = None
    step: float | None = None
    skipped: float = 1.0
    average: bool = True
    columns: int = 8
    threads: int = 0
    threshold: float | None = None
    target: metrics.Target | None = None


def follow(plan: Plan) -> dict[str, Any]:
    """Play the clip, write follow.json and strip.png, and return what stands in the former.

    Raises SourceError, ImageError, BundleError, SettingsError; NoCarError, after writing both, if no frame gave a car.
    """
    if not 1 <= plan.columns <= 48:
        raise SettingsError(f"--columns is {plan.columns}; give 1 to 48")
    if plan.skipped < 0:
        raise SettingsError(f"--seconds-skipped is {plan.skipped:g}; give 0 or more")
    if plan.step is not None and not 0 < abs(plan.step) < 180:
        raise SettingsError(f"--step {plan.step:g} is no turn from frame to frame; give degrees, for example 7.06")
    bundle = load_bundle(plan.bundle)
    same = corresponds(bundle)
    average = plan.average and same
    journal = Journal(same)
    fps = play(
        plan.clip, bundle, journal.add, plan.fps, plan.average, threads=plan.threads, threshold=plan.threshold
    )
    found = figures_of(journal, plan, fps, average)
    found = {"clip": plan.clip.name, "bundle": bundle.name, **found}
    save(draw_strip(journal.kept, plan.columns), plan.out / "strip.png")
    with atomic_file(str(plan.out / "follow.json")) as handle:
        handle.write((json.dumps(found, indent=1) + "\n").encode())
    if not found["clouds"]:
        frames, strip = found["frames"], plan.out / "strip.png"
        raise NoCarError(f"no car was found in any of {frames} frames of {plan.clip}; see {strip}")
    return found


def figures_of(journal: Journal, plan: Plan, fps: float, average: bool) -> dict[str, Any]:
    """All figures, ready for JSON."""
    from training.wild.truth import truth_figures

    lines = journal.lines
    posed = [line for line in lines if line.azimuth is not None]
    frames, azimuths = [line.frame for line in posed], [float(line.azimuth or 0.0) for line in posed]
    with_car = sum(line.number is not None for line in lines)
    found: dict[str, Any] = {
        "fps": fps, "frames": len(lines), "clouds": with_car,
        "states": {"car": with_car, "no car in view": len(lines) - with_car},
        "followed": journal.cars, "averaged": average,
        "directions": max((line.directions for line in lines), default=0),
        "azimuth_step": step_figures(frames, azimuths), "movement": journal.movement(average),
    }
    if plan.step is not None:
        found["known"] = against_known(frames, azimuths, plan.step, int(np.ceil(plan.skipped * fps)))
    if plan.target is not None and journal.last is not None:
        found["truth"] = truth_figures(journal.kept, journal.last.cloud.points, plan.target, average)
    found["per_frame"] = [
        {
            "frame": line.frame, "car": line.number, "box": line.box and [round(value, 1) for value in line.box],
            "azimuth": _round(line.azimuth), "elevation": _round(line.elevation),
            "certainty": _round(line.certainty, 3),
        }  # fmt: skip
        for line in lines
    ]
    return found


def words(found: dict[str, Any]) -> list[str]:
    """The figures for people, line by line."""
    lines = [
        f"{found['clip']}: {found['frames']} frames at {found['fps']:g} a second, {found['clouds']} with a car, "
        f"{found['states']['no car in view']} without; followed: "
        f"{', '.join(f'car {number}' for number in found['followed']) or 'none'}"
    ]
    step, known, moved, truth = (found.get(name) for name in ("azimuth_step", "known", "movement", "truth"))
    if step:
        text = "azimuth from frame to frame: median {median:.1f}, 95th {p95:.1f}, largest {largest:.1f}°"
        lines.append(text.format(**step))
    if known:
        one, way = known["step_error"], known["direction_error"]
        lines += [
            f"against {known['step']:g}° a frame, {known['frames']} frames from number {known['from_frame']} on:",
            f"  step off by {one['median']:.1f}° (95th {one['p95']:.1f})",
            f"  direction off by {way['median']:.1f}° (95th {way['p95']:.1f}, largest {way['largest']:.1f}); "
            f"{known['flips']} front/back flips",
        ]
    if moved:
        text = "points move {mean:.3f} % of the length a frame, {second_half:.3f} in the second half"
        lines.append("single clouds: " + text.format(**moved["single"]))
        if "averaged" in moved:
            lines.append("averaged ones: " + text.format(**moved["averaged"]))
            lines.append("ratio: {mean:.1f}, {second_half:.1f} in the second half".format(**moved["ratio"]))
    if truth:
        text = "F@1 {f1:.2f}, F@2 {f2:.2f}, F@5 {f5:.2f}, distances {pred_to_gt:.2f} and {gt_to_pred:.2f} %"
        lines.append(f"single clouds, mean of {truth['scored_frames']}: " + text.format(**truth["single"]))
        if "averaged" in truth:
            lines.append("last averaged cloud: " + text.format(**truth["averaged"]))
            lines.append(f"F@1 ratio {truth['f1_ratio']:.3f}")
    return lines


def _round(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
