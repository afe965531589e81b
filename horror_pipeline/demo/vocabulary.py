"""Titles, plots, taglines, names and keywords that nobody could take for those of real films and people."""

from __future__ import annotations

from collections.abc import Callable
from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))


ADJECTIVES = _words("""
    Damp Lukewarm Passive-Aggressive Unreasonable Overdue Mildly-Haunted Suspiciously-Tidy Tax-Deductible Moist
    Beige Apologetic Over-Buttered Poorly-Filed Second-Hand Flat-Packed Gluten-Free Unlicensed Semi-Detached
    Reheated Misprinted Laminated Refurbished Crumbly Nasal Vacuum-Sealed Left-Handed Underpaid Inflatable Tartan
    Punctual Non-Refundable Wobbly Velcro Discontinued Alphabetized Decaffeinated Waterlogged Corduroy Hypothetical
    Upholstered
""")
THINGS = _words("""
    Photocopier Ottoman Casserole Lawnmower Spreadsheet Accordion Dishwasher Stapler Wheelbarrow Teapot Beanbag
    Trombone Doormat Hatstand Blancmange Cardigan Fondue Gazebo Clipboard Vestibule Toaster Doily Turnip Hammock
    Thermostat Kazoo Bathmat Lampshade Marzipan Pogo-Stick Pudding Sideboard Trampoline Calendar Tupperware Wardrobe
    Xylophone Zip-Fastener Cheeseboard Armchair
""")
MONSTERS = _words("""
    Scarecrow Librarian Mummy Accountant Werewolf Dentist Poltergeist Vicar Swamp-Plumber Vampire Estate-Agent
    Zombie Headmistress Gargoyle Ventriloquist Yeti Caretaker Banshee Traffic-Warden Ghoul Chiropractor Kraken
    Bellringer Golem Auditor Phantom Beekeeper Mothman Notary Skeleton
""")
PLACES = _phrases("""
    Lower Snoring | Gristle-on-Sea | Upper Dribble | Moist Hollow | Crumpet Moor | Nether Wobbling | Mildew Falls |
    Little Dreading | Soggy Bottom Creek | Port Lumpy | Grimbleford | Mount Spatula | Ashtray Heights | Drizzleton |
    East Phlegm | Bleak Pantry | Custard Bay | Saint Gusset | Dank Junction | Ploverham-under-Lard | Fort Biscuit |
    Old Napkin | Wheezing Pines | Turnip Lake | Great Muttering | Lake Gravy | Hobnail Point | Clammy Glen |
    North Fidget | Sporkville
""")
HABITS = _phrases("""
    Never Returned the Trolley | Read Everyone's Post | Hummed in the Lift | Ate the Minutes | Alphabetized the Dead |
    Only Came Out on Tuesdays | Replied to All | Borrowed the Ladder | Left the Gate Open | Kept the Receipt |
    Whispered in Decimals | Would Not Leave the Buffet
""")
CONSEQUENCES = _phrases("""
    nobody will admit who ordered it | the parish council must meet at midnight | the warranty expires in blood |
    breakfast will never be the same | the queue only ever gets longer | someone has been feeding it biscuits |
    the village fête has to be moved indoors | every receipt now lists a soul |
    the lift stops at a floor that is not there | the neighbors start to rhyme | it wants the good cutlery |
    the last bus has already left
""")
TAGLINES = _phrases("""
    It was only resting. | Please wait for the beep. | Terms and conditions apply. Forever. | Some stains remember. |
    This time it has brought a chair. | Mind the gap. It minds you. | You should have read the label. |
    The jumble sale is over. | Every drawer has a bottom. | Do not adjust your cardigan. |
    Batteries not included. Souls are.
""")
SUBTITLES = _phrases("""
    The Refund | Second Helping | The Reupholstering | Now With Gravy | The Annual Review | Back in the Drawer |
    The Small Print | Beyond the Warranty | The Musical Chairs | Rise of the Lids
""")
FIRST_NAMES = _words("""
    Agatha Barnaby Clotilde Dorkas Ebenezer Fenella Gusto Hortensia Ignatz Jemima Kasimir Lavinia Mortimer Nettie
    Osbert Prunella Quimby Rosalba Septimus Thessaly Ulrika Vaclav Winifred Xanthe Yorick Zelda Bartholomew Cosima
    Dagobert Esmé
""")
LAST_NAMES = _words("""
    Crumblethorpe Mouldwarp Spatchcock Gloomwater Puddlefoot von-Schnurr Bogsworth Quiverly Thistledown-Gore
    Ravioletti Wormsley Hackensaw Dribblesby Lumpkinov Nightshade-Potts Grimaldine Scuttle Batterby Fogwhistle
    Ickworthy Jelliby Kettledrum Lanternjaw Moonpenny Noxworth Oozely Plinth Ratchetson Snodgrasse Twitchell
    Underhay Vexley Wobblestone Yawnington Zuckerbrot Clankforth Deadpan Eeriksen Fishgrave Gutterball
""")
KEYWORDS = _phrases("""
    zombie | slasher | found footage | haunted house | vampire | demon | serial killer | possession | witch | cult |
    gore | ghost | folk horror | body horror | monster | werewolf | creature feature | small town | cursed object |
    remake | horror comedy | survival | isolation | nightmare | seance | doll | clown | cannibal | parallel world |
    kitchen appliance
""")

