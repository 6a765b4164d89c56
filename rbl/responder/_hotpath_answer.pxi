# Choosing and writing the answer: the order of the checks is that of ``answer``, the form ``wire``'s.

cdef enum:
    TOGETHER = 8  # IPv6 addresses
    HANDED_UP = -1
    LARGEST_ANSWER = 8192  # the largest over UDP has 4096 octets; what is refused by its size may be longer
    FLAG_QR = 0x8000
    FLAG_AA = 0x0400
    FLAG_TC = 0x0200
    COPIED_FLAGS = 0x0110  # RD and CD; the opcode is 0
    RCODE_NOERROR = 0
    RCODE_NXDOMAIN = 3
    RCODE_REFUSED = 5
    RCODE_BADCOOKIE = 23
    POINTER = 0xC000
    LONGEST_SUBJECT = 1024  # a name of which every octet is escaped

cdef enum Outcome:
    DROPPED_PACKET = 0
    IGNORED = 1
    DENIED = 2
    LIMITED = 3
    SLIPPED = 4
    REFUSED = 5
    AT_APEX = 6
    IS_LISTED = 7
    NODATA = 8
    NXDOMAIN = 9
    OUTCOME_COUNT = 10

# The words of ``codes.Outcome``, by number.
OUTCOMES = (
    "dropped", "ignored", "denied", "limited", "slipped", "refused", "apex", "listed", "nodata", "nxdomain",
)

cdef enum Body:
    NO_BODY = 0
    OCTETS = 1  # packed records for ANSWER
    TEXTS = 2  # the TXT records of an answer set
    SOA = 3  # for AUTHORITY

cdef enum SubjectKind:
    OF_IPV4 = 0
    OF_IPV6 = 1
    OF_NAME = 2

ctypedef struct Listed:
    const Answer *answer  # NULL where nothing is listed
    SubjectKind kind
    uint32_t labels  # of a name, those below the apex
    uint32_t ipv4
    uint64_t high
    uint64_t low
    uint8_t hit  # which sort of hit; 0 for none
    Mark asked  # the address, or the hash of the listed name
    Mark start  # where the address's range begins

# What was answered, for the counters.
ctypedef struct Tally:
    const Zone *zone  # NULL for none of ours
    const KnownKey *key  # NULL where none was asked with
    Outcome outcome
    uint8_t hit
    Mark asked
    Mark start

cdef enum:
    HIT_IPV4 = 1
    HIT_IPV6 = 2
    HIT_NAME = 3
    HIT_WILDCARD = 4

ctypedef struct Response:
    uint16_t rcode
    bint authoritative
    bint truncated
    Body body
    uint16_t count
    const uint8_t *octets
    uint32_t length
    const uint8_t *option  # an extended error
    uint32_t option_octets


# A query goes through four steps, each for the whole batch: what a step needs of the index was asked
# of the memory by the one before, so that one query's wait is another one's work.

cdef inline void _seek(
    const Frozen *frozen, const uint8_t *packet, uint32_t length, Query *query
) noexcept nogil:
    """Take *packet* apart, and find the zone and the address that it asks for."""
    cdef const Zone *zone
    query.reading = _read_query(packet, length, query)
    if query.reading != READ:
        return
    query.sought = ANYTHING
    query.zone = zone = _find_zone(frozen, query) if query.qclass == RCLASS_IN else NULL
    if zone is NULL:
        return
    query.below = query.labels - zone.apex_labels
    query.below_octets = _suffix(query, zone.apex_labels)
    query.key = NULL
    if zone.keys != KEYS_UNUSED and query.below and _is_key(query.name + query.starts[query.below - 1]):
        query.below -= 1
        query.below_octets = query.starts[query.below]
        query.key = _known_key(zone.known, query.name + query.below_octets + 1)
        if query.key is NULL:
            query.reading = UNREAD
            return
    if zone.of_names or not zone.ready:
        return
    if query.below == 4 and _read_ipv4(query, 4, &query.ipv4):
        query.sought = AN_IPV4
        query.of_ipv4 = True
    elif query.below == 32 and _read_ipv6(query, 32, &query.high, &query.low):
        query.sought = AN_IPV6
        query.of_ipv4 = True
        if query.high == 0 and query.low >> 32 == 0xFFFF:  # IPv4-mapped (RFC 4291 §2.5.5.2)
            query.ipv4 = <uint32_t>query.low
        elif query.high >> 48 == 0x2002:  # 6to4 (RFC 3056)
            query.ipv4 = <uint32_t>(query.high >> 16)
        else:
            query.of_ipv4 = False
    else:
        return
    if query.of_ipv4:
        rbl_prefetch(zone.ipv4.offsets + (query.ipv4 >> 16))
    else:
        rbl_prefetch(zone.ipv6.offsets + (query.high >> 48))


