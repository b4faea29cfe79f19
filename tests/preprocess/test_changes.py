"""The data set is the truth: preprocessing run again after any change gives what a run from nothing gives, byte for byte."""

import dataclasses
import gzip
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dwikit import cli, slices
from dwikit.cohorts.bids import find_cases
from dwikit.common.errors import InputError
from dwikit.preprocess import identity, preprocess, quality, register, require_current, run
from dwikit.preprocess.workers import process

SETTINGS = slices.SliceSettings(image_size=32)
AFFINE = np.diag([-6.0, 6, 6, 1])
AFFINE[:3, 3] = 70, -100, -65
PEOPLE = "participant_id\tage\tsex\nsub-a\t30\tF\nsub-b\t41\tM\nsub-c\t52\tF\nsub-d\t63\tM\n"


def put(raw: Path, subject: str, voxels: np.ndarray, name: str = "", ending: str = ".nii.gz", bvals: str = "0 1000") -> Path:
    folder = raw / subject / "dwi"
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"{subject}{name}_dwi{ending}"
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), AFFINE), image)
    image.with_name(f"{subject}{name}_dwi.bval").write_text(bvals)
    return image


def voxels(seed: int) -> np.ndarray:
    """A head's worth of noise, two volumes."""
    return np.random.default_rng(seed).integers(100, 900, (24, 30, 22, 2))


@pytest.fixture
def raw(tmp_path):
    """A data set of four people, one of them scanned twice."""
    raw = tmp_path / "bids"
    for seed, subject in enumerate(["sub-a", "sub-b", "sub-c", "sub-d"]):
        put(raw, subject, voxels(seed), ending=".nii" if subject == "sub-b" else ".nii.gz")
    put(raw, "sub-d", voxels(9), "_run-2")
    (raw / "participants.tsv").write_text(PEOPLE)
    return raw


@pytest.fixture
def registered(monkeypatch):
    """Registration by the header alone, in this process; the list of scans it was called for."""
    names = []

    def by_header(trace, interpolator, image_size, fov_mm):
        return register.Registered(register.resample(trace, np.eye(4), interpolator, image_size, fov_mm), np.eye(4))

    def run_jobs(jobs, workers):
        for number, job in enumerate(jobs):
            names.append(job["case"]["name"])
            yield number, process.work(job)

    monkeypatch.setattr(register, "register", by_header)
    monkeypatch.setattr(quality, "flags", lambda *arguments: [])
    monkeypatch.setattr(run, "run_jobs", run_jobs)
    return names


def study(raw: Path, folder: Path):
    report = preprocess(raw, folder / "derivatives", settings=SETTINGS, grid_size=32, progress=False)
    slices.build(folder / "derivatives", folder / "slices", SETTINGS)
    return report


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, without what was set aside."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(name): path.read_bytes() for name, path in found.items() if ".before-" not in str(name)}


def rename(raw, old="sub-a", new="sub-aa"):
    shutil.copytree(raw / old, raw / new)
    for file in (raw / new / "dwi").iterdir():
        file.rename(file.with_name(file.name.replace(old, new)))
    shutil.rmtree(raw / old)
    (raw / "participants.tsv").write_text(PEOPLE.replace(f"{old}\t", f"{new}\t"))


def withdraw(raw):
    shutil.rmtree(raw / "sub-c")


def withdraw_one_scan(raw):
    for file in (raw / "sub-d/dwi").glob("*run-2*"):
        file.unlink()


def add(raw):
    put(raw, "sub-e", voxels(5))
    (raw / "participants.tsv").write_text(PEOPLE + "sub-e\t74\tF\n")


def add_a_scan(raw):
    put(raw, "sub-a", voxels(6), "_run-2")


def correct_ages(raw):
    (raw / "participants.tsv").write_text(PEOPLE.replace("30\tF", "39\tM").replace("52", "n/a"))


def edit_in_place(raw):
    """One voxel in the middle; size, date and both ends of the file stay."""
    image = raw / "sub-b/dwi/sub-b_dwi.nii"
    content, times = bytearray(image.read_bytes()), image.stat()
    content[len(content) - 22000] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))


