// Small drawings inside rows: sparklines and marks on a line. They are decorative: the numbers are there as text too.

import { svg } from "./dom.js";

export function sparkline(values) {
  const known = values.map((value, index) => [index, value]).filter(([, value]) => value !== null);
  if (known.length < 2) return null;
  const high = Math.max(...known.map(([, value]) => value));
  const x = (index) => ((index / (values.length - 1)) * 100).toFixed(2);
  const y = (value) => (28 - (value / (high || 1)) * 26).toFixed(2);
  const line = known.map(([index, value], n) => `${n ? "L" : "M"}${x(index)} ${y(value)}`).join("");
  const area = `${line}L${x(known.at(-1)[0])} 30L${x(known[0][0])} 30Z`;
  return svg("svg", { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "area", d: area }), svg("path", { d: line }));
}

const within = (scale, value) => Math.min(1, Math.max(0, scale(value)));
const percent = (share) => `${(share * 100).toFixed(2)}%`;

// Draw marks on a horizontal line.
function track(...marks) {
  return svg("svg", { class: "interval", "aria-hidden": "true" }, svg("rect", { class: "axis", x: 0, y: "45%", width: "100%", height: "10%", rx: 1 }), ...marks);
}

// Draw a predicted value with its interval on a shared scale. If the real value is known, a ring marks it, so that the
// interval shows through.
export function interval({ lower, upper, predicted, real = null, scale }) {
  if (predicted === null) return null;
  const place = (value) => percent(within(scale, value));
  const from = within(scale, lower ?? predicted);
  const to = within(scale, upper ?? predicted);
  return track(
    svg("rect", { class: "range", x: percent(from), y: "28%", width: percent(Math.max(0.004, to - from)), height: "44%", rx: 4 }),
    svg("circle", { class: "predicted", cx: place(predicted), cy: "50%", r: 4 }),
    real === null ? null : svg("circle", { class: "ring", cx: place(real), cy: "50%", r: 6 }));
}

// Draw a film's popularity before and now, and the popularity it would have if it had changed like similar films.
export function steps({ before, usual, now, scale }) {
  const place = (value) => percent(within(scale, value));
  return track(
    svg("line", { class: "way", x1: place(before), x2: place(now), y1: "50%", y2: "50%" }),
    svg("circle", { class: "from", cx: place(before), cy: "50%", r: 4 }),
    svg("circle", { class: "predicted", cx: place(usual), cy: "50%", r: 4 }),
    svg("circle", { class: "real", cx: place(now), cy: "50%", r: 6 }));
}

export const ratingScale = (value) => value / 10;

// Return a logarithmic scale that covers `values`, because popularity spans orders of magnitude.
export function popularityScale(values) {
  const known = values.filter((value) => value !== null && value > 0);
  const low = Math.log(Math.min(0.5, ...known));
  const high = Math.log(Math.max(1, ...known));
  return (value) => (Math.log(Math.max(value, 1e-6)) - low) / (high - low || 1);
}
