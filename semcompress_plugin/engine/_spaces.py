"""Which spaces are searched for an output, and by which search."""

from __future__ import annotations

from collections.abc import Iterable

from semcompress_plugin.engine._specs import Specs
from semcompress_plugin.images import shown_otherwise
from semcompress_plugin.metadata import lost_in
from semcompress_plugin.search import DEFAULT
from semcompress_plugin.types import Reference, Rule, Space


def spaces_for(
    output: str, reference: Reference, transparent: bool, rule: Rule, specs: Specs
) -> tuple[tuple[Space, ...], str]:
    """The spaces to search for ``output``, or none and why."""
    wanted = reference.format if output == "keep" else output.upper()
    able = [
        (use, spec, format)
        for use in rule.compress
        for spec in (specs.compressor(use.name),)
        for format in spec.formats
        if (output == "smallest" or format == wanted) and (not spec.lossless or format == reference.format)
    ]
    grey = reference.image.mode in ("L", "LA")
    replaces = rule.outputs.place == "replace"
    lost = {
        format: lost_in(format, reference, replaces=replaces) or shown_otherwise(format, reference)
        for format in {format for _, _, format in able}
    }
    found = tuple(
        Space(use.name, format, use.knobs, spec.previews, spec.cost, use.options)
        for use, spec, format in able
        if (spec.alpha or not transparent) and (spec.grey or not grey) and not lost[format]
    )
    if not able:
        names = ", ".join(use.name for use in rule.compress)
        return (), f"no compressor of the rule writes {wanted} (it has {names})"
    unable = f"is transparent, which {wanted} cannot be" if transparent else "has no colours"
    return found, next(filter(None, lost.values()), unable)


def by_search(spaces: Iterable[Space], rule: Rule, specs: Specs) -> dict[str, tuple[Space, ...]]:
    """The spaces by the search that goes through them: the rule's, or else what suits each compressor."""
    groups: dict[str, tuple[Space, ...]] = {}
    for space in spaces:
        name = rule.search.name or specs.compressor(space.compressor).search or DEFAULT
        groups[name] = (*groups.get(name, ()), space)
    return groups
