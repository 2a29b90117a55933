#include "host/sync/auth.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* The context keeps the key's inner and outer state: starting again costs no work on the key. */
struct slu_auth {
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
};

struct slu_auth *slu_auth_create(const uint8_t *key, size_t key_bytes)
{
	char digest[] = "SHA256";
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
	struct slu_auth *auth = calloc(1, sizeof(*auth));

	if (!auth)
		return NULL;
	auth->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	auth->context = auth->mac ? EVP_MAC_CTX_new(auth->mac) : NULL;
	if (!auth->context || EVP_MAC_init(auth->context, key, key_bytes, parameters) != 1) {
		slu_auth_free(auth);
		return NULL;
	}
	return auth;
}

void slu_auth_free(struct slu_auth *auth)
{
	if (!auth)
		return;
	EVP_MAC_CTX_free(auth->context);
	EVP_MAC_free(auth->mac);
	free(auth);
}

bool slu_auth_compute(
	struct slu_auth *auth, const struct slu_auth_part *parts, unsigned int count, uint8_t mac[SLU_AUTH_MAC])
{
	size_t written;

	if (EVP_MAC_init(auth->context, NULL, 0, NULL) != 1)
		return false;
	for (unsigned int i = 0; i < count; i++)
		if (EVP_MAC_update(auth->context, parts[i].bytes, parts[i].count) != 1)
			return false;
	return EVP_MAC_final(auth->context, mac, &written, SLU_AUTH_MAC) == 1 && written == SLU_AUTH_MAC;
}

bool slu_auth_equal(const uint8_t *a, const uint8_t *b)
{
	return CRYPTO_memcmp(a, b, SLU_AUTH_TAG) == 0;
}

static bool compute_tag(struct slu_auth *auth, const uint8_t *bytes, size_t count, uint8_t mac[SLU_AUTH_MAC])
{
	static const uint8_t zeros[SLU_AUTH_TAG];
	const struct slu_auth_part parts[] = {{bytes, count - SLU_AUTH_TAG}, {zeros, sizeof(zeros)}};

	return slu_auth_compute(auth, parts, 2, mac);
}

bool slu_auth_sign(struct slu_auth *auth, uint8_t *bytes, size_t count)
{
	uint8_t mac[SLU_AUTH_MAC];

	if (!compute_tag(auth, bytes, count, mac))
		return false;
	memcpy(bytes + count - SLU_AUTH_TAG, mac, SLU_AUTH_TAG);
	return true;
}

bool slu_auth_verify(struct slu_auth *auth, const uint8_t *bytes, size_t count)
{
	uint8_t mac[SLU_AUTH_MAC];

	return count >= SLU_AUTH_TAG && compute_tag(auth, bytes, count, mac) &&
	       slu_auth_equal(mac, bytes + count - SLU_AUTH_TAG);
}
