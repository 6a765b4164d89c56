# Taking a query apart, as strictly as ``query``: what is not plain is left to it.

cdef enum:
    HEADER_OCTETS = 12
    NAME_OCTETS = 255  # RFC 1035 §2.3.4, with the root's octet
    LABEL_OCTETS = 63
    LABELS = 128
    OPTIONS = 64
    RTYPE_A = 1
    RTYPE_SOA = 6
    RTYPE_TXT = 16
    RTYPE_OPT = 41
    RTYPE_IXFR = 251
    RTYPE_AXFR = 252
    RTYPE_ANY = 255
    RCLASS_IN = 1
    RCLASS_CH = 3
    OPTION_NSID = 3
    OPTION_COOKIE = 10
    NO_EDNS_OCTETS = 512  # RFC 1035 §4.2.1

cdef enum Reading:
    READ = 0
    DROPPED = 1  # not to be answered
    UNREAD = 2  # for the reference path

cdef enum Sought:
    ANYTHING = 0
    AN_IPV4 = 1
    AN_IPV6 = 2

ctypedef struct Query:
    Reading reading
    const Zone *zone  # the deepest that the qname is in, NULL for none of ours
    const KnownKey *key  # the customer's key before the apex, NULL without one
    uint32_t below  # how many labels the qname has before the apex, or before the key
    uint32_t below_octets
    Sought sought  # a whole address, where the qname is one
    bint of_ipv4  # an IPv4 address, or an IPv6 address that is answered as the one inside it
    uint32_t ipv4
    uint64_t high  # of an IPv6 address
    uint64_t low
    Block block  # where it is looked for
    Place place  # where it was found
    const uint8_t *packet
    uint32_t name_octets  # with the root's
    uint16_t flags
    uint16_t qtype
    uint16_t qclass
    uint16_t udp_octets
    bint edns
    bint dnssec_ok
    bint nsid
    const uint8_t *cookie  # the option's value, NULL without one
    uint32_t cookie_octets
    uint32_t labels
    uint8_t starts[LABELS]  # where each label begins in name
    uint8_t name[NAME_OCTETS + 1]  # lower case

cdef uint8_t[32] NIBBLE_STARTS = [2 * at for at in range(32)]

cdef inline Reading _read_query(const uint8_t *packet, uint32_t length, Query *query) noexcept nogil:
    """Take *packet* apart into *query*."""
    cdef uint32_t additionals, end
    if length < HEADER_OCTETS:
        return DROPPED
    query.flags = rbl_get16(packet + 2)
    if query.flags & 0x8000:
        return DROPPED
    additionals = rbl_get16(packet + 10)
    if (
        query.flags & 0x7800  # any opcode but QUERY
        or rbl_get16(packet + 4) != 1
        or rbl_get32(packet + 6) != 0  # records in ANSWER or AUTHORITY
        or additionals > 1
    ):
        return UNREAD
    query.packet = packet
    end = _read_name(packet, length, query)
    if end == 0 or end + 4 > length:
        return UNREAD
    query.qtype = rbl_get16(packet + end)
    query.qclass = rbl_get16(packet + end + 2)
    query.edns = False
    query.dnssec_ok = False
    query.nsid = False
    query.cookie = NULL
    query.cookie_octets = 0
    query.udp_octets = NO_EDNS_OCTETS
    end += 4
    if additionals == 0:
        return READ if end == length else UNREAD
    return _read_opt(packet + end, length - end, query)


cdef inline uint32_t _read_name(const uint8_t *packet, uint32_t length, Query *query) noexcept nogil:
    """Read the qname, and return the offset after it; 0 where it is too long, cut short or compressed."""
    cdef uint32_t at = HEADER_OCTETS
    cdef uint32_t label
    query.labels = 0
    if length >= HEADER_OCTETS + 64 and rbl_has_nibbles(packet + HEADER_OCTETS):
        memcpy(query.starts, NIBBLE_STARTS, 32)
        query.labels = 32
        at += 64
    while at < length and at < HEADER_OCTETS + NAME_OCTETS:
        label = packet[at]
        if label == 0:
            query.name_octets = at + 1 - HEADER_OCTETS
            # A length octet is at most 63 and so no letter: lowering the whole leaves it as it is.
            rbl_lower(query.name, packet + HEADER_OCTETS, query.name_octets)
            return at + 1
        if label > LABEL_OCTETS:
            return 0
        query.starts[query.labels] = at - HEADER_OCTETS
        query.labels += 1
        at += 1 + label
    return 0


cdef inline Reading _read_opt(const uint8_t *record, uint32_t length, Query *query) noexcept nogil:
    """Read the one additional record, which must be an OPT of version 0 and end the packet."""
    cdef uint32_t at, code, octets, options = 0
    if length < 11 or record[0] != 0 or rbl_get16(record + 1) != RTYPE_OPT or record[6] != 0:
        return UNREAD
    if rbl_get16(record + 9) != length - 11:
        return UNREAD
    query.edns = True
    query.udp_octets = rbl_get16(record + 3)
    query.dnssec_ok = record[7] >> 7
    at = 11
    while at != length:
        options += 1
        if options > OPTIONS:
            break
        if at + 4 > length:
            return UNREAD
        code = rbl_get16(record + at)
        octets = rbl_get16(record + at + 2)
        at += 4
        if octets > length - at:
            return UNREAD
        if code == OPTION_NSID:
            query.nsid = True
        elif code == OPTION_COOKIE and query.cookie is NULL:
            if octets != 8 and not 16 <= octets <= 40:  # RFC 7873 §5.2.2
                return UNREAD
            query.cookie = record + at
            query.cookie_octets = octets
        at += octets
    return READ
