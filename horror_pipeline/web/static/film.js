// Shows one film in a dialog over the page: what it is, what is expected for such a film, and its popularity day by day
// with the forecast. `?film=…` in the page's address opens the dialog.

import { get } from "./api.js";
import { draw, hideTip } from "./charts.js";
import { address, asTable, byId, day, filmLink, h, noneYet, percent, popularity, poster, rating, show, votes } from "./dom.js";
import { fan, fanTip, forecastTable } from "./forecasts.js";
import { interval, popularityScale, ratingScale } from "./marks.js";
import { howUnusual } from "./movers.js";

let opened = null;

export async function openFilm(tmdbId, { push = true } = {}) {
  const dialog = byId("film");
  hideTip();
  opened = Number(tmdbId);
  if (push) history.pushState({ film: opened }, "", address({ film: opened }));
  show(byId("film-body"), h("h2", { id: "film-title" }, "Reading…"));
  if (!dialog.open) dialog.showModal();
  await refreshFilm();
  return true;
}

export async function refreshFilm() {
  if (opened === null) return;
  const wanted = opened;
  try {
    const data = await get(`/api/movies/${wanted}`, { days: 180 });
    if (wanted === opened) showFilm(data);
  } catch (error) {
    if (wanted === opened && !byId("film-body").querySelector(".facts")) {
      show(byId("film-body"), h("div", { class: "film-head" }, h("h2", { id: "film-title" }, "This film cannot be shown")), noneYet(error.message));
    }
  }
}

function closed() {
  opened = null;
  hideTip();
  if (new URLSearchParams(location.search).has("film")) history.pushState({}, "", address({ film: null }));
}

export function listenForFilms() {
  const dialog = byId("film");
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-film]");
    if (link && (event.ctrlKey || event.metaKey || event.shiftKey)) return; // the browser opens the film's own page elsewhere, as for any link
    if (link) {
      event.preventDefault();
      openFilm(link.dataset.film);
    } else if (event.target === dialog) dialog.close();
  });
  byId("film-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", closed);
  const fromAddress = () => {
    const id = new URLSearchParams(location.search).get("film");
    if (id && /^\d{1,15}$/.test(id)) openFilm(id, { push: false });
    else if (dialog.open) dialog.close();
  };
  addEventListener("popstate", fromAddress);
  fromAddress();
}

let shown = "";

function showFilm(data) {
  const text = JSON.stringify(data);
  const body = byId("film-body");
  if (text === shown && body.querySelector(".facts")) return;
  shown = text;
  const { movie, predictions, forecasts } = data;
  const newest = predictions.at(-1);
  const chart = h("div", { class: "chart short", role: "img" });
  show(body,
    h("div", { class: "film-head" }, poster(movie, 342, { class: "poster" }), h("div", {},
      h("h2", { id: "film-title" }, movie.title),
      h("p", { class: "muted" }, facts(movie)),
      movie.tagline && h("p", { class: "tagline" }, movie.tagline),
      movie.overview && h("p", {}, movie.overview),
      people("Directed by", movie.directors), people("With", movie.cast_names))),
    h("div", { class: "facts" },
      figure("Popularity", popularity(movie.popularity), newest && expectation(newest, "popularity", popularity, movie.popularity), why(data, "popularity"), newest && chance("chance of the top 1 % of films once it is out and has ten votes", newest.top_1_percent_probability, ". It is based on the newest such films, and the expectation on films of all ages, so the two can seem to disagree.")),
      figure("Rating", movie.vote_average === null ? "no votes" : `${rating(movie.vote_average)} from ${votes(movie.vote_count)}`, newest && expectation(newest, "vote_average", rating, movie.vote_average), why(data, "vote_average"), newest && chance("chance of 7 or more for such a film", newest.rating_7_probability), betterHalf(movie))),
    newest && forecasts.length > 0 && h("p", { class: "small muted" }, "An expectation says what is usual for films like this one. It can differ from the forecast below, which comes from this film's own history."),
    movie.cluster_name && h("p", { class: "small muted" }, "Grouped, by genres, language, season and title, with films that stand out by: ", h("strong", {}, movie.cluster_name), "."),
    h("p", { class: "small" }, h("a", { href: `/movies/${movie.tmdb_id}` }, "This film's own page")),
    onTmdb(movie),
    data.movers.length > 0 && h("div", {}, h("h3", {}, "How it moved"), data.movers.map((mover) => h("p", { class: "small muted" }, howUnusual(mover)))),
    data.similar.length > 0 && h("p", { class: "small muted" }, "Films like this one: ", data.similar.slice(0, 6).flatMap((other, place) => [place ? ", " : "", filmLink(other, "similar")]), ". ", h("a", { href: `/movies/${movie.tmdb_id}#similar` }, "All, and how they did")),
    h("h3", {}, forecasts.length ? "Popularity: its history, and the forecast of the next 30 days" : "Popularity day by day"),
    forecasts.length > 0 && h("p", { class: "small muted" }, "A forecast comes from this film's own history. Four times in five, the real value should fall inside the band."),
    forecasts.length > 0 && h("p", { class: "key", "aria-hidden": "true" }, [["real", "real"], ["predicted", "forecast, with its 80\u00a0% interval"], ["still", "no change"]].map(([mark, words]) => h("span", {}, h("i", { class: `key-${mark}` }), words))),
    data.history.length || forecasts.length ? chart : noneYet("No snapshot of it has been taken yet."),
    forecasts.length > 0 && forecastTable(forecasts),
    forecasts.filter((forecast) => forecast.horizon_days === 7).map((forecast) => chance(`chance that it is higher in 7 days than on ${day(forecast.made_on)}`, forecast.rise_probability)),
    historyTable(data));
  if (chart.isConnected) drawHistory(chart, data);
}

