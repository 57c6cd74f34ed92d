/* Open pages stay true by themselves: what changed is put in its place, and nothing that is being read or typed moves.

   data-live      address of the page without its frame          data-part   a piece that is put in anew when it changed
   data-pulse     address that is told "I am here"                data-merge  a list that only grows, newest first */
(() => {
  "use strict";
  const H = window.Heliograph, { each } = H;
  const BEAT = 10000, ANYWAY = 6;

  const token = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value || document.cookie.match(/csrftoken=([^;]+)/)?.[1] || "";
  const post = (url, data, more = {}) => fetch(url, { method: "POST", body: data, headers: { "X-CSRFToken": token(), ...more }, credentials: "same-origin" });

  /* --- putting in what changed ------------------------------------------------------ */
  const known = new Map();
  // Times and tokens differ with every answer and mean the same.
  const essence = (part) => part.outerHTML.replace(/(<time\b[^>]*>)[^<]*/g, "$1").replace(/(data-since="[^"]*">)[^<]*/g, "$1")
    .replace(/name="(token|csrfmiddlewaretoken)" value="[^"]*"/g, "").replace(/ (hg-late|overdue)\b/g, "").replace(/ open=""/g, "").replace(/<li data-level="\w+"/g, "<li").replace(/\s+/g, " ");

  const isBusy = (part) => {
    const at = document.activeElement;
    if (part.contains(at) && at.matches("input:not([type=hidden]), textarea, select")) return true;
    if (part.querySelector("details.hg-menu[open]")) return true;
    const chosen = document.getSelection();
    return Boolean(chosen && !chosen.isCollapsed && chosen.anchorNode && part.contains(chosen.anchorNode));
  };
  const nameOf = (element) => element?.dataset?.key || element?.getAttribute?.("href") || element?.id || element?.textContent?.trim();

  const replace = (old, fresh) => {
    const focused = old.contains(document.activeElement) ? nameOf(document.activeElement) : null;
    each("details[id]", (details) => { const before = document.getElementById(details.id); if (before) details.open = before.open; }, fresh);
    H.tick(fresh);
    old.replaceWith(fresh);
    window.htmx?.process(fresh);
    if (focused) [...fresh.querySelectorAll("a, button, summary")].find((one) => nameOf(one) === focused)?.focus({ preventScroll: true });
  };

  const merge = (list, fresh) => {
    const first = list.firstElementChild;
    [...fresh.children].forEach((line) => {
      const before = line.id && document.getElementById(line.id);
      if (before) {
        if (essence(before) !== essence(line) && !isBusy(before)) replace(before, line);
      } else if (line.id) {
        H.tick(line);
        line.classList.add("fresh");
        list.insertBefore(line, first);
      }
    });
    if (fresh.querySelector("[id]")) each(".hg-none", (line) => line.remove(), list);
  };

  const put = (page, root) => {
    // A piece that was not there before, or is not any more, comes where it stands in the answer.
    each("[data-part]", (fresh) => {
      if (!fresh.id || document.getElementById(fresh.id)) return;
      const next = fresh.previousElementSibling, beside = next?.id && document.getElementById(next.id);
      if (beside) { const made = fresh.cloneNode(true); H.tick(made); beside.after(made); known.set(fresh.id, essence(fresh)); }
    }, page);
    each("[data-part]", (fresh) => {
      const old = document.getElementById(fresh.id), now = essence(fresh);
      if (!old) return;
      if ((known.get(fresh.id) ?? essence(old)) === now || isBusy(old)) return;
      known.set(fresh.id, now);
      replace(old, fresh);
    }, page);
    each("[data-part]", (old) => { if (!page.dataset.whole?.split(" ").includes(old.id) && !isBusy(old)) old.remove(); }, root);
    each("[data-merge]", (fresh) => { const list = document.getElementById(fresh.id); if (list) merge(list, fresh); }, page);
  };

  let tag = "", loading = false;
  const refresh = async (root = document.querySelector("[data-live]")) => {
    if (!root || loading) return;
    loading = true;
    try {
      const answer = await fetch(root.dataset.live + (H.only ? `?only=${H.only}` : ""), { headers: tag ? { "If-None-Match": tag } : {}, credentials: "same-origin", redirect: "manual" });
      if (answer.status !== 200) return;
      tag = answer.headers.get("ETag") || "";
      const page = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
      if (!page) return;
      page.dataset.whole = [...page.querySelectorAll("[data-part]")].map((part) => part.id).join(" ");
      put(page, root);
      if (page.dataset.mark) root.dataset.mark = page.dataset.mark;
      document.dispatchEvent(new CustomEvent("hg:fresh", { detail: page }));
      root.classList.remove("hg-offline");
    } catch {
      root.classList.add("hg-offline");
    } finally {
      loading = false;
    }
  };

  /* --- who else is here -------------------------------------------------------------- */
  const person = (one) => {
    const chip = document.createElement("span"), name = document.createElement("b");
    chip.className = `hg-person${one.act ? " busy" : ""}`;
    name.textContent = one.who;
    chip.append(name, ` ${one.does}`);
    return chip;
  };
  const show = (others) => each("[data-here]", (place) => {
    const words = others.map((one) => `${one.who} ${one.does}`).join();
    if (place.dataset.words === words) return;
    place.dataset.words = words;
    place.replaceChildren(...others.map(person));
  });

  let beats = 0;
  const beat = async () => {
    if (document.hidden) return;
    const open = document.querySelector("dialog[open] [data-pulse]") || document.querySelector("form[data-pulse]") || document.querySelector("[data-pulse]");
    const root = document.querySelector("[data-live]");
    if (!open) { if (root) refresh(root); return; }
    const data = new FormData();
    data.set("act", open.dataset.act || (document.activeElement?.id === "quick-line" && document.activeElement.value ? "quick" : ""));
    try {
      const answer = await post(open.dataset.pulse, data);
      if (!answer.ok || !answer.headers.get("Content-Type")?.includes("json")) return;
      const said = await answer.json();
      show(said.others);
      beats += 1;
      // Some things change without an act on this incident: once a minute it is all read again.
      if (root && (root.dataset.mark !== said.mark || beats % ANYWAY === 0)) refresh(root);
    } catch { /* The next beat tells. */ }
  };

  /* --- the timeline: what of it, and what was before ---------------------------------- */
  document.addEventListener("click", async (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    const chip = event.target.closest("[data-only]"), more = event.target.closest("[data-earlier]");
    if (!chip && !more) return;
    event.preventDefault();
    const list = document.getElementById("lines");
    if (chip) {
      H.only = chip.dataset.only;
      each("[data-only]", (one) => { if (one === chip) one.setAttribute("aria-current", "true"); else one.removeAttribute("aria-current"); });
      history.replaceState(null, "", chip.getAttribute("href"));
    }
    const url = chip ? `${document.querySelector("[data-live]").dataset.live.replace(/body\/$/, "earlier/")}?only=${chip.dataset.only}` : more.dataset.earlier + more.search;
    list.setAttribute("aria-busy", "true");
    const answer = await fetch(url, { credentials: "same-origin" }).catch(() => null);
    list.removeAttribute("aria-busy");
    if (!answer?.ok) return;
    const fresh = document.createElement("ol");
    fresh.innerHTML = await answer.text();
    H.tick(fresh);
    if (chip) { list.replaceChildren(...fresh.children); known.delete("part-filter"); return; }
    const first = fresh.firstElementChild;
    more.closest("li").replaceWith(...fresh.children);
    first?.setAttribute("tabindex", "-1");
    first?.focus({ preventScroll: true });
  });

  Object.assign(H, { refresh, post, csrf: token, only: new URLSearchParams(location.search).get("only") || "" });
  document.addEventListener("DOMContentLoaded", () => {
    each("[data-part]", (part) => { if (part.id) known.set(part.id, essence(part)); });
    beat();
    setInterval(beat, BEAT);
    document.addEventListener("visibilitychange", beat);
  });
})();
