"""Writes an image as classic DICOM, one file a slice, with the diffusion fields of two vendors."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

IMAGE_TYPES = {
    "Siemens": {
        "dwi": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"],
        "trace": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"],
        "adc": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"],
        "localizer": ["ORIGINAL", "PRIMARY", "M", "NORM", "LOCALIZER"],
        "t1": ["ORIGINAL", "PRIMARY", "M", "ND"],
    },
    "GE": {
        "dwi": ["ORIGINAL", "PRIMARY", "OTHER"],
        "adc": ["DERIVED", "SECONDARY", "ADC"],
        "localizer": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
    },
}
MANUFACTURERS = {"Siemens": "SIEMENS", "GE": "GE MEDICAL SYSTEMS"}
LPS = np.diag([-1.0, -1.0, 1.0])


def uid(*parts) -> UID:
    """A UID that follows from its parts alone."""
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def in_axes(image: nib.Nifti1Image, axes: str) -> nib.Nifti1Image:
    """The same image with its voxel axes flipped and permuted, such as to "RAS" or "LPS"."""
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    return image.as_reoriented(turn)


def patient_directions(affine: np.ndarray, bvecs: np.ndarray) -> np.ndarray:
    """Directions (3, n) in the patient's axes (left, posterior, head) from those of a .bvec file, by FSL's convention."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    flip = np.diag([-1.0 if np.linalg.det(axes) > 0 else 1.0, 1, 1])
    return LPS @ axes @ flip @ np.asarray(bvecs, float)


