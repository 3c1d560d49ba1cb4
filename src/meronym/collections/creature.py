"""Draws the toy creature: a bird-like animal, no two alike, whose every pixel knows its part.

`draw(rng)` is a function of the generator alone. A creature is a list of `Shape`, closed outlines in its own
frame (x to the head, y down, the body about 2 long), painted back to front at three times the size; the same
outlines, painted with part numbers, give the exact label map.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from meronym.collections.scenery import Colour, backdrop, grass, tint

SIDE = 256
FINE = 3  # supersampling; odd, so that a pixel's centre is the centre of one fine pixel
PARTS = ("body", "head", "beak", "wing", "legs", "tail")
BODY, HEAD, BEAK, WING, LEGS, TAIL = range(1, 7)


class Shape(NamedTuple):
    """A closed outline, (N, 2) in the creature's frame, of one part (0: a mere mark on the part below)."""

    part: int
    outline: np.ndarray
    colour: Colour


class Creature(NamedTuple):
    """Shapes from back to front, and one point (x, y) on each part."""

    shapes: list[Shape]
    points: np.ndarray


class Coat(NamedTuple):
    """The colours of one creature: of each part, and what is drawn over them."""

    parts: tuple[Colour, ...]
    mark: Colour
    pattern: str
    pitch: float
    strength: float


