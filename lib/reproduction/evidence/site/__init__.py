"""The static site: the reports of all profiles, the studies, and every file that they lead to, as pages.

Nothing in it needs a network to be read. A page that links to a file of the repository makes that file a page, too:
Markdown, notebooks, tables, code, folders.
"""

from reproduction.evidence.site.pages import write

__all__ = ["write"]
