import keras
import pytest

from tlkeras.sources.macs import count_macs

layers = keras.layers


def pictures(*steps, size=8, channels=4):
    image = keras.Input((size, size, channels))
    x = image
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        # Positions times what each output sums up: 3 x 3 x 4 channels in, 5 out.
        (pictures(layers.Conv2D(5, 3, padding="same")), 64 * 9 * 4 * 5),
        (pictures(layers.Conv2D(5, 3, strides=2, padding="same")), 16 * 9 * 4 * 5),
        (pictures(layers.Conv2D(6, 3, padding="same", groups=2)), 64 * 9 * 2 * 6),
        (pictures(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)), 64 * 9 * 4 * 2),
        (pictures(layers.SeparableConv2D(6, 3, padding="same")), 64 * 9 * 4 + 64 * 4 * 6),
        # Each pixel that goes in is spread over 3 x 3 x 6.
        (pictures(layers.Conv2DTranspose(6, 3, strides=2, padding="same")), 64 * 9 * 4 * 6),
        (pictures(layers.GlobalAveragePooling2D(), layers.Dense(7)), 4 * 7),
        (pictures(layers.Dense(7)), 64 * 4 * 7),
        (pictures(layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()), 0),
    ],
)
def test_the_cost_is_that_worked_out_by_hand(network, expected):
    assert count_macs(network, 8) == expected


def test_attention_costs_its_projections_and_both_products():
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 8)(ids)
    network = keras.Model(ids, layers.MultiHeadAttention(2, 4)(x, x))
    # Four projections 8 to 8 for each of 6 tokens; scores and mixture, 6 x 6 pairs of 8 channels each.
    assert count_macs(network, 6) == 4 * 6 * 8 * 8 + 2 * 6 * 6 * 8


def test_a_published_cost_is_met():
    # MobileNetV2's paper: 300 million; its classifier takes 1.28 million of them.
    network = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None)
    assert count_macs(network, 224) == pytest.approx(300e6 - 1.28e6, rel=0.005)
