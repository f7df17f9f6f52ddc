"""Hidden activations as a table: who makes and takes them, what is between, and whether they are balanced."""

from collections.abc import Sequence

from equinorm.groups import Group

_HEADER = ("made by", "taken by", "channels", "between", "balanced")


def table(groups: Sequence[Group]) -> str:
    """One line for each group, in columns of plain text."""
    lines = [_HEADER, *(_line(group) for group in groups)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(_HEADER))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def name(group: Group) -> str:
    return f"{_names(group.makers)} → {_names(group.takers)}"


def _line(group: Group) -> tuple[str, ...]:
    said = "yes, and the function changes" if group.changes_function else "yes"
    return (
        _names(group.makers),
        _names(group.takers),
        str(group.count),
        ", ".join(group.between) or "–",
        said if group.reason is None else f"no: {group.reason}",
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "no layer"
