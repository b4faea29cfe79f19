"""Generators as ONNX: the file gives what Keras gives, for any number of images."""

import sys

import numpy as np
import pytest

from dwikit import cli, models
from dwikit.common.errors import InputError
from dwikit.models import presets, registry
from dwikit.training.weights import export

ort = pytest.importorskip("onnxruntime", reason="pip install -e '.[export]'")
pytest.importorskip("tf2onnx", reason="pip install -e '.[export]'")

SMALL = {"image_size": 32, "width": 0.125}
SETTINGS = {
    "vae": {},
    "dfc_vae": {"preset": "canonical"},
    "intro_vae": {"ema": 0.9},
    "style_gan": {"latent_size": 16, "mapping_width": 16},
    "style_gan light": {"preset": "canonical", "channels": (8, 16, 16, 16), "mapping_layers": 2, "block_convolutions": 1},
    "diffusion": {"ema": 0.9, "blocks": 1, "embedding": 16, "sampler_steps": 3, "sigma_max": 4.0},
}


def randomized(case):
    """A model whose every weight matters: none zero, averages unlike their networks."""
    settings = dict(SETTINGS[case])
    key = case.split()[0]
    config = presets.preset(registry.network(key), settings.pop("preset", "paper"), **SMALL, overrides=settings)
    model = registry.network(key)(**config)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "seed" not in variable.path:
            spread = 1 / np.sqrt(max(np.prod(variable.shape[:-1]), 4))
            variable.assign(np.abs(rng.normal(0, spread, variable.shape)) if "variance" in variable.path else
                            rng.normal(0, spread, variable.shape))  # fmt: skip
    return model


@pytest.mark.parametrize("case", SETTINGS)
def test_onnx_gives_what_keras_gives(case, tmp_path):
    model = randomized(case)
    assert export.to_onnx(model, tmp_path / "model.onnx") < export.TOLERANCE
    session = ort.InferenceSession(tmp_path / "model.onnx")
    entries = {entry.name: entry.shape[1:] for entry in session.get_inputs()}
    n = 5
    inputs = {"latents": model.draw_latents(n, seed=3)}
    if model.key == "style_gan":
        inputs |= {f"noise_{i}": model.noise_map(n, i, 0, seed=3) for i in range(len(model.map_sizes))}
    assert entries == {name: list(array.shape[1:]) for name, array in inputs.items()}
    images = session.run(["images"], inputs)[0]
    assert images.shape == (n, 32, 32, 1) and images.std() > 1e-3
    np.testing.assert_allclose(images, model.sample(n, seed=3), atol=1e-4)


def test_the_command_and_what_it_refuses(tmp_path, capsys, monkeypatch):
    path, out = tmp_path / "vae.keras", tmp_path / "vae.onnx"
    assert cli.main(["export", str(path), str(out)]) == 2
    models.save(models.VAE.from_preset("paper", **SMALL), path)
    assert cli.main(["export", str(path), str(out)]) == 0
    assert "pixels differ from Keras's by at most" in capsys.readouterr().out
    out.unlink()
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match="no file was written"):
        export.to_onnx(models.load(path), out)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match="pip install -e '.\\[export\\]'"):
        export.to_onnx(models.load(path), out)
    assert not out.exists()
