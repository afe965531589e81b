// The dashboard: reads every section's data, refreshes it, and says when it cannot.

import { get } from "./api.js";
import { showComparison } from "./comparison.js";
import { address, ago, byId, clock, count, day } from "./dom.js";
import { listenForFilms, refreshFilm } from "./film.js";
import { showComing, showMisjudged, showPopular } from "./films.js";
import { showForecastRecord, showMovers } from "./forecasts.js";
import { showModels, showOutcomes } from "./models.js";
import { showBreakouts } from "./movers.js";
import { listenForSearch } from "./search.js";

const POLL_MS = Number(document.body.dataset.pollMs);
const RETRY_MS = Math.min(POLL_MS, 5_000);
const LISTED = 6;
const MOST_COMING = 200; // the most that the API lists at once

const chosen = { span: "7", coming: "release_date", month: "any", misjudged: "vote_average", votes: "0", comparison: "vote_average", films: 12 };

const asked = new URLSearchParams(location.search);
if (/^[1-9]\d{0,2}$/.test(asked.get("films"))) chosen.films = Math.min(Number(asked.get("films")), MOST_COMING);

// Return the API's parameter for the chosen month of release; no parameter for "any".
function releaseMonth() {
  const [year, month] = [new Date().getUTCFullYear(), new Date().getUTCMonth()];
  const first = { this: Date.UTC(year, month), next: Date.UTC(year, month + 1) }[chosen.month];
  return first === undefined ? {} : { release_month: new Date(first).toISOString().slice(0, 7) };
}

const gap = () => (chosen.misjudged === "popularity" ? "popularity_gap" : "rating_gap");
const gaps = (direction) => get("/api/predictions", {
  order: gap(), direction, min_votes: chosen.votes, limit: LISTED,
});

// How each section reads its data and shows it. A section is shown again only if its data has changed.
const SECTIONS = {
  summary: { read: () => get("/api/summary"), show: (data) => { showState(data); showPopular(data); } },
  breakouts: { read: () => get("/api/movers", { span: chosen.span, limit: 10 }), show: showBreakouts },
  movers: {
    read: () => Promise.all(["rise", "fall"].map((order) => get("/api/forecasts", { horizon: 7, order, limit: LISTED }))),
    show: ([rise, fall]) => showMovers(rise, fall),
  },
  coming: {
    read: async () => ({ surprises: chosen.coming === "surprise_factor", ...await get("/api/predictions", { stage: "before_release", order: chosen.coming, direction: chosen.coming === "release_date" ? "asc" : "desc", ...releaseMonth(), limit: chosen.films }) }),
    show: (page) => showComing(page, chosen.films < MOST_COMING && showMore),
  },
  misjudged: {
    read: () => Promise.all([gaps("asc"), gaps("desc")]),
    show: ([lowest, highest]) => showMisjudged(chosen.misjudged, signed(lowest, -1), signed(highest, 1)),
  },
  comparison: { read: () => get("/api/comparison", { target: chosen.comparison, limit: 600 }), show: (data) => showComparison(data.target, data) },
  models: { read: () => get("/api/models"), show: showModels },
  outcomes: { read: () => get("/api/accuracy"), show: (data) => { showOutcomes(data); showForecastRecord(data); } },
};

// Keep only gaps of one sign. With few films, even the lowest gaps may be positive: such films are not under-valued.
function signed(page, sign) {
  return { ...page, predictions: page.predictions.filter((film) => film[gap()] * sign > 0) };
}

const shown = {};
let state = null;
let goodAt = null;
let timer = 0;

async function refresh(name) {
  const section = SECTIONS[name];
  const wanted = JSON.stringify(chosen);
  const data = await section.read();
  if (wanted !== JSON.stringify(chosen)) return; // another choice was made meanwhile, and makes its own request
  const text = JSON.stringify(data);
  if (shown[name] === text) return;
  shown[name] = text;
  section.show(data);
}

function showState(summary) {
  state = summary;
  byId("demo").hidden = summary.is_demo !== true;
  byId("empty").hidden = summary.movie_count > 0;
  byId("content").hidden = summary.movie_count === 0;
  byId("sections").hidden = summary.movie_count === 0;
  showFreshness();
}

function showFreshness() {
  if (!state) return;
  const parts = [];
  if (state.movie_count) parts.push(`${count(state.movie_count)} films`);
  if (state.snapshot_date) parts.push(`popularity of ${day(state.snapshot_date)}`);
  if (state.predicted_at) parts.push(`expectations of ${ago(state.predicted_at)}`);
  byId("freshness").textContent = parts.join(" · ") || "No data yet";
}

function showTrouble(reason) {
  const trouble = byId("trouble");
  byId("dot").className = reason ? "dot down" : "dot live";
  if (!reason) {
    trouble.hidden = true;
    return;
  }
  const since = goodAt ? `What you see is from ${clock(goodAt)}. ` : "";
  const text = `No new data: ${reason}. ${since}Trying again every ${Math.round(RETRY_MS / 1000)} seconds.`;
  if (trouble.textContent !== text) trouble.textContent = text;
  trouble.hidden = false;
}

async function tick() {
  clearTimeout(timer);
  const results = await Promise.allSettled([...Object.keys(SECTIONS).map(refresh), refreshFilm()]);
  const failed = results.find((result) => result.status === "rejected");
  if (failed && !("status" in failed.reason)) console.error(failed.reason);
  if (!failed) goodAt = Date.now();
  showTrouble(failed ? failed.reason.message : null);
  showFreshness();
  timer = setTimeout(tick, failed ? RETRY_MS : POLL_MS);
}

const showMore = () => choose("films", Math.min(2 * chosen.films, MOST_COMING), ["coming"]);

// Set up a row of buttons whose choice is kept in the page's address.
function offer(id, name, sections) {
  const buttons = [...byId(id).querySelectorAll("button")];
  const showChosen = () => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.value === chosen[name])));
  if (buttons.some((button) => button.dataset.value === asked.get(name))) chosen[name] = asked.get(name);
  showChosen();
  for (const button of buttons) button.addEventListener("click", () => { choose(name, button.dataset.value, sections); showChosen(); });
}

function choose(name, value, sections) {
  chosen[name] = value;
  history.replaceState(history.state, "", address({ [name]: value }, sections[0]));
  Promise.all(sections.map(refresh)).catch((error) => showTrouble(error.message));
}

offer("breakouts-span", "span", ["breakouts"]);
offer("coming-month", "month", ["coming"]);
offer("coming-order", "coming", ["coming"]);
offer("misjudged-target", "misjudged", ["misjudged"]);
offer("misjudged-votes", "votes", ["misjudged"]);
offer("comparison-target", "comparison", ["comparison"]);
listenForFilms();
listenForSearch();
document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
await tick();
if (location.hash) byId(location.hash.slice(1))?.scrollIntoView(); // before this, the sections above it had no height
