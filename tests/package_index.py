"""A package index of local files: small wheels, made here, under the names and versions that a test needs."""

import base64
import hashlib
import importlib.metadata
import io
import tarfile
import zipfile
from pathlib import Path


class Index:
    """A folder in the layout of a package index ("simple"), which pip and uv can read as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return (self.folder / "simple").as_uri()

    def add_wheel(self, name: str, version: str, requires: tuple[str, ...] = (), **files: str) -> str:
        """Offer a wheel; `files` are modules of it. Returns its pin."""
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        extras = {line.split("extra == ")[1].strip("'\"") for line in requires if "extra ==" in line}
        metadata += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
        metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
        contents = {f"{module}.py": code.encode() for module, code in {name: "", **files}.items()}
        contents[f"{name}-{version}.dist-info/METADATA"] = metadata.encode()
        return self._add_zip(name, version, contents)

    def add_installed(self, name: str) -> str:
        """Offer the package `name` as it is installed here. Returns its pin."""
        distribution = importlib.metadata.distribution(name)
        inside = [file for file in distribution.files if ".." not in file.parts and file.suffix != ".pyc"]
        kept = [file for file in inside if file.name not in ("RECORD", "WHEEL", "INSTALLER", "direct_url.json")]
        return self._add_zip(name, distribution.version, {str(file): file.read_binary() for file in kept})

    def add_source(self, name: str, version: str, setup: str) -> str:
        """Offer a package as source code only, with this setup.py. Returns its pin."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for file, text in {"setup.py": setup, f"{name}.py": "", "PKG-INFO": f"Name: {name}\n"}.items():
                member = tarfile.TarInfo(f"{name}-{version}/{file}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        return self._add(name, version, f"{name}-{version}.tar.gz", buffer.getvalue())

    def _add_zip(self, name: str, version: str, contents: dict[str, bytes]) -> str:
        info = f"{name}-{version}.dist-info"
        wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        contents = contents | {f"{info}/WHEEL": wheel.encode()}
        record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in contents.items())
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in contents.items():
                archive.writestr(path, content)
            archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
        return self._add(name, version, f"{name}-{version}-py3-none-any.whl", buffer.getvalue())

    def _add(self, name: str, version: str, file: str, content: bytes) -> str:
        folder = self.folder / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
        links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in folder.glob(f"{name}-*"))
        (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>")
        return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
