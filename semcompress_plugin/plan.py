"""Which rule governs each file, what is settled and what is pending. Reads; decides and writes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semcompress_plugin.domains import Domain, Domains
from semcompress_plugin.entries import Entry, ambiguous
from semcompress_plugin.errors import ImageError, LockError, UsageError
from semcompress_plugin.naming import name_of_original
from semcompress_plugin.types import Result, Rule, Status
from semcompress_plugin.walk import Found

EDITED_SINCE = (
    "was shrunk under another policy, and what lies beside its pixels was edited since: left alone "
    "(`semcompress restore` brings the original back, without the edit)"
)
_SAID_ELSEWHERE = (
    "was shrunk in commit {0}, which does not lie behind this one, and its line in the lock has not come along: if you "
    "trust it, append it (`git show --text --no-color -m --first-parent {0} -- '*semcompress.lock' | "
    "grep -a '^+.*{1}'`, without the +)"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that a rule governs. ``place`` is its path as text, from the root; ``shown`` is its path for people."""

    place: str
    shown: str
    domain: Domain
    rule: Rule

    @property
    def path(self) -> Path:
        return Path(self.place)


@dataclass(frozen=True, slots=True)
class Pending:
    """A picture that is to be looked at. Its bytes are read again then: thousands may be pending.

    ``outdated`` is our own output, settled under another policy (or by older versions, when refreshing), or which lacks
    an output beside it. ``earlier`` are entries of the outputs that it was made of, if any, the last one first.
    ``known`` are entries of its originals under this very rule: what was found then is tried first. With ``anew``
    neither what lies there nor what is known counts.
    """

    asset: Asset
    sha256: str
    bytes: int
    outdated: Entry | None = None
    known: tuple[Entry, ...] = ()
    anew: bool = False
    earlier: tuple[Entry, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether nothing is known of it."""
        return self.outdated is None and not self.known and not self.anew

    def left(self, status: Status, reason: str) -> Result:
        """The result where it stays as it is."""
        return Result(self.asset.shown, status, self.bytes, self.bytes, self.asset.rule.name, reason=reason)


def assets(found: Iterable[Found], domains: Domains, base: Path) -> Iterator[Asset | Result]:
    """Each file's Asset, or a Result where nothing is to be done with it.

    What no policy governs is skipped beside what one does. Raises UsageError, after the last, where files lie in
    folders and no policy was met at all (design: a folder without a policy is exit 2): begin nothing before.
    """
    folders: dict[str, str] = {}
    ungoverned: str | None = None
    for item in found:
        # by text, since pathlib's own way is a third of what a run with nothing to do costs
        folder, name = os.path.split(item.place)
        if folder not in folders:
            folders[folder] = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118  # links are not followed
        place = folders[folder] + name
        shown = shown_path(place, base)
        if item.error is not None:
            yield Result(shown, "failed", 0, 0, reason=item.error)
            continue
        domain = domains.of(place, item.named)
        inside = None if domain is None else _below(place, domain.policy.root)
        if domain is None:
            ungoverned = ungoverned or shown
            rule, reason = None, "no policy governs it"
        elif inside is None:
            rule, reason = None, f"lies outside {domain.policy.root}, to which the policy's patterns are relative"
        else:
            rule, reason = rule_at(domain, place, inside), "no rule matches"
        if domain is None or rule is None or rule.skip:
            try:
                size = os.stat(place).st_size  # noqa: PTH116
            except OSError as error:  # it was there when the folder was listed
                yield Result(shown, "failed", 0, 0, reason=f"cannot be read: {error.strerror or error}")
                continue
            yield Result(shown, "skipped", size, size, rule.name if rule else None, reason=None if rule else reason)
            continue
        yield Asset(place, shown, domain, rule)
    if ungoverned is not None and all(domain.policy.path is None for domain in domains.used()):
        raise UsageError(
            f"{ungoverned}: no policy governs it: write one (`semcompress init`), or name pictures one by one "
            "to use preset web"
        )


def rule_at(domain: Domain, place: str, inside: str) -> Rule | None:
    """The rule for the file at ``place``, ``inside`` the policy's folder: by its name, or that of what it replaced."""
    return domain.policy.rule_for(inside) or _rule_of_output(domain, place, inside)


def _rule_of_output(domain: Domain, place: str, inside: str) -> Rule | None:
    """The rule for what lies at ``place``, whose name none matches: that for the picture that it replaced, if any.

    Only what the lock has there, with that content: all else of this name is nobody's business.
    """
    if not domain.renames:
        return None
    with contextlib.suppress(LockError, ImageError):  # said of what is to be written, and left alone
        if lines := [entry for entry in domain.lock.says_of(inside) if entry.relation == "replaced"]:
            sha256, _ = domain.digests.of(place)
            return _rule_as_made_of(domain, place, [entry for entry in lines if entry.output.sha256 == sha256])
    return None


def at_home(asset: Asset, sha256: str) -> Asset:
    """``asset`` under the rule for the picture that its content was made of, where that had another name.

    The rule for the new name would shrink an output once more or turn it back, and the two would take turns for ever.
    """
    domain = asset.domain
    if not domain.has_several_rules or domain.lock.kept_suffix(sha256, asset.place):
        return asset
    return as_made_of(asset, domain.outputs(sha256, asset.path))


def as_made_of(asset: Asset, made: Collection[Entry]) -> Asset:
    """``asset`` under the rule for what ``made``, entries about its content, say it was made of, if there is one."""
    rule = _rule_as_made_of(asset.domain, asset.place, made)
    return asset if rule is None else replace(asset, rule=rule)


def _rule_as_made_of(domain: Domain, place: str, made: Collection[Entry]) -> Rule | None:
    """The one rule that is for all of the names which, as ``made`` says, the pictures had that ``place`` is made of."""
    path, inside = Path(place), _below(place, domain.policy.root)
    told = domain.lock.origin(made, path)
    names = {name_of_original(entry, path) for entry in (made if told is None else (told,))}
    if inside is None or names <= {path.name}:
        return None
    folder = inside[: -len(path.name)]
    first, *others = (domain.policy.rule_for(folder + name) for name in names)
    return None if first is None or first.skip or any(other is not first for other in others) else first


def pending(
    asset: Asset, refresh: Callable[[Rule], Mapping[str, str]] | None = None, *, harmless: bool = False
) -> Pending | Result:
    """What is to be done about ``asset``: a Result when it is settled or cannot be read.

    ``harmless``: nothing is done to it where it lies, whatever it may be: where there is no git, or it trusts nobody's
    repositories, so be it. ``refresh`` gives the versions of what decides under a rule: what others have made is then
    outdated too.
    """
    try:
        sha256, size = asset.domain.digests.of(asset.place)
    except ImageError as error:
        return Result(asset.shown, "failed", 0, 0, asset.rule.name, reason=str(error))
    asset = at_home(asset, sha256)
    lock, digest = asset.domain.lock, asset.rule.digest
    if refresh is None:
        settled, stale = lock.is_settled(sha256, digest, asset.place), False
    else:
        found = lock.settling(sha256, digest, asset.path)
        stale = _are_stale(found, asset, refresh(asset.rule))
        settled = bool(found) and not stale
    if settled and not (asset.rule.outputs.place == "beside" and lock.lacks(sha256, digest, asset.path)):
        return Result(asset.shown, "unchanged", size, size, asset.rule.name)
    made = asset.domain.made(sha256, asset.path)
    if lock.lies_beside(made, asset.path):  # never a picture to start from
        return Result(asset.shown, "unchanged", size, size, asset.rule.name)
    made = tuple(entry for entry in made if entry.relation == "replaced")
    outdated = lock.origin(made, asset.path)
    if made and outdated is None:
        reason = f"was shrunk under another policy, and {ambiguous(made)}: left alone"
        return Result(asset.shown, "skipped", size, size, asset.rule.name, reason=reason)
    if outdated is not None and outdated.refused == digest and refresh is None:
        return Result(asset.shown, "skipped", size, size, asset.rule.name, reason=EDITED_SINCE)
    earlier = () if outdated is None else asset.domain.lineage(outdated, asset.path)
    known = _known(asset, sha256, outdated, earlier)
    if not (harmless or outdated or known or stale) and (doubt := asset.domain.doubt(asset.path)):
        reason = f"whether it is an output of ours cannot be told, so it was left alone: {doubt}"
        return Result(asset.shown, "failed", size, size, asset.rule.name, reason=reason)
    return Pending(asset, sha256, size, outdated, known, anew=stale, earlier=earlier)


def _known(asset: Asset, sha256: str, outdated: Entry | None, earlier: Iterable[Entry]) -> tuple[Entry, ...]:
    """What was found under this very rule for a content, or for whatever an outdated output may be made of anew."""
    originals = (sha256,) if outdated is None else (line.original.sha256 for line in (outdated, *earlier))
    lock, digest = asset.domain.lock, asset.rule.digest
    return tuple(entry for original in originals for entry in lock.made_under(original, digest))


def unless_said_before(item: Pending) -> Pending | Result:
    """``item``, or what becomes of it where no lock knows it by now, and an earlier commit called it an output of ours.

    What this branch has said once holds, and its line comes back. What was only ever said on another one, which may be
    a stranger's, is no reason to take the picture for another: it is left alone.
    """
    told = item.asset.domain.said_before(item.sha256, item.asset.path) if item.is_new else []
    made = tuple(entry for commit, entry in told if commit is None)
    if not made:
        reason = said_elsewhere(told, item.sha256)
        return item if reason is None else item.left("skipped", reason)
    asset = as_made_of(item.asset, made)
    item, lock = replace(item, asset=asset), asset.domain.lock
    beside = [entry for entry in made if entry.relation == "beside"]
    settling = [entry for entry in made if entry.policy == asset.rule.digest and entry.relation == "replaced"]
    if settled := beside if lock.lies_beside(made, asset.path) else settling:
        lock.recall(settled)
        return item.left("unchanged", "an earlier commit has its line in the lock, which is back")
    made = tuple(entry for entry in made if entry.relation == "replaced")
    if (outdated := lock.origin(made, asset.path)) is None:
        return item.left("skipped", f"was shrunk under another policy, and {ambiguous(made)}: left alone")
    earlier = asset.domain.lineage(outdated, asset.path)
    known = _known(asset, item.sha256, outdated, earlier)
    return replace(item, outdated=outdated, known=known, earlier=earlier)


def said_elsewhere(told: Iterable[tuple[str | None, Entry]], sha256: str) -> str | None:
    """Why a content is left alone of which commits that are not behind this one say that it is an output of ours."""
    commits = [commit for commit, _ in told if commit is not None]
    return _SAID_ELSEWHERE.format(commits[-1][:12], sha256[:16]) if commits else None


def _are_stale(found: Sequence[Entry], asset: Asset, versions: Mapping[str, str]) -> bool:
    """Whether none of the lines about an output, or about a picture that was kept, is of these versions.

    What was renamed and looked at again has a line for either name.
    """
    told = asset.domain.lock.origin(found, asset.path)
    lines = [one for one in found if told is None or one.original == told.original]
    return any(one.relation != "beside" for one in lines) and not any(_is_current(one, versions) for one in lines)


def _is_current(entry: Entry, versions: Mapping[str, str]) -> bool:
    return all(versions.get(name) == version for name, version in entry.made_with.items())


def shown_path(path: Path | str, base: Path) -> str:
    """``path`` as people and reports see it: relative to ``base`` if it lies below, with ``/``."""
    return _below(path, base) or str(path)


def _below(path: Path | str, folder: Path) -> str | None:
    """``path`` relative to ``folder`` with ``/``, or None if it does not lie below."""
    text, prefix = str(path), str(folder).rstrip(os.sep) + os.sep
    return text[len(prefix) :].replace(os.sep, "/") if text.startswith(prefix) else None
