/*
 * Who a worker is to the key servers: its certificate and key, and the CA that it
 * trusts for them. TLS 1.3 alone.
 */
#ifndef SLU_L7_KEY_IDENTITY_H
#define SLU_L7_KEY_IDENTITY_H

#include <openssl/ssl.h>
#include <stddef.h>

struct slu_key_identity {
	const char *certificate, *key, *ca; /* PEM files */
};

/*
 * Reads the files (it blocks: at start and reload alone). Returns 0 and a context that
 * the caller frees; -EINVAL and why in `error`, naming the file; -ENOMEM.
 */
int slu_key_identity_read(const struct slu_key_identity *identity, SSL_CTX **context, char *error, size_t error_bytes);

#endif
