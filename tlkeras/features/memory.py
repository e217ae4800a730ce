"""How much memory a computation may plan with."""


def available_bytes() -> int:
    """Return the bytes of memory that can be had now without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)
