/*
 * A private key that another machine holds, as an EVP_PKEY: the public part and a
 * name. The key management (KEYMGMT) of the provider in provider.h.
 */
#ifndef SLU_L7_REMOTE_KEY_H
#define SLU_L7_REMOTE_KEY_H

#include <openssl/core.h>
#include <openssl/evp.h>
#include <stdint.h>

#include "sluice/key_protocol.h"

/* The operations behind such a key; names of their own, so that no other provider is tried first. */
#define SLU_REMOTE_KEY_SIGNATURE "SLUICE-SIGNATURE"
#define SLU_REMOTE_KEY_CIPHER "SLUICE-RSA-TLS"

enum slu_remote_key_type { SLU_REMOTE_KEY_RSA, SLU_REMOTE_KEY_EC, SLU_REMOTE_KEY_ED25519 };

/* The provider's key data; immutable once imported. */
struct slu_remote_key {
	enum slu_remote_key_type type;
	EVP_PKEY *public_key; /* of the default provider */
	uint8_t id[SLU_KEY_ID_BYTES];
};

extern const OSSL_ALGORITHM slu_remote_key_algorithms[];

/*
 * The reference to the private key of `public_key` (RSA, EC on P-256 or P-384,
 * Ed25519); public_key stays the caller's. Returns 0 and a key that the caller
 * frees; -ENOTSUP for another kind of key; -ENOMEM. slu_provider_load() came before.
 */
int slu_remote_key_create(EVP_PKEY *public_key, EVP_PKEY **key);

/* SHA-256 of the SubjectPublicKeyInfo: the name of a key at the key servers. Returns 0 or -ENOMEM. */
int slu_remote_key_id(const EVP_PKEY *public_key, uint8_t id[SLU_KEY_ID_BYTES]);

#endif
