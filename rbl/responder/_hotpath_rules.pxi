# What is done with clients: access lists, cookies, budgets.

cdef enum Action:
    ALLOW = 0
    REFUSE = 1
    IGNORE = 2
    EMPTY = 3
    LISTED = 4

ACTIONS = ("allow", "refuse", "ignore", "empty", "listed")

ctypedef struct Client:
    bint is_ipv4
    uint32_t ipv4
    uint64_t high  # of an IPv6 address
    uint64_t low
    const uint8_t *packed
    uint32_t octets


cdef inline bint _read_client(Client *client, const uint8_t *packed, uint32_t octets) noexcept nogil:
    client.packed = packed
    client.octets = octets
    client.is_ipv4 = octets == 4
    if octets == 4:
        client.ipv4 = rbl_get32(packed)
    elif octets == 16:
        client.high = <uint64_t>rbl_get32(packed) << 32 | rbl_get32(packed + 4)
        client.low = <uint64_t>rbl_get32(packed + 8) << 32 | rbl_get32(packed + 12)
    else:
        return False
    return True


# --- access lists --------------------------------------------------------------------------------

ctypedef struct Access:
    uint32_t count4
    uint32_t *starts4
    uint32_t *rules4
    uint32_t count6
    uint64_t *highs6
    uint64_t *lows6
    uint32_t *rules6
    uint8_t *actions  # by rule
    Answer ***answers  # by rule, in chunks: of those that list everything


cdef class AccessTable:
    """An access list (``rbl.responder.access.AccessTable``) as the hot path asks it."""

    cdef Access access
    cdef AnswerBook _book

    def __cinit__(self, object table, list answer_sets, str url, object pack_addresses):
        cdef size_t at
        starts, numbers = table.ipv4
        self.access.count4 = len(starts)
        self.access.starts4 = <uint32_t *>_claim(len(starts) * sizeof(uint32_t))
        self.access.rules4 = <uint32_t *>_claim(len(starts) * sizeof(uint32_t))
        for at in range(len(starts)):
            self.access.starts4[at] = starts[at]
            self.access.rules4[at] = numbers[at]
        starts, numbers = table.ipv6
        self.access.count6 = len(starts)
        self.access.highs6 = <uint64_t *>_claim(len(starts) * sizeof(uint64_t))
        self.access.lows6 = <uint64_t *>_claim(len(starts) * sizeof(uint64_t))
        self.access.rules6 = <uint32_t *>_claim(len(starts) * sizeof(uint32_t))
        for at in range(len(starts)):
            self.access.highs6[at] = starts[at] >> 64
            self.access.lows6[at] = starts[at] & 0xFFFFFFFFFFFFFFFF
            self.access.rules6[at] = numbers[at]
        self.access.actions = <uint8_t *>_claim(len(table.rules))
        self._book = AnswerBook(url)
        for at in range(len(table.rules)):
            self.access.actions[at] = ACTIONS.index(table.rules[at].action.value)
            self._book.add(answer_sets[at], pack_addresses)
        self.access.answers = self._book._chunks  # of which no more are added

    def __dealloc__(self):
        free(self.access.starts4)
        free(self.access.rules4)
        free(self.access.highs6)
        free(self.access.lows6)
        free(self.access.rules6)
        free(self.access.actions)


cdef inline uint32_t _rule(const Access *access, const Client *client) noexcept nogil:
    """Return the number of the rule for *client*. The first range of each family begins at 0."""
    cdef uint32_t low = 0, high, middle
    if client.is_ipv4:
        high = access.count4
        while high - low > 1:
            middle = (low + high) >> 1
            if access.starts4[middle] <= client.ipv4:
                low = middle
            else:
                high = middle
        return access.rules4[low]
    high = access.count6
    while high - low > 1:
        middle = (low + high) >> 1
        if access.highs6[middle] < client.high or (
            access.highs6[middle] == client.high and access.lows6[middle] <= client.low
        ):
            low = middle
        else:
            high = middle
    return access.rules6[low]


# --- cookies -------------------------------------------------------------------------------------

