"""The pictures a run leaves behind: one page to look at, and contact sheets of overlays."""

from meronym.report.sheet import overlay_sheet
from meronym.report.write import write_report

__all__ = ["overlay_sheet", "write_report"]