def draw(rng: np.random.Generator) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """Draw one photo: RGB 256x256, labels uint8 (256, 256), keypoints float32 (6, 3), one point a part.

    A keypoint is visible if its own part is what the photo shows there.
    """
    coat = _coat(rng)
    creature = _creature(rng, coat)
    matrix, offset = _placement(rng, creature.shapes)
    feet = np.concatenate([shape.outline for shape in creature.shapes if shape.part == LEGS])
    ground = float((feet @ matrix.T + offset)[:, 1].max()) * FINE
    canvas, standing = backdrop(rng, SIDE * FINE, ground)
    labels = Image.new("L", canvas.size)
    _paint(creature.shapes, matrix, offset, canvas, labels)
    if standing and rng.uniform() < 0.5:
        grass(rng, canvas, labels, ground)
    part_labels = np.asarray(labels)[FINE // 2 :: FINE, FINE // 2 :: FINE].copy()
    colours = np.asarray(canvas.reduce(FINE), np.float32)
    colours = _finish(rng, _textured(colours, part_labels, coat, matrix, offset))
    points = creature.points @ matrix.T + offset
    return Image.fromarray(colours), part_labels, _keypoints(points, part_labels)


def _coat(rng: np.random.Generator) -> Coat:
    """Plumage of one main hue, wing and tail near it, a head that often differs; legs and beak of horn."""
    hue = rng.uniform()
    saturation, value = rng.uniform(0.15, 0.75), rng.uniform(0.35, 0.9)
    body = tint(hue, saturation, value)
    wing = tint(hue + rng.normal(0, 0.06), saturation * rng.uniform(0.7, 1.3), value * rng.uniform(0.5, 0.95))
    tail = tint(hue + rng.normal(0, 0.08), saturation * rng.uniform(0.7, 1.3), value * rng.uniform(0.45, 1.0))
    head = tint(
        hue + rng.choice([0, rng.uniform(0.05, 0.95)], p=[0.4, 0.6]),
        rng.uniform(0.1, 0.8),
        rng.uniform(0.25, 0.95),
    )
    horn = tint(rng.uniform(0.02, 0.15), rng.uniform(0.2, 0.95), rng.uniform(0.35, 0.95))
    legs = tint(rng.uniform(0.0, 0.14), rng.uniform(0.15, 0.8), rng.uniform(0.3, 0.8))
    mark = tint(hue + rng.uniform(-0.1, 0.1), saturation * 0.6, value * rng.uniform(0.35, 0.6))
    pattern = str(rng.choice(["plain", "spots", "bars", "streaks"], p=[0.25, 0.25, 0.25, 0.25]))
    return Coat((body, head, horn, wing, legs, tail), mark, pattern, rng.uniform(0.16, 0.3), rng.uniform(0.25, 0.7))


def _creature(rng: np.random.Generator, coat: Coat) -> Creature:
    """A body, and everything that turns about its joints."""
    length, height = 1.0, rng.uniform(0.52, 0.72)
    tilt = np.radians(rng.uniform(-38, 12))
    body = _turned(_body(length, height), tilt)
    shoulder, rump, hip, breast = _turned(
        np.array([[0.38, -0.22 * height], [-0.9, -0.12], [-0.05, 0.55 * height], [0.55, 0.3 * height]]), tilt
    )
    neck_root = _turned(np.array([[0.68, -0.3 * height]]), tilt)[0]
    reach = np.radians(rng.uniform(-75, -15))
    radius = rng.uniform(0.3, 0.4)
    head = neck_root + rng.uniform(0.3, 0.75) * np.array([np.cos(reach), np.sin(reach)])
    gaze = np.radians(rng.uniform(-28, 38))
    tail, tail_point = _tail(rng, rump, tilt, coat)
    far_wing, near_wing, wing_point = _wings(rng, shoulder, tilt, coat)
    legs, knee = _legs(rng, hip, coat)
    beak, beak_point = _beak(rng, head, gaze, radius, coat)
    neck = _limb(neck_root - 0.2 * (head - neck_root), head, 0.36 * height + 0.16, radius * 0.8)
    shapes = [*far_wing, *tail, *legs]
    shapes += [Shape(BODY, neck, coat.parts[0]), Shape(BODY, body, coat.parts[0])]
    shapes += [*beak, *_head(rng, head, gaze, radius, coat), *near_wing]
    return Creature(shapes, np.array([breast, head, beak_point, wing_point, knee, tail_point]))


def _body(length: float, height: float) -> np.ndarray:
    return _smooth(
        [
            (length, -0.12 * height),
            (0.7 * length, -0.72 * height),
            (0.1, -0.92 * height),
            (-0.6 * length, -0.55 * height),
            (-1.08 * length, -0.12),
            (-0.75 * length, 0.4 * height),
            (-0.1, 0.95 * height),
            (0.6 * length, 0.8 * height),
            (0.95 * length, 0.35 * height),
        ]
    )


def _head(rng: np.random.Generator, centre: np.ndarray, gaze: float, radius: float, coat: Coat) -> list[Shape]:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    skull = np.stack([1.12 * np.cos(angles), 0.95 * np.sin(angles)], 1) * radius
    shapes = [Shape(HEAD, centre + _turned(skull, gaze), coat.parts[1])]
    if rng.uniform() < 0.4:  # a crest
        lift = rng.uniform(0.3, 0.8)
        crest = _smooth([(0.5, -0.75), (-0.1, -1.0 - lift), (-0.9, -1.0 - 0.8 * lift), (-0.75, -0.5), (0, -0.6)])
        shapes.insert(0, Shape(HEAD, centre + _turned(crest * radius, gaze), coat.parts[1]))
    eye = centre + _turned(np.array([[0.38, -0.22]]) * radius, gaze)[0]
    ring = rng.choice([0.27, 0.34])
    iris = tint(rng.uniform(), 0.5, 0.9)
    for size, colour in ((ring, iris), (0.2, (18, 16, 20)), (0.07, (245, 245, 245))):
        shift = np.array([0.05, -0.07]) * radius * (size < 0.1)
        dot = np.stack([np.cos(angles), np.sin(angles)], 1) * radius * size
        shapes.append(Shape(0, eye + shift + dot, colour))
    return shapes


def _beak(
    rng: np.random.Generator, head: np.ndarray, gaze: float, radius: float, coat: Coat
) -> tuple[list[Shape], np.ndarray]:
    long, thick = rng.uniform(0.4, 0.95), rng.uniform(0.13, 0.24)
    hook, gape = rng.uniform(-0.04, 0.2), np.radians(rng.choice([0, rng.uniform(5, 22)]))
    root = 0.75 * radius
    upper = np.array([(0, -thick), (0.5 * long, -0.75 * thick), (long, hook), (0.55 * long, 0.03), (0, 0.04)])
    lower = np.array([(0, 0.0), (0.5 * long, 0.0), (0.86 * long, hook + 0.02), (0.4 * long, 0.7 * thick), (0, thick)])
    shapes = []
    for half, turn, colour in (
        (lower, gape, _shade(coat.parts[2], 0.8)),
        (upper, -0.3 * gape, coat.parts[2]),
    ):
        placed = _turned(half, turn) + (root, 0.05 * radius)
        shapes.append(Shape(BEAK, head + _turned(placed, gaze), colour))
    middle = _turned(np.array([[0.55 * long, -0.3 * thick]]), -0.3 * gape) + (root, 0.05 * radius)
    return shapes, head + _turned(middle, gaze)[0]


def _tail(rng: np.random.Generator, rump: np.ndarray, tilt: float, coat: Coat) -> tuple[list[Shape], np.ndarray]:
    """A fan of feathers behind the rump."""
    long, spread = rng.uniform(0.6, 1.35), np.radians(rng.uniform(4, 26))
    axis = tilt + np.pi + np.radians(rng.uniform(-30, 38))
    count = int(rng.integers(3, 6))
    fork = rng.uniform(-0.25, 0.25)
    shapes = []
    for i, angle in enumerate(np.linspace(-spread, spread, count)):
        reach = long * (1 + fork * (abs(2 * i / (count - 1) - 1) - 0.5))
        tip = rump + reach * _unit(axis + angle)
        feather = _limb(rump - 0.25 * _unit(axis), tip, 0.14, 0.1 + 0.05 * (count < 4))
        shapes.append(Shape(TAIL, feather, _shade(coat.parts[5], 1 - 0.13 * (i % 2))))
    return shapes, rump + 0.6 * long * _unit(axis)


def _wings(
    rng: np.random.Generator, shoulder: np.ndarray, tilt: float, coat: Coat
) -> tuple[list[Shape], list[Shape], np.ndarray]:
    """The far wing (seen only when raised), the near wing, and the middle of the near one."""
    raised = rng.uniform() < 0.45
    angle = np.radians(rng.uniform(25, 105) if raised else rng.uniform(-14, 10))
    long, wide = rng.uniform(1.0, 1.45) if raised else rng.uniform(0.95, 1.25), rng.uniform(0.26, 0.38)
    axis = tilt + np.pi + angle
    near = _wing(shoulder, axis, long, wide, coat.parts[3])
    far = _wing(shoulder + (0.15, -0.05), axis + np.radians(rng.uniform(8, 40)), long * 0.92, wide, coat.parts[3])
    far = [shape._replace(colour=_shade(shape.colour, 0.72)) for shape in far] if raised else []
    return far, near, shoulder + 0.5 * long * _unit(axis)


def _wing(root: np.ndarray, axis: float, long: float, wide: float, colour: Colour) -> list[Shape]:
    """A pointed oval along `axis`, with the edges of its feathers marked."""
    oval = _smooth(
        [
            (-0.2, 0.02),
            (0.05, -wide),
            (0.45 * long, -wide),
            (long, 0.04),
            (0.6 * long, 0.75 * wide),
            (0.1, 0.8 * wide),
        ]
    )
    shapes = [Shape(WING, root + _turned(oval, axis), colour)]
    for row, (start, end) in enumerate(
        [((0.2, 0.35), (0.5, 0.6)), ((0.32, 0.1), (0.68, 0.42)), ((0.45, -0.2), (0.82, 0.2))]
    ):
        ends = np.array([start, end]) * (long, wide)
        line = _limb(ends[0], ends[1], 0.012, 0.022)
        shapes.append(Shape(0, root + _turned(line, axis), _shade(colour, 0.72 - 0.04 * row)))
    return shapes


def _legs(rng: np.random.Generator, hip: np.ndarray, coat: Coat) -> tuple[list[Shape], np.ndarray]:
    """Far leg, near leg; the knee of the near one."""
    upper, lower = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.6)
    thick = rng.uniform(0.05, 0.085)
    stride = np.radians(rng.uniform(0, 38))
    shapes, knee = [], hip
    for side, shade in ((1, 0.7), (-1, 1.0)):
        colour = _shade(coat.parts[4], shade)
        thigh = np.pi / 2 + side * stride + np.radians(rng.uniform(-8, 18))
        shin = thigh - np.radians(rng.uniform(8, 40))
        knee = hip + (0.09 * side, 0) + upper * _unit(thigh)
        ankle = knee + lower * _unit(shin)
        shapes.append(Shape(LEGS, _limb(hip + (0.09 * side, -0.1), knee, 2.0 * thick, 1.1 * thick), colour))
        shapes.append(Shape(LEGS, _limb(knee, ankle, 1.1 * thick, thick), colour))
        for toe in (-0.12, 0.42, 0.75):
            tip = ankle + 0.27 * _unit(1.1 * toe) * (1, 0.6)
            shapes.append(Shape(LEGS, _limb(ankle, tip, thick, 0.5 * thick), colour))
        shapes.append(Shape(LEGS, _limb(ankle, ankle + (-0.18, 0.06), thick, 0.5 * thick), colour))
    return shapes, knee


