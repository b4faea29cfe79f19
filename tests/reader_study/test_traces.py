"""The preparation of a deck and the check for traces: what must be found, what must not, and what stays."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from dwikit.common.errors import InputError
from dwikit.reader_study import traces
from dwikit.reader_study.prepare import BRIGHTEST, DARKEST, LEVELS, WIDTH, head_of, prepare, usual


def heads(n, seed=0, size=32, sigma=0.7):
    """Round heads of several sizes and textures, the air exactly 0 as in slices."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    inside = np.hypot(y, x)[None] < rng.uniform(0.3, 0.42, (n, 1, 1)) * size
    texture = gaussian_filter(rng.normal(size=(n, size, size)), (0, sigma, sigma))
    return np.where(inside, 130 + 200 * texture, 0).clip(0, 255).astype(np.uint8)


def glowing(images, seed=0):
    """As networks draw them: the air not quite black, the brightest values not quite white."""
    air = np.random.default_rng(seed).integers(1, 9, images.shape)
    return np.maximum(images * 0.9, air).astype(np.uint8)


REAL, OTHERS = heads(260, 1), heads(260, 2)


def test_the_border_gives_every_image_away_before_and_none_after():
    groups = {"original": REAL, "vae": glowing(OTHERS)}
    before = traces.check(groups).set_index("trace")
    assert before.loc["border: pixels above 0", "accuracy"] == 1 and before.loc["head: share of 255", "auc"] > 0.8
    assert before["leaks"].sum() >= 5
    [first, *_] = traces.leaks(traces.check(groups))
    assert "this number alone tells vae from real images, 100.0% right" in first
    after = traces.check(groups, through=prepare)
    assert not after["leaks"].any() and after["auc"].max() < 0.65, after
    assert traces.leaks(after) == traces.limits(after) == []


def test_real_images_of_other_people_do_not_leak():
    rates = [traces.check({"original": heads(120, 10 + i), "x": heads(120, 50 + i)}, seed=i)["leaks"].any() for i in range(8)]
    assert sum(rates) <= 2


def test_people_not_images_are_exchanged():
    """Five people who differ in brightness, many images each: no rule holds for people it was not made on."""
    people = np.repeat(np.arange(5), 50)
    real = (REAL[:250] * (0.6 + 0.1 * people)[:, None, None]).astype(np.uint8)
    table = traces.check({"original": real, "x": (OTHERS[:250] * 0.8).astype(np.uint8)}, people)
    single = traces.check({"original": real, "x": (OTHERS[:250] * 0.8).astype(np.uint8)})
    assert table["bound"].iloc[0] > single["bound"].iloc[0] + 0.05


@pytest.mark.parametrize("stripes", [2, 4])
def test_periodic_patterns_are_found_and_mended(stripes):
    woven = (OTHERS * (1 + 0.25 * (np.arange(32) % stripes == 0))).clip(0, 255).astype(np.uint8)
    found = traces.check({"original": REAL, "gan": woven}).set_index("trace")
    assert found.loc["periodic excess", "leaks"] and found.loc["periodic excess", "auc"] > 0.65
    mended = traces.check({"original": REAL, "gan": woven}, through=prepare).set_index("trace")
    assert mended.loc["periodic excess", "auc"] < 0.65


def test_blurred_images_do_not_get_a_pattern_by_rounding_to_steps():
    """Blurred samples have little power at short periods; before, that of the steps was added, and 57 % were found."""
    blurred = gaussian_filter(heads(260, 2, size=64).astype(float), (0, 1.5, 1.5)).astype(np.uint8)
    found = traces.check({"original": heads(260, 1, size=64), "vae": blurred}, through=prepare).set_index("trace")
    assert not found.loc["periodic excess", "leaks"] and found.loc["periodic excess", "auc"] < 0.56, found


def test_the_size_of_a_head_is_no_trace():
    """A whole number of pixels misses a share by less, the larger a head is: with fixed shares, that called 72 % right."""
    small = np.pad(heads(260, 1, size=44), [(0, 0), (10, 10), (10, 10)])
    found = traces.check({"original": small, "gan": heads(260, 2, size=64)}, through=prepare).set_index("trace")
    assert not found["leaks"].any() and found.loc["head: share of 255", "accuracy"] < 0.56, found


def test_the_usual_rhythm_of_real_images_stays():
    """Anatomy has power at these periods, too: to take it away draws stripes."""
    furrows = 1 + 0.15 * np.cos(np.arange(32) * 2 * np.pi / 4)[:, None]
    real = (REAL[:100] * furrows).clip(0, 255).astype(np.uint8)
    like, inside = usual(real), np.array([head_of(image) for image in real])
    assert like.max() > 1.5 * np.median(like)
    changes = [np.corrcoef(prepare(real, aim)[inside], real[inside])[0, 1] for aim in (None, like)]
    assert changes[1] > changes[0] + 0.005, changes
    found = traces.check({"original": REAL, "gan": glowing(OTHERS)}, through=lambda images: prepare(images, usual(REAL)))
    assert not found["leaks"].any(), found


def test_what_a_prepared_image_is():
    for image, result in zip(glowing(REAL), prepare(glowing(REAL))):
        head = head_of(image)
        assert np.array_equal(head_of(result), head) and not result[~head].any()
        for share, value in ((DARKEST, result[head].min()), (BRIGHTEST, 255)):
            assert abs((result[head] == value).mean() - share) <= WIDTH / 2 + 0.5 / head.sum()
        assert len(np.unique(result)) <= LEVELS


def test_the_content_stays():
    """What readers judge is as it was: within a head, a straight line leads from the grey values to the prepared ones."""
    images = heads(20, size=64, sigma=1.5)
    for image, result in zip(images, prepare(images)):
        between = head_of(image) & (result > result[result > 0].min()) & (result < 255)
        assert np.corrcoef(image[between], result[between])[0, 1] > 0.9


def test_images_without_a_head_become_black():
    flat = np.full((2, 16, 16), 90, np.uint8)
    assert not prepare(np.stack([flat[0] * 0, np.random.default_rng(0).integers(0, 20, (16, 16)).astype(np.uint8)])).any()
    assert prepare(flat).shape == (2, 16, 16)


def test_a_check_needs_people_and_fakes():
    for groups, people in (({"original": REAL}, None), ({"original": REAL, "x": OTHERS}, ["one"] * 260)):
        with pytest.raises(InputError, match="two or more people, and generated ones"):
            traces.check(groups, people)


def test_few_images_are_said_to_be_few():
    table = traces.check({"original": REAL[:40], "x": OTHERS[:50]})
    assert traces.limits(table) == [
        "The check for traces had 40 images a group; with fewer than 250, it finds only coarse ones."
    ]
    assert isinstance(table, pd.DataFrame) and table["accuracy"].is_monotonic_decreasing
