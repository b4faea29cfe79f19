"""Is it good for anything? The experiment is fair, keeps what is done, and judges by its rule."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage, stats

from dwikit import profiles
from dwikit.common.errors import InputError
from dwikit.evaluation import usefulness
from dwikit.evaluation.usefulness import arms, experiment, judge, patients, tasks
from dwikit.evaluation.usefulness.arms import UNLABELLED, Arm
from dwikit.slices import SliceStore

SECTION = {"usefulness": {"seeds": 2, "steps": 2, "patients": 1, "batch_size": 4}}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The tests' store comes from the direct path with these settings."""
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    cohort, slices = {"cases": 12, "registered": 0, "seed": 3}, {"fov_mm": 233.0, "interpolator": "linear", "percentile": 95.0}
    return profiles.resolve("smoke", cohort=cohort, slices=slices, evaluation=SECTION)


@pytest.fixture
def samples(store):
    """What a perfect generator would give, and noise."""
    return {"vae": store.split("train")[:40], "noise": np.random.default_rng(0).integers(0, 256, (50, 32, 32), np.uint8)}


# ==== Patients ====


def test_labelled_slices_are_those_of_the_store(config, store):
    taught, judged = patients.choose(config, store)
    splits = store.table.drop_duplicates("subject").set_index("subject")["split"]
    assert set(splits[taught]) == {"train"} and "train" not in set(splits[judged])
    labelled, kept = patients.with_labels(config, store, judged), patients.from_store(config, store, judged)
    assert np.array_equal(labelled.images, kept.images) and np.array_equal(labelled.patients, kept.patients)
    everyone = patients.with_labels(config, store, list(splits.index))
    air, grey, white, fluid = (everyone.labels == tissue for tissue in range(4))
    deep = ndimage.binary_erosion(white, np.ones((1, 3, 3)))  # 7 mm a pixel: at its border, white matter is half grey
    brightness = [everyone.images[tissue].mean() for tissue in (air, fluid, deep, grey)]
    assert brightness == sorted(brightness), "as diffusion weighting has it"


def test_the_window_holds_the_brains_and_halves_twice():
    for size, fov in ((128, 300.0), (64, 300.0), (32, 300.0), (64, 233.0), (32, 233.0), (64, 220.0), (32, 220.0)):
        middle = patients.window(size, fov)
        width = middle.stop - middle.start
        assert width % 4 == 0 and middle.start == size - middle.stop and width / size * fov >= patients.HEAD_MM


def test_a_block_takes_its_most_frequent_tissue():
    labels = np.array([[[1, 1, 0, 3], [2, 1, 3, 3], [2, 2, 0, 0], [2, 2, 0, 1]]], np.uint8)
    assert patients.shrink_labels(labels, 2).tolist() == [[[1, 3], [2, 0]]]


# ==== Arms ====


def test_arms_have_names_for_files_and_for_tables():
    names = [arm.name for arm in arms.arms(["vae", "style_gan"])]
    assert names == [
        "none", "classical", "classical-vae", "classical-style_gan", "classical-unlabelled",
    ]  # fmt: skip
    assert Arm(True, "style_gan").label({"style_gan": "StyleGAN"}) == "classical + StyleGAN"


def test_half_of_a_batch_is_synthetic_and_the_seed_decides_all():
    few, extra = (np.full((5, 8, 8), value, np.uint8) for value in (51, 255))
    draws = [next(arms.batches(Arm(False, "vae"), (few, few), (extra, extra), 6, seed)) for seed in (1, 1)]
    assert [batch[0][:, 0, 0].tolist() for batch in draws] == [pytest.approx([0.2] * 3 + [1.0] * 3)] * 2
    assert (next(arms.batches(Arm(False), (few, few), None, 6, 1))[0] == np.float32(0.2)).all()


def test_labels_move_with_their_image(monkeypatch):
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[:, 16:40, 8:28] = 1
    monkeypatch.setattr(arms, "SHARE", 1.0)
    images, moved = arms.augment(labels.astype(np.float32) * 0.6, labels, np.random.default_rng(0), noise=0.0)
    bright = images > images.max(axis=(1, 2), keepdims=True) / 2
    assert np.mean([tasks.dice(a, b) for a, b in zip(bright, moved == 1)]) > 0.97
    columns = (moved * np.arange(64)).sum((1, 2)) / moved.sum((1, 2))
    assert 16 < (columns > 32).sum() < 48  # about half are mirrored
    assert images.max(axis=(1, 2)).std() > 0.03  # gain
    assert len(np.unique(moved, axis=0)) > 50  # affine; without it there are two


# ==== Scores ====


def test_dice_and_psnr():
    a, b = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert tasks.dice(a, b) == 0.5 and tasks.dice(a, a) == 1 and tasks.dice(a & b & ~a, a & ~a) == 1
    assert tasks.psnr(np.array([0, 255], np.uint8), np.array([255, 255], np.uint8)) == pytest.approx(10 * np.log10(2))


