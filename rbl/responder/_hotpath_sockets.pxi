# What the system has for sockets: many packets in one call, and where each came from and was sent to.

from libc.errno cimport EINTR, errno
from posix.time cimport timespec

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <arpa/inet.h>

    /* Keep, of what came with a packet, the address it was sent to, to answer from there. The
       interface is left to the routing table: it may not be the one the query came by. */
    static void rbl_answer_from_asked(struct msghdr *header) {
        for (struct cmsghdr *each = CMSG_FIRSTHDR(header); each; each = CMSG_NXTHDR(header, each)) {
            if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO)
                ((struct in_pktinfo *)CMSG_DATA(each))->ipi_ifindex = 0;
            else if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO)
                ((struct in6_pktinfo *)CMSG_DATA(each))->ipi6_ifindex = 0;
        }
    }
    static const uint8_t *rbl_packed(const void *name, uint32_t *octets) {
        if (((const struct sockaddr *)name)->sa_family == AF_INET) {
            *octets = 4;
            return (const uint8_t *)&((const struct sockaddr_in *)name)->sin_addr;
        }
        *octets = 16;
        return (const uint8_t *)&((const struct sockaddr_in6 *)name)->sin6_addr;
    }
    """
    ctypedef struct iovec "struct iovec":
        void *iov_base
        size_t iov_len
    ctypedef struct msghdr "struct msghdr":
        void *msg_name
        uint32_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    ctypedef struct mmsghdr "struct mmsghdr":
        msghdr msg_hdr
        unsigned int msg_len
    int MSG_WAITFORONE
    int MSG_DONTWAIT
    int MSG_NOSIGNAL
    int recvmmsg(int descriptor, mmsghdr *messages, unsigned int count, int flags, timespec *timeout) nogil
    ssize_t sendmsg(int descriptor, const msghdr *message, int flags) nogil
    int sendmmsg(int descriptor, mmsghdr *messages, unsigned int count, int flags) nogil
    void rbl_answer_from_asked(msghdr *header) noexcept nogil
    const uint8_t *rbl_packed(const void *name, uint32_t *octets) noexcept nogil

cdef enum:
    CONTROL_WORDS = 8
    CONTROL_OCTETS = 8 * CONTROL_WORDS
    NAME_STORAGE = 32  # a sockaddr_in6 has 28