FOREIGN_TITLES = {
    "es": (
        "{0} de {1}",
        _phrases("La tostadora | El paraguas | La fotocopiadora | El sofá"),
        _phrases("los lunes | la abuela | nadie | la lluvia tibia"),
    ),
    "fr": (
        "{0} de {1}",
        _phrases("La Nuit | Le Tabouret | Le Fromage | L'Armoire"),
        _phrases("Monsieur Personne | la Cantine Maudite | l'Imprimante | la Moutarde"),
    ),
    "ja": ("{1}の{0}", _words("コピー機 座布団 炊飯器 傘立て"), _words("呪い 湿った町 誰か 月曜日")),
    "ko": ("{1} {0}", _words("복사기 방석 우산꽂이 냄비"), _words("저주받은 축축한 월요일의 수상한")),
    "de": (
        "{0} von {1}",
        _phrases("Der Hocker | Das Formular | Die Butterdose | Der Kopierer"),
        _phrases("nebenan | Bad Muffelheim | gestern | Frau Niemand"),
    ),
    "it": (
        "{0} di {1}",
        _phrases("Il tostapane | La poltrona | L'ombrello | La fotocopia"),
        _phrases("nessuno | zia Muffa | mezzanotte e un quarto | Borgo Umido"),
    ),
    "pt": (
        "{0} de {1}",
        _phrases("A Torradeira | O Guarda-Chuva | O Sofá | A Gaveta"),
        _phrases("Ninguém | Segunda-Feira | Vila Úmida | Tia Mofo"),
    ),
    "hi": ("{1} {0}", _words("टोस्टर छाता अलमारी कुर्सी"), _words("शापित गीला गुमनाम पुराना")),
}
"""Original titles by language: a pattern, and the words for its two places."""

ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


_TITLES: tuple[Callable[[Random], str], ...] = (
    lambda rng: f"The {rng.choice(ADJECTIVES)} {rng.choice(THINGS)} of {rng.choice(PLACES)}",
    lambda rng: f"Night of the {rng.choice(ADJECTIVES)} {rng.choice(MONSTERS)}",
    lambda rng: f"Attack of the {rng.choice(ADJECTIVES)} {_plural(rng.choice(THINGS))}",
    lambda rng: f"The {rng.choice(ADJECTIVES)} {rng.choice(MONSTERS)} Who {rng.choice(HABITS)}",
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
    """Return the title of a film of a series, numbered in one of the ways sequels are."""
    if number == 1:
        return series
    roman = ROMAN[min(number, len(ROMAN) - 1)]
    endings = (f" {number}", f" {roman}", f" {number}: {rng.choice(SUBTITLES)}", f": Part {number}")
    return series + rng.choice(endings)


def original_title(rng: Random, language: str, english: str) -> str:
    """Return the title in the film's language, or the English title where the demo has no words of that language."""
    if language not in FOREIGN_TITLES:
        return english
    pattern, first, second = FOREIGN_TITLES[language]
    return pattern.format(rng.choice(first), rng.choice(second))


def plot(rng: Random) -> str:
    """Return a plot of one sentence."""
    monster = f"{_with_article(rng.choice(ADJECTIVES))} {rng.choice(MONSTERS)}".lower()
    thing = f"{_with_article(rng.choice(ADJECTIVES))} {rng.choice(THINGS)}".lower()
    return f"In {rng.choice(PLACES)}, {monster} inherits {thing}, and {rng.choice(CONSEQUENCES)}."


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'AEIOU' else 'a'} {word}"


def _plural(thing: str) -> str:
    return f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"


def person_name(rng: Random) -> str:
    """Return a first and a last name, some with an initial."""
    initial = f" {rng.choice('BCDFGKLMPTWZ')}." if rng.random() < 0.3 else ""
    return f"{rng.choice(FIRST_NAMES)}{initial} {rng.choice(LAST_NAMES).replace('von-', 'von ')}"
