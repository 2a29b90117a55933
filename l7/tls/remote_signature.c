#include "l7/tls/remote_signature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "l7/tls/key_wait.h"
#include "l7/tls/provider.h"
#include "l7/tls/remote_key.h"
#include "l7/tls/statement.h"

enum digest { SHA2_256, SHA2_384, SHA2_512, DIGESTS, NO_DIGEST = DIGESTS };

/* One signature in the making. */
struct signing {
	const struct slu_remote_key *key; /* the EVP_PKEY_CTX holds it */
	enum digest digest;
	bool is_pss;
};

/* RFC 8446, 4.2.3. Under TLS 1.2 an ECDSA code names the digest alone. */
static const uint16_t rsa_pkcs1_schemes[DIGESTS] = {0x0401, 0x0501, 0x0601};
static const uint16_t rsa_pss_schemes[DIGESTS] = {0x0804, 0x0805, 0x0806};
static const uint16_t ecdsa_schemes[DIGESTS] = {0x0403, 0x0503, 0x0603};
#define ED25519_SCHEME 0x0807

static void *new_signing(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return calloc(1, sizeof(struct signing));
}

static void free_signing(void *data)
{
	free(data);
}

/* Returns false for a digest that no scheme of ours has. */
static bool read_digest(const char *name, enum digest *digest)
{
	static const char *const names[DIGESTS][2] = {
		{"SHA256", "SHA2-256"}, {"SHA384", "SHA2-384"}, {"SHA512", "SHA2-512"}};

	*digest = NO_DIGEST;
	if (name == NULL || *name == '\0')
		return true;
	for (unsigned int i = 0; i < DIGESTS; i++)
		if (strcasecmp(name, names[i][0]) == 0 || strcasecmp(name, names[i][1]) == 0)
			*digest = (enum digest)i;
	return *digest != NO_DIGEST;
}

/* The padding comes as a number or as a word, by the way that the caller took. */
static bool read_padding(const OSSL_PARAM *param, bool *is_pss)
{
	int mode;

	if (param->data_type == OSSL_PARAM_UTF8_STRING) {
		*is_pss = strcmp(param->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
		return *is_pss || strcmp(param->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0;
	}
	if (OSSL_PARAM_get_int(param, &mode) != 1)
		return false;
	*is_pss = mode == RSA_PKCS1_PSS_PADDING;
	return *is_pss || mode == RSA_PKCS1_PADDING;
}

/* RFC 8446, 4.2.3: the salt is as long as the digest. The key server knows no other. */
static bool read_salt(const OSSL_PARAM *param)
{
	int bytes;

	if (param->data_type == OSSL_PARAM_UTF8_STRING)
		return strcmp(param->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
	return OSSL_PARAM_get_int(param, &bytes) == 1 && bytes == RSA_PSS_SALTLEN_DIGEST;
}

static int set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *signing = data;
	const OSSL_PARAM *param;

	if (params == NULL)
		return 1;
	param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (param != NULL && (signing->key->type != SLU_REMOTE_KEY_RSA || !read_padding(param, &signing->is_pss)))
		return 0;
	param = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	if (param != NULL && !read_salt(param))
		return 0;
	return 1;
}

static const OSSL_PARAM *settable_params(void *data, void *provider)
{
	static const OSSL_PARAM settable[] = {OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END};

	(void)data;
	(void)provider;
	return settable;
}

static int begin(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *signing = data;

	if (key != NULL)
		signing->key = key;
	signing->is_pss = false;
	return signing->key != NULL && read_digest(digest, &signing->digest) && set_params(signing, params);
}

/* 0: this key does not sign with this digest and padding. */
static uint16_t scheme_of(const struct signing *signing)
{
	if (signing->key->type == SLU_REMOTE_KEY_ED25519)
		return signing->digest == NO_DIGEST ? ED25519_SCHEME : 0;
	if (signing->digest == NO_DIGEST)
		return 0;
	if (signing->key->type == SLU_REMOTE_KEY_EC)
		return ecdsa_schemes[signing->digest];
	return (signing->is_pss ? rsa_pss_schemes : rsa_pkcs1_schemes)[signing->digest];
}

static int sign(
	void *data, unsigned char *signature, size_t *bytes, size_t room, const unsigned char *text, size_t text_bytes)
{
	const struct signing *signing = data;
	struct slu_key_wait *wait = slu_key_wait_current();
	struct slu_statement statement;
	struct slu_key_call call;

	if (signature == NULL) {
		*bytes = (size_t)EVP_PKEY_get_size(signing->key->public_key);
		return 1;
	}
	if (wait == NULL || scheme_of(signing) == 0 ||
		slu_statement_read(text, text_bytes, SSL_version(wait->ssl) == TLS1_3_VERSION,
			SSL_is_server(wait->ssl) == 0, &statement) != 0)
		return 0;
	call = (struct slu_key_call){.key_id = signing->key->id,
		.scheme = scheme_of(signing),
		.is_client = SSL_is_server(wait->ssl) == 0,
		.client_random = statement.client_random,
		.server_random = statement.server_random,
		.body = statement.body,
		.body_bytes = statement.body_bytes,
		.answer = signature,
		.answer_room = room};
	call.operation = statement.kind == SLU_STATEMENT_CERT_VERIFY_13    ? SLU_KEY_TLS13_CERT_VERIFY
			 : statement.kind == SLU_STATEMENT_KEY_EXCHANGE_12 ? SLU_KEY_TLS12_SERVER_KEY_EXCHANGE
									   : SLU_KEY_TLS12_CLIENT_CERT_VERIFY;
	if (slu_key_wait_ask(wait, &call) != 0)
		return 0;
	*bytes = call.answer_bytes;
	return 1;
}

static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))new_signing},
	{OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))free_signing},
	{OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))begin},
	{OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))sign},
	{OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))set_params},
	{OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))settable_params}, {0, NULL}};

const OSSL_ALGORITHM slu_remote_signature_algorithms[] = {
	{SLU_REMOTE_KEY_SIGNATURE, SLU_PROVIDER_PROPERTY, functions, ""}, {NULL, NULL, NULL, NULL}};
