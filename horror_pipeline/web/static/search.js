// Searches by title in a combobox that follows the ARIA pattern and shows results while the user types.

import { get } from "./api.js";
import { byId, filmYear, h, rating } from "./dom.js";
import { openFilm } from "./film.js";

const WAIT_MS = 160;
let films = [];
let active = -1;
let timer = 0;
let asked = 0;

function close() {
  byId("results").hidden = true;
  byId("query").setAttribute("aria-expanded", "false");
  byId("query").removeAttribute("aria-activedescendant");
  active = -1;
}

function choose(film) {
  close();
  byId("query").value = "";
  openFilm(film.tmdb_id);
}

function activate(index) {
  const options = [...byId("results").querySelectorAll("[role=option]")];
  active = options.length ? (index + options.length) % options.length : -1;
  options.forEach((option, position) => option.setAttribute("aria-selected", String(position === active)));
  if (active >= 0) {
    byId("query").setAttribute("aria-activedescendant", options[active].id);
    options[active].scrollIntoView({ block: "nearest" });
  }
}

function showResults(message = null) {
  const list = byId("results");
  list.replaceChildren(...films.map((film, index) =>
    h("li", { role: "option", id: `result-${index}`, "aria-selected": "false", onclick: () => choose(film) },
      h("span", {}, film.title), h("span", { class: "muted small number" }, [filmYear(film), film.vote_average !== null && `★ ${rating(film.vote_average)}`].filter(Boolean).join(" · ")))));
  if (!films.length) list.append(h("li", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, message ?? "No film has such a title."));
  byId("results-status").textContent = message ?? (films.length ? `${films.length} films found` : "No film found");
  list.hidden = false;
  byId("query").setAttribute("aria-expanded", "true");
  active = -1;
}

async function search() {
  const query = byId("query").value.trim();
  const mine = ++asked;
  if (!query) return close();
  try {
    const found = await get("/api/movies", { query, limit: 10 });
    if (mine !== asked) return;
    films = found.movies;
    showResults();
  } catch (error) {
    if (mine !== asked) return;
    films = [];
    showResults(`Search does not work now: ${error.message}.`);
  }
}

export function listenForSearch() {
  const input = byId("query");
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, WAIT_MS); });
  input.addEventListener("keydown", (event) => {
    const open = !byId("results").hidden;
    if (event.key === "ArrowDown" && open) activate(active + 1);
    else if (event.key === "ArrowUp" && open) activate(active - 1);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    if (films.length && !byId("results").hidden) choose(films[Math.max(0, active)]);
    else search();
  });
  document.addEventListener("click", (event) => { if (!event.target.closest("#search")) close(); });
  byId("search").addEventListener("focusout", (event) => { if (event.relatedTarget && !byId("search").contains(event.relatedTarget)) close(); });
}
