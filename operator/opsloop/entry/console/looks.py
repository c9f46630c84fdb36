"""The pages, each as what its viewer may see of it: first the right, then the objects, then the part that all who see the same share."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from markupsafe import Markup

from opsloop.core.console.fleet import fleet
from opsloop.core.console.incident import incident_view
from opsloop.core.console.release import moments, release_view
from opsloop.entry.console.pages import chart, part, told
from opsloop.entry.console.shared import Shared
from opsloop.entry.console.sight import SPANS, Sight
from opsloop.entry.console.viewers import Sees, Viewer, Viewers
from opsloop.entry.senders import Refused

ALONE = "This replica does not lead, and the one that does gives no answer: burn rates, budgets and charts are not known here."
UNASKED = (
    "There are namespaces of which your rights are not known here, as they are too many or nobody could say now: open yours as"
    " /namespaces/NAME."
)
NOT_RELEASES, NOT_INCIDENTS = "You may not list Releases here.", "You may not list Incidents here."
NO_CHART = "Nothing was measured in this time, or Prometheus has not answered yet."
Trail = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Look:
    """The main part of a page, and the names and addresses of the pages above it, itself the last."""

    main: Markup
    trail: Trail


class Looks:
    """Raises Refused (400, 403, 404) with what is missing."""

    def __init__(self, viewers: Viewers, sight: Sight, monotonic: Callable[[], float], threads: bool) -> None:
        self._viewers, self._sight, self._shared = viewers, sight, Shared(monotonic, threads)

    async def fleet(self, _: web.Request, viewer: Viewer) -> Look:
        """All namespaces of the viewer."""
        await self._sight.settled()
        releases = await self._viewers.sees(viewer, "releases", self._sight.namespaces)
        incidents = await self._viewers.sees(viewer, "incidents", self._sight.namespaces)
        return Look(await self._fleet("", releases, incidents), [("Fleet", "/")])

    async def namespace(self, request: web.Request, viewer: Viewer) -> Look:
        """One of them."""
        await self._sight.settled()
        namespace = request.match_info["namespace"]
        found = [await self._viewers.may(viewer, "list", plural, namespace) for plural in ("releases", "incidents")]
        if not any(found):
            await self._viewers.check(viewer, "list", "releases", namespace)
        releases, incidents = (Sees(frozenset({namespace} if may else ())) for may in found)
        return Look(await self._fleet(namespace, releases, incidents), [("Fleet", "/"), (namespace, "")])

    async def _fleet(self, scope: str, of_releases: Sees, of_incidents: Sees) -> Markup:
        cache, leads = self._sight.parts.cache, self._sight.parts.leads()
        releases = [one for one in cache.releases(scope or None) if one.metadata.namespace in of_releases]
        incidents = [one for one in cache.incidents(scope or None) if one.metadata.namespace in of_incidents]
        stops = [one for one in self._sight.parts.stops() if one.everywhere or one.namespace == scope]
        unasked = of_releases.unasked or of_incidents.unasked

        def made() -> Markup:
            standing = [(release, self._sight.standings(release)) for release in releases]
            return part(
                "fleet",
                view=fleet(scope, standing, incidents, stops),
                notes=[*([] if leads else [ALONE]), *([UNASKED] if unasked else [])],
                none_open="None." if of_incidents.anything else NOT_INCIDENTS,
                no_release="There is none." if of_releases.anything else NOT_RELEASES,
            )

        return await self._shared.part(("fleet", scope, of_releases, of_incidents, leads), made)

    async def release(self, request: web.Request, viewer: Viewer) -> Look:
        """One Release."""
        await self._sight.settled()
        namespace, name, hours = request.match_info["namespace"], request.match_info["name"], _hours(request)
        await self._viewers.check(viewer, "list", "releases", namespace)
        release = self._sight.release(namespace, name)
        if release is None:
            raise Refused(404, f"there is no Release {name} in namespace {namespace}, or it cannot be read")
        may, leads = await self._viewers.may(viewer, "list", "incidents", namespace), self._sight.parts.leads()
        incidents = self._sight.parts.cache.incidents(namespace) if may else ()
        curves = await self._sight.curves(release, hours)

        def made() -> Markup:
            standing, marked = self._sight.standings(release), moments(release)
            return part(
                "release",
                view=release_view(release, standing, incidents),
                charts=[(s.name, chart(curves.get(s.name), marked, f"sli-{n}")) for n, s in enumerate(standing)],
                no_chart=NO_CHART,
                no_incident="None." if may else NOT_INCIDENTS,
                spans=tuple(SPANS),
                hours=hours,
                notes=[] if leads else [ALONE],
            )

        main = await self._shared.part(("release", namespace, name, hours, may, leads), made)
        return Look(main, _above(namespace, name))

    async def incident(self, request: web.Request, viewer: Viewer) -> Look:
        """One Incident."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        await self._viewers.check(viewer, "list", "incidents", namespace)
        found = self._sight.incident(namespace, name)
        if found is None:
            raise Refused(404, f"there is no Incident {name} in namespace {namespace}, or it cannot be read")
        main = await self._shared.part(
            ("incident", namespace, name), lambda: part("incident", view=incident_view(*found))
        )
        return Look(main, _above(namespace, name))

    async def postmortem(self, request: web.Request, viewer: Viewer) -> Look:
        """The postmortem as it is stored; a right of its own, because it is a ConfigMap."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        await self._viewers.check(viewer, "list", "incidents", namespace)
        found = self._sight.incident(namespace, name)
        stored = found[0].status.postmortem if found else ""
        if not stored:
            raise Refused(404, f"Incident {name} has no postmortem yet")
        await self._viewers.check(viewer, "get", "configmaps", namespace, group="", name=stored)
        document = await self._sight.postmortem(namespace, stored)
        if document is None:
            raise Refused(404, f"the ConfigMap {stored} holds no postmortem that can be read")
        main = await self._shared.part(
            ("postmortem", namespace, name), lambda: part("postmortem", told=told(document), name=name)
        )
        above = [*_above(namespace, "")[:-1], (name, f"/namespaces/{namespace}/incidents/{name}")]
        return Look(main, [*above, ("Postmortem", "")])


def _above(namespace: str, name: str) -> Trail:
    return [("Fleet", "/"), (namespace, f"/namespaces/{namespace}"), (name, "")]


def _hours(request: web.Request) -> int:
    text = request.query.get("hours", "6")
    if text not in {str(each) for each in SPANS}:
        raise Refused(400, f"hours: {', '.join(str(each) for each in SPANS)}")
    return int(text)
