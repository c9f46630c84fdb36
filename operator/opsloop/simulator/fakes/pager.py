"""A pager that remembers."""

from opsloop.shell.ports import Object


class FakePager:
    """Pager port. `pages` lists what was delivered; `failure` is raised by every call, `fail_next` one per call."""

    def __init__(self) -> None:
        self.pages: list[Object] = []
        self.failure: Exception | None = None
        self.fail_next: list[Exception] = []

    async def page(self, payload: Object) -> None:
        if self.failure is not None:
            raise self.failure
        if self.fail_next:
            raise self.fail_next.pop(0)
        self.pages.append(payload)
