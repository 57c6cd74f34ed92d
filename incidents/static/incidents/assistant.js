/* The severity assistant: what the policy says while facts are typed. Without it, a button asks. */
(() => {
  "use strict";
  let timer = 0, asked = 0;

  const ask = async (form, panel) => {
    const turn = ++asked;
    const answer = await fetch(panel.dataset.propose, { method: "POST", body: new FormData(form) }).catch(() => null);
    if (!answer || !answer.ok || turn !== asked) return;
    const place = panel.querySelector("[data-proposal]");
    place.innerHTML = await answer.text();
    const asks = place.querySelector("[data-asks]");
    if (asks) {
      const wanted = asks.dataset.asks.split(" ");
      panel.querySelectorAll("[data-fact]").forEach((part) => { part.hidden = !wanted.includes(part.dataset.fact); });
    }
  };

  const heard = (event) => {
    const form = event.target.form;
    const panel = form && form.querySelector("[data-propose]");
    if (!panel || !(event.target.name === "severity" || panel.contains(event.target))) return;
    clearTimeout(timer);
    timer = setTimeout(() => ask(form, panel), event.type === "input" ? 350 : 0);
  };
  document.addEventListener("input", heard);
  document.addEventListener("change", heard);

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-use]");
    const radio = button && button.form && button.form.querySelector(`[name="severity"][value="${button.dataset.use}"]`);
    if (!radio) return;
    event.preventDefault();
    const fold = radio.closest("details");
    if (fold) fold.open = true;
    radio.click();
    radio.focus();
  });
})();
