/* Clocks: UTC in the header, countdowns everywhere. The words are those of templatetags incidents and owed. */
window.Heliograph = {
  each: (selector, act, root = document) => root.querySelectorAll(selector).forEach(act),
  pad: (n) => String(n).padStart(2, "0"),
};
(() => {
  "use strict";
  const { each, pad } = window.Heliograph;
  const MINUTE = 60000, HOUR = 3600000;

  const ago = (ms) => {
    const all = Math.floor(Math.max(0, ms) / MINUTE), days = Math.floor(all / 1440), hours = Math.floor(all / 60) % 24, minutes = all % 60;
    if (days) return `${days} d ${hours} h`;
    return all >= 60 ? `${hours} h ${pad(minutes)} min` : `${minutes} min`;
  };
  const left = (ms) => (ms < HOUR ? `${Math.floor(Math.max(0, ms) / MINUTE)}:${pad(Math.floor(Math.max(0, ms) / 1000) % 60)}` : ago(ms));
  // Only what changed is written: nothing flickers, and a selection stays.
  const say = (element, words) => { if (element.textContent !== words) element.textContent = words; };

  /* What is owed: words and colour, by its two moments. */
  const owed = (time, now) => {
    const due = time.dateTime && time.hasAttribute("datetime") ? new Date(time.dateTime) - now : null;
    const row = time.closest("[data-level]");
    let level = "grey", late = false;
    if (due === null) say(time, `open for ${ago(now - new Date(time.dataset.opened))}`);
    else {
      const limit = new Date(time.dataset.limit) - now;
      late = limit <= 0;
      if (late) say(time, -limit < MINUTE ? "overdue now" : `overdue by ${ago(-limit)}`);
      else if (due <= 0) say(time, `due, ${left(limit)} to go`);
      else say(time, left(due));
      level = late ? "red" : due < 10 * MINUTE ? "orange" : due < 30 * MINUTE ? "yellow" : "grey";
    }
    if (!row) return;
    row.dataset.level = level;
    row.classList.toggle("overdue", late);
  };

  const tick = (root = document) => {
    const now = Date.now(), today = new Date(now);
    each("[data-utc]", (clock) => { clock.firstChild.textContent = `${pad(today.getUTCHours())}:${pad(today.getUTCMinutes())}`; }, root);
    each("[data-owed]", (time) => owed(time, now), root);
    each("time[data-count]", (time) => {
      const ahead = new Date(time.dateTime) - now;
      if (Math.abs(ahead) < MINUTE) say(time, "now");
      else say(time, ahead > 0 ? `in ${ago(ahead + 59000)}` : `${ago(-ahead)} ago`);
    }, root);
    each("[data-due]", (time) => {
      const ahead = new Date(time.dateTime) - now;
      time.classList.toggle("hg-late", ahead <= 0);
      say(time, ahead > 0 ? (ahead < MINUTE ? "now" : `in ${ago(ahead + 59000)}`) : (-ahead < MINUTE ? "overdue now" : `overdue by ${ago(-ahead)}`));
    }, root);
    each("[data-since]", (span) => say(span, ago(now - new Date(span.dataset.since))), root);
  };

  Object.assign(window.Heliograph, { tick, ago });
  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("hg-js");
    tick();
    setInterval(() => { if (!document.hidden) tick(); }, 1000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  });
})();
