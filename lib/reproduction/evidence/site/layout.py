"""What all pages of the site share: their frame, colours and the two files in assets/."""

import html
import os
from pathlib import Path, PurePosixPath

import altair
import vl_convert
from pygments.formatters import HtmlFormatter

from reproduction.evidence.figures import COLOURS
from reproduction.evidence.site import colours

_HERE = Path(__file__).parent
STYLE, SCRIPT = PurePosixPath("assets/style.css"), PurePosixPath("assets/figures.js")

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{style}">
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<header><nav aria-label="Site">{menu}</nav></header>
<main id="main" tabindex="-1">
{body}
</main>
{script}</body>
</html>
"""


def relative(to: PurePosixPath, page: PurePosixPath) -> str:
    """The address of a file of the site, seen from one of its pages."""
    return os.path.relpath(to, page.parent).replace(os.sep, "/")


def frame(page: PurePosixPath, title: str, body: str, menu: dict[str, PurePosixPath], *, scripted: bool) -> str:
    """A whole page. `menu` holds what its header leads to; `scripted` says whether it has an interactive figure."""
    entries = [
        f'<a href="{relative(to, page)}"' + (' aria-current="page"' if to == page else "") + f">{html.escape(text)}</a>"
        for text, to in menu.items()
    ]
    return _FRAME.format(
        title=html.escape(title),
        style=relative(STYLE, page),
        menu=" ".join(entries),
        body=body,
        script=f'<script src="{relative(SCRIPT, page)}"></script>\n' if scripted else "",
    )


def script() -> str:
    """Vega, Vega-Lite and Vega-Embed as vl-convert brings them, and what draws the page's figures with them."""
    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # of the charts that Altair makes
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    own = (_HERE / "figures.js").read_text(encoding="utf-8")
    return f"(() => {{\n{bundle}\n{own}}})();\n"


def style() -> str:
    """The style sheet, with the colours of variants and of code, for light and dark."""
    code = {theme: HtmlFormatter(style=name).get_style_defs(".highlight") for theme, name in colours.CODE.items()}
    light, dark = (_variables(theme) for theme in ("light", "dark"))
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        + code["light"]
        + f"\n@media (prefers-color-scheme: dark) {{\n:root {{ {dark} }}\n{code['dark']}\n}}\n"
        + (_HERE / "style.css").read_text(encoding="utf-8")
        + "".join(
            f".legend .vega-bind:nth-child({k}) input {{ accent-color: var(--curve-{k}, var(--muted)); }}\n"
            for k in range(1, len(COLOURS) + 1)
        )
    )


def _variables(theme: str) -> str:
    named = colours.PAGE[theme] | {name: colours.on_page(colour, theme) for name, colour in COLOURS.items()}
    return " ".join(f"--{name}: {value};" for name, value in named.items())
