"""01_preprocess on scans of one's own: what cannot be used is named, and the others go on."""

import nbformat
import nibabel as nib
import numpy as np

from dwikit import cli
from dwikit.cohorts import phantom


def test_unusable_first_scans_and_series_of_two_volumes(tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    bids = phantom.write_cohort(tmp_path / "bids", 5, seed=5, distortion=False, progress=False)
    for path in sorted(bids.glob("sub-*/dwi/*_dwi.nii.gz")):
        image = nib.load(path)
        step = max(1, image.shape[0] // 96)
        data = np.asarray(image.dataobj, np.float32)[::step, ::step]
        two = np.stack([data[..., 0], np.exp(np.log(np.maximum(data[..., 1:], 0.5)).mean(-1))], -1)
        nib.save(nib.Nifti1Image(two, image.affine @ np.diag([step, step, 1, 1])), path)
        table = path.with_name(path.name.replace(".nii.gz", ".bval"))
        table.write_text("0 2500\n" if "sub-0002" in path.name else "0 1000\n")
        table.with_suffix(".bvec").unlink(missing_ok=True)
        if "sub-0001" in path.name:
            path.write_bytes(path.read_bytes()[:20_000])
        if "sub-0005" in path.name:
            path.rename(path.with_name("sub-0005_DWI.nii.gz"))
    parameters = ("profile=smoke", f"bids={bids}", "scope=volume")
    assert cli.main(["run", "01_preprocess", *(word for text in parameters for word in ("-p", text))]) == 0
    cells = nbformat.read(tmp_path / "runs/smoke/notebooks/01_preprocess.ipynb", 4).cells
    said = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    shown = "".join(output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", []))
    assert "sub-0001 cannot be used:" in said and "cut off or damaged" in said
    assert "sub-0002 cannot be used:" in said and "its b-values are 0, 2500" in said
    assert "2 scans are registered. Failed, left out or skipped: " in said and "52 slices of 2 scans" in said
    assert "sub-0005_DWI.nii.gz is left out: it ends in" in shown
