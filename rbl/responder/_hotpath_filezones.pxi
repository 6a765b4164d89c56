# A zone made of rbldnsd's data files, as it is answered at one moment; ``hotfiles`` says what is in it.

cdef enum:
    EXCLUDED = 1  # in the place of an answer: an entry that hides what is wider
    # What stands in NameEntry.exempt of such a zone.
    EXACT_UP = 1  # the reference path answers for the name itself
    WILDCARD_UP = 2  # and for what is below it
    OF_RECORDS = 4  # what the name itself answers are ordinary records
    IS_BELOW = 8  # in a call alone: something is below it

# A Zone, and what only files have. It begins with the zone, so that a pointer to one is one to both.
ctypedef struct FileData:
    Zone zone  # of its fields those up to names, and the SOA of negative answers, NULL without one
    uint64_t ipv4_answers  # what is to be added to the number in the table, to have the answer's
    uint64_t ipv6_answers
    const uint64_t *places  # by number: where the answer begins
    const uint8_t *answers
    uint32_t deepest  # the most labels of any of the names
    bint has_wildcards
    const Access *access  # who gets an ordinary answer; NULL: everybody
    int64_t expires  # in nanoseconds since 1970, 0 for never
    const uint8_t *soa  # of the apex, from its type on, as are the name servers
    uint32_t soa_octets
    const uint8_t *servers
    uint32_t servers_octets
    uint32_t server_count
    bint tells_servers  # beside every positive answer
    const uint8_t *glue
    uint32_t glue_octets
    uint32_t glue_count


cdef class FileNames:
    """The names of one zone by hash, of which each has an answer of its own or one for what is below it."""

    cdef Names names
    cdef size_t _pool_size
    cdef size_t _pool_used
    cdef uint32_t _deepest
    cdef bint _has_wildcards

    def __cinit__(self, size_t most, uint64_t seed):
        cdef size_t size = 16
        while size < 2 * most:
            size *= 2
        self.names.entries = <NameEntry *>_claim(size * sizeof(NameEntry))
        self.names.mask = size - 1
        self.names.seed = seed

    def add(self, bytes key, uint32_t exact, uint32_t wildcard, uint8_t flags):
        """Have the name *key* answer *exact*, and what is below it *wildcard*; 0: nothing.

        What has an answer already is left to the reference path. No more names than were announced.
        """
        cdef NameEntry *entry = self._entry(key)
        if exact and entry.exact:
            entry.exempt |= EXACT_UP
        if wildcard and entry.wildcard:
            entry.exempt |= WILDCARD_UP
        entry.exact = exact if exact else entry.exact
        entry.wildcard = wildcard if wildcard else entry.wildcard
        entry.exempt |= flags & ~IS_BELOW
        entry.below |= flags & IS_BELOW
        if wildcard or flags & WILDCARD_UP:
            self._has_wildcards = True

    cdef NameEntry *_entry(self, bytes key) except NULL:
        cdef const uint8_t *name = <const uint8_t *><const char *>key
        cdef uint8_t starts[LABELS]
        cdef uint32_t length = len(key), at = 0, labels = 0, end = length
        cdef int32_t label
        cdef uint64_t hash = self.names.seed
        if length >= NAME_OCTETS:
            raise ValueError("a name is too long")
        while at < length:
            starts[labels] = at
            labels += 1
            at += 1 + name[at]
        for label in range(<int32_t>labels - 1, -1, -1):
            hash = rbl_hash(hash, name + starts[label], end - starts[label])
            end = starts[label]
        if labels > self._deepest:
            self._deepest = labels
        cdef NameEntry *entry = _probe(&self.names, hash, name, length)
        if not entry.used:
            if self._pool_used + length >= self._pool_size:  # the name of the apex too has a place
                self._grow(length)
            memcpy(self.names.pool + self._pool_used, name, length)
            entry.place = self._pool_used
            entry.octets = length
            entry.hash = hash
            entry.used = True
            self._pool_used += length
        return entry

    cdef int _grow(self, size_t more) except -1:
        cdef size_t size = 2 * self._pool_size + more + 256
        if size > 0xFFFFFFFF:
            raise OverflowError("more names than a zone can hold")
        cdef void *pool = realloc(self.names.pool, size)
        if pool is NULL:
            raise MemoryError
        self.names.pool = <uint8_t *>pool
        self._pool_size = size
        return 0

    def __dealloc__(self):
        free(self.names.entries)
        free(self.names.pool)


cdef class FileZone:
    """One zone of data files as it is answered now, with what that memory belongs to."""

    cdef FileData data
    cdef list _kept

    def __cinit__(self, bytes apex, uint32_t number):
        self._kept = [apex]
        self.data.zone.apex = <const uint8_t *><const char *>apex
        self.data.zone.apex_octets = len(apex)
        self.data.zone.number = number
        cdef uint32_t at = 0
        while apex[at]:
            self.data.zone.apex_labels += 1
            at += 1 + <uint8_t>apex[at]

    def serve(self, object contents):
        """Answer from *contents* (``hotfiles.Contents``); without this the reference path answers all."""
        cdef FileData *data = &self.data
        cdef FileNames names = contents.names
        cdef size_t length = 0
        self._kept.append(contents)
        if contents.ipv4 is not None:
            data.zone.ipv4 = self._ranges(contents.ipv4)
        if contents.ipv6 is not None:
            data.zone.ipv6 = self._ranges(contents.ipv6)
        if contents.access is not None:
            data.access = self._access(contents.access)
        if names is not None:
            data.zone.names = &names.names
            data.deepest = names._deepest
            data.has_wildcards = names._has_wildcards
        data.ipv4_answers = contents.ipv4_answers
        data.ipv6_answers = contents.ipv6_answers
        data.places = <const uint64_t *>_octets_of(contents.places, &length)
        data.answers = <const uint8_t *>_octets_of(contents.answers, &length)
        data.expires = contents.expires
        data.zone.soa = self._octets(contents.negative_soa, &data.zone.soa_octets)
        data.soa = self._octets(contents.soa, &data.soa_octets)
        data.servers = self._octets(contents.servers, &data.servers_octets)
        data.server_count = contents.server_count
        data.tells_servers = contents.tells_servers
        data.glue = self._octets(contents.glue, &data.glue_octets)
        data.glue_count = contents.glue_count
        data.zone.ready = True

    cdef const Ranges *_ranges(self, object table) except NULL:
        cdef RangeTable ranges = RangeTable(table)
        self._kept.append(ranges)
        return &ranges.ranges

    cdef const Access *_access(self, AccessTable table) except NULL:
        self._kept.append(table)
        return &table.access

    cdef const uint8_t *_octets(self, bytes octets, uint32_t *length) except NULL:
        self._kept.append(octets)
        length[0] = len(octets)
        return <const uint8_t *><const char *>octets
