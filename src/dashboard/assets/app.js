// Refreshes the tables, draws the plots and keeps the address up to date. The server renders all HTML; this script adds
// only nodes to the page, and never builds HTML from text.
"use strict";
{
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const main = document.querySelector("main");
  const header = document.querySelector("header");
  const panel = byId("plot");
  const chart = byId("chart");
  const legend = byId("legend");
  const state = byId("state");
  const said = byId("said");
  const tip = byId("tip");
  const options = document.querySelector("#options form");
  const range = byId("range");
  const find = byId("find");
  const REFRESH = Number(document.body.dataset.refresh) * 1000;
  const DEFAULT_FROM = "-6h";
  const COLOURS = 8;
  const DASHES = [[], [6, 3], [2, 3]];
  const SWITCH = "0 or 1"; // The unit of what is a lane.
  const LANES = "lanes"; // The strip of all lanes.
  const GAP = 0.9; // Less coverage than this is a gap in the line, as in the SVG.

  // --- The address: all choices of the reader. -------------------------------------------------------------------

  const ROWS = ["of", "by", "show", "all", "hide", "open", "find", "only", "system", "kind", "going", "longer", "sort", "rows"]; // Which rows the tables show, and in which order.
  const LOOK = [...ROWS, "density", "theme"];

  /** Takes a choice about a table, its order or its length, as the server does. */
  const chosen = (sorts, word) => {
    const table = (one) => one.replace(/^-/, "").split(":")[0];
    const others = sorts.filter((one) => table(one) !== table(word));
    return /:./.test(word) ? [...others, word].slice(0, 20) : others;
  };

  /** Unfolds a row or folds it, as the server does. */
  const toggled = (open, row) => {
    if (row === "*") return open.includes("*") ? [] : ["*"];
    return open.includes(row) ? open.filter((one) => one !== row) : [...open, row].slice(0, 200);
  };

  const read = (query) => {
    const q = new URLSearchParams(query);
    return {
      plots: [...new Set(q.getAll("plot"))].slice(0, 100),
      from: q.get("from") ?? "",
      to: q.get("to") ?? "",
      full: q.get("full") === "1",
      stack: q.get("stack") === "1",
      of: q.get("of") ?? "",
      by: q.get("by") ?? "",
      show: q.get("show") ?? "",
      all: q.get("all") === "1",
      hide: [...new Set(q.getAll("hide"))],
      open: q.getAll("open").reduce(toggled, []),
      find: (q.get("find") ?? "").slice(0, 200),
      only: q.get("only") === "wrong" ? "wrong" : "",
      system: q.get("system") ?? "",
      kind: q.get("kind") ?? "",
      going: q.get("going") === "1" ? "1" : "",
      longer: q.get("longer") ?? "",
      sort: q.getAll("sort").reduce(chosen, []),
      rows: q.getAll("rows").reduce(chosen, []),
      density: q.get("density") === "compact" ? "compact" : "",
      theme: ["light", "dark"].includes(q.get("theme")) ? q.get("theme") : "",
    };
  };

  // Uses the order and the encoding of the server, since the result is compared with its links.
  const written = (view, names = ["plot", "from", "to", "full", "stack", ...LOOK]) => {
    const values = {
      plot: view.plots,
      from: view.from ? [view.from] : [],
      to: view.to ? [view.to] : [],
      full: view.full ? ["1"] : [],
      stack: view.stack ? ["1"] : [],
      of: view.of ? [view.of] : [],
      by: view.by ? [view.by] : [],
      show: view.show ? [view.show] : [],
      all: view.all ? ["1"] : [],
      hide: view.hide,
      open: view.open,
      find: view.find ? [view.find] : [],
      only: view.only ? [view.only] : [],
      system: view.system ? [view.system] : [],
      kind: view.kind ? [view.kind] : [],
      going: view.going ? [view.going] : [],
      longer: view.longer ? [view.longer] : [],
      sort: view.sort,
      rows: view.rows,
      density: view.density ? [view.density] : [],
      theme: view.theme ? [view.theme] : [],
    };
    const encoded = (text) =>
      encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
    return "?" + names.flatMap((name) => values[name].map((value) => `${name}=${encoded(value)}`)).join("&");
  };

  const kept = () => {
    try {
      return JSON.parse(localStorage.getItem("cloud-monitor")) || {};
    } catch {
      return {};
    }
  };
  const keep = (view) => {
    const { theme, density, all, hide, zone, tall } = { ...kept(), ...view };
    try {
      localStorage.setItem("cloud-monitor", JSON.stringify({ theme, density, all, hide, zone, tall }));
    } catch {
      // This browser refuses storage.
    }
  };

  let view = read(location.search);
  let shown = view; // What the tables on the page were asked for, which their links change.
  if (location.search.length < 2) {
    const { all, hide } = kept();
    view = { ...view, all: all === true, hide: Array.isArray(hide) ? hide.filter((name) => typeof name === "string") : [] };
  }

  /** Shows another view; `how` is "push", "replace" or "none" for the browser's history. */
  const go = (change, how = "push") => {
    const before = view;
    view = { ...view, ...change };
    const address = written(view);
    if (how !== "none" && address !== written(before)) {
      history[how + "State"](null, "", address === "?" ? location.pathname : address);
    }
    look();
    if (written(view, ROWS) !== written(before, ROWS)) refresh();
    marks();
    plot();
  };

  addEventListener("popstate", () => {
    zooms.length = 0;
    go(read(location.search), "none");
  });

  /** Applies the theme, the density and the choices, to the controls and to every link that carries them. */
  const look = () => {
    for (const name of ["theme", "density"]) {
      const named = view[name] || (new URLSearchParams(location.search).has(name) ? "" : kept()[name]);
      if (["light", "dark", "compact"].includes(named)) root.dataset[name] = named;
      else delete root.dataset[name];
      options.elements[name].value = root.dataset[name] ?? "";
    }
    options.elements.all.checked = view.all;
    if (document.activeElement !== find || find.value.trim() === "") find.value = view.find;
    if (document.activeElement !== range.elements.from) range.elements.from.value = view.from;
    if (document.activeElement !== range.elements.to) range.elements.to.value = view.to;
    for (const link of panel.querySelectorAll("[data-from]")) {
      const { from, to } = link.dataset;
      link.href = written({ ...view, from, to });
      if ((view.from || DEFAULT_FROM) === from && view.to === to) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const asked = question();
    for (const link of panel.querySelectorAll("[data-export]")) {
      link.href = `export?format=${link.dataset.export}${view.stack ? "&stack=1" : ""}&${asked}`;
    }
    byId("close").href = written({ ...view, plots: [], full: false });
    const isFull = view.full && view.plots.length > 0;
    if (isFull) root.dataset.full = "1";
    else delete root.dataset.full;
    const full = byId("full");
    full.href = written({ ...view, full: !view.full });
    full.textContent = view.full ? "Beside the tables" : "Full window";
    byId("stack").href = written({ ...view, stack: !view.stack });
    byId("stack").textContent = view.stack ? "Lines" : "Stacked";
    named();
  };

  // The title of the tab without what is plotted.
  let site = main.querySelector(".now")?.dataset.title ?? (view.plots.length || view.of ? document.title.replace(/^.* – /, "") : document.title);

  /** Says in the title of the tab how many things need somebody, and what is plotted. */
  const named = () => {
    const [, count, name] = /^(\(\d+\) )?(.*)$/s.exec(site);
    const of = view.of.split("/").slice(2).join("/");
    const title = `${count ?? ""}${view.plots.length ? `${labels(view.plots).title} – ` : ""}${of ? `${of} – ` : ""}${name}`;
    if (document.title !== title) document.title = title;
  };

  /** What a link of the tables changes. They may be older than the last choice, which stays then. */
  const changed = ({ all, hide }) => {
    const back = shown.hide.filter((name) => !hide.includes(name));
    const added = hide.filter((name) => !shown.hide.includes(name));
    const hidden = new Set([...view.hide.filter((name) => !back.includes(name)), ...added]);
    return { all: all === shown.all ? view.all : all, hide: [...hidden] };
  };

  const question = () => {
    const asked = new URLSearchParams();
    if (view.from) asked.set("from", view.from);
    if (view.to) asked.set("to", view.to);
    for (const path of view.plots) asked.append("path", path);
    return asked;
  };

  // --- The tables. -----------------------------------------------------------------------------------------------

  const path = (link) => {
    const href = link.getAttribute("href");
    return href?.startsWith("?plot=") && link.closest("main") && link.dataset.look === undefined && link.dataset.plots === undefined ? new URLSearchParams(href).get("plot") : null;
  };

  const PLOTTED = 'a[aria-current="true"][href^="?plot="]';

  /** Marks the plotted numbers in the colours of their lines. */
  const marks = () => {
    const lines = new Map(view.plots.map((plotted, at) => [written({ ...view, plots: [plotted] }, ["plot"]), at]));
    const line = (link) => lines.get(link.getAttribute("href").split("&", 1)[0]);
    for (const link of main.querySelectorAll(PLOTTED)) {
      if (line(link) !== undefined) continue;
      link.removeAttribute("aria-current");
      delete link.dataset.on;
    }
    if (!lines.size) return;
    // One pass over all links, since they are many.
    for (const link of main.querySelectorAll('a[href^="?plot="]:not([data-look])')) {
      const at = line(link);
      if (at === undefined) continue;
      link.setAttribute("aria-current", "true");
      link.dataset.on = at % COLOURS;
    }
  };

  // By how much a table is narrower in its box. It is kept apart: the browser goes through a box whose attribute changes.
  const narrower = new WeakMap();
  /** Lets a table wider than the page scroll in its own box; the heads of the others stay below the bar. */
  const widths = () => {
    const room = main.clientWidth;
    const boxes = [...main.querySelectorAll(".box")].map((box) => ({ box, table: box.querySelector("table") }));
    for (const one of boxes) {
      one.was = one.box.dataset.wide !== undefined;
      // It must not leave its box for being narrower there.
      one.width = one.table.offsetWidth + (one.was ? (narrower.get(one.box) ?? 0) : 0);
    }
    const turned = boxes.filter(({ was, width }) => was !== width > room);
    for (const { box, was } of turned) {
      if (was) delete box.dataset.wide;
      else box.dataset.wide = "";
    }
    for (const { box, table, was, width } of turned) {
      if (!was) narrower.set(box, Math.max(0, width - table.offsetWidth));
    }
  };
  // Where the bar needs more lines than the style says, heads stay below all of them. It comes first, before what changes the page,
  // and leaves alone what is right: the browser goes through every element for a property that they inherit.
  new ResizeObserver(() => {
    const tall = getComputedStyle(header).position === "sticky" ? header.offsetHeight : 0;
    const known = parseFloat(getComputedStyle(root).getPropertyValue("--bar-height"));
    if (!(Math.abs(tall - known) < 2)) root.style.setProperty("--bar-height", `${tall}px`);
  }).observe(header);
  new ResizeObserver(widths).observe(main);

  /** Makes `old` equal to `fresh` and changes only the differences, so that focus, selection and scrolling stay. */
  const morph = (old, fresh) => {
    if (fresh.dataset?.row !== undefined) {
      old.removeAttribute("data-row");
      renew(old, fresh.dataset.row);
      return;
    }
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType === Node.TEXT_NODE) {
      old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !["aria-busy", "aria-current", "data-on", "data-wide", "data-in", "open"].includes(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      // What the reader has folded or unfolded stays so.
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const keyed = new Map();
    const wanted = new Set();
    for (const child of fresh.children) if (child.dataset.key !== undefined) wanted.add(child.dataset.key);
    for (const child of [...old.children]) {
      const { key } = child.dataset;
      if (key === undefined) continue;
      if (wanted.has(key)) keyed.set(key, child);
      else child.remove();
    }
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const key = child.dataset?.key;
      const match =
        key !== undefined
          ? keyed.get(key)
          : at && at.nodeName === child.nodeName && at.dataset?.key === undefined
            ? at
            : undefined;
      if (match && match.nodeName === child.nodeName) {
        // A moved node loses the focus, so remove the nodes before it instead.
        while (at && at !== match && at.dataset?.key === undefined) {
          const next = at.nextSibling;
          at.remove();
          at = next;
        }
        if (match === at) at = at.nextSibling;
        else old.insertBefore(match, at);
        morph(match, child);
      } else {
        old.insertBefore(child, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  // A page may have a thousand rows. Those whose text stays are not even parsed; the others are changed a few at a time, so
  // that the page answers in between.
  const ROW = /<(tbody|tr)\b[^>]* data-key="[^"]*"[^>]*>[^]*?<\/\1>/g;
  const LINE = /<(tr)\b[^>]* data-key="[^"]*"[^>]*>[^]*?<\/tr>/g;
  const PARSING = 16; // For how long rows are parsed without a pause, in ms, and for how long they are changed.
  const CHANGING = 50;
  const PARSED = 8192; // How many characters of rows are parsed at once.
  const texts = new WeakMap(); // The text that each row was last made of.
  let rows = []; // The texts of the rows of an answer.
  let renewed = []; // The rows that must be changed, each with its text.

  const renew = (row, at) => {
    if (texts.get(row) !== rows[at]) renewed.push([row, rows[at]]);
  };

  const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body;

  const pause = () => new Promise((done) => setTimeout(done));

  /** Shows an answer; `isCurrent` says whether it still is the newest one. */
  const apply = async (html, isCurrent) => {
    const found = [];
    const cut = (row, element) => `${row.slice(0, row.indexOf(">"))} data-row="${found.push(row) - 1}"></${element}>`;
    // A row may have many lines, each with a key of its own.
    const frame = html.replace(ROW, (row, element) => (element === "tbody" && row.search(LINE) >= 0 ? row.replace(LINE, cut) : cut(row, element)));
    const isLong = found.length > 100;
    if (isLong) await pause();
    const fresh = document.createElement("main");
    fresh.append(...parsed(frame).childNodes);
    fresh.className = main.className;
    if (isLong) await pause();
    if (!isCurrent()) return;
    [rows, renewed] = [found, []];
    // The links to the systems stand in the bar.
    const systems = fresh.querySelector("nav.systems:not(.within)");
    systems.remove();
    morph(header.querySelector("nav"), systems);
    morph(main, fresh);
    for (const row of main.querySelectorAll("[data-row]")) renew(row, row.dataset.row);
    const left = renewed;
    let since = performance.now();
    const rested = async (limit) => {
      if (performance.now() - since > limit) {
        await pause();
        since = performance.now();
      }
      return isCurrent();
    };
    // All are parsed first: each pause after a change costs a layout of the whole table.
    const made = [];
    for (let at = 0; at < left.length; ) {
      if (!(await rested(PARSING))) return;
      const from = at;
      for (let length = 0; at < left.length && length < PARSED; at++) length += left[at][1].length;
      const some = left.slice(from, at).map(([, text]) => text);
      made.push(...parsed(`<table>${some.join("")}</table>`).querySelectorAll("tbody[data-key], tbody:not([data-key]) > tr[data-key]"));
    }
    for (const [at, [row, text]] of left.entries()) {
      if (!(await rested(CHANGING))) return;
      morph(row, made[at]);
      texts.set(row, text);
    }
  };

  // A long table grows when its end comes near. The new rows stand before its buttons: the focus goes from there to the first of
  // them, also if it came there while they were on their way.
  let grown = null;
  const longer = (button, how) => {
    const end = button.closest("tbody");
    const table = end.closest("table");
    const mine = (grown = { end, table, at: [...table.rows].indexOf(end.rows[0]), had: end.contains(document.activeElement) });
    end.addEventListener("focusin", () => (mine.had = true), { once: true });
    go({ rows: chosen(view.rows, button.value) }, how);
  };
  const nearing = new IntersectionObserver(
    (all) => {
      const end = all.find(({ isIntersecting }) => isIntersecting)?.target;
      if (!end?.isConnected || asking || gone || root.dataset.part !== undefined) return;
      longer(end.querySelector("button"), "replace");
    },
    { rootMargin: "400px" },
  );
  const watchEnds = () => {
    nearing.disconnect();
    for (const end of main.querySelectorAll(".remaining")) nearing.observe(end);
    if (grown?.had && (grown.end.contains(document.activeElement) || document.activeElement === document.body)) {
      grown.table.rows[grown.at]?.querySelector("a[href], button")?.focus();
    }
    grown = null;
  };

  /** Shows the rows that early.js has left out of the first picture, a few at a time. */
  const rest = async () => {
    const rows = [
      "tbody:nth-of-type(n + 31)",
      "tbody > tr:nth-of-type(n + 31)",
      "tbody:nth-of-type(n + 3) > tr:nth-of-type(n + 6)",
    ].map((row) => `.box > table > ${row}`);
    const later = ["tbody:nth-of-type(n + 6)", "tbody > tr:nth-of-type(n + 6)"].map((row) => `.box ~ .box > table > ${row}`);
    const LEFT_OUT = [...rows, ...later].map((row) => `main ${row}:not([data-in])`).join();
    for (let count = 20, left; (left = [...document.querySelectorAll(LEFT_OUT)]).length; ) {
      await pause();
      const began = performance.now();
      for (const row of left.slice(0, count)) row.dataset.in = "";
      main.getBoundingClientRect();
      count = Math.round(Math.max(20, Math.min(500, (count * 100) / (performance.now() - began))));
    }
    delete root.dataset.part;
    widths();
    watchEnds();
  };

  /** Shows in the tab how many things need somebody, and how bad the worst is. */
  const tab = () => {
    const line = main.querySelector(".now")?.dataset;
    if (!line) return;
    site = line.title;
    named();
    const icon = document.querySelector('link[rel="icon"]');
    if (icon.getAttribute("href") !== line.icon) icon.setAttribute("href", line.icon);
  };

  const CLOCK = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const clock = (ms) => CLOCK.format(ms) + " UTC";

  let due = Date.now() + REFRESH;
  let paused = false;
  let gone = 0; // Since when the server has not answered, in ms; 0 if it answers.
  let tries = 0;
  let asking = null;
  let heard = Date.now();

  const refresh = async () => {
    asking?.abort();
    const mine = (asking = new AbortController());
    const asked = view;
    due = Date.now() + REFRESH;
    const limit = setTimeout(() => mine.abort(), 20_000);
    main.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("tables" + written(asked, ["from", "to", ...LOOK]), {
        signal: mine.signal,
        cache: "no-store",
      });
      if (!answer.ok) throw new Error(`it answers ${answer.status}`);
      const html = await answer.text();
      if (asking !== mine) return;
      clearTimeout(limit);
      shown = asked;
      heard = Date.now();
      main.querySelectorAll(".room").forEach((spacer) => spacer.remove());
      await apply(html, () => asking === mine);
      putBelow();
      if (asking !== mine) return;
      tab();
      marks();
      widths();
      if (gone) {
        said.textContent = `The server answers again, after ${words(Math.round((heard - gone) / 1000))}.`;
        said.className = "well";
        setTimeout(() => said.classList.contains("well") && (said.textContent = ""), 10_000);
      }
      gone = tries = 0;
      main.classList.remove("gone");
      state.classList.remove("gone");
      if (view.plots.length) plot(true);
    } catch (error) {
      if (asking !== mine) return;
      tries += 1;
      due = Date.now() + Math.min(REFRESH, 2500 * 2 ** Math.min(tries, 5));
      if (!gone) {
        gone = Date.now();
        said.textContent = `The server has not answered since ${clock(gone)}. The numbers are those of ${clock(heard)}; the page goes on trying.`;
        said.className = "";
      }
      main.classList.add("gone");
      state.classList.add("gone");
    } finally {
      clearTimeout(limit);
      if (asking === mine) {
        asking = null;
        main.removeAttribute("aria-busy");
        watchEnds();
      }
      tick();
    }
  };

  /** Formats a duration as the server does. */
  const words = (seconds) => {
    const [m, h, d] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
    if (seconds < 120) return `${seconds} s`;
    if (seconds < 7200) return `${m} min`;
    return seconds < 172_800 ? `${h} h ${m % 60} min` : `${d} d ${h % 24} h`;
  };

  const countdown = byId("countdown");
  const tick = () => {
    const left = Math.max(0, Math.ceil((due - Date.now()) / 1000));
    countdown.textContent = gone
      ? `no answer since ${clock(gone)}; tries again in ${left} s`
      : paused
        ? `paused; as of ${clock(heard)}`
        : `as of ${clock(heard)}; refreshes in ${left} s`;
    for (const age of main.querySelectorAll(".age")) {
      const { time, now } = age.dataset;
      const text = words(Math.max(0, Math.floor(Number(now) - Number(time) + (Date.now() - heard) / 1000)));
      if (age.firstChild.data !== text) age.firstChild.data = text;
    }
    if (!tip.hidden) tipped.isConnected ? place() : hideTip();
    if (left === 0 && !asking && !paused) refresh();
  };

  byId("refresh").addEventListener("click", refresh);
  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.setAttribute("aria-pressed", paused);
    if (!paused) due = Math.min(due, Date.now() + REFRESH);
    tick();
  });
  document.addEventListener("visibilitychange", () => document.hidden || tick());

  let left = null; // The number from which the keyboard moved to the plot.

  // --- Clicks and keys. ------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a");
    // Clicks with another button or a modifier open the same view in another tab.
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const number = path(link);
    if (number !== null) {
      const plots = view.plots.filter((plotted) => plotted !== number);
      if (plots.length === view.plots.length) plots.push(number);
      go({ plots: plots.slice(-100) });
      clicked = link;
      uncovered();
    } else if (link.dataset.look !== undefined) {
      const { all, hide } = changed(read(link.getAttribute("href")));
      go({ all, hide });
      keep({ ...view, ...kept(), all, hide });
    } else if (link.dataset.from !== undefined) {
      zooms.length = 0;
      go({ from: link.dataset.from === DEFAULT_FROM ? "" : link.dataset.from, to: link.dataset.to });
    } else if (link.id === "close") {
      const here = main.contains(document.activeElement) ? document.activeElement : null;
      const last = here ?? (left?.isConnected ? left : main.querySelector(PLOTTED));
      go({ plots: [], full: false });
      last?.focus({ preventScroll: true });
    } else if (link.dataset.plots !== undefined) {
      const { plots, stack, from } = read(link.getAttribute("href"));
      go({ plots, stack, from });
      clicked = link;
      uncovered();
    } else if (link.id === "full" || link.id === "stack") {
      go({ [link.id]: !view[link.id] });
    } else return;
    event.preventDefault();
  });

  // Heads of tables and the buttons above them make a choice; a button with another key goes where a form goes.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[form=look]");
    if (!button || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const { name, value } = button;
    if (name === "find") find.value = value;
    if (name === "column") {
      const asked = written({ ...view, plots: [] });
      location.assign(`${asked}${asked === "?" ? "" : "&"}column=${encodeURIComponent(value)}`);
    } else if (name === "open") go({ open: toggled(view.open, value) });
    else if (name === "rows") longer(button, "push");
    else go({ [name]: name === "sort" ? chosen(view.sort, value) : value });
  });
  let typing = null;
  const sought = (how) => {
    clearTimeout(typing);
    if (find.value.trim() !== view.find) go({ find: find.value.trim() }, how);
  };
  find.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(sought, 200, "replace");
  });
  find.form.addEventListener("submit", (event) => {
    event.preventDefault();
    sought("push");
  });
  // The arrow keys move within a table, past what cannot be plotted or chosen.
  main.addEventListener("keydown", (event) => {
    const from = event.target.closest?.("td, th");
    const row = from?.parentElement;
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const what = (cell) => [...(cell?.querySelectorAll("a[href], button") ?? [])].find((one) => one.getClientRects().length);
    const cells = [...row.cells];
    const rows = [...from.closest("table").rows];
    const column = (cell) => [...cell.parentElement.cells].slice(0, cell.cellIndex).reduce((sum, { colSpan }) => sum + colSpan, 0);
    const at = cells.indexOf(from);
    const below = (step) => {
      for (let next = rows.indexOf(row) + step; rows[next]; next += step) {
        const cell = [...rows[next].cells].find((cell) => column(cell) <= column(from) && column(from) < column(cell) + cell.colSpan);
        const found = what(cell);
        if (found) return found;
      }
    };
    const first = (some) => some.map(what).find((found) => found);
    const moves = {
      ArrowLeft: () => first(cells.slice(0, at).reverse()),
      ArrowRight: () => first(cells.slice(at + 1)),
      ArrowUp: () => below(-1),
      ArrowDown: () => below(1),
      Home: () => first(cells),
      End: () => first([...cells].reverse()),
    };
    const next = moves[event.key]?.();
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  document.addEventListener("keydown", (event) => {
    const isText = event.target.matches?.("input, select, textarea");
    if (event.key === "/" && !isText && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      find.focus();
      find.select();
    } else if (event.key === "Escape" && event.target === find) {
      find.value = "";
      sought("replace");
      find.blur();
    }
  });

  options.addEventListener("change", () => {
    const { all, density, theme } = options.elements;
    const choices = { all: all.checked, density: density.value, theme: theme.value };
    keep({ ...view, ...choices });
    go(choices, "push");
    redraw();
  });
  options.addEventListener("submit", (event) => event.preventDefault());
  range.addEventListener("submit", (event) => {
    event.preventDefault();
    zooms.length = 0;
    go({ from: range.elements.from.value.trim(), to: range.elements.to.value.trim() });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (!tip.hidden) {
      hideTip();
      if (document.querySelector("#options[open]") === null) return;
    }
    const open = document.querySelector("#options[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    } else if (!panel.hidden && view.full) {
      go({ full: false });
      byId("plot-title").focus();
    } else if (!panel.hidden && event.target !== find) {
      byId("close").click();
    }
  });
  // Moves the focus from a number to the plot and back, past all the numbers between them.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "F6" || event.ctrlKey || event.altKey || event.shiftKey || panel.hidden) return;
    event.preventDefault();
    if (panel.contains(document.activeElement)) {
      (left?.isConnected ? left : main.querySelector(PLOTTED))?.focus();
    } else {
      left = document.activeElement;
      byId("plot-title").focus();
    }
  });
  document.addEventListener("click", (event) => {
    const open = document.querySelector("#options[open]");
    if (open && !open.contains(event.target)) open.open = false;
  });

  // The tip shows the age of an old number, to the mouse and to the keyboard.
  let tipped = null;
  const place = () => {
    const box = tipped.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 4))}px`;
    const below = box.bottom + tip.offsetHeight + 6 < innerHeight;
    tip.style.top = `${below ? box.bottom + 2 : box.top - tip.offsetHeight - 2}px`;
  };
  const showTip = (event) => {
    tipped = event.target.closest?.("main [title], main [data-title]");
    tip.hidden = !tipped;
    if (!tipped) return;
    // The browser shows a title only to the mouse, and late.
    if (tipped.title) {
      tipped.dataset.title = tipped.title;
      tipped.setAttribute("aria-description", tipped.title);
      tipped.removeAttribute("title");
    }
    tip.textContent = tipped.dataset.title;
    place();
  };
  const hideTip = () => (tip.hidden = true);
  document.addEventListener("mouseover", showTip);
  document.addEventListener("focusin", showTip);
  document.addEventListener("focusout", hideTip);
  const follow = () => tip.hidden || (tipped === document.activeElement ? place() : hideTip());
  addEventListener("scroll", follow, { capture: true, passive: true });

  // --- The plot. -------------------------------------------------------------------------------------------------

  let drawn = []; // The uPlots, a strip per unit.
  let lines = ""; // Its paths and units, as JSON.
  let data = null; // The history that it shows.
  let plotting = null;
  const zooms = []; // The ranges before each zoom.
  const wrong = byId("wrong");

  const node = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  /** Requests the plotted numbers and draws them; `again` if only the data may have changed. */
  const plot = async (again = false) => {
    plotting?.abort();
    panel.hidden = byId("skip").hidden = !view.plots.length;
    putBelow();
    if (panel.hidden) {
      drawn.forEach((strip) => strip.destroy());
      drawn = [];
      data = null;
      chart.replaceChildren();
      legend.replaceChildren();
      room();
      return;
    }
    const mine = (plotting = new AbortController());
    const limit = setTimeout(() => mine.abort(), 40_000);
    if (!again) chart.setAttribute("aria-busy", "true");
    room();
    try {
      const asked = question();
      asked.set("points", Math.max(200, Math.min(2000, Math.round(chart.clientWidth || 800))));
      const answer = await fetch("api/v1/history?" + asked, { signal: mine.signal });
      const body = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
      if (plotting !== mine) return;
      if (!answer.ok) throw new Error(body.error);
      complain("");
      data = body;
      draw(again);
    } catch (error) {
      if (plotting !== mine) return;
      if (!again || answerless(error)) complain(answerless(error) ? "The server does not answer." : error.message);
    } finally {
      clearTimeout(limit);
      if (plotting === mine) {
        plotting = null;
        chart.removeAttribute("aria-busy");
      }
    }
  };
  const answerless = (error) => error.name === "AbortError" || error.name === "TypeError";

  const complain = (words) => {
    if (wrong.textContent !== words) wrong.textContent = words;
    for (const name of ["from", "to"]) {
      const is = new RegExp(`^${name}[: ]`).test(words);
      const input = range.elements[name];
      if (is) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    room();
  };

  /** Whether the plot stands at the bottom of the window, over the page. */
  const isDocked = () => getComputedStyle(panel).position === "sticky";

  /** Tells the style sheet the plot's height, so that the focused element stays above the plot. */
  // A property that elements inherit would cost a look at each of them.
  const room = () => (root.style.scrollPaddingBottom = panel.hidden || !isDocked() ? "" : `calc(${panel.offsetHeight}px + 1rem)`);

  let clicked = null;
  /** Puts a plot that is not docked below the row that was clicked, or the first one that is plotted: a spacer leaves it room. */
  const putBelow = () => {
    main.querySelectorAll(".room").forEach((spacer) => spacer.remove());
    const isNewest = (link) => path(link) === view.plots.at(-1);
    const link = clicked?.isConnected ? clicked : [...main.querySelectorAll(PLOTTED)].find(isNewest);
    const wants = !panel.hidden && !view.full && !isDocked();
    const row = wants ? link?.closest("tr, ul") : null;
    if (!row || !row.offsetHeight) {
      delete root.dataset.below;
      panel.style.top = "";
      return;
    }
    root.dataset.below = "1";
    const isRow = row.matches("tr");
    // Lines that share a cell stay together.
    const last = isRow && row.parentElement.querySelector("[rowspan]") ? row.parentElement.lastElementChild : row;
    const spacer = node(isRow ? "tr" : "div", undefined, { class: "room", "aria-hidden": "true" });
    const cell = isRow ? node("td", undefined, { colspan: 99 }) : spacer;
    if (isRow) spacer.append(cell);
    cell.style.height = `${panel.offsetHeight}px`;
    last.after(spacer);
    panel.style.top = `${spacer.getBoundingClientRect().top + scrollY}px`;
  };

  /** Scrolls until the row that was clicked stands above the plot; one that is not docked stands below that row. */
  const uncovered = () => {
    const link = clicked;
    if (panel.hidden || !link?.isConnected) return;
    if (!isDocked()) {
      putBelow();
      const row = link.closest("tr, li") ?? link;
      const [top, bottom] = [row.getBoundingClientRect().top, panel.getBoundingClientRect().bottom];
      // The row stays in sight, and as much of the plot as there is room for.
      if (top < 0 || bottom > innerHeight) scrollBy(0, Math.min(top - 8, Math.max(top < 0 ? top - 8 : 0, bottom - innerHeight)));
      return;
    }
    const covered = link.closest("tr, li")?.getBoundingClientRect() ?? link.getBoundingClientRect();
    const below = covered.bottom - panel.getBoundingClientRect().top;
    if (below > 0) scrollBy(0, below + 8);
  };

  // Its height is dragged, or changed by the keys of a separator.
  const grip = byId("grip");
  const MOST = () => Math.max(160, innerHeight - (panel.offsetHeight - chart.offsetHeight) - 120);
  const tall = (height) => {
    const limited = Math.round(Math.max(96, Math.min(MOST(), height)));
    root.style.setProperty("--plot-tall", `${limited}px`);
    grip.setAttribute("aria-valuenow", Math.round((100 * limited) / innerHeight));
    return limited;
  };
  grip.addEventListener("pointerdown", (event) => {
    const [y, height] = [event.clientY, chart.offsetHeight];
    const drag = (event) => keep({ tall: tall(height + y - event.clientY) });
    grip.setPointerCapture(event.pointerId);
    grip.addEventListener("pointermove", drag);
    grip.addEventListener("lostpointercapture", () => grip.removeEventListener("pointermove", drag), { once: true });
    event.preventDefault();
  });
  // Else the browser would begin to select text, and end the drag.
  grip.addEventListener("mousedown", (event) => event.preventDefault());
  grip.addEventListener("keydown", (event) => {
    const height = { ArrowUp: chart.offsetHeight + 24, ArrowDown: chart.offsetHeight - 24, Home: 0, End: MOST() }[event.key];
    if (height === undefined) return;
    event.preventDefault();
    keep({ tall: tall(height) });
  });
  if (kept().tall > 0) root.style.setProperty("--plot-tall", `${Math.min(Number(kept().tall), innerHeight * 0.7)}px`);

  /** The names of rows that a path cannot hold, by what it holds instead. */
  const originals = () => {
    const names = new Map();
    for (const { dataset } of main.querySelectorAll("tbody[data-key], tbody:not([data-key]) > tr[data-key], section[data-key]")) {
      const name = dataset.key.replace(/^of /, "");
      const mangled = name.replace(/[^A-Za-z0-9@:+_-]/gu, "_");
      if (mangled !== name) names.set(mangled, names.has(mangled) && names.get(mangled) !== name ? mangled : name);
    }
    return names;
  };

  /** Says which paths are plotted, as the server does, those that differ in one word together; and the name of each. */
  const titleOf = (paths, said) => {
    const groups = [];
    for (const path of paths) {
      const words = path.split(".");
      const takes = (group) => {
        if (group.words.length !== words.length) return false;
        const differs = [...words.keys()].filter((at) => words[at] !== group.words[at] && at !== group.at);
        if (differs.length > (group.at === undefined ? 1 : 0)) return false;
        group.at ??= differs[0];
        group.all.push(words);
        return true;
      };
      if (!groups.some(takes)) groups.push({ words, all: [words] });
    }
    const [NAMES, GROUPS] = [3, 3];
    const titles = groups.slice(0, GROUPS).map(({ words, at, all }, number) => {
      // What the first group has said need not be said again.
      const own = words.findIndex((word, at) => word !== groups[0].words[at]);
      const begin = number ? Math.min(own < 0 ? words.length : own, words.length - 1) : 0;
      const common = said(words.filter((_, place) => place >= begin && place !== at));
      if (at === undefined) return common;
      const names = all.slice(0, NAMES).map((words) => said([words[at]])).join(", ");
      return `${common}${common && names ? ": " : ""}${names}${all.length > NAMES ? ` and ${all.length - NAMES} more` : ""}`;
    });
    const left = groups.slice(GROUPS).reduce((sum, { all }) => sum + all.length, 0);
    const names = paths.map((path) => {
      const words = path.split(".");
      const { at, words: first } = groups.find(({ all }) => all.some((one) => one.join(".") === path));
      if (at === undefined) return said(words.slice(Math.min(2, words.length - 1)));
      // Of several groups each says besides what it is of.
      const rest = groups.length > 1 ? said(first.filter((_, place) => place >= 2 && place !== at)) : "";
      return [said([words[at]]), rest].filter((text) => text).join(" · ");
    });
    return { title: [...titles, ...(left ? [`${left} more`] : [])].join(" + "), names };
  };

  /** Splits the paths of the series into the title and the name of each, which is what the others do not have. */
  const labels = (paths) => {
    const known = originals();
    const said = (words) => words.filter((word) => word !== "grids").map((word) => known.get(word) ?? word).join(" · ");
    const { title, names } = titleOf(paths, said);
    return { title, names: paths.length > 1 ? names : [title] };
  };

  /** Shows a number with four digits or more, as the SVG does: whole numbers whole. */
  const short = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size >= 1e21 || (size > 0 && size < 1e-6)) return value.toExponential(3);
    if (Number.isInteger(value)) return String(value + 0);
    return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
  };

  // Times are those of UTC, or of the browser's zone.
  let zone = kept().zone === "local" ? "local" : "UTC";
  const two = (n) => String(n).padStart(2, "0");
  const utcDay = (date) => date.toISOString().slice(0, 10);
  const day = (date) => (zone === "UTC" ? utcDay(date) : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`);
  const time = (date) => (zone === "UTC" ? date.toISOString().slice(11, 16) : `${two(date.getHours())}:${two(date.getMinutes())}`);
  const weekday = (date) => date.toLocaleDateString("en-GB", { weekday: "short", ...(zone === "UTC" && { timeZone: "UTC" }) });
  const zoneName = (second) => {
    if (zone === "UTC") return "UTC";
    const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(second * 1000);
    return parts.find(({ type }) => type === "timeZoneName")?.value ?? "local";
  };

  const ticks = (_, splits, __, ___, step) => {
    let last = "";
    return splits.map((second) => {
      const date = new Date(second * 1000);
      if (step >= 28 * 86400) return day(date).slice(0, 7);
      if (step >= 86400) return day(date);
      const words = step < 60 ? `${time(date)}:${two(date.getUTCSeconds())}` : time(date);
      const today = day(date);
      const named = today === last ? words : `${words}\n${today}`;
      last = today;
      return named;
    });
  };

  const colours = () => {
    const style = getComputedStyle(root);
    return (name) => style.getPropertyValue(name).trim();
  };

  /** Whether a line shows a value: enough of its bucket was collected. */
  const inLine = (one, i) => one?.values[i] != null && !(one.coverage?.[i] < GAP);

  const STEPS = [...Array(15).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

  /** Whether a series is 0 or 1 and no sum of such ones, so that it is a lane. */
  const isLane = ({ unit, values, most = values }) => unit === SWITCH && most.every((value) => !(value > 1));
  const stripOf = (one) => (isLane(one) ? LANES : one.unit);

  /** Splits the series into strips, one per unit and one for the lanes: `[unit, numbers of its series]`. */
  const strips = (series) => {
    const units = new Map();
    series.forEach((one, at) => units.set(stripOf(one), [...(units.get(stripOf(one)) ?? []), at]));
    return [...units];
  };

  /** Whether the lines of a strip stand on one another: they do not where one falls below zero. */
  const isStacked = (members) => view.stack && members.length > 1 && members.every((at) => !isLane(data.series[at]) && data.series[at].values.every((value) => !(value < 0)));

  /** Returns the rows of a strip: the times, then mean, most and least of each series; stacked, each on those before it. */
  const rowsOf = (members) => {
    const { times, series } = data;
    if (isStacked(members)) {
      const sum = times.map(() => 0);
      const rows = members.map((at) => times.map((_, i) => (series[at].values[i] === null ? null : (sum[i] += series[at].values[i]))));
      const under = (number) => times.map((_, i) => rows.slice(0, number).findLast((row) => row[i] !== null)?.[i] ?? 0);
      return [times, ...rows.flatMap((row, number) => [row, row, under(number)])];
    }
    if (isLane(series[members[0]])) {
      // Each stands in the middle of its lane.
      const rows = members.map((at, number) => series[at].values.map((value) => (value === null ? null : members.length - number - 0.5)));
      return [times, ...rows.flatMap((row) => [row, row, row])];
    }
    return [times, ...members.flatMap((at) => [series[at].values, series[at].most ?? series[at].values, series[at].least ?? series[at].values])];
  };

  /** Draws the data; `again` if only the data may have changed, which must not disturb pointing and dragging. */
  const draw = (again = false) => {
    const { series, from, to } = data;
    const { title, names } = labels(series.map(({ path }) => path));
    const wanted = JSON.stringify([view.stack, series.map((one) => [one.path, stripOf(one)])]);
    if (again && drawn.length && lines === wanted) {
      strips(series).forEach(([, members], strip) => {
        drawn[strip].setData(rowsOf(members));
        drawn[strip].setScale("x", { min: from, max: to });
      });
    } else {
      byId("plot-title").textContent = title;
      make(names);
      lines = wanted;
    }
    chart.querySelector(".nothing")?.remove();
    const known = series.some((one) => one.values.some((value) => value !== null));
    const ahead = from * 1000 > Date.now();
    const nothing = ahead ? `${moment(from)} ${zoneName(from)} is in the future.` : `Nothing was stored from ${moment(from)} to ${moment(to)} ${zoneName(to)}.`;
    if (!known) {
      const said = node("p", nothing, { class: "nothing", role: "status" });
      chart.append(said);
      if (!ahead) stored(said);
    }
    const folded = series.some((one) => one.count);
    byId("folded").textContent =
      (folded ? `One value is ${words(data.step_seconds)}: line mean, band least to most; hatched: not collected. ` : "") +
      "Drag to zoom, left and right move the pointer, F6: to the tables and back, Esc closes.";
    const label = `${series.length === 1 ? "Plot" : `Plot of ${series.length} numbers`}, ${moment(from)} to ${moment(to)} ${zoneName(to)}; left and right move the cursor`;
    // It takes the arrow keys itself.
    chart.setAttribute("role", "application");
    chart.setAttribute("aria-roledescription", "plot");
    chart.setAttribute("aria-label", label);
    chart.tabIndex = 0;
    legendOf(series, names);
    moments();
    happened(again);
    room();
    putBelow();
    uncovered();
    clicked = null;
  };

  /** Says what is stored of what has no value in the range, and links to it. */
  const stored = async (said) => {
    const asked = new URLSearchParams(view.plots.map((path) => ["path", path]));
    asked.set("from", "-20y");
    asked.set("points", "1000");
    const answer = await fetch("api/v1/history?" + asked).catch(() => null);
    const body = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!body || !said.isConnected) return;
    const has = (_, at) => body.series.some(({ values }) => values[at] !== null);
    const [first, last] = [body.times.findIndex(has), body.times.findLastIndex(has)];
    if (first < 0) {
      said.append(" Nothing at all is stored of it.");
      return;
    }
    const until = Math.max(...body.series.map(({ whole }) => whole?.last_time ?? 0), body.times[last]);
    const [from, to] = [minute(body.times[first] - 60), minute(until + 60)];
    const link = node("a", `${moment(body.times[first])} to ${moment(until)} ${zoneName(until)}`, { href: written({ ...view, from, to }), "data-from": from, "data-to": to });
    said.append(" Stored is ", link, ".");
  };

  const AXIS = 48; // The height of the axis of the times, which the last strip has, in pixels.
  const LANE = 30; // The height of a lane, and the most that it takes where there are lanes alone.
  const HIGHEST = 96;
  const LEAST = 72; // The least height of another strip.
  const EVENTS = 20; // The height of the lane of events below the axis.

  /** Returns the heights of the strips. */
  const heights = (units) => {
    const lanes = units.find(([unit]) => unit === LANES)?.[1].length ?? 0;
    const others = units.length - (lanes ? 1 : 0);
    const room = chart.clientHeight - AXIS - EVENTS;
    const each = (room - (lanes && LANE * lanes + 12)) / Math.max(1, others);
    const lane = others ? LANE : Math.max(LANE, Math.min(HIGHEST, (room - 26) / lanes));
    const height = (unit) => (unit === LANES ? lane * lanes + (others ? 12 : 26) : units.length > 1 ? Math.max(LEAST, each) : each);
    return units.map(([unit], at) => height(unit) + (at === units.length - 1 ? AXIS : 0));
  };

  let pointing = false;
  /** Moves the cursor of all strips to that of one. */
  const point = (u) => {
    if (pointing) return;
    pointing = true;
    for (const other of drawn) if (other !== u) other.setCursor({ left: u.cursor.left, top: u.cursor.left < 0 ? -10 : 0 }, false);
    pointing = false;
    values(u.cursor.idx);
    pointed(u.cursor.idx);
  };

  /** Returns when a value was: a time, or the time of its bucket. */
  const bucket = (index) => {
    const [from, step] = [data.times[index], data.step_seconds];
    const date = new Date(from * 1000);
    const until = data.series.some((one) => one.count) ? `–${step >= 86_400 ? moment(from + step) : time(new Date((from + step) * 1000))}` : "";
    return `${weekday(date)} ${day(date)} ${time(date)}${until} ${zoneName(from)}`;
  };

  /** Says a share of time: never 100 % if a moment is missing, never 0 % if there is one. */
  const share = (part) => (part >= 1 ? "100 %" : part <= 0 ? "0 %" : `${Math.min(99.99, Math.max(0.01, part * 100)).toFixed(2)} %`);

  /** Says a value of a series: of a heartbeat in words. */
  const told = ({ health }, value) => {
    if (!health || value == null) return short(value);
    return value >= 1 ? "up" : value <= 0 ? "down" : `up ${share(value)}`;
  };

  /** Returns a value, and the least and most of its bucket if they differ. */
  const valueAt = (one, index) => {
    const { values, least, most, health } = one;
    const range = !health && least?.[index] != null && least[index] !== most[index] ? ` ${short(least[index])}–${short(most[index])}` : "";
    return [told(one, values[index]), range];
  };

  /** Moves labels that would cover one another apart; each has `y`, sorted. */
  const apart = (labels, height, most) => {
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((one, at) => (one.y = Math.max(one.y, at ? labels[at - 1].y + height : height / 2)));
    for (let at = labels.length - 1, end = most; at >= 0; end = labels[at--].y - height) labels[at].y = Math.min(labels[at].y, end);
    return labels;
  };

  /** Shows the full date above the pointer, and the values at its lines. */
  const pointed = (index) => {
    chart.querySelector(".pointed")?.remove();
    if (index == null || !data || !drawn.length) return;
    const layer = node("div", undefined, { class: "pointed", "aria-hidden": "true" });
    const place = (element, x, y) => {
      element.style.left = `${x}px`;
      element.style.top = `${y}px`;
      layer.append(element);
    };
    const inside = (u) => {
      const [box, over] = [chart.getBoundingClientRect(), u.over.getBoundingClientRect()];
      return [over.left - box.left, over.top - box.top + chart.scrollTop];
    };
    strips(data.series).forEach(([, members], at) => {
      const u = drawn[at];
      const [left, top] = inside(u);
      const x = u.valToPos(data.times[index], "x");
      const seen = members.map((member, number) => [member, u.data[3 * number + 1][index]]).filter(([, value]) => value != null).slice(0, 12);
      const labels = seen.map(([member, value]) => ({ member, y: u.valToPos(value, "y") }));
      for (const { member, y } of apart(labels, 15, u.over.clientHeight)) {
        const [value, range] = valueAt(data.series[member], index);
        const label = node("span", undefined, { class: "val", "data-on": member % COLOURS });
        label.append(node("b", value), range);
        label.classList.toggle("before", x > u.over.clientWidth * 0.7);
        place(label, left + x, top + y);
      }
      if (at === 0) place(node("span", bucket(index), { class: "moment" }), Math.max(90, Math.min(left + x, chart.clientWidth - 90)), 0);
    });
    chart.append(layer);
  };

  /** Tells those who do not see it what the pointer stands at. */
  const speak = (index) => {
    const { names } = labels(data.series.map(({ path }) => path));
    const told = data.series.slice(0, 12).map((one, at) => `${names[at]}: ${valueAt(one, index).join("").trim()}`);
    byId("spoken").textContent = `${bucket(index)}. ${told.join("; ")}`;
  };

  /** Writes the names of few lines, with their last values, at their ends. */
  const ends = (u, members, names) => {
    if (!tail()) return;
    const pen = u.ctx;
    const style = colours();
    const scale = devicePixelRatio;
    const last = members.map((member, number) => {
      const row = u.data[3 * number + 1];
      const index = row.findLastIndex((value) => value !== null);
      return { member, index, y: index < 0 ? 0 : u.valToPos(row[index], "y") };
    });
    pen.save();
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    const family = getComputedStyle(document.body).fontFamily;
    for (const { member, index, y } of apart(last.filter(({ index }) => index >= 0), 13, u.over.clientHeight)) {
      const one = data.series[member];
      const value = isLane(one) ? `${one.health ? "up" : "on"} ${share(one.whole?.mean ?? 0)}` : ` ${short(one.values[index])}`;
      const x = u.bbox.left + u.bbox.width + 6 * scale;
      pen.font = `600 ${11 * scale}px ${family}`;
      const room = (tail() - 10) * scale - pen.measureText(value).width;
      pen.font = `${11 * scale}px ${family}`;
      // A lane has its name in itself.
      let name = isLane(one) ? "" : names[member];
      while (name.length > 1 && pen.measureText(name).width > room) name = name.slice(0, -1).replace(/…?$/, "").slice(0, -1) + "…";
      pen.fillStyle = style("--ink");
      pen.fillText(name, x, u.bbox.top + y * scale);
      const wide = pen.measureText(name).width;
      pen.font = `600 ${11 * scale}px ${family}`;
      pen.fillText(value, x + wide, u.bbox.top + y * scale);
    }
    pen.restore();
  };

  /** Returns how much room the names at the ends have; 0 if there are none. */
  const tail = () => (chart.clientWidth >= 560 && data.series.length > 1 && data.series.length <= 8 ? 130 : 0);

  // --- What happened to what is plotted: ticks below the plot, and a list beside it. ---------------------------------

  const SHAPES = { bad: "▼", worse: "▲", not_collected: "▨", off: "○", changed: "◆" };
  const LONGEST = 62 * 86_400; // Over a longer range the list would be long, and asking for it slow.
  const ticksList = byId("ticks");
  let events = []; // In the order of their beginning.
  let eventsOf = ""; // What they were asked for.

  const happened = async (again) => {
    const { from, to } = data;
    const asked = new URLSearchParams(view.plots.map((path) => ["path", path]));
    const of = asked.toString();
    if (of !== eventsOf || !again) show([], of);
    if (to - from > LONGEST || from * 1000 > Date.now()) return;
    asked.set("from", from);
    asked.set("until", to);
    ticksList.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("api/v1/events?" + asked);
      const body = answer.ok ? await answer.json() : { events: [] };
      if (data?.from === from && data.to === to && of === eventsOf) show(body.events.sort((a, b) => a.since - b.since), of);
    } catch {
      // The line above the tables says that the server is gone.
    } finally {
      ticksList.removeAttribute("aria-busy");
    }
  };

  const show = (found, of) => {
    events = found;
    eventsOf = of;
    const list = node("ol");
    events.slice(0, 40).forEach((event, at) => {
      const margin = Math.max(1800, Math.min(14 * 86_400, ((event.until ?? data.to) - event.since) / 2));
      const end = event.until === null ? "" : minute(event.until + margin);
      const link = node("a", undefined, { href: written({ ...view, from: minute(event.since - margin), to: end }), "data-from": minute(event.since - margin), "data-to": end });
      const lasts = event.until === null ? `${words(Math.max(0, data.to - event.since))}, still` : event.until > event.since ? words(event.until - event.since) : "";
      link.append(node("b", String(at + 1)), ` ${SHAPES[event.severity] ?? "◆"} ${moment(event.since)} `, node("span", `${event.subject} ${event.words}`), ` ${lasts}`);
      const item = node("li", undefined, { class: event.severity, "data-key": `${event.since} ${event.path} ${event.rule}` });
      item.append(link);
      list.append(item);
    });
    if (events.length > 40) list.append(node("li", `and ${events.length - 40} more`));
    if (ticksList.firstChild) morph(ticksList.firstChild, list);
    else ticksList.append(list);
    ticksList.hidden = !events.length;
    lane();
    drawn.forEach((strip) => strip.redraw(false));
  };

  /** Shows the shapes of the events below the axis, numbered as in the list. */
  const lane = () => {
    chart.querySelector(".lane")?.remove();
    const u = drawn.at(-1);
    if (!u || !events.length) return;
    const made = node("div", undefined, { class: "lane", "aria-hidden": "true" });
    const left = u.over.getBoundingClientRect().left - chart.getBoundingClientRect().left;
    made.append(node("span", "events", { class: "name" }));
    let free = -Infinity;
    events.forEach((event, at) => {
      const x = Math.max(0, u.valToPos(Math.max(event.since, data.from), "x"));
      if (x > u.over.clientWidth) return;
      // Where many stand close together only their shapes fit.
      const mark = node("span", x < free ? SHAPES[event.severity] ?? "◆" : `${SHAPES[event.severity] ?? "◆"} ${at + 1}`, { class: event.severity });
      if (x >= free) free = x + 26;
      mark.style.left = `${left + x}px`;
      made.append(mark);
    });
    chart.append(made);
  };

  /** Draws a dotted line where an event began. */
  const dotted = (u) => {
    const pen = u.ctx;
    const style = colours();
    pen.save();
    pen.setLineDash([devicePixelRatio, 3 * devicePixelRatio]);
    for (const { since, severity } of events) {
      if (since < data.from || since > data.to) continue;
      const x = u.valToPos(since, "x", true);
      pen.strokeStyle = style({ bad: "--bad", worse: "--warn" }[severity] ?? "--quiet");
      pen.beginPath();
      pen.moveTo(x, u.bbox.top);
      pen.lineTo(x, u.bbox.top + u.bbox.height);
      pen.stroke();
    }
    pen.restore();
  };

  /** Returns where a lane of a strip stands on the canvas. */
  const laneBox = ({ bbox }, members, number) => ({ ...bbox, top: bbox.top + (bbox.height / members.length) * number, height: bbox.height / members.length });

  /** Draws a lane: quiet is low, trouble is tall; what is no heartbeat is low at 0 and tall at 1. */
  const drawLane = (u, members, number, name) => {
    const { times, series, step_seconds: step } = data;
    const one = series[members[number]];
    const { left, top, width, height } = laneBox(u, members, number);
    const [pen, style, scale] = [u.ctx, colours(), devicePixelRatio];
    const named = series.length > 1;
    const room = height - (named ? 15 : 4) * scale;
    const foot = top + height - 2 * scale;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    one.values.forEach((value, i) => {
      if (value === null) return;
      const [least, most] = [one.least?.[i] ?? value, one.most?.[i] ?? value];
      const [low, tall] = one.health ? [least > 0, most <= 0] : [most <= 0, least > 0];
      const from = u.valToPos(times[i], "x", true);
      const to = u.valToPos(Math.min(times[i + 1] ?? Infinity, times[i] + step), "x", true);
      const high = Math.round(room * (low ? 0.2 : tall ? 1 : 0.73));
      pen.fillStyle = style(one.health ? (low ? "--fill-ok" : "--fill-bad") : "--fill");
      // Neighbours of one state leave no seam between them.
      pen.fillRect(Math.floor(from), foot - high, Math.max(1, Math.ceil(to) - Math.floor(from)), high);
    });
    if (named) {
      pen.font = `${11 * scale}px ${getComputedStyle(document.body).fontFamily}`;
      pen.fillStyle = style("--quiet");
      pen.textBaseline = "top";
      pen.textAlign = "left";
      pen.fillText(name, left + 4 * scale, top + 2 * scale);
    }
    pen.restore();
  };

  /** Hatches the times in which too little was collected, and marks those in which not all was. */
  const hatch = (u, members, { left, top, width, height } = u.bbox) => {
    const { times, series, step_seconds: step } = data;
    const pen = u.ctx;
    const quiet = colours()("--quiet");
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    times.forEach((begin, i) => {
      const gap = members.every((at) => !inLine(series[at], i));
      if (!gap && !members.some((at) => series[at].coverage?.[i] < 1)) return;
      const end = gap ? (times[i + 1] ?? begin + step) : Math.min(times[i + 1] ?? Infinity, begin + step);
      const from = Math.max(left, u.valToPos(begin, "x", true));
      const to = Math.min(left + width, Math.max(u.valToPos(end, "x", true), from + 1));
      const tall = gap ? height : 4 * devicePixelRatio;
      pen.save();
      pen.beginPath();
      pen.rect(from, top + height - tall, to - from, tall);
      pen.clip();
      pen.strokeStyle = quiet;
      pen.lineWidth = 0.8 * devicePixelRatio;
      pen.beginPath();
      const apart = 6 * devicePixelRatio;
      // The lines of neighbours are one: they begin at multiples of their distance.
      for (let x = Math.floor((from - tall) / apart) * apart; x < to; x += apart) {
        pen.moveTo(x, top + height);
        pen.lineTo(x + tall, top + height - tall);
      }
      pen.stroke();
      pen.restore();
    });
    pen.restore();
  };

  /** Creates the strips anew. */
  const make = (names) => {
    drawn.forEach((strip) => strip.destroy());
    drawn = [];
    chart.replaceChildren();
    const units = strips(data.series);
    const least = AXIS + EVENTS + units.reduce((sum, [unit, members]) => sum + (unit === LANES ? LANE * members.length + 12 : LEAST), 0);
    chart.style.minHeight = units.length > 1 ? `${Math.min(least, innerHeight * 0.45)}px` : "";
    const each = heights(units);
    drawn = units.map(([unit, members], at) => strip(unit, members, names, each[at], at === 0, at === units.length - 1));
    lane();
  };

  /** Breaks a line where too little was collected. */
  const gaps = (at) => (u, _, first, last, nulls) => {
    const found = [...nulls];
    const { times, series } = data;
    for (let i = first; i <= last; i++) {
      if (series[at]?.values[i] == null || inLine(series[at], i)) continue;
      const edge = (i) => u.valToPos(times[Math.max(first, Math.min(last, i))], "x", true);
      found.push([edge(i - 1), edge(i + 1)]);
    }
    found.sort((one, other) => one[0] - other[0]);
    // uPlot wants gaps that do not overlap.
    return found.reduce((joined, [from, to]) => {
      const before = joined.at(-1);
      if (before && from <= before[1]) before[1] = Math.max(before[1], to);
      else joined.push([from, to]);
      return joined;
    }, []);
  };

  /** Returns the points that no line shows, so that they are drawn as dots. */
  const alone = (at) => (u) => {
    const one = data.series[at];
    const found = [];
    one?.values.forEach((value, i) => {
      if (value != null && !(inLine(one, i) && (inLine(one, i - 1) || inLine(one, i + 1)))) found.push(i);
    });
    return found;
  };

  /** Creates one strip. */
  const strip = (unit, members, names, height, isFirst, isLast) => {
    const { from, to } = data;
    const colour = colours();
    const ink = colour("--quiet");
    const grid = { stroke: colour("--line"), width: 1 };
    const font = `${root.dataset.density ? 11 : 12}px ${getComputedStyle(document.body).fontFamily}`;
    const lanes = unit === LANES;
    const paths = lanes ? () => null : uPlot.paths.linear();
    const range = (_, min, max) => {
      if (lanes) return [0, members.length];
      const [low, high] = uPlot.rangeNum(Math.min(0, min ?? 0), Math.max(max ?? 1, unit === "ratio" ? 0.01 : 1), 0.08, true);
      return [min < 0 ? low : 0, high];
    };
    const whole = unit !== "ratio" && unit !== "seconds";
    const line = (at) => {
      const stroke = colour(`--s${at % COLOURS}`);
      const edge = { scale: "y", stroke: "transparent", width: 0, paths, gaps: gaps(at), points: { show: false } };
      const dash = DASHES[Math.floor(at / COLOURS) % DASHES.length];
      const points = { show: !lanes, size: 4, filter: alone(at), fill: stroke };
      return [{ label: names[at], scale: "y", stroke, width: 1.6, dash, paths, gaps: gaps(at), points }, edge, edge];
    };
    const made = new uPlot(
      {
        width: chart.clientWidth,
        height,
        tzDate: (second) => (zone === "UTC" ? uPlot.tzDate(new Date(second * 1000), "Etc/UTC") : new Date(second * 1000)),
        legend: { show: false },
        cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: !lanes, size: 6 } },
        scales: { x: { time: true, auto: false, range: [from, to] }, y: { range } },
        // The date stands above the first one.
        padding: [isFirst ? 20 : 6, tail() || 16, isLast ? 0 : 6, 0],
        axes: [
          isLast ? { stroke: ink, font, grid, ticks: grid, values: ticks, space: 70, size: AXIS } : { show: true, values: (_, splits) => splits.map(() => ""), grid, ticks: { show: false }, space: 70, size: 0 },
          {
            scale: "y",
            label: lanes ? " " : unit,
            labelFont: font,
            labelSize: 16,
            labelGap: 0,
            font,
            stroke: ink,
            // The same in each strip, so that their times stand below one another.
            size: 52,
            grid: lanes ? { show: false } : grid,
            ticks: { show: false },
            incrs: whole ? STEPS : undefined,
            space: 28,
            values: (_, splits) => lanes ? splits.map(() => "") : splits.map((value) => (value === null ? "" : value >= 1e6 ? `${+(value / 1e6).toFixed(2)}M` : String(+value.toFixed(4)))),
          },
        ],
        series: [{}, ...members.flatMap(line)],
        bands: lanes ? [] : members.map((at, number) => ({ series: [3 * number + 2, 3 * number + 3], fill: `${colour(`--s${at % COLOURS}`)}${isStacked(members) ? "99" : "33"}` })),
        hooks: {
          drawClear: lanes ? [(u) => members.forEach((at, number) => hatch(u, [at], laneBox(u, members, number))), dotted] : [(u) => hatch(u, members), dotted],
          draw: [(u) => lanes && members.forEach((at, number) => drawLane(u, members, number, names[at])), (u) => ends(u, members, names)],
          setSelect: [
            (u) => {
              if (u.select.width < 4) return;
              const at = (left) => u.posToVal(left, "x");
              zoom(at(u.select.left), at(u.select.left + u.select.width));
              // The zoom may keep this plot, so clear its selection.
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
          setCursor: [point],
        },
      },
      rowsOf(members),
      chart,
    );
    made.over.addEventListener("dblclick", out);
    return made;
  };

  const moment = (second) => {
    const date = new Date(second * 1000);
    return `${day(date)} ${time(date)}`;
  };

  /** Shows the legend: the lines and their values at the cursor. Changes only the differences, as in the tables. */
  const legendOf = (series, names) => {
    const table = node("table");
    table.append(node("caption", "", { class: "unseen" }));
    table.firstChild.textContent = "What is plotted";
    const head = node("tr");
    for (const [words, name] of [["number", ""], ["", "n at"], ["least", "n"], ["mean", "n"], ["most", "n"], ["unit", ""]]) {
      head.append(node("th", words, { scope: "col", class: name }));
    }
    head.append(node("td"));
    const body = node("tbody");
    series.forEach((one, at) => {
      const { path, unit, whole } = one;
      const row = node("tr", undefined, { "data-key": path });
      const name = node("th", undefined, { scope: "row", title: path });
      name.append(node("canvas", undefined, { width: 60, height: 20, "aria-hidden": "true" }), names[at]);
      const numbers = [null, whole?.least, whole?.mean, whole?.most];
      row.append(name, ...numbers.map((value) => node("td", told(one, value))), node("td", one.health ? "" : unit, { class: "name" }));
      const cell = node("td");
      cell.append(node("button", "×", { type: "button", "aria-label": `remove ${names[at]}`, "data-path": path }));
      row.append(cell);
      body.append(row);
    });
    const heads = node("thead");
    heads.append(head);
    table.append(heads, body);
    if (legend.firstChild) morph(legend.firstChild, table);
    else legend.append(table);
    legend.querySelectorAll("canvas").forEach(swatch);
    values(drawn[0]?.cursor.idx);
  };
  legend.addEventListener("click", (event) => {
    const { path } = event.target.closest("button")?.dataset ?? {};
    if (path === undefined) return;
    const next = view.plots[view.plots.indexOf(path) + 1] ?? view.plots[view.plots.indexOf(path) - 1];
    go({ plots: view.plots.filter((plotted) => plotted !== path) });
    // Keeps the keyboard's place in the legend.
    const there = [...legend.querySelectorAll("button")].find((button) => button.dataset.path === next);
    (there ?? main.querySelector("a"))?.focus({ preventScroll: !there });
  });

  /** Draws a sample of the line. */
  const swatch = (canvas, at) => {
    canvas.width = 60; // This clears the canvas.
    const pen = canvas.getContext("2d");
    pen.scale(2, 2);
    const one = data.series[at];
    if (isLane(one)) {
      pen.fillStyle = colours()(one.health ? "--fill-ok" : "--fill");
      pen.fillRect(0, 3, 30, 4);
      return;
    }
    pen.strokeStyle = colours()(`--s${at % COLOURS}`);
    pen.lineWidth = 2.5;
    pen.setLineDash(DASHES[Math.floor(at / COLOURS) % DASHES.length]);
    pen.beginPath();
    pen.moveTo(0, 5);
    pen.lineTo(30, 5);
    pen.stroke();
  };

  /** Writes the values at a time into the legend; without a cursor, the last ones. */
  const values = (at) => {
    const head = legend.querySelector(".at");
    if (!head || !data) return;
    const index = Math.min(at ?? Infinity, data.times.length - 1);
    head.textContent = at == null ? "last" : time(new Date(data.times[index] * 1000));
    head.title = index >= 0 ? bucket(index) : "";
    legend.querySelectorAll("tbody tr").forEach((row, i) => {
      const { values, least, most, whole } = data.series[i];
      row.children[1].textContent = told(data.series[i], at == null ? whole?.last : values[index]);
      row.children[1].title = at != null && least && least[index] !== null ? `${short(least[index])} to ${short(most[index])}` : "";
    });
  };

  // Graphite's format of a minute; a closer zoom would show nothing new.
  const minute = (second) => {
    const date = new Date(second * 1000);
    return `${date.toISOString().slice(11, 16)}_${utcDay(date).replaceAll("-", "")}`;
  };
  const zoom = (from, to) => {
    const [first, last] = [Math.floor(from / 60) * 60, Math.max(Math.ceil(to / 60), Math.floor(from / 60) + 2) * 60];
    zooms.push([view.from, view.to]);
    go({ from: minute(first), to: minute(last) });
  };
  const out = () => {
    if (!data) return;
    if (zooms.length) {
      const [from, to] = zooms.pop();
      go({ from, to });
      return;
    }
    const half = (data.to - data.from) / 2;
    go({ from: minute(Math.max(86_400, data.from - half)), to: minute(data.to + half) });
  };
  const move = (part) => {
    if (!data) return;
    const by = (data.to - data.from) * part;
    go({ from: minute(Math.max(86_400, data.from + by)), to: minute(data.to + by) });
  };
  byId("out").addEventListener("click", out);
  byId("in").addEventListener("click", () => {
    if (!data) return;
    const quarter = (data.to - data.from) / 4;
    zoom(data.from + quarter, data.to - quarter);
  });
  byId("earlier").addEventListener("click", () => move(-0.5));
  byId("later").addEventListener("click", () => move(0.5));

  chart.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !drawn.length || !data.times.length) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(data.times.length - 1, (drawn[0].cursor.idx ?? data.times.length) + by));
    drawn[0].setCursor({ left: drawn[0].valToPos(data.times[at], "x"), top: 0 });
    speak(at);
  });

  // --- Dates and times, the zone, and the link. ----------------------------------------------------------------------

  const fields = byId("moments");
  /** Writes the shown range into the fields of date and time. */
  const moments = () => {
    for (const name of ["from", "to"]) {
      const date = new Date(data[name] * 1000);
      if (!fields.contains(document.activeElement)) fields.elements[name].value = `${day(date)}T${time(date)}`;
    }
    for (const button of fields.querySelectorAll("[data-zone]")) button.setAttribute("aria-pressed", button.dataset.zone === zone);
  };
  fields.addEventListener("submit", (event) => {
    event.preventDefault();
    const [from, to] = ["from", "to"].map((name) => Date.parse(fields.elements[name].value + (zone === "UTC" ? "Z" : "")) / 1000);
    if (!(from >= 86_400 && to > from)) {
      complain("from is not before to");
      return;
    }
    zooms.length = 0;
    go({ from: minute(from), to: minute(to) });
  });
  fields.addEventListener("click", ({ target: { dataset } }) => {
    if (dataset?.zone === undefined) return;
    zone = dataset.zone;
    keep({ zone });
    if (data) draw();
  });

  /** Copies a link, and says so; the focus goes back to what was clicked. */
  const copy = async (link, what, button) => {
    let how = `Copied: a link to ${what} with fixed times.`;
    try {
      await navigator.clipboard.writeText(link);
    } catch {
      // Without https the browser lends no clipboard.
      const field = node("input", undefined, { value: link, readonly: "", "aria-label": "link" });
      button.after(field);
      field.select();
      if (!document.execCommand("copy")) how = link;
      field.remove();
      button.focus();
    }
    said.textContent = how;
    said.className = "well";
    setTimeout(() => said.textContent === how && (said.textContent = ""), 10_000);
  };
  byId("copy").addEventListener("click", ({ currentTarget }) => {
    if (!data) return;
    // Fixed times, so that the link shows the same tomorrow.
    const address = written({ ...view, from: minute(data.from), to: minute(data.to) });
    copy(location.href.replace(/[?#].*$/, "") + address, "this plot", currentTarget);
  });
  main.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-copy]");
    if (!link) return;
    event.preventDefault();
    copy(link.href, "these events", link);
  });

  // --- Paper. --------------------------------------------------------------------------------------------------------

  const paper = node("div", undefined, { id: "paper", "aria-hidden": "true" });
  chart.parentElement.before(paper);
  const margins = new CSSStyleSheet();
  addEventListener("beforeprint", () => {
    const foot = `${document.title} · ${location.href} · ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`;
    byId("foot").textContent = foot;
    // An address breaks where its parts end.
    const text = foot.replace(/["\\\n]/g, "\\$&").replace(/[&=./]/g, "$&\u200b");
    margins.replaceSync(`@page { @bottom-left { content: "${text}"; width: 90%; } @bottom-right { content: counter(page) " / " counter(pages); width: 10%; } }`);
    document.adoptedStyleSheets = [margins];
    // A browser that puts it on each sheet need not put it behind the last one.
    byId("foot").hidden = /bottom-left/.test(margins.cssRules[0]?.cssText);
    // The plot is drawn in lines, not in dots. The sheet waits for nothing else.
    paper.replaceChildren();
    if (view.plots.length) {
      const asked = new XMLHttpRequest();
      asked.open("GET", `plot.svg?width=1000&height=320&events=1${view.stack ? "&stack=1" : ""}&${question()}`, false);
      try {
        asked.send();
        if (asked.status === 200) paper.append(document.importNode(asked.responseXML.documentElement, true));
      } catch {
        // The server is gone: the dots remain.
      }
    }
    root.toggleAttribute("data-drawn", paper.firstChild !== null);
  });

  const redraw = () => data && view.plots.length && draw();
  new ResizeObserver(() => {
    if (!data) return;
    const each = heights(strips(data.series));
    drawn.forEach((strip, at) => strip.setSize({ width: chart.clientWidth, height: each[at] }));
    lane();
    room();
  }).observe(chart);
  // What happened comes later than the lines, and makes it higher.
  new ResizeObserver(putBelow).observe(panel);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // --- Start. ----------------------------------------------------------------------------------------------------

  if (root.dataset.part !== undefined) {
    root.dataset.part = "growing";
    rest();
  } else {
    watchEnds();
  }
  for (const hidden of document.querySelectorAll("[data-script]")) hidden.hidden = false;
  options.querySelector("button").hidden = true;
  look();
  marks();
  if (location.search.length < 2 && (view.all || view.hide.length)) {
    history.replaceState(null, "", written(view));
    refresh();
  }
  if (view.plots.length) plot();
  tick();
  setInterval(tick, 1000);
}
