/*
 * Answers one request: whether this client may, with this key, now; then does it.
 */
#ifndef SLU_KEYSERVER_OPERATION_H
#define SLU_KEYSERVER_OPERATION_H

#include <stddef.h>
#include <stdint.h>

#include "key_message.h"
#include "keyserver/keyring.h"
#include "keyserver/metrics.h"

#define SLU_OPERATION_ROOM SLU_KEY_FRAME_MAX /* an answer fits */

/* Whose request it is, and who answers it. */
struct slu_operation_place {
	struct slu_keyring *ring;
	struct slu_keyring_client *client;
	struct slu_key_user *user;
	struct slu_metrics *metrics;
	size_t (*statistics)(void *arg, char *text, size_t room);
	void *arg; /* of statistics */
	uint64_t now_ns;
};

/*
 * Writes the answer to a request that slu_key_message_read() took. bytes has SLU_OPERATION_ROOM. Returns the
 * answer's bytes, never 0.
 */
size_t slu_operation_answer(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes);

/* Writes a refusal, and counts it. text may be NULL. */
size_t slu_operation_refuse(struct slu_metrics *metrics, const struct slu_key_message *request,
	enum slu_key_status status, const char *text, uint8_t *bytes);

/* What a client may ask: bit n is operation n. */
uint32_t slu_operation_mask(const struct slu_keyring *ring, const struct slu_keyring_client *client);

#endif
