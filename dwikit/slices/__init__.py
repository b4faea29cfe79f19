"""From registered volumes to normalized slices (sec. 3.1): the settings, the target grid, normalization, store and batches."""

from importlib import import_module

_HOMES = {
    "CALIBRATED": "settings",
    "SliceSettings": "settings",
    "SliceStore": "store",
    "COLUMNS": "store",
    "build": "building",
    "head_frame": "frame",
    "head_mask": "frame",
    "is_made_of": "building",
    "Repeatable": "spool",
    "read_derivatives": "registered",
    "normalize": "normalization",
    "shrink": "normalization",
    "to_uint8": "normalization",
    "SEED": "settings",
    "SPLITS": "split",
    "check_splits": "split",
    "split_by_patient": "split",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    """The public names; a profile and the command line need only the settings, without pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
