"""Text encoders in folders, with their tokenizers."""

from pathlib import Path

from tlkeras.errors import WeightsError
from tlkeras.sources.encoders import cut_encoder
from tlkeras.sources.huggingface import load_encoder
from tlkeras.sources.local import Opened
from tlkeras.sources.local_images import blocks_of_run, load_keras
from tlkeras.sources.tensor_files import open_folder as open_tensors
from tlkeras.sources.tensor_files import read_json
from tlkeras.sources.tokenizer import tokenizer_from_file, tokenizer_from_folder

_CARRIED = Path("exports") / "saved_model" / "assets.extra"
"""Where a run keeps its tokenizer: beside its SavedModel."""


def open_run(folder: Path) -> Opened:
    """Open the encoder of a model that tlkeras trained, and the tokenizer beside its SavedModel."""
    carried = folder / _CARRIED
    if not (carried / "tokenizer.json").is_file():
        raise WeightsError(f"{folder} has no {_CARRIED / 'tokenizer.json'}: a run exports it with the target saved_model.")
    blocks = blocks_of_run(load_keras(folder / "model.keras"))
    if not blocks:
        raise WeightsError(f"{folder / 'model.keras'} is no text model that tlkeras trained.")
    said = read_json(carried / "metadata.json").get("input", {})
    tokenizer = tokenizer_from_file(carried / "tokenizer.json")
    return Opened(blocks, int(said["sequence_length"]), tokenizer=tokenizer, pad_id=int(said["pad_id"]))


def open_folder(folder: Path) -> Opened:
    """Open an encoder in Hugging Face's format."""
    config = read_json(folder / "config.json")
    tensors = open_tensors(folder)
    encoder, longest = load_encoder(folder, config, tensors)
    tokenizer, pad_id = tokenizer_from_folder(folder, config)
    vocabulary = int(config["vocab_size"])
    if tokenizer.get_vocab_size() > vocabulary:
        raise WeightsError(
            f"The tokenizer in {folder} has {tokenizer.get_vocab_size():,} pieces, the network knows {vocabulary:,}: "
            "they do not belong together."
        )
    facts = {"constructor": f"Hugging Face's {config['model_type']}"}
    return Opened(cut_encoder(encoder, pad_id=pad_id), longest, tokenizer=tokenizer, pad_id=pad_id, facts=facts)
