"""Synthetic chests: seeded phantom CT with exact truth, written as DICOM. Nothing here comes from a real person."""

from medomni.phantom.case import PhantomCase, draw_findings, make_case
from medomni.phantom.disease import Placed
from medomni.phantom.write import write_case, write_dicom

__all__ = ["PhantomCase", "Placed", "draw_findings", "make_case", "write_case", "write_dicom"]
