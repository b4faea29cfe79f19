"""The frame of pictures: around every head, the same for all that are shown together."""

import numpy as np
import pytest

from dwikit.slices import head_frame


def heads(n=5, size=64, top=20, bottom=50, left=24, right=44):
    images = np.zeros((n, size, size), np.uint8)
    images[:, top:bottom, left:right] = 120
    return images


def test_the_frame_holds_the_heads_of_all_groups_and_little_else():
    images, larger = heads(), heads(2, top=16, right=49)
    assert head_frame(images) == (slice(19, 51), slice(23, 45))
    assert head_frame(images, larger) == head_frame(larger, images) == (slice(15, 51), slice(23, 50))
    assert head_frame(images / 255, larger[..., None]) == head_frame(images, larger)


def test_specks_and_noise_in_the_air_do_not_widen_it():
    rng = np.random.default_rng(0)
    noisy = heads(30) + rng.integers(0, 20, (30, 64, 64)).astype(np.uint8)
    noisy[:, 3, 5:8] = 255
    noisy[::2, 60:62, 60:62] = 255
    assert head_frame(noisy) == head_frame(heads())


def test_what_a_network_draws_beside_the_head_stays_inside():
    torn = heads()
    torn[1, 60:63, 2:9] = 90
    rows, columns = head_frame(heads(), torn)
    assert torn[1, rows, columns].sum() == torn[1].sum()


def test_a_thin_scalp_around_a_dark_ring_is_part_of_the_head():
    y, x = np.mgrid[:64, :64] - 32
    distance = np.hypot(y, x)
    head = np.where(distance < 15, 200, np.where(abs(distance - 24) < 1, 40, 0)).astype(np.uint8)
    assert head_frame(head[None]) == (slice(7, 58), slice(7, 58))


def test_black_images_are_shown_whole_and_change_no_frame():
    black = np.zeros((3, 64, 64), np.uint8)
    assert head_frame(black) == head_frame(black[:0]) == (slice(0, 64), slice(0, 64))
    assert head_frame(black, heads()) == head_frame(heads())


@pytest.mark.parametrize("size", [8, 32, 128])
def test_a_head_at_the_border_is_not_cut(size):
    full = np.full((1, size, size), 200, np.uint8)
    assert head_frame(full) == (slice(0, size), slice(0, size))
