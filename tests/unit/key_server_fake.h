/*
 * A key server for tests, on the test's own loop: it speaks the key protocol over mutual
 * TLS 1.3 and signs, but can be told to misbehave.
 */
#ifndef SLU_TESTS_KEY_SERVER_FAKE_H
#define SLU_TESTS_KEY_SERVER_FAKE_H

#include <event2/event.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/tls_material.h"

#define KEY_SERVER_FAKE_KEYS 8

enum key_server_fake_mood {
	KEY_SERVER_ANSWERS,
	KEY_SERVER_IS_SILENT,     /* takes questions, answers none; PING neither */
	KEY_SERVER_BREAKS,        /* closes the connection at a question */
	KEY_SERVER_REFUSES,       /* answers with `status` */
	KEY_SERVER_TALKS_RUBBISH, /* answers with bytes that are no message */
	KEY_SERVER_MISTAKES,      /* answers another operation */
	KEY_SERVER_SIGNS_WRONGLY  /* a signature of other bytes */
};

struct key_server_fake;

/* Listens on 127.0.0.1; `party` is its certificate, clients need one of the material's CA. */
struct key_server_fake *key_server_fake_create(
	struct event_base *base, const struct tls_material *material, const struct tls_party *party);
/* Ends it as a kill would. */
void key_server_fake_free(struct key_server_fake *server);
/* The same on the port it had, with the keys it had. */
void key_server_fake_stop(struct key_server_fake *server);
void key_server_fake_start(struct key_server_fake *server);

struct sockaddr_in key_server_fake_address(const struct key_server_fake *server);
void key_server_fake_add_key(struct key_server_fake *server, EVP_PKEY *key);
void key_server_fake_set_mood(struct key_server_fake *server, enum key_server_fake_mood mood, uint8_t status);
void key_server_fake_set_delay(struct key_server_fake *server, unsigned int ms);

/* Questions (not HELLO, not PING) that came; connections that stand. */
uint32_t key_server_fake_asked(const struct key_server_fake *server);
uint32_t key_server_fake_connections(const struct key_server_fake *server);
/* The type of the last question. */
uint8_t key_server_fake_last(const struct key_server_fake *server);

#endif
