# How often each listing was hit: a table without locks, written by one thread and taken by another.

cdef enum:
    HIT_SLOTS = 16384
    HIT_PROBES = 4  # two lines of the cache

ctypedef struct Hit:
    Mark mark
    uint32_t what  # the zone's number and, in the last three bits, the sort of hit; 0: free
    uint32_t count

# A hit that is still to be counted, and where: the memory fetches that place meanwhile.
ctypedef struct Counted:
    Mark asked
    Mark start
    uint32_t what
    uint32_t slot


cdef inline bint _count_hit(Hit *hits, const Counted *counted) noexcept nogil:
    """Count a hit, and return whether there was room: for the address, or for its whole range."""
    if _count_at(hits, counted.slot, counted.what, &counted.asked):
        return True
    if counted.start.high == counted.asked.high and counted.start.low == counted.asked.low:
        return False
    return _count_at(hits, _slot(counted.what, &counted.start), counted.what, &counted.start)


cdef inline uint32_t _slot(uint32_t what, const Mark *mark) noexcept nogil:
    return rbl_mix(mark.high ^ what, mark.low ^ <uint64_t>0xA0761D6478BD642F) % HIT_SLOTS


cdef inline bint _count_at(Hit *hits, uint32_t slot, uint32_t what, const Mark *mark) noexcept nogil:
    """Count a hit in one of the places from *slot* on, and return whether there was room for it."""
    cdef uint32_t probe
    cdef Hit *hit
    for probe in range(HIT_PROBES):
        hit = &hits[(slot + probe) % HIT_SLOTS]
        if hit.what == 0:
            hit.what = what
            hit.mark = mark[0]
        if hit.what == what and hit.mark.high == mark.high and hit.mark.low == mark.low:
            hit.count += 1
            return True
    return False
