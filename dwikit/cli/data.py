"""``dwikit preprocess`` and ``slices``."""

import argparse
import dataclasses
import sys
from pathlib import Path

from dwikit.slices.settings import INTERPOLATORS, SCOPES, SEED, SliceSettings

INCLUDE = {
    "action": "append",
    "default": [],
    "metavar": "CASE",
    "help": "a scan to use although the quality report leaves it out: look at it in quality.png first; may be repeated",
}


def add(commands) -> None:
    """Adds the commands to the subparsers of ``dwikit``."""
    command = commands.add_parser("preprocess", help="register the DWI of a BIDS dataset to MNI152")
    command.add_argument("bids", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--workers", type=int, help="processes on this machine; default: one per processor")
    command.add_argument("--scheduler", metavar="ADDRESS", help="scheduler of a Dask cluster to do the work, see docs/scale.md")
    command.add_argument("--b-value", type=float, default=1000, help="wanted b-value, s/mm2")
    command.add_argument("--tolerance", type=float, default=600, help="largest distance of a shell from it, s/mm2")
    command.add_argument("--include", **INCLUDE)
    _add_slice_settings(command)
    command.set_defaults(action=_preprocess)

    command = commands.add_parser("slices", help="make normalized slices from registered volumes")
    command.add_argument("derivatives", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--include", **INCLUDE)
    _add_slice_settings(command)
    command.add_argument("--percentile", type=float, help=f"where to clip; default {SliceSettings.percentile:g}")
    command.add_argument("--scope", choices=SCOPES, help=f"scope of the percentile; default {SliceSettings.scope}")
    command.add_argument("--seed", type=int, default=SEED, help="seed of the split by person; default %(default)s")
    command.set_defaults(action=_slices)


def _add_slice_settings(command: argparse.ArgumentParser) -> None:
    """Options for the settings that registration and slices must share."""
    size = "pixels along one side of a slice; default %(default)s"
    command.add_argument("--image-size", type=int, default=SliceSettings.image_size, help=size)
    command.add_argument("--fov-mm", type=float, help="side of the field of view, mm; default: that of the image size")
    kind = f"how scans are resampled to the target grid; default {SliceSettings.interpolator}"
    command.add_argument("--interpolator", choices=list(INTERPOLATORS), help=kind)


def _slice_settings(options) -> SliceSettings:
    """The settings for the image size, with the given options."""
    names = [entry.name for entry in dataclasses.fields(SliceSettings)]
    chosen = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    return dataclasses.replace(SliceSettings.for_size(options.image_size), **chosen)


def _preprocess(options) -> int:
    from dwikit.preprocess import preprocess
    from dwikit.preprocess.losses import to_look_at, told

    report = preprocess(
        options.bids,
        options.out,
        workers=options.workers,
        scheduler=options.scheduler,
        b_value=options.b_value,
        tolerance=options.tolerance,
        settings=_slice_settings(options),
        include=options.include,
    )
    print(report.to_string(index=False))
    if not (doubtful := to_look_at(report)).empty:
        print(f"\nLeft out until somebody has looked at them in {options.out / 'quality.png'}; --include CASE uses them:")
        print(doubtful.to_string(index=False))
    if lost := told(report, options.out):
        print(f"dwikit: {lost}", file=sys.stderr)
    return 1 if lost else 0


def _slices(options) -> None:
    from dwikit import slices
    from dwikit.preprocess import raw_dataset, require_current

    require_current(options.derivatives)
    source = {"bids": str(raw)} if (raw := raw_dataset(options.derivatives)) else {}
    source |= {"include": options.include} if options.include else {}
    settings, include = _slice_settings(options), options.include
    store = slices.build(options.derivatives, options.out, settings, options.seed, source, include=include)
    print(f"{len(store.images)} slices of {store.table['case'].nunique()} scans in {options.out}")
    print(store.table["split"].value_counts().to_string())
