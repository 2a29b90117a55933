/*
 * TLS policies by name: versions, ciphers, groups and signatures that go together
 * (docs/l7.md has the table for users).
 */
#ifndef SLU_L7_POLICY_H
#define SLU_L7_POLICY_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct slu_policy {
	const char *name;
	int min_version, max_version;
	const char *ciphers_12, *ciphers_13, *groups, *signatures;
	bool decrypts; /* has static RSA key exchange: the key server must allow TLS12_RSA_PREMASTER */
};

#define SLU_POLICY_DEFAULT "tls-1.2"

/* NULL if there is none of this name. */
const struct slu_policy *slu_policy_find(const char *name);

/* The names, for messages: a NULL ends them. */
const char *const *slu_policy_names(void);

/* Applies all but certificates to a context of a server or a client. Returns 0 or -EINVAL (OpenSSL's build lacks a
 * part). */
int slu_policy_apply(const struct slu_policy *policy, SSL_CTX *context);

#endif
