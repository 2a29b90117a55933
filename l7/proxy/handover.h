/*
 * Words between the supervisor and a worker over a SOCK_SEQPACKET pair, with
 * descriptors (SCM_RIGHTS).
 */
#ifndef SLU_L7_HANDOVER_H
#define SLU_L7_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#define SLU_HANDOVER_FDS_MAX 128

enum slu_handover_kind {
	SLU_HANDOVER_SOCKETS,  /* listening sockets of the next site, in its order; may come in several words */
	SLU_HANDOVER_DOCUMENT, /* a file in memory: the next site begins */
	SLU_HANDOVER_REOPEN,   /* the access log */
	SLU_HANDOVER_COUNTERS, /* answered with struct slu_counters */
	SLU_HANDOVER_DRAIN,    /* take no more, end when idle */
};

struct slu_handover_word {
	uint32_t kind;
};

/* Returns 0 or -errno. */
int slu_handover_send(int fd, enum slu_handover_kind kind, const int *fds, int count);
int slu_handover_send_bytes(int fd, const void *bytes, size_t count);

/* Returns the number of descriptors, -EAGAIN, -EPIPE at the end, -errno. */
int slu_handover_receive(int fd, struct slu_handover_word *word, int fds[SLU_HANDOVER_FDS_MAX]);

#endif
