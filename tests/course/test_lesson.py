"""Cells to write in: wrong answers are told and replaced, right ones are used, and every notebook asks what there is to ask."""

import ast
import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from dwikit.common.errors import InputError
from dwikit.course import lesson
from dwikit.course.lesson import QUESTIONS

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = sorted(path for path in NOTEBOOKS.glob("0[2-68]*.ipynb"))


@pytest.fixture(autouse=True)
def nobody_has_tried(monkeypatch):
    monkeypatch.setattr(lesson, "attempts", {})
    monkeypatch.setattr(lesson, "in_use", {})
    monkeypatch.delenv(lesson.FILL_IN, raising=False)


@pytest.fixture
def displayed(monkeypatch):
    """What was shown below a cell."""
    things = []
    monkeypatch.setattr(lesson, "display", lambda *some: things.extend(str(one.data) for one in some))
    return things


def unwritten(*arguments):
    raise NotImplementedError()


def without(question, old: str, new: str):
    """The solution with a mistake."""
    source = inspect.getsource(question.solution)
    assert source.count(old) >= 1
    names = dict(vars(inspect.getmodule(question.solution)))
    exec(source.replace(old, new, 1), names)
    return names[question.solution.__name__]


MISTAKES = {
    "kl_per_latent": ("- 1.0 ", ""),
    "reparameterize": ("0.5 * ", ""),
    "train_step": ("training=True", "training=False"),
    "perceptual_loss": ("axis=(1, 2, 3)", "axis=(1, 2)"),
    "encoder_loss": ("ops.relu(m - kl_rec) + ops.relu(m - kl_fake)", "ops.relu(2 * m - kl_rec - kl_fake)"),
    "generator_loss": ("kl_rec + kl_fake", "kl_fake"),
    "kl_of_constants": ("ops.stop_gradient(fakes)", "fakes"),
    "adain": ("axes=(1, 2)", "axes=(0, 1, 2)"),
    "wasserstein": (", -ops.mean", ", ops.mean"),
    "gradient_penalty": ("axis=(1, 2, 3)", "axis=(2, 3)"),
    "truncate": ("psi * (styles - middle)", "(1 - psi) * (styles - middle)"),
    "dataset_similarity": ("/ s.shape[1]", ""),
    "intra_sample_diversity": ("n / (n - 1) * ", ""),
    "holds": ("return False if high <= above or low >= below else None", "return False"),
    "overlaps": (" + 1", ""),
    "cohens_kappa": ("(agreed - by_chance) / ", "agreed / "),
    "add_noise": ("sigma * ", ""),
    "denoise": ("c_in * x", "x"),
    "heun_step": ("x + (lower - sigma) * (here", "moved + (lower - sigma) * (here"),
    "wilson": ("share + z**2 / (2 * n)", "share"),
}
"""One likely mistake in each solution; two of them leave the value alone and only change a gradient or a statistic."""


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_solution_and_the_kit_agree_and_a_mistake_is_noticed(name, capsys, displayed):
    question = QUESTIONS[name]
    assert lesson.written(name, question.solution) is question.solution
    assert capsys.readouterr().out == f"{name}: right. The cells below use what you wrote.\n"
    lesson.beside(name)
    assert "Asserted" in capsys.readouterr().out and f"def {name}(" in displayed[1] and "dwikit/" in displayed[2]
    assert lesson.written(name, without(question, *MISTAKES[name])) is question.solution
    assert f"{name}: not yet.\n" in capsys.readouterr().out


def test_hints_come_one_by_one_and_the_same_answer_again_is_no_other_attempt(capsys):
    for half, hints in ((0.1, 1), (0.1, 1), (0.2, 2), (0.3, 3), (0.4, 3)):
        code = f"answer = lambda mean, log_variance: {half} * mean"
        exec(code, names := {})
        lesson.written("kl_per_latent", names["answer"])
        said = capsys.readouterr().out
        assert said.count("Hint ") == hints and f"Hint {hints} of 3" in said and "your value" in said


def test_the_solution_comes_after_an_attempt(capsys, displayed, monkeypatch):
    lesson.written("overlaps", unwritten)
    assert "not written yet" in capsys.readouterr().out
    lesson.beside("overlaps")
    assert not displayed and "First write overlaps in the cell above." in capsys.readouterr().out
    lesson.written("overlaps", lambda first, second, n: range(first))
    lesson.beside("overlaps")
    assert "max(0, first + second - n)" in displayed[1]


