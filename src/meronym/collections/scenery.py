"""What lies behind and before the toy creatures: sky or dusk, hills, trees, stones and grass."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]


def tint(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (any number, wraps at 1), saturation and value (clipped to 0..1)."""
    rgb = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    red, green, blue = (int(255 * channel) for channel in rgb)
    return red, green, blue


def backdrop(rng: np.random.Generator, side: int, ground: float) -> tuple[Image.Image, bool]:
    """A landscape, RGB (side, side), for a creature whose feet are at height `ground`.

    The second answer tells if it stands on the ground; if not, the landscape has a branch for it to sit on.
    """
    image = _sky(rng, side)
    brush = ImageDraw.Draw(image)
    horizon = rng.uniform(0.3, 0.8) * side
    hue, saturation = rng.uniform(0.08, 0.55), rng.uniform(0.12, 0.6)
    light = rng.uniform(0.45, 0.85)
    for layer in range(3):
        base = horizon + layer * (side - horizon) * 0.3
        colour = tint(hue + 0.03 * layer, saturation + 0.08 * layer, light * (1 - 0.17 * layer))
        _hill(rng, brush, side, base, colour)
        if rng.uniform() < 0.7:
            for _ in range(int(rng.integers(1, 5))):
                _thing(rng, brush, side, base, hue)
    _litter(rng, brush, side, horizon, hue)
    standing = horizon < ground - 0.04 * side
    if not standing:
        _branch(rng, brush, side, ground)
    return image, standing


def grass(rng: np.random.Generator, canvas: Image.Image, labels: Image.Image, ground: float) -> None:
    """Grass in front of the feet (at height `ground`): it hides what it covers, labels and all."""
    side = canvas.width
    brush, stamp = ImageDraw.Draw(canvas), ImageDraw.Draw(labels)
    hue, value = rng.uniform(0.1, 0.42), rng.uniform(0.25, 0.75)
    centre, spread = rng.uniform(0, side), rng.uniform(0.08, 0.3) * side
    for _ in range(int(rng.integers(8, 40))):
        x, foot = rng.normal(centre, spread), min(ground + rng.uniform(0.0, 0.08) * side, side + 4)
        height, lean, wide = rng.uniform(0.05, 0.22) * side, rng.normal(0, 0.05) * side, rng.uniform(2, 6)
        blade = [
            (x - wide, foot),
            (x + lean * 0.4, foot - height * 0.6),
            (x + lean, foot - height),
            (x + wide, foot),
        ]
        brush.polygon(blade, fill=tint(hue + rng.normal(0, 0.02), 0.55, value * rng.uniform(0.7, 1.2)))
        stamp.polygon(blade, fill=0)


def _sky(rng: np.random.Generator, side: int) -> Image.Image:
    """A gradient with soft clouds, drawn small and enlarged."""
    small = 48
    hue = rng.choice([rng.uniform(0.5, 0.62), rng.uniform(0.0, 0.15), rng.uniform(0.25, 0.9)], p=[0.55, 0.25, 0.2])
    top, low = (np.array(tint(hue + d, rng.uniform(0.05, 0.42), rng.uniform(0.55, 1.0))) for d in (0.0, 0.06))
    ramp = np.linspace(0, 1, small)[:, None, None]
    sky = top * (1 - ramp) + low * ramp
    noise = Image.fromarray(rng.uniform(0, 1, (6, 4)).astype(np.float32))
    noise = np.asarray(noise.resize((small, small), Image.Resampling.BICUBIC))
    cloud = np.clip((noise - 0.55) * 2, 0, 1)[..., None] * rng.uniform(0, 0.9)
    sky = sky * (1 - cloud) + 250 * cloud
    return Image.fromarray(sky.clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)


def _hill(rng: np.random.Generator, brush: ImageDraw.ImageDraw, side: int, base: float, colour: Colour) -> None:
    x = np.linspace(0, side, 40)
    y = np.full_like(x, base)
    for period in (1.3, 0.6, 0.23):
        y += 0.03 * period * side * np.sin(2 * np.pi * (x / (side * period) + rng.uniform()))
    brush.polygon([(0, side), *zip(x.tolist(), y.tolist(), strict=True), (side, side)], fill=colour)


