/* The two ends of a measurement over UDP: what asks as fast as it is answered, and the least that a
 * server can do. Built and run by bench_hotpath.py.
 *
 *     bench_udp ask PORT SECONDS WINDOW < packets     each packet after its length in two octets
 *     bench_udp echo PORT                             sends each packet back as it came, with QR set
 *
 * ask keeps WINDOW queries under way; what is not answered within a tenth of a second is given up. It
 * prints how many it sent, and how many were answered. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, OCTETS = 4096, SOCKETS = 8 };

static struct mmsghdr messages[BATCH];
static struct iovec pieces[BATCH];
static struct sockaddr_in peers[BATCH];
static uint8_t buffers[BATCH][OCTETS + 192];

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static int open_socket(void) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), octets = 4 << 20;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    return descriptor;
}

static struct sockaddr_in local(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void prepare(int with_peers) {
    for (int at = 0; at < BATCH; at++) {
        pieces[at] = (struct iovec){buffers[at], OCTETS};
        messages[at].msg_hdr = (struct msghdr){.msg_iov = &pieces[at], .msg_iovlen = 1};
        if (with_peers) messages[at].msg_hdr.msg_name = &peers[at];
    }
}

static int echo(int port) {
    int descriptor = open_socket();
    struct sockaddr_in address = local(port);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address)) return perror("bind"), 1;
    prepare(1);
    for (;;) {
        for (int at = 0; at < BATCH; at++) {
            messages[at].msg_hdr.msg_namelen = sizeof peers[at];
            pieces[at].iov_len = OCTETS;
        }
        int received = recvmmsg(descriptor, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int at = 0; at < received; at++) {
            pieces[at].iov_len = messages[at].msg_len;
            buffers[at][2] |= 0x80;
        }
        for (int at = 0; at < received;) {
            int sent = sendmmsg(descriptor, messages + at, received - at, 0);
            at += sent > 0 ? sent : 1;
        }
    }
}

static int ask(int port, double duration, int window) {
    static uint8_t *packets[1 << 20];
    static uint16_t lengths[1 << 20];
    int count = 0, next = 0;
    for (uint8_t head[2]; count < 1 << 20 && fread(head, 2, 1, stdin) == 1; count++) {
        lengths[count] = head[0] << 8 | head[1];
        packets[count] = malloc(lengths[count]);
        if (fread(packets[count], lengths[count], 1, stdin) != 1) return 1;
    }
    int descriptors[SOCKETS], under_way[SOCKETS] = {0};
    struct sockaddr_in address = local(port);
    for (int at = 0; at < SOCKETS; at++) {
        struct timeval patience = {.tv_usec = 100000};
        descriptors[at] = open_socket();
        setsockopt(descriptors[at], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(descriptors[at], (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
    }
    uint64_t sent = 0, answered = 0, lost = 0;
    double end = seconds() + duration;
    prepare(0);
    for (int turn = 0; seconds() < end; turn = (turn + 1) % SOCKETS) {
        int ready = window / SOCKETS - under_way[turn];
        if (ready > BATCH) ready = BATCH;
        for (int at = 0; at < ready; at++) {
            pieces[at] = (struct iovec){packets[next], lengths[next]};
            next = next + 1 == count ? 0 : next + 1;
        }
        int done = ready > 0 ? sendmmsg(descriptors[turn], messages, ready, 0) : 0;
        if (done > 0) sent += done, under_way[turn] += done;
        int reading = (turn + 1) % SOCKETS;
        if (!under_way[reading]) continue;
        for (int at = 0; at < BATCH; at++) pieces[at] = (struct iovec){buffers[at], OCTETS};
        int received = recvmmsg(descriptors[reading], messages, BATCH, MSG_WAITFORONE, NULL);
        if (received > 0)
            answered += received, under_way[reading] -= received;
        else
            lost += under_way[reading], under_way[reading] = 0;
    }
    printf("%lu %lu %lu\n", sent, answered, lost);
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "echo")) return echo(atoi(words[2]));
    if (count == 5 && !strcmp(words[1], "ask")) return ask(atoi(words[2]), atof(words[3]), atoi(words[4]));
    return fprintf(stderr, "bench_udp ask PORT SECONDS WINDOW | bench_udp echo PORT\n"), 2;
}
