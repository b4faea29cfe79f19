"""What docs/security.md promises: files run no code, headers take no memory, the page asks nobody."""

import ast
import gzip
import io
import json
import pickle
import re
import struct
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

from dwikit import models, profiles, slices
from dwikit.cohorts import public
from dwikit.cohorts.bids import Case
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.evaluation import samples, slice_features
from dwikit.preprocess.trace import read_trace
from dwikit.reader_study import build_deck
from dwikit.training.weights import pretrained
from tests.hardships import guard

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("dwikit/**/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("notebooks/**/*.ipynb")])
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
    "torch.load",
}
UNSAFE_CALLS |= {"pd.read_pickle", "pandas.read_pickle", "keras.config.enable_unsafe_deserialization"}


def code(path: Path) -> ast.Module:
    """The syntax tree of a module, or of a notebook's cells without magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        lines = [line for cell in cells for line in [*"".join(cell["source"]).splitlines(), ""]]
        text = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)
    return ast.parse(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_of_the_kit_unpickles_or_evaluates(path):
    for node in ast.walk(code(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not UNSAFE_MODULES & {name.split(".")[0] for name in names}, f"line {node.lineno}"
        if not isinstance(node, ast.Call):
            continue
        name, settings = ast.unparse(node.func), {entry.arg: ast.unparse(entry.value) for entry in node.keywords}
        assert name not in UNSAFE_CALLS, f"{name} in line {node.lineno}"
        assert settings.get("allow_pickle", "False") == "False" and settings.get("shell", "False") == "False", (
            f"line {node.lineno}"
        )
        if name.endswith("load_model"):
            assert settings.get("safe_mode") == "True", f"line {node.lineno}"


# ==== Files made to harm ====


class Harm:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """The file that harm would make; the payloads are shown to work before the kit gets them."""
    mark = tmp_path / "harmed"
    pickle.loads(pickle.dumps(Harm(mark)))
    assert mark.exists()
    mark.unlink()
    yield mark
    assert not mark.exists(), "code in a file was run"


def test_arrays_of_python_objects_run_nothing(mark, tmp_path, monkeypatch):
    objects = np.array([Harm(mark)], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", samples=objects)
    (tmp_path / "store").mkdir()
    (tmp_path / "a.npy").rename(tmp_path / "store" / "images.npy")
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match="Python objects, which are not read because they could run code"):
            samples.read(tmp_path / name)
    with pytest.raises(InputError, match="no usable store"):
        slices.SliceStore.open(tmp_path / "store")
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path)
    (tmp_path / "a.npz").rename(tmp_path / "vae-32.npz")
    with pytest.raises(InputError, match="vae-32.npz cannot be read"):
        pretrained.load_into(models.VAE.from_preset(image_size=32, channels=(8, 16)))


def test_a_pickle_under_any_name_runs_nothing(mark, tmp_path):
    for name in ("a.npy", "a.npz", "a.png", "a.nii", "a.nii.gz", "a.keras"):
        (tmp_path / name).write_bytes(pickle.dumps(Harm(mark)))
        with pytest.raises(InputError, match=re.escape(name)):
            read = {".keras": models.load, ".png": samples._png}.get(Path(name).suffix, samples.read)
            read(tmp_path / name)


def test_tags_in_yaml_run_nothing(mark, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: quick\nvae: !!python/object/apply:builtins.open ['{mark}', 'w']\n")
    yaml.unsafe_load(path.read_text())["vae"].close()
    mark.unlink()  # the payload works
    for read in (profiles.resolve, public.load):
        with pytest.raises(InputError, match="own.yaml is not readable as YAML"):
            read(str(path))


def test_code_in_a_keras_file_runs_nothing(mark, tmp_path):
    inputs = keras.Input((4,))
    harm = eval(f"lambda x: [__import__('pathlib').Path({str(mark)!r}).touch(), x][1]")
    keras.Model(inputs, keras.layers.Lambda(harm)(inputs)).save(tmp_path / "a.keras")
    mark.unlink()  # made as the layer was called
    keras.saving.load_model(tmp_path / "a.keras", safe_mode=False)
    mark.unlink()  # the payload works
    with pytest.raises(InputError, match="a.keras cannot be read as a model .*[Ll]ambda"):
        models.load(tmp_path / "a.keras")
    with pytest.raises(InputError, match="a.keras cannot be read as a feature network"):
        slice_features.load(tmp_path / "a.keras")


def test_a_file_of_another_format_named_png_is_not_opened(tmp_path):
    """Neither PostScript, for which some libraries call Ghostscript, nor a JPEG."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    jpeg = io.BytesIO()
    Image.new("L", (9, 9)).save(jpeg, "JPEG")
    for content in (postscript, jpeg.getvalue()):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(InputError, match="a.png cannot be read as PNG"):
            samples.read(tmp_path)


# ==== Headers that claim too much ====


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_header_that_claims_terabytes_takes_no_memory(tmp_path, ending):
    path = tmp_path / f"sub-a_dwi{ending}"
    image = nib.Nifti1Image(np.ones((9, 9, 9), np.int16), np.eye(4))
    image.set_sform(np.eye(4), 1)
    raw = bytearray(image.to_bytes())
    raw[40:56] = struct.pack("<8h", 3, 32767, 32767, 32767, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(raw)) if ending.endswith("gz") else bytes(raw))
    with guard.limits(5, 200), pytest.raises(InputError, match="its header claims 32767 x 32767 x 32767 voxels"):
        read_trace(Case("sub-a", None, "sub-a", path))


# ==== The readers' page ====


def test_the_page_has_no_address_and_forbids_requests(tmp_path):
    """A browser confirms it in test_reader_page.py: no request is made."""
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8)
    deck = build_deck(images, {"vae": images[::-1]}, tmp_path, n=3, title="<script>alert(1)</script>", seed=1)
    page = deck.page.read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "<script>alert" not in page
    assert not re.findall(
        r"https?://|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|EventSource|\bimport\(", page
    )
    assert (tmp_path / "key.json").stat().st_mode & 0o077 == 0


def test_the_page_says_what_is_trusted():
    text = (paths.project() / "docs" / "security.md").read_text(encoding="utf-8")
    assert "docs/security.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    for named in re.findall(r"\((?:\.\./)?([\w/.-]+\.md)(?:#[\w-]+)?\)", text):
        assert (ROOT / "docs" / named).exists() or (ROOT / named).exists(), named
