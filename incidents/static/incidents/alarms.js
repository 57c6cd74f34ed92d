/* A sound and a note of the browser for whoever wants them: off until switched on, here, in this browser. */
(() => {
  "use strict";
  const H = window.Heliograph, { each } = H;
  const KEY = "hg-alarms", EVERY = 30000, AHEAD = 5 * 60000;
  const isOn = () => localStorage.getItem(KEY) === "on";

  const beep = () => {
    try {
      const context = new AudioContext(), gain = context.createGain(), now = context.currentTime;
      gain.connect(context.destination);
      gain.gain.setValueAtTime(0.0001, now);
      [660, 880].forEach((pitch, n) => {
        const tone = context.createOscillator(), at = now + n * 0.22;
        tone.frequency.value = pitch;
        tone.connect(gain);
        gain.gain.exponentialRampToValueAtTime(0.2, at + 0.02);
        gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.2);
        tone.start(at);
        tone.stop(at + 0.21);
      });
      setTimeout(() => context.close(), 1000);
    } catch { /* This browser makes no sound before a click. */ }
  };
  const tell = (key, words, url) => {
    // Several tabs are open: one of them tells, once.
    const told = JSON.parse(localStorage.getItem("hg-told") || "[]");
    if (told.includes(key)) return;
    localStorage.setItem("hg-told", JSON.stringify([...told, key].slice(-200)));
    beep();
    if (window.Notification?.permission === "granted") {
      const note = new Notification(words, { tag: key });
      note.onclick = () => { window.focus(); location.assign(url); };
    }
  };

  let first = true;
  const look = (data) => {
    if (!isOn()) return;
    const now = Date.now();
    // What is open already when it is switched on is no news.
    if (first && !localStorage.getItem("hg-told")) localStorage.setItem("hg-told", JSON.stringify(data.open.map((one) => `open-${one.id}`)));
    first = false;
    data.open.forEach((one) => tell(`open-${one.id}`, `New incident: ${one.words}`, one.url));
    data.owed.forEach((one) => {
      if (new Date(one.limit) <= now) tell(`broken-${one.id}`, `Broken: ${one.words}`, one.url);
      else if (new Date(one.due) - now < AHEAD) tell(`due-${one.id}`, `Due within 5 minutes: ${one.words}`, one.url);
    });
  };
  const dataOf = (root) => { const found = root.querySelector("#alarm-data"); return found ? JSON.parse(found.textContent) : null; };

  const show = () => each("[data-alarms]", (button) => {
    button.setAttribute("aria-pressed", String(isOn()));
    button.querySelector("[data-words]").textContent = isOn() ? "Sound is on" : "Sound is off";
    button.querySelector(".material-symbols-outlined").textContent = isOn() ? "notifications_active" : "notifications_off";
  });
  document.addEventListener("click", async (event) => {
    if (!event.target.closest("[data-alarms]")) return;
    if (isOn()) localStorage.removeItem(KEY);
    else {
      localStorage.setItem(KEY, "on");
      localStorage.removeItem("hg-told");
      first = true;
      beep();
      if (window.Notification?.permission === "default") await Notification.requestPermission();
      const data = dataOf(document);
      if (data) look(data);
    }
    show();
  });
  document.addEventListener("hg:fresh", (event) => { const data = dataOf(event.detail); if (data) look(data); show(); });
  document.addEventListener("DOMContentLoaded", () => {
    show();
    const address = document.querySelector("[data-board]")?.dataset.board || "/admin/live/";
    if (isOn() && !document.getElementById("alarm-data")) setInterval(async () => {
      const answer = await fetch(address, { credentials: "same-origin", redirect: "manual" }).catch(() => null);
      const data = answer?.ok && dataOf(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (data) look(data);
    }, EVERY);
  });
})();
