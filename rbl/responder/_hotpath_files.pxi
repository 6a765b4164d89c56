# Answering from rbldnsd's data files: what ``filezones`` says, in the steps of _hotpath_answer.pxi.

cdef enum:
    LONGEST_FILE_TEXT = 254  # what rbldnsd answers (``template``)
    RTYPE_NS = 2
    MOST_TEXTS = 32  # of one answer: hotfiles._MOST_TEXTS
    SET_RECORDS = 1
    SET_TEXTS = 2

# An answer is the number of its sets in one octet, 0 where the reference path has to give it, then the
# sets: kind in one octet, type and count in two each, the octets that follow in four, and these: packed
# records, or the TTL and, for each text, pieces as in an AnswerBook.
cdef enum:
    SET_HEADER = 9

# What a name has in a zone.
ctypedef struct FileFound:
    const uint8_t *answer  # NULL for none
    bint exists
    bint of_name  # the answer is that of a name
    uint32_t label  # the first label of the entry that it is from

# A section as it is written. Nothing more is written when something did not fit.
ctypedef struct Section:
    uint8_t *out
    uint32_t room
    uint32_t octets
    uint32_t count
    bint full


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


cdef int32_t _answer_from_files(
    const Frozen *frozen, int64_t now, const Query *query, uint8_t *out, Tally *tally
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
    elif 0 < data.expires < now:
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


# --- what a name has -----------------------------------------------------------------------------

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


# --- writing -------------------------------------------------------------------------------------

cdef inline void _put(Section *section, const uint8_t *octets, uint32_t length, uint32_t count) noexcept nogil:
    """Add packed records, or say that they do not fit."""
    if section.full or length > section.room - section.octets:
        section.full = True
        return
    memcpy(section.out + section.octets, octets, length)
    section.octets += length
    section.count += count


cdef inline void _put_below(Section *section, uint32_t owner, const uint8_t *octets, uint32_t length) noexcept nogil:
    """Add one record that is packed from its type on, with the pointer *owner* before it."""
    if section.full or length + 2 > section.room - section.octets:
        section.full = True
        return
    rbl_put16(section.out + section.octets, owner)
    section.octets += 2
    _put(section, octets, length, 1)


cdef inline uint32_t _turn(const Query *query, uint32_t count) noexcept nogil:
    """Return which of *count* records comes first: another one with every query."""
    return rbl_get16(query.packet) % count if count > 1 else 0


cdef void _put_servers(const FileData *data, const Query *query, Section *section) noexcept nogil:
    """Add the records of the name servers."""
    cdef const uint8_t *record = data.servers
    cdef uint32_t owner = POINTER | (HEADER_OCTETS + query.name_octets - data.zone.apex_octets)
    cdef uint32_t first = _turn(query, data.server_count), number, length
    for number in range(first):
        record += 10 + rbl_get16(record + 8)
    for number in range(data.server_count):
        if first + number == data.server_count:
            record = data.servers
        length = 10 + rbl_get16(record + 8)
        _put_below(section, owner, record, length)
        record += length


cdef bint _write_apex(const FileData *data, const Query *query, Section *answers) noexcept nogil:
    """Write the SOA and the name servers that are asked for; return whether the latter are."""
    if query.qtype == RTYPE_SOA or query.qtype == RTYPE_ANY:
        _put_below(answers, POINTER | HEADER_OCTETS, data.soa, data.soa_octets)
    if query.qtype != RTYPE_NS and query.qtype != RTYPE_ANY:
        return False
    _put_servers(data, query, answers)
    return True


cdef void _write_sets(const Query *query, const FileFound *found, Section *answers) noexcept nogil:
    """Write of an answer the sets of the type that is asked for."""
    cdef const uint8_t *place = found.answer + 1
    cdef const uint8_t *octets
    cdef uint32_t number, each, count, skipped, length
    for number in range(found.answer[0]):
        length = rbl_get32(place + 5)
        octets = place + SET_HEADER
        if query.qtype == RTYPE_ANY or query.qtype == rbl_get16(place + 1):
            count = rbl_get16(place + 3)
            if place[0] == SET_TEXTS:
                _write_texts(query, found, octets, count, answers)
            else:
                skipped = 0
                for each in range(_turn(query, count)):
                    skipped += 12 + rbl_get16(octets + skipped + 10)
                _put(answers, octets + skipped, length - skipped, count)
                _put(answers, octets, skipped, 0)
        place = octets + length


cdef void _write_texts(
    const Query *query, const FileFound *found, const uint8_t *pieces, uint32_t count, Section *answers
) noexcept nogil:
    """Write the TXT records of an answer; texts that became alike are one."""
    cdef uint8_t subject[LONGEST_SUBJECT]
    cdef uint8_t record[12]
    cdef uint8_t texts[MOST_TEXTS][LONGEST_FILE_TEXT + 1]  # each after its length
    cdef uint32_t subject_octets, number, before, distinct = 0, at, length
    if found.of_name:
        subject_octets = _write_entry(query, found.label, subject)
    elif query.of_ipv4:
        subject_octets = _write_ipv4(query.ipv4, subject)
    else:
        subject_octets = _write_ipv6(query.high, query.low, subject)
    rbl_put16(record, POINTER | HEADER_OCTETS)
    rbl_put16(record + 2, RTYPE_TXT)
    rbl_put16(record + 4, RCLASS_IN)
    memcpy(record + 6, pieces, 4)
    pieces += 4
    for number in range(count):
        length = 0
        pieces += 1  # PIECE_TEXT
        while pieces[0] >= PIECE_LITERAL:
            if pieces[0] == PIECE_LITERAL:
                length = _append_text(texts[distinct] + 1, length, pieces + 3, rbl_get16(pieces + 1))
                pieces += 3 + rbl_get16(pieces + 1)
            else:
                length = _append_text(texts[distinct] + 1, length, subject, subject_octets)
                pieces += 1
        texts[distinct][0] = length
        before = 0
        while before < distinct and memcmp(texts[before], texts[distinct], length + 1) != 0:
            before += 1
        if before == distinct:
            distinct += 1
    at = _turn(query, distinct)
    for number in range(distinct):
        length = 1 + <uint32_t>texts[at][0]
        rbl_put16(record + 10, length)
        if length + 12 > answers.room - answers.octets:
            answers.full = True
            return
        _put(answers, record, 12, 1)
        _put(answers, texts[at], length, 0)
        at = at + 1 if at + 1 < distinct else 0


cdef inline uint32_t _append_text(
    uint8_t *text, uint32_t octets, const uint8_t *more, uint32_t length
) noexcept nogil:
    """Add *more* to *text*, and cut it at the longest that is told."""
    if length > LONGEST_FILE_TEXT - octets:
        length = LONGEST_FILE_TEXT - octets
    memcpy(text + octets, more, length)
    return octets + length


cdef uint32_t _write_entry(const Query *query, uint32_t label, uint8_t *out) noexcept nogil:
    """Write the labels from *label* to the apex as ``nametext.text_of`` does."""
    cdef uint32_t at = 0, number, octet
    cdef const uint8_t *octets
    while label < query.below:
        if at:
            out[at] = 46  # a dot
            at += 1
        octets = query.name + query.starts[label]
        for number in range(1, <uint32_t>octets[0] + 1):
            octet = octets[number]
            if 0x20 < octet < 0x7F:
                # " . ; \ @ $
                if octet == 34 or octet == 46 or octet == 59 or octet == 92 or octet == 64 or octet == 36:
                    out[at] = 92
                    at += 1
                out[at] = octet
                at += 1
            else:
                out[at] = 92
                out[at + 1] = 48 + octet // 100
                out[at + 2] = 48 + octet // 10 % 10
                out[at + 3] = 48 + octet % 10
                at += 4
        label += 1
    return at
