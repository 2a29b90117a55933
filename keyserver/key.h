/*
 * One private key of a file, and what is done with it. It is made by the main thread; then every worker uses it at
 * once, each with contexts of its own that are kept between operations: making them costs as much as
 * a fifth of an ECDSA signature.
 */
#ifndef SLU_KEYSERVER_KEY_H
#define SLU_KEYSERVER_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "sluice/key_protocol.h"

enum slu_key_hash { SLU_KEY_SHA256, SLU_KEY_SHA384, SLU_KEY_SHA512, SLU_KEY_HASHES, SLU_KEY_NO_HASH };

/* A SignatureScheme (RFC 8446, section 4.2.3). */
struct slu_key_scheme {
	uint16_t id;
	uint8_t index; /* in the table */
	bool tls13;
	bool rsa, pss;
	uint8_t tls13_algorithm; /* enum slu_key_algorithm: in TLS 1.3 the curve belongs to the scheme */
	enum slu_key_hash hash;
};
#define SLU_KEY_SCHEMES 10

/* What a worker needs to use keys. One thread at a time. */
struct slu_key_user {
	uint32_t index; /* of the worker */
	EVP_MD_CTX *digest;
	EVP_MD *md[SLU_KEY_HASHES];
};

int slu_key_user_open(struct slu_key_user *user, uint32_t index); /* 0 or -ENOMEM */
void slu_key_user_close(struct slu_key_user *user);

struct slu_key;

/*
 * Reads a private key (PEM, unencrypted) for so many workers. Returns 0 and a key that slu_key_free() frees; -EINVAL
 * or another -errno with the reason in *why, a constant text.
 */
int slu_key_load(const char *path, uint32_t workers, struct slu_key **key, const char **why);
void slu_key_free(struct slu_key *key);

/* What a public key is. Returns 0, or -EINVAL with *why if it is none that TLS signs with here. */
int slu_key_describe(EVP_PKEY *pkey, struct slu_key_entry *entry, const char **why);

/* Id, algorithm, bits; no uses. */
const struct slu_key_entry *slu_key_entry(const struct slu_key *key);

/* The scheme, if a key of this algorithm may sign with it; else NULL. */
const struct slu_key_scheme *slu_key_scheme_of(uint8_t algorithm, uint16_t id, bool tls13);

struct slu_key_part {
	const uint8_t *bytes;
	size_t count;
};

/* The digest of the parts, one behind the other. Returns its bytes, or 0. */
size_t slu_key_digest(struct slu_key_user *user, enum slu_key_hash hash, const struct slu_key_part *parts,
	uint32_t count, uint8_t *digest);

/*
 * Signs the parts, one behind the other. Returns 0 with *signature_bytes of at most SLU_KEY_SIGNATURE_MAX; -EIO.
 */
int slu_key_sign(struct slu_key *key, struct slu_key_user *user, const struct slu_key_scheme *scheme,
	const struct slu_key_part *parts, uint32_t count, uint8_t *signature, size_t *signature_bytes);

/*
 * Decrypts a premaster secret. Whatever is wrong with its padding, its length or its version (RFC 5246, section
 * 7.4.7.1), the result is 48 bytes, random ones then, in the same time. Returns 0; -EMSGSIZE if encrypted is not as
 * long as the modulus; -EIO.
 */
int slu_key_premaster(struct slu_key *key, const uint8_t *encrypted, size_t encrypted_bytes, uint16_t client_version,
	uint8_t premaster[SLU_KEY_PREMASTER_BYTES]);

#endif
