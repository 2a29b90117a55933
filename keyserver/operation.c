#include "keyserver/operation.h"

#include <string.h>
#include <time.h>

#include <arpa/inet.h>

#include <openssl/crypto.h>

#include "keyserver/content.h"
#include "keyserver/log.h"

#define REFUSAL_ROOM 512u

static size_t finish(struct slu_metrics *metrics, const struct slu_key_message *request, enum slu_key_status status,
	struct slu_key_message_writer *w)
{
	uint8_t type = request->type < SLU_KEY_OPERATIONS ? request->type : SLU_KEY_FATAL;

	slu_metrics_count(&metrics->operations[type][status]);
	return slu_key_message_end(w);
}

size_t slu_operation_refuse(struct slu_metrics *metrics, const struct slu_key_message *request,
	enum slu_key_status status, const char *text, uint8_t *bytes)
{
	struct slu_key_message_writer w;

	slu_key_message_answer(&w, bytes, REFUSAL_ROOM, request->type, request->id, status);
	if (text)
		slu_key_message_add(&w, SLU_KEY_TEXT, text, (uint32_t)strnlen(text, REFUSAL_ROOM / 2));
	return finish(metrics, request, status, &w);
}

static size_t refuse(const struct slu_operation_place *place, const struct slu_key_message *request,
	enum slu_key_status status, const char *text, uint8_t *bytes)
{
	slu_log_audit("refused client=%s operation=%s status=%s: %s", place->client->settings->identity,
		slu_key_message_operation_name(request->type), slu_key_message_status_name(status), text);
	return slu_operation_refuse(place->metrics, request, status, text, bytes);
}

/* ---------------------------------------------------------------- keys */

/* The key that a request names, if it may be used so; else the refusal stands in *status and *text. */
static struct slu_keyring_key *find_key(const struct slu_operation_place *place, const struct slu_key_message *request,
	uint8_t use, enum slu_key_status *status, const char **text)
{
	uint32_t index;
	struct slu_keyring_key *key =
		slu_keyring_find(place->ring, place->client, request->fields[SLU_KEY_ID].bytes, &index);

	*status = SLU_KEY_UNKNOWN_KEY;
	*text = "no such key for this client";
	if (!key)
		return NULL;
	*status = SLU_KEY_REFUSED;
	*text = "the key is not for this use";
	if (!(key->entry.uses & use))
		return NULL;
	*status = SLU_KEY_LIMITED;
	*text = "more operations a second than the key may do";
	if (!slu_limit_take(&key->limit, place->now_ns))
		return NULL;
	atomic_fetch_add_explicit(&place->client->used[index], 1, memory_order_relaxed);
	return key;
}

static size_t sign(const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t use,
	bool tls13, const struct slu_key_part *parts, uint32_t count, uint8_t *bytes)
{
	const struct slu_key_scheme *scheme;
	struct slu_key_message_writer w;
	enum slu_key_status status;
	const char *text;
	struct slu_keyring_key *key = find_key(place, request, use, &status, &text);
	size_t signature_bytes;
	uint8_t *signature;

	if (!key)
		return refuse(place, request, status, text, bytes);
	scheme = slu_key_scheme_of(
		key->entry.algorithm, (uint16_t)slu_key_message_number(request, SLU_KEY_SCHEME), tls13);
	if (!scheme)
		return refuse(place, request, SLU_KEY_BAD_SCHEME, "the scheme does not fit", bytes);
	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	signature = slu_key_message_open(&w, SLU_KEY_SIGNATURE, SLU_KEY_SIGNATURE_MAX);
	if (slu_key_sign(key->key, place->user, scheme, parts, count, signature, &signature_bytes) != 0)
		return refuse(place, request, SLU_KEY_FAILED, "the signature failed", bytes);
	slu_key_message_close(&w, (uint32_t)signature_bytes);
	return finish(place->metrics, request, SLU_KEY_OK, &w);
}

static struct slu_key_part part_of(const struct slu_key_message *request, enum slu_key_field field)
{
	return (struct slu_key_part){request->fields[field].bytes, request->fields[field].count};
}

static size_t tls13_cert_verify(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	uint8_t role = (uint8_t)slu_key_message_number(request, SLU_KEY_ROLE);
	uint8_t content[SLU_CONTENT_CERT_VERIFY_MAX];
	struct slu_key_part part = {
		content, slu_content_cert_verify(role, request->fields[SLU_KEY_TRANSCRIPT_HASH].bytes,
				 request->fields[SLU_KEY_TRANSCRIPT_HASH].count, content)};

	if (part.count == 0)
		return refuse(place, request, SLU_KEY_BAD_CONTENT, "there is no such role", bytes);
	return sign(place, request, role == SLU_KEY_SERVER ? SLU_KEY_USE_SERVER : SLU_KEY_USE_CLIENT, true, &part, 1,
		bytes);
}

