#include "l7/tls/backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "l7/tls/certificate.h"
#include "l7/tls/policy.h"

struct slu_tls_backend {
	SSL_CTX *context;
	char *name;
	bool is_verified, has_certificate;
};

static int use_certificate(SSL_CTX *context, const char *file, char *error, size_t error_bytes)
{
	struct slu_certificate *certificate;
	int failure = slu_certificate_read(file, NULL, &certificate, error, error_bytes);

	if (failure != 0)
		return failure;
	if (SSL_CTX_use_cert_and_key(context, certificate->leaf, certificate->key, certificate->chain, 1) != 1) {
		snprintf(error, error_bytes, "%s: %s", file, ERR_reason_error_string(ERR_peek_last_error()));
		ERR_clear_error();
		failure = -EINVAL;
	}
	slu_certificate_free(certificate);
	return failure;
}

static int trust(SSL_CTX *context, const char *file, char *error, size_t error_bytes)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_load_verify_file(context, file) == 1)
		return 0;
	snprintf(error, error_bytes, "%s: no CA certificates in PEM", file);
	ERR_clear_error();
	return -EINVAL;
}

static int prepare(SSL_CTX *context, const struct slu_tls_backend_settings *settings, char *error, size_t error_bytes)
{
	static const unsigned char protocols[] = "\x02h2\x08http/1.1";
	unsigned int skip = settings->has_h2 ? 0 : 3;
	int failure = slu_policy_apply(settings->policy, context);

	SSL_CTX_set_mode(context,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	if (failure == 0 && SSL_CTX_set_alpn_protos(context, protocols + skip, sizeof(protocols) - 1 - skip) != 0)
		failure = -ENOMEM;
	if (failure == 0 && settings->ca != NULL)
		failure = trust(context, settings->ca, error, error_bytes);
	if (failure == 0 && settings->certificate_chain != NULL)
		failure = use_certificate(context, settings->certificate_chain, error, error_bytes);
	return failure;
}

int slu_tls_backend_create(const struct slu_tls_backend_settings *settings, char *error, size_t error_bytes,
	struct slu_tls_backend **result)
{
	struct slu_tls_backend *backend = calloc(1, sizeof(*backend));
	int failure = -ENOMEM;

	snprintf(error, error_bytes, "out of memory");
	if (backend != NULL) {
		backend->context = SSL_CTX_new(TLS_client_method());
		backend->name = settings->name != NULL ? strdup(settings->name) : NULL;
		backend->is_verified = settings->ca != NULL;
		backend->has_certificate = settings->certificate_chain != NULL;
		if (backend->context != NULL && (backend->name != NULL || settings->name == NULL))
			failure = prepare(backend->context, settings, error, error_bytes);
	}
	if (failure != 0) {
		slu_tls_backend_free(backend);
		return failure;
	}
	*result = backend;
	return 0;
}

void slu_tls_backend_free(struct slu_tls_backend *backend)
{
	if (backend == NULL)
		return;
	SSL_CTX_free(backend->context);
	free(backend->name);
	free(backend);
}

SSL_CTX *slu_tls_backend_context(const struct slu_tls_backend *backend)
{
	return backend->context;
}

bool slu_tls_backend_has_certificate(const struct slu_tls_backend *backend)
{
	return backend->has_certificate;
}

/* RFC 6066, 3: an address is no server name, though a certificate can have one. */
int slu_tls_backend_expect(const struct slu_tls_backend *backend, SSL *ssl, const char *name)
{
	struct in6_addr address;

	name = backend->name != NULL ? backend->name : name;
	if (name == NULL)
		return 0;
	if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
		return !backend->is_verified || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ? 0
													      : -ENOMEM;
	if (SSL_set_tlsext_host_name(ssl, name) != 1)
		return -ENOMEM;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return !backend->is_verified || SSL_set1_host(ssl, name) == 1 ? 0 : -ENOMEM;
}
