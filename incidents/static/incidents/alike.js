/* What looks like the incident that is being declared, as its title and components are filled in (R-1311). */
(() => {
  "use strict";
  const H = window.Heliograph, PAUSE = 500;

  document.addEventListener("DOMContentLoaded", () => {
    const place = document.querySelector("[data-alike]"), form = place?.closest("form");
    if (!form) return;
    let timer = 0, running = null, shown = place.innerHTML.trim();
    const ask = async () => {
      running?.abort();
      running = new AbortController();
      try {
        const answer = await fetch(place.dataset.alike, { method: "POST", body: new FormData(form), signal: running.signal, headers: { "X-CSRFToken": H.csrf() }, credentials: "same-origin" });
        const fresh = answer.ok && answer.headers.get("Content-Type")?.includes("html") ? (await answer.text()).trim() : shown;
        // Read aloud, so put in only when it says something else.
        if (fresh !== shown) place.innerHTML = shown = fresh;
      } catch {
        // A proposal only: the form works without it, and the next key asks again.
      }
    };
    const heard = ({ target }) => {
      if (target.name !== "title" && !target.name?.startsWith("levels-")) return;
      clearTimeout(timer);
      timer = setTimeout(ask, PAUSE);
    };
    form.addEventListener("input", heard);
    if (form.elements.namedItem("title").value) ask();
  });
})();
