// Movers: how popularity changed, and which rises are unusual for such a film.

import { byId, count, day, days, filmLink, filmYear, h, noneYet, popularity, show } from "./dom.js";
import { popularityScale, steps } from "./marks.js";

// Write a share in percent, rounded down so that 100 % means all: 0.99996 is 99.99 %.
const shareOf = (percentile) => `${Math.floor(percentile * 10_000) / 100}\u00a0%`;

export function showBreakouts(page) {
  byId("breakouts-when").textContent = page.snapshot_date ? `Up to ${day(page.snapshot_date)}.` : "";
  const scale = popularityScale(page.movers.flatMap((film) => [film.popularity_before, film.popularity, film.popularity_usual]));
  const items = page.movers.map((film) =>
    h("li", {},
      h("div", { class: "top" },
        h("div", {}, filmLink(film, "breakouts"), " ", h("span", { class: "muted small" }, filmYear(film)), film.is_breakout && h("span", { class: "badge" }, "breakout")),
        h("span", { class: "number" }, h("span", { class: "muted small" }, "unusual "), shareOf(film.breakout_score))),
      steps({ before: film.popularity_before, usual: film.popularity_usual, now: film.popularity, scale }),
      h("p", { class: "small muted" }, howUnusual(film))));
  show(byId("breakouts-body"), items.length ? h("ul", { class: "gaps" }, items)
    : noneYet("No film has risen into the top tenth as it never did before, or history is too young to say."));
}

export function howUnusual(film) {
  const { change_percentile: percentile, breakout_score: score } = film;
  const crowd = score !== null && shareOf(score) !== shareOf(percentile) ? `; unusual ${shareOf(score)}, because more of them than usual rose that day` : "";
  return [
    "From ", h("strong", { class: "number" }, popularity(film.popularity_before)), " to ", h("strong", { class: "number" }, popularity(film.popularity)), ` in ${days(film.span_days)}; `,
    `such films went to ${popularity(film.popularity_usual)}. Rank ${count(film.popularity_rank_before)} → ${count(film.popularity_rank)}. `,
    percentile === null ? "There is too little history to say how usual that is."
      : percentile >= 0.5 ? `Larger than ${shareOf(percentile)} of the changes of such films${crowd}.` : `Smaller than ${shareOf(1 - percentile)} of the changes of such films.`,
  ];
}
