// Shows how good the models of expectations are, and how past expectations compare with what happened.

import { NONE, ago, asTable, byId, count, day, fine, h, noneYet, percent, popularity, show, svg, table } from "./dom.js";
import { draw, whenNear } from "./charts.js";

const TITLES = {
  popularity_after_release: "Popularity of released films",
  popularity_before_release: "Popularity of coming films",
  rating_after_release: "Rating of released films",
  rating_before_release: "Rating of coming films",
};
const WORDS = { constant: "a constant guess", linear: "linear regression", random_forest: "random forest" };

// Return a model's main figures: means over its test periods, and the coverage and width of its interval.
function figures(metrics) {
  return { ...metrics?.mean, ...pick(metrics?.interval, "coverage", "width") };
}

const pick = (object, ...names) => Object.fromEntries(names.map((name) => [name, object?.[name]]));

function rivals(model) {
  return Object.entries(model.baseline_metrics ?? {})
    .map(([name, metrics]) => [WORDS[name] ?? name.replaceAll("_", " "), figures(metrics).mae])
    .filter(([, mae]) => Number.isFinite(mae));
}

export function showModels(models) {
  const body = byId("models-body");
  const champions = models.champions.filter((model) => model.model_name in TITLES);  // the forecaster is shown with the forecasts' track record
  if (!champions.length) {
    show(body, noneYet("No model has been trained yet. Training needs released films with votes; see the runs in Dagster."));
    return;
  }
  show(body, champions.map((model) => card(model, models.versions.filter((version) => version.model_name === model.model_name))));
}

function card(model, versions) {
  const is = figures(model.metrics);
  const isRating = model.model_name.startsWith("rating");
  const write = isRating ? fine : popularity;
  return h("article", { class: "card" },
    h("h3", {}, TITLES[model.model_name]),
    h("p", { class: "headline" }, h("strong", {}, write(is.mae)), h("span", { class: "muted" }, isRating ? "points off on average, of 10" : "popularity off on average")),
    bars(is.mae, rivals(model), write),
    h("dl", { class: "figures" }, sentences(is, model.metrics.any_votes?.mae, write).map(([value, text]) => h("div", {}, h("dt", {}, value), h("dd", {}, text)))),
    h("p", { class: "small muted chart-note" }, `${model.algorithm}, learned from ${count(model.training_rows)} films, ${ago(model.trained_at)}. Version ${model.model_version.slice(0, 8)}.`),
    looksAt(model.importance),
    periods(model, write),
    versions.length > 1 && asTable(`versions-${model.model_name}`, `${versions.length} versions so far`, ["Trained", "Version", "Algorithm", "Films", "Error", "R²"],
      versions.map((version) => [day(version.trained_at.slice(0, 10)), version.model_version.slice(0, 8), version.algorithm, count(version.training_rows), write(figures(version.metrics).mae), fine(figures(version.metrics).r2)])));
}

function bars(mae, others, write) {
  if (!Number.isFinite(mae) || !others.length) return null;
  const all = [["this model", mae, "own"], ...others];
  const most = Math.max(...all.map(([, value]) => value));
  return h("ul", { class: "bars", "aria-label": "Average error compared with simpler models, less is better" }, all.map(([name, value, own]) => bar(name, value / most, write(value), own)));
}

function bar(name, share, text, kind = null) {
  return h("li", { class: kind }, h("span", {}, name),
    svg("svg", { "aria-hidden": "true" }, svg("rect", { width: `${(share * 100).toFixed(1)}%`, height: "100%", rx: 3 })),
    h("span", { class: "number" }, text));
}

// Show the most important features, by how much worse the model gets without each of them.
function looksAt(importance) {
  const found = Object.entries(importance ?? {}).filter(([, value]) => Number.isFinite(value) && value > 0).sort(([, a], [, b]) => b - a).slice(0, 6);
  if (!found.length) return null;
  return h("details", { "data-key": `importance-${found[0][0]}` }, h("summary", {}, "What it looks at"),
    h("ul", { class: "bars", "aria-label": "Features by how much worse the model gets without them" }, found.map(([name, value]) => bar(name.replaceAll("_", " "), value / found[0][1], fine(value)))));
}

function periods(model, write) {
  const rows = Object.entries(model.metrics.origins ?? {}).filter(([, value]) => Number.isFinite(value?.mae));
  if (rows.length < 2) return null;
  const held = model.metrics.interval?.origins ?? {};
  return asTable(`periods-${model.model_name}`, `${rows.length} test periods`, ["Period", "Films", "Error", "R²", "Inside interval"],
    rows.map(([name, value], index) => [`${index + 1} of ${rows.length}`, count(value.films), write(value.mae), fine(value.r2), percent(held[name]?.coverage)]));
}