cdef extern from *:
    """
    #define RBL_TURN(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))
    #define RBL_SIP_ROUND                                                              \\
        v0 += v1; v2 += v3; v1 = RBL_TURN(v1, 13) ^ v0; v3 = RBL_TURN(v3, 16) ^ v2;    \\
        v0 = RBL_TURN(v0, 32) + v3; v2 += v1; v1 = RBL_TURN(v1, 17) ^ v2;              \\
        v3 = RBL_TURN(v3, 21) ^ v0; v2 = RBL_TURN(v2, 32)

    static inline uint64_t rbl_little64(const uint8_t *at) {
        return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24
             | (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
    }
    /* SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, 2012). */
    static uint64_t rbl_siphash24(const uint8_t *key, const uint8_t *message, uint32_t length) {
        uint64_t k0 = rbl_little64(key), k1 = rbl_little64(key + 8), word = (uint64_t)length << 56;
        uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
        uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
        for (; length >= 8; message += 8, length -= 8) {
            uint64_t next = rbl_little64(message);
            v3 ^= next; RBL_SIP_ROUND; RBL_SIP_ROUND; v0 ^= next;
        }
        for (uint32_t at = 0; at < length; at++) word |= (uint64_t)message[at] << (8 * at);
        v3 ^= word; RBL_SIP_ROUND; RBL_SIP_ROUND; v0 ^= word;
        v2 ^= 0xff; RBL_SIP_ROUND; RBL_SIP_ROUND; RBL_SIP_ROUND; RBL_SIP_ROUND;
        return v0 ^ v1 ^ v2 ^ v3;
    }
    """
    uint64_t rbl_little64(const uint8_t *at) noexcept nogil
    uint64_t rbl_siphash24(const uint8_t *key, const uint8_t *message, uint32_t length) noexcept nogil

cdef enum:
    COOKIE_OCTETS = 24  # RFC 9018 §4: client cookie 8, server cookie 16
    COOKIE_VERSION = 1
    OLDEST_SECONDS = 3600  # RFC 9018 §4.3, as are the next two
    FUTURE_SECONDS = 300
    RENEW_SECONDS = 1800
    SECRET_OCTETS = 16


cdef inline uint64_t _digest(const uint8_t *cookie, const Client *client, const uint8_t *secret) noexcept nogil:
    """Return the last eight octets of a cookie, of which the first 16 are there."""
    cdef uint8_t message[32]
    memcpy(message, cookie, 16)
    memcpy(message + 16, client.packed, client.octets)
    return rbl_siphash24(secret, message, 16 + client.octets)


cdef inline bint _check_cookie(
    const Query *query, const Client *client, uint32_t now, const Rules *rules, uint8_t *option
) noexcept nogil:
    """Return whether the query's cookie proves its client, and write the one to answer with."""
    cdef const uint8_t *cookie = query.cookie
    cdef bint valid = False
    cdef int32_t age
    cdef uint32_t number
    cdef uint64_t digest
    if query.cookie_octets == COOKIE_OCTETS and cookie[8] == COOKIE_VERSION:
        age = <int32_t>(now - rbl_get32(cookie + 12))  # RFC 1982: the time goes round in 2106
        if -FUTURE_SECONDS <= age <= OLDEST_SECONDS:
            for number in range(rules.secret_count):
                # One subtraction of whole words: it takes as long whichever octet differs.
                digest = _digest(cookie, client, rules.secrets + SECRET_OCTETS * number)
                if digest == rbl_little64(cookie + 16):
                    if number == 0 and age <= RENEW_SECONDS:
                        memcpy(option, cookie, COOKIE_OCTETS)
                        return True
                    valid = True
                    break
    memcpy(option, cookie, 8)
    rbl_put32(option + 8, <uint32_t>COOKIE_VERSION << 24)
    rbl_put32(option + 12, now)
    digest = _digest(option, client, rules.secrets)
    for number in range(8):
        option[16 + number] = <uint8_t>(digest >> (8 * number))
    return valid


# --- budgets -------------------------------------------------------------------------------------

cdef enum Decision:
    SEND = 0
    SLIP = 1
    DROP = 2

cdef enum OutcomeClass:
    POSITIVE = 0
    OF_NODATA = 1
    OF_NXDOMAIN = 2
    ERROR = 3
    CLASSES = 4

ctypedef struct Limiter:
    int64_t interval
    int64_t tolerance
    uint32_t slip
    uint32_t ipv4_shift
    uint32_t ipv6_prefix
    const Access *exempt
    uint64_t slots
    uint64_t seed
    uint64_t *tats  # nanoseconds, as a two's complement
    uint8_t *over


cdef extern from *:
    """
    /* Several threads count in one budget. One may overwrite what another has just written: then a
       client gets an answer too many, which a lock for every packet would cost more than. */
    #define rbl_read_relaxed(place) __atomic_load_n(place, __ATOMIC_RELAXED)
    #define rbl_write_relaxed(place, value) __atomic_store_n(place, value, __ATOMIC_RELAXED)
    """
    uint64_t rbl_read_relaxed(uint64_t *place) noexcept nogil
    uint8_t rbl_read_octet "rbl_read_relaxed"(uint8_t *place) noexcept nogil
    void rbl_write_relaxed(uint64_t *place, uint64_t value) noexcept nogil
    void rbl_write_octet "rbl_write_relaxed"(uint8_t *place, uint8_t value) noexcept nogil