def test_noise_is_rician():
    air = tasks.rician(np.zeros((4, 64, 64), np.float32), np.random.default_rng(0), sd=0.1)
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02) and air.min() >= 0
    bright = tasks.rician(np.ones((4, 64, 64), np.float32), np.random.default_rng(0), sd=0.1)
    assert bright.std() == pytest.approx(0.1, rel=0.02)


def test_the_interval_is_students_where_only_people_or_only_seeds_differ():
    varied = np.random.default_rng(0).normal(0.1, 1, 12)
    ends = stats.ttest_1samp(varied, 0).confidence_interval()
    assert judge.interval(np.tile(varied, (3, 1))) == pytest.approx((varied.mean(), *ends))
    assert judge.interval(np.tile(varied[:, None], (1, 3))) == pytest.approx((varied.mean(), *ends))
    assert judge.interval(varied[None]) == pytest.approx((varied.mean(), *ends)), "one seed: people alone"
    assert judge.interval(np.full((3, 4), 0.5)) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize("spread_of_seeds", [0.0, 1.0, 5.0])
def test_where_nothing_is_gained_a_verdict_is_rare(seeds, spread_of_seeds):
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(400):
        of_seed, of_person = rng.normal(0, spread_of_seeds, (seeds, 1)), rng.normal(0, 1, (1, 12))
        wrong += judge.verdict(of_seed + of_person + rng.normal(0, 1, (seeds, 12))) != "no difference shown"
    assert wrong <= 400 * 0.09, "5 %, and the chance of 400 trials"


@pytest.mark.parametrize(
    ("by_seed", "spread", "expected"),
    [
        ((0.1, 0.12, 0.14), 0.01, "helps"),
        ((-0.1, -0.12, -0.14), 0.01, "hurts"),
        ((0.1, 0.2, 0.9), 0.01, "no difference shown"),
        ((0.4, 0.3, -0.1), 0.01, "no difference shown"),
        ((0.1, 0.2, 0.3), 5.0, "no difference shown"),
        ((0.1, 0.1), 0.01, "too few seeds"),
    ],
)
def test_a_verdict_needs_people_and_seeds(by_seed, spread, expected):
    assert judge.verdict(np.array(by_seed)[:, None] + spread * np.linspace(-1, 1, 12)) == expected


def test_judged_are_people_who_chose_no_epoch(config, store):
    section = dataclasses.replace(config.evaluation.usefulness, held_out=1)
    one = dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, usefulness=section))
    splits = store.table.drop_duplicates("subject").set_index("subject")["split"]
    assert splits[patients.choose(one, store)[1]].tolist() == ["test"]


# ==== Training ====


def test_a_network_is_as_new_for_every_arm():
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16), np.uint8)
    learner, ends = tasks.Learner(tasks.Denoising(), 16, 4, steps=3), []
    for seed in (1, 2, 1):
        learner.train(arms.batches(Arm(False), (images, images), None, 4, seed), seed)
        ends.append(learner.model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(ends[0], ends[2]))
    assert not np.array_equal(ends[0][0], ends[1][0])


def test_a_network_learns_to_denoise(config, store):
    slices = patients.from_store(config, store, store.table["subject"].unique()[:4])
    task = tasks.Denoising()
    learner = tasks.Learner(task, 32, 8, steps=60)
    learner.train(arms.batches(Arm(False), (slices.images, slices.images), None, 8, 0), 0)
    noisy = experiment.scores(task, task.answer(task.shown(slices)[..., None]), slices)
    assert (experiment.scores(task, learner.answers(task.shown(slices)), slices) > noisy + 3).all()


def test_segmentation_at_smoke(config, store, samples):
    table = usefulness.segmentation(config, store, {"vae": samples["vae"]})
    assert table.index.tolist() == [
        "no augmentation", "classical", "classical + VAE", *(f"classical + {name}" for name in arms.CONTROLS.values()),
    ]  # fmt: skip
    assert np.allclose(table[[f"Dice {tissue}" for tissue in tasks.TISSUES]].mean(axis=1), table["Dice"])
    differences = table["Dice"] - table.loc["classical", "Dice"]
    assert np.allclose(table["minus classical"].dropna(), differences.drop("classical"))
    told = table[judge.AGAINST_REAL].dropna()
    expected = table["Dice"] - table.loc[Arm(True, UNLABELLED).label({}), "Dice"]
    assert told.index.tolist() == ["classical + VAE"] and float(told.iloc[0].split()[0]) == pytest.approx(
        expected["classical + VAE"], abs=6e-4
    )
    figure = usefulness.picture(config, store, ["vae"])
    assert [axis.get_ylabel() for axis in figure.axes[:4]] == ["shown", "truth", "no\naugmentation", "classical"]
    names = {path.name for path in experiment.path(config, tasks.Segmentation(), Arm(True), 0).parent.iterdir()}
    assert len(names) == 10 and "classical-labelled-people-1-seed-1.npz" in names


