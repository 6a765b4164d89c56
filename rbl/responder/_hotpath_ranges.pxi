# The range table of each family, as rbl.zone.ranges has it: where an address lies in it.
#
# Arrays of the index are used where they are, in memory or in the mapped file; only the directory of
# the blocks that lie over the base is copied.

cdef enum:
    BLOCKS = 65536

ctypedef struct Block:
    const uint16_t *keys  # IPv4: the lower 16 bits
    const uint64_t *high  # IPv6: the upper half
    const uint64_t *low  # and the lower one
    const uint8_t *answers  # numbers of answer sets
    uint32_t width  # the octets of each: 1, 2 or 4
    uint64_t begin
    uint64_t end

ctypedef struct Ranges:
    Block base
    const uint64_t *offsets  # block n of the base is [offsets[n], offsets[n + 1])
    const int32_t *over  # by block: its place in blocks, -1 for the base; NULL where all are in the base
    Block *blocks
    const uint64_t *populated  # by block: the ranges in all blocks before it


cdef class RangeTable:
    """The range table of one family (``rbl.zone.ranges.Table``) as the hot path asks it."""

    cdef Ranges ranges
    cdef int32_t *_over
    cdef uint64_t *_populated
    cdef readonly object table

    def __cinit__(self, object table):
        cdef bint wide = table.family.bits == 128
        cdef object base = table.base
        self.table = table
        self.ranges.offsets = <const uint64_t *>_array(base.range_offsets, 8, BLOCKS + 1)
        _point(&self.ranges.base, base.keys, base.answer, wide)
        self.ranges.populated = self.ranges.offsets
        if table.overlay:
            self._lay_over(table, wide)

    cdef int _lay_over(self, object table, bint wide) except -1:
        cdef dict overlay = table.overlay
        cdef const uint32_t *counts = <const uint32_t *>_array(table.range_counts, 4, BLOCKS)
        cdef int32_t place = 0
        cdef int number
        self._over = <int32_t *>_claim(BLOCKS * sizeof(int32_t))
        self._populated = <uint64_t *>_claim((BLOCKS + 1) * sizeof(uint64_t))
        self.ranges.blocks = <Block *>_claim(len(overlay) * sizeof(Block))
        memset(self._over, 0xFF, BLOCKS * sizeof(int32_t))
        for number, block in overlay.items():
            _point(&self.ranges.blocks[place], block.keys, block.answer, wide)
            self._over[number] = place
            place += 1
        for number in range(BLOCKS):
            self._populated[number + 1] = self._populated[number] + counts[number]
        self.ranges.over = self._over
        self.ranges.populated = self._populated
        return 0

    def __dealloc__(self):
        free(self._over)
        free(self._populated)
        free(self.ranges.blocks)


cdef int _point(Block *block, object keys, object answer, bint wide) except -1:
    """Have *block* point at the arrays of a block, or of all of them."""
    cdef size_t count = len(answer)
    block.width = answer.itemsize
    if block.width not in (1, 2, 4):
        raise ValueError(f"answer sets numbered in {block.width} octets")
    block.answers = <const uint8_t *>_array(answer, block.width, count)
    if wide:
        block.high = <const uint64_t *>_array(keys[0], sizeof(uint64_t), count)
        block.low = <const uint64_t *>_array(keys[1], sizeof(uint64_t), count)
    else:
        block.keys = <const uint16_t *>_array(keys[0], sizeof(uint16_t), count)
    block.begin = 0
    block.end = count
    return 0


cdef inline uint32_t _number(const uint8_t *at, uint32_t width) noexcept nogil:
    """Return the number that stands there, in *width* octets."""
    if width == 1:
        return at[0]
    return (<const uint16_t *>at)[0] if width == 2 else (<const uint32_t *>at)[0]


cdef inline void _block(const Ranges *ranges, uint32_t number, Block *found) noexcept nogil:
    """Find the block of that *number*, changed or in the base."""
    if ranges.over is not NULL and ranges.over[number] >= 0:
        found[0] = ranges.blocks[ranges.over[number]]
    else:
        found[0] = ranges.base
        found.begin = ranges.offsets[number]
        found.end = ranges.offsets[number + 1]


cdef inline int64_t _search4(const Block *block, uint16_t key) noexcept nogil:
    """Return the place of the last key not above *key*, one less than the begin where there is none."""
    cdef uint64_t count = block.end - block.begin
    return <int64_t>(block.begin + rbl_not_above(block.keys + block.begin, count, key)) - 1


