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
    /* How many of ascending keys are not above one. Without branches on what is compared, which no
       processor could foresee: halves while there are many, then all that are left at once. */
    static inline uint64_t rbl_not_above(const uint16_t *keys, uint64_t count, uint16_t key) {
        const uint16_t *left = keys;
        uint16_t number = 0;
        while (count > 64) {
            uint64_t half = count >> 1;
            left += left[half - 1] <= key ? half : 0;
            count -= half;
        }
        for (uint64_t at = 0; at < count; at++) number += left[at] <= key;
        return (uint64_t)(left - keys) + number;
    }
    static inline void rbl_lower(uint8_t *to, const uint8_t *from, uint32_t length) {
        for (uint32_t at = 0; at < length; at++) {
            uint8_t octet = from[at];
            to[at] = (uint8_t)(octet | ((uint8_t)(octet - 'A') < 26) << 5);
        }
    }
    """
    uint64_t rbl_load(uint64_t *place) noexcept nogil
    void rbl_store(uint64_t *place, uint64_t value) noexcept nogil
    void rbl_count(uint64_t *place) noexcept nogil
    void rbl_prefetch(const void *place) noexcept nogil
    uint16_t rbl_get16(const uint8_t *at) noexcept nogil
    uint32_t rbl_get32(const uint8_t *at) noexcept nogil
    void rbl_put16(uint8_t *at, uint16_t value) noexcept nogil
    void rbl_put32(uint8_t *at, uint32_t value) noexcept nogil
    uint64_t rbl_mix(uint64_t left, uint64_t right) noexcept nogil
    uint64_t rbl_hash(uint64_t hash, const uint8_t *octets, uint32_t length) noexcept nogil
    uint64_t rbl_not_above(const uint16_t *keys, uint64_t count, uint16_t key) noexcept nogil
    void rbl_lower(uint8_t *to, const uint8_t *source, uint32_t length) noexcept nogil


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
