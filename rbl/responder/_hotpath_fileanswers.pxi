# What a name has in rbldnsd's data files, and writing it into an answer.

cdef enum:
    LONGEST_FILE_TEXT = 254  # what rbldnsd answers (``template``)
    RTYPE_NS = 2
    MOST_TEXTS = 32  # of one answer: fileanswers._MOST_TEXTS
    SET_RECORDS = 1
    SET_TEXTS = 2

# An answer is the number of its sets in one octet, 0 where the reference path has to give it, then the
# sets: kind in one octet, type and count in two each, the octets that follow in four, and these: packed
# records, or the TTL and, for each text, pieces as in an AnswerBook.
cdef enum:
    SET_HEADER = 9

# What a name has in a zone.
ctypedef struct FileFound:
    const uint8_t *answer  # NULL for none
    bint exists
    bint of_name  # the answer is that of a name
    uint32_t label  # the first label of the entry that it is from

# A section as it is written. Nothing more is written when something did not fit.
ctypedef struct Section:
    uint8_t *out
    uint32_t room
    uint32_t octets
    uint32_t count
    bint full


cdef inline void _put(Section *section, const uint8_t *octets, uint32_t length, uint32_t count) noexcept nogil:
    """Add packed records, or say that they do not fit."""
    if section.full or length > section.room - section.octets:
        section.full = True
        return
    memcpy(section.out + section.octets, octets, length)
    section.octets += length
    section.count += count


cdef inline void _put_below(Section *section, uint32_t owner, const uint8_t *octets, uint32_t length) noexcept nogil:
    """Add one record that is packed from its type on, with the pointer *owner* before it."""
    if section.full or length + 2 > section.room - section.octets:
        section.full = True
        return
    rbl_put16(section.out + section.octets, owner)
    section.octets += 2
    _put(section, octets, length, 1)


cdef inline uint32_t _turn(const Query *query, uint32_t count) noexcept nogil:
    """Return which of *count* records comes first: another one with every query."""
    return rbl_get16(query.packet) % count if count > 1 else 0


cdef void _put_servers(const FileData *data, const Query *query, Section *section) noexcept nogil:
    """Add the records of the name servers."""
    cdef const uint8_t *record = data.servers
    cdef uint32_t owner = POINTER | (HEADER_OCTETS + query.name_octets - data.zone.apex_octets)
    cdef uint32_t first = _turn(query, data.server_count), number, length
    for number in range(first):
        record += 10 + rbl_get16(record + 8)
    for number in range(data.server_count):
        if first + number == data.server_count:
            record = data.servers
        length = 10 + rbl_get16(record + 8)
        _put_below(section, owner, record, length)
        record += length


cdef bint _write_apex(const FileData *data, const Query *query, Section *answers) noexcept nogil:
    """Write the SOA and the name servers that are asked for; return whether the latter are."""
    if query.qtype == RTYPE_SOA or query.qtype == RTYPE_ANY:
        _put_below(answers, POINTER | HEADER_OCTETS, data.soa, data.soa_octets)
    if query.qtype != RTYPE_NS and query.qtype != RTYPE_ANY:
        return False
    _put_servers(data, query, answers)
    return True


cdef void _write_sets(const Query *query, const FileFound *found, Section *answers) noexcept nogil:
    """Write of an answer the sets of the type that is asked for."""
    cdef const uint8_t *place = found.answer + 1
    cdef const uint8_t *octets
    cdef uint32_t number, each, count, skipped, length
    for number in range(found.answer[0]):
        length = rbl_get32(place + 5)
        octets = place + SET_HEADER
        if query.qtype == RTYPE_ANY or query.qtype == rbl_get16(place + 1):
            count = rbl_get16(place + 3)
            if place[0] == SET_TEXTS:
                _write_texts(query, found, octets, count, answers)
            else:
                skipped = 0
                for each in range(_turn(query, count)):
                    skipped += 12 + rbl_get16(octets + skipped + 10)
                _put(answers, octets + skipped, length - skipped, count)
                _put(answers, octets, skipped, 0)
        place = octets + length


cdef void _write_texts(
    const Query *query, const FileFound *found, const uint8_t *pieces, uint32_t count, Section *answers
) noexcept nogil:
    """Write the TXT records of an answer; texts that became alike are one."""
    cdef uint8_t subject[LONGEST_SUBJECT]
    cdef uint8_t record[12]
    cdef uint8_t texts[MOST_TEXTS][LONGEST_FILE_TEXT + 1]  # each after its length
    cdef uint32_t subject_octets, number, before, distinct = 0, at, length
    if found.of_name:
        subject_octets = _write_entry(query, found.label, subject)
    elif query.of_ipv4:
        subject_octets = _write_ipv4(query.ipv4, subject)
    else:
        subject_octets = _write_ipv6(query.high, query.low, subject)
    rbl_put16(record, POINTER | HEADER_OCTETS)
    rbl_put16(record + 2, RTYPE_TXT)
    rbl_put16(record + 4, RCLASS_IN)
    memcpy(record + 6, pieces, 4)
    pieces += 4
    for number in range(count):
        length = 0
        pieces += 1  # PIECE_TEXT
        while pieces[0] >= PIECE_LITERAL:
            if pieces[0] == PIECE_LITERAL:
                length = _append_text(texts[distinct] + 1, length, pieces + 3, rbl_get16(pieces + 1))
                pieces += 3 + rbl_get16(pieces + 1)
            else:
                length = _append_text(texts[distinct] + 1, length, subject, subject_octets)
                pieces += 1
        texts[distinct][0] = length
        before = 0
        while before < distinct and memcmp(texts[before], texts[distinct], length + 1) != 0:
            before += 1
        if before == distinct:
            distinct += 1
    at = _turn(query, distinct)
    for number in range(distinct):
        length = 1 + <uint32_t>texts[at][0]
        rbl_put16(record + 10, length)
        if length + 12 > answers.room - answers.octets:
            answers.full = True
            return
        _put(answers, record, 12, 1)
        _put(answers, texts[at], length, 0)
        at = at + 1 if at + 1 < distinct else 0


cdef inline uint32_t _append_text(
    uint8_t *text, uint32_t octets, const uint8_t *more, uint32_t length
) noexcept nogil:
    """Add *more* to *text*, and cut it at the longest that is told."""
    if length > LONGEST_FILE_TEXT - octets:
        length = LONGEST_FILE_TEXT - octets
    memcpy(text + octets, more, length)
    return octets + length


cdef uint32_t _write_entry(const Query *query, uint32_t label, uint8_t *out) noexcept nogil:
    """Write the labels from *label* to the apex as ``nametext.text_of`` does."""
    cdef uint32_t at = 0, number, octet
    cdef const uint8_t *octets
    while label < query.below:
        if at:
            out[at] = 46  # a dot
            at += 1
        octets = query.name + query.starts[label]
        for number in range(1, <uint32_t>octets[0] + 1):
            octet = octets[number]
            if 0x20 < octet < 0x7F:
                # " . ; \ @ $
                if octet == 34 or octet == 46 or octet == 59 or octet == 92 or octet == 64 or octet == 36:
                    out[at] = 92
                    at += 1
                out[at] = octet
                at += 1
            else:
                out[at] = 92
                out[at + 1] = 48 + octet // 100
                out[at + 2] = 48 + octet // 10 % 10
                out[at + 3] = 48 + octet % 10
                at += 4
        label += 1
    return at
