// Shows forecasts, which say where a film's popularity is going, from its own history. They are never mixed with
// expectations, which say what is usual for such a film.

import { arrow, asTable, byId, count, day, days, filmLink, filmYear, fine, h, noneYet, percent, popularity, show, svg, table } from "./dom.js";
import { interval, popularityScale } from "./marks.js";

// Write the relative change from the popularity on the day a forecast was made.
function changeOf(forecast) {
  const share = forecast.forecast_popularity / forecast.origin_popularity - 1;
  if (!Number.isFinite(share) || Math.abs(share) < 0.005) return h("span", { class: "muted" }, "no change");
  return arrow(share, "number");
}

// Say whether a forecast's whole interval is a rise or a fall. Even if it is not, the chance of a rise can be high.
function howSure({ origin_popularity: now, forecast_popularity: then, popularity_lower: lower, popularity_upper: upper }) {
  if (then > now && lower > now) return "fairly sure, the whole interval is a rise";
  if (then < now && upper < now) return "fairly sure, the whole interval is a fall";
  return "the interval includes no change";
}

const range = (forecast) => `${popularity(forecast.popularity_lower)} – ${popularity(forecast.popularity_upper)}`;

export function showMovers(rise, fall) {
  const all = [...rise.forecasts, ...fall.forecasts];
  const madeOn = rise.made_on ?? fall.made_on;
  const head = all[0];
  byId("movers-when").textContent = head ? `Made on ${day(madeOn)} for ${day(head.target_date)}.` : "";
  const scale = popularityScale(all.flatMap((film) => [film.popularity_lower, film.popularity_upper, film.origin_popularity]));
  for (const [id, page, word] of [["rising-body", rise, "rise"], ["falling-body", fall, "fall"]]) {
    const items = page.forecasts.map((film) => mover(film, scale, id));
    show(byId(id), items.length ? h("ul", { class: "gaps" }, items) : noneYet(`No film is forecast to ${word}.`));
  }
}

function mover(film, scale, where) {
  const release = film.days_to_release > 0 ? `released in ${days(film.days_to_release)}` : filmYear(film);
  return h("li", {},
    h("div", { class: "top" },
      h("div", {}, filmLink(film, where), " ", h("span", { class: "muted small" }, release)),
      changeOf(film)),
    interval({ predicted: film.forecast_popularity, lower: film.popularity_lower, upper: film.popularity_upper, real: film.origin_popularity, scale }),
    h("p", { class: "small muted" }, "From ", h("strong", { class: "number" }, popularity(film.origin_popularity)), " to ",
      h("strong", { class: "number" }, popularity(film.forecast_popularity)), h("span", { class: "number" }, ` (${range(film)})`), `: ${howSure(film)}.`));
}

// A table of a film's forecasts, with the numbers that the chart shows as a fan.
export function forecastTable(forecasts) {
  return table([["Forecast for", ""], ["Popularity", "right"], ["80 % interval", "right"], ["Change", "right"]],
    forecasts.map((forecast) => [
      [h("strong", {}, `${days(forecast.horizon_days)} ahead`), h("span", { class: "sub" }, day(forecast.target_date))],
      h("span", { class: "number" }, popularity(forecast.forecast_popularity)),
      h("span", { class: "number" }, range(forecast)),
      [changeOf(forecast), h("span", { class: "sub" }, howSure(forecast))],
    ]), { caption: "Forecasts of popularity from this film's own history", stacked: "compact" });
}

