"""Keypoint regression (section 4.1 of the paper): how well landmarks tell where annotated keypoints are.

Every keypoint has a linear regression of its own, on those training photos that show it: landmarks and keypoint are
standardised, and there is no intercept. The protocol is Huang and Li's (*Interpretable and Accurate Fine-grained
Recognition via Region Grouping*, CVPR 2020), which the paper follows.
"""

import numpy as np
from jaxtyping import Float


def regress_keypoints(
    landmarks: Float[np.ndarray, "N D"], keypoints: Float[np.ndarray, "N P 3"], test: Float[np.ndarray, "M D"]
) -> Float[np.ndarray, "M P 2"]:
    """Positions of P keypoints in M photos, from their landmarks; NaN for a keypoint that no training photo shows.

    landmarks, keypoints: of the training photos; a keypoint is x, y, and 1 where visible. With s(.) the
    standardisation by mean and deviation: s(keypoint) = W s(landmarks), W of least squares (and least norm).
    """
    found = np.full((len(test), keypoints.shape[1], 2), np.nan)
    for kind in range(keypoints.shape[1]):
        seen = keypoints[:, kind, 2] > 0.5
        if not seen.any():
            continue
        (mean_x, deviation_x), (mean_y, deviation_y) = _moments(landmarks[seen]), _moments(keypoints[seen, kind, :2])
        known, wanted = (landmarks[seen] - mean_x) / deviation_x, (keypoints[seen, kind, :2] - mean_y) / deviation_y
        weights = np.linalg.lstsq(known, wanted, rcond=None)[0]
        found[:, kind] = (test - mean_x) / deviation_x @ weights * deviation_y + mean_y
    return found


def keypoint_error(found: Float[np.ndarray, "M P 2"], keypoints: Float[np.ndarray, "M P 3"]) -> float:
    """Mean distance over all visible keypoints that could be regressed; NaN where there is none."""
    distance = np.linalg.norm(found - keypoints[:, :, :2], axis=2)
    counted = (keypoints[:, :, 2] > 0.5) & np.isfinite(distance)
    return float(distance[counted].mean()) if counted.any() else float("nan")


def _moments(values: Float[np.ndarray, "N D"]) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, " D"]]:
    """Mean and deviation in float64; a constant column has deviation 1."""
    mean, deviation = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
    return mean, np.where(deviation > 1e-12, deviation, 1.0)
