"""Pages of HTML that need nothing else: one style, no script, pictures inside, a policy that forbids loading anything."""

import base64
import hashlib
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
LARGEST_PICTURE = 4_000_000
"""Bytes of a picture that a page takes in."""


def render_page(template: str, **values: Any) -> str:
    """Return a page; all values are escaped.

    Args:
        template: The name of a template in this folder that extends `page.html.j2`.
        values: What it shows.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    # The policy lets this one style in, and nothing else.
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The style is our own file, no value of a user.
    page = environment.get_template(template).render(style=Markup(style), style_hash=style_hash, **values)  # noqa: S704
    return page.encode("utf-8", "backslashreplace").decode()


def picture_address(folder: Path, name: str) -> str:
    """Return a PNG file as a `data:` address; empty where it is not there, lies outside the folder, or is too large.

    Args:
        folder: The folder that it must lie in.
        name: Its path, relative to the folder.
    """
    root = folder.resolve()
    path = (root / name).resolve()
    if not name or not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > LARGEST_PICTURE:
        return ""
    data = path.read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ""
    return "data:image/png;base64," + base64.b64encode(data).decode()
