"""Looks at pages of the console in a headless Chromium, light, dark and narrow; run as a process of its own, with the environment of
`e2e.browser.fetch.Browser`. One JSON object on standard input, one line on standard output for each thing that is wrong.

    {"base": URL, "token": TOKEN, "pages": {NAME: PATH}, "into": FOLDER, "holds": {NAME: [TEXT]}, "live": {"path": PATH, "text": TEXT},
     "schemes": ["light", "dark"], "sizes": ["wide", "narrow"]}

Wrong is: an error on the page's console, a violation of its policy, a dialog, what axe-core finds against WCAG 2.2 AA, a page wider
than 320 px, a text that is not there, focus that cannot be seen. With `live` it prints READY when the page is open, and waits until the text
appears without a reload.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Dialog, Page, sync_playwright

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})"
WATCH = """window.__violations = []; document.addEventListener('securitypolicyviolation', e => window.__violations.push(`${e.violatedDirective} ${e.blockedURI}`));"""
SIZES = {"wide": (1200, 800), "narrow": (320, 700)}
LIVE_SECONDS = 30


class Look:
    """Prints what is wrong."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked, self.wrong = asked, 0

    def say(self, text: str) -> None:
        """One finding."""
        self.wrong += 1
        print(text, flush=True)

    def page(self, context: BrowserContext, where: str) -> Page:
        """A page whose every complaint is a finding."""
        page = context.new_page()
        page.add_init_script(WATCH)
        page.on(
            "console",
            lambda m: self.say(f"{where}: console {m.type}: {m.text}") if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.say(f"{where}: {error}"))

        def dismiss(dialog: Dialog) -> None:
            self.say(f"{where}: dialog {dialog.message}")
            dialog.dismiss()

        page.on("dialog", dismiss)
        return page

    def sign_in(self, page: Page) -> None:
        """With the token, as a person would."""
        page.goto(f"{self.asked['base']}/")
        page.get_by_label("Kubernetes token").fill(self.asked["token"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("text=Sign out")

    def visit(self, page: Page, name: str, where: str) -> None:
        """One page: what it holds, and all that can be measured."""
        answer = page.goto(f"{self.asked['base']}{self.asked['pages'][name]}")
        if answer is None or answer.status != 200:
            self.say(f"{where}: status {answer.status if answer else 'none'}")
            return
        text = page.inner_text("main")
        for wanted in self.asked.get("holds", {}).get(name, []):
            if wanted not in text:
                self.say(f"{where}: {wanted!r} is not on it")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.say(f"{where}: {wide} px wider than the window")
        page.screenshot(
            path=Path(self.asked["into"]) / f"{where.replace(' ', '-')}.png", full_page=name != "postmortem"
        )
        for violation in page.evaluate("window.__violations"):
            self.say(f"{where}: policy: {violation}")

    def accessible(self, page: Page, where: str) -> None:
        """What axe-core finds. It is put in by the browser, past the page's policy."""
        page.evaluate(Path(os.environ["LOOK_AXE"]).read_text())
        for found in page.evaluate(AXE)["violations"]:
            nodes = "; ".join(str(node["target"]) for node in found["nodes"][:3])
            self.say(f"{where}: axe {found['id']} ({found['impact']}): {found['help']}: {nodes}")

    def keyboard(self, page: Page) -> None:
        """The first key leads past the header, the second follows a link; what has the focus can be seen."""
        page.goto(f"{self.asked['base']}/")
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") != "Skip to the content":
            self.say("keyboard: the first Tab is not the skip link")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        if not page.evaluate("document.getElementById('main').contains(document.activeElement)"):
            self.say("keyboard: after the skip link the next Tab is not in the content")
        if page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") < 2:
            self.say("keyboard: the focus cannot be seen")

    def live(self, page: Page) -> None:
        """Waits for a text that somebody brings about meanwhile; the page is not loaded again."""
        wanted = self.asked["live"]
        page.goto(f"{self.asked['base']}{wanted['path']}")
        page.evaluate("window.__same = true")
        print("READY", flush=True)
        try:
            page.get_by_text(wanted["text"]).first.wait_for(timeout=LIVE_SECONDS * 1000)
        except Exception as error:
            self.say(f"live: {wanted['text']!r} did not appear within {LIVE_SECONDS} s: {error}")
        if not page.evaluate("window.__same === true"):
            self.say("live: the page was loaded again")


def main() -> int:
    """0 where nothing is wrong."""
    look = Look(json.load(sys.stdin))
    environment = {**os.environ, "LD_LIBRARY_PATH": os.environ["LOOK_LIBRARIES"]}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["LOOK_CHROMIUM"], env=environment, args=["--no-sandbox"]  # its only pages are ours, and root has no sandbox
        )  # fmt: skip
        for scheme in look.asked.get("schemes", ("light", "dark")):
            for size in look.asked.get("sizes", SIZES):
                width, height = SIZES[size]
                context = browser.new_context(
                    color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce"
                )
                page = look.page(context, f"{scheme} {size}")
                look.sign_in(page)
                for name in look.asked["pages"]:
                    where = f"{name} {scheme} {size}"
                    look.visit(page, name, where)
                    look.accessible(page, where)
                if "live" in look.asked and (scheme, size) == ("light", "wide"):
                    look.keyboard(page)
                    look.live(page)
                context.close()
        browser.close()
    return 1 if look.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
