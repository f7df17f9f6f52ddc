"""Where each file of the repository is in the site."""

from pathlib import Path, PurePosixPath

MAIN = "paper"
"""The profile whose report is the site's first page, where it has one."""

STUDIES = PurePosixPath("outputs/studies")

COPIED = (".svg", ".png", ".json", ".html", ".sha256")
"""What stays as it is; all else becomes a page."""


def profiles(repository: Path) -> list[str]:
    """The profiles that have a report under outputs/, the first one first."""
    found = sorted(path.parent.name for path in (repository / "outputs").glob("*/report.md"))
    return sorted(found, key=lambda name: name != MAIN)


class Places:
    """The site's names for the files of `repository`: outputs/ is its root, code is under source/."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        first = (profiles(repository) or [MAIN])[0]
        self._index = {PurePosixPath(f"outputs/{first}/report.md"), PurePosixPath(f"outputs/{first}")}
        if first == MAIN:
            self._index.add(PurePosixPath("report.md"))

    def page(self, path: PurePosixPath) -> PurePosixPath:
        """Where the page is that shows a file or folder of the repository."""
        if path in self._index:
            return PurePosixPath("index.html")
        place, kind = self.raw(path), path.suffix
        if (self.repository / path).is_dir():
            return place / "index.html"
        if path.name == "report.md":
            return place.with_name("index.html")
        if kind in (".md", ".ipynb", ".csv"):
            return place.with_suffix(".html")
        return place if kind in COPIED else place.with_name(place.name + ".html")

    def raw(self, path: PurePosixPath) -> PurePosixPath:
        """Where a copy of the file itself is."""
        if path.parts[:1] == ("outputs",):
            return PurePosixPath(*path.parts[1:])
        return PurePosixPath("source") / path
