// Draws charts with plotly.js, which is loaded for the first chart. Film titles are never given to plotly.js, because
// it would interpret tags in them. The tooltip beside the pointer is our own and shows plain text.

import { byId, h } from "./dom.js";

let loading = null;

function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    // plotly.js contains a map library that adds inline CSS unless elements with these ids exist. We draw no maps.
    for (const id of document.body.dataset.plotlyStyles.split(" ").filter(Boolean)) document.head.append(h("meta", { id }));
    document.head.append(h("script", { src: document.body.dataset.plotlyUrl, onload: () => resolve(window.Plotly), onerror: () => { loading = null; reject(new Error("charts could not be loaded")); } }));
  });
  return loading;
}

function colors() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["ink", "muted", "grid", "line", "real", "predicted", "interval"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function axis(theme, options) {
  return {
    gridcolor: theme.grid, linecolor: theme.line, zeroline: false, tickfont: { color: theme.muted }, fixedrange: true, automargin: true,
    ...options,
    title: options.title ? { text: options.title, font: { color: theme.muted, size: 13 }, standoff: 12 } : {},
  };
}

const drawn = new Map();

// Draw, or redraw, a chart. `make(theme)` returns {traces, xaxis, yaxis, …}; `tip(point)` returns [title, text] or null.
export async function draw(element, make, { tip = null, pick = null } = {}) {
  drawn.set(element, { make, tip, pick });
  const plotly = await loadPlotly();
  if (!element.isConnected) return;
  const theme = colors();
  const { traces, xaxis, yaxis, ...layout } = make(theme);
  await plotly.react(element, traces.map((trace) => ({ hoverinfo: "none", ...trace })), {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest", dragmode: false,
    margin: { l: 40, r: 12, t: 12, b: 28 }, font: { family: "system-ui, sans-serif", color: theme.ink, size: 13 },
    ...layout, xaxis: axis(theme, xaxis), yaxis: axis(theme, yaxis),
  }, { displayModeBar: false, responsive: true, doubleClick: false });
  if (!element.dataset.listening) listen(element);
}

function listen(element) {
  element.dataset.listening = "yes";
  element.on("plotly_hover", ({ points, event }) => {
    const found = points.map((point) => drawn.get(element)?.tip?.(point)).find(Boolean);
    if (found) showTip(found, event);
  });
  element.on("plotly_unhover", hideTip);
  element.on("plotly_click", ({ points }) => points.some((point) => drawn.get(element)?.pick?.(point)));
}

function showTip([title, ...lines], event) {
  const tip = byId("tooltip");
  const host = document.querySelector("dialog[open]") ?? document.body;
  if (tip.parentElement !== host) host.append(tip); // an open dialog covers everything outside it
  tip.replaceChildren(h("strong", {}, title), ...lines.map((line) => h("div", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const top = event.clientY + 14 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 14;
  tip.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
}

export function hideTip() {
  byId("tooltip").hidden = true;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [element, { make, ...rest }] of drawn) {
    if (element.isConnected) draw(element, make, rest).catch(() => {});
    else drawn.delete(element);
  }
});
addEventListener("scroll", hideTip, { passive: true });

// Call `then` when the element comes near the screen.
export function whenNear(element, then) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    then();
  }, { rootMargin: "400px" });
  observer.observe(element);
}
