"""A small series, written with changes, imported and compared with what came out."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom

from dwikit.cohorts.bids import find_cases
from dwikit.cohorts.dicom import import_dicom
from tests.dicom_writer import in_axes, write_series

N_SLICES = 8


def scan(n=4):
    """A small series: image (12, 10, 8, n), b-values, directions."""
    voxels = np.random.default_rng(0).integers(1, 900, (12, 10, N_SLICES, n)).astype(np.uint16)
    bvals = np.array([0] + [1000] * (n - 1))
    bvecs = np.zeros((3, n))
    bvecs[:, 1:] = np.eye(3)[:, [t % 3 for t in range(n - 1)]]
    return nib.Nifti1Image(voxels, np.diag([-3.0, 3, 5, 1])), bvals, bvecs


def write(folder: Path, change, scan, **tags) -> None:
    """Writes a series whose files are changed: change(dataset, volume, slice, path) returns False to leave one out."""
    for number, path in enumerate(write_series(folder, *scan, PatientID="a", **tags)):
        dataset = pydicom.dcmread(path)
        path.unlink()
        if change(dataset, *divmod(number, N_SLICES), path) is not False and not path.exists():
            dataset.save_as(path)


def setting(**fields):
    """A change that sets fields to functions of volume and slice."""

    def change(dataset, t, k, path):
        for name, value in fields.items():
            setattr(dataset, name, value(t, k))

    return change


def run(tmp_path, folder="dicom", **options):
    """Imports a folder beside the data set and its key; the report."""
    return import_dicom(tmp_path / folder, tmp_path / "bids", tmp_path / "key", progress=False, **options)


def assert_same(tmp_path, image, bvals):
    """The one case of the data set has these volumes, each with its b-value, in any order."""
    [case] = find_cases(tmp_path / "bids")
    before, after = in_axes(image, "RAS"), in_axes(nib.load(case.image), "RAS")
    found = after.get_fdata().reshape(*after.shape[:3], -1)
    wanted = before.get_fdata()
    assert found.shape == wanted.shape and np.allclose(before.affine, after.affine, atol=1e-3)
    written = np.loadtxt(case.bval, ndmin=1)
    same = [[t for t in range(len(bvals)) if np.allclose(wanted[..., t], found[..., v])] for v in range(len(bvals))]
    assert sorted(itertools.chain(*same)) == list(range(len(bvals)))
    assert np.array_equal([bvals[t] for [t] in same], written)
    return case
