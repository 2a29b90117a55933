/*
 * Authentication of session sync: HMAC-SHA-256 (RFC 2104) with the cluster's key, cut
 * to 16 bytes (RFC 2104, section 5). One thread for each object.
 */
#ifndef SLU_HOST_SYNC_AUTH_H
#define SLU_HOST_SYNC_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLU_AUTH_KEY_MIN 16u /* bytes */
#define SLU_AUTH_MAC 32u
#define SLU_AUTH_TAG 16u

struct slu_auth;

struct slu_auth_part {
	const void *bytes;
	size_t count;
};

/* The key is copied. Returns NULL without memory or if the library refuses. */
struct slu_auth *slu_auth_create(const uint8_t *key, size_t key_bytes);
void slu_auth_free(struct slu_auth *auth);

/* The MAC of the parts one behind the other. Returns false if the library failed; then *mac is not to be used. */
bool slu_auth_compute(
	struct slu_auth *auth, const struct slu_auth_part *parts, unsigned int count, uint8_t mac[SLU_AUTH_MAC]);

/* Compares the first SLU_AUTH_TAG bytes, in a time that tells nothing. */
bool slu_auth_equal(const uint8_t *a, const uint8_t *b);

/* Fills, or compares, the last SLU_AUTH_TAG bytes: the tag of all bytes with zeros there. */
bool slu_auth_sign(struct slu_auth *auth, uint8_t *bytes, size_t count);
bool slu_auth_verify(struct slu_auth *auth, const uint8_t *bytes, size_t count);

#endif
