/*
 * The keys of session tickets: one seals, those around it in time still open. All nodes
 * have the same ones from the key servers, so that a session goes on at any of them.
 */
#ifndef SLU_L7_TICKET_RING_H
#define SLU_L7_TICKET_RING_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "sluice/key_protocol.h"

#define SLU_TICKET_NAME_BYTES 16
#define SLU_TICKET_SECRET_BYTES 32

struct slu_ticket_key {
	uint8_t name[SLU_TICKET_NAME_BYTES];
	uint8_t aes[SLU_TICKET_SECRET_BYTES];             /* AES-256-CBC */
	uint8_t hmac[SLU_TICKET_SECRET_BYTES];            /* SHA-256 */
	uint64_t seal_from_s, seal_until_s, open_until_s; /* since 1970 */
};

struct slu_ticket_ring {
	struct slu_ticket_key keys[SLU_KEY_TICKETS_MAX];
	uint32_t count; /* 0: no tickets are issued */
};

/*
 * Replaces all keys by `tickets` of the key protocol, `bytes` long; those that went are
 * wiped. Returns 0; -EBADMSG if that is no list of keys: then the old ones stay.
 */
int slu_ticket_ring_set(struct slu_ticket_ring *ring, const uint8_t *tickets, size_t bytes);

/* Makes the sessions of `context` tickets of this ring, which outlives every connection of it. */
void slu_ticket_ring_attach(struct slu_ticket_ring *ring, SSL_CTX *context);

#endif
