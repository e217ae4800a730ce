"""Small pictures of offenders, as `data:` addresses that a page can hold."""

import base64
import io
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from tlkeras.data.decode import decode_image, resize_pixels
from tlkeras.data.examples import EncodedImages, ImageArrays, ImageFiles, Store
from tlkeras.data.health.finding import Finding, Offender

SIDE = 96
"""In pixels."""

SHOWN = 12
"""Offenders of a finding that are shown as pictures."""


def with_thumbnails(findings: Sequence[Finding], store: Store) -> tuple[Finding, ...]:
    """Return the findings with a small picture of the first offenders of each, as far as they can be decoded."""
    if not isinstance(store, (ImageFiles, EncodedImages, ImageArrays)):
        return tuple(findings)
    return tuple(
        replace(
            finding,
            offenders=(*(_shown(one, store) for one in finding.offenders[:SHOWN]), *finding.offenders[SHOWN:]),
        )
        for finding in findings
    )


def _shown(offender: Offender, store: ImageFiles | EncodedImages | ImageArrays) -> Offender:
    if offender.row < 0:
        return offender
    try:
        if isinstance(store, ImageArrays):
            pixels = resize_pixels(store.pixels[offender.row], SIDE)
        else:
            pixels = decode_image(store.encoded(offender.row), SIDE)
    except ValueError:
        return offender
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    return replace(offender, thumbnail="data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode())
