# Answering from rbldnsd's data files: what ``filezones`` says, in the steps of _hotpath_answer.pxi.

cdef inline void _seek_in_files(
    const Frozen *frozen, const uint8_t *packet, uint32_t length, Query *query
) noexcept nogil:
    """Take *packet* apart, and find the zone and the address that it asks for."""
    cdef const Zone *zone
    query.sought = ANYTHING
    query.reading = _read_query(packet, length, query) if frozen.is_open else UNREAD
    if query.reading != READ:
        return
    query.cookie = NULL  # there are none here
    if query.qclass != RCLASS_IN or query.qtype == RTYPE_AXFR or query.qtype == RTYPE_IXFR:
        query.reading = UNREAD
        return
    query.zone = zone = _find_zone(frozen, query)
    if zone is NULL:
        return
    if not zone.ready:
        query.reading = UNREAD
        return
    query.below = query.labels - zone.apex_labels
    if query.below == 4 and zone.ipv4 is not NULL and _read_file_ipv4(query):
        query.sought = AN_IPV4
        query.of_ipv4 = True
        rbl_prefetch(zone.ipv4.offsets + (query.ipv4 >> 16))
    elif query.below == 32 and _read_ipv6(query, 32, &query.high, &query.low):
        _seek_ipv6_in_files(zone, query)


cdef inline void _seek_ipv6_in_files(const Zone *zone, Query *query) noexcept nogil:
    """Say which table the IPv6 address is asked in, as ``Part._families`` does."""
    cdef bint mapped = query.high == 0 and query.low >> 32 == 0xFFFF
    query.of_ipv4 = False
    if zone.ipv4 is not NULL:
        if mapped:
            query.ipv4 = <uint32_t>query.low
            query.of_ipv4 = True
        elif query.high >> 48 == 0x2002:
            if zone.ipv6 is not NULL:  # both tables are asked
                query.reading = UNREAD
                return
            query.ipv4 = <uint32_t>(query.high >> 16)
            query.of_ipv4 = True
    elif mapped and zone.ipv6 is not NULL:  # Pythons differ in how they write it
        query.reading = UNREAD
        return
    if query.of_ipv4:
        query.sought = AN_IPV6
        rbl_prefetch(zone.ipv4.offsets + (query.ipv4 >> 16))
    elif zone.ipv6 is not NULL:
        query.sought = AN_IPV6
        rbl_prefetch(zone.ipv6.offsets + (query.high >> 48))


cdef inline bint _read_file_ipv4(Query *query) noexcept nogil:
    """Read four labels as octets, last first: one to three digits each, zeros before them allowed."""
    cdef uint32_t at, number, digit, value
    cdef const uint8_t *label
    query.ipv4 = 0
    for at in range(4):
        label = query.name + query.starts[at]
        value = 0
        if label[0] > 3:
            return False
        for number in range(1, <uint32_t>label[0] + 1):
            digit = label[number] - <uint32_t>48
            if digit > 9:
                return False
            value = value * 10 + digit
        if value > 255:
            return False
        query.ipv4 |= value << (8 * at)
    return True


cdef inline bint _is_ordinary(const Access *access, const Client *client) noexcept nogil:
    """Whether an acl says nothing to *client*; what it says to others, the reference path does."""
    return access is NULL or access.actions[_rule(access, client)] == ALLOW


