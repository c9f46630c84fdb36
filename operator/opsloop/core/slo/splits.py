"""Which revisions of a Release are read alone, and what they are called in the query."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.api.slo import Sli
from opsloop.core.readings import Reading, Unknown
from opsloop.core.slo import addresses
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.promql import Split, Splits, expressions


def revisions_to_read(release: Release, hot: bool, probing: bool) -> dict[str, Split]:
    """Digest → whose events to count: live and target of an active canary; while `hot` also the last-good revision.

    While `probing` live is read as well: does the SLI tell it from others?
    """
    status, target = release.status, release.status.target
    active = target is not None and target.is_active
    asked = [status.live] if hot or active or probing else []
    asked += [target.digest] if target and (hot or active) else []
    asked += [status.last_good] if hot else []
    window = release.spec.strategy.canary.analysis.window
    known = {r.digest: split_of(r, status.revisions, window) for r in status.revisions}
    if target is not None:
        known.setdefault(target.digest, Split(target.version, window))
    return {digest: known[digest] for digest in asked if digest in known}


def scope_of(release: Release) -> Scope:
    """Where the Release's series are, before their labels are looked for."""
    known = addresses.known(release.status.revisions)
    return Scope(release.metadata.namespace, release.spec.workload_ref.name, addresses=known)


def split_of(revision: Revision, revisions: Sequence[Revision], window: timedelta) -> Split:
    """The revision as it is read alone."""
    return Split(revision.version, window, tuple(revision.replica_sets), addresses.told(revision, revisions))


def named(revisions: Mapping[str, Split]) -> dict[str, str]:
    """Digest → name in the query: the version label, with the digest where two revisions share it."""
    shared = _shared(revisions)
    return {
        digest: f"{split.version}@{digest}" if split.version in shared else split.version
        for digest, split in revisions.items()
    }


def queried(revisions: Mapping[str, Split]) -> Splits:
    """The revisions by their names in the query."""
    return {name: revisions[digest] for digest, name in named(revisions).items()}


def by_digest(
    sli: Sli, scope: Scope, revisions: Mapping[str, Split], read: Mapping[str, Reading]
) -> dict[str, Reading]:
    """The readings by digest. Two revisions with one version label are one series: nobody can say of which it speaks."""
    merged = _shared(revisions) if expressions(sli, scope).by == "version" else set()
    why = "version {} is the label of two revisions; give each version its own, or write {{{{pods}}}} into the SLI"
    return {
        digest: Unknown(slo.NOT_BY_VERSION, why.format(split.version)) if split.version in merged else read[name]
        for (digest, name), split in zip(named(revisions).items(), revisions.values(), strict=True)
    }


def _shared(revisions: Mapping[str, Split]) -> set[str]:
    return {version for version, count in Counter(s.version for s in revisions.values()).items() if count > 1}
