#include "keyserver/server_tls.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "sluice/key_protocol.h"

#define ALPN_LENGTH (sizeof(SLU_KEY_ALPN) - 1)

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes, const unsigned char *in,
	unsigned int in_bytes, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned int i = 0; i < in_bytes; i += 1u + in[i]) {
		if (in[i] == ALPN_LENGTH && memcmp(in + i + 1, SLU_KEY_ALPN, ALPN_LENGTH) == 0) {
			*out = in + i + 1;
			*out_bytes = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void configure(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_max_early_data(context, 0);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
	SSL_CTX_set_read_ahead(context, 1);
}

static int complain(FILE *errors, const char *path, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	fprintf(errors, "tls: %s: %s: %s\n", path, what, reason ? reason : "it cannot be read");
	ERR_clear_error();
	return -EINVAL;
}

int slu_server_tls_new(const struct slu_settings *settings, SSL_CTX **context, FILE *errors)
{
	SSL_CTX *new = SSL_CTX_new(TLS_server_method());
	int result = 0;

	if (!new)
		return -EINVAL;
	configure(new);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(new, settings->certificate) != 1)
		result = complain(errors, settings->certificate, "certificate");
	else if (SSL_CTX_use_PrivateKey_file(new, settings->key, SSL_FILETYPE_PEM) != 1)
		result = complain(errors, settings->key, "key");
	if (SSL_CTX_load_verify_locations(new, settings->client_ca, NULL) != 1)
		result = complain(errors, settings->client_ca, "client_ca");
	if (result == 0)
		*context = new;
	else
		SSL_CTX_free(new);
	return result;
}

/* ---------------------------------------------------------------- who the client is */

/* Copies text of printable ASCII without a NUL in it: two names must not look the same. */
static int take(char *identity, const char *prefix, const ASN1_STRING *text)
{
	const unsigned char *bytes = ASN1_STRING_get0_data(text);
	size_t count = (size_t)ASN1_STRING_length(text), used = strlen(prefix);

	if (count == 0 || used + count >= SLU_SERVER_TLS_IDENTITY_BYTES)
		return -EACCES;
	for (size_t i = 0; i < count; i++)
		if (bytes[i] < ' ' || bytes[i] > '~')
			return -EACCES;
	memcpy(identity, prefix, used);
	memcpy(identity + used, bytes, count);
	identity[used + count] = '\0';
	return 0;
}

/* Returns how many URIs there are, and the first. */
static int find_uri(const GENERAL_NAMES *names, const ASN1_STRING **uri)
{
	int found = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_URI && found++ == 0)
			*uri = name->d.uniformResourceIdentifier;
	}
	return found;
}

static int common_name(X509 *certificate, char *identity)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0)
		return -EACCES;
	return take(identity, "CN=", X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
}

int slu_server_tls_identity(SSL *ssl, char identity[SLU_SERVER_TLS_IDENTITY_BYTES], const char **why)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	const ASN1_STRING *uri = NULL;
	const unsigned char *protocol;
	unsigned int protocol_bytes;
	GENERAL_NAMES *names;
	int found, result = -EACCES;

	SSL_get0_alpn_selected(ssl, &protocol, &protocol_bytes);
	*why = "it did not ask for the protocol (ALPN)";
	if (protocol_bytes != ALPN_LENGTH)
		return -EACCES;
	*why = "its certificate has no name, or no single one";
	if (!certificate)
		return -EACCES;
	names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	found = names ? find_uri(names, &uri) : 0;
	if (found == 1)
		result = take(identity, "", uri);
	else if (found == 0)
		result = common_name(certificate, identity);
	GENERAL_NAMES_free(names);
	return result;
}
