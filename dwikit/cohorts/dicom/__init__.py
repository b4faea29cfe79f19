"""DICOM to BIDS: a folder of DICOM becomes a data set of DWI series in which nobody is named."""

from dwikit.cohorts.dicom.folder import import_dicom

__all__ = ["import_dicom"]
