# Customers' keys that somebody has asked with: the reference path has proved them, here they are known.

cdef enum:
    KEY_OCTETS = 26  # ``customerkey`` says what a key is
    KEY_NUMBERS = 65536  # a key beyond is left to the reference path

MOST_KEYS = KEY_NUMBERS

ctypedef struct KnownKey:
    uint8_t label[KEY_OCTETS]
    bint used
    uint32_t number  # for the counters

ctypedef struct KeyTable:
    uint64_t seed
    uint64_t slots  # a power of two, more than half of them free
    KnownKey *keys


cdef class KnownKeys:
    """The valid keys of one zone that are known, and the number of each."""

    cdef KeyTable table
    cdef readonly dict numbers

    def __cinit__(self, dict numbers, uint64_t seed):
        cdef uint64_t at
        cdef KnownKey *key
        self.numbers = numbers
        self.table.seed = seed
        self.table.slots = 2
        while self.table.slots < 2 * <uint64_t>len(numbers) + 1:
            self.table.slots *= 2
        self.table.keys = <KnownKey *>_claim(self.table.slots * sizeof(KnownKey))
        for label, number in numbers.items():
            if len(label) != KEY_OCTETS:
                raise ValueError(f"a key of {len(label)} octets")
            at = rbl_hash(seed, <const uint8_t *><const char *>(<bytes>label), KEY_OCTETS)
            while self.table.keys[at & (self.table.slots - 1)].used:
                at += 1
            key = &self.table.keys[at & (self.table.slots - 1)]
            memcpy(key.label, <const char *>(<bytes>label), KEY_OCTETS)
            key.used = True
            key.number = number

    def __dealloc__(self):
        free(self.table.keys)


cdef inline const KnownKey *_known_key(const KeyTable *table, const uint8_t *label) noexcept nogil:
    """Return the key that is that lower-case label, or NULL."""
    cdef uint64_t at = rbl_hash(table.seed, label, KEY_OCTETS)
    cdef const KnownKey *key
    while True:
        key = &table.keys[at & (table.slots - 1)]
        if not key.used:
            return NULL
        if memcmp(key.label, label, KEY_OCTETS) == 0:
            return key
        at += 1


cdef inline bint _is_key(const uint8_t *label) noexcept nogil:
    """Whether a label, which begins with its length, has the form of a key."""
    cdef uint32_t at
    if label[0] != KEY_OCTETS:
        return False
    for at in range(1, KEY_OCTETS + 1):
        if not (97 <= label[at] <= 122 or 50 <= label[at] <= 55):
            return False
    return True
