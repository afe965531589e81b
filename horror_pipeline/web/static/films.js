// Lists of films: popular now, coming, under- and over-valued.

import { NONE, arrow, byId, count, day, daysUntil, filmLink, h, noneYet, popularity, poster, rating, show, span, table, votes, year } from "./dom.js";
import { interval, popularityScale, ratingScale, sparkline } from "./marks.js";

function change(film) {
  if (!film.popularity_week_ago || film.popularity === null) return null;
  const share = film.popularity / film.popularity_week_ago - 1;
  if (Math.abs(share) < 0.01) return h("span", { class: "sub" }, "as last week");
  return arrow(share, "sub", " ", h("span", { class: "own-line" }, "in a week"));
}

function since(film) {
  const parts = [year(film.release_date)];
  const known = film.popularity_by_day.filter((value) => value !== null).length;
  if (film.popular_since && known > 1) {
    const days = 1 - daysUntil(film.popular_since);
    parts.push(film.is_popular_since_earlier ? `top 1 % for ${days}+ days` : `top 1 % since ${day(film.popular_since)}, ${span(days)}`);
  }
  return h("span", { class: "sub" }, parts.filter(Boolean).join(" · "));
}

const stars = (film) => film.vote_average === null ? "no votes yet" : `★ ${rating(film.vote_average)} from ${votes(film.vote_count)}`;

export function showPopular(summary) {
  const lines = new Map(summary.movies.map((film) => [film, sparkline(film.popularity_by_day)]));
  const hasHistory = [...lines.values()].some(Boolean);
  const rows = summary.movies.map((film, index) => [
    String(index + 1),
    h("div", { class: "with-thumbnail" }, poster(film, 92, { class: "thumbnail", width: 40, height: 60, loading: "lazy" }), h("div", {}, filmLink(film, "popular"), since(film), h("span", { class: "sub narrow" }, stars(film)))),
    ...(hasHistory ? [lines.get(film) ?? h("span", { class: "sub" }, "no history yet")] : []),
    [h("span", { class: "number" }, popularity(film.popularity)), change(film)],
    film.vote_average === null ? h("span", { class: "sub" }, "no votes yet") : [h("span", { class: "number" }, rating(film.vote_average)), h("span", { class: "sub" }, votes(film.vote_count))],
  ]);
  const headings = [["#", "rank"], ["Film", ""], ...(hasHistory ? [["Last 30 days", "trend"]] : []), ["Popularity", "right"], ["Rating", "right wide"]];
  const young = hasHistory ? null : h("p", { class: "chart-note" }, "History begins here: days follow one by one, and ", h("code", {}, "horror backfill snapshots"), " fetches up to 90 past ones.");
  show(byId("popular-body"), rows.length ? [table(headings, rows, { caption: "The ten most popular horror films" }), young] : noneYet("No popularity has been observed yet."));
}

function estimate(predicted, lower, upper, scale, write) {
  if (predicted === null) return NONE;
  return h("div", { class: "estimate" },
    interval({ predicted, lower, upper, scale }),
    h("span", { class: "number" }, `${write(predicted)} `, h("span", { class: "muted" }, `(${write(lower)} – ${write(upper)})`)));
}

function release(film) {
  if (!film.release_date) return ["no date yet"];
  const days = daysUntil(film.release_date);
  return [h("span", { class: "number" }, day(film.release_date)), h("span", { class: "sub" }, days > 0 ? `in ${span(days)}` : "out now")];
}

function whySurprising({ surprise_factor: factor, actual_popularity: now, popularity_reasons: reasons }) {
  const held = now < 1 ? `, counted from 1 instead of ${popularity(now)}` : " the popularity now";
  return factor === null ? null : h("span", { class: "sub" }, `× ${popularity(factor)}${held}${reasons ? `. Why: ${reasons.replaceAll(" %", "\u00a0%")}` : ""}`);
}

// Write the forecast, from a coming film's own history, for the first forecast day on which the film is out.
function atRelease({ forecast_date: date, forecast_popularity: forecast, forecast_lower: lower, forecast_upper: upper }) {
  return date === null ? null : h("span", { class: "sub" }, `Forecast for ${day(date)}, from its own history: ${popularity(forecast)} `, h("span", { class: "number" }, `(${popularity(lower)} – ${popularity(upper)})`));
}

