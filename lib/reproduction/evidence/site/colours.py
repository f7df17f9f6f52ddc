"""Colours of the site, light and dark, and how well they can be read (WCAG 2.2)."""

import colorsys

PAGE = {
    "light": {
        "page": "#ffffff",
        "ink": "#1b1b1b",
        "muted": "#5a5a5a",
        "line": "#dcdcdc",
        "soft": "#f4f4f2",
        "link": "#0b57b0",
    },
    "dark": {
        "page": "#15181c",
        "ink": "#e4e4e2",
        "muted": "#a6a9ad",
        "line": "#363b42",
        "soft": "#1f242a",
        "link": "#8ab8ff",
    },
}

CODE = {"light": "xcode", "dark": "github-dark"}
"""Styles of Pygments for code on either."""


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (#rrggbb), from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def on_page(colour: str, theme: str) -> str:
    """`colour` for a curve: black is the colour of text, and others are such that they can be seen."""
    return PAGE[theme]["ink"] if colour == "#000000" else readable(colour, PAGE[theme]["page"])


def readable(colour: str, page: str, least: float = 3.0) -> str:
    """`colour`, lighter or darker by as little as its contrast to `page` needs: 3 for graphics, 4.5 for text."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    step = 0.01 if _luminance(page) < 0.2 else -0.01
    while contrast(colour, page) < least:
        lightness += step
        colour = "#" + "".join(f"{round(255 * x):02x}" for x in colorsys.hls_to_rgb(hue, lightness, saturation))
    return colour


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue


def _luminance(colour: str) -> float:
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