function sentences(is, anyVotes, write) {
  const all = [
    [Math.abs(anyVotes / is.mae - 1) > 0.005 ? anyVotes : NaN, write(anyVotes), "is the error over films of any number of votes; the figure above counts those with ten or more."],
    [is.spearman, fine(is.spearman), "Rank correlation: how well it puts films in order. 1 is the true order, 0 is chance."],
    [is.r2, percent(is.r2), "of the differences between films explained (R²). 0 % would be guessing the mean for all."],
    [is.coverage, percent(is.coverage), "of real values fell inside the interval. It promises 80 %."],
    [is.width, write(is.width), "is the interval's mean width: how sure it is. Narrower is surer."],
    [is.rmse, write(is.rmse), "is the error when large misses count more (RMSE)."],
  ];
  return all.filter(([value]) => Number.isFinite(value)).map(([, text, sentence]) => [text, sentence]);
}

const HORIZONS = {
  "1d": "1 day later", "7d": "7 days later", "30d": "30 days later",
  release: "on the day of release", release_7d: "7 days after release", release_30d: "30 days after release",
};
const STAGES = { before_release: "coming films", after_release: "released films" };
const ORDER = Object.keys(HORIZONS);

export function showOutcomes(accuracy) {
  const body = byId("outcomes-body");
  if (!accuracy.scores.length) {
    show(body, noneYet("No expectation is old enough yet: the first outcomes come a day after the first expectations."));
    return;
  }
  const scores = accuracy.scores.toSorted((a, b) => ORDER.indexOf(a.horizon) - ORDER.indexOf(b.horizon));
  const rows = scores.map((score) => [
    [h("strong", {}, HORIZONS[score.horizon] ?? score.horizon), h("span", { class: "sub" }, STAGES[score.stage])],
    half(score, "popularity", popularity),
    held(score.popularity_coverage),
    half(score, "vote_average", fine),
    held(score.vote_average_coverage),
  ]);
  const headings = [["Held against reality", ""], ["Popularity off by", "right"], ["Inside 80 % interval", "right"], ["Rating off by", "right"], ["Inside 80 % interval", "right"]];
  const chart = h("div", { class: "chart short", role: "img", "aria-label": "Line chart of the share of outcomes inside the interval, day by day, and the promised 80 %. The table below has the numbers." });
  const days = accuracy.by_day.filter((score) => score.horizon === "1d" && score.stage === "after_release");
  show(body, table(headings, rows, { caption: "How past expectations held", stacked: true }),
    h("p", { class: "chart-note" }, `Outcomes of ${day(accuracy.from_date)} to ${day(accuracy.to_date)}. “Inside” should be near 80 %: far below, the model is too sure of itself; far above, too timid.`),
    days.length > 1 && h("h3", {}, "Inside the interval, day by day"),
    days.length > 1 && chart,
    days.length > 1 && h("p", { class: "key", "aria-hidden": "true" }, h("span", { class: "key-real" }), " popularity ", h("span", { class: "key-predicted solid" }), " rating, both of released films one day later"),
    days.length > 1 && asTable("outcomes", "The same as a table", ["Day", "Popularity", "Rating"], days.map((score) => [day(score.outcome_date), percent(score.popularity_coverage), percent(score.vote_average_coverage)])));
  if (chart.isConnected) whenNear(chart, () => draw(chart, (theme) => coverage(days, theme), { tip: (point) => coverageTip(days, point) }).catch((error) => chart.replaceWith(noneYet(error.message))));
}

function half(score, target, write) {
  const of = (name) => score[`${target}_${name}`];
  if (!of("count")) return NONE;
  const [error, bias, unchanged] = [of("mean_absolute_error"), of("mean_error"), of("no_change_mean_absolute_error")];
  const lean = Math.abs(bias) < 0.05 * error ? "no lean" : bias > 0 ? `${write(bias)} too low` : `${write(-bias)} too high`;
  const compared = unchanged === null ? "no value to compare with before" : `${write(unchanged)} had nothing changed`;
  return [h("span", { class: "number" }, write(error)), h("span", { class: "sub" }, `${compared} · ${lean} on average · ${count(of("count"))} expectations`)];
}

function held(share) {
  if (share === null) return NONE;
  return h("span", { class: `number ${share < 0.7 ? "down" : ""}` }, percent(share));
}

function coverage(days, theme) {
  const x = days.map((score) => score.outcome_date);
  const line = (y, color) => ({ x, y, mode: "lines+markers", line: { color, width: 2.5 }, marker: { size: 6 } });
  return {
    xaxis: { title: "", type: "date", tickformat: "%-d %b" },
    yaxis: { title: "Outcomes inside", range: [0, 1.02], tickformat: ".0%" },
    traces: [
      { x: [x[0], x.at(-1)], y: [0.8, 0.8], mode: "lines", line: { color: theme.muted, width: 1.5, dash: "dot" }, hoverinfo: "skip" },
      line(days.map((score) => score.popularity_coverage), theme.real),
      line(days.map((score) => score.vote_average_coverage), theme.predicted),
    ],
  };
}

function coverageTip(days, { curveNumber, pointIndex }) {
  const score = days[pointIndex];
  const [name, share] = curveNumber === 1 ? ["popularity", score.popularity_coverage] : ["rating", score.vote_average_coverage];
  return [day(score.outcome_date), `${percent(share)} of ${name} outcomes inside`];
}
