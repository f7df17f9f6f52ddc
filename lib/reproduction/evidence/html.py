"""A report in Markdown as one HTML page that can be sent by mail: figures embedded, equations as MathML, no script."""

import base64
import mimetypes
from pathlib import Path

import latex2mathml.converter
import mistune

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif; color: #1b1b1b; }}
h1, h2 {{ line-height: 1.2; }}
h2 {{ margin-top: 2.5rem; border-bottom: 1px solid #ddd; }}
img {{ max-width: 100%; height: auto; }}
.table, pre {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.92rem; }}
th, td {{ padding: 0.3rem 0.7rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }}
blockquote {{ margin: 1rem 0; padding: 0.1rem 1rem; border-left: 4px solid #d55e00; background: #fdf3ec; }}
code {{ background: #f3f3f3; overflow-wrap: anywhere; }}
math[display="block"] {{ overflow-x: auto; }}
@media (max-width: 40rem) {{ table {{ font-size: 0.8rem; }} th, td {{ padding: 0.25rem; }} }}
</style>
<body>
{body}
</body>
</html>
"""


class Renderer(mistune.HTMLRenderer):
    """What all pages made of a report share: equations, tables that scroll by themselves."""

    def inline_html(self, html: str) -> str:
        return html if html == "<br>" else super().inline_html(html)

    def inline_math(self, text: str) -> str:
        return latex2mathml.converter.convert(text)

    def block_math(self, text: str) -> str:
        return f"<p>{latex2mathml.converter.convert(text, display='block')}</p>\n"

    def table(self, text: str) -> str:
        return f'<div class="table"><table>\n{text}</table></div>\n'


class _WithImages(Renderer):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def image(self, text: str, url: str, title: str | None = None) -> str:
        path = self.folder / url
        kind = mimetypes.guess_type(path.name)[0]
        content = base64.b64encode(path.read_bytes()).decode()
        return f'<img alt="{mistune.escape(text)}" src="data:{kind};base64,{content}">'


def page(markdown: str, folder: Path) -> str:
    """`markdown` as a page; its images are read relative to `folder`. Raises OSError where one is missing."""
    body = mistune.create_markdown(renderer=_WithImages(folder), plugins=["table", "math"])(markdown)
    title = markdown.splitlines()[0].lstrip("# ")
    return _PAGE.format(title=mistune.escape(title), body=body)
