/* Optional comfort for the public page: local times, days under the pointer, live refresh.
   Everything is readable without it. No inline code, no other hosts (S13). */
(() => {
  "use strict";
  const EVERY = 20_000; // ms between two looks
  const STALE = 180_000; // ms without a fresh pressing before the reader is warned (R-1309)
  const LEVELS = { o: "Major outage", p: "Partial outage", d: "Degraded performance", m: "Under maintenance" };
  const main = document.getElementById("main");

  /* --- the reader's own time ------------------------------------------------------ */
  const clocked = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  const thisYear = new Intl.DateTimeFormat(undefined, clocked);
  const anyYear = new Intl.DateTimeFormat(undefined, { ...clocked, year: "numeric" });
  const localise = () => {
    for (const time of main.querySelectorAll("time")) {
      time.title = time.textContent;
      const moment = new Date(time.dateTime);
      time.textContent = (moment.getFullYear() === new Date().getFullYear() ? thisYear : anyYear).format(moment);
    }
  };

  /* --- one day of the bars --------------------------------------------------------- */
  const DAYS = 90;
  const dated = new Intl.DateTimeFormat(undefined, {
    weekday: "short", day: "numeric", month: "short", timeZone: "UTC",
  });
  const lasting = (minutes) => {
    if (minutes < 60) return `${minutes} min`;
    const rest = minutes % 60;
    return `${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""}`;
  };
  const troubles = (bars) => {
    const found = new Map();
    for (const told of (bars.dataset.trouble || "").split(";").filter(Boolean)) {
      const levels = [...told.matchAll(/([opdm])(\d+)/g)];
      found.set(parseInt(told, 10), levels.map(([, level, minutes]) => `${LEVELS[level]}: ${lasting(Number(minutes))}`));
    }
    return found;
  };
  const inWords = (bars, place) => {
    const date = dated.format(new Date((Number(bars.closest("[data-last]").dataset.last) - DAYS + 1 + place) * 86_400_000));
    if (place < Number(bars.dataset.known || 0)) return [date, ["Not measured yet"]];
    return [date, troubles(bars).get(place) || ["No trouble"]];
  };
  const show = (bars, place) => {
    hide(bars);
    const [date, lines] = inWords(bars, place);
    const now = document.createElement("i");
    now.className = "now";
    now.style.left = `calc(${(place / DAYS) * 100}% - 1px)`;
    now.style.width = `calc(${100 / DAYS}% + 1px)`;
    const tip = document.createElement("div");
    tip.className = "tip";
    const strong = document.createElement("b");
    strong.textContent = date;
    tip.append(strong, ...lines.flatMap((line, n) => (n ? [document.createElement("br"), line] : [line])));
    bars.append(now, tip);
    const room = bars.getBoundingClientRect();
    const centre = ((place + 0.5) / DAYS) * room.width - tip.offsetWidth / 2;
    const least = 8 - room.left;
    const most = document.documentElement.clientWidth - 8 - room.left - tip.offsetWidth;
    tip.style.left = `${Math.max(least, Math.min(centre, most))}px`;
    bars.setAttribute("aria-valuenow", place + 1);
    bars.setAttribute("aria-valuetext", [date, ...lines].join(", "));
  };
  const hide = (bars) => bars.querySelectorAll(".now, .tip").forEach((part) => part.remove());
  const at = (bars, event) => {
    const room = bars.getBoundingClientRect();
    return Math.max(0, Math.min(DAYS - 1, Math.floor(((event.clientX - room.left) / room.width) * DAYS)));
  };
  const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -7, PageUp: 7, Home: -DAYS, End: DAYS };
  const explore = () => {
    for (const bars of main.querySelectorAll(".bars")) {
      const picture = bars.querySelector("svg");
      bars.tabIndex = 0;
      bars.setAttribute("role", "slider");
      bars.setAttribute("aria-label", picture.getAttribute("aria-label"));
      bars.setAttribute("aria-roledescription", "day by day");
      bars.setAttribute("aria-valuemin", 1);
      bars.setAttribute("aria-valuemax", DAYS);
      bars.setAttribute("aria-valuenow", DAYS);
      bars.setAttribute("aria-valuetext", inWords(bars, DAYS - 1).flat().join(", "));
      picture.setAttribute("aria-hidden", "true");
    }
  };
  const barsOf = (event) => event.target.closest && event.target.closest(".bars");
  main.addEventListener("pointermove", (event) => { const bars = barsOf(event); if (bars) show(bars, at(bars, event)); });
  main.addEventListener("pointerdown", (event) => { const bars = barsOf(event); if (bars) show(bars, at(bars, event)); });
  main.addEventListener("pointerout", (event) => {
    const bars = barsOf(event);
    if (bars && event.pointerType === "mouse" && !bars.contains(event.relatedTarget) && bars !== document.activeElement) hide(bars);
  });
  main.addEventListener("focusin", (event) => {
    const bars = barsOf(event);
    if (bars && !bars.querySelector(".tip")) show(bars, Number(bars.getAttribute("aria-valuenow")) - 1);
  });
  main.addEventListener("focusout", (event) => { const bars = barsOf(event); if (bars) hide(bars); });
  main.addEventListener("keydown", (event) => {
    const bars = barsOf(event);
    if (!bars) return;
    if (event.key === "Escape") hide(bars);
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    const place = Number(bars.getAttribute("aria-valuenow")) - 1 + KEYS[event.key];
    show(bars, Math.max(0, Math.min(DAYS - 1, place)));
  });

  /* --- live ------------------------------------------------------------------------ */
  // Said once, politely, when something a listener would care about has changed.
  const voice = document.createElement("p");
  voice.className = "visually-hidden";
  voice.setAttribute("aria-live", "polite");
  document.body.append(voice);
  const gist = (root) => ({
    headline: root.querySelector("h1")?.textContent.trim(),
    update: root.querySelector(".updates .when")?.textContent.trim(),
  });
  const state = (words, stale) => {
    const hero = main.querySelector(".hero .wide > div");
    if (!hero) return;
    const line = hero.querySelector(".live") || hero.appendChild(document.createElement("p"));
    line.className = stale ? "live stale" : "live";
    line.textContent = words;
  };
  const places = () => new Map([...main.querySelectorAll("details[id]")].map((group) => [group.id, group.open]));
  const swap = (next) => {
    const before = gist(main);
    const opened = places();
    const touched = new Set([...main.querySelectorAll("details[data-touched]")].map((group) => group.id));
    const active = document.activeElement;
    const path = main.contains(active) && active !== main ? [...main.querySelectorAll("a, summary, .bars")].indexOf(active) : -1;
    const place = active?.getAttribute?.("aria-valuenow");
    const [x, y] = [scrollX, scrollY];
    main.replaceChildren(...next.querySelector("#main").childNodes);
    for (const id of touched) {
      const group = document.getElementById(id);
      if (group) { group.open = opened.get(id); group.dataset.touched = ""; }
    }
    dress();
    document.title = next.title;
    const icon = next.querySelector("link[rel=icon]");
    if (icon) document.querySelector("link[rel=icon]").href = icon.getAttribute("href");
    const heir = path >= 0 ? main.querySelectorAll("a, summary, .bars")[path] : null;
    if (heir) {
      if (place && heir.matches(".bars")) heir.setAttribute("aria-valuenow", place);
      heir.focus({ preventScroll: true });
    }
    scrollTo({ left: x, top: y, behavior: "instant" });
    const after = gist(main);
    if (after.headline !== before.headline) voice.textContent = `Status changed: ${after.headline}`;
    else if (after.update !== before.update) voice.textContent = `New update: ${after.update || after.headline}`;
  };
  const dress = () => { localise(); explore(); };
  main.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    if (summary) summary.parentElement.dataset.touched = "";
  });

  let tag = null;
  let good = Date.now();
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
  const look = async () => {
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
      if (!answer.ok && answer.status !== 304) throw new Error(String(answer.status));
      if (answer.status === 200) {
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        const page = next.getElementById("main").innerHTML;
        if (page !== last) swap(next);
        last = page;
      }
      tag = answer.headers.get("ETag") || tag;
      const pressed = Date.parse(answer.headers.get("X-Pressed-At") || "");
      const told = Date.parse(answer.headers.get("Date") || "");
      good = Date.now();
      if (pressed && told && told - pressed > STALE) {
        state(`This page was last renewed ${lasting(Math.floor((told - pressed) / 60_000))} ago and may be out of date`, true);
      } else state(`Live, checked at ${clock.format(good)}`, false);
    } catch {
      if (Date.now() - good > STALE) state(`No connection since ${clock.format(good)}; this page may be out of date`, true);
    }
  };
  // What was read, before it is dressed: the first look must not exchange the page for itself.
  let last = main.innerHTML;

  dress();
  if (document.querySelector(".hero") && "fetch" in window) {
    look();
    setInterval(() => { if (!document.hidden) look(); }, EVERY);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  }
})();
