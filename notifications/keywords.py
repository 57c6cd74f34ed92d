"""What people text back: STOP, START, HELP in their common spellings, or anything else (S19).

A message counts as a word when nothing else is in it: case, accents, spaces, punctuation and
pictures make no difference ("S.T.O.P!", "Opt out", "arrêt 🙏"). "Stop" may be followed by a few
words, because people are polite; "cancel" and "end" may not, they begin too many other sentences.
"""

from __future__ import annotations

import unicodedata
from enum import Enum

#: Beyond these many words a text that begins with "stop" is a sentence for a person to read.
FEW = 4


class Word(Enum):
    """What a text asks for; ``LEAVING`` only sounds like it and is for a person to read."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    LEAVING = "leaving?"
    OTHER = "text"


#: The list of the FCC (in force since 2025-04-11), Twilio's, and the same in the languages of our readers.
_STOP = """
    stop, stop all, quit, end, revoke, opt out, cancel, unsubscribe, remove me
    arret, arreter, arretez, desabonner, desinscrire, desinscription
    stopp, stoppen, abmelden, abbestellen, ende
    alto, parar, baja, cancelar, darse de baja, pare, sair
    basta, annulla, cancella, afmelden, stoppe, avsluta, avslutt, avmeld, afmeld
    lopeta, koniec, wypisz, konec, odhlasit, iptal
    стоп, стій, отписка, отписаться, відписка
    停止, 退订, 退訂, 取消, 停, 解除, 配信停止, 중지, 수신거부
"""
_START = "start, yes, unstop, start all, opt in, resubscribe, subscribe, restart"
_HELP = """
    help, info, aide, hilfe, ayuda, ajuda, aiuto, hulp, hjälp, hjelp, hjælp, apua, pomoc, yardım, yardim
    помощь, допомога, 帮助, 幫助, ヘルプ, 도움말
"""
_SOUNDS_LIKE_LEAVING = (
    "stop", "unsubscribe", "optout", "remove", "revoke", "wrongnumber", "arret", "abmelden",
    "donttext", "donottext", "dontcontact", "donotcontact",
)  # fmt: skip


def meaning(text: str) -> Word:
    """What a text from a phone asks for."""
    words = [squeezed for word in text.split() if (squeezed := _squeezed(word))]
    whole = "".join(words)
    if whole in _STOPS or (words and words[0] in _POLITE and len(words) <= FEW):
        return Word.STOP
    if whole in _STARTS:
        return Word.START
    if whole in _HELPS or text.strip() in ("?", "？"):
        return Word.HELP
    return Word.LEAVING if any(sound in whole for sound in _SOUNDS_LIKE_LEAVING) else Word.OTHER


def _squeezed(text: str) -> str:
    """Letters and digits only, without accents and case; vowel signs that are no accents stay."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in folded if character.isalnum() or _is_vowel(character))


def _is_vowel(character: str) -> bool:
    if "\ufe00" <= character <= "\ufe0f":
        return False  # asks for the colourful picture of the character before
    return unicodedata.category(character) in ("Mn", "Mc") and not unicodedata.combining(character)


def _listed(words: str) -> frozenset[str]:
    return frozenset(_squeezed(word) for line in words.splitlines() for word in line.split(",") if word.strip())


_STOPS, _STARTS, _HELPS = _listed(_STOP), _listed(_START), _listed(_HELP)
#: They mean it, whatever follows.
_POLITE = _listed("stop, stopall, unsubscribe, optout, stopp, arret, alto, abmelden")
