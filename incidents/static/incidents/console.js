/* Small comforts. Every page works without them. */
(() => {
  "use strict";
  const each = (selector, act, root = document) => root.querySelectorAll(selector).forEach(act);
  const pad = (n) => String(n).padStart(2, "0");

  /* --- clocks: UTC in the header, countdowns everywhere --- */
  const ago = (ms) => {
    const all = Math.floor(ms / 60000), days = Math.floor(all / 1440), hours = Math.floor(all / 60) % 24, minutes = all % 60;
    if (days) return `${days} d ${hours} h`;
    return all >= 60 ? `${hours} h ${pad(minutes)} min` : `${minutes} min`;
  };
  const tick = () => {
    const now = new Date();
    each("[data-utc]", (clock) => { clock.firstChild.textContent = `${pad(now.getUTCHours())}:${pad(now.getUTCMinutes())}`; });
    each("[data-count]", (time) => {
      const ahead = new Date(time.dateTime) - now;
      if (Math.abs(ahead) < 60000) time.textContent = "now";
      else time.textContent = ahead > 0 ? `in ${ago(ahead + 59000)}` : `${ago(-ahead)} ago`;
    });
    each("[data-due]", (time) => {
      const ahead = new Date(time.dateTime) - now;
      time.classList.toggle("hg-late", ahead <= 0);
      time.textContent = ahead > 0 ? (ahead < 60000 ? "now" : `in ${ago(ahead + 59000)}`) : `overdue by ${ago(-ahead)}`;
    });
    each("[data-since]", (span) => { span.textContent = ago(now - new Date(span.dataset.since)); });
  };

  /* --- forms --- */
  const start = (form) => {
    form.classList.add("hg-scripted");
    const field = (name) => form.elements.namedItem(name);
    const data = (id) => { const found = document.getElementById(id); return found ? JSON.parse(found.textContent) : {}; };
    const templates = data("templates-data"), levels = data("levels-data");
    const touched = new Set(), panel = document.getElementById("preview"), address = form.dataset.preview;
    let sent = false;

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
      window.removeEventListener("beforeunload", warn);
      // Disabled after this turn of the loop: a disabled button's name would not be sent.
      setTimeout(() => each("button[type=submit]", (b) => { b.disabled = true; }, form));
    });
    window.addEventListener("pageshow", () => { sent = false; each("button[type=submit]", (b) => { b.disabled = false; }, form); });

    let dirty = false;
    const warn = (event) => { if (dirty && !sent) event.preventDefault(); };
    window.addEventListener("beforeunload", warn);
    form.addEventListener("input", (event) => {
      dirty = true;
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
    let before = null;
    const use = (key) => {
      const chosen = templates[key];
      if (!chosen) return;
      before = { body: body.value, sms: sms.value };
      if (letter && (!letter.value.trim() || Object.values(templates).some((t) => t.letter === letter.value.replaceAll("\r\n", "\n").trim()))) letter.value = chosen.letter;
      body.value = chosen.body;
      sms.value = chosen.sms;
      if (chooser) chooser.value = key;
      each(`[name=phase][value="${chosen.phase}"]`, (radio) => { radio.checked = true; }, form);
      changed();
    };
    const undo = form.querySelector("[data-undo]");
    if (chooser) chooser.addEventListener("change", () => {
      const keep = unedited() ? null : { body: body.value, sms: sms.value };
      use(chooser.value);
      before = keep;
      if (undo) undo.hidden = !keep;
    });
    if (undo) undo.addEventListener("click", () => {
      body.value = before.body; sms.value = before.sms; undo.hidden = true; changed();
    });
    const policyOf = () => {
      const chosen = form.querySelector("[name=severity]:checked");
      return chosen && levels[chosen.value] ? String(levels[chosen.value].policy) : null;
    };
    const matching = (phase) => {
      const policy = policyOf();
      const option = chooser && [...chooser.options].find((o) => templates[o.value] && templates[o.value].phase === phase && (!policy || o.dataset.policy === policy));
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
    narrow();
    blanks();
    if (panel && address && !panel.dataset.fresh) refresh();
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

  document.addEventListener("DOMContentLoaded", () => {
    tick();
    setInterval(tick, 10000);
    each("form.hg-form", start);
    const target = document.querySelector("[data-focus]");
    const wanted = target && document.getElementById(target.dataset.focus);
    if (wanted) { wanted.focus(); wanted.closest(".hg-field, .hg-card")?.scrollIntoView({ block: "center" }); }
  });
})();
