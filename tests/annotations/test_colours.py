"""The palette is told apart by every kind of eye."""

import numpy as np
import pytest

from meronym.annotations.colours import hex_colour, palette, png_palette

# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency"
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def cielab(colours: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of sRGB bytes as seen with a sight."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.asarray(sight).T, 0, 1) @ SRGB_TO_XYZ.T / (0.95047, 1, 1.08883)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(("parts", "distance"), [(4, 35), (8, 35), (16, 18), (32, 12), (64, 8)])
def test_no_two_parts_look_alike(sight: str, parts: int, distance: float):
    lab = cielab(palette(parts), SIGHTS[sight])
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[~np.eye(parts, dtype=bool)].min() >= distance


def test_a_part_keeps_its_colour_when_k_changes():
    assert np.array_equal(palette(64)[:5], palette(5))
    assert palette(0).shape == (0, 3) and palette(255).dtype == np.uint8
    assert len(np.unique(palette(255), axis=0)) == 255
    assert (palette(255).max(axis=1) > 40).all()  # never the black of the background
    for parts in (-1, 256):
        with pytest.raises(ValueError, match="0 to 255"):
            palette(parts)


def test_spellings_of_a_colour():
    assert hex_colour(palette(1)[0]) == "#1796ff"
    table = np.frombuffer(png_palette(palette(3)), np.uint8).reshape(256, 3)
    assert table[0].tolist() == [0, 0, 0] and np.array_equal(table[1:4], palette(3))
