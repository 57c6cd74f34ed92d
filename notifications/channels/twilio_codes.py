"""Twilio's error codes that we know, whose fault each is, and what it means in words for an operator."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Fault(Enum):
    """Whose fault a refusal or a failure is."""

    NUMBER = auto()  #: The number cannot be texted, now or ever.
    STOPPED = auto()  #: Its owner answered STOP.
    OURS = auto()  #: Login, sender, account: every text would fail, no recipient is to blame.
    LATER = auto()  #: Too many at once.
    MESSAGE = auto()  #: This text failed; another one may arrive.


class Meaning(NamedTuple):
    fault: Fault
    words: str


_NUMBER, _OURS, _LATER, _MESSAGE = Fault.NUMBER, Fault.OURS, Fault.LATER, Fault.MESSAGE

CODES: dict[int, Meaning] = {
    # When a text is handed over.
    14107: Meaning(_LATER, "Too many texts at once"),
    20003: Meaning(_OURS, "Twilio refuses our login (TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN)"),
    20404: Meaning(_OURS, "Twilio does not know our account (TWILIO_ACCOUNT_SID)"),
    20429: Meaning(_LATER, "Too many requests at once"),
    21211: Meaning(_NUMBER, "There is no such number"),
    21212: Meaning(_OURS, "Our sender is not a number (TWILIO_SMS_FROM)"),
    21214: Meaning(_NUMBER, "The number cannot be reached"),
    21217: Meaning(_NUMBER, "There is no such number"),
    21219: Meaning(_MESSAGE, "A trial account texts verified numbers only"),
    21266: Meaning(_NUMBER, "It is our own number"),
    21408: Meaning(_MESSAGE, "Our Twilio account may not text this country"),
    21603: Meaning(_OURS, "A sender is missing (TWILIO_SMS_FROM)"),
    21606: Meaning(_OURS, "Our sender cannot text, or is not ours (TWILIO_SMS_FROM)"),
    21609: Meaning(_OURS, "Twilio cannot call back: SITE_URL is not a public address"),
    21610: Meaning(Fault.STOPPED, "They answered STOP"),
    21611: Meaning(_LATER, "Twilio's queue for our sender is full"),
    21612: Meaning(_MESSAGE, "Our sender has no route to this number"),
    21614: Meaning(_NUMBER, "It is not a mobile number"),
    21617: Meaning(_MESSAGE, "The text is too long"),
    21656: Meaning(_OURS, "The WhatsApp template does not take our words (TWILIO_WHATSAPP_TEMPLATE)"),
    21659: Meaning(_OURS, "Our sender is not a Twilio number (TWILIO_SMS_FROM)"),
    21703: Meaning(_OURS, "The messaging service has no sender (TWILIO_SMS_FROM)"),
    21705: Meaning(_OURS, "There is no such messaging service (TWILIO_SMS_FROM)"),
    63007: Meaning(_OURS, "Our WhatsApp sender is not known (TWILIO_WHATSAPP_FROM)"),
    # On the way to the phone, told by status callbacks.
    30001: Meaning(_MESSAGE, "It waited at Twilio for too long"),
    30002: Meaning(_OURS, "Our Twilio account is suspended"),
    30003: Meaning(_MESSAGE, "The phone is off or out of reach"),
    30004: Meaning(_MESSAGE, "The carrier or the phone blocks our texts"),
    30005: Meaning(_NUMBER, "The carrier does not know the number"),
    30006: Meaning(_NUMBER, "A landline, or a carrier that cannot be reached"),
    30007: Meaning(_MESSAGE, "The carrier took it for spam"),
    30008: Meaning(_MESSAGE, "The carrier does not say why"),
    30023: Meaning(_MESSAGE, "Our daily share at the carrier is used up"),
    30034: Meaning(_OURS, "Our number is not registered with US carriers (A2P 10DLC)"),
    30036: Meaning(_MESSAGE, "It was not sent in time, then it was too old"),
    30410: Meaning(_MESSAGE, "The carrier did not answer"),
    30453: Meaning(_MESSAGE, "The text was held back as possible fraud"),
    63003: Meaning(_NUMBER, "The number is not on WhatsApp"),
    63016: Meaning(_MESSAGE, "Outside of 24 hours WhatsApp wants a template (TWILIO_WHATSAPP_TEMPLATE)"),
    63018: Meaning(_LATER, "Too many WhatsApp messages at once"),
    63024: Meaning(_NUMBER, "The number cannot be reached by WhatsApp"),
    63049: Meaning(_MESSAGE, "WhatsApp chose not to deliver it"),
}


def meaning(code: int) -> Meaning:
    """What a code means; one that we do not know says nothing about the number."""
    return CODES.get(code, Meaning(Fault.MESSAGE, "Twilio failed it"))


def said(code: int, words: str = "") -> str:
    """A reason for people that begins with the code: ``21211 There is no such number.``"""
    return f"{code} {words or meaning(code).words}."
