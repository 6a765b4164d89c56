# What C has and Cython lacks: atomics, big-endian octets, a hash, and growing memory.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define rbl_load(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
    #define rbl_store(place, value) __atomic_store_n(place, value, __ATOMIC_SEQ_CST)
    /* One writer: an addition need not be atomic, only never seen half done. */
    #define rbl_count(place) \\
        __atomic_store_n(place, __atomic_load_n(place, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED)
    #define rbl_add(place, value) \\
        __atomic_store_n(place, __atomic_load_n(place, __ATOMIC_RELAXED) + (value), __ATOMIC_RELAXED)
    #define rbl_prefetch(place) __builtin_prefetch(place)

    static inline uint16_t rbl_get16(const uint8_t *at) {
        return (uint16_t)(at[0] << 8 | at[1]);
    }
    static inline uint32_t rbl_get32(const uint8_t *at) {
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    static inline void rbl_put16(uint8_t *at, uint16_t value) {
        at[0] = (uint8_t)(value >> 8);
        at[1] = (uint8_t)value;
    }
    static inline void rbl_put32(uint8_t *at, uint32_t value) {
        rbl_put16(at, (uint16_t)(value >> 16));
        rbl_put16(at + 2, (uint16_t)value);
    }
    /* The multiply-and-fold step of wyhash: what it is keyed with decides where names collide. */
    static inline uint64_t rbl_mix(uint64_t left, uint64_t right) {
        unsigned __int128 product = (unsigned __int128)left * right;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    static uint64_t rbl_hash(uint64_t hash, const uint8_t *octets, uint32_t length) {
        uint64_t word;
        for (; length >= 8; octets += 8, length -= 8) {
            memcpy(&word, octets, 8);
            hash = rbl_mix(hash ^ 0xa0761d6478bd642fULL, word ^ 0xe7037ed1a0b428dbULL);
        }
        word = length;
        memcpy((uint8_t *)&word + 1, octets, length);
        return rbl_mix(hash ^ 0x8ebc6af09c88c6e3ULL, word ^ 0x589965cc75374cc3ULL);
    }
    /* How many of ascending keys are not above one, without branches on single keys, which no processor
       could foresee. Keys lie about evenly more often than not: a window is looked at first around
       where the place would then be. Else they are halved while there are many, and counted. */
    enum { RBL_WINDOW = 32, RBL_FEW = 64 };
    static inline uint64_t rbl_window(uint64_t count, uint16_t key) {
        uint64_t likely = count * key >> 16, half = RBL_WINDOW / 2;
        uint64_t first = likely > half ? likely - half : 0;
        return first + RBL_WINDOW < count ? first : count - RBL_WINDOW;
    }
    static inline uint64_t rbl_count_keys(const uint16_t *keys, uint64_t count, uint16_t key) {
        uint16_t number = 0;
        for (uint64_t at = 0; at < count; at++) number += keys[at] <= key;
        return number;
    }
    static inline uint64_t rbl_not_above(const uint16_t *keys, uint64_t count, uint16_t key) {
        const uint16_t *left = keys;
        if (count >= RBL_WINDOW) {
            uint64_t first = rbl_window(count, key);
            uint64_t number = rbl_count_keys(keys + first, RBL_WINDOW, key);
            if (number == 0) count = first;
            else if (number == RBL_WINDOW) left += first + RBL_WINDOW, count -= first + RBL_WINDOW;
            else return first + number;
        }
        while (count > RBL_FEW) {
            uint64_t half = count >> 1;
            left += half & -(uint64_t)(left[half - 1] <= key);
            count -= half;
        }
        return (uint64_t)(left - keys) + rbl_count_keys(left, count, key);
    }
    /* Of each of several searches: move *left* to the first of ascending keys that is not below *key*,
       or to the last of all. All take a step in turn, so that each waits for the memory while the
       others do. No *size* is 0. */
    static inline void rbl_search_each(
        const uint64_t **left, uint64_t *size, const uint64_t *key, uint32_t count, uint64_t longest
    ) {
        for (; longest > 1; longest -= longest >> 1)
            for (uint32_t at = 0; at < count; at++) {
                uint64_t half = size[at] >> 1;
                left[at] += half & -(uint64_t)(left[at][half - (half > 0)] < key[at]);
                size[at] -= half;
            }
        for (uint32_t at = 0; at < count; at++) left[at] += *left[at] < key[at];
    }
    /* Eight octets at a time, of which the first is the lowest. */
    #define RBL_EACH(octet) (0x0101010101010101ULL * (octet))
    static inline uint64_t rbl_word(const uint8_t *at) {
        uint64_t word;
        memcpy(&word, at, 8);
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }
    /* The highest bit of each octet that is in a range: first to last, both below 128. */
    static inline uint64_t rbl_within(uint64_t word, uint8_t first, uint8_t last) {
        uint64_t low = word & RBL_EACH(0x7f);
        return (low + RBL_EACH(0x80 - first)) & ~(low + RBL_EACH(0x7f - last)) & ~word & RBL_EACH(0x80);
    }
    static inline void rbl_lower(uint8_t *to, const uint8_t *from, uint32_t length) {
        uint64_t word;
        for (uint32_t at = 0; at + 8 <= length; at += 8) {
            memcpy(&word, from + at, 8);
            word |= rbl_within(word, 'A', 'Z') >> 2;
            memcpy(to + at, &word, 8);
        }
        for (uint32_t at = length & ~7u; at < length; at++)
            to[at] = (uint8_t)(from[at] | ((uint8_t)(from[at] - 'A') < 26) << 5);
    }
    /* Whether the name begins with 32 labels of one octet, as that of an IPv6 address does. */
    static inline int rbl_has_nibbles(const uint8_t *name) {
        uint64_t wrong = 0;
        for (int at = 0; at < 64; at += 8) wrong |= rbl_word(name + at) ^ 0x0001000100010001ULL;
        return (wrong & 0x00ff00ff00ff00ffULL) == 0;
    }
    /* Read four labels of one lower-case hexadecimal digit each, the first is the lowest; return
       whether they are. */
    static inline int rbl_read_nibbles(const uint8_t *name, uint64_t *nibbles) {
        uint64_t word = rbl_word(name), digits = rbl_within(word, '0', '9'), letters = rbl_within(word, 'a', 'f');
        uint64_t each = word >> 8 & 0x000f000f000f000fULL;
        each += 9 * (letters >> 15 & 0x0001000100010001ULL);
        *nibbles = (each | each >> 12 | each >> 24 | each >> 36) & 0xffff;
        return (word & 0x00ff00ff00ff00ffULL) == 0x0001000100010001ULL
            && ((digits | letters) & 0x8000800080008000ULL) == 0x8000800080008000ULL;
    }
    """
    uint64_t rbl_load(uint64_t *place) noexcept nogil
    void rbl_store(uint64_t *place, uint64_t value) noexcept nogil
    void rbl_count(uint64_t *place) noexcept nogil
    void rbl_add(uint64_t *place, uint64_t value) noexcept nogil
    void rbl_prefetch(const void *place) noexcept nogil
    uint16_t rbl_get16(const uint8_t *at) noexcept nogil
    uint32_t rbl_get32(const uint8_t *at) noexcept nogil
    void rbl_put16(uint8_t *at, uint16_t value) noexcept nogil
    void rbl_put32(uint8_t *at, uint32_t value) noexcept nogil
    uint64_t rbl_mix(uint64_t left, uint64_t right) noexcept nogil
    uint64_t rbl_hash(uint64_t hash, const uint8_t *octets, uint32_t length) noexcept nogil
    uint64_t rbl_window(uint64_t count, uint16_t key) noexcept nogil
    const uint64_t RBL_WINDOW
    uint64_t rbl_not_above(const uint16_t *keys, uint64_t count, uint16_t key) noexcept nogil
    void rbl_search_each(
        const uint64_t **left, uint64_t *size, const uint64_t *key, uint32_t count, uint64_t longest
    ) noexcept nogil
    void rbl_lower(uint8_t *to, const uint8_t *source, uint32_t length) noexcept nogil
    bint rbl_has_nibbles(const uint8_t *name) noexcept nogil
    bint rbl_read_nibbles(const uint8_t *name, uint64_t *nibbles) noexcept nogil


cdef void *_claim(size_t octets) except NULL:
    """Return that much memory, all zero."""
    cdef void *memory = calloc(1, octets if octets else 1)
    if memory is NULL:
        raise MemoryError
    return memory


cdef const void *_octets_of(object owner, size_t *length) except? NULL:
    """Return where the octets of *owner* are and how many; they stay there as long as it lives.

    True of bytes, of arrays that are never resized and of views of a mapped file: all that an index
    is made of.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(owner, &view, PyBUF_SIMPLE)
    cdef const void *octets = view.buf
    length[0] = view.len
    PyBuffer_Release(&view)
    return octets


cdef const void *_array(object owner, size_t element, size_t count) except? NULL:
    """Return the elements of *owner*, of which there must be *count*."""
    cdef size_t length = 0
    cdef const void *octets = _octets_of(owner, &length)
    if length != element * count:
        raise ValueError(f"{length} octets where {count} elements of {element} are wanted")
    return octets
