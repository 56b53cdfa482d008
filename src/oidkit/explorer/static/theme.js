// Run before the first paint, so that a chosen theme does not flash in the other one.
// Not a module: a module would wait until the page is parsed.
(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("oid-theme");
  } catch {
    // A browser that keeps nothing for this page: the theme of the system it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
