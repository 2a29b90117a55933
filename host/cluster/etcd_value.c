#include "host/cluster/etcd_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "host/config/memory.h"

json_t *slu_etcd_value_bytes(const void *bytes, size_t count)
{
	char *text = slu_memory_zeroed(count / 3 + 2, 4);
	json_t *value;

	EVP_EncodeBlock((unsigned char *)text, bytes, (int)count);
	value = json_string(text);
	free(text);
	return value;
}

json_t *slu_etcd_value_text(const char *text)
{
	return slu_etcd_value_bytes(text, strlen(text));
}

json_t *slu_etcd_value_number(int64_t number)
{
	return json_sprintf("%" PRId64, number);
}

json_t *slu_etcd_value_range_end(const char *prefix)
{
	char *end = slu_memory_copy(prefix);
	json_t *value;

	/* Prefixes are printable, so the last byte has a successor. */
	end[strlen(end) - 1]++;
	value = slu_etcd_value_text(end);
	free(end);
	return value;
}

/* How many bytes some base64 text stands for; false if its length or padding is wrong. */
static bool decoded_count(const char *text, size_t length, size_t *count)
{
	size_t padding = 0;

	if (length % 4 != 0 || length > INT32_MAX || memchr(text, '\0', length) != NULL)
		return false;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	if (memchr(text, '=', length - padding) != NULL)
		return false;
	*count = length / 4 * 3 - padding;
	return true;
}

char *slu_etcd_value_read_bytes(const json_t *value, size_t *count)
{
	size_t length = json_string_length(value);
	char *bytes;

	*count = 0;
	if (value == NULL)
		return slu_memory_copy("");
	if (!json_is_string(value) || !decoded_count(json_string_value(value), length, count))
		return NULL;
	bytes = slu_memory_zeroed(length / 4 * 3 + 1, 1);
	if (length > 0 && EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)json_string_value(value),
				  (int)length) < 0) {
		free(bytes);
		return NULL;
	}
	bytes[*count] = '\0';
	return bytes;
}

bool slu_etcd_value_read_number(const json_t *value, int64_t *number)
{
	const char *text = json_string_value(value);
	int64_t read = json_integer_value(value);
	char *end;

	if (text != NULL) {
		if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
			return false;
		errno = 0;
		read = strtoll(text, &end, 10);
		if (errno != 0 || *end != '\0' || end == text || json_string_length(value) != (size_t)(end - text))
			return false;
	} else if (value != NULL && !json_is_integer(value)) {
		return false;
	}
	*number = read;
	return true;
}

void slu_etcd_value_hash(const void *bytes, size_t count, char hash[SLU_ETCD_HASH_BYTES])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256(bytes, count, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}