def write_series(
    folder: Path,
    image: nib.Nifti1Image,
    bvals=(),
    bvecs=(),
    vendor: str = "Siemens",
    kind: str = "dwi",
    study: str = "study",
    series: str = "series",
    **tags,
) -> list[Path]:
    """Writes one series; `bvecs` (3, n) are in the image's axes. `tags` are set in every file."""
    directions = patient_directions(image.affine, bvecs) if len(bvals) else None
    image = in_axes(image, "LPS")
    voxels = np.asanyarray(image.dataobj)
    voxels = voxels.reshape(*voxels.shape[:3], -1)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for t in range(voxels.shape[3]):
        for k in range(voxels.shape[2]):
            number = t * voxels.shape[2] + k + 1
            dataset = _slice(image, voxels[:, :, k, t], k, number, t, vendor, kind, study, series)
            if len(bvals):
                _diffusion(dataset, vendor, kind, bvals[t], directions[:, t])
            for name, value in tags.items():
                setattr(dataset, name, value)
            paths.append(folder / f"{number:05d}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _slice(image, pixels, k, number, volume, vendor, kind, study, series) -> Dataset:
    """One slice (X, Y) with what every MR image has."""
    axes = LPS @ image.affine[:3, :3]
    sizes = np.linalg.norm(axes, axis=0)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(study, series, number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(study), uid(study, series)
    dataset.FrameOfReferenceUID = uid(study, "frame")
    dataset.Modality, dataset.Manufacturer = "MR", MANUFACTURERS[vendor]
    dataset.ImageType = IMAGE_TYPES[vendor][kind]
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 5, volume + 1, number
    dataset.MRAcquisitionType, dataset.ScanningSequence, dataset.SequenceVariant = "2D", "EP", "NONE"
    dataset.MagneticFieldStrength, dataset.EchoTime, dataset.RepetitionTime = "3", "80", "7000"
    dataset.FlipAngle, dataset.InPlanePhaseEncodingDirection = "90", "COL"
    dataset.PatientPosition = "HFS"
    dataset.SliceThickness = dataset.SpacingBetweenSlices = f"{sizes[2]:.6g}"
    dataset.PixelSpacing = [f"{sizes[1]:.10g}", f"{sizes[0]:.10g}"]
    directions = np.concatenate([axes[:, 0] / sizes[0], axes[:, 1] / sizes[1]])
    dataset.ImageOrientationPatient = [f"{value:.10g}"[:16] for value in directions]
    position = LPS @ (image.affine[:3, 3] + image.affine[:3, 2] * k)
    dataset.ImagePositionPatient = [f"{value:.10g}"[:16] for value in position]
    dataset.SliceLocation = f"{position @ np.cross(directions[:3], directions[3:]):.6g}"
    dataset.Columns, dataset.Rows = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.ascontiguousarray(pixels.T.astype("<u2")).tobytes()
    return dataset


def _diffusion(dataset: Dataset, vendor: str, kind: str, b: float, direction: np.ndarray) -> None:
    """b-value (s/mm2) and direction (3,) in the patient's axes, as the vendor writes them."""
    if vendor == "Siemens":
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", int(b))
        if b and kind == "dwi":
            block.add_new(0x0E, "FD", list(direction))
    else:  # GE keeps directions in the image's axes: frequency, phase, slice, the first two against the image's
        dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [int(b), 8, 0, 0])
        axes = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        own = np.vstack([axes, np.cross(*axes)]) @ direction * [-1, -1, 1]
        block = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
        for element, value in zip((0xBB, 0xBC, 0xBD), own):
            block.add_new(element, "DS", f"{value:.6f}")
        dataset.DiffusionBValue = float(b)


def write_enhanced(path: Path, image: nib.Nifti1Image, bvals, bvecs, **tags) -> None:
    """Writes a series as one enhanced multi-frame file, with the standard's diffusion fields."""
    directions = patient_directions(image.affine, bvecs)
    image = in_axes(image, "LPS")
    voxels = np.asanyarray(image.dataobj)
    dataset = _slice(image, voxels[:, :, 0, 0], 0, 1, 0, "Siemens", "dwi", "enhanced", "series")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = [_item(dataset, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")]
    shared.PlaneOrientationSequence = [_item(dataset, "ImageOrientationPatient")]
    for t in range(voxels.shape[3]):
        for k in range(voxels.shape[2]):
            one = _slice(image, voxels[:, :, k, t], k, 1, t, "Siemens", "dwi", "enhanced", "series")
            frame, content, diffusion = Dataset(), Dataset(), Dataset()
            content.StackID, content.InStackPositionNumber, content.TemporalPositionIndex = "1", k + 1, t + 1
            content.DimensionIndexValues = [1, k + 1, t + 1]
            diffusion.DiffusionBValue, diffusion.DiffusionDirectionality = float(bvals[t]), "NONE"
            if bvals[t]:
                diffusion.DiffusionDirectionality = "DIRECTIONAL"
                diffusion.DiffusionGradientDirectionSequence = [Dataset()]
                diffusion.DiffusionGradientDirectionSequence[0].DiffusionGradientOrientation = list(directions[:, t])
            frame.PlanePositionSequence = [_item(one, "ImagePositionPatient")]
            frame.FrameContentSequence, frame.MRDiffusionSequence = [content], [diffusion]
            frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    dataset.DimensionIndexSequence = [_pointer(0x00209056), _pointer(0x00209057), _pointer(0x00209128)]
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = np.ascontiguousarray(voxels.T.astype("<u2")).tobytes()
    for name in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(dataset, name)
    for name, value in tags.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def _item(dataset: Dataset, *names: str) -> Dataset:
    """Some elements of a data set."""
    item = Dataset()
    for name in names:
        setattr(item, name, getattr(dataset, name))
    return item


def _pointer(tag: int) -> Dataset:
    """A dimension of a multi-frame file: the tag in FrameContentSequence that numbers it."""
    item = Dataset()
    item.DimensionIndexPointer, item.FunctionalGroupPointer = tag, 0x00209111
    return item


def write_mosaics(folder: Path, image: nib.Nifti1Image, bvals, bvecs, up: int = 1, **tags) -> None:
    """Writes a series as Siemens mosaics, one file a volume; with `up` -1 the slices run against their normal."""
    directions = patient_directions(image.affine, bvecs)
    image = in_axes(image, "LPS" if up == 1 else "LPI")
    voxels = np.asanyarray(image.dataobj)
    columns, rows, n_slices, n = voxels.shape
    side = int(np.ceil(np.sqrt(n_slices)))
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(n):
        tiles = np.zeros((side * side, rows, columns), voxels.dtype)
        tiles[:n_slices] = voxels[..., t].transpose(2, 1, 0)
        picture = tiles.reshape(side, side, rows, columns).swapaxes(1, 2).reshape(side * rows, side * columns)
        dataset = _slice(image, picture.T, 0, t + 1, t, "Siemens", "dwi", "mosaic", "series")
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND", "MOSAIC"]
        dataset.AcquisitionMatrix = [0, columns, rows, 0]
        axes = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        shift = axes[0] * (side - 1) * columns / 2 * float(dataset.PixelSpacing[1])  # the corner of a picture around the centre
        shift += axes[1] * (side - 1) * rows / 2 * float(dataset.PixelSpacing[0])
        dataset.ImagePositionPatient = [f"{value:.10g}" for value in np.array(dataset.ImagePositionPatient, float) - shift]
        _diffusion(dataset, "Siemens", "dwi", bvals[t], directions[:, t])
        dataset.private_block(0x0019, "SIEMENS MR HEADER").add_new(0x0A, "US", n_slices)
        csa = {"NumberOfImagesInMosaic": ("US", [n_slices]), "SliceNormalVector": ("FD", list(up * np.cross(*axes)))}
        csa["B_value"] = "IS", [int(bvals[t])]
        if bvals[t]:
            csa["DiffusionGradientDirection"] = "FD", list(directions[:, t])
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", _csa(csa))
        for name, value in tags.items():
            setattr(dataset, name, value)
        dataset.save_as(folder / f"{t + 1:05d}.dcm", enforce_file_format=True)


def _csa(fields: dict[str, tuple[str, list]]) -> bytes:
    """Siemens' private header, version 2: name -> type and values."""
    parts = [b"SV10\4\3\2\1", struct.pack("<II", len(fields), 77)]
    for name, (kind, values) in fields.items():
        parts.append(struct.pack("<64si4siii", name.encode(), len(values), kind.encode(), 0, 6, 77))
        texts = [f"{value:.8f}".encode() if kind == "FD" else f"{value}".encode() for value in values]
        for text in [*texts, b"", b"", b"", b"", b"", b""][:6]:
            length = len(text) + 1 if text else 0
            parts.append(struct.pack("<4i", length, length, 77, length) + text.ljust(-(-length // 4) * 4, b"\0"))
    return b"".join(parts)
