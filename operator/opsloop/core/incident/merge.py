"""Merging: a dependent's Incident goes where the harm comes from, and pages nobody of its own."""

from opsloop.core.incident import cause as causes
from opsloop.core.incident.state import Sheet

# Named reasons
MERGED = "Merged"  # a dependency's Incident explains it


def merge(sheet: Sheet) -> bool:
    """A dependency with an open burn Incident explains this one, unless this one already acts."""
    root = sheet.facts.root
    if root is None or sheet.status.phase not in ("Open", "Mitigated") or sheet.status.plays:
        return False
    if sheet.status.burn is None and not (root.readings.verdict and root.readings.verdict.firing):
        return False  # alerts of its own, no harm that a dependency would explain
    harmed = harmed_dependencies(sheet)
    for other in sheet.facts.incidents:
        explains = bool(other.status.burn) or other.spec.release in harmed
        if explains and _is_dependency(sheet, other.spec.release) and other.is_open:
            sheet.set(merged_into=other.metadata.name, phase="Resolved", resolved_at=sheet.now)
            text = f"merged into {other.metadata.name}: {other.spec.release} explains it"
            sheet.note("merged", sheet.now, "Merged", "opsloop", text)
            sheet.condition("Mitigated", None, MERGED, text)
            return True
    return False


def _is_dependency(sheet: Sheet, release: str) -> bool:
    root = sheet.facts.root
    views = {v.release.metadata.name: v for v in sheet.facts.releases}
    return bool(root and causes.dependencies(root.release.metadata.name, views).get(release, 0))


def harmed_dependencies(sheet: Sheet) -> set[str]:
    """Releases that the root depends on and that are harmed at this moment, whether or not an Incident says so yet."""
    return {
        view.release.metadata.name
        for view in sheet.facts.releases
        if _is_dependency(sheet, view.release.metadata.name)
        and view.readings.verdict is not None
        and (view.readings.verdict.firing is not None or view.readings.verdict.burning)
    }
