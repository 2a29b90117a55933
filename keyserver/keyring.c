#include "keyserver/keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "keyserver/log.h"
#include "keyserver/server_tls.h"

/* ---------------------------------------------------------------- keys */

static int by_id(const void *a, const void *b)
{
	const struct slu_keyring_key *left = a, *right = b;

	return memcmp(left->entry.id, right->entry.id, SLU_KEY_ID_BYTES);
}

static int load_key(struct slu_keyring *ring, uint32_t index, uint32_t workers, FILE *errors)
{
	const struct slu_settings_key *settings = &ring->settings->keys[index];
	struct slu_keyring_key *key = &ring->keys[index];
	const char *why = "";
	int result = slu_key_load(settings->file, workers, &key->key, &why);

	if (result == 0 && settings->uses & SLU_KEY_USE_PREMASTER &&
		slu_key_entry(key->key)->algorithm != SLU_KEY_RSA) {
		why = "rsa_premaster is for RSA keys";
		result = -EINVAL;
	}
	if (result != 0) {
		fprintf(errors, "keys: %s: %s: %s\n", settings->name, settings->file, why);
		return result;
	}
	key->entry = *slu_key_entry(key->key);
	key->entry.uses = settings->uses;
	key->name = settings->name;
	slu_limit_init(&key->limit, settings->rate);
	return 0;
}

static int load_keys(struct slu_keyring *ring, uint32_t workers, FILE *errors)
{
	int result = 0;

	ring->keys = calloc(ring->settings->key_count + 1, sizeof(*ring->keys));
	if (!ring->keys)
		return -ENOMEM;
	ring->key_count = ring->settings->key_count;
	for (uint32_t i = 0; i < ring->key_count; i++)
		if (load_key(ring, i, workers, errors) != 0)
			result = -EINVAL;
	if (result != 0)
		return result;
	qsort(ring->keys, ring->key_count, sizeof(*ring->keys), by_id);
	for (uint32_t i = 1; i < ring->key_count; i++) {
		if (by_id(&ring->keys[i - 1], &ring->keys[i]) == 0) {
			fprintf(errors, "keys: %s: the same key as %s\n", ring->keys[i].name, ring->keys[i - 1].name);
			result = -EINVAL;
		}
	}
	return result;
}

/* ---------------------------------------------------------------- clients */

static bool may_use(const struct slu_settings_client *client, const char *name)
{
	for (uint32_t i = 0; i < client->key_count; i++)
		if (strcmp(client->keys[i], "*") == 0 || strcmp(client->keys[i], name) == 0)
			return true;
	return false;
}

static int make_client(struct slu_keyring *ring, uint32_t index)
{
	const struct slu_settings_client *settings = &ring->settings->clients[index];
	struct slu_keyring_client *client = &ring->clients[index];

	client->settings = settings;
	slu_limit_init(&client->limit, settings->rate);
	client->keys = calloc(ring->key_count + 1, sizeof(*client->keys));
	client->used = calloc(ring->key_count + 1, sizeof(*client->used));
	if (!client->keys || !client->used)
		return -ENOMEM;
	for (uint32_t k = 0; k < ring->key_count; k++)
		if (may_use(settings, ring->keys[k].name))
			client->keys[client->key_count++] = k;
	return 0;
}

static int by_identity(const void *a, const void *b)
{
	const struct slu_keyring_client *left = a, *right = b;

	return strcmp(left->settings->identity, right->settings->identity);
}

static int make_clients(struct slu_keyring *ring)
{
	ring->clients = calloc(ring->settings->client_count + 1, sizeof(*ring->clients));
	if (!ring->clients)
		return -ENOMEM;
	ring->client_count = ring->settings->client_count;
	for (uint32_t i = 0; i < ring->client_count; i++)
		if (make_client(ring, i) != 0)
			return -ENOMEM;
	qsort(ring->clients, ring->client_count, sizeof(*ring->clients), by_identity);
	return 0;
}

/* ---------------------------------------------------------------- the whole */

static int load_tickets(struct slu_keyring *ring, FILE *errors)
{
	const struct slu_settings *settings = ring->settings;
	const char *why = "";

	if (!settings->ticket_secrets)
		return 0;
	if (slu_ticket_read(settings->ticket_secrets, &ring->secrets, &why) != 0) {
		fprintf(errors, "tickets: %s: %s\n", settings->ticket_secrets, why);
		return -EINVAL;
	}
	ring->secrets.period_s = settings->ticket_period_s;
	ring->secrets.keep = settings->ticket_keep;
	return 0;
}

int slu_keyring_load(
	struct slu_settings *settings, uint64_t generation, uint32_t workers, struct slu_keyring **ring, FILE *errors)
{
	struct slu_keyring *new = calloc(1, sizeof(*new));
	int keys, tls, tickets;

	if (!new) {
		fprintf(errors, "out of memory\n");
		return -EINVAL;
	}
	atomic_init(&new->references, 1);
	new->generation = generation;
	new->settings = settings;
	keys = load_keys(new, workers, errors);
	tls = slu_server_tls_new(settings, &new->tls, errors);
	tickets = load_tickets(new, errors);
	if (keys != 0 || tls != 0 || tickets != 0 || make_clients(new) != 0) {
		new->settings = NULL;
		slu_keyring_drop(new);
		return -EINVAL;
	}
	*ring = new;
	return 0;
}

struct slu_keyring *slu_keyring_hold(struct slu_keyring *ring)
{
	atomic_fetch_add(&ring->references, 1);
	return ring;
}

void slu_keyring_drop(struct slu_keyring *ring)
{
	if (!ring || atomic_fetch_sub(&ring->references, 1) != 1)
		return;
	for (uint32_t i = 0; i < ring->key_count; i++)
		slu_key_free(ring->keys[i].key);
	for (uint32_t i = 0; i < ring->client_count; i++) {
		free(ring->clients[i].keys);
		free(ring->clients[i].used);
	}
	free(ring->keys);
	free(ring->clients);
	SSL_CTX_free(ring->tls);
	slu_settings_free(ring->settings);
	OPENSSL_cleanse(&ring->secrets, sizeof(ring->secrets));
	free(ring);
}

/* ---------------------------------------------------------------- finding */

struct slu_keyring_client *slu_keyring_client(struct slu_keyring *ring, const char *identity)
{
	const struct slu_settings_client settings = {.identity = (char *)identity};
	const struct slu_keyring_client wanted = {.settings = &settings};

	return bsearch(&wanted, ring->clients, ring->client_count, sizeof(wanted), by_identity);
}

struct slu_keyring_key *slu_keyring_find(
	struct slu_keyring *ring, const struct slu_keyring_client *client, const uint8_t *id, uint32_t *place)
{
	uint32_t low = 0, high = client->key_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		struct slu_keyring_key *key = &ring->keys[client->keys[middle]];
		int order = memcmp(id, key->entry.id, SLU_KEY_ID_BYTES);

		if (order == 0) {
			*place = middle;
			return key;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void slu_keyring_audit(struct slu_keyring *ring)
{
	for (uint32_t c = 0; c < ring->client_count; c++) {
		struct slu_keyring_client *client = &ring->clients[c];

		for (uint32_t k = 0; k < client->key_count; k++) {
			uint32_t used = atomic_exchange(&client->used[k], 0);

			if (used > 0)
				slu_log_audit("used client=%s key=%s operations=%u", client->settings->identity,
					ring->keys[client->keys[k]].name, used);
		}
	}
}
