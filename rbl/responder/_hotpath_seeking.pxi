# Finding what a query is about, before anything is answered.
#
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
