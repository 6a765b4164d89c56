# What is left to the reference path: passed on with where its answer goes, and answered from there.

ctypedef struct Handed:
    # Before each packet that is passed on.
    uint64_t control[CONTROL_WORDS]
    uint8_t name[NAME_STORAGE]
    uint32_t control_octets
    uint32_t name_octets
    uint32_t worker  # the number of the one whose socket it came by


cdef bint _pass_on(int queue, uint32_t worker, const msghdr *received, const uint8_t *packet, size_t octets) noexcept nogil:
    """Put a packet into *queue*, and return whether there was room for it; never wait."""
    cdef Handed handed
    cdef iovec parts[2]
    cdef msghdr message
    memset(&handed, 0, sizeof(Handed))
    memset(&message, 0, sizeof(msghdr))
    handed.worker = worker
    handed.name_octets = received.msg_namelen
    memcpy(handed.name, received.msg_name, received.msg_namelen)
    if received.msg_control is not NULL:
        handed.control_octets = received.msg_controllen
        memcpy(handed.control, received.msg_control, received.msg_controllen)
    parts[0].iov_base = &handed
    parts[0].iov_len = sizeof(Handed)
    parts[1].iov_base = <void *>packet
    parts[1].iov_len = octets
    message.msg_iov = parts
    message.msg_iovlen = 2
    while sendmsg(queue, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0:
        if errno != EINTR:
            return False
    return True


cdef Handed _handed(bytes message):
    """Return what stands before the packet in *message*."""
    cdef Handed handed
    assert len(message) >= <Py_ssize_t>sizeof(Handed)
    memcpy(&handed, <const char *>message, sizeof(Handed))
    return handed


def read_handed(bytes message):
    """Return the number of the worker that passed *message* on, its client's packed address and its packet."""
    cdef Handed handed = _handed(message)
    cdef uint32_t octets
    cdef const uint8_t *packed = rbl_packed(handed.name, &octets)
    return handed.worker, (<const char *>packed)[:octets], message[sizeof(Handed) :]
