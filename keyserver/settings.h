/*
 * The key server's configuration: a YAML document, read whole and judged whole. Every
 * mistake is named with its line and its rule; a document with one mistake gives nothing.
 */
#ifndef SLU_KEYSERVER_SETTINGS_H
#define SLU_KEYSERVER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SLU_SETTINGS_LISTEN_MAX 8u
#define SLU_SETTINGS_WORKERS_MAX 64u

struct slu_settings_key {
	char *name;
	char *file;    /* PEM */
	uint8_t uses;  /* SLU_KEY_USE_* */
	uint32_t rate; /* operations a second; 0: no limit */
	unsigned int line;
};

struct slu_settings_client {
	char *identity;
	char **keys; /* names; "*" is all */
	uint32_t key_count;
	uint32_t rate;      /* operations a second; 0: no limit */
	uint32_t in_flight; /* requests without answer that a connection is told it may have */
	char *tickets;      /* scope; NULL: gets no ticket keys */
	bool stats;
	unsigned int line;
};

struct slu_settings {
	char *name;                            /* of this server */
	char *listen[SLU_SETTINGS_LISTEN_MAX]; /* ADDRESS:PORT, [ADDRESS]:PORT */
	uint32_t listen_count;
	char *user; /* NULL: stay who it is */
	uint32_t workers;
	bool lock_memory;
	uint32_t connections, idle_s;
	char *certificate, *key, *client_ca;
	char *audit; /* file; NULL: the log */
	char *ticket_secrets;
	uint32_t ticket_period_s, ticket_keep;
	struct slu_settings_key *keys;
	uint32_t key_count;
	struct slu_settings_client *clients;
	uint32_t client_count;
};

/*
 * Reads a file. Paths in it are relative to its folder. What is wrong is written to errors, a line each:
 * "FILE:LINE: PATH: rule".
 *
 * Returns 0 and settings that slu_settings_free() frees; -EINVAL with at least one line in errors.
 */
int slu_settings_read(const char *path, struct slu_settings **settings, FILE *errors);
void slu_settings_free(struct slu_settings *settings);

#endif
