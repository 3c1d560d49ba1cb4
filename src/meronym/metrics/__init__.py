"""How well two labellings agree, as sums that add up anywhere, and how well landmarks tell keypoints."""

from meronym.metrics.contingency import Contingency, ari, nmi
from meronym.metrics.regression import keypoint_error, regress_keypoints

__all__ = ["Contingency", "ari", "keypoint_error", "nmi", "regress_keypoints"]
