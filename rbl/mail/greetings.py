"""Who is greeted in a text, in the languages that spam is written in: "Dear Mr John Doe," or "Hallo Anna".

What stands behind a greeting up to the comma is taken for a name whatever it is, unless every word is one
of those by which nobody in particular is meant. No library tells names from other words in so many
languages (decision 0023). Pure; logs nothing.
"""

import re
from collections.abc import Iterator

_GREETINGS = """
    dear hi hello hey greetings good\\s+(?:morning|afternoon|evening|day) attn:? attention:?
    hallo liebe[rs]? lieber sehr\\s+geehrte[rs]? geehrte[rs]? guten\\s+(?:tag|morgen|abend) servus moin
    bonjour bonsoir ch[eè]re?s? salut  estimad[oa]s? querid[oa]s? hola
    buen[oa]s\\s+(?:d[ií]as|tardes|noches)
    car[oaie] gentile gentilissim[oa] egregio ciao buongiorno salve  prezad[oa]s? car[oa] ol[aá]
    bom\\s+dia
    beste geachte hoi dag  hej k[aæ]re hei hyv[aä] b[aä]sta  szanown[yaie] drog[ia] witaj cze[sś][cć]
    dobr[yý]\\s+den ahoj v[aá][zž]en[yýaá]  kedves tisztelt  dragă? stimate? bun[aă]  say[ıi]n merhaba
    selam
    yth\\.? halo selamat\\s+(?:pagi|siang|sore)  уважаем(?:ый|ая|ые) здравствуйте привет дорог(?:ой|ая)
    шановн(?:ий|а)
    αγαπητ(?:έ|ή) γεια\\s+σου  شقيقي عزيز(?:ي|تي) مرحبا  שלום
"""
_OPENING = "|".join(_GREETINGS.split())
_GREETED = re.compile(
    rf"(?<![^\W_])(?:{_OPENING})(,?)(?:<[^<>]{{0,80}}+>|[ \t\xa0*_]){{1,6}}+"
    r"([^\n,;:!?<>\u3001\uff0c\uff1a\uff01]{1,60}+)([^\w ]|\Z)",
    re.IGNORECASE,
)
# No spaces between words: before the name, or behind it.
_EASTERN = re.compile(
    r"(?:尊敬的|亲爱的|親愛的|您好)([\u3040-\u30ff\u3400-\u9fff]{1,4})"
    r"|([\u3040-\u30ff\u3400-\u9fff]{1,4})(?=様|さん|先生|女士|小姐)|([\uac00-\ud7a3]{2,4})(?=\s?(?:님|씨))"
)
# A text has few greetings; one made of them has no more names.
_MAX_GREETINGS = 40
_LONGEST_GREETED = 5  # words

# Nobody in particular: titles, forms of address, roles (RFC 2142), and what stands in their place.
COMMON = frozenset(
    """
    mr mrs ms miss mister sir madam mme mlle monsieur madame messieurs mesdames dr prof professor doctor
    herr frau herrn damen herren señor señora señores sr sra don doña signor signora signore dott
    senhor senhora
    heer mevrouw meneer herra rouva pan pani pane panie paní bay bayan hanım господин госпожа bapak ibu
    friend friends customer customers client clients user users member members subscriber subscribers
    winner winners
    beneficiary lottery owner holder account webmail email mail e-mail valued all everyone everybody
    there team
    colleague colleagues partner partners recipient recipients undisclosed subscriber homeowner
    kunde kunden kundin freund freunde mitglied nutzer damen herren zusammen alle
    client cliente clientes clienti ami amis amigo amiga amigos amici usuario usuarios utilisateur
    klant klanten vrienden kunder kund klient klienci kliencie klientka uživateli müşterimiz клиент
    клиенты друг
    пользователь коллеги pelanggan and or und oder et ou y o e en och og i a the of our your van der
    den de la le von
    info sales admin administrator office contact support service help abuse postmaster webmaster
    hostmaster
    security noc billing accounts marketing root mailer-daemon nobody noreply no reply www ftp list
    lists news
    list-owner cut redacted you me my this is
    """.split()  # noqa: SIM905 -- a table of words is read as one
)


def greeted(text: str) -> Iterator[tuple[int, int]]:
    """Yield where in *text* somebody is greeted: the name's beginning and end."""
    for count, found in enumerate(_GREETED.finditer(text)):
        if count == _MAX_GREETINGS:
            break
        name = found[2].rstrip(" .-\u2013\u2014*_")
        words = _named(name, closed=found[3] not in (".", "") and not found[1])
        if found[1] and words != name.split(" "):  # "Hello, we sell"
            continue
        if words and not all(word.strip(".()&/").casefold() in COMMON for word in words):
            yield found.start(2), found.start(2) + len(" ".join(words))
    for count, found in enumerate(_EASTERN.finditer(text)):
        if count == _MAX_GREETINGS:
            break
        yield found.span(found.lastindex or 0)


def _named(name: str, *, closed: bool) -> list[str]:
    """Return the words that name somebody: up to the comma, or those with a capital letter."""
    words = name.split(" ")
    if closed and len(words) <= _LONGEST_GREETED:
        return words
    end = 0
    for word in words[:_LONGEST_GREETED]:
        known = word.strip(".").casefold() in COMMON
        if word and not known and word[:1] == word[:1].lower() and word[:1].lower() != word[:1].upper():
            break
        end += 1
    return words[:end]
