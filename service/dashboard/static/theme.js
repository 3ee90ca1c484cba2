// The colours of the page: the system's, light or dark, as this browser has chosen. Not a module: it
// runs before anything is painted, so that no page begins in other colours than it has.
(() => {
  const KEY = "theme";
  const night = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      const kept = localStorage.getItem(KEY);
      return kept === "light" || kept === "dark" ? kept : "system";
    } catch {
      return "system"; // a browser that keeps nothing
    }
  }

  let now = chosen();

  /** Gives the page its colours; charts hear of it and are drawn anew. */
  function show() {
    const theme = now === "system" ? (night.matches ? "dark" : "light") : now;
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    dispatchEvent(new Event("theme"));
  }

  show();
  night.addEventListener("change", show);
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    now = chosen(); // in another window
    show();
  });
  addEventListener("DOMContentLoaded", () => {
    const choice = document.getElementById("theme");
    choice.value = now;
    choice.parentElement.hidden = false;
    choice.addEventListener("change", () => {
      now = choice.value;
      try {
        localStorage.setItem(KEY, now);
      } catch {
        // then it holds for this page
      }
      show();
    });
  });
})();