cdef inline int64_t _search6(const Block *block, uint64_t high, uint64_t low) noexcept nogil:
    return _search6_from(block, block.begin, high, low)


cdef inline int64_t _search6_from(const Block *block, uint64_t at, uint64_t high, uint64_t low) noexcept nogil:
    """The same where nothing before *at* is above."""
    cdef uint64_t left = block.end - at
    cdef uint64_t middle
    while left > 0:
        middle = at + (left >> 1)
        if block.high[middle] < high or (block.high[middle] == high and block.low[middle] <= low):
            left -= middle - at + 1
            at = middle + 1
        else:
            left = middle - at
    return <int64_t>at - 1


# An IPv6 address in two halves; of an IPv4 address or the hash of a name the first alone.
ctypedef struct Mark:
    uint64_t high
    uint64_t low

# Where an address was found: the answer set of its range, and the key. NULL: nowhere.
ctypedef struct Place:
    const uint8_t *answer
    const uint16_t *key
    const uint64_t *high
    const uint64_t *low


cdef inline void _find4(const Block *block, uint16_t key, Place *place) noexcept nogil:
    """Find the range that an address is in, without looking at its answer set, which is fetched."""
    cdef int64_t at = _search4(block, key)
    place.answer = NULL
    if at >= <int64_t>block.begin:
        place.answer = block.answers + at * block.width
        place.key = block.keys + at
        rbl_prefetch(place.answer)


cdef inline void _find6(
    const Block *block, const uint64_t *found, uint64_t high, uint64_t low, Place *place
) noexcept nogil:
    """The same for an IPv6 address; at *found* the upper half is the first that is not below *high*."""
    cdef int64_t at = found - block.high
    # Seldom do two ranges begin in one /64.
    if at < <int64_t>block.end and block.high[at] == high and block.low[at] <= low:
        at += 1
        if at < <int64_t>block.end and block.high[at] == high:
            at = _search6_from(block, at, high, low) + 1
    at -= 1
    place.answer = NULL
    if at >= <int64_t>block.begin:
        place.answer = block.answers + at * block.width
        place.high = block.high + at
        place.low = block.low + at
        rbl_prefetch(place.answer)


cdef inline bint _any_between(const Block *block, int64_t first, int64_t last) noexcept nogil:
    """Whether a range from the place *first* to *last* is listed: of two neighbours at least one is."""
    cdef int64_t begin = first if first >= <int64_t>block.begin else <int64_t>block.begin
    if begin > last:
        return False
    return (
        _number(block.answers + begin * block.width, block.width) != 0
        or (begin < last and _number(block.answers + (begin + 1) * block.width, block.width) != 0)
    )


cdef inline bint _populated(const Ranges *ranges, uint32_t number, uint32_t length) noexcept nogil:
    """Whether anything is listed in the blocks of a network of prefix *length*, at most 16."""
    return ranges.populated[number] != ranges.populated[number + (<uint32_t>1 << (16 - length))]


cdef inline bint _any_within4(const Ranges *ranges, uint32_t first, uint32_t length) noexcept nogil:
    """Whether any address of the network is listed."""
    cdef Block block
    if length <= 16:
        return _populated(ranges, first >> 16, length)
    _block(ranges, first >> 16, &block)
    cdef uint32_t last = first | <uint32_t>((<uint64_t>1 << (32 - length)) - 1)
    return _any_between(&block, _search4(&block, <uint16_t>first), _search4(&block, <uint16_t>last))


cdef inline bint _any_within6(
    const Ranges *ranges, uint64_t high, uint64_t low, uint32_t length
) noexcept nogil:
    cdef Block block
    cdef uint64_t last_high = high
    cdef uint64_t last_low = low
    if length <= 16:
        return _populated(ranges, <uint32_t>(high >> 48), length)
    _block(ranges, <uint32_t>(high >> 48), &block)
    if length < 64:
        last_high |= (<uint64_t>1 << (64 - length)) - 1
        last_low = <uint64_t>0 - 1
    elif length == 64:
        last_low = <uint64_t>0 - 1
    else:
        last_low |= (<uint64_t>1 << (128 - length)) - 1
    return _any_between(&block, _search6(&block, high, low), _search6(&block, last_high, last_low))
