# One zone as it is answered at one moment: its index, its apex, and what that memory belongs to.

cdef enum Keys:
    KEYS_UNUSED = 0
    KEYS_ACCEPTED = 1
    KEYS_REQUIRED = 2

KEYS = ("unused", "accepted", "required")

ctypedef struct Records:
    uint16_t rtype
    uint16_t count
    uint32_t length
    const uint8_t *octets

ctypedef struct Zone:
    const uint8_t *apex  # as in a packet, with the root's octet
    uint32_t apex_octets
    uint32_t apex_labels
    uint32_t number  # for the counters
    bint ready
    bint of_names
    Keys keys
    const KeyTable *known
    const Access *access
    const Ranges *ipv4
    const Ranges *ipv6
    const Names *names
    Answer ***chunks
    uint32_t record_sets
    Records *records  # of the apex
    const uint8_t *soa  # of negative answers, without its owner name
    uint32_t soa_octets


cdef class ServedZone:
    """One zone as it is answered now (``catalogue.ServedZone``), with what that memory belongs to."""

    cdef Zone zone
    cdef readonly object source
    cdef readonly AnswerBook answers
    cdef readonly RangeTable ipv4
    cdef readonly RangeTable ipv6
    cdef readonly NameIndex names
    cdef readonly KnownKeys known
    cdef AccessTable _access
    cdef list _kept

    def __cinit__(
        self, object source, bytes apex, uint32_t number, bint of_names, AccessTable access, KnownKeys known
    ):
        self.source = source
        self._kept = [apex]
        self._access = access
        self.known = known
        self.zone.known = &known.table
        self.zone.access = &access.access
        self.zone.apex = <const uint8_t *><const char *>apex
        self.zone.apex_octets = len(apex)
        self.zone.apex_labels = len(source.file.apex)
        self.zone.number = number
        self.zone.of_names = of_names
        self.zone.keys = <Keys><int>KEYS.index(source.file.keys.value)

    def serve(self, ServedZone before, object pack_addresses, uint64_t seed):
        """Take over the index that *source* has; what *before*, or None, shares with it is used again."""
        cdef object served = self.source.served
        cdef object index = served.index
        cdef bint again = before is not None and before.zone.ready
        cdef bint same_words = again and before.source.served.index.vocabulary is index.vocabulary
        cdef size_t at
        self.answers = before.answers if same_words else AnswerBook(self.source.file.url)
        for at in range(self.answers.count, len(index.vocabulary.answers)):
            self.answers.add(index.vocabulary.answers[at], pack_addresses)
        self.ipv4 = before.ipv4 if again and before.ipv4.table is index.ipv4 else RangeTable(index.ipv4)
        self.ipv6 = before.ipv6 if again and before.ipv6.table is index.ipv6 else RangeTable(index.ipv6)
        if same_words and before.names.table is index.names:
            self.names = before.names
        else:
            self.names = NameIndex(index.names, index.vocabulary, seed)
            # To ask for the answer of several causes together may have added one.
            for at in range(self.answers.count, len(index.vocabulary.answers)):
                self.answers.add(index.vocabulary.answers[at], pack_addresses)
        self.zone.ipv4 = &self.ipv4.ranges
        self.zone.ipv6 = &self.ipv6.ranges
        self.zone.names = &self.names.names
        # The book may move its directory of chunks when it grows, so each generation has its own.
        self.zone.chunks = <Answer ***>_claim(self.answers._chunk_count * sizeof(void *))
        memcpy(self.zone.chunks, self.answers._chunks, self.answers._chunk_count * sizeof(void *))
        self._add_apex(served)
        self.zone.ready = True

    cdef int _add_apex(self, object served) except -1:
        cdef bytes soa = served.negative_soa.octets
        cdef Records *records
        self._kept.append(soa)
        self.zone.soa = <const uint8_t *><const char *>soa + 2
        self.zone.soa_octets = len(soa) - 2
        self.zone.records = <Records *>_claim(len(served.apex) * sizeof(Records))
        for rtype, rrset in served.apex.items():
            records = &self.zone.records[self.zone.record_sets]
            records.rtype = rtype
            records.count = rrset.count
            records.length = len(rrset.octets)
            records.octets = <const uint8_t *><const char *>(<bytes>rrset.octets)
            self._kept.append(rrset.octets)
            self.zone.record_sets += 1
        return 0

    def __dealloc__(self):
        free(self.zone.chunks)
        free(self.zone.records)


cdef Zone *_zone_of(object zone) except NULL:
    """Return the zone within one of either kind."""
    if isinstance(zone, FileZone):
        return &(<FileZone>zone).data.zone
    return &(<ServedZone?>zone).zone


def _apex_labels(object zone):
    return _zone_of(zone).apex_labels


ctypedef struct Frozen:
    const Rules *rules
    Zone **zones  # the deepest first
    uint32_t zone_count
    bint of_files  # each zone is within a FileData
    bint is_open  # of those: whether anything is answered here


cdef class Generation:
    """All zones as they are answered at one moment. Never changes."""

    cdef Frozen frozen
    cdef object __weakref__
    cdef readonly list zones
    cdef ClientRules _rules

    def __cinit__(self, ClientRules rules, list zones, bint of_files=False, bint is_open=True):
        self._rules = rules
        self.zones = sorted(zones, key=_apex_labels, reverse=True)
        self.frozen.rules = &rules.rules
        self.frozen.of_files = of_files
        self.frozen.is_open = is_open
        self.frozen.zones = <Zone **>_claim(len(zones) * sizeof(void *))
        for zone in self.zones:
            if isinstance(zone, FileZone) != of_files:
                raise TypeError("zones of two kinds, which are answered otherwise")
            self.frozen.zones[self.frozen.zone_count] = _zone_of(zone)
            self.frozen.zone_count += 1

    def answer(self, bytes packet, bytes address, int64_t now):
        """Return the octets to send back or None, and the numbers of zone (or -1), outcome and key (or -1).

        None alone where the reference path has to answer. *address* is the client's, packed; *now*
        in nanoseconds since 1970. What a worker does for each packet, for those who compare.
        """
        cdef uint8_t out[LARGEST_ANSWER]
        cdef Client client
        cdef Query query
        cdef Tally tally
        cdef int32_t octets
        if not _read_client(&client, <const uint8_t *><const char *>address, len(address)):
            raise ValueError("an address has 4 or 16 octets")
        memset(&query, 0, sizeof(query))
        if self.frozen.of_files:
            _seek_in_files(&self.frozen, <const uint8_t *><const char *>packet, len(packet), &query)
        else:
            _seek(&self.frozen, <const uint8_t *><const char *>packet, len(packet), &query)
        _approach(&query)
        _find(&query, 1)
        if self.frozen.of_files:
            octets = _answer_from_files(&self.frozen, &client, now, &query, out, &tally)
        else:
            octets = _answer(&self.frozen, &client, now, &query, out, &tally)
        if octets == HANDED_UP:
            return None
        reply = (<char *>out)[:octets] if octets else None
        return (
            reply,
            -1 if tally.zone is NULL else tally.zone.number,
            tally.outcome,
            -1 if tally.key is NULL else tally.key.number,
        )

    def __dealloc__(self):
        free(self.frozen.zones)
