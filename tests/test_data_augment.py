"""Augmented views follow from the examples, the level and the seed."""

import numpy as np
import pytest

from tlkeras.data.augment import LEVELS, augment_pixels, augment_tokens, mix_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("level", LEVELS)
def test_a_view_is_a_function_of_pictures_level_and_seed(level):
    first, again, other = (augment_pixels(PIXELS, level, seed=seed) for seed in (1, 1, 2))
    assert first.dtype == np.uint8 and first.shape == PIXELS.shape
    np.testing.assert_array_equal(first, again)
    if level == "none":
        np.testing.assert_array_equal(first, PIXELS)
    else:
        assert not np.array_equal(first, other)
        assert not np.array_equal(first, PIXELS)


@pytest.mark.parametrize("level", ["light", "standard"])
def test_left_and_right_stay_unless_flips_are_asked_for(level):
    half = np.zeros((40, 16, 16, 3), np.uint8)
    half[:, :, :5] = 200  # bright on the left
    brighter_left = [
        (view[:, :, :8].mean(axis=(1, 2, 3)) > view[:, :, 8:].mean(axis=(1, 2, 3))).mean()
        for view in (augment_pixels(half, level, seed=3), augment_pixels(half, level, seed=3, flip=True))
    ]
    assert brighter_left[0] == 1.0
    assert 0.2 < brighter_left[1] < 0.8


@pytest.mark.parametrize("level", ["light", "standard"])
def test_views_of_coloured_pictures_stay_coloured(level):
    pixels = np.broadcast_to(np.array([[180, 90, 60], [60, 120, 160]], np.uint8)[:, None, None], (2, 32, 32, 3))

    def saturation(pictures):
        high, low = pictures.max(axis=-1).astype(float), pictures.min(axis=-1).astype(float)
        return ((high - low) / high).mean(axis=(1, 2))

    shares = np.array([saturation(augment_pixels(pixels, level, seed=seed)) for seed in range(5)]) / saturation(pixels)
    assert shares.min() > 0.5 and shares.max() < 1.8


def test_an_unknown_level_is_answered_with_the_levels():
    with pytest.raises(ValueError, match=r"Received: 'stron'. Did you mean 'strong'"):
        augment_pixels(PIXELS, "stron", seed=0)


def test_tokens_are_masked_at_the_share_of_the_level_and_special_ones_stay():
    rows = [np.arange(10, 110, dtype=np.int32) for _ in range(200)]
    views = augment_tokens(rows, "standard", mask_id=4, seed=0)
    masked = np.mean([(view == 4).mean() for view in views])
    assert masked == pytest.approx(0.1 * 98 / 100, abs=0.01)
    assert all(view[0] == 10 and view[-1] == 109 and view.dtype == np.int32 for view in views)


def test_without_a_mask_token_words_are_left_out():
    rows = [np.arange(10, 110, dtype=np.int32) for _ in range(50)]
    views = augment_tokens(rows, "light", mask_id=None, seed=0)
    assert np.mean([len(view) for view in views]) == pytest.approx(100 - 0.05 * 98, abs=1.0)
    assert all(set(view) <= set(rows[0]) and view[0] == 10 and view[-1] == 109 for view in views)


def test_mixed_targets_say_how_much_of_each_picture_is_seen():
    # Pictures of one brightness each: the mean of a mixture tells the share.
    levels = np.linspace(10, 240, 60)
    pixels = np.broadcast_to(levels[:, None, None, None], (60, 20, 20, 3)).astype(np.uint8)
    mixed, targets = mix_pixels(pixels, np.eye(60, dtype=np.float32), seed=0)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), targets @ pixels[:, 0, 0, 0], atol=0.6)
    assert (targets.max(axis=1) < 0.99).sum() > 20
