/* Copying a reply. Without it, the words can be marked and copied by hand. */
(() => {
  "use strict";
  if (!navigator.clipboard) return;
  document.documentElement.classList.add("hg-copies");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const words = document.getElementById(button.dataset.copy);
    const said = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(words.value);
      said.textContent = "Copied.";
    } catch {
      words.select();
      said.textContent = "Marked: copy it with your keyboard.";
    }
  });
})();
