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
