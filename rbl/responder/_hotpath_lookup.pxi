# What is listed at a name, as ``lookup`` says: the name taken for an address or a name.

cdef inline const Answer *_answer_set(Answer ***chunks, uint32_t number) noexcept nogil:
    return chunks[number // ANSWERS_OF_CHUNK][number % ANSWERS_OF_CHUNK] if number else NULL


cdef inline bint _read_octet(const uint8_t *label, uint32_t *octet) noexcept nogil:
    """Read a decimal octet in canonical form: no sign, no leading zero."""
    cdef uint32_t length = label[0]
    cdef uint32_t value = 0
    cdef uint32_t at, digit
    if length == 0 or length > 3 or (label[1] == 48 and length > 1):  # 48: the digit 0
        return False
    for at in range(1, length + 1):
        digit = label[at] - <uint32_t>48
        if digit > 9:
            return False
        value = value * 10 + digit
    octet[0] = value
    return value <= 255


cdef inline bint _read_ipv4(const Query *query, uint32_t count, uint32_t *first) noexcept nogil:
    """Read the first *count* labels, one to four, as octets, last first."""
    cdef uint32_t at, octet = 0
    first[0] = 0
    for at in range(count):
        if not _read_octet(query.name + query.starts[at], &octet):
            return False
        first[0] |= octet << (8 * (4 - count + at))
    return True


cdef inline bint _read_ipv6(const Query *query, uint32_t count, uint64_t *high, uint64_t *low) noexcept nogil:
    """Read the first *count* labels, one to 32, as nibbles, last first."""
    cdef uint64_t halves[2]
    cdef uint64_t nibbles
    cdef uint32_t at, octet, place
    halves[0] = halves[1] = 0
    if count == 32:
        for at in range(8):
            if not rbl_read_nibbles(query.name + 8 * at, &nibbles):
                return False
            halves[at >> 2] |= nibbles << (16 * (at & 3))
    else:
        for at in range(count):
            if query.name[2 * at] != 1:  # labels of one octet each stand in pairs
                return False
            octet = query.name[2 * at + 1]
            if 48 <= octet <= 57:
                octet -= 48
            elif 97 <= octet <= 102:
                octet -= 87
            else:
                return False
            place = 32 - count + at  # 0: the last nibble of the address
            halves[place >> 4] |= <uint64_t>octet << (4 * (place & 15))
    high[0] = halves[1]
    low[0] = halves[0]
    return True


cdef inline void _start(const Query *query, Mark *start) noexcept nogil:
    """Say where the range begins that the address was found in."""
    if query.of_ipv4:
        start.high = query.ipv4 >> 16 << 16 | query.place.key[0]
        start.low = 0
    else:
        start.high = query.place.high[0]
        start.low = query.place.low[0]


cdef bint _look_up(const Zone *zone, const Query *query, Listed *listed) noexcept nogil:
    """Say what is listed at the qname, and return whether anything is at or below it."""
    cdef uint32_t count = query.below
    cdef uint32_t first, number
    cdef uint64_t high, low
    cdef bint exists = False
    if query.sought != ANYTHING:
        number = 0 if query.place.answer is NULL else _number(query.place.answer, query.block.width)
        if number:
            listed.answer = _answer_set(zone.chunks, number)
            listed.kind = OF_IPV4 if query.sought == AN_IPV4 else OF_IPV6
            listed.ipv4 = query.ipv4
            listed.high = query.high
            listed.low = query.low
            listed.hit = HIT_IPV4 if query.of_ipv4 else HIT_IPV6
            listed.asked.high = query.ipv4 if query.of_ipv4 else query.high
            listed.asked.low = 0 if query.of_ipv4 else query.low
            _start(query, &listed.start)
            return True
    elif count < 4 and _read_ipv4(query, count, &first):
        exists = _any_within4(zone.ipv4, first, 8 * count)
    # Four labels of one digit are an IPv4 address and an IPv6 prefix at once.
    if count < 32 and _read_ipv6(query, count, &high, &low):
        return exists or _has_below6(zone, high, low, 4 * count)
    return exists


cdef inline bint _has_below6(const Zone *zone, uint64_t high, uint64_t low, uint32_t length) noexcept nogil:
    """Whether any address of an IPv6 network is listed, the IPv4 addresses inside it included."""
    if length >= 96 and high == 0 and low >> 32 == 0xFFFF:
        return _any_within4(zone.ipv4, <uint32_t>low, length - 96)
    if length >= 16 and high >> 48 == 0x2002:
        return _any_within4(zone.ipv4, <uint32_t>(high >> 16), length - 16 if length < 48 else 32)
    if _holds(high, low, length, 0, <uint64_t>0xFFFF << 32) or _holds(high, low, length, <uint64_t>0x2002 << 48, 0):
        if _any_within4(zone.ipv4, 0, 0):
            return True
    return _any_within6(zone.ipv6, high, low, length)


cdef inline bint _holds(
    uint64_t high, uint64_t low, uint32_t length, uint64_t inner_high, uint64_t inner_low
) noexcept nogil:
    """Whether the network of prefix *length* has that address in it."""
    if length <= 64:
        return (high ^ inner_high) >> (64 - length) == 0  # at least one nibble
    return high == inner_high and (low ^ inner_low) >> (128 - length) == 0


cdef bint _look_up_name(const Zone *zone, const Query *query, Listed *listed) noexcept nogil:
    """Find what the name lists, and return whether anything is listed at or below it (RFC 5782 §3)."""
    cdef const Names *names = zone.names
    cdef uint32_t count = query.below
    cdef uint32_t end = query.below_octets
    cdef uint32_t start = end
    cdef uint32_t at = count, number = 0
    cdef uint64_t hash = names.seed
    cdef bint exempt = False, exists = False
    cdef const NameEntry *entry
    listed.kind = OF_NAME
    listed.labels = count
    if count == 1 and end == 5 and memcmp(query.name, b"\x04test", 5) == 0:
        listed.answer = _answer_set(zone.chunks, names.test)
        return True
    while True:
        # From the apex down: here the name of the labels from *at* on.
        entry = _probe(names, hash, query.name + start, end - start)
        if at == 0:
            break
        if entry.used:
            exempt = exempt or entry.exempt & 2
            if entry.wildcard:
                exists = True
                number = entry.wildcard  # the nearest wins
                listed.hit = HIT_WILDCARD
                listed.asked.high = entry.hash
        at -= 1
        hash = rbl_hash(hash, query.name + query.starts[at], start - query.starts[at])
        start = query.starts[at]
    if entry.used:
        exempt = exempt or entry.exempt & 1
        exists = exists or entry.below
        if entry.exact:
            number = entry.exact
            listed.hit = HIT_NAME
            listed.asked.high = entry.hash
    if count == 1 and end == 8 and memcmp(query.name, b"\x07invalid", 8) == 0:
        return exists
    if exempt or number == 0:
        return exists
    listed.start = listed.asked
    listed.answer = _answer_set(zone.chunks, number)
    return True


cdef inline bint _list_all(
    const Zone *zone, const Client *client, const Query *query, uint32_t rule, Listed *listed
) noexcept nogil:
    """List everything, as the access list has it for this client; what is above an address exists."""
    cdef uint32_t count = query.below
    cdef uint32_t first
    cdef uint64_t high, low
    if not zone.of_names and query.sought == ANYTHING:
        return (count < 4 and _read_ipv4(query, count, &first)) or (
            count < 32 and _read_ipv6(query, count, &high, &low)
        )
    listed.answer = zone.access.answers[rule // ANSWERS_OF_CHUNK][rule % ANSWERS_OF_CHUNK]
    listed.kind = OF_IPV4 if client.is_ipv4 else OF_IPV6
    listed.ipv4 = client.ipv4
    listed.high = client.high
    listed.low = client.low
    return True
