/*
 * Session ticket keys: computed from secrets and the time, so that servers with the same secrets file give the same
 * keys without a word to each other.
 */
#ifndef SLU_KEYSERVER_TICKET_H
#define SLU_KEYSERVER_TICKET_H

#include <stdint.h>

#include "sluice/key_protocol.h"

#define SLU_TICKET_SECRETS_MAX 2u /* the present one, and the one before: for decryption */
#define SLU_TICKET_SECRET_BYTES 32u

struct slu_ticket_secrets {
	uint8_t bytes[SLU_TICKET_SECRETS_MAX][SLU_TICKET_SECRET_BYTES];
	uint32_t count;
	uint32_t period_s, keep; /* keys are made anew each period, and decrypt for so many more */
};

/*
 * Reads secrets, a line each: 64 hexadecimal digits. Lines that begin with # are passed by. Returns 0; -errno or
 * -EINVAL with *why, a constant text.
 */
int slu_ticket_read(const char *path, struct slu_ticket_secrets *secrets, const char **why);

/*
 * The keys of a scope at a time: this period's, the next one's, then those that only decrypt. Returns how many, at
 * most SLU_KEY_TICKETS_MAX; 0 if the computation failed.
 */
uint32_t slu_ticket_keys(const struct slu_ticket_secrets *secrets, const char *scope, uint64_t now_s,
	struct slu_key_ticket keys[SLU_KEY_TICKETS_MAX]);

#endif
