"""HTML that escapes by itself: whatever is not `Html` yet is text, and is made safe on its way in."""

import html

BLOCKS = ("article", "details", "div", "header", "label", "p", "section")
"""Elements after which a new line does not show."""


class Html(str):
    """Text that is HTML already."""


def clean(text: object) -> str:
    """Any text, fit for HTML: escaped, in ASCII, without control characters and broken ones."""
    shown = (c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return html.escape("".join(shown)).encode("ascii", "xmlcharrefreplace").decode()


def join(*inside: object) -> Html:
    """Pieces one after the other; those that are not `Html` are escaped."""
    return Html("".join(item if isinstance(item, Html) else clean(item) for item in inside))


def tag(name: str, *inside: object, **attributes: object) -> Html:
    """One element. `class_` is written class, `aria_label` aria-label."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    opening = "".join([f"<{name}", *(f' {key}="{clean(value)}"' for key, value in pairs), ">"])
    if name in ("img", "input", "br"):
        return Html(opening)
    return Html(f"{opening}{join(*inside)}</{name}>" + "\n" * (name in BLOCKS))
