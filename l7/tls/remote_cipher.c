#include "l7/tls/remote_cipher.h"

#include <stdint.h>
#include <stdlib.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "l7/tls/key_wait.h"
#include "l7/tls/provider.h"
#include "l7/tls/remote_key.h"

struct decryption {
	const struct slu_remote_key *key; /* the EVP_PKEY_CTX holds it */
	bool is_tls;
	unsigned int version; /* that the ClientHello offered */
};

static void *new_decryption(void *provider)
{
	(void)provider;
	return calloc(1, sizeof(struct decryption));
}

static void free_decryption(void *data)
{
	free(data);
}

static int set_params(void *data, const OSSL_PARAM params[])
{
	struct decryption *decryption = data;
	const OSSL_PARAM *param;
	int mode;

	if (params == NULL)
		return 1;
	param = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE);
	if (param != NULL)
		decryption->is_tls = param->data_type == OSSL_PARAM_INTEGER && OSSL_PARAM_get_int(param, &mode) == 1 &&
				     mode == RSA_PKCS1_WITH_TLS_PADDING;
	param = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION);
	return param == NULL || OSSL_PARAM_get_uint(param, &decryption->version) == 1;
}

static const OSSL_PARAM *settable_params(void *data, void *provider)
{
	static const OSSL_PARAM settable[] = {OSSL_PARAM_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL),
		OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, NULL), OSSL_PARAM_END};

	(void)data;
	(void)provider;
	return settable;
}

static int begin(void *data, void *key, const OSSL_PARAM params[])
{
	struct decryption *decryption = data;

	decryption->key = key;
	decryption->is_tls = false;
	return set_params(decryption, params);
}

/* A wrong padding or version is no error: the key server sends chance then (RFC 5246, 7.4.7.1), and Finished fails. */
static int decrypt(void *data, unsigned char *premaster, size_t *bytes, size_t room, const unsigned char *encrypted,
	size_t encrypted_bytes)
{
	const struct decryption *decryption = data;
	struct slu_key_wait *wait = slu_key_wait_current();
	struct slu_key_call call;

	*bytes = SLU_KEY_PREMASTER_BYTES;
	if (premaster == NULL)
		return 1;
	if (wait == NULL || !decryption->is_tls || room < SLU_KEY_PREMASTER_BYTES)
		return 0;
	call = (struct slu_key_call){.operation = SLU_KEY_TLS12_RSA_PREMASTER,
		.key_id = decryption->key->id,
		.client_version = (uint16_t)decryption->version,
		.body = encrypted,
		.body_bytes = encrypted_bytes,
		.answer = premaster,
		.answer_room = room};
	if (slu_key_wait_ask(wait, &call) != 0 || call.answer_bytes != SLU_KEY_PREMASTER_BYTES)
		return 0;
	return 1;
}

static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_ASYM_CIPHER_NEWCTX, (void (*)(void))new_decryption},
	{OSSL_FUNC_ASYM_CIPHER_FREECTX, (void (*)(void))free_decryption},
	{OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (void (*)(void))begin},
	{OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))decrypt},
	{OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (void (*)(void))set_params},
	{OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))settable_params}, {0, NULL}};

const OSSL_ALGORITHM slu_remote_cipher_algorithms[] = {
	{SLU_REMOTE_KEY_CIPHER, SLU_PROVIDER_PROPERTY, functions, ""}, {NULL, NULL, NULL, NULL}};
