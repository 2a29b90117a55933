#include "l7/keys/key_identity.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>

#include "sluice/key_protocol.h"

/* RFC 7301, 3.1: a list of names, each behind its length. */
static const unsigned char protocols[] = {sizeof(SLU_KEY_ALPN) - 1, 's', 'l', 'u', 'i', 'c', 'e', '-', 'k', 'e', 'y'};

static int refuse(SSL_CTX *context, const char *file, const char *what, char *error, size_t error_bytes)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(error, error_bytes, "%s: %s: %s", file, what, reason != NULL ? reason : "unknown reason");
	ERR_clear_error();
	SSL_CTX_free(context);
	return -EINVAL;
}

int slu_key_identity_read(const struct slu_key_identity *identity, SSL_CTX **result, char *error, size_t error_bytes)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (context == NULL)
		return -ENOMEM;
	ERR_clear_error();
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	if (SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols)) != 0) {
		SSL_CTX_free(context);
		return -ENOMEM;
	}
	if (SSL_CTX_use_certificate_chain_file(context, identity->certificate) != 1)
		return refuse(context, identity->certificate, "no certificate chain", error, error_bytes);
	if (SSL_CTX_use_PrivateKey_file(context, identity->key, SSL_FILETYPE_PEM) != 1)
		return refuse(context, identity->key, "no private key of the certificate", error, error_bytes);
	if (SSL_CTX_load_verify_file(context, identity->ca) != 1)
		return refuse(context, identity->ca, "no CA", error, error_bytes);
	*result = context;
	return 0;
}