def edit_b_values(raw):
    (raw / "sub-a/dwi/sub-a_dwi.bval").write_text("0 1100")


def turn_the_head(raw):
    """The same voxels under another affine."""
    image = nib.load(raw / "sub-a/dwi/sub-a_dwi.nii.gz")
    moved = AFFINE.copy()
    moved[:3, 3] += 12
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), raw / "sub-a/dwi/sub-a_dwi.nii.gz")


def exchange(raw):
    """Two people's scans were mixed up, and are given back."""
    one, other = raw / "sub-a/dwi/sub-a_dwi.nii.gz", raw / "sub-c/dwi/sub-c_dwi.nii.gz"
    one.rename(raw / "x")
    other.rename(one)
    (raw / "x").rename(other)


def unpack(raw):
    image = raw / "sub-a/dwi/sub-a_dwi.nii.gz"
    image.with_suffix("").write_bytes(gzip.decompress(image.read_bytes()))
    image.unlink()


def pack_harder(raw):
    image = raw / "sub-a/dwi/sub-a_dwi.nii.gz"
    image.write_bytes(gzip.compress(gzip.decompress(image.read_bytes()), 1, mtime=1))


def turn_directions(raw):
    (raw / "sub-a/dwi/sub-a_dwi.bvec").write_text("0 0\n0 1\n0 0\n")


def damage(raw):
    image = raw / "sub-a/dwi/sub-a_dwi.nii.gz"
    image.write_bytes(image.read_bytes()[:-2000])


def put_trace(raw):
    image = put(raw, "sub-t", voxels(7)[..., 0])
    image.with_name("sub-t_dwi.bval").unlink()
    return image.rename(image.with_name("sub-t_trace.nii.gz"))


def call_a_trace_dwi(raw):
    """Which may be a b = 0 by its name."""
    image = raw / "sub-t/dwi/sub-t_trace.nii.gz"
    image.rename(image.with_name("sub-t_dwi.nii.gz"))


def empty_b_values(raw):
    (raw / "sub-t/dwi/sub-t_trace.bval").touch()


def empty_directions(raw):
    (raw / "sub-a/dwi/sub-a_dwi.bvec").touch()


def lose_a_sidecar(raw):
    """What it says of the b-value is not here, as in a clone of a DataLad dataset."""
    (raw / "sub-t/dwi/sub-t_trace.json").symlink_to("../../.git/annex/objects/x.json")


def into_sessions(raw):
    """Three levels of folders, and the same content."""
    for session, name in (("ses-1", "sub-d"), ("ses-2", "sub-d_run-2")):
        folder = raw / "sub-d" / session / "dwi"
        folder.mkdir(parents=True)
        for file in (raw / "sub-d/dwi").glob(f"{name}_dwi*"):
            file.rename(folder / file.name.replace(name, f"sub-d_{session}"))
    (raw / "sub-d/dwi").rmdir()