cdef inline Decision _decide(
    const Limiter *limiter, const Client *client, OutcomeClass outcome, int64_t now
) noexcept nogil:
    """Return what becomes of an answer to *client*, and take it out of the budget (``ratelimit``)."""
    cdef uint64_t high = 0, low, slot
    cdef int64_t tat
    cdef uint32_t over
    if limiter.exempt.actions[_rule(limiter.exempt, client)] == ALLOW:
        return SEND
    if client.is_ipv4:
        low = client.ipv4 >> limiter.ipv4_shift
    elif limiter.ipv6_prefix <= 64:
        low = client.high >> (64 - limiter.ipv6_prefix)
    else:
        high = client.high
        low = client.low >> (128 - limiter.ipv6_prefix)
    slot = rbl_mix(high ^ limiter.seed, rbl_mix(low ^ limiter.seed, client.is_ipv4 | 2))
    slot = slot % (limiter.slots // CLASSES) * CLASSES + outcome
    tat = <int64_t>rbl_read_relaxed(&limiter.tats[slot])
    if tat - now > limiter.tolerance + limiter.interval or tat < now:
        rbl_write_relaxed(&limiter.tats[slot], <uint64_t>(now + limiter.interval))
        return SEND
    if tat - now <= limiter.tolerance:
        rbl_write_relaxed(&limiter.tats[slot], <uint64_t>(tat + limiter.interval))
        return SEND
    if limiter.slip == 0:
        return DROP
    over = (rbl_read_octet(&limiter.over[slot]) + <uint32_t>1) % limiter.slip
    rbl_write_octet(&limiter.over[slot], <uint8_t>over)
    return DROP if over else SLIP


# --- all of it -----------------------------------------------------------------------------------

ctypedef struct Rules:
    uint32_t largest_octets  # of an answer over UDP
    const uint8_t *nsid  # an EDNS option, as are the others; empty where it is not told
    uint32_t nsid_octets
    const uint8_t *foreign
    uint32_t foreign_octets
    const uint8_t *denied
    uint32_t denied_octets
    const uint8_t *keyless
    uint32_t keyless_octets
    const Access *access
    const uint8_t *secrets
    uint32_t secret_count
    const Limiter *limiter  # NULL for no limit


cdef class ClientRules:
    """The rules for all clients (``rbl.responder.rules.Rules``) as the hot path asks them."""

    cdef Rules rules
    cdef Limiter _limiter
    cdef tuple _kept

    def __cinit__(
        self, uint32_t largest_octets, bytes nsid, bytes foreign, bytes denied, bytes keyless,
        AccessTable access, bytes secrets,
    ):
        self._kept = (nsid, foreign, denied, keyless, access, secrets)
        self.rules.largest_octets = largest_octets
        self.rules.nsid = <const uint8_t *><const char *>nsid
        self.rules.nsid_octets = len(nsid)
        self.rules.foreign = <const uint8_t *><const char *>foreign
        self.rules.foreign_octets = len(foreign)
        self.rules.denied = <const uint8_t *><const char *>denied
        self.rules.denied_octets = len(denied)
        self.rules.keyless = <const uint8_t *><const char *>keyless
        self.rules.keyless_octets = len(keyless)
        if access is not None:
            self.rules.access = &access.access
        self.rules.secrets = <const uint8_t *><const char *>secrets
        self.rules.secret_count = len(secrets) // SECRET_OCTETS

    def limit(self, object limiter, AccessTable exempt, uint64_t slots, uint64_t seed):
        """Limit the rate as *limiter* (``ratelimit.RateLimiter``) does, with budgets of its own."""
        self._kept = (*self._kept, exempt)
        self._limiter.interval = limiter.interval
        self._limiter.tolerance = limiter.tolerance
        self._limiter.slip = limiter.slip
        self._limiter.ipv4_shift = 32 - limiter.ipv4_prefix
        self._limiter.ipv6_prefix = limiter.ipv6_prefix
        self._limiter.exempt = &exempt.access
        self._limiter.slots = slots
        self._limiter.seed = seed
        self._limiter.tats = <uint64_t *>_claim(slots * sizeof(uint64_t))
        self._limiter.over = <uint8_t *>_claim(slots)
        self.rules.limiter = &self._limiter

    def __dealloc__(self):
        free(self._limiter.tats)
        free(self._limiter.over)
