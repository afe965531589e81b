"""Titles, plots, names and keywords that nobody could take for those of real films and people.

The words that they are made of are in `vocabulary.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

_WORDS: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))

ADJECTIVES, THINGS, MONSTERS, PLACES = (_WORDS[kind] for kind in ("adjectives", "things", "monsters", "places"))
TAGLINES, KEYWORDS = _WORDS["taglines"], _WORDS["keywords"]

ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


_TITLES: tuple[Callable[[Random], str], ...] = (
    lambda rng: f"The {rng.choice(ADJECTIVES)} {rng.choice(THINGS)} of {rng.choice(PLACES)}",
    lambda rng: f"Night of the {rng.choice(ADJECTIVES)} {rng.choice(MONSTERS)}",
    lambda rng: f"Attack of the {rng.choice(ADJECTIVES)} {_plural(rng.choice(THINGS))}",
    lambda rng: f"The {rng.choice(ADJECTIVES)} {rng.choice(MONSTERS)} Who {rng.choice(_WORDS['habits'])}",
    lambda rng: f"{rng.choice(PLACES)}: Population {rng.randint(-3, 13)}, {rng.choice(MONSTERS)} Included",
    lambda rng: f"I Married {_with_article(rng.choice(ADJECTIVES))} {rng.choice(MONSTERS)}",
    lambda rng: f"Do Not Open the {rng.choice(ADJECTIVES)} {rng.choice(THINGS)}",
    lambda rng: f"{rng.choice(MONSTERS)} vs. {rng.choice(ADJECTIVES)} {rng.choice(THINGS)}",
    lambda rng: f"They Came for Our {rng.choice(ADJECTIVES)} {_plural(rng.choice(THINGS))}",
    lambda rng: f"{', '.join(rng.sample(ADJECTIVES, 2))} and Out for {_plural(rng.choice(THINGS))}",
    lambda rng: f"My {rng.choice(ADJECTIVES)} {rng.choice(THINGS)} Is {_with_article(rng.choice(MONSTERS))}",
    lambda rng: f"{rng.randint(2, 99)} Ways to Bury {_with_article(rng.choice(ADJECTIVES))} {rng.choice(THINGS)}",
)


def title(rng: Random) -> str:
    """Return an English title."""
    return rng.choice(_TITLES)(rng)


def series_title(rng: Random) -> str:
    """Return the name of a series, which is the title of its first film."""
    return f"The {rng.choice(ADJECTIVES)} {rng.choice(THINGS if rng.random() < 0.6 else MONSTERS)}"


def sequel_title(rng: Random, series: str, number: int) -> str:
    """Return the title of a film in a series, with its number in one of the usual styles of sequels."""
    if number == 1:
        return series
    roman = ROMAN[min(number, len(ROMAN) - 1)]
    endings = (f" {number}", f" {roman}", f" {number}: {rng.choice(_WORDS['subtitles'])}", f": Part {number}")
    return series + rng.choice(endings)


def original_title(rng: Random, language: str, english: str) -> str:
    """Return the title in the film's language, or the English title if the demo has no words of that language."""
    words = _WORDS["foreign_titles"].get(language)
    return words["pattern"].format(rng.choice(words["first"]), rng.choice(words["second"])) if words else english


def plot(rng: Random) -> str:
    """Return a plot of one sentence."""
    monster = f"{_with_article(rng.choice(ADJECTIVES))} {rng.choice(MONSTERS)}".lower()
    thing = f"{_with_article(rng.choice(ADJECTIVES))} {rng.choice(THINGS)}".lower()
    return f"In {rng.choice(PLACES)}, {monster} inherits {thing}, and {rng.choice(_WORDS['consequences'])}."


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'AEIOU' else 'a'} {word}"


def _plural(thing: str) -> str:
    return f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"


def person_name(rng: Random) -> str:
    """Return a first and a last name, some with an initial."""
    initial = f" {rng.choice('BCDFGKLMPTWZ')}." if rng.random() < 0.3 else ""
    return f"{rng.choice(_WORDS['first_names'])}{initial} {rng.choice(_WORDS['last_names']).replace('von-', 'von ')}"
