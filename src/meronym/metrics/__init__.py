"""How well two labellings agree, as sums that add up across batches and machines."""

from meronym.metrics.contingency import Contingency, ari, nmi

__all__ = ["Contingency", "ari", "nmi"]