function facts(movie) {
  const minutes = movie.runtime_minutes && `${movie.runtime_minutes} min`;
  const original = movie.original_title !== movie.title && movie.original_title;
  return [movie.release_date ? day(movie.release_date) : "no date yet", minutes, movie.genres.join(", "), original, movie.status !== "Released" && movie.status, movie.gone_at && "no longer listed"].filter(Boolean).join(" · ");
}

// Demo films have no page on TMDB.
const onTmdb = (movie) => document.body.dataset.posters === "yes" && h("p", { class: "small" }, h("a", { href: `https://www.themoviedb.org/movie/${movie.tmdb_id}`, rel: "noreferrer", target: "_blank" }, "This film at TMDB"));

const people = (label, names) => names?.length ? h("p", { class: "small muted" }, `${label} ${names.join(", ")}`) : null;
const figure = (name, value, ...rest) => h("div", {}, h("span", { class: "muted small" }, name), h("strong", { class: "number" }, value), ...rest.flat());

// Write a chance in whole percent, but never as 0 or 100 %.
function chance(what, share, note = "") {
  if (share === null) return null;
  return h("p", { class: "small muted" }, `${what}: ${share < 0.01 ? "under 1\u00a0%" : share > 0.99 ? "over 99\u00a0%" : percent(share)}${note}`);
}

// Write the chance that a film is among the better rated half, from a classifier that uses only what is known before
// release.
function betterHalf({ high_rated_probability: chance, is_high_rated: is }) {
  if (chance === null) return null;
  const truth = is === null ? "." : is ? ". It is." : ". It is not.";
  return h("p", { class: "small muted" }, `${percent(chance)} chance of the better rated half, from what is known before release${truth}`);
}

function expectation(row, target, write, real) {
  const [predicted, lower, upper] = [row[`predicted_${target}`], row[`${target}_lower`], row[`${target}_upper`]];
  if (predicted === null) return h("p", { class: "small muted" }, "no expectation");
  const scale = target === "popularity" ? popularityScale([lower, upper, real]) : ratingScale;
  return [interval({ predicted, lower, upper, real, scale }), h("p", { class: "small muted" }, `expected for such a film: ${write(predicted)} (${write(lower)} – ${write(upper)})`)];
}

// List what moved an expectation most. The film's own page draws the sizes of these effects as bars.
function why({ explanations }, target) {
  const parts = explanations.find((row) => row.target === target && row.horizon_days === 0)?.parts.filter((part) => part.change);
  return parts?.length ? h("p", { class: "small muted" }, parts.map(({ label, change }) => `${label} ${change.replace(" ", "\u00a0")}`).join(", ")) : null;
}

function historyTable({ history, predictions }) {
  const rows = new Map();
  for (const snapshot of history) rows.set(snapshot.snapshot_date, { real: snapshot.popularity });
  for (const row of predictions) {
    const date = row.predicted_at.slice(0, 10);
    rows.set(date, { ...rows.get(date), predicted: `${popularity(row.predicted_popularity)} (${popularity(row.popularity_lower)} – ${popularity(row.popularity_upper)})` });
  }
  if (!rows.size) return null;
  const sorted = [...rows].sort(([a], [b]) => (a < b ? 1 : -1));
  return asTable("history", "The history as a table", ["Day", "Popularity", "Expected for such a film"], sorted.map(([date, row]) => [day(date), popularity(row.real), row.predicted ?? "–"]));
}

function drawHistory(chart, { movie, history, forecasts }) {
  const ahead = forecasts.length ? `, and its forecast up to ${day(forecasts.at(-1).target_date)}` : "";
  chart.setAttribute("aria-label", `Line chart of the popularity of ${movie.title} over ${history.length} days${ahead}. The tables below have the numbers.`);
  const make = (theme) => ({
    xaxis: { title: "", type: "date", tickformat: "%-d %b" },
    yaxis: { title: "Popularity", rangemode: "tozero" },
    traces: [
      ...fan(forecasts, theme),
      { name: "real", x: history.map((row) => row.snapshot_date), y: history.map((row) => row.popularity), mode: history.length === 1 ? "markers" : "lines", marker: { color: theme.real }, line: { color: theme.real, width: 2.5 } },
    ],
  });
  const tip = ({ data, pointIndex }) => data.name === "forecast"
    ? fanTip(forecasts, pointIndex)
    : data.name === "real" && [day(history[pointIndex].snapshot_date), `popularity ${popularity(history[pointIndex].popularity)}`];
  draw(chart, make, { tip }).catch((error) => chart.replaceWith(noneYet(error.message)));
}
