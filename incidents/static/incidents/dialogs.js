/* Acts in a dialog, ticks in place, the scribe's line, and keys. Without this script each is a page of its own. */
(() => {
  "use strict";
  const H = window.Heliograph, { each } = H;
  const DIALOG = { "X-Dialog": "1" };
  const FIRST = "[autofocus], .hg-field.bad textarea, .hg-field.bad input, textarea, select, input:not([type=hidden]), button.main";

  /* --- a word at the lower edge: it was done ------------------------------------------ */
  const said = (words) => {
    if (!words) return;
    let place = document.getElementById("hg-said");
    if (!place) {
      place = Object.assign(document.createElement("p"), { id: "hg-said", className: "hg-said" });
      place.setAttribute("role", "status");
      document.body.append(place);
    }
    place.textContent = words;
    place.classList.add("shown");
    clearTimeout(place.timer);
    place.timer = setTimeout(() => place.classList.remove("shown"), 6000);
  };
  const go = ({ go: url, said: words }) => {
    if (new URL(url, location).pathname === location.pathname && document.querySelector("[data-live]")) { said(words); H.refresh(); return; }
    sessionStorage.setItem("hg-said", words || "");
    location.assign(url);
  };

  /* What came back: done, or the form again with what is wrong. */
  const read = async (answer) => {
    if (answer.redirected) { location.assign(answer.url); return null; }
    if (answer.headers.get("Content-Type")?.includes("json")) return { done: await answer.json() };
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return { page, form: page.querySelector(".hg-form")?.closest(".hg") };
  };

  /* --- dialogs ---------------------------------------------------------------------- */
  const dialog = () => {
    const made = document.createElement("dialog");
    made.className = "hg-dialog";
    made.addEventListener("close", () => {
      made.dispatchEvent(new CustomEvent("hg:flush"));
      made.stop?.();
      (made.opener?.closest("details.hg-menu:not([open])")?.querySelector("summary") || made.opener)?.focus?.({ preventScroll: true });
      document.documentElement.classList.remove("hg-locked");
      made.remove();
    });
    made.addEventListener("click", (event) => {
      if (event.target === made || event.target.closest("[data-cancel]")) { event.preventDefault(); made.close(); }
    });
    document.body.append(made);
    return made;
  };
  const fill = (made, content) => {
    made.stop?.();
    made.replaceChildren(...content.childNodes);
    made.classList.add("hg");
    const form = made.querySelector(".hg-form");
    made.setAttribute("aria-label", made.querySelector("h2, .hg-lead, button.main")?.textContent.trim() || "");
    made.stop = H.start(form);
    H.tick(made);
    form.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault();
      if (event.submitter?.dataset.discard !== undefined) { discard(made, form, event.submitter); return; }
      send(made, form, event.submitter);
    });
    const wanted = form.dataset.focus && document.getElementById(form.dataset.focus);
    // What changes is read from its beginning; only what is wrong is brought into sight.
    (wanted || made.querySelector(FIRST))?.focus({ preventScroll: !wanted });
    if (!wanted) made.scrollTop = 0;
  };
  const send = async (made, form, button) => {
    const data = new FormData(form);
    if (button?.name) data.set(button.name, button.value);
    try {
      const answer = await read(await H.post(form.action, data, DIALOG));
      if (!answer) return;
      if (answer.done) { form.dispatchEvent(new CustomEvent("hg:sent")); made.close(); go(answer.done); return; }
      if (answer.form) fill(made, answer.form);
    } catch {
      form.dispatchEvent(new CustomEvent("hg:failed"));
    }
  };
  const discard = async (made, form, button) => {
    const data = new FormData(form, button);
    await H.post(button.formAction, data).catch(() => null);
    const link = made.opener;
    made.close();
    open(link);
  };
  const open = async (link) => {
    const made = dialog();
    made.opener = link;
    try {
      const answer = await read(await fetch(link.href, { headers: DIALOG, credentials: "same-origin" }));
      if (answer?.done) { made.remove(); go(answer.done); return; }
      if (!answer?.form) throw new Error("no form");
      document.documentElement.classList.add("hg-locked");
      made.showModal();
      fill(made, answer.form);
    } catch {
      made.remove();
      location.assign(link.href);
    }
  };

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    each("details.hg-menu[open]", (menu) => { if (!menu.contains(event.target) || event.target.closest("a, button")) menu.open = false; });
    const link = event.target.closest("a[data-dialog]"), shown = event.target.closest("[data-shows]");
    if (link) { event.preventDefault(); open(link); }
    if (shown) document.getElementById(shown.dataset.shows)?.showModal();
  });

  /* --- one click, in place ------------------------------------------------------------- */
  const fresh = () => "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-inline]")) return;
    event.preventDefault();
    if (form.dataset.sending) return;
    form.dataset.sending = "1";
    try {
      const data = new FormData(form, event.submitter);
      const answer = await read(await H.post(form.action, data, DIALOG));
      if (answer?.done) {
        // The next press is another one; the same press sent twice acts once.
        form.elements.namedItem("token").value = fresh();
        go(answer.done);
      } else if (answer?.form) {
        // Refused, or somebody was quicker: the whole form says why.
        const made = dialog();
        document.documentElement.classList.add("hg-locked");
        made.showModal();
        fill(made, answer.form);
      }
    } catch {
      said("It could not be sent. Check the connection and try again.");
    } finally {
      delete form.dataset.sending;
    }
  });

  /* --- the scribe's line ---------------------------------------------------------------- */
  const scribe = (form) => {
    const line = form.elements.namedItem("line"), wrong = form.querySelector("#quick-error"), keeper = H.keep(form);
    const complain = (text) => { wrong.hidden = !text; wrong.textContent = text; line.toggleAttribute("aria-invalid", Boolean(text)); };
    let sending = false;
    line.addEventListener("input", () => complain(""));
    form.addEventListener("keydown", (event) => { if (event.key === "Escape") line.blur(); });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (sending) return;
      if (!line.value.trim()) { complain("Write what happened."); line.focus(); return; }
      sending = true;
      keeper.stop();
      try {
        const answer = await read(await H.post(form.action, new FormData(form), DIALOG));
        if (answer?.done) {
          line.value = "";
          form.elements.namedItem("token").value = fresh();
          complain("");
          keeper.say("Written down");
          H.refresh();
        } else if (answer) {
          const found = [...answer.page.querySelectorAll(".hg-error")].map((text) => text.textContent.trim());
          complain(found.join(" ") || "It could not be saved.");
          keeper.typed();
        }
      } catch {
        complain("It could not be sent; your words are still here. Press Enter to try again.");
        keeper.typed();
      } finally {
        sending = false;
        line.focus();
      }
    });
  };

  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && !document.querySelector("dialog[open]") && document.querySelector("details.hg-menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  /* --- keys: never while typing ----------------------------------------------------------- */
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    if (event.key === "?") { const keys = document.getElementById("keys"); if (keys) { event.preventDefault(); keys.showModal(); } return; }
    const wanted = event.key.length === 1 && document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!wanted) return;
    event.preventDefault();
    if (wanted.matches("textarea, input")) { wanted.focus(); wanted.scrollIntoView({ block: "center" }); } else wanted.click();
  });

  document.addEventListener("DOMContentLoaded", () => {
    each("form[data-quick]", scribe);
    said(sessionStorage.getItem("hg-said"));
    sessionStorage.removeItem("hg-said");
  });
})();
