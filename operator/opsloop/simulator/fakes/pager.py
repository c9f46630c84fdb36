"""A pager that remembers."""

from opsloop.shell.ports import Object


class FakePager:
    """Pager port. `pages` lists what was delivered, `told` at whom; `failure` is raised by every call, `failures` by every
    call of that receiver, `fail_next` one per call."""

    def __init__(self) -> None:
        self.pages: list[Object] = []
        self.told: list[tuple[str, Object]] = []
        self.failures: dict[str, Exception] = {}
        self.failure: Exception | None = None
        self.fail_next: list[Exception] = []

    async def page(self, receiver: str, payload: Object) -> str:
        if failure := self.failures.get(receiver) or self.failure:
            raise failure
        if self.fail_next:
            raise self.fail_next.pop(0)
        self.pages.append(payload)
        self.told.append((receiver, payload))
        return "202 taken"
