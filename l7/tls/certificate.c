#include "l7/tls/certificate.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "l7/tls/remote_key.h"

#define STAPLE_MAX_BYTES (64 << 10) /* of a flight that every handshake carries */
#define CLOCK_SKEW_S 300

static int refuse(const char *file, const char *why, char *error, size_t error_bytes)
{
	snprintf(error, error_bytes, "%s: %s", file, why);
	ERR_clear_error();
	return -EINVAL;
}

/* -------------------------------------------------------------------- chain */

static int read_chain(const char *file, struct slu_certificate *certificate, char *error, size_t error_bytes)
{
	BIO *bio = BIO_new_file(file, "r");
	X509 *next;

	if (bio == NULL)
		return refuse(file, strerror(errno), error, error_bytes);
	certificate->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	certificate->chain = sk_X509_new_null();
	while (certificate->leaf != NULL && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		sk_X509_push(certificate->chain, next);
	BIO_free(bio);
	if (certificate->leaf == NULL)
		return refuse(file, "no certificate in PEM", error, error_bytes);
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return refuse(file, "a certificate of the chain is broken", error, error_bytes);
	ERR_clear_error();
	/* Each must have issued the one before it: a client does not sort. */
	for (int i = 0; i < sk_X509_num(certificate->chain); i++) {
		X509 *subject = i == 0 ? certificate->leaf : sk_X509_value(certificate->chain, i - 1);

		if (X509_check_issued(sk_X509_value(certificate->chain, i), subject) != X509_V_OK)
			return refuse(
				file, "a certificate of the chain did not issue the one before it", error, error_bytes);
	}
	return 0;
}

static int refer_to_key(const char *file, struct slu_certificate *certificate, char *error, size_t error_bytes)
{
	EVP_PKEY *public_key = X509_get0_pubkey(certificate->leaf);

	if (public_key == NULL || slu_remote_key_create(public_key, &certificate->key) != 0)
		return refuse(file, "the key is none of RSA, ECDSA (P-256, P-384), Ed25519", error, error_bytes);
	certificate->type = EVP_PKEY_is_a(public_key, "RSA")  ? SLU_CERTIFICATE_RSA
			    : EVP_PKEY_is_a(public_key, "EC") ? SLU_CERTIFICATE_EC
							      : SLU_CERTIFICATE_ED25519;
	return 0;
}

/* -------------------------------------------------------------------- names */

static int add_name(struct slu_certificate *certificate, const unsigned char *text, int bytes)
{
	char *name =
		bytes > 0 && memchr(text, 0, (size_t)bytes) == NULL ? strndup((const char *)text, (size_t)bytes) : NULL;

	if (name == NULL)
		return bytes > 0 && memchr(text, 0, (size_t)bytes) == NULL ? -ENOMEM : 0;
	for (char *c = name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	certificate->names[certificate->name_count++] = name;
	return 0;
}

/* RFC 9525, 2: the subject alternative names; a common name is no name of a service. */
static int read_names(struct slu_certificate *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate->leaf, NID_subject_alt_name, NULL, NULL);
	int count = sk_GENERAL_NAME_num(names), error = 0;

	certificate->names = calloc(count > 0 ? (size_t)count : 1, sizeof(char *));
	if (certificate->names == NULL)
		error = -ENOMEM;
	for (int i = 0; i < count && error == 0; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			error = add_name(certificate, ASN1_STRING_get0_data(name->d.dNSName),
				ASN1_STRING_length(name->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	return error;
}

/* ------------------------------------------------------------------- staple */

static int read_bytes(const char *file, uint8_t **bytes, size_t *count)
{
	FILE *stream = fopen(file, "r");
	int error = 0;

	if (stream == NULL)
		return -errno;
	*bytes = malloc(STAPLE_MAX_BYTES);
	*count = *bytes != NULL ? fread(*bytes, 1, STAPLE_MAX_BYTES, stream) : 0;
	if (*bytes == NULL)
		error = -ENOMEM;
	else if (ferror(stream) || fgetc(stream) != EOF)
		error = -EFBIG;
	fclose(stream);
	return error;
}

/* RFC 6960, 4.2.2.2: by the issuer of the certificate, or by whom that issuer delegated. */
static bool is_signed(OCSP_BASICRESP *basic, STACK_OF(X509) * chain)
{
	X509_STORE *store = X509_STORE_new();
	bool good = store != NULL && X509_STORE_add_cert(store, sk_X509_value(chain, 0)) == 1 &&
		    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
		    OCSP_basic_verify(basic, chain, store, 0) == 1;

	X509_STORE_free(store);
	return good;
}

/* Sets staple_until_s if the response says that the leaf is good, now, and the issuer signed that. NULL, or why not. */
static const char *judge(struct slu_certificate *certificate, OCSP_BASICRESP *basic)
{
	X509 *issuer = sk_X509_value(certificate->chain, 0);
	OCSP_CERTID *id = issuer != NULL ? OCSP_cert_to_id(NULL, certificate->leaf, issuer) : NULL;
	ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
	int status = V_OCSP_CERTSTATUS_UNKNOWN;
	bool found =
		id != NULL && OCSP_resp_find_status(basic, id, &status, NULL, NULL, &this_update, &next_update) == 1;
	struct tm until;

	OCSP_CERTID_free(id);
	if (issuer == NULL)
		return "the chain lacks the issuer that an OCSP response is checked with";
	if (!found || status != V_OCSP_CERTSTATUS_GOOD)
		return "the OCSP response does not say that the certificate is good";
	if (next_update == NULL || OCSP_check_validity(this_update, next_update, CLOCK_SKEW_S, -1) != 1)
		return "the OCSP response is out of date";
	if (!is_signed(basic, certificate->chain))
		return "the OCSP response is not signed by the issuer";
	ASN1_TIME_to_tm(next_update, &until);
	certificate->staple_until_s = timegm(&until);
	return NULL;
}

static int read_staple(const char *file, struct slu_certificate *certificate, char *error, size_t error_bytes)
{
	int failure = read_bytes(file, &certificate->staple, &certificate->staple_bytes);
	const unsigned char *at = certificate->staple;
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;
	const char *why;

	if (failure != 0)
		return refuse(file, strerror(-failure), error, error_bytes);
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)certificate->staple_bytes);
	basic = response != NULL && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL
			? OCSP_response_get1_basic(response)
			: NULL;
	why = basic != NULL ? judge(certificate, basic) : "no OCSP response";
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return why != NULL ? refuse(file, why, error, error_bytes) : 0;
}

/* --------------------------------------------------------------------- life */

int slu_certificate_read(const char *chain_file, const char *staple_file, struct slu_certificate **result, char *error,
	size_t error_bytes)
{
	struct slu_certificate *certificate = calloc(1, sizeof(*certificate));
	int failure;

	if (certificate == NULL)
		return -ENOMEM;
	ERR_clear_error();
	snprintf(error, error_bytes, "%s: out of memory", chain_file);
	failure = read_chain(chain_file, certificate, error, error_bytes);
	if (failure == 0)
		failure = refer_to_key(chain_file, certificate, error, error_bytes);
	if (failure == 0)
		failure = read_names(certificate);
	if (failure == 0 && staple_file != NULL)
		failure = read_staple(staple_file, certificate, error, error_bytes);
	if (failure != 0) {
		slu_certificate_free(certificate);
		return failure;
	}
	*result = certificate;
	return 0;
}

void slu_certificate_free(struct slu_certificate *certificate)
{
	if (certificate == NULL)
		return;
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	EVP_PKEY_free(certificate->key);
	for (size_t i = 0; i < certificate->name_count; i++)
		free(certificate->names[i]);
	free(certificate->names);
	free(certificate->staple);
	free(certificate);
}
