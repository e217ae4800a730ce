import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from tests.data_files import words
from tlkeras.data import duplicates
from tlkeras.data.decode import decode_image
from tlkeras.data.duplicates import (
    LOOK,
    MAX_BITS,
    connect,
    equal_rows,
    near_pictures,
    near_texts,
    normalise_text,
    picture_looks,
)


def scene(seed, size=(320, 240)):
    """Return a picture of soft shapes that differs from that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def jpeg(image, quality=90):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def look(data, side=240):
    return picture_looks(decode_image(data, 32)[None], [side])[0]


def pair_set(pairs):
    return {tuple(sorted(pair)) for pair in pairs.tolist()}


CHANGES = {
    "quality": lambda image: jpeg(image, 30),
    "size": lambda image: jpeg(image.resize((160, 120))),
    "brightness": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.9)),
    "blur": lambda image: jpeg(image.filter(ImageFilter.GaussianBlur(2))),
    "grey edge": lambda image: jpeg(image.crop((2, 2, 318, 238))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_that_was_only_processed_is_a_near_copy(change):
    scenes = [scene(seed) for seed in range(12)]
    looks = np.array([look(jpeg(one)) for one in scenes] + [look(CHANGES[change](one)) for one in scenes], LOOK)
    assert pair_set(near_pictures(looks)) == {(row, row + 12) for row in range(12)}


def test_all_hashes_that_differ_in_few_bits_are_found_and_no_others(monkeypatch):
    generator = np.random.default_rng(0)
    hashes = generator.integers(1, 2**63, 120, dtype=np.uint64)
    near = hashes[:60].copy()
    for row in range(60):  # 0 to 14 bits away, some within the bound and some beyond
        for bit in generator.choice(64, row % 15, replace=False):
            near[row] ^= np.uint64(1) << np.uint64(bit)
    spread = hashes[60:].copy()
    for bit in range(2, 64, 8)[:MAX_BITS]:  # the hardest ones: each bit in another part of the hash
        spread ^= np.uint64(1) << np.uint64(bit)
    every = np.unique(np.concatenate([hashes, near, spread]))
    brute = {
        (one, other)
        for one, other in combinations(range(len(every)), 2)
        if int(every[one] ^ every[other]).bit_count() <= MAX_BITS
    }
    assert pair_set(duplicates._near_hashes(every)) == brute and len(brute) > 80
    monkeypatch.setattr(duplicates, "_MANY", 0)  # as with very many pictures: three blocks in common instead of two
    monkeypatch.setattr(duplicates, "_MAX_BLOCK", 5)
    assert pair_set(duplicates._near_hashes(every)) == brute


def test_of_small_pictures_only_those_that_hardly_differ_are_near_copies():
    small = [scene(seed).resize((28, 28)) for seed in range(30)]
    exact, saved = [jpeg(one, 100) for one in small], [jpeg(one, 90) for one in small]
    looks = np.array([look(one, side=28) for one in (*exact, *saved)], LOOK)
    assert pair_set(near_pictures(looks)) == {(row, row + 30) for row in range(30)}
    blurred = [jpeg(one.filter(ImageFilter.GaussianBlur(2))) for one in small]  # near copies if they were larger
    looks = np.array([look(one, side=28) for one in (*exact, *blurred)], LOOK)
    assert not pair_set(near_pictures(looks))
    looks = np.array([look(one, side=7) for one in (*exact, *saved)], LOOK)
    assert len(near_pictures(looks)) == 0 and (looks["hash"] == 0).all()


def test_pictures_of_another_colour_or_of_another_shade_are_no_near_copies():
    looks = np.zeros(4, LOOK)
    looks["hash"] = 5
    looks["thumbnail"][0], looks["thumbnail"][1] = (200, 0, 0), (0, 0, 200)
    looks["thumbnail"][2], looks["thumbnail"][3] = (100, 100, 100), (102, 102, 102)
    # Equal hashes form a chain in the order of the rows; only the pair that looks alike is left of it.
    assert pair_set(near_pictures(looks)) == {(2, 3)}


def test_pictures_of_one_texture_in_another_light_are_no_near_copies():
    texture = np.random.default_rng(0).integers(0, 100, (8, 8, 3))
    looks = np.zeros(3, LOOK)
    looks["hash"], looks["thumbnail"] = 5, [texture, texture + 40, texture + 120]
    assert pair_set(near_pictures(looks)) == {(0, 1)}


def test_a_text_that_differs_in_case_punctuation_or_a_letter_is_a_near_copy():
    texts = [words(seed, 12) for seed in range(30)]
    changed = [texts[0].upper() + "!", texts[1].replace(" ", ", "), texts[2][:40] + "x" + texts[2][41:], texts[3] + " end"]
    assert pair_set(near_texts(texts + changed)) == {(row, 30 + row) for row in range(4)}


def test_the_overlap_that_counts_is_that_of_runs_of_five_bytes():
    texts = ["abcdefghij" * 3 + words(seed, 3) for seed in range(200)]
    found = pair_set(near_texts(texts))

    def runs(text):
        return {text[place : place + 5] for place in range(len(text) - 4)}

    sets = [runs(normalise_text(text)) for text in texts]
    overlap = {
        (one, other): len(sets[one] & sets[other]) / len(sets[one] | sets[other]) for one, other in combinations(range(200), 2)
    }
    assert not found and max(overlap.values()) < 0.8
    texts[7] = texts[8][:-1]
    assert pair_set(near_texts(texts)) == {(7, 8)}


def test_texts_that_share_less_than_the_bound_are_no_near_copies():
    texts = [words(seed, 12) for seed in range(40)]
    others = [text[:97] + words(100 + seed, 1) + words(200 + seed, 1)[:4] for seed, text in enumerate(texts)]

    def runs(text):
        return {text[place : place + 5] for place in range(len(text) - 4)}

    overlap = [len(runs(one) & runs(two)) / len(runs(one) | runs(two)) for one, two in zip(texts, others, strict=True)]
    assert 0.6 < min(overlap) <= max(overlap) < 0.78  # near enough for most to be compared
    assert not pair_set(near_texts(texts + others))


def test_what_is_kept_of_a_text_does_not_depend_on_its_neighbours():
    texts = [words(seed, 3) for seed in range(20)] + ["abcde"]
    _, together, _ = duplicates._signatures(texts)
    assert all((duplicates._signatures([text])[1][0] == together[row]).all() for row, text in enumerate(texts))


def test_texts_of_signs_alone_are_told_apart():
    assert normalise_text(" :-) ") == ":-)" and normalise_text("Ｆｕｌｌ-Width_x") == "full width x"
    assert pair_set(near_texts([":-)", ":-(", ":-)", "", "ok", "OK!"])) == {(0, 2), (4, 5)}


def test_texts_in_several_chunks_give_the_same_pairs(monkeypatch):
    texts = [words(seed, 8) for seed in range(40)]
    texts += [text[:-1] for text in texts[:10]]
    once = pair_set(near_texts(texts))
    monkeypatch.setattr(duplicates, "_CHUNK_BYTES", 100)
    assert pair_set(near_texts(texts)) == once == {(row, 40 + row) for row in range(10)}


def test_rows_that_pairs_connect_form_a_group():
    groups = connect(6, np.array([[0, 2], [2, 5]]), np.array([[3, 4]]))
    assert groups[0] == groups[2] == groups[5] and groups[3] == groups[4] and len(set(groups.tolist())) == 3
    assert equal_rows(np.array(["a", "b", "a", "a"])).tolist() == [[0, 2], [2, 3]]
