/*
 * A generation of everything that a reload may change: keys, clients and what each may, the server's own
 * certificate, ticket secrets. It is made by the main thread and read by all; only counters and limits in it change.
 * Who uses it holds a reference, so operations that are under way end with the keys they began with.
 */
#ifndef SLU_KEYSERVER_KEYRING_H
#define SLU_KEYSERVER_KEYRING_H

#include <stdatomic.h>
#include <stdio.h>

#include <openssl/ssl.h>

#include "keyserver/key.h"
#include "keyserver/limit.h"
#include "keyserver/settings.h"
#include "keyserver/ticket.h"

struct slu_keyring_key {
	struct slu_key_entry entry; /* with its uses */
	struct slu_key *key;
	const char *name;
	struct slu_limit limit;
};

struct slu_keyring_client {
	const struct slu_settings_client *settings;
	uint32_t *keys; /* indices of the keyring, rising */
	uint32_t key_count;
	_Atomic uint32_t *used; /* for each: operations since the audit trail told them */
	struct slu_limit limit;
};

struct slu_keyring {
	_Atomic uint32_t references;
	uint64_t generation;
	struct slu_settings *settings;
	SSL_CTX *tls;
	struct slu_keyring_key *keys; /* by id */
	uint32_t key_count;
	struct slu_keyring_client *clients; /* by identity */
	uint32_t client_count;
	struct slu_ticket_secrets secrets; /* count 0: none */
};

/*
 * Loads what the settings name, for so many workers. Every mistake is a line in errors.
 *
 * Returns 0 and a keyring with one reference, which owns the settings; -EINVAL: the settings stay the caller's.
 */
int slu_keyring_load(
	struct slu_settings *settings, uint64_t generation, uint32_t workers, struct slu_keyring **ring, FILE *errors);

struct slu_keyring *slu_keyring_hold(struct slu_keyring *ring);
void slu_keyring_drop(struct slu_keyring *ring); /* NULL is nothing */

struct slu_keyring_client *slu_keyring_client(struct slu_keyring *ring, const char *identity); /* or NULL */

/* The key, if it is there and this client may use it; its place among the client's keys in *place. */
struct slu_keyring_key *slu_keyring_find(
	struct slu_keyring *ring, const struct slu_keyring_client *client, const uint8_t *id, uint32_t *place);

/* Writes a line of the audit trail for every key that a client used since the last time. */
void slu_keyring_audit(struct slu_keyring *ring);

#endif
