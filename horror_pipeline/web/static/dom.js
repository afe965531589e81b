// Builds elements, and writes numbers and dates. Text always becomes text nodes: nothing is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

// Replace what a section shows. Elements with the same `data-key` as before keep the keyboard focus or stay open.
export function show(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const opened = new Set([...container.querySelectorAll("details[open][data-key]")].map((item) => item.dataset.key));
  container.replaceChildren(...children.flat().filter(Boolean));
  container.removeAttribute("aria-busy");
  container.classList.remove("skeleton");
  for (const item of container.querySelectorAll("details[data-key]")) item.open = opened.has(item.dataset.key);
  if (focused) container.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

const whole = new Intl.NumberFormat("en");
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const NONE = "–";
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
export const count = (value) => (known(value) ? whole.format(value) : NONE);
export const rating = (value) => (known(value) ? oneDigit.format(value) : NONE);
export const fine = (value) => (known(value) ? twoDigits.format(value) : NONE);
export const percent = (value) => (known(value) ? `${Math.round(value * 100)}\u00a0%` : NONE);
export function popularity(value) {
  if (!known(value)) return NONE;
  return value >= 100 ? whole.format(Math.round(value)) : value >= 10 ? oneDigit.format(value) : twoDigits.format(value);
}

const midnight = (text) => Date.parse(`${text}T00:00:00Z`);
export const day = (text) => (text ? dayFormat.format(midnight(text)) : "no date yet");
export const clock = (moment) => clockFormat.format(moment);
export const year = (text) => (text ? text.slice(0, 4) : null);
export const filmYear = (film) => year(film.release_date) ?? "no date";
export const days = (number) => (number === 1 ? "1 day" : `${count(number)} days`);
export const daysUntil = (text) => Math.ceil((midnight(text) - Date.now()) / 86_400_000);
export const votes = (value) => (value === 1 ? "1 vote" : `${count(value ?? 0)} votes`);

export function span(number) {
  if (number < 1) return "today";
  if (number < 60) return days(number < 2 ? 1 : Math.round(number));
  return number < 730 ? `${Math.round(number / 30.4)} months` : `${Math.round(number / 365.25)} years`;
}

export function ago(moment) {
  const minutes = Math.max(0, (Date.now() - Date.parse(moment)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 90) return `${Math.round(minutes)} min ago`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h ago` : `${span(minutes / 1440)} ago`;
}

// A relative change: "▲ 35 %", with a word for screen readers.
export function arrow(share, kind, ...more) {
  const direction = share > 0 ? "up" : "down";
  return h("span", { class: `${kind} ${direction}` }, h("span", { class: "hidden" }, direction), `${share > 0 ? "▲" : "▼"} ${count(Math.round(Math.abs(share) * 100))} %`, ...more);
}

export const noneYet = (text) => h("p", { class: "none-yet" }, text);

// Return a film's poster, or null if there is none, as for demo data. A poster that cannot be loaded is removed.
export function poster(film, width, attributes) {
  if (document.body.dataset.posters !== "yes" || !/^\/[\w.-]+$/.test(film.poster_path ?? "")) return null;
  const image = h("img", { alt: "", src: `https://image.tmdb.org/t/p/w${width}${film.poster_path}`, referrerpolicy: "no-referrer", ...attributes });
  image.addEventListener("error", () => image.remove());
  return image;
}

// Return a link that opens a film over this page; `where` keeps its key unique when a film is in several lists.
export function filmLink(film, where) {
  return h("a", { href: `/movies/${film.tmdb_id}`, class: "film", "data-film": film.tmdb_id, "data-key": `${where}-${film.tmdb_id}` }, film.title);
}

// Return this page's address with changed query parameters, where `null` removes one, and with a section to jump to.
export function address(changes, section = location.hash.slice(1)) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) value === null ? query.delete(name) : query.set(name, value);
  return `${location.pathname}${query.size ? `?${query}` : ""}${section && `#${section}`}`;
}

// A table with explicit roles, so that it stays a table for screen readers when a phone's layout makes a grid of it.
export function table(headings, rows, { caption, stacked = false } = {}) {
  return h(
    "table",
    { class: `table ${stacked ? "stacked" : ""} ${stacked === "compact" ? "compact" : ""}`, role: "table" },
    h("caption", { class: "hidden" }, caption),
    h("thead", { role: "rowgroup" },
      h("tr", { role: "row" }, headings.map(([name, kind]) => h("th", { scope: "col", role: "columnheader", class: kind }, name)))),
    h("tbody", { role: "rowgroup" },
      rows.map((cells) =>
        h("tr", { role: "row" }, cells.map((cell, index) =>
          h("td", { role: "cell", class: headings[index][1], "data-label": index ? headings[index][0] : null }, cell))))),
  );
}

// A table that is folded at first, such as a chart's numbers for people who cannot see the chart.
export function asTable(key, summary, headings, rows) {
  return h("details", { "data-key": key },
    h("summary", {}, summary),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": summary },
      h("table", {},
        h("thead", {}, h("tr", {}, headings.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))))));
}
