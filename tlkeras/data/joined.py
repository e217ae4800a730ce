"""Several parts as one: examples one after the other, where their stores are of one kind."""

from collections.abc import Sequence

import numpy as np

from tlkeras.data.cells import join_texts
from tlkeras.data.encoded import join_columns
from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Store, Texts
from tlkeras.data.targets import ClassTargets, MultiLabelTargets, NoTargets, Targets, ValueTargets


def join_examples(parts: Sequence[Examples]) -> Examples:
    """Return the examples of several parts, one after the other; metadata columns that one lacks are left out.

    Raises:
        ValueError: Their stores or targets are not of one kind, or pictures in memory are of several sizes.
    """
    if len({(type(part.store), type(part.targets)) for part in parts}) != 1:
        kinds = sorted({f"{type(part.store).__name__} with {type(part.targets).__name__}" for part in parts})
        raise ValueError(f"Only examples of one kind can be joined. Received: {', '.join(kinds)}")
    names = set.intersection(*(set(part.metadata) for part in parts))
    return Examples(
        ids=np.concatenate([part.ids for part in parts]),
        store=_join_stores([part.store for part in parts]),
        targets=_join_targets([part.targets for part in parts]),
        metadata={name: np.concatenate([part.metadata[name] for part in parts]) for name in sorted(names)},
    )


def _join_stores(stores: Sequence[Store]) -> Store:
    files = [store for store in stores if isinstance(store, ImageFiles)]
    if files:
        return ImageFiles(tuple(path for store in files for path in store.paths))
    encoded = [store for store in stores if isinstance(store, EncodedImages)]
    if encoded:
        names = tuple(name for store in encoded for name in store.names)
        return EncodedImages(join_columns([store.pictures for store in encoded]), names)
    arrays = [store for store in stores if isinstance(store, ImageArrays)]
    if arrays:
        return ImageArrays(np.concatenate([store.pixels for store in arrays]), arrays[0].origin)
    texts = [store for store in stores if isinstance(store, Texts)]
    if len(texts) < len(stores):
        raise ValueError(f"These cannot be joined. Received: {type(stores[0]).__name__}")
    return Texts(
        texts=join_texts([store.texts for store in texts]),
        rows=np.concatenate([store.rows for store in texts]),
        origin=texts[0].origin,
        files=_files(texts),
    )


def _files(texts: Sequence[Texts]) -> tuple[str, ...]:
    """Return the file of each text; nothing where all come from one."""
    if not any(store.files for store in texts) and len({store.origin for store in texts}) == 1:
        return ()
    return tuple(file for store in texts for file in (store.files or (store.origin,) * len(store)))


def _join_targets(targets: Sequence[Targets]) -> Targets:
    first = targets[0]
    if isinstance(first, (ClassTargets, MultiLabelTargets)):
        return type(first)(np.concatenate([part.labels for part in targets]))  # type: ignore[attr-defined]
    if isinstance(first, ValueTargets):
        return ValueTargets(np.concatenate([part.values for part in targets]))  # type: ignore[attr-defined]
    return NoTargets(sum(map(len, targets)))