def test_a_run_without_a_reader_is_filled_in_and_shown_everything(capsys, displayed, monkeypatch):
    monkeypatch.setenv(lesson.FILL_IN, "1")
    use = lesson.written("cohens_kappa", unwritten)
    assert use([[20, 5], [10, 15]]) == pytest.approx(0.4)
    lesson.beside("cohens_kappa")
    assert "by_chance" in displayed[1]


def test_an_error_of_the_reader_is_passed_on_and_counts_as_an_attempt(displayed):
    with pytest.raises(ZeroDivisionError):
        lesson.written("cohens_kappa", lambda table: 1 / 0)
    lesson.beside("cohens_kappa")
    assert displayed


def test_what_the_kit_does_differently_is_not_shown_as_the_same(monkeypatch, displayed):
    question = QUESTIONS["cohens_kappa"]._replace(same=lambda table: 0.5)
    monkeypatch.setitem(QUESTIONS, "cohens_kappa", question)
    lesson.written("cohens_kappa", question.solution)
    with pytest.raises(AssertionError, match="cohens_kappa: the kit's lines give something else"):
        lesson.beside("cohens_kappa")


def test_unknown_questions_and_cells_out_of_order_are_refused():
    with pytest.raises(InputError, match="Did you mean 'cohens_kappa'"):
        lesson.written("cohens_kapa", unwritten)
    with pytest.raises(InputError, match="Run the cell above first"):
        lesson.beside("cohens_kappa")


def test_a_step_of_plain_keras_trains():
    """The solution, in a model of nothing but Keras, as 02 uses it."""
    encoder, decoder = keras.Input((8, 8, 1)), keras.Input((2,))
    flat = keras.layers.Flatten()(encoder)
    heads = [keras.layers.Dense(2)(flat) for _ in range(2)]
    image = keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(decoder))

    class PlainVAE(keras.Model):
        def train_step(self, images):
            return QUESTIONS["train_step"].solution(self, images, keras.random.normal((ops.shape(images)[0], 2)))

    model = PlainVAE()
    model.encoder, model.decoder, model.weight = keras.Model(encoder, heads), keras.Model(decoder, image), 64.0
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    model.built = True
    images = np.tile(np.linspace(0, 1, 8, dtype="float32")[None, :, None, None], (32, 1, 8, 1))
    log = model.fit(images, epochs=20, batch_size=8, verbose=0).history
    assert log["mse"][-1] < 0.5 * log["mse"][0]


# ==== The notebooks ====


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_written_in_and_gives_nothing_away_first(path):
    every = cells(path)
    places = [i for i, cell in enumerate(every) if "write-here" in cell["metadata"].get("tags", [])]
    assert 3 <= len(places) <= 5
    for place in places:
        module = ast.parse("".join(every[place]["source"]))
        [function] = [node for node in module.body if isinstance(node, ast.FunctionDef)]
        name, solution = function.name, QUESTIONS[function.name].solution
        assert ast.unparse(function.body[-1]).endswith("raise NotImplementedError()")
        assert ast.get_docstring(function) == inspect.getdoc(solution)
        assert ast.unparse(function.args) == str(inspect.signature(solution))[1:-1].replace(" = ", "=")
        assert ast.unparse(module.body[-1]) == f"{name} = lesson.written('{name}', {name})"
        shown = every[place + 1]
        assert "".join(shown["source"]) == f'lesson.beside("{name}")'
        assert shown["metadata"]["jupyter"] == {"outputs_hidden": True}
        used = "".join("".join(cell["source"]) for cell in every[place + 2 :] if cell["cell_type"] == "code")
        assert f"{name}(" in used, f"{name} is not used"


def test_every_question_is_asked_once_and_its_solution_is_short():
    asked = [
        "".join(cell["source"]).split('"')[1]
        for path in LESSONS
        for cell in cells(path)
        if "".join(cell["source"]).startswith("lesson.beside(")
    ]
    assert sorted(asked) == sorted(QUESTIONS)
    for question in QUESTIONS.values():
        body = ast.parse(inspect.getsource(question.solution)).body[0].body[1:]
        assert sum(node.end_lineno - node.lineno + 1 for node in body) <= 10
        assert 2 <= len(question.hints) <= 3