CHANGES = {  # change -> names of the scans that are registered again
    rename: [],
    withdraw: [],
    withdraw_one_scan: [],
    add: ["sub-e"],
    add_a_scan: ["sub-a_run-2"],
    correct_ages: [],
    edit_in_place: ["sub-b"],
    edit_b_values: ["sub-a"],
    turn_the_head: ["sub-a"],
    exchange: ["sub-a", "sub-c"],
    unpack: [],
    pack_harder: [],
    turn_directions: ["sub-a"],
    damage: ["sub-a"],
    into_sessions: [],
    call_a_trace_dwi: ["sub-t"],
    empty_b_values: ["sub-t"],
    empty_directions: ["sub-a"],
    lose_a_sidecar: ["sub-t"],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_again_is_as_from_nothing(raw, registered, tmp_path, change):
    put_trace(raw)
    study(raw, tmp_path / "again")
    assert registered == ["sub-a", "sub-b", "sub-c", "sub-d", "sub-d_run-2", "sub-t"]
    registered.clear()
    change(raw)
    study(raw, tmp_path / "again")
    assert registered == CHANGES[change]
    study(raw, tmp_path / "nothing")
    again, nothing = contents(tmp_path / "again"), contents(tmp_path / "nothing")
    assert again.keys() == nothing.keys() and [name for name in again if again[name] != nothing[name]] == []


def test_the_b_value_of_a_single_image_is_part_of_its_content(tmp_path):
    image = put(tmp_path, "sub-a", voxels(0)[..., 0])
    image.with_name("sub-a_dwi.bval").unlink()
    sidecar = image.with_name("sub-a_dwi.json")
    found = []
    for text in ('{"DiffusionBValue": 1000}', '{"DiffusionBValue": 1000, "EchoTime": 0.1}', '{"DiffusionBValue": 700}'):
        sidecar.write_text(text)
        found.append(identity.content(find_cases(tmp_path)[0]))
    assert found[0] == found[1] != found[2]


def test_nothing_changed_nothing_redone(raw, registered, tmp_path):
    study(raw, tmp_path / "again")
    dates = {path: path.stat().st_mtime_ns for path in (tmp_path / "again/derivatives").rglob("sub-*") if path.is_file()}
    registered.clear()
    study(raw, tmp_path / "again")
    assert registered == [] and dates and all(path.stat().st_mtime_ns == date for path, date in dates.items())
    assert not list((tmp_path / "again").glob("*.before-*"))


def test_what_is_gone_is_set_aside_and_said(raw, registered, tmp_path, capsys):
    study(raw, tmp_path)
    made = (tmp_path / "derivatives/sub-c/dwi/sub-c_space-MNI152_dwi.nii.gz").read_bytes()
    rename(raw)
    withdraw(raw)
    capsys.readouterr()
    report = study(raw, tmp_path)
    said = capsys.readouterr().out
    assert "sub-a is sub-aa now" in said and "sub-c: not in the data set any more" in said and "derivatives.before-1" in said
    assert report.loc[report["status"] == "done", "case"].tolist() == ["sub-aa", "sub-b", "sub-d", "sub-d_run-2"]
    store = slices.SliceStore.open(tmp_path / "slices")
    assert set(store.table["subject"]) == {"sub-aa", "sub-b", "sub-d"}
    assert (tmp_path / "derivatives.before-1/sub-c/dwi/sub-c_space-MNI152_dwi.nii.gz").read_bytes() == made
    assert not (tmp_path / "derivatives/sub-c").exists()


def test_a_scan_left_out_of_this_run_is_not_kept_when_its_content_has_changed(raw, registered, tmp_path, capsys):
    out = tmp_path / "derivatives"
    study(raw, tmp_path)
    edit_in_place(raw)
    preprocess(raw, out, settings=SETTINGS, grid_size=32, only=["sub-a"], progress=False)
    assert not (out / "sub-b").exists()
    report = pd.read_csv(out / "quality.tsv", sep="\t").set_index("case")
    assert report["status"].to_dict() == {f"sub-{name}": "done" for name in ("a", "c", "d", "d_run-2")} | {"sub-b": "left out"}
    assert "`only` left it out" in report.loc["sub-b", "message"]
    capsys.readouterr()
    require_current(out)
    assert "never preprocessed: sub-b." in capsys.readouterr().out


@pytest.mark.parametrize("how", ["copied", "unpacked", "floats", "mirrored", "padded"])
def test_two_subjects_with_the_same_voxels_are_one_person(raw, registered, tmp_path, how):
    data = voxels(0)
    if how == "mirrored":
        data = data[::-1]
    if how == "padded":
        data = np.pad(data, [(0, 0), (0, 0), (1, 1), (0, 0)])
    image = put(raw, "sub-e", data, ending=".nii" if how == "unpacked" else ".nii.gz")
    if how == "floats":
        nib.save(nib.Nifti1Image(data.astype(np.float32), AFFINE), image)
    derivatives = tmp_path / "derivatives"
    report = preprocess(raw, derivatives, settings=SETTINGS, grid_size=32, progress=False).set_index("case")
    for name in ("sub-a", "sub-e"):
        assert report.loc[name, "status"] == "failed" and not report.loc[name, "used"]
        assert report.loc[name, "message"].startswith("sub-a and sub-e hold the same voxels, so they are one person")
    assert report.loc["sub-b", "status"] == "done"
    with pytest.raises(InputError, match="sub-a and sub-e hold the same voxels"):
        slices.build(derivatives, tmp_path / "slices", SETTINGS)
    registered.clear()
    preprocess(raw, derivatives, settings=SETTINGS, grid_size=32, progress=False)
    assert registered == []
    shutil.rmtree(raw / "sub-e")
    assert study(raw, tmp_path)["status"].eq("done").all() and registered == []


def test_one_person_may_have_the_same_scan_twice(raw, registered, tmp_path):
    put(raw, "sub-a", voxels(0), "_run-2")
    assert study(raw, tmp_path)["status"].eq("done").all()


def test_slices_are_refused_when_the_data_set_has_changed_since(raw, registered, tmp_path, capsys):
    study(raw, tmp_path)
    derivatives = tmp_path / "derivatives"
    require_current(derivatives)
    add(raw)
    capsys.readouterr()
    require_current(derivatives)
    assert "never preprocessed: sub-e." in capsys.readouterr().out
    correct_ages(raw)
    with pytest.raises(InputError, match="the age of sub-a is 39.0, not 30.0.*the sex of sub-a is M, not F"):
        require_current(derivatives)
    withdraw(raw)
    assert cli.main(["slices", str(derivatives), str(tmp_path / "s"), "--image-size", "32"]) == 2
    assert "sub-c is gone" in capsys.readouterr().err and not (tmp_path / "s").exists()
    shutil.rmtree(raw)
    require_current(derivatives)
    assert "is not there" in capsys.readouterr().out


def test_simulated_and_real_people_are_never_pooled(raw, registered, volumes, tmp_path):
    derivatives = tmp_path / "derivatives"
    preprocess(raw, derivatives, progress=False)
    with pytest.raises(InputError, match="sub-a is registered and sub-0001 is simulated.*never pooled"):
        slices.build([*slices.read_derivatives(derivatives), volumes[0]], tmp_path / "slices", SETTINGS)
    (raw / "sub-b/dwi/sub-b_dwi.json").write_text('{"ManufacturersModelName": "simulated"}')
    preprocess(raw, derivatives, progress=False)
    with pytest.raises(InputError, match="sub-b is simulated, registered.*never pooled"):
        slices.build(derivatives, tmp_path / "slices", SETTINGS)


def test_scans_registered_elsewhere_with_the_same_settings_are_taken_from_there(raw, registered, tmp_path, capsys):
    def again(name: str, bids: Path = raw, settings: slices.SliceSettings = SETTINGS, **more):
        out, elsewhere = tmp_path / name, sorted(tmp_path.glob("out*"))
        registered.clear()
        return preprocess(bids, out, settings=settings, grid_size=32, progress=False, elsewhere=elsewhere, **more)

    first = again("out1")
    assert len(registered) == 5
    included = again("out2", include=["sub-a"])
    assert not registered and f"5 scans registered before: taken from {tmp_path}/out1." in capsys.readouterr().out
    pd.testing.assert_frame_equal(included, first)
    ours, theirs = contents(tmp_path / "out2"), contents(tmp_path / "out1")
    assert {name: data for name, data in ours.items() if name.startswith("sub-")} == {
        name: data for name, data in theirs.items() if name.startswith("sub-")
    }

    other = tmp_path / "renamed"
    shutil.copytree(raw, other)
    rename(other)
    (other / "sub-d/dwi/sub-d_dwi.bval").write_text("0 900")
    again("out3", other)
    assert registered == ["sub-d"], "what has another content is registered, what has another name is not"
    sidecar = next((tmp_path / "out3/sub-aa/dwi").glob("*.json")).read_text()
    assert '"Case": "sub-aa"' in sidecar and "sub-a_" not in sidecar and "sub-a/" not in sidecar
    again("out4", settings=dataclasses.replace(SETTINGS, fov_mm=SETTINGS.fov_mm + 20))
    assert len(registered) == 5, "another field of view is another registration"
    next((tmp_path / "out1/sub-a/dwi").glob("*.mat")).unlink()
    shutil.rmtree(tmp_path / "out2")
    again("out5")
    assert registered == [], "out3 still has all of sub-a"
