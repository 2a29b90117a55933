/*
 * Values as etcd's JSON gateway writes them: bytes are base64, 64-bit integers are
 * strings, and what is zero or empty is left out. Pure functions.
 */
#ifndef SLU_HOST_ETCD_VALUE_H
#define SLU_HOST_ETCD_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

json_t *slu_etcd_value_bytes(const void *bytes, size_t count);
json_t *slu_etcd_value_text(const char *text);
json_t *slu_etcd_value_number(int64_t number);

/* The end of the range of all keys that begin with `prefix`, which is not empty. */
json_t *slu_etcd_value_range_end(const char *prefix);

/*
 * Bytes of a value, with a NUL behind them; the caller frees them. A value that is
 * left out (NULL) is empty. Returns NULL if this is no base64.
 */
char *slu_etcd_value_read_bytes(const json_t *value, size_t *count);

/* A number; one that is left out is 0. Returns false, *number unchanged, if this is none. */
bool slu_etcd_value_read_number(const json_t *value, int64_t *number);

/* SHA-256 as 64 hexadecimal digits: the name of a part. */
#define SLU_ETCD_HASH_BYTES 65
void slu_etcd_value_hash(const void *bytes, size_t count, char hash[SLU_ETCD_HASH_BYTES]);

#endif