static size_t tls12_server_key_exchange(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	const struct slu_key_part parts[] = {part_of(request, SLU_KEY_CLIENT_RANDOM),
		part_of(request, SLU_KEY_SERVER_RANDOM), part_of(request, SLU_KEY_PARAMETERS)};

	if (!slu_content_is_parameters(parts[2].bytes, parts[2].count))
		return refuse(place, request, SLU_KEY_BAD_CONTENT, "these are no ECDH parameters of TLS", bytes);
	return sign(place, request, SLU_KEY_USE_SERVER, false, parts, 3, bytes);
}

static size_t tls12_client_cert_verify(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	const struct slu_key_part part = part_of(request, SLU_KEY_TRANSCRIPT);

	if (!slu_content_is_transcript(part.bytes, part.count))
		return refuse(place, request, SLU_KEY_BAD_CONTENT, "this is no transcript of TLS 1.2", bytes);
	return sign(place, request, SLU_KEY_USE_CLIENT, false, &part, 1, bytes);
}

static size_t tls12_rsa_premaster(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	uint16_t version = (uint16_t)slu_key_message_number(request, SLU_KEY_CLIENT_VERSION);
	struct slu_key_part encrypted = part_of(request, SLU_KEY_ENCRYPTED);
	struct slu_key_message_writer w;
	enum slu_key_status status;
	const char *text;
	struct slu_keyring_key *key = find_key(place, request, SLU_KEY_USE_PREMASTER, &status, &text);
	uint8_t *premaster;

	if (!key)
		return refuse(place, request, status, text, bytes);
	if (encrypted.count != ntohs(key->entry.bits) / 8u + (ntohs(key->entry.bits) % 8u != 0))
		return refuse(
			place, request, SLU_KEY_BAD_CONTENT, "the ciphertext is not as long as the modulus", bytes);
	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	premaster = slu_key_message_open(&w, SLU_KEY_PREMASTER, SLU_KEY_PREMASTER_BYTES);
	if (slu_key_premaster(key->key, encrypted.bytes, encrypted.count, version, premaster) != 0)
		return refuse(place, request, SLU_KEY_FAILED, "the decryption failed", bytes);
	slu_key_message_close(&w, SLU_KEY_PREMASTER_BYTES);
	return finish(place->metrics, request, SLU_KEY_OK, &w);
}

/* ---------------------------------------------------------------- lists */

/* The first of the client's keys behind an id. */
static uint32_t first_behind(const struct slu_operation_place *place, const uint8_t *id)
{
	uint32_t k = 0;

	while (id && k < place->client->key_count &&
		memcmp(place->ring->keys[place->client->keys[k]].entry.id, id, SLU_KEY_ID_BYTES) <= 0)
		k++;
	return k;
}

static size_t list(const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	uint32_t k = first_behind(place, request->fields[SLU_KEY_ID].bytes), count = place->client->key_count - k;
	struct slu_key_message_writer w;
	uint8_t *entries;

	if (count > SLU_KEY_LIST_MAX)
		count = SLU_KEY_LIST_MAX;
	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	slu_key_message_add_number(&w, SLU_KEY_GENERATION, place->ring->generation, 8);
	entries = slu_key_message_open(&w, SLU_KEY_ENTRIES, count * (uint32_t)sizeof(struct slu_key_entry));
	for (uint32_t i = 0; i < count; i++)
		memcpy(entries + i * sizeof(struct slu_key_entry), &place->ring->keys[place->client->keys[k + i]].entry,
			sizeof(struct slu_key_entry));
	slu_key_message_close(&w, count * (uint32_t)sizeof(struct slu_key_entry));
	if (k + count < place->client->key_count)
		slu_key_message_add(&w, SLU_KEY_MORE, NULL, 0);
	return finish(place->metrics, request, SLU_KEY_OK, &w);
}

#define REFRESHES_A_PERIOD 4u

