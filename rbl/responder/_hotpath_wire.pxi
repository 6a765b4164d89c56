# Writing an answer, in the form that ``wire`` gives it.

cdef int32_t _pack(
    const Rules *rules, const Zone *zone, const Query *query, Response *response,
    const Listed *listed, const uint8_t *cookie, uint8_t *out,
) noexcept nogil:
    """Write the packet; what does not fit is left out whole, with TC (RFC 2181 §9)."""
    cdef uint32_t question = query.name_octets + 4
    cdef uint32_t at = HEADER_OCTETS + question
    cdef uint32_t opt = 0, limit, answers = 0, authorities = 0
    cdef int32_t length = 0
    cdef uint16_t flags = FLAG_QR | query.flags & COPIED_FLAGS | response.rcode & 0xF
    if response.authoritative:
        flags |= FLAG_AA
    limit = query.udp_octets if query.udp_octets > NO_EDNS_OCTETS else NO_EDNS_OCTETS
    if limit > rules.largest_octets:
        limit = rules.largest_octets
    if query.edns:
        opt = 11 + response.option_octets
        if query.nsid:
            opt += rules.nsid_octets
        if query.cookie is not NULL:
            opt += 4 + COOKIE_OCTETS
    memcpy(out, query.packet, at)
    if not response.truncated:
        if response.body == OCTETS:
            length = response.length
            if at + length + opt <= limit:
                memcpy(out + at, response.octets, length)
            answers = response.count
        elif response.body == TEXTS:
            length = _pack_texts(query, listed, out + at, limit)
            answers = response.count
        elif response.body == SOA:
            length = 2 + zone.soa_octets
            if at + length + opt <= limit:
                rbl_put16(out + at, POINTER | (HEADER_OCTETS + query.name_octets - zone.apex_octets))
                memcpy(out + at + 2, zone.soa, zone.soa_octets)
            authorities = 1
    if response.truncated or at + length + opt > limit:
        flags |= FLAG_TC
        answers = authorities = 0
        length = 0
    at += length
    rbl_put16(out + 2, flags)
    rbl_put16(out + 6, answers)
    rbl_put16(out + 8, authorities)
    rbl_put16(out + 10, query.edns)
    if query.edns:
        _pack_opt(rules, query, response, cookie, out + at, opt)
    return at + opt


cdef inline void _pack_opt(
    const Rules *rules, const Query *query, const Response *response,
    const uint8_t *cookie, uint8_t *out, uint32_t length,
) noexcept nogil:
    out[0] = 0
    rbl_put16(out + 1, RTYPE_OPT)
    rbl_put16(out + 3, rules.largest_octets)
    out[5] = response.rcode >> 4
    out[6] = 0
    rbl_put16(out + 7, 0x8000 if query.dnssec_ok else 0)
    rbl_put16(out + 9, length - 11)
    out += 11
    if response.option_octets:
        memcpy(out, response.option, response.option_octets)
        out += response.option_octets
    if query.nsid and rules.nsid_octets:
        memcpy(out, rules.nsid, rules.nsid_octets)
        out += rules.nsid_octets
    if query.cookie is not NULL:
        rbl_put16(out, OPTION_COOKIE)
        rbl_put16(out + 2, COOKIE_OCTETS)
        memcpy(out + 4, cookie, COOKIE_OCTETS)


cdef int32_t _pack_texts(
    const Query *query, const Listed *listed, uint8_t *out, uint32_t limit
) noexcept nogil:
    """Write the TXT records of an answer set; return their octets, more than *limit* where they are too long."""
    cdef uint8_t subject[LONGEST_SUBJECT]
    cdef uint8_t text[LONGEST_TEXT]
    cdef uint32_t subject_octets = _write_subject(query, listed, subject)
    cdef const Answer *answer = listed.answer
    cdef const uint8_t *piece = answer.octets + answer.address_octets
    cdef uint32_t at = 0, octets, length, strings
    while piece[0] == PIECE_TEXT:
        piece += 1
        octets = 0
        while piece[0] >= PIECE_LITERAL:
            if piece[0] == PIECE_LITERAL:
                length = rbl_get16(piece + 1)
                octets = _append(text, octets, piece + 3, length)
                piece += 3 + length
            else:
                octets = _append(text, octets, subject, subject_octets)
                piece += 1
        strings = (octets + STRING_OCTETS - 1) // STRING_OCTETS if octets else 1
        if at + 12 + octets + strings > limit:
            return limit + 1
        rbl_put16(out + at, POINTER | HEADER_OCTETS)
        rbl_put16(out + at + 2, RTYPE_TXT)
        rbl_put16(out + at + 4, RCLASS_IN)
        rbl_put32(out + at + 6, answer.ttl_seconds)
        rbl_put16(out + at + 10, octets + strings)
        at += 12
        length = 0
        while True:
            strings = octets - length if octets - length < STRING_OCTETS else STRING_OCTETS
            out[at] = strings
            memcpy(out + at + 1, text + length, strings)
            at += 1 + strings
            length += strings
            if length == octets:
                break
    return at