cdef inline void _approach(Query *query) noexcept nogil:
    """Find the block that the address is in, and have the memory fetch its keys."""
    cdef uint64_t count, middle
    if query.reading != READ or query.sought == ANYTHING:
        return
    if query.of_ipv4:
        _block(query.zone.ipv4, query.ipv4 >> 16, &query.block)
        middle = query.block.begin
        count = query.block.end - middle
        if count >= RBL_WINDOW:
            middle += rbl_window(count, <uint16_t>query.ipv4)
        rbl_prefetch(query.block.keys + middle)
        rbl_prefetch(query.block.keys + middle + RBL_WINDOW - 1)
    else:
        _block(query.zone.ipv6, <uint32_t>(query.high >> 48), &query.block)
        rbl_prefetch(query.block.high + ((query.block.begin + query.block.end) >> 1))


cdef inline void _find(Query *queries, uint32_t count) noexcept nogil:
    """Find the range that each address is in, and have the memory fetch its answer set."""
    cdef Query *waiting[TOGETHER]
    cdef Query *query
    cdef uint32_t at, waiting_count = 0
    for at in range(count):
        query = &queries[at]
        if query.reading != READ or query.sought == ANYTHING:
            continue
        if query.of_ipv4:
            _find4(&query.block, <uint16_t>query.ipv4, &query.place)
        elif query.block.begin == query.block.end:
            query.place.answer = NULL
        else:
            waiting[waiting_count] = query
            waiting_count += 1
            if waiting_count == TOGETHER:
                _find_together(waiting, waiting_count)
                waiting_count = 0
    _find_together(waiting, waiting_count)


cdef inline void _find_together(Query **queries, uint32_t count) noexcept nogil:
    """Find the ranges of several IPv6 addresses: of long blocks, where each step waits for the memory."""
    cdef const uint64_t *found[TOGETHER]
    cdef uint64_t sizes[TOGETHER]
    cdef uint64_t keys[TOGETHER]
    cdef uint64_t longest = 0
    cdef const Block *block
    cdef uint32_t at
    for at in range(count):
        block = &queries[at].block
        found[at] = block.high + block.begin
        sizes[at] = block.end - block.begin
        keys[at] = queries[at].high
        if sizes[at] > longest:
            longest = sizes[at]
    rbl_search_each(found, sizes, keys, count, longest)
    for at in range(count):
        _find6(&queries[at].block, found[at], keys[at], queries[at].low, &queries[at].place)


