// Before the first paint: the look that this browser keeps, where the address names none.
"use strict";
{
  const query = new URLSearchParams(location.search);
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("cloud-monitor")) || {};
  } catch {
    // Nothing is kept, or nothing may be.
  }
  for (const name of ["theme", "density"]) {
    const value = query.get(name) ?? kept[name];
    if (["light", "dark", "compact"].includes(value)) document.documentElement.dataset[name] = value;
  }
  // The first picture of a long page has the first rows of each table; app.js adds the others. A browser that goes back to
  // where it was needs the whole page at once.
  const root = document.documentElement;
  if (performance.getEntriesByType("navigation")[0]?.type === "navigate" && !location.hash) root.dataset.part = "";
  addEventListener("load", () => root.dataset.part === "" && delete root.dataset.part);
}