cdef int32_t _answer_from_files(
    const Frozen *frozen, const Client *client, int64_t now, const Query *query, uint8_t *out, Tally *tally
) noexcept nogil:
    """Answer *query*; return the octets written to *out*, 0 for no answer, or HANDED_UP."""
    cdef const Rules *rules = frozen.rules
    cdef const FileData *data = <const FileData *>query.zone
    cdef Response response
    cdef FileFound found
    cdef Section answers, others
    cdef uint32_t at = HEADER_OCTETS + query.name_octets + 4, opt = 0, limit
    cdef bint told = False
    tally.zone = NULL
    tally.key = NULL
    tally.hit = 0
    if not _is_ordinary(rules.access, client):  # before all else: some get no answer to anything
        return HANDED_UP
    if query.reading == DROPPED:
        tally.outcome = DROPPED_PACKET
        return 0
    if query.reading == UNREAD:
        return HANDED_UP
    memset(&response, 0, sizeof(response))
    memset(&others, 0, sizeof(others))
    if data is NULL:
        tally.outcome = REFUSED
        response.rcode = RCODE_REFUSED
        response.option = rules.foreign
        response.option_octets = rules.foreign_octets
    elif 0 < data.expires < now or not _is_ordinary(data.access, client):
        return HANDED_UP
    limit = query.udp_octets if query.udp_octets > NO_EDNS_OCTETS else NO_EDNS_OCTETS
    if limit > rules.largest_octets:
        limit = rules.largest_octets
    if query.edns:
        opt = 11 + response.option_octets + (rules.nsid_octets if query.nsid else 0)
    memset(&answers, 0, sizeof(answers))
    answers.out = out + at
    answers.room = limit - at - opt
    memcpy(out, query.packet, at)
    if data is not NULL:
        tally.zone = &data.zone
        response.authoritative = True
        if not _look_up_in_files(data, query, &found):
            return HANDED_UP
        if query.below == 0:
            if (data.soa_octets == 0 and (query.qtype == RTYPE_SOA or query.qtype == RTYPE_ANY)) or (
                data.server_count == 0 and (query.qtype == RTYPE_NS or query.qtype == RTYPE_ANY)
            ):
                return HANDED_UP
            told = _write_apex(data, query, &answers)
        if found.answer is not NULL:
            _write_sets(query, &found, &answers)
        others.out = answers.out + answers.octets
        others.room = answers.room - answers.octets
        if answers.count or answers.full:
            tally.outcome = IS_LISTED if query.below else AT_APEX
        else:
            if query.below == 0 or found.exists or found.answer is not NULL or _has_zone_below(frozen, query):
                tally.outcome = NODATA
            else:
                tally.outcome = NXDOMAIN
                response.rcode = RCODE_NXDOMAIN
            if data.zone.soa_octets:
                _put_below(&others, POINTER | (at - 4 - data.zone.apex_octets), data.zone.soa, data.zone.soa_octets)
    return _finish(rules, data, query, &response, &answers, &others, told, out, opt)


cdef inline int32_t _finish(
    const Rules *rules, const FileData *data, const Query *query, const Response *response,
    Section *answers, Section *others, bint told, uint8_t *out, uint32_t opt,
) noexcept nogil:
    """Add what comes beside the answer where that fits, and complete the packet."""
    cdef uint32_t at = HEADER_OCTETS + query.name_octets + 4, authorities = others.count, additionals = 0
    cdef uint32_t servers
    cdef uint16_t flags = FLAG_QR | query.flags & COPIED_FLAGS | response.rcode
    if response.authoritative:
        flags |= FLAG_AA
    if answers.full or others.full:
        # All or nothing (RFC 2181 §9): of an answer no part, and nothing beside it.
        flags |= FLAG_TC
        answers.octets = answers.count = authorities = others.octets = 0
    elif answers.count:
        # What the client can do without goes first: glue, then name servers.
        servers = 0 if told or not data.tells_servers else data.servers_octets + 2 * data.server_count
        if servers <= others.room:
            if servers:
                authorities = data.server_count
                _put_servers(data, query, others)
            if data.glue_octets and data.glue_octets <= others.room - others.octets:
                memcpy(others.out + others.octets, data.glue, data.glue_octets)
                others.octets += data.glue_octets
                additionals = data.glue_count
    at += answers.octets + others.octets
    rbl_put16(out + 2, flags)
    rbl_put16(out + 6, answers.count)
    rbl_put16(out + 8, authorities)
    rbl_put16(out + 10, additionals + query.edns)
    if query.edns:
        _pack_opt(rules, query, response, NULL, out + at, opt)
    return at + opt


