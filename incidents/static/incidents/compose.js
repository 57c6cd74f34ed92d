/* The composer's comforts: brands, other languages, earlier words, what must not go out. Every form works without them. */
(() => {
  "use strict";
  const H = window.Heliograph, { each } = H;
  const plain = (text) => text.replaceAll("\r\n", "\n").trim();

  H.compose = (form, { templates, chooser, use, matching, unedited, replace, changed }) => {
    const field = (name) => form.elements.namedItem(name), body = field("body");
    const offered = (area) => Object.values(templates).filter((t) => t[area.name] && plain(t[area.name]) === plain(area.value));

    /* Each brand speaks with its own words. */
    const brand = field("brand");
    const speak = () => {
      if (!brand || !chooser) return;
      for (const option of chooser.options) {
        const { brand: own, notBrands: not } = option.dataset;
        option.hidden = option.disabled = own ? own !== brand.value : Boolean(not) && not.split(" ").includes(brand.value);
      }
      const current = chooser.selectedOptions[0];
      if (!current || !current.disabled) return;
      const key = matching(templates[current.value].phase);
      if (unedited() && key) use(key); else chooser.value = "";
    };
    brand?.addEventListener("change", speak);
    speak();

    /* Other languages: blanks while their words ask for them, and a mark once the original went another way. */
    const tongues = [...form.querySelectorAll("[data-language]")].map((box) => {
      const [words, ...short] = ["body", "sms", "chat"].map((name) => field(`${name}_${box.dataset.language}`));
      return { box, words, short, was: body.value };
    });
    const stale = ({ words, was }) => {
      if (!plain(words.value)) return false;
      const same = offered(words);
      return same.length ? !same.some((t) => t.body === plain(body.value)) : plain(was) !== plain(body.value);
    };
    const turn = (tongue) => {
      const { box, words, short } = tongue;
      const asked = [words, ...short.filter((area) => !offered(area).length)].map((area) => area.value).join(" ");
      each("[data-blank-in]", (blank) => { blank.hidden = !new RegExp(`\\{\\{\\s*${blank.dataset.blankIn}\\s*\\}\\}`).test(asked); }, box);
      const went = stale(tongue), mark = box.querySelector("[data-stale]");
      if (went && mark.hidden) box.open = true;
      mark.hidden = !went;
    };
    const look = () => tongues.forEach(turn);
    tongues.forEach((tongue) => {
      // Whoever writes here has read the original as it is now.
      tongue.words.addEventListener("input", () => { tongue.was = body.value; });
    });
    form.addEventListener("input", look);
    form.addEventListener("change", look);
    look();

    /* Earlier words: said before about the same components, at the same phase. */
    const button = form.querySelector("[data-phrases]"), list = form.querySelector("[data-phrases-list]");
    const ask = async () => {
      const asked = new URLSearchParams(), content = new FormData(form);
      for (const name of ["phase", "severity", "brand"]) if (content.get(name)) asked.set(name, content.get(name));
      for (const [name, level] of content) if (name.startsWith("levels-") && level !== "operational") asked.append("component", name.slice(7));
      list.hidden = false;
      list.setAttribute("aria-busy", "true");
      try {
        const answer = await fetch(`${button.dataset.phrases}?${asked}`, { credentials: "same-origin" });
        if (!answer.ok) throw new Error(answer.statusText);
        list.innerHTML = await answer.text();
      } catch {
        list.textContent = "Earlier words could not be fetched. Yours are safe.";
      }
      list.removeAttribute("aria-busy");
    };
    button?.addEventListener("click", () => {
      const shown = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!shown));
      if (shown) list.hidden = true; else ask();
    });
    list?.addEventListener("click", (event) => {
      const chosen = event.target.closest("[data-words]");
      if (!chosen) return;
      replace(JSON.parse(chosen.dataset.words));
      list.hidden = true;
      button.setAttribute("aria-expanded", "false");
      body.focus();
    });

    /* What must not go out is said at its field while it is typed, without taking the cursor anywhere. */
    const previewed = (panel) => {
      each("[data-live]", (text) => text.remove(), form);
      each("[data-lint]", (problem) => {
        const box = document.getElementById(problem.dataset.lint)?.closest(".hg-field");
        if (!box || [...box.querySelectorAll(".hg-error")].some((said) => said.textContent === problem.textContent)) return;
        const said = document.createElement("p");
        said.className = "hg-error";
        said.dataset.live = "1";
        said.textContent = problem.textContent;
        box.append(said);
      }, panel);
      each("[data-standing-of]", (standing) => {
        each(`[data-language="${standing.dataset.standingOf}"] [data-standing]`, (text) => { text.textContent = standing.textContent; }, form);
      }, panel);
    };
    if (form.querySelector("#preview [data-lint], #preview [data-standing-of]")) previewed(form.querySelector("#preview"));
    return { previewed, changed };
  };
})();
