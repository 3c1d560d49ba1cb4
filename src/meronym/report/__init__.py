"""The pictures a run leaves behind: one page to look at, contact sheets of overlays, and what lies on which part."""

from meronym.report.landing import landing_svg
from meronym.report.sheet import overlay_sheet
from meronym.report.tree import save_levels
from meronym.report.write import write_report

__all__ = ["landing_svg", "overlay_sheet", "save_levels", "write_report"]
