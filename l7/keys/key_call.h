/*
 * One question to the key servers, and its answer. It lives where its owner likes (on
 * the stack of a paused handshake, say) and is never copied by the client.
 */
#ifndef SLU_L7_KEY_CALL_H
#define SLU_L7_KEY_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/key_protocol.h"

struct slu_key_call {
	/* Set by the owner; what is pointed to stays until the call is done or cancelled. */
	enum slu_key_operation operation;
	bool is_client;                               /* role in TLS13_CERT_VERIFY */
	uint16_t scheme;                              /* SignatureScheme of RFC 8446, 4.2.3 */
	uint16_t client_version;                      /* RSA_PREMASTER alone */
	const uint8_t *key_id;                        /* [SLU_KEY_ID_BYTES]; not in TICKET_KEYS */
	const uint8_t *client_random, *server_random; /* [32], SERVER_KEY_EXCHANGE alone */
	const uint8_t *body;                          /* hash, parameters, encrypted premaster, transcript; none */
	size_t body_bytes;
	void (*done)(struct slu_key_call *call); /* from the loop, never from within slu_key_client_ask() */
	void *context;

	/*
	 * Filled in before done(): 0; -ETIMEDOUT or -ECONNRESET (no server answered), -ENOKEY (the key is
	 * not there, or not for us), -EACCES, -EINVAL (refused as not sound), -EBUSY, -EIO (servers failed),
	 * -EMSGSIZE (longer than answer_room). In `answer`: signature, premaster secret, struct slu_key_ticket.
	 */
	int error;
	uint8_t *answer; /* of the owner, answer_room bytes */
	size_t answer_room, answer_bytes;
	uint32_t refresh_s; /* TICKET_KEYS: ask again after this time */

	/* The client's. */
	uint32_t slot;
};

#endif