cdef inline uint32_t _append(
    uint8_t *text, uint32_t octets, const uint8_t *more, uint32_t length
) noexcept nogil:
    """Add *more* to *text*, and cut it at the longest that is told."""
    if length > LONGEST_TEXT - octets:
        length = LONGEST_TEXT - octets
    memcpy(text + octets, more, length)
    return octets + length


cdef uint32_t _write_subject(const Query *query, const Listed *listed, uint8_t *out) noexcept nogil:
    """Write what was asked for as text, and return its octets."""
    if listed.kind == OF_NAME:
        return _write_name(query, listed, out)
    if listed.kind == OF_IPV4:
        return _write_ipv4(listed.ipv4, out)
    if listed.high == 0 and listed.low >> 32 == 0xFFFF:
        return _write_ipv4(<uint32_t>listed.low, out)
    return _write_ipv6(listed.high, listed.low, out)


cdef inline uint32_t _write_ipv4(uint32_t address, uint8_t *out) noexcept nogil:
    cdef uint32_t at = 0, octet
    cdef int shift
    for shift in range(24, -8, -8):
        octet = address >> shift & 0xFF
        if octet >= 100:
            out[at] = 48 + octet // 100
            at += 1
        if octet >= 10:
            out[at] = 48 + octet // 10 % 10
            at += 1
        out[at] = 48 + octet % 10
        out[at + 1] = 46  # a dot
        at += 2
    return at - 1


cdef inline uint32_t _write_ipv6(uint64_t high, uint64_t low, uint8_t *out) noexcept nogil:
    """Write an address as RFC 5952 §4 has it: the first of the longest runs of zeros as ``::``."""
    cdef uint16_t groups[8]
    cdef uint32_t at = 0, run = 0, best = 1, begin = 8, end = 8, number
    cdef int shift, nibble
    for number in range(4):
        groups[number] = <uint16_t>(high >> (48 - 16 * number))
        groups[4 + number] = <uint16_t>(low >> (48 - 16 * number))
    for number in range(8):
        run = run + 1 if groups[number] == 0 else 0
        if run > best:  # a single zero group is not shortened (§4.2.2)
            best = run
            end = number + 1
            begin = end - run
    number = 0
    while number < 8:
        if number == begin:
            out[at] = out[at + 1] = 58  # colons
            at += 2
            number = end
            continue
        if number and number != end:
            out[at] = 58
            at += 1
        shift = 12
        while shift and groups[number] >> shift == 0:
            shift -= 4
        while shift >= 0:
            nibble = groups[number] >> shift & 0xF
            out[at] = 48 + nibble if nibble < 10 else 87 + nibble
            at += 1
            shift -= 4
        number += 1
    return at


cdef inline uint32_t _write_name(const Query *query, const Listed *listed, uint8_t *out) noexcept nogil:
    """Write the labels below the apex with dots between them and every odd octet escaped."""
    cdef uint32_t at = 0, label = 0, number, octet
    cdef const uint8_t *octets
    for label in range(listed.labels):
        if label:
            out[at] = 46
            at += 1
        octets = query.name + query.starts[label]
        for number in range(1, <uint32_t>octets[0] + 1):
            octet = octets[number]
            if 97 <= octet <= 122 or 48 <= octet <= 57 or octet == 45 or octet == 95:
                out[at] = octet
                at += 1
            else:
                out[at] = 92  # a backslash
                out[at + 1] = 48 + octet // 100
                out[at + 2] = 48 + octet // 10 % 10
                out[at + 3] = 48 + octet % 10
                at += 4
    return at
