"""Text encoders in folders, with their tokenizers."""

from pathlib import Path
from typing import Any

from tlkeras.errors import WeightsError
from tlkeras.sources.encoders import cut_encoder
from tlkeras.sources.gate import check_config, check_hdf5
from tlkeras.sources.hub_presets import WEIGHTS
from tlkeras.sources.hub_texts import TEXT_FAMILIES
from tlkeras.sources.huggingface import load_encoder
from tlkeras.sources.local import Opened
from tlkeras.sources.local_images import blocks_of_run, load_keras
from tlkeras.sources.tensor_files import open_folder as open_tensors
from tlkeras.sources.tensor_files import plain_file, read_json
from tlkeras.sources.text_table import load_preset, read_preset
from tlkeras.sources.tokenizer import tokenizer_from_file, tokenizer_from_folder

CARRIED = Path("exports") / "saved_model" / "assets.extra"
"""Where a run keeps its tokenizer: beside its SavedModel."""


def open_run(folder: Path) -> Opened:
    """Open the encoder of a model that tlkeras trained, and the tokenizer beside its SavedModel."""
    carried = folder / CARRIED
    if not (carried / "tokenizer.json").is_file():
        raise WeightsError(f"{folder} has no {CARRIED / 'tokenizer.json'}: a run exports it with the target saved_model.")
    blocks = blocks_of_run(load_keras(folder / "model.keras"))
    if not blocks:
        raise WeightsError(f"{folder / 'model.keras'} is no text model that tlkeras trained.")
    said = read_json(carried / "metadata.json").get("input", {})
    tokenizer = tokenizer_from_file(carried / "tokenizer.json")
    return Opened(blocks, int(said["sequence_length"]), tokenizer=tokenizer, pad_id=int(said["pad_id"]))


def open_folder(folder: Path) -> Opened:
    """Open an encoder in Hugging Face's or KerasHub's format."""
    config = read_json(folder / "config.json")
    if "registered_name" in config:
        return _open_preset(folder, config)
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


def _open_preset(folder: Path, config: dict[str, Any]) -> Opened:
    kind = str(config["registered_name"]).split(">")[-1]
    families = {family.backbone: family for family in TEXT_FAMILIES.values()}
    said = read_json(plain_file(folder, "tokenizer.json"))
    tokenizer_kind = str(said.get("registered_name")).split(">")[-1]
    if kind not in families or tokenizer_kind != kind.replace("Backbone", "Tokenizer"):
        raise WeightsError(f"{folder} holds KerasHub's {kind!r} and {tokenizer_kind!r}. Text sources: {', '.join(families)}.")
    check_config(config.get("config"), folder / "config.json")
    check_config(said.get("config"), folder / "tokenizer.json")
    weights = plain_file(folder, WEIGHTS)
    check_hdf5(weights, weights.stat().st_size, str(weights))
    try:
        encoder, (tokenizer, pad_id) = load_preset(folder), read_preset(folder)
    except Exception as error:
        raise WeightsError(f"KerasHub cannot read the model in {folder}: {' '.join(str(error).split())[:300]}") from None
    longest = int(config["config"]["max_sequence_length"])
    blocks = cut_encoder(encoder, pad_id=pad_id, padded_to=longest if families[kind].padded else None)
    return Opened(blocks, longest, tokenizer=tokenizer, pad_id=pad_id, facts={"constructor": f"KerasHub's {kind}"})
