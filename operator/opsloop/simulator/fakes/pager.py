"""A pager that remembers."""

from opsloop.shell.ports import Object


class FakePager:
    """Pager port. `pages` lists what was delivered; `fail_next` is raised one per call instead."""

    def __init__(self) -> None:
        self.pages: list[Object] = []
        self.fail_next: list[Exception] = []

    async def page(self, payload: Object) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)
        self.pages.append(payload)
