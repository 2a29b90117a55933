#include "l7/tls/ticket_ring.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

/* What OpenSSL's callback says of a ticket (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)). */
#define FAILED (-1)
#define NO_KEY 0
#define GOOD 1
#define GOOD_RENEW 2

static int ring_index = -1;
static EVP_CIPHER *aes; /* fetched once: a fetch costs more than sealing */

static uint64_t number(const slu_be64 *wire)
{
	uint64_t value;

	memcpy(&value, wire, sizeof(value));
	return be64toh(value);
}

int slu_ticket_ring_set(struct slu_ticket_ring *ring, const uint8_t *tickets, size_t bytes)
{
	size_t count = bytes / sizeof(struct slu_key_ticket);

	if (bytes % sizeof(struct slu_key_ticket) != 0 || count > SLU_KEY_TICKETS_MAX)
		return -EBADMSG;
	OPENSSL_cleanse(ring->keys, sizeof(ring->keys));
	for (size_t i = 0; i < count; i++) {
		struct slu_ticket_key *key = &ring->keys[i];
		struct slu_key_ticket wire;

		memcpy(&wire, tickets + i * sizeof(wire), sizeof(wire));
		memcpy(key->name, wire.name, sizeof(key->name));
		memcpy(key->aes, wire.cipher_key, sizeof(key->aes));
		memcpy(key->hmac, wire.mac_key, sizeof(key->hmac));
		key->seal_from_s = number(&wire.encrypt_from_s);
		key->seal_until_s = number(&wire.encrypt_until_s);
		key->open_until_s = number(&wire.decrypt_until_s);
		OPENSSL_cleanse(&wire, sizeof(wire));
	}
	ring->count = (uint32_t)count;
	return 0;
}

/* docs/key-protocol.md: the first whose time it is, so that all nodes take the same. */
static const struct slu_ticket_key *find_sealing(const struct slu_ticket_ring *ring, uint64_t now_s)
{
	for (uint32_t i = 0; i < ring->count; i++)
		if (ring->keys[i].seal_from_s <= now_s && now_s < ring->keys[i].seal_until_s)
			return &ring->keys[i];
	return NULL;
}

static const struct slu_ticket_key *find(const struct slu_ticket_ring *ring, const uint8_t *name, uint64_t now_s)
{
	for (uint32_t i = 0; i < ring->count; i++)
		if (now_s < ring->keys[i].open_until_s && memcmp(ring->keys[i].name, name, SLU_TICKET_NAME_BYTES) == 0)
			return &ring->keys[i];
	return NULL;
}

static bool prepare(
	const struct slu_ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->hmac, SLU_TICKET_SECRET_BYTES),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};

	return EVP_CipherInit_ex2(cipher, aes, key->aes, iv, seal, NULL) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int on_ticket(
	SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	const struct slu_ticket_ring *ring = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ring_index);
	uint64_t now_s = (uint64_t)time(NULL);
	const struct slu_ticket_key *sealing, *key;

	if (ring == NULL)
		return NO_KEY;
	sealing = find_sealing(ring, now_s);
	key = seal ? sealing : find(ring, name, now_s);
	if (key == NULL)
		return NO_KEY;
	if (seal) {
		memcpy(name, key->name, SLU_TICKET_NAME_BYTES);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1)
			return FAILED;
	}
	if (!prepare(key, iv, cipher, mac, seal))
		return FAILED;
	return key == sealing ? GOOD : GOOD_RENEW;
}

void slu_ticket_ring_attach(struct slu_ticket_ring *ring, SSL_CTX *context)
{
	if (aes == NULL) {
		aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
		ring_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	}
	SSL_CTX_set_ex_data(context, ring_index, ring);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
