"""Keypoint regression against scikit-learn's scaler and linear regression."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from meronym.metrics import keypoint_error, regress_keypoints


def photos(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks, and keypoints that follow them roughly, a third of them invisible."""
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(size=(count, 6))
    places = landmarks.reshape(count, 3, 2)[:, [0, 1, 2, 0]] * 0.7 + 0.2 * rng.uniform(size=(count, 4, 2))
    return landmarks, np.concatenate([places, rng.uniform(size=(count, 4, 1)) > 0.33], 2)


def test_regression_equals_sklearn():
    (landmarks, keypoints), (test, wanted) = photos(40, 0), photos(25, 1)
    distances = []
    for kind in range(4):
        seen, asked = keypoints[:, kind, 2] == 1, wanted[:, kind, 2] == 1
        known, target = StandardScaler().fit(landmarks[seen]), StandardScaler().fit(keypoints[seen, kind, :2])
        line = LinearRegression(fit_intercept=False)
        line.fit(known.transform(landmarks[seen]), target.transform(keypoints[seen, kind, :2]))
        found = target.inverse_transform(line.predict(known.transform(test[asked])))
        distances.append(np.linalg.norm(found - wanted[asked, kind, :2], axis=1))
    ours = keypoint_error(regress_keypoints(landmarks, keypoints, test), wanted)
    assert ours == pytest.approx(np.concatenate(distances).mean(), rel=1e-9)


def test_landmarks_that_do_not_move_give_the_mean_and_unseen_keypoints_do_not_count():
    landmarks, keypoints = photos(30, 2)
    landmarks[:], keypoints[:, 1, 2] = 0.5, 0
    found = regress_keypoints(landmarks, keypoints, landmarks[:5])
    seen = keypoints[:, 0, 2] == 1
    np.testing.assert_allclose(found[:, 0], np.tile(keypoints[seen, 0, :2].mean(0), (5, 1)))
    assert np.isnan(found[:, 1]).all()
    wanted = keypoints[:5].copy()
    wanted[:, :, 2] = [[1, 1, 0, 0]] * 5
    assert keypoint_error(found, wanted) == pytest.approx(np.linalg.norm(found[:, 0] - wanted[:, 0, :2], axis=1).mean())
    wanted[:, :, 2] = 0
    assert np.isnan(keypoint_error(found, wanted))