cdef int32_t _answer(
    const Frozen *frozen, const Client *client, int64_t now, const Query *query, uint8_t *out, Tally *tally
) noexcept nogil:
    """Answer *query*; return the octets written to *out*, 0 for no answer, or HANDED_UP."""
    cdef Response response
    cdef Listed listed
    cdef uint8_t cookie[COOKIE_OCTETS]
    cdef bint proven = False
    cdef Decision decision
    cdef OutcomeClass outcome
    tally.zone = NULL
    tally.key = NULL
    tally.hit = 0
    if query.reading == DROPPED:
        tally.outcome = DROPPED_PACKET
        return 0
    if query.reading == UNREAD:
        return HANDED_UP
    memset(&response, 0, sizeof(response))
    memset(&listed, 0, sizeof(listed))
    if not _respond(frozen, client, query, &response, &listed, tally):
        return HANDED_UP
    if tally.outcome == IGNORED:
        return 0
    if query.cookie is not NULL:
        proven = _check_cookie(query, client, <uint32_t>(now // 1000000000), frozen.rules, cookie)
    if not proven and frozen.rules.limiter is not NULL:
        outcome = _class(tally.outcome)
        decision = _decide(frozen.rules.limiter, client, outcome, now)
        if decision == DROP:
            tally.outcome = LIMITED
            return 0
        if decision == SLIP and outcome != ERROR:
            tally.outcome = SLIPPED
            if query.cookie is not NULL:
                response.rcode = RCODE_BADCOOKIE
                response.authoritative = False
                response.body = NO_BODY
            else:
                response.truncated = True
    if tally.outcome == IS_LISTED:
        tally.hit = listed.hit
        tally.asked = listed.asked
        tally.start = listed.start
    return _pack(frozen.rules, tally.zone, query, &response, &listed, cookie, out)


cdef inline OutcomeClass _class(Outcome outcome) noexcept nogil:
    """Return which budget an answer of *outcome* is taken from (``ratelimit.class_of``)."""
    if outcome == AT_APEX or outcome == IS_LISTED:
        return POSITIVE
    if outcome == NODATA:
        return OF_NODATA
    return OF_NXDOMAIN if outcome == NXDOMAIN else ERROR


cdef inline bint _respond(
    const Frozen *frozen, const Client *client, const Query *query,
    Response *response, Listed *listed, Tally *tally,
) noexcept nogil:
    """Choose the answer: the first rule that fits. False: the reference path has to."""
    cdef const Rules *rules = frozen.rules
    cdef const Zone *zone
    cdef uint32_t rule = _rule(rules.access, client)
    cdef uint8_t action = rules.access.actions[rule]
    if action == IGNORE or action == REFUSE:
        _deny(rules, action, response, tally)
        return True
    if query.qclass == RCLASS_CH:
        return False
    zone = query.zone
    if zone is NULL:
        response.rcode = RCODE_REFUSED
        response.option = rules.foreign
        response.option_octets = rules.foreign_octets
        tally.outcome = REFUSED
        return True
    tally.zone = zone
    tally.key = query.key
    if query.key is NULL and action == ALLOW:
        rule = _rule(zone.access, client)
        action = zone.access.actions[rule]
        if action == IGNORE or action == REFUSE:
            _deny(rules, action, response, tally)
            return True
    if zone.keys == KEYS_REQUIRED and query.key is NULL and query.below:
        response.rcode = RCODE_REFUSED
        response.option = rules.keyless
        response.option_octets = rules.keyless_octets
        tally.outcome = DENIED
        return True
    if query.qtype == RTYPE_AXFR or query.qtype == RTYPE_IXFR or not zone.ready:
        return False
    response.authoritative = True
    if query.below == 0 and query.key is not NULL:
        # The key's own name exists: a resolver that minimises asks for it first (RFC 9156).
        response.body = SOA
        tally.outcome = NODATA
        return True
    if query.below == 0:
        _answer_apex(zone, query, response, tally)
        return True
    _answer_below(frozen, zone, client, query, rule, action, response, listed, tally)
    return True


cdef inline void _deny(const Rules *rules, uint8_t action, Response *response, Tally *tally) noexcept nogil:
    if action == IGNORE:
        tally.zone = NULL
        tally.outcome = IGNORED
        return
    response.rcode = RCODE_REFUSED
    response.option = rules.denied
    response.option_octets = rules.denied_octets
    tally.outcome = DENIED


cdef inline const Zone *_find_zone(const Frozen *frozen, const Query *query) noexcept nogil:
    """Return the deepest zone that the qname is in, or NULL."""
    cdef uint32_t at, start
    cdef const Zone *zone
    for at in range(frozen.zone_count):
        zone = frozen.zones[at]
        if query.labels >= zone.apex_labels:
            start = _suffix(query, zone.apex_labels)
            if query.name_octets - start == zone.apex_octets:
                if memcmp(query.name + start, zone.apex, zone.apex_octets) == 0:
                    return zone
    return NULL


cdef inline uint32_t _suffix(const Query *query, uint32_t labels) noexcept nogil:
    """Return where the last *labels* of the qname begin, of which it has as many."""
    return query.starts[query.labels - labels] if labels else query.name_octets - 1


cdef inline bint _has_zone_below(const Frozen *frozen, const Query *query) noexcept nogil:
    """Whether another zone of ours lies below the qname, which exists for that alone (RFC 8020)."""
    cdef uint32_t at, before
    cdef const Zone *zone
    for at in range(frozen.zone_count):
        zone = frozen.zones[at]
        if zone.apex_labels > query.labels and zone.apex_octets > query.name_octets:
            before = zone.apex_octets - query.name_octets
            # Both end with the same octets; whether they part at a label, its number tells.
            if memcmp(zone.apex + before, query.name, query.name_octets) == 0:
                if _is_boundary(zone, before):
                    return True
    return False


cdef inline bint _is_boundary(const Zone *zone, uint32_t place) noexcept nogil:
    cdef uint32_t at = 0
    while at < place:
        at += 1 + zone.apex[at]
    return at == place


cdef inline void _answer_apex(
    const Zone *zone, const Query *query, Response *response, Tally *tally
) noexcept nogil:
    """The zone's own records; ANY gets the SOA (RFC 8482 §4.1)."""
    cdef uint16_t rtype = RTYPE_SOA if query.qtype == RTYPE_ANY else query.qtype
    cdef uint32_t at
    for at in range(zone.record_sets):
        if zone.records[at].rtype == rtype:
            response.body = OCTETS
            response.count = zone.records[at].count
            response.octets = zone.records[at].octets
            response.length = zone.records[at].length
            tally.outcome = AT_APEX
            return
    response.body = SOA
    tally.outcome = NODATA


cdef inline void _answer_below(
    const Frozen *frozen, const Zone *zone, const Client *client, const Query *query,
    uint32_t rule, uint8_t action, Response *response, Listed *listed, Tally *tally,
) noexcept nogil:
    cdef bint exists = False
    cdef const Answer *answer
    if action == ALLOW:
        exists = _look_up_name(zone, query, listed) if zone.of_names else _look_up(zone, query, listed)
    elif action == LISTED:
        exists = _list_all(zone, client, query, rule, listed)
    answer = listed.answer
    if answer is not NULL:
        if query.qtype == RTYPE_A or query.qtype == RTYPE_ANY:
            response.count = <uint16_t>answer.addresses
            response.octets = answer.octets
            response.length = answer.address_octets
            response.body = OCTETS
        elif query.qtype == RTYPE_TXT:
            response.count = <uint16_t>answer.texts
            response.body = TEXTS
        if response.count:
            tally.outcome = IS_LISTED
            return
        exists = True
    response.body = SOA
    if exists or _has_zone_below(frozen, query):
        tally.outcome = NODATA
    else:
        response.rcode = RCODE_NXDOMAIN
        tally.outcome = NXDOMAIN
