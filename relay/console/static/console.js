// The pages work without this. It keeps the pages of what goes on current.
"use strict";

const REACHABLE = "a, button, summary, [tabindex]";

function follow(region) {
  const source = new EventSource(region.dataset.events);
  source.onmessage = (event) => {
    // What a person has opened or reached by keyboard stays so.
    const open = [...region.querySelectorAll("details")].map((one) => one.open);
    const focus = [...region.querySelectorAll(REACHABLE)].indexOf(document.activeElement);
    const status = region.querySelector("[role=status]");
    const before = status && status.textContent;
    const parsed = new DOMParser().parseFromString(JSON.parse(event.data), "text/html");
    const next = parsed.querySelector("[role=status]");
    // A screen reader reads the sentence again only if it has changed.
    if (status && next && next.textContent === before) next.removeAttribute("role");
    region.replaceChildren(...parsed.body.childNodes);
    if (status && next && next.textContent === before) next.setAttribute("role", "status");
    region.querySelectorAll("details").forEach((one, i) => { one.open = Boolean(open[i]); });
    if (focus >= 0) {
      const again = region.querySelectorAll(REACHABLE)[focus];
      if (again) again.focus({ preventScroll: true });
    }
    region.classList.remove("stale");
  };
  // The server has nothing more to say: it is not asked again.
  source.addEventListener("end", () => {
    source.close();
    document.querySelectorAll("[data-until=end]").forEach((one) => one.remove());
  });
  source.onerror = () => region.classList.add("stale");
  window.addEventListener("pagehide", () => source.close());
}

document.querySelectorAll("[data-events]").forEach(follow);
