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
}
