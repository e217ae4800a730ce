"""Text source models: loading one by its name, or from a folder."""

from dataclasses import replace
from pathlib import Path

from tlkeras.errors import unknown
from tlkeras.sources.blocks import call_random, chain, seeded, with_random_weights
from tlkeras.sources.encoders import cut_encoder
from tlkeras.sources.local import is_path, load_local
from tlkeras.sources.model import Block, SourceModel
from tlkeras.sources.text_table import DEFAULT_SEQUENCE, TEXT_SOURCES, TextSource
from tlkeras.sources.tokenizer import in_graph_tokenizer

__all__ = ["TEXT_SOURCES", "TextSource", "in_graph_tokenizer", "load_text_source", "text_blocks"]

SHORTEST_SEQUENCE = 4


def load_text_source(name: str, *, sequence_length: int | None = None, pretrained: bool = True, seed: int = 0) -> SourceModel:
    """Load an encoder that turns token ids into hidden states and a mask.

    Args:
        name: A key of `TEXT_SOURCES`; `tlkeras sources` lists them. Or a path: the folder of an earlier run, or one in Hugging
            Face's format.
        sequence_length: The longest sequence in tokens, special tokens included; 128 if not given.
        pretrained: False for the same architecture with random weights; a preset's vocabulary is fetched all the same.
        seed: Of the random weights.

    Returns:
        A source model whose network takes int32 `token_ids`, shape `(batch, length)`, and gives hidden states
        `(batch, length, channels)` and the boolean mask `(batch, length)` of tokens that are not padding.

    Raises:
        ValueError: The name or the length is not allowed.
        WeightsError: The weights are not the known ones, or are neither installed nor to be downloaded.
    """
    if name not in TEXT_SOURCES:
        source = _from_disk(name, sequence_length)
        return source if pretrained else with_random_weights(source, seed=seed)
    row = TEXT_SOURCES[name]
    length = DEFAULT_SEQUENCE if sequence_length is None else sequence_length
    if not isinstance(length, int) or not SHORTEST_SEQUENCE <= length <= row.longest:
        raise ValueError(
            f"The sequence length of {name!r} must be a whole number of tokens from {SHORTEST_SEQUENCE} to {row.longest}. "
            f"Received: {length!r}"
        )
    if pretrained and row.load:
        encoder, known = row.load()
    else:
        with seeded(seed):
            encoder, known = row.build(), {}
    tokenizer, pad_id = row.read()
    blocks = cut_encoder(encoder, pad_id=pad_id, padded_to=length if row.padded else None)
    source = SourceModel(
        name=name,
        modality="text",
        network=chain(blocks, name=name),
        blocks=blocks,
        input_size=length,
        pretrained=pretrained and row.load is not None,
        tokenizer=tokenizer,
        pad_id=pad_id,
        facts={**row.facts.as_dict(), "scaling": row.reading, "weights": row.package or "download", **known},
    )
    return source if source.pretrained else call_random(source, seed=seed)


def text_blocks(name: str) -> tuple[Block, ...]:
    """Return the blocks of a source model with random weights, without its tokenizer: nothing is fetched.

    Args:
        name: A key of `TEXT_SOURCES`.
    """
    row = TEXT_SOURCES[name]
    return cut_encoder(row.build(), pad_id=0, padded_to=DEFAULT_SEQUENCE if row.padded else None)


def _from_disk(name: str, sequence_length: int | None) -> SourceModel:
    if not is_path(name):
        raise unknown("text source model", name, TEXT_SOURCES, see="tlkeras sources")
    source = load_local(Path(name), "text")
    length = min(DEFAULT_SEQUENCE, source.input_size) if sequence_length is None else sequence_length
    if not isinstance(length, int) or not SHORTEST_SEQUENCE <= length <= source.input_size:
        raise ValueError(
            f"The sequence length of {name!r} must be a whole number of tokens from {SHORTEST_SEQUENCE} to "
            f"{source.input_size}. Received: {length!r}"
        )
    return replace(source, input_size=length)