def test_what_is_done_is_kept_and_only_what_changed_is_done_anew(config, store, samples, monkeypatch):
    samples = {"noise": samples["noise"]}

    def here(function, waves):
        return ((key, function(*arguments)) for jobs in waves for key, arguments in jobs.items())

    monkeypatch.setattr(experiment.parallel, "as_ready", here)
    train, trained = tasks.Learner.train, []

    def counted(learner, batches, seed):
        trained.append(seed)
        if len(trained) == 4:
            raise KeyboardInterrupt
        train(learner, batches, seed)

    monkeypatch.setattr(tasks.Learner, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        usefulness.denoising(config, store, samples)
    file = experiment.path(config, tasks.Denoising(), Arm(True), 0)
    before = file.stat().st_mtime_ns
    table = usefulness.denoising(config, store, samples)
    assert len(trained) == 4 + 2 * 4 - 3 and file.stat().st_mtime_ns == before

    experiment.path(config, tasks.Denoising(), Arm(True, UNLABELLED), 1).write_bytes(b"damaged")
    assert usefulness.denoising(config, store, samples).equals(table) and len(trained) == 10

    other = usefulness.denoising(config, store, {"noise": 255 - samples["noise"]})
    same = [label for label in table.index if "noise" not in label]
    assert len(trained) == 12 and other.loc[same].equals(table.loc[same]) and not other.equals(table)


def test_a_result_is_kept_only_for_the_same_code_data_and_teacher(monkeypatch):
    """Whatever decides a training changes its stamp, and comments do not."""
    pixels = np.zeros((4, 8, 8), np.uint8)
    few, teacher = patients.Slices(pixels, pixels, np.array([0, 0, 1, 1])), [np.zeros(3, np.float32)]
    section = profiles.resolve("smoke", evaluation=SECTION).evaluation.usefulness
    job = experiment.Job(tasks.Segmentation(), section, Arm(True, "vae"), 0, (pixels, pixels), pixels, teacher, few)
    first = experiment._stamp(job)
    assert experiment._stamp(job) == first
    others = [
        job._replace(labels=[np.ones(3, np.float32)]),
        job._replace(labels=pixels + 1),
        job._replace(own=(pixels, pixels + 1)),
        job._replace(pool=pixels + 1),
        job._replace(held_out=dataclasses.replace(few, patients=np.array([0, 1, 1, 1]))),
        job._replace(section=dataclasses.replace(section, steps=3)),
    ]
    stamps = {experiment._stamp(other) for other in others}
    monkeypatch.setattr(experiment, "BACKEND", "numpy")
    stamps.add(experiment._stamp(job))
    monkeypatch.undo()
    source = (experiment.Path(experiment.__file__).parent / "arms.py").read_text(encoding="utf-8")

    def digest(text: str) -> str:
        experiment._code.cache_clear()
        with monkeypatch.context() as patch:
            read = experiment.Path.read_bytes
            patch.setattr(experiment.Path, "read_bytes", lambda path: text.encode() if path.name == "arms.py" else read(path))
            return experiment._code()

    code = digest(source)
    assert digest(source.replace('"""The arms', '"""All arms') + "\n# a remark\n") == code
    stamps.add(digest(source.replace("SHARE = 0.25", "SHARE = 0.5")))
    experiment._code.cache_clear()
    assert len({first, code, *stamps}) == len(others) + 4


# ==== What is wrong is named ====


def test_tissues_of_ones_own_cohort_are_unknown(config, store, samples):
    own = dataclasses.replace(config, cohort=dataclasses.replace(config.cohort, bids="/data"))
    with pytest.raises(InputError, match="only for the simulated cohort"):
        usefulness.segmentation(own, store, samples)


def test_people_whom_other_code_simulated_are_refused(config, store):
    taught, _ = patients.choose(config, store)
    other = SliceStore(np.clip(store.images, 3, 255), store.table, store.settings)
    with pytest.raises(InputError, match=f"The slices of {taught[0]} are not those .* Run 01_preprocess"):
        patients.with_labels(config, other, taught)


def test_too_few_patients(config, store, samples):
    section = dataclasses.replace(config.evaluation.usefulness, patients=5)
    many = dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, usefulness=section))
    with pytest.raises(InputError, match="the store has 10 in training and 2 held out"):
        usefulness.denoising(many, store, samples)


@pytest.mark.parametrize("images", [np.zeros((5, 64, 64), np.uint8), np.zeros((5, 32, 32)), np.zeros((0, 32, 32), np.uint8)])
def test_samples_that_do_not_fit(config, store, images):
    with pytest.raises(InputError, match="samples of vae"):
        usefulness.denoising(config, store, {"vae": images})


def test_the_unlabelled_pool_is_nobody_known(config, store, samples):
    taught, judged = patients.choose(config, store)
    pools = experiment._pools(config, store, samples, taught)
    assert len(taught) == 2 and {len(pool) for pool in pools.values()} == {40}
    known = patients.from_store(config, store, [*taught, *judged]).images
    distances = [np.abs(known.astype(int) - image).sum((1, 2)).min() for image in pools[UNLABELLED] if image.max() > 20]
    assert min(distances) > 0
