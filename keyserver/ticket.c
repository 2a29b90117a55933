#include "keyserver/ticket.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

/* ---------------------------------------------------------------- secrets */

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

static bool parse_secret(const char *line, uint8_t *secret)
{
	for (uint32_t i = 0; i < 2 * SLU_TICKET_SECRET_BYTES; i++) {
		int value = hex_value(line[i]);

		if (value < 0) /* the end of a line that is too short, too */
			return false;
		secret[i / 2] = (uint8_t)(secret[i / 2] << 4 | value);
	}
	return line[2 * SLU_TICKET_SECRET_BYTES] == '\0';
}

int slu_ticket_read(const char *path, struct slu_ticket_secrets *secrets, const char **why)
{
	FILE *file = fopen(path, "re");
	char line[160];
	int result = 0;

	if (!file) {
		*why = "the file cannot be read";
		return -errno;
	}
	secrets->count = 0;
	while (result == 0 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		*why = secrets->count == SLU_TICKET_SECRETS_MAX ? "there are more than two secrets"
								: "a secret is a line of 64 hexadecimal digits";
		if (secrets->count == SLU_TICKET_SECRETS_MAX || !parse_secret(line, secrets->bytes[secrets->count++]))
			result = -EINVAL;
	}
	if (result == 0 && secrets->count == 0) {
		*why = "the file has no secret";
		result = -EINVAL;
	}
	OPENSSL_cleanse(line, sizeof(line));
	fclose(file);
	return result;
}

/* ---------------------------------------------------------------- keys */

/* HKDF with SHA-256 (RFC 5869); the information binds scope, length of a period, and its number. */
static bool derive(
	const uint8_t *secret, const char *scope, uint32_t period_s, uint64_t number, uint8_t *out, size_t bytes)
{
	static const char salt[] = "sluice ticket keys, version 1";
	uint8_t info[8 + 8 + SLU_KEY_NAME_MAX];
	const uint64_t numbers[2] = {htobe64(period_s), htobe64(number)};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	size_t scope_bytes = strnlen(scope, SLU_KEY_NAME_MAX);
	bool good;

	memcpy(info, numbers, sizeof(numbers));
	memcpy(info + sizeof(numbers), scope, scope_bytes);
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA2-256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, SLU_TICKET_SECRET_BYTES),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, sizeof(salt) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(numbers) + scope_bytes),
		OSSL_PARAM_construct_end(),
	};
	good = context && EVP_KDF_derive(context, out, bytes, parameters) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return good;
}

static bool add(const struct slu_ticket_secrets *secrets, uint32_t which, const char *scope, uint64_t number,
	bool encrypts, struct slu_key_ticket *key)
{
	uint8_t material[sizeof(key->name) + sizeof(key->cipher_key) + sizeof(key->mac_key)];
	uint64_t from = number * secrets->period_s, until = from + secrets->period_s;
	bool good = derive(secrets->bytes[which], scope, secrets->period_s, number, material, sizeof(material));

	memcpy(key->name, material, sizeof(key->name));
	memcpy(key->cipher_key, material + sizeof(key->name), sizeof(key->cipher_key));
	memcpy(key->mac_key, material + sizeof(key->name) + sizeof(key->cipher_key), sizeof(key->mac_key));
	key->encrypt_from_s = htobe64(from);
	key->encrypt_until_s = htobe64(encrypts ? until : from);
	key->decrypt_until_s = htobe64(until + (uint64_t)secrets->keep * secrets->period_s);
	OPENSSL_cleanse(material, sizeof(material));
	return good;
}

uint32_t slu_ticket_keys(const struct slu_ticket_secrets *secrets, const char *scope, uint64_t now_s,
	struct slu_key_ticket keys[SLU_KEY_TICKETS_MAX])
{
	uint64_t present = now_s / secrets->period_s;
	uint32_t count = 0;

	for (uint32_t s = 0; s < secrets->count; s++) {
		/* The next period's are there beforehand: a node whose clock is ahead uses them already. */
		for (int64_t n = 1; n >= -(int64_t)secrets->keep && count < SLU_KEY_TICKETS_MAX; n--) {
			if (n < 0 && present < (uint64_t)-n)
				continue;
			if (!add(secrets, s, scope, present + (uint64_t)n, s == 0, &keys[count++]))
				return 0;
		}
	}
	return count;
}
