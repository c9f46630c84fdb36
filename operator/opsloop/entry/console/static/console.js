// Keeps a page current: asks for it again, and puts in what changed. Without this script a page is read by loading it again.
"use strict";
(() => {
  const main = document.getElementById("main");
  const told = document.getElementById("link");
  const pause = document.getElementById("pause");
  const every = 1000 * Number(main.dataset.live || 0); // milliseconds between two looks; 0: this page does not change
  const served = new Map(); // part → its HTML as the server sent it: what this script adds is no change
  let etag = "";
  let failures = 0;
  let paused = false;
  let looking = false;
  let since = "";
  let timer = 0;

  const parts = (root) => [...root.querySelectorAll("[data-part]")];

  function say(text) { // aria-live: said once, and only where it is new
    if (told.textContent !== text) told.textContent = text;
  }

  function age(at) {
    const seconds = Math.round((Date.now() - at) / 1000);
    const units = [["day", 86400], ["h", 3600], ["min", 60]];
    if (seconds < 0 || Number.isNaN(seconds)) return "";
    for (const [name, size] of units) {
      if (seconds >= size) {
        const number = Math.floor(seconds / size);
        return `${number} ${name}${name === "day" && number > 1 ? "s" : ""} ago`;
      }
    }
    return "just now";
  }

  function ages() {
    for (const time of main.querySelectorAll("time")) {
      const text = age(Date.parse(time.dateTime));
      let beside = time.nextElementSibling;
      if (!beside || !beside.classList.contains("age")) {
        beside = document.createElement("span");
        beside.className = "age";
        time.after(beside);
      }
      if (beside.textContent !== text) beside.textContent = text;
    }
  }

  function marker(element) { // by which the same element is found again after an exchange
    if (element.id) return `#${CSS.escape(element.id)}`;
    if (element.tagName === "A") return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
    if (element.hasAttribute("aria-label")) return `[aria-label="${CSS.escape(element.getAttribute("aria-label"))}"]`;
    return "";
  }

  function exchange(next) {
    const before = new Map(parts(main).map((part) => [part.id, part]));
    const wanted = parts(next);
    let last = null;
    for (const part of wanted) {
      const html = part.outerHTML;
      let here = before.get(part.id);
      before.delete(part.id);
      if (here && served.get(part.id) === html) { last = here; continue; }
      const fresh = document.importNode(part, true);
      if (here) {
        const held = here.contains(document.activeElement) ? marker(document.activeElement) : "";
        const across = [...here.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
        here.replaceWith(fresh);
        [...fresh.querySelectorAll(".scroll")].forEach((one, n) => { one.scrollLeft = across[n] || 0; });
        const again = held ? fresh.querySelector(held) : null;
        if (again) again.focus({ preventScroll: true });
      } else if (last) {
        last.after(fresh);
      } else {
        main.prepend(fresh);
      }
      fresh.classList.add("changed");
      served.set(part.id, html);
      last = fresh;
    }
    for (const gone of before.values()) { served.delete(gone.id); gone.remove(); }
    ages();
  }

  async function look() {
    clearTimeout(timer);
    if (paused || looking || document.hidden) return;
    looking = true;
    try {
      const answer = await fetch(location.href, {
        headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000),
      });
      if (answer.status === 401) { location.reload(); return; }
      if (answer.status !== 200 && answer.status !== 304) throw new Error(`status ${answer.status}`);
      if (answer.status === 200) {
        etag = answer.headers.get("ETag") || "";
        const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
        const said = next && next.querySelector("[data-said]");
        if (next) exchange(next);
        if (said && said.dataset.said !== since) { since = said.dataset.said; say(`Updated: ${since}`); }
      }
      if (failures) say("Connected again");
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 2) say("Not connected: what is shown may be old");
    }
    looking = false;
    timer = setTimeout(look, every * Math.min(2 ** failures, 12));
  }

  for (const part of parts(main)) served.set(part.id, part.outerHTML);
  ages();
  setInterval(ages, 15000);
  if (!every) return;
  since = (main.querySelector("[data-said]") || { dataset: {} }).dataset.said || "";
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? "Updates are paused" : "Updates go on");
    if (!paused) look();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  timer = setTimeout(look, every);
})();