// The plotly traces of a film's forecasts: a fan that opens from the last known day, and a line for "no change".
export function fan(forecasts, theme) {
  if (!forecasts.length) return [];
  const { made_on: from, origin_popularity: now } = forecasts[0];
  const dates = [from, ...forecasts.map((forecast) => forecast.target_date)];
  const upper = [now, ...forecasts.map((forecast) => forecast.popularity_upper)];
  const lower = [now, ...forecasts.map((forecast) => forecast.popularity_lower)];
  return [
    { name: "interval", x: [...dates, ...dates.toReversed()], y: [...upper, ...lower.toReversed()], fill: "toself", mode: "lines", line: { width: 0 }, fillcolor: theme.interval, opacity: 0.6, hoverinfo: "skip" },
    { name: "no change", x: [from, dates.at(-1)], y: [now, now], mode: "lines", line: { color: theme.muted, width: 1.5, dash: "dot" }, hoverinfo: "skip" },
    { name: "forecast", x: dates, y: [now, ...forecasts.map((forecast) => forecast.forecast_popularity)], mode: "lines+markers", line: { color: theme.predicted, width: 2.5 }, marker: { color: theme.predicted, size: [0, ...forecasts.map(() => 7)] } },
  ];
}

export function fanTip(forecasts, index) {
  const forecast = forecasts[index - 1];
  return forecast && [day(forecast.target_date), `forecast ${popularity(forecast.forecast_popularity)}`, `80 % interval ${range(forecast)}`];
}

// -- how good the forecasts are ---------------------------------------------------------------------------------------

export function showForecastRecord(accuracy) {
  const body = byId("forecast-record-body");
  const rows = accuracy.forecasts;
  if (!rows.length) {
    show(body, noneYet("No forecast has been compared with a later day yet."));
    return;
  }
  const live = rows.filter((row) => !row.is_backtest);
  const kinds = [["live", live], ["backtest", rows.filter((row) => row.is_backtest)]].filter(([, some]) => some.length);
  show(body,
    kinds.map(([kind, some]) => [
      h("h3", {}, kind === "live" ? "Live forecasts" : "Backtest"),
      h("p", { class: "chart-note" }, kind === "live" ? "Made before the day they forecast." : "Made later for past days, from only what was known on each of them."),
      record(byHorizon(some), kind),
    ]).flat(),
    asTable("forecast-record", "Month by month", ["Month", "Days ahead", "Kind", "Forecast off by", "No change off by", "Skill", "Inside interval", "Forecasts"],
      rows.map((row) => [row.month.slice(0, 7), row.horizon_days, row.is_backtest ? "backtest" : "live", fine(row.mae), fine(row.mae_no_change), percent(row.skill), percent(row.coverage), count(row.films)])));
}

// Average the months by horizon, weighted by their numbers of forecasts.
function byHorizon(rows) {
  return [...new Set(rows.map((row) => row.horizon_days))].sort((a, b) => a - b).map((horizon) => {
    const some = rows.filter((row) => row.horizon_days === horizon);
    const films = some.reduce((sum, row) => sum + row.films, 0);
    const mean = (name) => some.reduce((sum, row) => sum + row[name] * row.films, 0) / films;
    const [mae, still] = [mean("mae"), mean("mae_no_change")];
    return { horizon, films, mae, still, skill: still ? 1 - mae / still : null, coverage: mean("coverage") };
  });
}

function record(rows, kind) {
  return table([["Days ahead", ""], ["Forecast off by", "right"], ["No change off by", "right"], ["Skill", ""], ["Inside 80 % interval", "right"]],
    rows.map((row) => [
      [h("strong", {}, days(row.horizon)), h("span", { class: "sub" }, `${count(row.films)} forecasts`)],
      h("span", { class: "number" }, fine(row.mae)),
      h("span", { class: "number" }, fine(row.still)),
      skill(row.skill),
      h("span", { class: "number" }, percent(row.coverage)),
    ]), { caption: `Skill of ${kind} forecasts by horizon`, stacked: "compact" });
}

function skill(share) {
  if (share === null) return h("span", { class: "muted" }, "nothing changed");
  const width = `${Math.min(100, Math.abs(share) * 100).toFixed(1)}%`;
  return h("div", { class: "estimate" },
    svg("svg", { class: "meter", "aria-hidden": "true" }, svg("rect", { class: "axis", width: "100%", height: "100%", rx: 3 }), svg("rect", { class: share < 0 ? "worse" : "better", width, height: "100%", rx: 3 })),
    h("span", { class: share < 0 ? "down" : "up" }, share < 0 ? `${percent(-share)} worse` : `${percent(share)} better`));
}
