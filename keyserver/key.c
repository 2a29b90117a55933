#include "keyserver/key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

struct slu_key {
	EVP_PKEY *pkey;
	struct slu_key_entry entry;
	uint32_t workers;
	EVP_PKEY_CTX *contexts[]; /* [worker][scheme], made when first needed */
};

/* ---------------------------------------------------------------- schemes */

static const struct slu_key_scheme schemes[SLU_KEY_SCHEMES] = {
	{0x0401, 0, false, true, false, SLU_KEY_RSA, SLU_KEY_SHA256},
	{0x0501, 1, false, true, false, SLU_KEY_RSA, SLU_KEY_SHA384},
	{0x0601, 2, false, true, false, SLU_KEY_RSA, SLU_KEY_SHA512},
	{0x0804, 3, true, true, true, SLU_KEY_RSA, SLU_KEY_SHA256},
	{0x0805, 4, true, true, true, SLU_KEY_RSA, SLU_KEY_SHA384},
	{0x0806, 5, true, true, true, SLU_KEY_RSA, SLU_KEY_SHA512},
	{0x0403, 6, true, false, false, SLU_KEY_EC_P256, SLU_KEY_SHA256},
	{0x0503, 7, true, false, false, SLU_KEY_EC_P384, SLU_KEY_SHA384},
	{0x0603, 8, false, false, false, 0, SLU_KEY_SHA512},
	{0x0807, 9, true, false, false, SLU_KEY_ED25519, SLU_KEY_NO_HASH},
};

const struct slu_key_scheme *slu_key_scheme_of(uint8_t algorithm, uint16_t id, bool tls13)
{
	bool curve = algorithm == SLU_KEY_EC_P256 || algorithm == SLU_KEY_EC_P384;
	const struct slu_key_scheme *s = schemes;

	while (s < schemes + SLU_KEY_SCHEMES && (s->id != id || id == 0))
		s++;
	if (s == schemes + SLU_KEY_SCHEMES || (tls13 && !s->tls13))
		return NULL;
	if (tls13 || !curve)
		return s->tls13_algorithm == algorithm ? s : NULL;
	/* In TLS 1.2 an ECDSA scheme names the hash alone (RFC 8446, section 4.2.3). */
	return !s->rsa && s->hash != SLU_KEY_NO_HASH ? s : NULL;
}

/* ---------------------------------------------------------------- a worker's part */

int slu_key_user_open(struct slu_key_user *user, uint32_t index)
{
	static const char *const names[SLU_KEY_HASHES] = {"SHA2-256", "SHA2-384", "SHA2-512"};

	*user = (struct slu_key_user){.index = index, .digest = EVP_MD_CTX_new()};
	for (int i = 0; i < SLU_KEY_HASHES; i++) {
		user->md[i] = EVP_MD_fetch(NULL, names[i], NULL);
		if (!user->md[i])
			return -ENOMEM;
	}
	return user->digest ? 0 : -ENOMEM;
}

void slu_key_user_close(struct slu_key_user *user)
{
	EVP_MD_CTX_free(user->digest);
	for (int i = 0; i < SLU_KEY_HASHES; i++)
		EVP_MD_free(user->md[i]);
}

/* ---------------------------------------------------------------- a key */

static int describe_ec(EVP_PKEY *pkey, struct slu_key_entry *entry)
{
	char group[64];

	if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
		return -EINVAL;
	if (strcmp(group, "prime256v1") == 0)
		entry->algorithm = SLU_KEY_EC_P256;
	else if (strcmp(group, "secp384r1") == 0)
		entry->algorithm = SLU_KEY_EC_P384;
	else
		return -EINVAL;
	return 0;
}

