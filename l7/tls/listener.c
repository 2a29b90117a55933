#include "l7/tls/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "l7/tls/certificate.h"
#include "l7/tls/engine.h"
#include "l7/tls/name_map.h"
#include "l7/tls/policy.h"

/* A client keeps two tickets for connections side by side; a third is never used (RFC 8446, C.4). */
#define TICKETS_ISSUED 2
#define SESSION_LIFE_S 7200
#define NO_NAME UINT32_MAX

/* Certificates, one of a kind, that serve the same names. */
struct selection {
	const struct slu_certificate *certificates[SLU_CERTIFICATE_TYPES];
	bool is_used; /* by a name; a step to one that has more certificates is not */
	SSL_CTX *context;
};

struct slu_tls_listener {
	uint32_t references;
	struct slu_engine *engine;
	struct slu_certificate **certificates;
	size_t certificate_count;
	struct slu_name_map *names; /* value: index of a selection, plus one */
	struct selection *selections;
	uint32_t selection_count, first; /* first: for clients without a known name */
	X509_STORE *client_store;
	STACK_OF(X509_NAME) * client_names;
	bool refuses_unknown, has_h2;
};

static int listener_index = -1; /* of an SSL_CTX: its listener */

/* ---------------------------------------------------------------- callbacks */

static struct slu_tls_listener *listener_of(const SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), listener_index);
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct slu_tls_listener *listener = listener_of(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	uint32_t index;

	(void)arg;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	index = slu_name_map_find(listener->names, name, strlen(name), 0) - 1;
	if (index == NO_NAME) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return listener->refuses_unknown ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
	}
	return SSL_set_SSL_CTX(ssl, listener->selections[index].context) != NULL ? SSL_TLSEXT_ERR_OK
										 : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 7301, 3.2: our order counts, and a client that offers nothing of it is told so. */
static int on_protocols(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
	const unsigned char *offered, unsigned int offered_bytes, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned int skip = listener_of(ssl)->has_h2 ? 0 : 3;

	(void)arg;
	return SSL_select_next_proto((unsigned char **)chosen, chosen_bytes, ours + skip, sizeof(ours) - 1 - skip,
		       offered, offered_bytes) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static const struct slu_certificate *certificate_of(const struct slu_tls_listener *listener, const X509 *leaf)
{
	for (size_t i = 0; i < listener->certificate_count; i++)
		if (listener->certificates[i]->leaf == leaf)
			return listener->certificates[i];
	return NULL;
}

static int on_status_request(SSL *ssl, void *arg)
{
	const struct slu_certificate *certificate = certificate_of(listener_of(ssl), SSL_get_certificate(ssl));
	unsigned char *copy;

	(void)arg;
	if (certificate == NULL || certificate->staple == NULL || time(NULL) >= certificate->staple_until_s)
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(certificate->staple, certificate->staple_bytes);
	if (copy == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)certificate->staple_bytes);
	return SSL_TLSEXT_ERR_OK;
}

/* ----------------------------------------------------------------- contexts */

/* What a session may be resumed under: this listener, with this demand for client certificates. */
static int set_session_id(
	SSL_CTX *context, const struct slu_tls_listener_settings *settings, const struct slu_tls_listener *listener)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char id[EVP_MAX_MD_SIZE];
	bool good = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
		    EVP_DigestUpdate(digest, settings->name, strlen(settings->name)) == 1 &&
		    EVP_DigestUpdate(digest, &settings->client_is_required, sizeof(bool)) == 1;

	for (int i = 0; good && i < sk_X509_NAME_num(listener->client_names); i++) {
		unsigned char name[EVP_MAX_MD_SIZE];
		unsigned int bytes;

		good = X509_NAME_digest(sk_X509_NAME_value(listener->client_names, i), EVP_sha256(), name, &bytes) ==
			       1 &&
		       EVP_DigestUpdate(digest, name, bytes) == 1;
	}
	good = good && EVP_DigestFinal_ex(digest, id, NULL) == 1 &&
	       SSL_CTX_set_session_id_context(context, id, SSL_MAX_SID_CTX_LENGTH) == 1;
	EVP_MD_CTX_free(digest);
	return good ? 0 : -ENOMEM;
}