cdef inline bint _look_up_in_files(const FileData *data, const Query *query, FileFound *found) noexcept nogil:
    """Say what the zone has at the qname and below; return False where the reference path has to."""
    cdef uint64_t number = 0
    memset(found, 0, sizeof(found[0]))
    if query.sought != ANYTHING and query.place.answer is not NULL:
        number = _number(query.place.answer, query.block.width)
        if number:
            number += data.ipv4_answers if query.of_ipv4 else data.ipv6_answers
    if data.zone.names is not NULL and not _look_up_entry(data, query, found, &number):
        return False
    if number:
        found.answer = data.answers + data.places[number]
        return found.answer[0] != 0
    if query.below and not found.exists:
        found.exists = _has_addresses_below(&data.zone, query)
    return True


cdef inline bint _look_up_entry(
    const FileData *data, const Query *query, FileFound *found, uint64_t *number
) noexcept nogil:
    """Find what names say: a name of its own decides before any wildcard, and of those the nearest."""
    cdef const Names *names = data.zone.names
    cdef uint32_t at = query.below
    cdef uint32_t stop = at - data.deepest if at > data.deepest else 0
    cdef uint32_t start = _suffix(query, data.zone.apex_labels)
    cdef uint32_t end = start, wildcard = 0, exact = 0, nearest = 0
    cdef uint64_t hash = names.seed
    cdef const NameEntry *entry
    while at > stop:
        at -= 1
        hash = rbl_hash(hash, query.name + query.starts[at], start - query.starts[at])
        start = query.starts[at]
        if at == 0 or not data.has_wildcards:
            continue
        entry = _probe(names, hash, query.name + start, end - start)
        if entry.used:
            if entry.exempt & WILDCARD_UP:
                return False
            if entry.wildcard:
                wildcard = entry.wildcard
                nearest = at
    if at == 0:
        entry = _probe(names, hash, query.name + start, end - start)
        if entry.used:
            if entry.exempt & (EXACT_UP | WILDCARD_UP):
                return False
            exact = entry.exact
            # Where records stand no wildcard may say something too.
            if entry.exempt & OF_RECORDS and wildcard > EXCLUDED:
                return False
            found.exists = entry.below != 0 or entry.wildcard > EXCLUDED or (
                entry.wildcard == 0 and wildcard > EXCLUDED
            )
        else:
            found.exists = wildcard > EXCLUDED
    else:
        found.exists = wildcard > EXCLUDED
    if exact:
        wildcard = exact
        nearest = 0
    if wildcard > EXCLUDED:
        if number[0]:  # an address and a name at once
            return False
        number[0] = wildcard
        found.of_name = True
        found.label = nearest
    return True


cdef inline bint _has_addresses_below(const Zone *zone, const Query *query) noexcept nogil:
    """Whether any address below the name is listed (``Part.has_below``)."""
    cdef uint32_t count = query.below, first
    cdef uint64_t high, low
    if zone.ipv4 is not NULL and count < 4 and _read_ipv4(query, count, &first):
        if _any_within4(zone.ipv4, first, 8 * count):
            return True
    # Four labels of one digit are an IPv4 address and an IPv6 prefix at once.
    if count >= 32 or not _read_ipv6(query, count, &high, &low):
        return False
    count *= 4
    if zone.ipv4 is not NULL:
        if count >= 96 and high == 0 and low >> 32 == 0xFFFF:
            if _any_within4(zone.ipv4, <uint32_t>low, count - 96):
                return True
        elif count >= 16 and high >> 48 == 0x2002:
            if _any_within4(zone.ipv4, <uint32_t>(high >> 16), count - 16 if count < 48 else 32):
                return True
        elif (count <= 96 and _holds(high, low, count, 0, <uint64_t>0xFFFF << 32)) or (
            count <= 16 and _holds(high, low, count, <uint64_t>0x2002 << 48, 0)
        ):
            if _any_within4(zone.ipv4, 0, 0):
                return True
    return zone.ipv6 is not NULL and _any_within6(zone.ipv6, high, low, count)
