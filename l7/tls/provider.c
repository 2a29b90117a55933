#include "l7/tls/provider.h"

#include <errno.h>
#include <stddef.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include "l7/tls/remote_cipher.h"
#include "l7/tls/remote_key.h"
#include "l7/tls/remote_signature.h"

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return slu_remote_key_algorithms;
	case OSSL_OP_SIGNATURE:
		return slu_remote_signature_algorithms;
	case OSSL_OP_ASYM_CIPHER:
		return slu_remote_cipher_algorithms;
	default:
		return NULL;
	}
}

static int init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query}, {0, NULL}};

	(void)in;
	*out = functions;
	*provider = (void *)core;
	return 1;
}

/* Loaded by name, the default provider stays: OpenSSL loads it by itself only while no other is. */
int slu_provider_load(void)
{
	if (OSSL_PROVIDER_available(NULL, SLU_PROVIDER_NAME))
		return 0;
	if (OSSL_PROVIDER_load(NULL, "default") == NULL ||
		OSSL_PROVIDER_add_builtin(NULL, SLU_PROVIDER_NAME, init) != 1 ||
		OSSL_PROVIDER_load(NULL, SLU_PROVIDER_NAME) == NULL)
		return -ENOMEM;
	return 0;
}
