# What is answered, and the names it is answered for: answer sets and listed names, in a form of our own.

import re as _re

cdef enum:
    ANSWERS_OF_CHUNK = 1024
    LONGEST_TEXT = 4096  # octets of one TXT record (wire)
    STRING_OCTETS = 255  # RFC 1035 §3.3

_FIELD = _re.compile(r"\{(address|url)\}")  # as zonefile.ZoneFile.render has it


# --- answer sets ---------------------------------------------------------------------------------

# One allocation each: this header, the A records, then the TXT templates as a list of pieces. A text
# begins with TEXT; LITERAL is followed by its length in two octets and as many octets; SUBJECT stands
# for what was asked for; END ends the list.
ctypedef struct Answer:
    uint32_t ttl_seconds
    uint32_t addresses  # how many A records
    uint32_t address_octets
    uint32_t texts  # how many TXT records
    uint8_t octets[1]

cdef enum Piece:
    PIECE_END = 0
    PIECE_TEXT = 1
    PIECE_LITERAL = 2
    PIECE_SUBJECT = 3


cdef class AnswerBook:
    """The answer sets of one vocabulary, in chunks that never move. Grows as the vocabulary does."""

    cdef Answer ***_chunks  # of ANSWERS_OF_CHUNK
    cdef size_t _chunk_count
    cdef size_t count
    cdef str _url
    cdef dict _packed

    def __cinit__(self, str url):
        self._url = url
        self._packed = {}

    def __len__(self):
        return self.count

    cdef int add(self, object answer_set, object pack_addresses) except -1:
        """Add the next answer set, None for that of what is not listed."""
        cdef Answer **chunk
        if self.count == self._chunk_count * ANSWERS_OF_CHUNK:
            self._add_chunk()
        chunk = self._chunks[self.count // ANSWERS_OF_CHUNK]
        chunk[self.count % ANSWERS_OF_CHUNK] = self._make(answer_set, pack_addresses)
        self.count += 1
        return 0

    cdef int _add_chunk(self) except -1:
        cdef Answer **chunk = <Answer **>_claim(ANSWERS_OF_CHUNK * sizeof(void *))
        cdef void *chunks = realloc(self._chunks, (self._chunk_count + 1) * sizeof(void *))
        if chunks is NULL:
            free(chunk)
            raise MemoryError
        self._chunks = <Answer ***>chunks
        self._chunks[self._chunk_count] = chunk
        self._chunk_count += 1
        return 0

    cdef Answer *_make(self, object answer_set, object pack_addresses) except NULL:
        cdef bytes addresses = b""
        cdef bytes texts = b"\0"
        cdef Answer *answer
        cdef object rrset = None
        if answer_set is not None:
            rrset = pack_addresses(answer_set.values, answer_set.ttl_seconds)
            if rrset is not None:
                addresses = rrset.octets
            texts = b"".join([*[self._pieces(text) for text in answer_set.texts], b"\0"])
        answer = <Answer *>_claim(sizeof(Answer) + len(addresses) + len(texts))
        if answer_set is not None:
            answer.ttl_seconds = answer_set.ttl_seconds
            answer.texts = len(answer_set.texts)
            answer.addresses = rrset.count if rrset is not None else 0
        answer.address_octets = len(addresses)
        memcpy(answer.octets, <const char *>addresses, len(addresses))
        memcpy(answer.octets + len(addresses), <const char *>texts, len(texts))
        return answer

    cdef bytes _pieces(self, str text):
        """Return a TXT template as pieces; ``{url}`` is put in here, since only its subject varies."""
        cdef list pieces = [bytes((PIECE_TEXT,))]
        cdef str part
        cdef bint field = False
        for part in _FIELD.split(text):
            if not field:
                pieces.append(_literal(part))
            elif part == "address":
                pieces.append(bytes((PIECE_SUBJECT,)))
            else:
                pieces.append(bytes((PIECE_SUBJECT,)).join(map(_literal, self._url.split("{address}"))))
            field = not field
        return b"".join(pieces)

    def __dealloc__(self):
        cdef size_t at
        for at in range(self.count):
            free(self._chunks[at // ANSWERS_OF_CHUNK][at % ANSWERS_OF_CHUNK])
        for at in range(self._chunk_count):
            free(self._chunks[at])
        free(self._chunks)


def _literal(str text):
    """Return *text* as a piece; of a longer one than a TXT record nobody would see the rest."""
    cdef bytes octets = text.encode("utf-8", "replace")[:LONGEST_TEXT]
    if not octets:
        return b""
    return bytes((PIECE_LITERAL,)) + len(octets).to_bytes(2, "big") + octets


# --- names ---------------------------------------------------------------------------------------

ctypedef struct NameEntry:
    uint64_t hash
    uint32_t place  # of the name in the pool; it has no root's octet
    uint8_t octets
    uint8_t used
    uint8_t exempt  # 1: the name itself, 2: what is below it
    uint8_t below  # whether anything is listed below it
    uint32_t exact  # the answer set of the name itself
    uint32_t wildcard  # and of what is below it

ctypedef struct Names:
    NameEntry *entries
    uint64_t mask
    uint8_t *pool
    uint64_t seed
    uint32_t test  # the answer set of TEST (RFC 5782 §5)


cdef class NameIndex:
    """The listed names of one generation (``rbl.zone.listednames.NameTable``), by hash."""

    cdef Names names
    cdef size_t _pool_size
    cdef size_t _pool_used
    cdef readonly object table

    def __cinit__(self, object table, object vocabulary, uint64_t seed):
        cdef size_t count = len(table.exact) + len(table.wildcards) + len(table.below)
        cdef size_t size = 16
        cdef dict known = {}
        self.table = table
        while size < 2 * count:
            size *= 2
        self.names.entries = <NameEntry *>_claim(size * sizeof(NameEntry))
        self.names.mask = size - 1
        self.names.seed = seed
        self.names.test = vocabulary.test_name
        for name, causes in table.exact.items():
            entry = self._entry(name)
            entry.exact = _joint(causes, vocabulary, known)
            entry.exempt |= 1 if 0 in causes else 0  # 0: rbl.zone.answers.EXEMPTION
        for name, causes in table.wildcards.items():
            entry = self._entry(name)
            entry.wildcard = _joint(causes, vocabulary, known)
            entry.exempt |= 2 if 0 in causes else 0
        for name in table.below:
            self._entry(name).below = True

    cdef NameEntry *_entry(self, tuple labels) except NULL:
        """Return the entry of a name, made where there is none."""
        cdef uint8_t wire[256]
        cdef uint64_t hash = self.names.seed
        cdef size_t at = sizeof(wire), length
        cdef bytes label
        for label in reversed(labels):
            length = len(label)
            at -= length + 1
            wire[at] = length
            memcpy(&wire[at + 1], <const char *>label, length)
            hash = rbl_hash(hash, &wire[at], length + 1)
        length = sizeof(wire) - at
        cdef NameEntry *entry = _probe(&self.names, hash, &wire[0] + at, length)
        if not entry.used:
            if self._pool_used + length > self._pool_size:
                self._grow(length)
            memcpy(self.names.pool + self._pool_used, &wire[0] + at, length)
            entry.place = self._pool_used
            entry.octets = length
            entry.hash = hash
            entry.used = True
            self._pool_used += length
        return entry

    cdef int _grow(self, size_t more) except -1:
        cdef size_t size = 2 * self._pool_size + more + 256
        if size > 0xFFFFFFFF:
            raise OverflowError("more names than a list of names can hold")
        cdef void *pool = realloc(self.names.pool, size)
        if pool is NULL:
            raise MemoryError
        self.names.pool = <uint8_t *>pool
        self._pool_size = size
        return 0

    def named(self, set hashes):
        """Return the names that have one of *hashes*, by hash: those below the apex, without the root."""
        cdef uint64_t at
        cdef NameEntry *entry
        cdef dict found = {}
        for at in range(self.names.mask + 1):
            entry = &self.names.entries[at]
            if entry.used and entry.hash in hashes:
                found[entry.hash] = (<char *>self.names.pool + entry.place)[:entry.octets]
        return found

    def __dealloc__(self):
        free(self.names.entries)
        free(self.names.pool)


cdef uint32_t _joint(tuple causes, object vocabulary, dict known) except? 0xFFFFFFFF:
    answer = known.get(causes)
    if answer is None:
        answer = known[causes] = vocabulary.joint_answer(causes)
    return answer


cdef inline NameEntry *_probe(
    const Names *names, uint64_t hash, const uint8_t *name, uint32_t length
) noexcept nogil:
    """Return the entry of a name, or the empty one where it would stand."""
    cdef uint64_t at = hash & names.mask
    cdef NameEntry *entry
    while True:
        entry = &names.entries[at]
        if not entry.used:
            return entry
        if (
            entry.hash == hash
            and entry.octets == length
            and memcmp(names.pool + entry.place, name, length) == 0
        ):
            return entry
        at = (at + 1) & names.mask
