/*
 * TLS of an HTTPS listener: policy, certificates by server name, ALPN, tickets, client
 * certificates. Immutable: a change makes a new one, and connections that have begun go
 * on with the old. One worker's thread only.
 */
#ifndef SLU_L7_LISTENER_H
#define SLU_L7_LISTENER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct slu_engine;
struct slu_policy;
struct slu_tls_listener;

struct slu_tls_certificate_files {
	const char *chain;  /* PEM, leaf first */
	const char *staple; /* OCSP response in DER, or NULL */
};

struct slu_tls_listener_settings {
	const char *name; /* sessions of another listener are not resumed */
	const struct slu_policy *policy;
	/* The first is for clients that name no server, or one that no certificate has. At least one. */
	const struct slu_tls_certificate_files *certificates;
	size_t certificate_count;
	bool has_h2;             /* offer HTTP/2 before HTTP/1.1 */
	bool refuses_unknown;    /* a server name that no certificate has: alert unrecognized_name */
	const char *client_ca;   /* PEM file: ask clients for certificates of these; NULL: do not */
	bool client_is_required; /* no certificate: the handshake fails */
};

/*
 * Reads the files and makes ready. Certificates of different kinds for one name are
 * chosen by what the client can; of two of one kind the first counts. Returns 0 and a
 * listener with one reference, -EINVAL and why in `error`; -ENOMEM.
 */
int slu_tls_listener_create(struct slu_engine *engine, const struct slu_tls_listener_settings *settings, char *error,
	size_t error_bytes, struct slu_tls_listener **listener);

struct slu_tls_listener *slu_tls_listener_reference(struct slu_tls_listener *listener);
/* NULL is allowed. */
void slu_tls_listener_release(struct slu_tls_listener *listener);

/* For connections that are accepted. */
SSL_CTX *slu_tls_listener_context(const struct slu_tls_listener *listener);

#endif