def _thing(rng: np.random.Generator, brush: ImageDraw.ImageDraw, side: int, base: float, hue: float) -> None:
    """A tree, a bush or a stone that stands on `base`."""
    kind, x = rng.choice(3), rng.uniform(0, side)
    size = rng.uniform(0.04, 0.14) * side
    leaf = tint(hue + rng.normal(0, 0.08), rng.uniform(0.2, 0.65), rng.uniform(0.2, 0.7))
    if kind == 0:
        bark, tall = tint(0.07, 0.4, rng.uniform(0.2, 0.5)), size * rng.uniform(1.5, 4)
        foot, top = size / 6, size / 9
        brush.polygon([(x - foot, base), (x - top, base - tall), (x + top, base - tall), (x + foot, base)], bark)
        _crown(rng, brush, (x, base - tall), size, leaf)
    elif kind == 1:
        _crown(rng, brush, (x, base - size / 4), size * 0.7, leaf)
    else:
        angles = np.linspace(0, 2 * np.pi, 9)[:-1]
        radius = size * rng.uniform(0.4, 0.7, 8)
        stone = np.stack([x + 1.3 * radius * np.cos(angles), base - 0.7 * radius * np.sin(angles)], 1)
        brush.polygon(stone.ravel().tolist(), fill=tint(hue, 0.08, rng.uniform(0.3, 0.75)))


def _branch(rng: np.random.Generator, brush: ImageDraw.ImageDraw, side: int, ground: float) -> None:
    """A branch right across, just under the feet, with twigs and leaves."""
    x = np.linspace(-0.02, 1.02, 24) * side
    middle = ground + 0.004 * side * np.cumsum(rng.normal(0, 0.5, 24))
    left, right = rng.permutation([0.008, 0.022])
    thick = np.linspace(left, right, 24) * side
    bark, leaf = tint(0.07, rng.uniform(0.2, 0.5), rng.uniform(0.25, 0.55)), rng.uniform(0.1, 0.45)
    for i in rng.integers(1, 23, 7):
        root = float(x[i]), float(middle[i])
        tip = root[0] + rng.normal(0, 0.06) * side, root[1] + rng.normal(0, 0.07) * side
        brush.line([*root, *tip], fill=bark, width=max(2, side // 150))
        size = rng.uniform(0.012, 0.03) * side
        oval = [tip[0] - size, tip[1] - size / 2, tip[0] + size, tip[1] + size / 2]
        brush.ellipse(oval, fill=tint(leaf + rng.normal(0, 0.02), 0.6, rng.uniform(0.35, 0.75)))
    top, bottom = zip(x, middle - thick, strict=True), zip(x[::-1], (middle + thick)[::-1], strict=True)
    brush.polygon([(float(a), float(b)) for a, b in (*top, *bottom)], fill=bark)


def _crown(
    rng: np.random.Generator, brush: ImageDraw.ImageDraw, at: tuple[float, float], size: float, leaf: Colour
) -> None:
    for _ in range(5):
        dx, dy = rng.normal(0, 0.45, 2) * size
        radius = size * rng.uniform(0.45, 0.8)
        colour = tuple(int(min(255, channel * rng.uniform(0.85, 1.12))) for channel in leaf)
        x, y = at[0] + dx, at[1] + 0.6 * dy
        brush.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _litter(rng: np.random.Generator, brush: ImageDraw.ImageDraw, side: int, horizon: float, hue: float) -> None:
    """Tufts and flowers strewn over the ground, larger towards the front."""
    for _ in range(int(rng.integers(10, 60))):
        depth = rng.uniform()
        x, y, size = rng.uniform(0, side), horizon + depth * (side - horizon), (0.006 + 0.022 * depth) * side
        colour = tint(hue + rng.normal(0, 0.1), rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.9))
        if rng.uniform() < 0.25:
            flower = tint(rng.uniform(), 0.6, 0.95)
            brush.ellipse([x - size / 2, y - size / 2, x + size / 2, y + size / 2], fill=flower)
        else:
            for lean in rng.normal(0, 0.5, 3) * size:
                brush.line([x, y, x + lean, y - size * 1.6], fill=colour, width=max(2, int(size / 5)))
