/*
 * One handshake's way to its key. A provider's function that needs a key server
 * asks it and pauses the job of OpenSSL that it runs in (ASYNC_pause_job); the
 * answer wakes the handshake's owner, who calls OpenSSL again, which goes on where
 * the job stopped. One worker's thread only.
 */
#ifndef SLU_L7_KEY_WAIT_H
#define SLU_L7_KEY_WAIT_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "l7/keys/key_call.h"

struct slu_key_client;

struct slu_key_wait {
	struct slu_key_client *keys;
	const SSL *ssl;
	bool cancelled;            /* the job, resumed, fails instead of asking or waiting */
	int error;                 /* of the last question, 0 or -errno */
	struct slu_key_call *call; /* asked and not answered; it lives on the paused job's stack */
	void (*wake)(struct slu_key_wait *wait);
};

/*
 * Between these, what OpenSSL calls on this thread belongs to `wait`. Every call of
 * libssl that can go through a handshake stands between them.
 */
void slu_key_wait_enter(struct slu_key_wait *wait);
void slu_key_wait_leave(void);

/* NULL outside. */
struct slu_key_wait *slu_key_wait_current(void);

/*
 * For the provider, in a job: asks, and comes back when `call` is done. Returns its
 * error; -ECANCELED; -EWOULDBLOCK outside of a job: nobody ever waits by blocking.
 */
int slu_key_wait_ask(struct slu_key_wait *wait, struct slu_key_call *call);

/*
 * Takes the question back. The job must then be resumed once, by calling libssl
 * again: freeing an SSL whose job is paused would leak the job with its stack.
 */
void slu_key_wait_cancel(struct slu_key_wait *wait);

#endif
