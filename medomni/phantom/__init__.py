"""Synthetic patients: seeded phantom CT with exact truth, written as DICOM. Nothing here comes from a real person."""

from medomni.phantom.case import PhantomCase, make_case
from medomni.phantom.cohort import BodyRegion, draw_findings
from medomni.phantom.disease import Placed
from medomni.phantom.write import write_case, write_dicom

__all__ = ["BodyRegion", "PhantomCase", "Placed", "draw_findings", "make_case", "write_case", "write_dicom"]