static size_t ticket_keys(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	struct slu_key_ticket keys[SLU_KEY_TICKETS_MAX];
	struct slu_key_message_writer w;
	uint32_t count;

	if (!place->client->settings->tickets)
		return refuse(place, request, SLU_KEY_REFUSED, "this client gets no ticket keys", bytes);
	count = slu_ticket_keys(&place->ring->secrets, place->client->settings->tickets, (uint64_t)time(NULL), keys);
	if (count == 0)
		return refuse(place, request, SLU_KEY_FAILED, "the keys cannot be computed", bytes);
	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	slu_key_message_add(&w, SLU_KEY_TICKETS, keys, count * (uint32_t)sizeof(keys[0]));
	slu_key_message_add_number(&w, SLU_KEY_REFRESH_S, 1 + place->ring->secrets.period_s / REFRESHES_A_PERIOD, 4);
	OPENSSL_cleanse(keys, sizeof(keys));
	return finish(place->metrics, request, SLU_KEY_OK, &w);
}

static size_t ping(const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	struct slu_key_message_writer w;

	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	slu_key_message_add_number(&w, SLU_KEY_GENERATION, place->ring->generation, 8);
	if (slu_key_message_has(request, SLU_KEY_ECHO))
		slu_key_message_add(
			&w, SLU_KEY_ECHO, request->fields[SLU_KEY_ECHO].bytes, request->fields[SLU_KEY_ECHO].count);
	return finish(place->metrics, request, SLU_KEY_OK, &w);
}

#define STATISTICS_MAX 65536u

static size_t statistics(const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	struct slu_key_message_writer w;
	char *text;

	if (!place->client->settings->stats)
		return refuse(place, request, SLU_KEY_REFUSED, "this client does not get statistics", bytes);
	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	text = (char *)slu_key_message_open(&w, SLU_KEY_TEXT, STATISTICS_MAX);
	slu_key_message_close(&w, (uint32_t)place->statistics(place->arg, text, STATISTICS_MAX));
	return finish(place->metrics, request, SLU_KEY_OK, &w);
}

/* ---------------------------------------------------------------- any */

uint32_t slu_operation_mask(const struct slu_keyring *ring, const struct slu_keyring_client *client)
{
	uint32_t mask = 1u << SLU_KEY_HELLO | 1u << SLU_KEY_LIST | 1u << SLU_KEY_PING;
	uint8_t uses = 0;

	for (uint32_t k = 0; k < client->key_count; k++)
		uses |= ring->keys[client->keys[k]].entry.uses;
	if (uses & (SLU_KEY_USE_SERVER | SLU_KEY_USE_CLIENT))
		mask |= 1u << SLU_KEY_TLS13_CERT_VERIFY;
	if (uses & SLU_KEY_USE_SERVER)
		mask |= 1u << SLU_KEY_TLS12_SERVER_KEY_EXCHANGE;
	if (uses & SLU_KEY_USE_CLIENT)
		mask |= 1u << SLU_KEY_TLS12_CLIENT_CERT_VERIFY;
	if (uses & SLU_KEY_USE_PREMASTER)
		mask |= 1u << SLU_KEY_TLS12_RSA_PREMASTER;
	if (client->settings->tickets)
		mask |= 1u << SLU_KEY_TICKET_KEYS;
	if (client->settings->stats)
		mask |= 1u << SLU_KEY_STATS;
	return mask;
}

size_t slu_operation_answer(
	const struct slu_operation_place *place, const struct slu_key_message *request, uint8_t *bytes)
{
	if (!slu_limit_take(&place->client->limit, place->now_ns))
		return refuse(
			place, request, SLU_KEY_LIMITED, "more operations a second than the client may ask", bytes);
	switch ((enum slu_key_operation)request->type) {
	case SLU_KEY_LIST:
		return list(place, request, bytes);
	case SLU_KEY_TLS13_CERT_VERIFY:
		return tls13_cert_verify(place, request, bytes);
	case SLU_KEY_TLS12_SERVER_KEY_EXCHANGE:
		return tls12_server_key_exchange(place, request, bytes);
	case SLU_KEY_TLS12_RSA_PREMASTER:
		return tls12_rsa_premaster(place, request, bytes);
	case SLU_KEY_TLS12_CLIENT_CERT_VERIFY:
		return tls12_client_cert_verify(place, request, bytes);
	case SLU_KEY_TICKET_KEYS:
		return ticket_keys(place, request, bytes);
	case SLU_KEY_PING:
		return ping(place, request, bytes);
	case SLU_KEY_STATS:
		return statistics(place, request, bytes);
	default:
		return refuse(place, request, SLU_KEY_UNKNOWN_OPERATION, "the operation is unknown", bytes);
	}
}
