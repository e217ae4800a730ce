"""A vocabulary that is made of characters and common words, so that smoke runs need no file."""

import string

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = (
    "a about after all also an and any are as at back be because but by can come could day do even first for from get "
    "give go good great have he her him his how i if in into is it its just know like look make me more most movie my new "
    "no not now of on one only or other our out over people say see she so some story take than that the their them then "
    "there these they think this time to two up us use want was way we well were what when which who will with work would "
    "year you your film bad best boring funny love never nothing plot too very watch worst "
)


def tiny_vocabulary() -> list[str]:
    """Return WordPiece pieces: special tokens, characters, characters within a word, common English words."""
    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    return [
        *_SPECIAL,
        *characters,
        *(f"##{character}" for character in characters),
        *(word for word in _WORDS.split() if len(word) > 1),
    ]
