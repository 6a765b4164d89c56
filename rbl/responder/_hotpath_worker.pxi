# The loop over batches of packets: one socket and one thread, which never waits for the interpreter.

from posix.time cimport CLOCK_REALTIME, clock_gettime
from posix.unistd cimport usleep

cdef enum:
    BATCH = 64
    # A query is some 100 octets. Of a longer packet the rest is lost and the parser says FORMERR.
    LARGEST_QUERY = 4096
    # Not a power of two: else the first lines of all buffers would share one set of the cache.
    QUERY_STRIDE = LARGEST_QUERY + 192
    ANSWERS_OCTETS = BATCH * LARGEST_QUERY + LARGEST_ANSWER
    # What is answered at a stop of what waits in the socket: more arrives for ever.
    LAST_PACKETS = 10000
    PAUSE_MICROSECONDS = 20

ctypedef struct Desk:
    # What other threads read. One writer each.
    uint64_t batches  # odd while what was published is in use
    uint64_t writing  # which of the tables of hits
    uint64_t send_failures
    uint64_t unplaced_hits
    uint64_t overruns
    # What other threads write.
    uint64_t stopping
    uint64_t wanted  # which table of hits is to be written from the next batch on
    uint64_t *counts  # by zone, none of ours first, and outcome
    uint64_t *key_counts  # by the key's number
    uint64_t *octets  # by zone, in and out; of data files alone
    Hit *hits[2]
    # The worker's own.
    mmsghdr received[BATCH]
    iovec received_in[BATCH]
    mmsghdr sent[BATCH]
    iovec sent_from[BATCH]
    Query asked[BATCH]
    uint32_t answered
    uint32_t used  # octets of answers
    uint32_t hit_count
    Counted hit[BATCH]
    uint8_t names[BATCH][NAME_STORAGE]
    uint64_t controls[BATCH][CONTROL_WORDS]
    uint8_t *queries
    uint8_t *answers


cdef class Exchange:
    """Where the generation of the moment lies, and who may be reading it."""

    cdef uint64_t _current  # Frozen *
    cdef Generation _generation
    cdef readonly list workers

    def __cinit__(self, Generation generation):
        self.workers = []
        self._generation = generation
        self._current = <uint64_t>&generation.frozen

    def publish(self, Generation generation):
        """Have every batch from now on answered from *generation*; return when none uses the last one.

        One caller at a time.
        """
        cdef Generation before = self._generation
        cdef Worker worker
        rbl_store(&self._current, <uint64_t>&generation.frozen)
        self._generation = generation
        for worker in self.workers:
            worker._await_batch()
        return before  # and with it goes the last reference