int slu_key_describe(EVP_PKEY *pkey, struct slu_key_entry *entry, const char **why)
{
	int bits = EVP_PKEY_get_bits(pkey);
	unsigned char *der = NULL;
	int bytes;

	memset(entry, 0, sizeof(*entry));
	if (EVP_PKEY_is_a(pkey, "RSA") && bits >= 2048 && bits <= 8192)
		entry->algorithm = SLU_KEY_RSA;
	else if (EVP_PKEY_is_a(pkey, "ED25519"))
		entry->algorithm = SLU_KEY_ED25519;
	else if (!EVP_PKEY_is_a(pkey, "EC") || describe_ec(pkey, entry) != 0) {
		*why = "the key is neither RSA of 2,048 to 8,192 bits nor on P-256, P-384, or Ed25519";
		return -EINVAL;
	}
	entry->bits = htons((uint16_t)bits);
	bytes = i2d_PUBKEY(pkey, &der);
	if (bytes <= 0) {
		*why = "the public key cannot be encoded";
		return -EINVAL;
	}
	EVP_Digest(der, (size_t)bytes, entry->id, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	return 0;
}

/* That the private half belongs to the public one: an id must not name a key that does not sign for it. */
static int check_pair(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	int good = context && EVP_PKEY_pairwise_check(context) == 1;

	EVP_PKEY_CTX_free(context);
	return good ? 0 : -EINVAL;
}

/* A passphrase is never asked for: nobody sits there. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

int slu_key_load(const char *path, uint32_t workers, struct slu_key **key, const char **why)
{
	struct slu_key *new = calloc(1, sizeof(*new) + sizeof(new->contexts[0]) * workers * SLU_KEY_SCHEMES);
	BIO *file = BIO_new_file(path, "r");
	int result;

	if (!new || !file) {
		*why = new ? "the file cannot be read" : "out of memory";
		result = new ? -ENOENT : -ENOMEM;
		goto fail;
	}
	new->workers = workers;
	new->pkey = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
	*why = "the file has no private key (PEM, without passphrase)";
	result = new->pkey ? slu_key_describe(new->pkey, &new->entry, why) : -EINVAL;
	if (result == 0 && check_pair(new->pkey) != 0) {
		*why = "private and public half do not belong together";
		result = -EINVAL;
	}
	if (result != 0)
		goto fail;
	BIO_free(file);
	*key = new;
	return 0;
fail:
	BIO_free(file);
	slu_key_free(new);
	ERR_clear_error();
	return result;
}

void slu_key_free(struct slu_key *key)
{
	if (!key)
		return;
	for (uint32_t i = 0; i < key->workers * SLU_KEY_SCHEMES; i++)
		EVP_PKEY_CTX_free(key->contexts[i]);
	EVP_PKEY_free(key->pkey);
	free(key);
}

const struct slu_key_entry *slu_key_entry(const struct slu_key *key)
{
	return &key->entry;
}

/* ---------------------------------------------------------------- signing */

size_t slu_key_digest(struct slu_key_user *user, enum slu_key_hash hash, const struct slu_key_part *parts,
	uint32_t count, uint8_t *digest)
{
	unsigned int bytes = 0;

	if (EVP_DigestInit_ex2(user->digest, user->md[hash], NULL) != 1)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		if (EVP_DigestUpdate(user->digest, parts[i].bytes, parts[i].count) != 1)
			return 0;
	return EVP_DigestFinal_ex(user->digest, digest, &bytes) == 1 ? bytes : 0;
}

static EVP_PKEY_CTX *new_context(
	struct slu_key *key, const struct slu_key_user *user, const struct slu_key_scheme *scheme)
{
	const EVP_MD *md = user->md[scheme->hash];
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	bool good = context && EVP_PKEY_sign_init(context) == 1;

	if (good && scheme->rsa)
		good = EVP_PKEY_CTX_set_rsa_padding(context, scheme->pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) ==
		       1;
	good = good && EVP_PKEY_CTX_set_signature_md(context, md) == 1;
	if (good && scheme->pss) /* RFC 8446, section 4.2.3: the salt is as long as the digest */
		good = EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
		       EVP_PKEY_CTX_set_rsa_mgf1_md(context, md) == 1;
	if (good)
		return context;
	EVP_PKEY_CTX_free(context);
	return NULL;
}

/* Ed25519 signs the content itself, in one piece. */
static int sign_whole(struct slu_key *key, struct slu_key_user *user, const struct slu_key_part *parts, uint32_t count,
	uint8_t *signature, size_t *signature_bytes)
{
	size_t total = 0, at = 0;
	uint8_t *content;
	int good;

	for (uint32_t i = 0; i < count; i++)
		total += parts[i].count;
	content = malloc(total);
	if (!content)
		return -EIO;
	for (uint32_t i = 0; i < count; at += parts[i].count, i++)
		memcpy(content + at, parts[i].bytes, parts[i].count);
	EVP_MD_CTX_reset(user->digest);
	good = EVP_DigestSignInit_ex(user->digest, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
	       EVP_DigestSign(user->digest, signature, signature_bytes, content, total) == 1;
	EVP_MD_CTX_reset(user->digest); /* it must not keep the key */
	free(content);
	return good ? 0 : -EIO;
}

int slu_key_sign(struct slu_key *key, struct slu_key_user *user, const struct slu_key_scheme *scheme,
	const struct slu_key_part *parts, uint32_t count, uint8_t *signature, size_t *signature_bytes)
{
	EVP_PKEY_CTX **context = &key->contexts[user->index * SLU_KEY_SCHEMES + scheme->index];
	uint8_t digest[EVP_MAX_MD_SIZE];
	size_t digest_bytes;
	int result = -EIO;

	*signature_bytes = SLU_KEY_SIGNATURE_MAX;
	if (scheme->hash == SLU_KEY_NO_HASH)
		return sign_whole(key, user, parts, count, signature, signature_bytes);
	digest_bytes = slu_key_digest(user, scheme->hash, parts, count, digest);
	if (!*context)
		*context = new_context(key, user, scheme);
	if (digest_bytes > 0 && *context &&
		EVP_PKEY_sign(*context, signature, signature_bytes, digest, digest_bytes) == 1)
		result = 0;
	if (result != 0)
		ERR_clear_error();
	return result;
}

/* ---------------------------------------------------------------- decrypting */

int slu_key_premaster(struct slu_key *key, const uint8_t *encrypted, size_t encrypted_bytes, uint16_t client_version,
	uint8_t premaster[SLU_KEY_PREMASTER_BYTES])
{
	unsigned int version = client_version;
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &version),
		OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX *context;
	uint8_t plain[SLU_KEY_SIGNATURE_MAX];
	size_t bytes = sizeof(plain);
	int good;

	if (encrypted_bytes != (size_t)EVP_PKEY_get_size(key->pkey))
		return -EMSGSIZE;
	/* OpenSSL's padding mode for TLS puts random bytes in place of what is wrong, without a branch. */
	context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	good = context && EVP_PKEY_decrypt_init(context) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_WITH_TLS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_params(context, parameters) == 1 &&
	       EVP_PKEY_decrypt(context, plain, &bytes, encrypted, encrypted_bytes) == 1 &&
	       bytes == SLU_KEY_PREMASTER_BYTES;
	EVP_PKEY_CTX_free(context);
	if (good) {
		memcpy(premaster, plain, SLU_KEY_PREMASTER_BYTES);
	} else {
		/* A ciphertext that is not below the modulus fails before the padding: it is answered as any other. */
		ERR_clear_error();
		good = RAND_bytes(premaster, SLU_KEY_PREMASTER_BYTES) == 1;
	}
	OPENSSL_cleanse(plain, sizeof(plain));
	return good ? 0 : -EIO;
}