static int ask_for_client(
	SSL_CTX *context, const struct slu_tls_listener_settings *settings, const struct slu_tls_listener *listener)
{
	STACK_OF(X509_NAME) * names;

	if (listener->client_store == NULL)
		return 0;
	names = SSL_dup_CA_list(listener->client_names);
	if (names == NULL)
		return -ENOMEM;
	SSL_CTX_set_client_CA_list(context, names);
	SSL_CTX_set1_cert_store(context, listener->client_store);
	SSL_CTX_set_verify(
		context, SSL_VERIFY_PEER | (settings->client_is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return 0;
}

/* All but the certificates. */
static int prepare(
	SSL_CTX *context, const struct slu_tls_listener_settings *settings, struct slu_tls_listener *listener)
{
	int error = slu_policy_apply(settings->policy, context);

	if (error == 0)
		error = ask_for_client(context, settings, listener);
	if (error == 0)
		error = set_session_id(context, settings, listener);
	SSL_CTX_set_mode(context,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	/* Sessions live in tickets alone, which every process and node can open. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, TICKETS_ISSUED);
	SSL_CTX_set_timeout(context, SESSION_LIFE_S);
	slu_ticket_ring_attach(&listener->engine->tickets, context);
	SSL_CTX_set_ex_data(context, listener_index, listener);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_tlsext_status_cb(context, on_status_request);
	SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
	return error;
}

static int make_context(const struct slu_tls_listener_settings *settings, struct slu_tls_listener *listener,
	struct selection *selection, char *error, size_t error_bytes)
{
	selection->context = SSL_CTX_new(TLS_server_method());
	if (selection->context == NULL || prepare(selection->context, settings, listener) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < SLU_CERTIFICATE_TYPES; i++) {
		const struct slu_certificate *certificate = selection->certificates[i];

		if (certificate != NULL && SSL_CTX_use_cert_and_key(selection->context, certificate->leaf,
						   certificate->key, certificate->chain, 1) != 1) {
			snprintf(error, error_bytes, "OpenSSL refuses a certificate: %s",
				ERR_reason_error_string(ERR_peek_last_error()));
			ERR_clear_error();
			return -EINVAL;
		}
	}
	return 0;
}

/* --------------------------------------------------------------- selections */

/* The index of what `selection` and one more certificate are together; a new one if there is none yet. */
static uint32_t select_also(
	struct slu_tls_listener *listener, uint32_t index, const struct slu_certificate *certificate)
{
	struct selection wanted = {.certificates = {NULL}};

	if (index != NO_NAME)
		memcpy(wanted.certificates, listener->selections[index].certificates, sizeof(wanted.certificates));
	if (wanted.certificates[certificate->type] != NULL)
		return index;
	wanted.certificates[certificate->type] = certificate;
	/* Names of one certificate come one after the other: what is looked for stands near the end. */
	for (uint32_t i = listener->selection_count; i > 0; i--)
		if (memcmp(listener->selections[i - 1].certificates, wanted.certificates,
			    sizeof(wanted.certificates)) == 0)
			return i - 1;
	listener->selections[listener->selection_count] = wanted;
	return listener->selection_count++;
}

static size_t count_names(const struct slu_tls_listener *listener)
{
	size_t count = 0;

	for (size_t i = 0; i < listener->certificate_count; i++)
		count += listener->certificates[i]->name_count;
	return count;
}

static void select_name(struct slu_tls_listener *listener, const char *name, const struct slu_certificate *certificate)
{
	uint32_t *value = slu_name_map_add(listener->names, name);

	*value = select_also(listener, *value - 1, certificate) + 1;
}

/* Certificates for clients without a name: the first, and those of other kinds that have its first name. */
static uint32_t select_default(struct slu_tls_listener *listener)
{
	const struct slu_certificate *first = listener->certificates[0];
	uint32_t index;

	if (first->name_count == 0)
		return select_also(listener, NO_NAME, first);
	index = *slu_name_map_add(listener->names, first->names[0]) - 1;
	return listener->selections[index].certificates[first->type] == first ? index
									      : select_also(listener, NO_NAME, first);
}

static int make_selections(struct slu_tls_listener *listener)
{
	size_t names = count_names(listener);

	listener->names = slu_name_map_create(names);
	/* Each name adds one at most, and so does the default. */
	listener->selections = calloc(names + 1, sizeof(*listener->selections));
	if (listener->names == NULL || listener->selections == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < listener->certificate_count; i++)
		for (size_t k = 0; k < listener->certificates[i]->name_count; k++)
			select_name(listener, listener->certificates[i]->names[k], listener->certificates[i]);
	listener->first = select_default(listener);
	listener->selections[listener->first].is_used = true;
	for (size_t i = 0; i < listener->certificate_count; i++)
		for (size_t k = 0; k < listener->certificates[i]->name_count; k++)
			listener->selections[*slu_name_map_add(listener->names, listener->certificates[i]->names[k]) -
					     1]
				.is_used = true;
	return 0;
}

/* --------------------------------------------------------------------- life */

static int read_certificates(const struct slu_tls_listener_settings *settings, struct slu_tls_listener *listener,
	char *error, size_t error_bytes)
{
	listener->certificates = calloc(settings->certificate_count, sizeof(*listener->certificates));
	if (listener->certificates == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < settings->certificate_count; i++) {
		int failure = slu_certificate_read(settings->certificates[i].chain, settings->certificates[i].staple,
			&listener->certificates[i], error, error_bytes);

		if (failure != 0)
			return failure;
		listener->certificate_count++;
	}
	return 0;
}

static int read_client_ca(const char *file, struct slu_tls_listener *listener, char *error, size_t error_bytes)
{
	if (file == NULL)
		return 0;
	listener->client_names = SSL_load_client_CA_file(file);
	listener->client_store = X509_STORE_new();
	if (listener->client_names == NULL || listener->client_store == NULL ||
		X509_STORE_load_file(listener->client_store, file) != 1) {
		snprintf(error, error_bytes, "%s: no CA certificates in PEM", file);
		ERR_clear_error();
		return -EINVAL;
	}
	return 0;
}

static int make_contexts(const struct slu_tls_listener_settings *settings, struct slu_tls_listener *listener,
	char *error, size_t error_bytes)
{
	for (uint32_t i = 0; i < listener->selection_count; i++) {
		int failure = listener->selections[i].is_used
				      ? make_context(settings, listener, &listener->selections[i], error, error_bytes)
				      : 0;

		if (failure != 0)
			return failure;
	}
	return 0;
}

int slu_tls_listener_create(struct slu_engine *engine, const struct slu_tls_listener_settings *settings, char *error,
	size_t error_bytes, struct slu_tls_listener **result)
{
	struct slu_tls_listener *listener = calloc(1, sizeof(*listener));
	int failure;

	if (listener == NULL)
		return -ENOMEM;
	if (listener_index < 0)
		listener_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	listener->references = 1;
	listener->engine = engine;
	listener->has_h2 = settings->has_h2;
	listener->refuses_unknown = settings->refuses_unknown;
	snprintf(error, error_bytes, "out of memory");
	failure = read_certificates(settings, listener, error, error_bytes);
	if (failure == 0)
		failure = read_client_ca(settings->client_ca, listener, error, error_bytes);
	if (failure == 0)
		failure = make_selections(listener);
	if (failure == 0)
		failure = make_contexts(settings, listener, error, error_bytes);
	if (failure != 0) {
		slu_tls_listener_release(listener);
		return failure;
	}
	*result = listener;
	return 0;
}

struct slu_tls_listener *slu_tls_listener_reference(struct slu_tls_listener *listener)
{
	listener->references++;
	return listener;
}

void slu_tls_listener_release(struct slu_tls_listener *listener)
{
	if (listener == NULL || --listener->references > 0)
		return;
	for (uint32_t i = 0; i < listener->selection_count; i++)
		SSL_CTX_free(listener->selections[i].context);
	for (size_t i = 0; i < listener->certificate_count; i++)
		slu_certificate_free(listener->certificates[i]);
	slu_name_map_free(listener->names);
	X509_STORE_free(listener->client_store);
	sk_X509_NAME_pop_free(listener->client_names, X509_NAME_free);
	free(listener->certificates);
	free(listener->selections);
	free(listener);
}

SSL_CTX *slu_tls_listener_context(const struct slu_tls_listener *listener)
{
	return listener->selections[listener->first].context;
}