cdef class Worker:
    """Answers what arrives at one socket, from ``run`` to ``stop``, as number *number* of a server.

    What is left to the reference path goes into *queue*, a socket, and back by ``reply``.
    """

    cdef Desk *_desk
    cdef Exchange _exchange
    cdef int _descriptor
    cdef int _queue_descriptor
    cdef uint32_t _number
    cdef bint _any
    cdef readonly uint32_t zone_count

    def __cinit__(
        self, Exchange exchange, uint32_t number, int descriptor, bint any_address, uint32_t zone_count, int queue
    ):
        cdef uint32_t at
        cdef Desk *desk = <Desk *>_claim(sizeof(Desk))
        self._desk = desk
        self._exchange = exchange
        self._descriptor = descriptor
        self._any = any_address
        self._number = number
        self._queue_descriptor = queue
        self.zone_count = zone_count
        desk.counts = <uint64_t *>_claim((zone_count + 1) * OUTCOME_COUNT * sizeof(uint64_t))
        desk.key_counts = <uint64_t *>_claim(KEY_NUMBERS * sizeof(uint64_t))
        desk.octets = <uint64_t *>_claim((zone_count + 1) * 2 * sizeof(uint64_t))
        desk.hits[0] = <Hit *>_claim(HIT_SLOTS * sizeof(Hit))
        desk.hits[1] = <Hit *>_claim(HIT_SLOTS * sizeof(Hit))
        desk.queries = <uint8_t *>_claim(BATCH * QUERY_STRIDE)
        desk.answers = <uint8_t *>_claim(ANSWERS_OCTETS)
        for at in range(BATCH):
            desk.received_in[at].iov_base = desk.queries + at * QUERY_STRIDE
            desk.received_in[at].iov_len = LARGEST_QUERY
            desk.received[at].msg_hdr.msg_iov = &desk.received_in[at]
            desk.received[at].msg_hdr.msg_iovlen = 1
            desk.received[at].msg_hdr.msg_name = desk.names[at]
            desk.sent[at].msg_hdr.msg_iov = &desk.sent_from[at]
            desk.sent[at].msg_hdr.msg_iovlen = 1
            if any_address:
                desk.received[at].msg_hdr.msg_control = desk.controls[at]
        exchange.workers.append(self)

    def run(self):
        """Answer until the socket is shut down after ``stop``, then what waits in it."""
        cdef Desk *desk = self._desk
        cdef int received
        cdef uint32_t left
        with nogil:
            while not rbl_load(&desk.stopping):
                received = self._receive(MSG_WAITFORONE)
                if received > 0:
                    self._answer_batch(received)
            left = LAST_PACKETS
            while left > 0:
                received = self._receive(MSG_DONTWAIT)
                if received <= 0:
                    break
                self._answer_batch(received)
                left -= received if <uint32_t>received < left else left

    def stop(self):
        """Have ``run`` end. It may wait in the socket, which the caller shuts down to wake it."""
        rbl_store(&self._desk.stopping, 1)

    def counts(self):
        """Return how often each outcome was, for each zone, those of none of ours first."""
        cdef uint32_t at
        return [self._desk.counts[at] for at in range((self.zone_count + 1) * OUTCOME_COUNT)]

    def key_counts(self, uint32_t keys):
        """Return how often each of the first *keys* keys was asked with, by its number."""
        cdef uint32_t at
        return [self._desk.key_counts[at] for at in range(keys)]

    def octets(self):
        """Return the octets that came and went for each zone of data files, those of none of ours first."""
        cdef uint32_t at
        return [self._desk.octets[at] for at in range((self.zone_count + 1) * 2)]

    @property
    def send_failures(self):
        """How many answers the system would not send."""
        return self._desk.send_failures

    @property
    def overruns(self):
        """How many packets were dropped because the reference path had too many to answer before them."""
        return self._desk.overruns

    @property
    def unplaced_hits(self):
        """How many hits found no room in their table, and were not counted by listing."""
        return self._desk.unplaced_hits

    def take_hits(self):
        """Return the hits since the last call: sort, zone, address in two halves (or a hash), how many.

        One caller at a time.
        """
        cdef Desk *desk = self._desk
        cdef uint64_t last = desk.wanted
        cdef Hit *hit
        cdef uint32_t at
        cdef list taken = []
        rbl_store(&desk.wanted, 1 - last)
        self._await_batch()
        for at in range(HIT_SLOTS):
            hit = &desk.hits[last][at]
            if hit.what:
                taken.append((hit.what & 7, hit.what >> 3, hit.mark.high, hit.mark.low, hit.count))
        memset(desk.hits[last], 0, HIT_SLOTS * sizeof(Hit))
        return taken

    cdef int _await_batch(self) except -1:
        """Return when no batch that has begun before is under way."""
        cdef uint64_t begun = rbl_load(&self._desk.batches)
        if begun & 1:
            with nogil:
                while rbl_load(&self._desk.batches) == begun:
                    usleep(PAUSE_MICROSECONDS)
        return 0

    cdef int _receive(self, int flags) noexcept nogil:
        """Wait for packets and return how many there are; 0 or less where the wait had another end."""
        cdef Desk *desk = self._desk
        cdef uint32_t at
        cdef int received
        for at in range(BATCH):
            desk.received[at].msg_hdr.msg_namelen = NAME_STORAGE
            if self._any:
                desk.received[at].msg_hdr.msg_controllen = CONTROL_OCTETS
        received = recvmmsg(self._descriptor, desk.received, BATCH, flags, NULL)
        if received == 1 and desk.received[0].msg_hdr.msg_namelen == 0:
            return 0  # no packet: the socket was shut down
        return received

    cdef void _answer_batch(self, int received) noexcept nogil:
        cdef Desk *desk = self._desk
        cdef uint32_t at
        cdef timespec clock
        cdef int64_t now
        cdef const Frozen *frozen
        cdef uint64_t batch = desk.batches
        clock_gettime(CLOCK_REALTIME, &clock)
        now = <int64_t>clock.tv_sec * 1000000000 + clock.tv_nsec
        desk.answered = desk.used = desk.hit_count = 0
        rbl_store(&desk.batches, batch + 1)
        frozen = <const Frozen *>rbl_load(&self._exchange._current)
        desk.writing = rbl_load(&desk.wanted)
        if frozen.of_files:
            for at in range(<uint32_t>received):
                _seek_in_files(frozen, desk.queries + at * QUERY_STRIDE, desk.received[at].msg_len, &desk.asked[at])
        else:
            for at in range(<uint32_t>received):
                _seek(frozen, desk.queries + at * QUERY_STRIDE, desk.received[at].msg_len, &desk.asked[at])
        for at in range(<uint32_t>received):
            _approach(&desk.asked[at])
        _find(desk.asked, received)
        if frozen.of_files:
            for at in range(<uint32_t>received):
                self._answer_one_from_files(frozen, now, at)
        else:
            for at in range(<uint32_t>received):
                self._answer_one(frozen, now, at)
        for at in range(desk.hit_count):
            if not _count_hit(desk.hits[desk.writing], &desk.hit[at]):
                rbl_count(&desk.unplaced_hits)
        rbl_store(&desk.batches, batch + 2)
        self._send()

    cdef void _answer_one(self, const Frozen *frozen, int64_t now, uint32_t at) noexcept nogil:
        """Answer packet *at*, or leave it for the reference path."""
        cdef Desk *desk = self._desk
        cdef Client client
        cdef Tally tally
        cdef uint32_t packed_octets
        cdef const uint8_t *packed = rbl_packed(desk.names[at], &packed_octets)
        cdef int32_t octets
        _read_client(&client, packed, packed_octets)
        octets = _answer(frozen, &client, now, &desk.asked[at], desk.answers + desk.used, &tally)
        if octets == HANDED_UP:
            self._hand_up(at)
            return
        _tally(desk, &tally)
        if octets > 0:
            self._queue(at, octets)

    cdef void _answer_one_from_files(self, const Frozen *frozen, int64_t now, uint32_t at) noexcept nogil:
        """The same where the zones are those of data files."""
        cdef Desk *desk = self._desk
        cdef Client client
        cdef Tally tally
        cdef uint32_t row, packed_octets
        cdef const uint8_t *packed = rbl_packed(desk.names[at], &packed_octets)
        cdef int32_t octets
        _read_client(&client, packed, packed_octets)
        octets = _answer_from_files(frozen, &client, now, &desk.asked[at], desk.answers + desk.used, &tally)
        if octets == HANDED_UP:
            self._hand_up(at)
            return
        _tally(desk, &tally)
        row = 0 if tally.zone is NULL else tally.zone.number + 1
        rbl_add(&desk.octets[2 * row], desk.received[at].msg_len)
        rbl_add(&desk.octets[2 * row + 1], <uint32_t>octets)
        if octets > 0:
            self._queue(at, octets)

    cdef void _queue(self, uint32_t at, uint32_t octets) noexcept nogil:
        """Queue the answer that stands at the end of the answers, to the client of packet *at*."""
        cdef Desk *desk = self._desk
        cdef msghdr *received = &desk.received[at].msg_hdr
        cdef msghdr *sent = &desk.sent[desk.answered].msg_hdr
        desk.sent_from[desk.answered].iov_base = desk.answers + desk.used
        desk.sent_from[desk.answered].iov_len = octets
        sent.msg_name = received.msg_name
        sent.msg_namelen = received.msg_namelen
        if self._any:
            rbl_answer_from_asked(received)
            sent.msg_control = received.msg_control
            sent.msg_controllen = received.msg_controllen
        desk.answered += 1
        desk.used += octets

    cdef void _send(self) noexcept nogil:
        """Send what is queued. What the system would not send is as if the network had lost it."""
        cdef Desk *desk = self._desk
        cdef uint32_t at = 0
        cdef int sent
        while at < desk.answered:
            sent = sendmmsg(self._descriptor, desk.sent + at, desk.answered - at, 0)
            if sent > 0:
                at += sent
            elif errno != EINTR:
                rbl_count(&desk.send_failures)
                at += 1
        desk.answered = desk.used = 0

    cdef void _hand_up(self, uint32_t at) noexcept nogil:
        """Leave packet *at* to the reference path. What comes faster than that answers is dropped."""
        cdef Desk *desk = self._desk
        cdef mmsghdr *received = &desk.received[at]
        cdef const uint8_t *packet = desk.queries + at * QUERY_STRIDE
        if not _pass_on(self._queue_descriptor, self._number, &received.msg_hdr, packet, received.msg_len):
            rbl_count(&desk.overruns)

    def reply(self, bytes message, bytes answer):
        """Send *answer* to where *message* came from, and return whether the system would; from any thread."""
        cdef Handed handed = _handed(message)
        cdef iovec part
        cdef msghdr header
        cdef ssize_t sent
        memset(&header, 0, sizeof(msghdr))
        part.iov_base = <char *>answer
        part.iov_len = len(answer)
        header.msg_name = handed.name
        header.msg_namelen = handed.name_octets
        header.msg_iov = &part
        header.msg_iovlen = 1
        if self._any:
            header.msg_control = handed.control
            header.msg_controllen = handed.control_octets
            rbl_answer_from_asked(&header)
        with nogil:
            sent = sendmsg(self._descriptor, &header, 0)
        return sent >= 0

    def __dealloc__(self):
        cdef Desk *desk = self._desk
        if desk is not NULL:
            free(desk.counts)
            free(desk.key_counts)
            free(desk.octets)
            free(desk.hits[0])
            free(desk.hits[1])
            free(desk.queries)
            free(desk.answers)
            free(desk)


cdef inline void _tally(Desk *desk, const Tally *tally) noexcept nogil:
    """Count one query; where a listing was hit, have the memory fetch the place where that is counted."""
    cdef uint32_t row = 0 if tally.zone is NULL else tally.zone.number + 1
    cdef Counted *counted
    rbl_count(&desk.counts[row * OUTCOME_COUNT + tally.outcome])
    if tally.key is not NULL:
        rbl_count(&desk.key_counts[tally.key.number])
    if tally.hit:
        counted = &desk.hit[desk.hit_count]
        counted.what = tally.zone.number << 3 | tally.hit
        counted.asked = tally.asked
        counted.start = tally.start
        counted.slot = _slot(counted.what, &tally.asked)
        rbl_prefetch(&desk.hits[desk.writing][counted.slot])
        desk.hit_count += 1
