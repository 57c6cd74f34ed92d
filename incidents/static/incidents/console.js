/* Small comforts. Every page works without them. */
(() => {
  "use strict";
  const H = window.Heliograph, { each, pad } = H;

  /* --- what is typed is kept --- */
  /* Two seconds after the last key, and when the page is left; given back when the form is opened again. */
  const keep = (form) => {
    const address = form.dataset.keep, place = form.querySelector("[data-kept]");
    let timer = 0, dirty = false, running = null;
    const say = (words) => { if (place) place.textContent = words; };
    const save = async (last = false) => {
      clearTimeout(timer);
      if (!dirty || !address) return;
      dirty = false;
      running?.abort();
      running = new AbortController();
      try {
        const answer = await fetch(address, { method: "POST", body: new FormData(form), keepalive: last, signal: running.signal, headers: { "X-CSRFToken": H.csrf() }, credentials: "same-origin" });
        const told = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
        if (!answer.ok) { dirty = true; say(told.why || "Not kept: check the connection."); return; }
        if (told.kept) say(`Kept at ${told.at} UTC`);
      } catch (error) {
        if (error.name !== "AbortError") { dirty = true; say("Not kept: check the connection."); }
      }
    };
    const typed = () => { dirty = true; clearTimeout(timer); timer = setTimeout(save, 2000); };
    const leave = () => { if (document.hidden) save(true); };
    const stop = () => { clearTimeout(timer); running?.abort(); dirty = false; };
    form.addEventListener("input", typed);
    document.addEventListener("visibilitychange", leave);
    window.addEventListener("pagehide", () => save(true));
    return { stop, say, typed, flush: () => save(true), get dirty() { return dirty; } };
  };

  /* --- forms --- */
  const start = (form) => {
    form.classList.add("hg-scripted");
    const field = (name) => form.elements.namedItem(name);
    const data = (id) => { const found = form.querySelector(`#${id}`); return found ? JSON.parse(found.textContent) : {}; };
    const templates = data("templates-data"), levels = data("levels-data");
    const touched = new Set(), panel = form.querySelector("#preview"), address = form.dataset.preview;
    const keeper = keep(form);
    let sent = false;
    // It came back with something to put right, or given back: leaving must not lose it.
    if (form.querySelector("[role=alert]")) keeper.typed();

    form.addEventListener("submit", (event) => {
      const button = event.submitter;
      if (sent) { event.preventDefault(); return; }
      if (button && button.name === "_preview" && panel) {
        event.preventDefault();
        refresh();
        panel.scrollIntoView({ block: "nearest" });
        return;
      }
      if (button && button.dataset.again !== undefined) return;
      sent = true;
      keeper.stop();
      window.removeEventListener("beforeunload", warn);
      // Disabled after this turn of the loop: a disabled button's name would not be sent.
      setTimeout(() => each("button[type=submit]", (b) => { b.disabled = true; }, form));
    });
    const again = () => { sent = false; each("button[type=submit]", (b) => { b.disabled = false; }, form); };
    window.addEventListener("pageshow", again);
    form.addEventListener("hg:failed", () => { again(); keeper.say("It could not be sent; your words are still here. Try again."); });

    // What is kept can be left.
    const warn = (event) => { if (keeper.dirty && !sent) event.preventDefault(); };
    window.addEventListener("beforeunload", warn);
    form.addEventListener("input", (event) => {
      touched.add(event.target.name);
      const way = event.target.closest("[data-way]");
      if (way) way.dataset.touched = "1";
      // What was wrong is being put right: the complaint goes away, the answer comes with the next try.
      const box = event.target.closest(".hg-field.bad");
      if (box) { box.classList.remove("bad"); each(".hg-error", (text) => text.remove(), box); event.target.removeAttribute("aria-invalid"); }
    });

    /* Moments: "5 min ago" and the like write UTC into the field. */
    each("[data-ago]", (button) => button.addEventListener("click", () => {
      const at = new Date(Date.now() - button.dataset.ago * 60000);
      const input = field(button.closest("[data-moment]").dataset.moment);
      input.value = `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())} ${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}`;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }), form);

    /* Templates: choosing one writes its words, unless somebody has written there. */
    const body = field("body"), sms = field("sms"), chooser = field("template"), letter = field("own_letter");
    const unedited = () => !body.value.trim() || Object.values(templates).some((t) => t.body === body.value.replaceAll("\r\n", "\n").trim());
    /* Every field that a template writes, in every language; letters that somebody wrote stay. */
    const worded = [...form.querySelectorAll("textarea")].filter((area) => Object.values(templates).some((t) => area.name in t));
    const kept = () => Object.fromEntries(worded.map((area) => [area.name, area.value]));
    const put = (words) => worded.forEach((area) => { if (area.name in words) area.value = words[area.name]; });
    let before = null;
    const use = (key) => {
      const chosen = templates[key];
      if (!chosen) return;
      before = kept();
      const own = letter && letter.value.trim() && !Object.values(templates).some((t) => t.own_letter === letter.value.replaceAll("\r\n", "\n").trim());
      put(own ? { ...chosen, own_letter: letter.value } : chosen);
      if (chooser) chooser.value = key;
      each(`[name=phase][value="${chosen.phase}"]`, (radio) => { radio.checked = true; }, form);
      changed();
    };
    const undo = form.querySelector("[data-undo]");
    if (chooser) chooser.addEventListener("change", () => {
      const keep = unedited() ? null : kept();
      use(chooser.value);
      before = keep;
      if (undo) undo.hidden = !keep;
    });
    if (undo) undo.addEventListener("click", () => { put(before); undo.hidden = true; typed(); });
    /* Somebody else's words take the place of what is written, and can be taken back. */
    const typed = () => body.dispatchEvent(new Event("input", { bubbles: true }));
    const replace = (words) => { before = kept(); put(words); if (undo) undo.hidden = false; typed(); };
    const policyOf = () => {
      const chosen = form.querySelector("[name=severity]:checked");
      return chosen && levels[chosen.value] ? String(levels[chosen.value].policy) : null;
    };
    const matching = (phase) => {
      const policy = policyOf();
      const option = chooser && [...chooser.options].find((o) => templates[o.value] && templates[o.value].phase === phase && !o.disabled && (!policy || o.dataset.policy === policy));
      return option ? option.value : null;
    };
    each("[name=phase]", (radio) => radio.addEventListener("change", () => {
      const key = body && unedited() && matching(radio.value);
      if (key) use(key);
    }), form);

    /* Severity: presets publicity and promise, and offers its own policy's words. */
    const narrow = () => {
      const policy = policyOf();
      if (!policy || !chooser) return;
      each("optgroup", (group) => { group.hidden = group.disabled = group.dataset.policy !== policy; }, chooser);
      const current = chooser.selectedOptions[0];
      if (current && current.dataset.policy && current.dataset.policy !== policy) {
        const phase = templates[current.value] ? templates[current.value].phase : "investigating";
        const key = matching(phase);
        if (unedited() && key) use(key); else chooser.value = "";
      }
    };
    each("[name=severity]", (radio) => radio.addEventListener("change", () => {
      const level = levels[radio.value];
      if (!level) return;
      if (!touched.has("publish")) each(`[name=publish][value=${level.told ? "now" : "later"}]`, (r) => { r.checked = true; }, form);
      each("[data-way]", (way) => {
        way.dataset.setting = level.ways[way.dataset.way] || "off";
        const box = way.querySelector("input");
        if (box && !box.disabled && !way.dataset.touched) box.checked = way.dataset.setting === "on";
      }, form);
      if (!touched.has("promise")) each(`[name=promise][value="${level.cadence || 60}"]`, (r) => { r.checked = true; }, form);
      narrow();
    }), form);

    /* Blanks: a field appears while the words ask for it. */
    const blanks = () => {
      if (!body) return;
      // A template's own text message that nobody touched asks for nothing: blank, it is made from the words.
      const own = sms && Object.values(templates).some((template) => template.sms === sms.value);
      const writes = letter && form.querySelector('[data-way="email:enterprise"] input:checked');
      const words = `${body.value} ${sms && !own ? sms.value : ""} ${writes ? letter.value : ""}`;
      each("[data-blank]", (box) => { box.hidden = !new RegExp(`\\{\\{\\s*${box.dataset.blank}\\s*\\}\\}`).test(words); }, form);
    };

    /* How many each way reaches, beside it; very many must be typed back. */
    const count = (counts) => {
      if (!counts) return;
      each("[data-of]", (of) => each(`[data-way="${of.dataset.of}"] [data-count]`, (text) => { text.textContent = of.textContent; }, form), counts);
      each("[data-many-box]", (box) => {
        box.hidden = !counts.dataset.many;
        each("[data-many-count]", (text) => { text.textContent = counts.dataset.many || ""; }, box);
      }, form);
    };

    /* The panel beside the form. */
    let timer = 0, running = null;
    const refresh = async () => {
      if (running) running.abort();
      running = new AbortController();
      const content = new FormData(form);
      panel.classList.add("stale");
      try {
        const answer = await fetch(address, { method: "POST", body: content, signal: running.signal, headers: { "X-CSRFToken": content.get("csrfmiddlewaretoken") } });
        if (!answer.ok) throw new Error(answer.statusText);
        const tab = panel.querySelector("[name=preview-tab]:checked");
        panel.innerHTML = await answer.text();
        if (tab) each(`#${tab.id}`, (radio) => { radio.checked = true; }, panel);
        panel.classList.remove("stale");
        const reach = panel.querySelector("[data-reach]");
        each("[data-reach-here]", (beside) => { beside.textContent = reach ? reach.dataset.reach.trim() : ""; }, form);
        count(panel.querySelector("[data-counts]"));
        composing?.previewed(panel);
        const to = panel.querySelector("[data-letters]");
        each("[data-letters-here]", (text) => { text.textContent = to ? to.textContent : ""; }, form);
      } catch (error) {
        if (error.name !== "AbortError") panel.querySelector("[data-failed]")?.removeAttribute("hidden");
      }
    };
    const changed = () => {
      blanks();
      if (!panel || !address) return;
      clearTimeout(timer);
      timer = setTimeout(refresh, 350);
    };
    form.addEventListener("input", changed);
    form.addEventListener("change", changed);

    /* A correction shows its difference while it is written. */
    const old = document.getElementById("old-words"), diff = document.getElementById("diff");
    if (old && diff) {
      const show = () => { diff.replaceChildren(...compare(old.textContent, body.value)); };
      body.addEventListener("input", show);
      show();
    }
    const composing = body && address ? H.compose?.(form, { templates, chooser, use, matching, unedited, replace, changed }) : null;
    narrow();
    blanks();
    if (panel && address && !panel.dataset.fresh) refresh();
    return () => { if (!sent) keeper.flush(); window.removeEventListener("beforeunload", warn); };
  };

  /* Words that went and words that came, by the longest common run of words. */
  const compare = (before, after) => {
    const a = before.trim().split(/(\s+)/), b = after.trim().split(/(\s+)/);
    if (a.length * b.length > 1000000) return [document.createTextNode(after)];
    const best = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
      best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
    const parts = [];
    const add = (kind, word) => {
      const last = parts.at(-1);
      if (last && last.kind === kind) last.text += word; else parts.push({ kind, text: word });
    };
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { add("", a[i]); i++; j++; }
      else if (j >= b.length || (i < a.length && best[i + 1][j] >= best[i][j + 1])) { add("del", a[i]); i++; }
      else { add("ins", b[j]); j++; }
    }
    return parts.map(({ kind, text }) => {
      const node = kind ? document.createElement(kind) : document.createTextNode(text);
      if (kind) node.textContent = text;
      return node;
    });
  };

  Object.assign(H, { start, keep });
  document.addEventListener("DOMContentLoaded", () => {
    each("form.hg-form", start);
    const target = document.querySelector("[data-focus]");
    const wanted = target && document.getElementById(target.dataset.focus);
    if (wanted) { wanted.focus(); wanted.closest(".hg-field, .hg-card")?.scrollIntoView({ block: "center" }); }
  });
})();