def _placement(rng: np.random.Generator, shapes: list[Shape]) -> tuple[np.ndarray, np.ndarray]:
    """The map from the creature's frame to pixels: x -> matrix @ x + offset. Half of them look left."""
    turn = np.radians(rng.normal(0, 7))
    flip = rng.choice([-1.0, 1.0])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * (flip, 1.0)
    outline = np.concatenate([shape.outline for shape in shapes]) @ matrix.T
    low, high = outline.min(axis=0), outline.max(axis=0)
    scale = SIDE * rng.uniform(0.52, 0.88) / (high - low).max()
    room = SIDE - scale * (high - low)
    corner = room * rng.uniform(0.06, 0.94, 2) if (room > 0).all() else room / 2
    return matrix * scale, corner - scale * low


def _paint(
    shapes: list[Shape], matrix: np.ndarray, offset: np.ndarray, canvas: Image.Image, labels: Image.Image
) -> None:
    """Paint all shapes, each part with a thin darker edge, on the fine canvas and label map."""
    brush, stamp = ImageDraw.Draw(canvas), ImageDraw.Draw(labels)
    for part, outline, colour in shapes:
        corners = ((outline @ matrix.T + offset) * FINE).ravel().tolist()
        brush.polygon(corners, fill=colour, outline=_shade(colour, 0.78) if part else None, width=2)
        if part:
            stamp.polygon(corners, fill=part)


