#include "l7/tls/remote_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "l7/tls/provider.h"

#define DISPATCH(id, function)                                                                                         \
	{                                                                                                              \
		id, (void (*)(void))(function)                                                                         \
	}
#define P256_BITS 256
#define P384_BITS 384

static const struct {
	const char *name;      /* of the default provider's key management */
	const char *operation; /* asymmetric cipher, if there is one */
} types[] = {[SLU_REMOTE_KEY_RSA] = {"RSA", SLU_REMOTE_KEY_CIPHER},
	[SLU_REMOTE_KEY_EC] = {"EC", NULL},
	[SLU_REMOTE_KEY_ED25519] = {"ED25519", NULL}};

static void *new_key(enum slu_remote_key_type type)
{
	struct slu_remote_key *key = calloc(1, sizeof(*key));

	if (key != NULL)
		key->type = type;
	return key;
}

static void *new_rsa(void *provider)
{
	(void)provider;
	return new_key(SLU_REMOTE_KEY_RSA);
}

static void *new_ec(void *provider)
{
	(void)provider;
	return new_key(SLU_REMOTE_KEY_EC);
}

static void *new_ed25519(void *provider)
{
	(void)provider;
	return new_key(SLU_REMOTE_KEY_ED25519);
}

static void free_key(void *data)
{
	struct slu_remote_key *key = data;

	if (key == NULL)
		return;
	EVP_PKEY_free(key->public_key);
	free(key);
}

/* A reference stands for the private key too. */
static int has(const void *data, int selection)
{
	(void)selection;
	return ((const struct slu_remote_key *)data)->public_key != NULL;
}

static int match(const void *a, const void *b, int selection)
{
	const struct slu_remote_key *left = a, *right = b;

	(void)selection;
	return left->type == right->type && memcmp(left->id, right->id, sizeof(left->id)) == 0;
}

static int import(void *data, int selection, const OSSL_PARAM params[])
{
	struct slu_remote_key *key = data;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, types[key->type].name, "provider=default");
	int good;

	(void)selection;
	good = context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
	       EVP_PKEY_fromdata(context, &key->public_key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) == 1 &&
	       slu_remote_key_id(key->public_key, key->id) == 0;
	EVP_PKEY_CTX_free(context);
	return good;
}

/* Given the public part as a private key, another provider would believe that it can sign. */
static int export(void *data, int selection, OSSL_CALLBACK *take, void *arg)
{
	const struct slu_remote_key *key = data;
	OSSL_PARAM *params = NULL;
	int good;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
		EVP_PKEY_todata(key->public_key, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	good = take(params, arg);
	OSSL_PARAM_free(params);
	return good;
}

static const OSSL_PARAM rsa_params[] = {
	OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0), OSSL_PARAM_END};
static const OSSL_PARAM ec_params[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END};
static const OSSL_PARAM ed25519_params[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END};

static const OSSL_PARAM *rsa_types(int selection)
{
	(void)selection;
	return rsa_params;
}

static const OSSL_PARAM *ec_types(int selection)
{
	(void)selection;
	return ec_params;
}

static const OSSL_PARAM *ed25519_types(int selection)
{
	(void)selection;
	return ed25519_params;
}

static int get_params(void *data, OSSL_PARAM params[])
{
	return EVP_PKEY_get_params(((struct slu_remote_key *)data)->public_key, params);
}

/* What libssl asks a key of its own: strength, size, digest and curve. */
static const OSSL_PARAM *gettable_params(void *provider)
{
	static const OSSL_PARAM gettable[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0), OSSL_PARAM_END};

	(void)provider;
	return gettable;
}

static const char *rsa_operation(int operation)
{
	return operation == OSSL_OP_ASYM_CIPHER ? SLU_REMOTE_KEY_CIPHER
	       : operation == OSSL_OP_SIGNATURE ? SLU_REMOTE_KEY_SIGNATURE
						: NULL;
}

static const char *signing_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? SLU_REMOTE_KEY_SIGNATURE : NULL;
}

#define KEY_MANAGEMENT(new, types, operation)                                                                          \
	{                                                                                                              \
		DISPATCH(OSSL_FUNC_KEYMGMT_NEW, new), DISPATCH(OSSL_FUNC_KEYMGMT_FREE, free_key),                      \
			DISPATCH(OSSL_FUNC_KEYMGMT_HAS, has), DISPATCH(OSSL_FUNC_KEYMGMT_MATCH, match),                \
			DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT, import), DISPATCH(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, types),   \
			DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT, export), DISPATCH(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, types),   \
			DISPATCH(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params),                                            \
			DISPATCH(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable_params),                                  \
			DISPATCH(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, operation),                                   \
		{                                                                                                      \
			0, NULL                                                                                        \
		}                                                                                                      \
	}
static const OSSL_DISPATCH rsa[] = KEY_MANAGEMENT(new_rsa, rsa_types, rsa_operation);
static const OSSL_DISPATCH ec[] = KEY_MANAGEMENT(new_ec, ec_types, signing_operation);
static const OSSL_DISPATCH ed25519[] = KEY_MANAGEMENT(new_ed25519, ed25519_types, signing_operation);

/* libssl finds the certificate's slot by these names. */
const OSSL_ALGORITHM slu_remote_key_algorithms[] = {{"RSA:rsaEncryption", SLU_PROVIDER_PROPERTY, rsa, ""},
	{"EC:id-ecPublicKey", SLU_PROVIDER_PROPERTY, ec, ""}, {"ED25519", SLU_PROVIDER_PROPERTY, ed25519, ""},
	{NULL, NULL, NULL, NULL}};

int slu_remote_key_id(const EVP_PKEY *public_key, uint8_t id[SLU_KEY_ID_BYTES])
{
	unsigned char *info = NULL;
	int bytes = i2d_PUBKEY((EVP_PKEY *)public_key, &info);

	if (bytes <= 0)
		return -ENOMEM;
	SHA256(info, (size_t)bytes, id);
	OPENSSL_free(info);
	return 0;
}

static const char *type_name(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "RSA"))
		return "RSA";
	if (EVP_PKEY_is_a(key, "ED25519"))
		return "ED25519";
	if (EVP_PKEY_is_a(key, "EC") && (EVP_PKEY_get_bits(key) == P256_BITS || EVP_PKEY_get_bits(key) == P384_BITS))
		return "EC";
	return NULL;
}

int slu_remote_key_create(EVP_PKEY *public_key, EVP_PKEY **key)
{
	const char *name = type_name(public_key);
	EVP_PKEY_CTX *context;
	OSSL_PARAM *params = NULL;
	int good;

	if (name == NULL)
		return -ENOTSUP;
	*key = NULL;
	context = EVP_PKEY_CTX_new_from_name(NULL, name, SLU_PROVIDER_PROPERTY);
	good = context != NULL && EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &params) == 1 &&
	       EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, key, EVP_PKEY_KEYPAIR, params) == 1;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(context);
	return good ? 0 : -ENOMEM;
}
