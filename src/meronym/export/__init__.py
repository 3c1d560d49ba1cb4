"""Models for elsewhere: ONNX for any runtime, and the model hub for other people."""

from meronym.export.command import export
from meronym.export.hub import HubError, export_folder, push_to_hub
from meronym.export.onnx_file import CannotExport, export_onnx

__all__ = ["CannotExport", "HubError", "export", "export_folder", "export_onnx", "push_to_hub"]