def _textured(
    colours: np.ndarray, labels: np.ndarray, coat: Coat, matrix: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Light from above, a pale belly, and the plumage's pattern, all in the creature's own frame."""
    y, x = np.mgrid[0.5:SIDE, 0.5:SIDE].astype(np.float32)
    inverse = np.linalg.inv(matrix).astype(np.float32)
    dx, dy = x - np.float32(offset[0]), y - np.float32(offset[1])
    u, v = inverse[0, 0] * dx + inverse[0, 1] * dy, inverse[1, 0] * dx + inverse[1, 1] * dy
    light = np.where(labels > 0, 1.08 - 0.16 * np.clip(v + 0.4, -1, 1.5), 1)[..., None]
    belly = (np.clip((v - 0.05) * 2.2, 0, 1) * (labels == BODY) * 0.45)[..., None]
    out = colours * light * (1 - belly) + np.float32(245) * belly
    if coat.pattern == "plain":
        return out
    wave = 2 * np.pi / coat.pitch
    if coat.pattern == "spots":
        shifted = u + 0.5 * coat.pitch * (np.floor(v / coat.pitch * 1.2) % 2)
        field = np.sin(wave * shifted) * np.sin(wave * 0.6 * v * 2)
    elif coat.pattern == "bars":
        field = np.sin(wave * (u + 0.12 * np.sin(5 * v)))
    else:
        field = np.sin(wave * 1.3 * (v + 0.1 * u)) + 0.6 * np.sin(9 * u + 4 * np.sin(wave * v)) - 0.3
    share = np.clip((field - 0.25) * 3, 0, 1) * coat.strength
    share = share * np.choose(labels, (0, 0.8, 0.0, 0, 1.0, 0, 0.7))
    return out * (1 - share[..., None]) + np.array(coat.mark, np.float32) * share[..., None]


def _finish(rng: np.random.Generator, colours: np.ndarray) -> np.ndarray:
    """Exposure, a slow change of light across the photo, and grain: uint8."""
    corner = rng.uniform(-0.16, 0.16, 4).astype(np.float32).reshape(2, 2)
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
    rows = corner[0] * (1 - ramp[:, None]) + corner[1] * ramp[:, None]
    light = rows[:, :1] * (1 - ramp) + rows[:, 1:] * ramp
    grain = rng.standard_normal((SIDE, SIDE), dtype=np.float32) * rng.uniform(1.5, 6)
    return (colours * (rng.uniform(0.85, 1.12) + light[..., None]) + grain[..., None]).clip(0, 255).astype(np.uint8)


def _keypoints(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    x, y = np.clip(points, 0, SIDE - 1).astype(int).T
    visible = labels[y, x] == np.arange(1, len(PARTS) + 1)
    visible &= ((points >= 0) & (points < SIDE)).all(axis=1)
    return np.column_stack([points, visible]).astype(np.float32)


def _unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _limb(start: np.ndarray, end: np.ndarray, first: float, last: float) -> np.ndarray:
    """A tapering, round-ended bar from `start` (half-width `first`) to `end` (half-width `last`)."""
    along = np.arctan2(*(np.asarray(end) - start)[::-1])
    arc = np.linspace(-np.pi / 2, np.pi / 2, 9)
    cap = np.stack([np.cos(along + arc), np.sin(along + arc)], 1)
    return np.concatenate([end + last * cap, start - first * cap])


def _smooth(points: list[tuple[float, float]], steps: int = 8) -> np.ndarray:
    """A closed Catmull-Rom curve through the points."""
    p = np.array(points, float)
    before, after, last = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (array[:, None] for array in (before, p, after, last))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return curve.reshape(-1, 2)


def _shade(colour: Colour, by: float) -> Colour:
    red, green, blue = (int(min(255, channel * by)) for channel in colour)
    return red, green, blue