// `showMore` is a function that lists more films, or false if the API lists no more at once. `page.surprises` says
// whether only films expected to rise are listed.
export function showComing(page, showMore) {
  const scale = popularityScale(page.predictions.flatMap((film) => [film.popularity_lower, film.popularity_upper]));
  const rows = page.predictions.map((film) => [
    [filmLink(film, "coming"), h("span", { class: "sub" }, film.genres.filter((genre) => genre !== "Horror").join(", ") || "Horror")],
    release(film),
    film.actual_popularity === null ? NONE : h("span", { class: "number" }, popularity(film.actual_popularity)),
    [estimate(film.predicted_popularity, film.popularity_lower, film.popularity_upper, scale, popularity), whySurprising(film), atRelease(film)],
    estimate(film.predicted_vote_average, film.vote_average_lower, film.vote_average_upper, ratingScale, rating),
  ]);
  const headings = [["Film", "title"], ["Release", "date"], ["Popularity now", "right"], ["Expected popularity", ""], ["Expected rating", ""]];
  const more = page.total > rows.length ? h("p", { class: "chart-note" }, `${rows.length} of ${count(page.total)} coming films. `,
    showMore ? h("button", { type: "button", class: "more", "data-key": "coming-more", onclick: showMore }, "Show more") : h("a", { href: "/lists#coming" }, "All by date")) : null;
  const body = rows.length ? [table(headings, rows, { caption: "Coming films with the popularity and rating that are usual for such films", stacked: true }), more] : noneYet(page.surprises ? "No coming film of these is expected to be more popular than now." : "No coming film of these has an expectation yet.");
  const leftOut = page.surprises && h("p", { class: "chart-note" }, "Films that stand above what is usual already, as many do near their release, are left out here: “Soonest” has them too, with their forecasts.");
  show(byId("coming-body"), body, leftOut);
}

const TARGETS = {
  vote_average: {
    lead: "Where the audience and the expectation for such a film disagree most. Under-valued films are rated lower than films like them; over-valued ones higher.",
    real: "actual_vote_average", predicted: "predicted_vote_average", lower: "vote_average_lower", upper: "vote_average_upper", write: rating, scale: () => ratingScale,
  },
  popularity: {
    lead: "Where attention and the expectation for such a film disagree most. Under-valued films get less attention than films like them; over-valued ones more.",
    real: "actual_popularity", predicted: "predicted_popularity", lower: "popularity_lower", upper: "popularity_upper", write: popularity, scale: popularityScale,
  },
};

export function showMisjudged(target, under, over) {
  const kind = TARGETS[target];
  byId("misjudged-lead").textContent = `${kind.lead} Films with few votes are left out: their numbers are chance.`;
  const all = [...under.predictions, ...over.predictions];
  const scale = kind.scale(all.flatMap((film) => [film[kind.lower], film[kind.upper], film[kind.real]]));
  for (const [id, page, word] of [["undervalued-body", under, "below"], ["overvalued-body", over, "above"]]) {
    const items = page.predictions.map((film) => gap(film, kind, scale, id));
    show(byId(id), items.length ? h("ul", { class: "gaps" }, items) : noneYet(`No film is ${word} what is expected for such a film.`));
  }
}

function gap(film, kind, scale, where) {
  const [real, predicted] = [kind.write(film[kind.real]), kind.write(film[kind.predicted])];
  return h("li", {},
    h("div", { class: "top" },
      h("div", {}, filmLink(film, where), " ", h("span", { class: "muted small" }, year(film.release_date) ?? "")),
      h("span", { class: "muted small number" }, votes(film.actual_vote_count))),
    interval({ predicted: film[kind.predicted], lower: film[kind.lower], upper: film[kind.upper], real: film[kind.real], scale }),
    h("p", { class: "small muted" }, "Real ", h("strong", { class: "number" }, real), `, expected for such a film ${predicted} (${kind.write(film[kind.lower])} – ${kind.write(film[kind.upper])})`));
}
