/*
 * The rest of a closed connection: encrypted bytes that the socket did not take yet. The
 * kernel does this for clear text.
 */
#ifndef SLU_L7_LINGER_H
#define SLU_L7_LINGER_H

#include <stdint.h>
#include <sys/queue.h>

struct slu_engine;
struct slu_linger;
LIST_HEAD(slu_lingers, slu_linger);

/*
 * Sends bytes[begin .. end) as the peer takes them, on a copy of `fd`, which the caller
 * closes. Takes *bytes over and sets it to NULL. It is given up after ten seconds without
 * progress, or when memory or descriptors are out.
 */
void slu_linger_start(struct slu_engine *engine, int fd, uint8_t **bytes, uint32_t begin, uint32_t end);

/* Gives all of them up. */
void slu_linger_end_all(struct slu_engine *engine);

#endif
