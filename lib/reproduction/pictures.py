"""Pictures in fewer bytes: most of what a grid of executed notebooks weighs is their figures."""

import base64
import io

from nbformat import NotebookNode
from PIL import Image


def smaller(png: bytes) -> bytes:
    """The same picture in 256 colours, which is a third as large and looks the same for lines on white."""
    with Image.open(io.BytesIO(png)) as picture:
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(picture, mask=picture.getchannel("A") if "A" in picture.getbands() else None)
    out = io.BytesIO()
    flat.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return min(out.getvalue(), png, key=len)


def make_smaller(notebook: NotebookNode) -> None:
    """Do so with every picture that came out of the cells of `notebook`."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = smaller(base64.b64decode(output.data["image/png"]))
                output.data["image/png"] = base64.b64encode(png).decode()
