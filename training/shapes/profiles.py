"""The curves of a body: side profile, plan, section and the bending of its ends, as functions of position."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from training.shapes.proportions import Proportions


def smooth_min(a: np.ndarray, b: np.ndarray, reach: float) -> np.ndarray:
    """Minimum with a parabolic fillet where a and b differ by less than ``reach`` (Quilez' polynomial minimum)."""
    blend = np.maximum(reach - np.abs(a - b), 0.0) / reach
    return np.minimum(a, b) - blend * blend * (reach / 4)


def smooth_step(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, a cubic between."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3 - 2 * t)


class Profiles:
    """Curves of one car. x: forward, middle of the length at 0; y: half-widths, >= 0; z: above the ground. Metres.

    nose, tail: x of the ends. front_axle, rear_axle: x. cowl: x of the windscreen's foot in the middle.
    boxy: whether the tail is cut off by the rear screen (no deck).
    """

    def __init__(self, proportions: Proportions) -> None:
        p = self.p = proportions
        self.nose, self.tail = p.length / 2, -p.length / 2
        overhangs = p.length * (1 - p.wheelbase)
        self.front_axle = self.nose - overhangs * p.front_share
        self.rear_axle = self.front_axle - p.length * p.wheelbase
        self.cowl = self.front_axle - p.dash
        self.boxy = p.deck <= 0
        self.z_cowl, self.z_tail = p.cowl_height * p.height, p.tail_height * p.height
        self.arch = p.tyre + p.arch_gap
        self._screen, self._rear = np.tan(np.radians(p.screen_rake)), np.tan(np.radians(p.rear_rake))
        self.rear_foot = self.tail + p.deck
        header = self.cowl - (p.height - self.z_cowl) / self._screen
        footer = self.tail if self.boxy else self.rear_foot + (p.height - self.z_tail) / self._rear
        # A long sloping rear screen on a short car leaves no roof: the roof is at least so long.
        roof = 0.5 if p.height < 1.36 else 0.8
        self._rear *= max(1.0, (footer - self.rear_foot) / max(header - roof - self.rear_foot, 0.05))
        if not self.boxy:
            footer = self.rear_foot + (p.height - self.z_tail) / self._rear
        self.header, self.footer = header, footer
        self.rear_slope = self._rear
        self.bumper = 0.7 * p.clearance + 0.3
        self.nose_height, self._deck = p.nose_height, self._deck_curve(p.nose_height)
        # The wing must clear the front wheel arch: a low nose over large wheels is raised.
        lacking = float(p.tyre + self.arch + 0.1 - self.belt(np.array(self.front_axle)))
        if lacking > 0:
            self.nose_height = p.nose_height + 1.3 * lacking
            self._deck = self._deck_curve(self.nose_height)
        self._nose_bend, self._tail_bend = self._bends()
        lean = float(self._tail_bend(p.height))
        self._rim_x = np.linspace(self.tail, self.nose, 500)
        self._rim_z = self.solve_rim(self._rim_x)
        self.tail_reach = max(0.5, 2.2 * lean) if self.boxy else 0.45

    # Side view ---------------------------------------------------------------------------------------------------
    def _deck_curve(self, nose_height: float) -> PchipInterpolator:
        """Bonnet, (hidden) waist and boot lid in the middle of the car."""
        p = self.p
        bonnet = self.nose - self.cowl
        bulge = 0.16 * (self.z_cowl - nose_height)
        middle = self.z_cowl + 0.45 * (self.z_tail - self.z_cowl)
        knots = [
            (self.tail - 0.1, self.z_tail - 0.02 + p.lip * (not self.boxy)),
            (self.tail + 0.16, self.z_tail),
            (self.tail + 0.55 * max(p.deck, 0.6), self.z_tail + 0.008),
            ((self.cowl + self.tail) / 2, middle),
            (self.cowl - 0.2, self.z_cowl + 0.01),
            (self.cowl, self.z_cowl),
            (self.cowl + 0.5 * bonnet, (self.z_cowl + nose_height) / 2 + bulge),
            (self.nose, nose_height),
            (self.nose + 0.2, nose_height - 0.05),
        ]
        x, z = np.array(knots).T
        return PchipInterpolator(x, z)

    def deck(self, x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        """Upper surface of the lower body, crowned."""
        edge = self.belt_width(x)
        crown = self.p.bonnet_crown * (1 - 0.6 * smooth_step((self.cowl - x) / 0.6))
        ridge = 0.25 * crown * np.exp(-(((np.abs(y) - 0.52 * edge) / (0.09 * edge)) ** 2)) * self.p.era
        fade = smooth_step((x - self.cowl) / 0.3) * smooth_step((self.nose - x) / 0.4)
        return np.asarray(self._deck(x) - crown * (y / edge) ** 2 + ridge * fade)

    def belt(self, x: np.ndarray) -> np.ndarray:
        """Height of the shoulder line, the lower edge of the side windows."""
        return self.deck(x, self.belt_width(x))

    def roof(self, x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        """Roof surface, carried on beyond its ends."""
        p = self.p
        peak = self.header + 0.4 * (self.footer - self.header)
        reach = np.where(x > peak, self.header - peak, self.footer - peak)
        # A roof falls at most 0.1 m a metre on average, and goes on straight beyond its ends.
        fall = np.minimum(np.where(x > peak, p.roof_fall_front, p.roof_fall_rear), 0.1 * np.abs(reach))
        t = (x - peak) / reach
        fall = fall * np.where(t < 1, t * t, 2 * t - 1)
        if self.boxy and p.lip > 0.012:
            fall = fall - 0.6 * p.lip * smooth_step((self.tail + 0.3 - x) / 0.3)
        edge = 0.8 * self.belt_width(x)
        return p.height - fall - p.roof_crown * (np.abs(y) / edge) ** 2.4

    def windscreen(self, x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        """The windscreen's surface, carried on beyond its edges."""
        foot = self.cowl - self.p.screen_bow * (y / self.belt_width(x)) ** 2
        return self.z_cowl + (foot - x) * self._screen

    def rear_screen(self, x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        """The rear screen's surface of a car with a deck; far above all else otherwise."""
        if self.boxy:
            return np.full(np.broadcast(x, y).shape, 10.0)
        foot = self.rear_foot + self.p.rear_bow * (y / self.belt_width(x)) ** 2
        return self.z_tail + (x - foot) * self._rear

    def top(self, x: np.ndarray, y: np.ndarray | float = 0.0) -> np.ndarray:
        """Whole upper surface: the higher of deck and cabin, with a narrow fillet at the screens' feet."""
        cabin = smooth_min(self.windscreen(x, y), self.roof(x, y), self.p.fillet)
        cabin = smooth_min(cabin, self.rear_screen(x, y), self.p.fillet)
        return -smooth_min(-cabin, -self.deck(x, y), 0.02)

    def sill(self, x: np.ndarray) -> np.ndarray:
        """Lower edge of the body."""
        p = self.p
        front = smooth_step((x - self.front_axle - 0.2) / (self.nose - self.front_axle - 0.2))
        rear = smooth_step((self.rear_axle - 0.2 - x) / (self.rear_axle - 0.2 - self.tail))
        return p.clearance + p.approach * front + p.departure * rear

    # Plan and section --------------------------------------------------------------------------------------------
    def half_width(self, x: np.ndarray) -> np.ndarray:
        """Widest half-width at x, corners not yet rounded."""
        p = self.p
        front = np.clip((x - 0.05) / (self.nose - 0.05), 0, 1) ** 2.6
        rear = np.clip((-0.1 - x) / (-0.1 - self.tail), 0, 1) ** 2.6
        return p.width / 2 * (1 - p.nose_taper * front - p.tail_taper * rear)

    def belt_width(self, x: np.ndarray) -> np.ndarray:
        """Half-width of the shoulder line: foot of the side windows, edge of bonnet and boot lid."""
        # Narrower ledge at the ends, or the bonnet would end well inside the lamps.
        p = self.p
        return self.half_width(x) - p.barrel - p.shoulder

    def side(self, x: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Half-width of the lower body's side at share ``q`` of the height from sill (0) to shoulder (1)."""
        p = self.p
        ridge = np.where(
            q >= p.crease_height, np.exp((p.crease_height - q) / 0.2), np.exp((q - p.crease_height) / 0.09)
        )
        fade = smooth_step((self.nose - x) / 0.8) * smooth_step((x - self.tail) / 0.6)
        hollow = p.crease * (ridge - 1) * fade
        return (
            self.half_width(x)
            - p.tuck * np.clip(1 - q / 0.55, 0, 1) ** 2
            - p.barrel * np.clip((q - 0.5) / 0.5, 0, 1) ** 2
            + hollow
        )

    def cabin_side(self, x: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Half-width of the cabin at ``height`` above the shoulder line."""
        p = self.p
        lean = np.tan(np.radians(p.tumblehome)) * height
        tall = np.maximum(p.height - self.belt(x), 0.3)
        bulge = 4 * p.side_bow * (height / tall) * (1 - height / tall)
        return np.maximum(self.belt_width(x) - lean + bulge, 0.2)

    def solve_rim(self, x: np.ndarray) -> np.ndarray:
        """:meth:`rim` to machine precision, by fixed-point iteration (both surfaces are nearly level or upright)."""
        belt = self.belt(x)
        rim = belt
        for _ in range(30):
            rim = np.maximum(self.top(x, self.cabin_side(x, rim - belt)), belt)
        return rim

    def rim(self, x: np.ndarray) -> np.ndarray:
        """Height of the edge between cabin side and roof or screens; of the shoulder where there is no cabin."""
        return np.interp(x, self._rim_x, self._rim_z)

    def half_at(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Half-width of the body at (x, z), ends not yet rounded."""
        belt, sill = self.belt(x), self.sill(x)
        lower = self.side(x, np.clip((z - sill) / (belt - sill), 0, 1))
        return np.where(z < belt, lower, self.cabin_side(x, np.maximum(z - belt, 0)))

    def pillars(self, doors: int) -> list[float]:
        """x of the pillars between the side windows at the shoulder line, rear to front."""
        base = self.front_axle - self.rear_axle
        middle = self.front_axle - (0.5 if doors == 2 else 0.62) * base
        if doors == 1:
            return [middle] if not self.boxy or self.p.height < 1.7 else [self.rear_axle - 0.05, middle]
        quarter = self.rear_axle - 0.1
        return [quarter, middle] if quarter - self.tail > 0.62 or not self.boxy else [middle]

    def door_gaps(self, doors: int) -> list[float]:
        """x of the gaps round the doors, rear to front."""
        front = self.front_axle - self.arch - 0.1
        middle = self.pillars(doors)[-1]
        return [self.rear_axle + self.arch * 0.98, middle, front] if doors == 2 else [middle, front]

    def flare(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """How far the wheel arches bulge out at (x, z)."""
        total = np.zeros(np.broadcast(x, z).shape)
        for axle in (self.front_axle, self.rear_axle):
            gap = np.hypot(x - axle, z - self.p.tyre) - self.arch
            total = np.maximum(total, smooth_step(1 - np.maximum(gap, 0) / 0.16))
        return self.p.flare * total

    # Ends --------------------------------------------------------------------------------------------------------
    def _bends(self) -> tuple[PchipInterpolator, PchipInterpolator]:
        """How far nose and tail lie behind their furthest point, as functions of height."""
        p = self.p
        low, mid = p.clearance, self.bumper
        bumper_top = mid + 0.09
        step = 0.03 if p.era < 0.5 else 0.12
        front = [(low - 0.3, 0.16), (low, 0.075), (low + 0.12, 0.02), (mid, 0.0), (bumper_top, 0.004)]
        front += [
            (bumper_top + step, p.bumper),
            (max(self.nose_height, bumper_top + step + 0.04), p.bumper + p.nose_lean),
            (3.0, p.bumper + p.nose_lean + 0.3),
        ]
        rear = [
            (low - 0.3, 0.16),
            (low + 0.06, 0.07),
            (low + 0.18, 0.02),
            (mid + 0.04, 0.0),
            (bumper_top + 0.06, 0.004),
        ]
        rear += [(bumper_top + 0.06 + step, 0.8 * p.bumper)]
        waist = 0.8 * p.bumper + p.tail_lean
        rear += [(max(self.z_tail, bumper_top + 0.1 + step), waist)]
        if self.boxy:
            rise = p.height - self.z_tail
            lean = waist + rise / self._rear
            rear += [(self.z_tail + 0.5 * rise, waist + 0.46 * rise / self._rear)]
            rear += [(p.height - 0.09, lean - 0.12 / self._rear - 0.3 * p.lip), (p.height, lean - 1.6 * p.lip)]
            rear += [(3.2, lean - p.lip + 0.05)]
        else:
            rear += [(3.0, waist + 0.2)]
        (zf, xf), (zr, xr) = np.array(front).T, np.array(rear).T
        return PchipInterpolator(zf, xf), PchipInterpolator(zr, xr)

    def bend(self, points: np.ndarray) -> np.ndarray:
        """Final positions (..., 3) of lofted points (..., 3): swept and leaning ends, flared arches."""
        p, (x, y, z) = self.p, np.moveaxis(points, -1, 0)
        wide = p.width / 2
        front = smooth_step((x - (self.nose - 0.45)) / 0.45)
        rear = smooth_step((self.tail + self.tail_reach - x) / self.tail_reach)
        short = smooth_step((self.tail + 0.5 - x) / 0.5)
        bow = (y / wide) ** 2
        moved = x - front * (self._nose_bend(z) + p.nose_sweep * bow)
        above = (
            np.maximum(self._tail_bend(z) - self._tail_bend(self.z_tail), 0.0) * (z > self.z_tail) if self.boxy else 0.0
        )
        moved = moved + rear * above + short * (self._tail_bend(z) - above + p.tail_sweep * bow)
        side = smooth_step((y - 0.6 * wide) / (0.3 * wide)) * (z < self.belt(x) + 0.02)
        return np.stack([moved, y + side * self.flare(moved, z), z], axis=-1)
