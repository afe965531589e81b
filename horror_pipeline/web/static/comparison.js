// Shows expected and real values of released films, as a scatter chart with a diagonal and as a table.

import { asTable, byId, count, h, noneYet, popularity, rating, show, votes } from "./dom.js";
import { draw, whenNear } from "./charts.js";
import { openFilm } from "./film.js";

const KINDS = {
  vote_average: { name: "rating", write: rating, axis: { range: [0, 10], dtick: 1 }, from: 0, to: 10 },
  popularity: { name: "popularity", write: popularity, axis: { type: "log", dtick: 1 } },
};

export function showComparison(target, data) {
  const body = byId("comparison-body");
  const kind = KINDS[target];
  const points = data.points.filter((point) => target !== "popularity" || (point.predicted > 0 && point.actual > 0));
  if (!points.length) {
    show(body, noneYet("There is no expectation for a released film yet."));
    return;
  }
  const held = points.filter((point) => point.lower !== null && point.lower <= point.actual && point.actual <= point.upper).length;
  const note = `${count(points.length)} of ${count(data.total)} released films; for ${count(held)} of them reality is inside the interval.`;
  let chart = body.querySelector(".chart");
  if (!chart) {
    chart = h("div", { class: "chart", role: "img" });
    show(body, chart, h("p", { class: "chart-note" }), h("div", {}));
  }
  chart.setAttribute("aria-label", `Scatter chart of expected and real ${kind.name}. ${note} The table below has the numbers.`);
  body.querySelector(".chart-note").textContent = note;
  show(body.lastElementChild, asTable("comparison", "The same as a table", ["Film", `Expected ${kind.name}`, "Interval", `Real ${kind.name}`, "Votes"],
    points.map((point) => [point.title, kind.write(point.predicted), `${kind.write(point.lower)} – ${kind.write(point.upper)}`, kind.write(point.actual), count(point.vote_count)])));
  whenNear(chart, () => draw(chart, (theme) => layout(kind, points, theme), {
    tip: ({ curveNumber, pointIndex }) => curveNumber === 1 && tip(points[pointIndex], kind),
    pick: ({ curveNumber, pointIndex }) => curveNumber === 1 && openFilm(points[pointIndex].tmdb_id),
  }).catch((error) => { body.querySelector(".chart-note").textContent = `${error.message}. ${note}`; }));
}

function tip(point, kind) {
  return [point.title, `real ${kind.write(point.actual)} · expected ${kind.write(point.predicted)}`, votes(point.vote_count)];
}

function layout(kind, points, theme) {
  const values = points.flatMap((point) => [point.predicted, point.actual]);
  const from = kind.from ?? Math.min(...values);
  const to = kind.to ?? Math.max(...values);
  const size = points.map((point) => 5 + 2 * Math.log10(1 + (point.vote_count ?? 0)));
  return {
    xaxis: { title: `Expected ${kind.name}`, ...kind.axis },
    yaxis: { title: `Real ${kind.name}`, ...kind.axis },
    traces: [
      { x: [from, to], y: [from, to], mode: "lines", line: { color: theme.muted, width: 1.5, dash: "dot" }, hoverinfo: "skip" },
      { x: points.map((point) => point.predicted), y: points.map((point) => point.actual), mode: "markers", marker: { color: theme.real, size, opacity: 0.5, line: { width: 0 } } },
    ],
  };
}
