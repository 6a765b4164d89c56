"""Every problem that the API tells of: its code, what it is called, and what to do about it.

The one table from which problem documents (RFC 9457) take their titles and ``/problems/{code}`` its
text. A code is stable: clients compare it. Codes are given where the error is raised, and a test
holds this table against them.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Code(NamedTuple):
    """What the problem is called, the same for each occurrence (RFC 9457 §3.1.3), and what to do."""

    title: str
    advice: str


CODES: Mapping[str, Code] = {
    # the request itself
    "error": Code("The request was not accepted", "Read the detail: it says what was wrong with what."),
    "invalid": Code(
        "A field is missing or wrong",
        "Correct the fields named under errors; the OpenAPI document has each.",
    ),
    "bad-json": Code(
        "The body is not JSON", "Send valid JSON in UTF-8, with Content-Type application/json."
    ),
    "bad-request": Code("The request cannot be read", "Send a well-formed HTTP request."),
    "unsupported-media-type": Code(
        "The body has a type that is not taken here",
        "Nominate with Content-Type message/rfc822 (the raw message) or application/json.",
    ),
    "too-large": Code(
        "What was sent is too large",
        "Send the whole header of the spam and the beginning of its body; the detail names the limit.",
    ),
    "head-too-large": Code(
        "The head of the request is too large", "Send fewer and shorter fields; the detail names the limit."
    ),
    "too-slow": Code("The request took too long", "Send it again, at once and whole."),
    "no-place": Code("All connections are taken", "Try again in a minute."),
    "no-such-page": Code(
        "There is nothing at this address", "Look at the OpenAPI document for what there is."
    ),
    "method-not-allowed": Code(
        "This cannot be done with that method", "Use one of the methods in the Allow header."
    ),
    "bad-address": Code(
        "This is no IP address", "Write it as 192.0.2.1 or 2001:db8::1: no port, brackets or scope id."
    ),
    "bad-network": Code(
        "This is no network", "Write it as 192.0.2.0/24, with no bits set to the right of the prefix."
    ),
    "serial-to-come": Code(
        "The journal has not come to this serial yet",
        "Take the serial that /readyz tells as the newest, or leave it out for the last one.",
    ),
    "bad-name": Code("The name cannot be used", "Choose a name as the detail says."),
    # keys and roles
    "no-key": Code(
        "An API key is needed", "Send it as: Authorization: Bearer rbl_…; the operator gives keys out."
    ),
    "bad-key": Code(
        "The API key is not taken",
        "Check it for missing characters; if it has expired or was replaced, ask for a new one.",
    ),
    "role": Code("The API key may not do this", "Use a key with the role that the detail names."),
    "name-taken": Code("There is a key of this name", "Choose another name."),
    "key-over": Code(
        "The key was revoked or has expired", "Make another key, or give the expired one a new expiry."
    ),
    "bad-overlap": Code("The overlap is too long", "Let the old key hold for 30 days at most."),
    "no-such-key": Code(
        "There is no such key", "GET /v1/keys lists API keys, GET /v1/customers those of customers."
    ),
    "last-admin": Code("The last admin key cannot be revoked", "Make another admin key first."),
    # evidence: does the message prove an address?
    "empty": Code("The message is empty", "Send the whole source of the spam: header and body."),
    "no-received": Code(
        "No Received field of your own mail server",
        "Send the message as your mail server stored it, with all header fields (“show original”).",
    ),
    "too-many-received": Code(
        "Too many Received fields", "A message that went through so many hops is no evidence: send another."
    ),
    "header-too-long": Code("A header field is too long to be real", "Send another message as evidence."),
    "not-your-mx": Code(
        "The topmost Received field is not of your servers",
        "Send what your own MX received, or have the name of that server added to your key.",
    ),
    "no-peer-address": Code(
        "Your server did not write the sender's address",
        "Let your mail server write the address of the client in square brackets, as nearly all do.",
    ),
    "ambiguous-hop": Code(
        "The Received field can be read in two ways", "Send another message: this one proves no address."
    ),
    "ambiguous-wrapping": Code(
        "It is not clear which of two messages is the spam", "Send the one you mean alone, as source."
    ),
    "from-inside": Code(
        "The message did not come from outside", "Send spam that another network handed to your MX."
    ),
    "private-peer": Code(
        "The message came from a private address that is not registered",
        "Have the networks of your own servers registered with your key, as its internal networks.",
    ),
    "inline-forward": Code(
        "The spam's header was lost in forwarding",
        "Forward as attachment, or send the source of the message (“show original”).",
    ),
    "several-messages": Code("Several messages are attached", "Nominate with one message at a time."),
    "malformed-report": Code("The abuse report cannot be read", "Send it in the form of RFC 5965."),
    "not-a-complaint": Code(
        "The report does not complain of spam", "Only reports of abuse nominate: see the detail."
    ),
    "claim-differs": Code(
        "The report names another address", "Correct the Source-IP, or send the message that it means."
    ),
    "no-date": Code(
        "Your server's Received field has no date", "Send the message unchanged, with its folded lines."
    ),
    "from-the-future": Code("The message is dated in the future", "Set the clock of your mail server."),
    "too-old": Code(
        "The evidence is too old", "Send a newer spam; the policy page says how old one may be."
    ),
    # nominations
    "wrong-address": Code(
        "The message proves another address", "Nominate the address in the detail, or leave it out."
    ),
    "reserved-address": Code(
        "This address can never be listed", "Reserved space belongs to nobody on the Internet: RFC 6890."
    ),
    "exempt": Code("This address is exempt from listing", "The detail says why; write to the operator."),
    "do-not-test": Code(
        "This address is not tested", "Its owner asked for that. Write to the operator to change it."
    ),
    "bad-idempotency-key": Code("The Idempotency-Key is too long", "Use 1 to 255 characters."),
    "idempotency-mismatch": Code(
        "The Idempotency-Key was used for something else", "Use a new key for a new message."
    ),
    "quota": Code(
        "This key has nominated as much as it may for now",
        "Try again after the time in Retry-After. The operator sees it too, and can allow more.",
    ),
    "suspended": Code(
        "This key is suspended", "Nothing is taken with it for now: write to the operator, who answers."
    ),
    "no-such-nomination": Code("There is no such nomination", "Check its number."),
    "dialogue-retired": Code(
        "What was said in this test is kept no longer", "Its time was over: the test's verdict is left."
    ),
    "evidence-retired": Code(
        "The spam is kept no longer", "Its time was over: its digest, and what followed from it, are left."
    ),
    # lists, hosts, retests
    "no-such-zone": Code("There is no such list", "GET /v1/zones names the lists."),
    "unknown-host": Code(
        "This address was never nominated", "There is nothing to test or to decide about it."
    ),
    "no-such-run": Code("There is no such test", "The address's own document names its tests."),
    "wrong-state": Code(
        "The state of the host does not allow this", "Look at its state, and try what fits."
    ),
    "not-listed": Code("This is not listed", "There is nothing to retest or to end."),
    "listed-by-hand": Code(
        "This was listed by hand", "No test decides about it: write to the operator, who answers."
    ),
    "listed-by-test": Code(
        "This was listed by a test", "Withdraw the host: POST /v1/hosts/{address}/decisions."
    ),
    "already-listed": Code("It is listed already", "End the listing first where it is to change."),
    "expiry-past": Code("The listing would have expired already", "Give an expires_at in the future."),
    "unknown-reason": Code("The list has no such reason", "GET /v1/zones names the reasons of each list."),
    "network-too-wide": Code(
        "The network is wider than this list allows", "List narrower networks, or change the zone file."
    ),
    "wrong-kind": Code(
        "This list is of the other kind",
        "Networks are in lists of addresses, names in lists of names: GET /v1/zones says which is which.",
    ),
    "test-point": Code(
        "This name is a test point of every list of names",
        "The list says about it what RFC 5782 §5 has: there is nothing to list.",
    ),
    "too-many-names": Code(
        "This would list every name there is", "List a name, or with *. before it the names below."
    ),
    "no-keys": Code(
        "This list knows no customers' keys",
        "Write [keys] and required = false, or true, into its zone file.",
    ),
    "empty-exemption": Code("The exemption exempts from nothing", "Set never_list, never_test, or both."),
    "already-exempt": Code("This network is exempt already", "End that exemption first."),
    "not-exempt": Code("This network is not exempt", "GET /v1/exemptions lists what is."),
    # the server
    "too-many-streams": Code(
        "Too many pages are watching tests", "Close some, or reload the page now and then instead."
    ),
    "concurrent-change": Code("Somebody changed the same thing at the same moment", "Try again."),
    "database": Code("The database does not answer", "Try again in a minute. DNS goes on answering."),
    "no-watcher": Code(
        "This is for monitoring only", "Ask from a network that the setting web.watchers names."
    ),
    "not-ready": Code("A part of the program is not ready", "The document names the part."),
    "internal": Code(
        "Something went wrong on our side", "Try again; if it stays, write to the operator with the time."
    ),
}
