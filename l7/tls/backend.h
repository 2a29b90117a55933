/*
 * TLS towards servers: whom to trust, what to be called, and a client certificate whose
 * key a key server holds. Immutable. One worker's thread only.
 */
#ifndef SLU_L7_BACKEND_H
#define SLU_L7_BACKEND_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct slu_policy;
struct slu_tls_backend;

struct slu_tls_backend_settings {
	const struct slu_policy *policy;
	const char *ca;   /* PEM file; NULL: the server's certificate is not looked at */
	const char *name; /* sent as SNI, and what the certificate must have; NULL: as told per connection */
	const char *certificate_chain; /* of this client, PEM; NULL: none */
	bool has_h2;                   /* offer HTTP/2 before HTTP/1.1 */
};

/* Reads the files. Returns 0; -EINVAL and why in `error`; -ENOMEM. */
int slu_tls_backend_create(const struct slu_tls_backend_settings *settings, char *error, size_t error_bytes,
	struct slu_tls_backend **backend);

/* Connections that are open live on. NULL is allowed. */
void slu_tls_backend_free(struct slu_tls_backend *backend);

SSL_CTX *slu_tls_backend_context(const struct slu_tls_backend *backend);
bool slu_tls_backend_has_certificate(const struct slu_tls_backend *backend);

/* Sets on a new connection what is sent and expected as the server's name. Returns 0 or -ENOMEM. */
int slu_tls_backend_expect(const struct slu_tls_backend *backend, SSL *ssl, const char *name);

#endif
