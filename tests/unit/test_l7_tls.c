/*
 * TLS streams of the Layer-7 proxy with keys at key servers: everything is real but the
 * key servers, which stand in the test's own loop so that they can misbehave.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "l7/keys/key_client.h"
#include "l7/tls/backend.h"
#include "l7/tls/engine.h"
#include "l7/tls/listener.h"
#include "l7/tls/policy.h"
#include "l7/tls/stream.h"
#include "l7/tls/ticket_refresh.h"
#include "tests/unit/key_server_fake.h"
#include "tests/unit/tls_material.h"

#define DEADLINE_MS 150
#define PATIENCE_MS 20000 /* of a test that waits for something that must come */
#define ALERT_INTERNAL_ERROR 80

static const char *const kind_names[TLS_KINDS] = {"p256", "p384", "rsa", "ed25519"};

static struct {
	struct event_base *base;
	struct event *tick; /* so that a turn of the loop ends */
	struct tls_material material;
	struct tls_party server_party, worker_party, sites[TLS_KINDS];
	struct key_server_fake *servers[2];
	struct slu_key_client *keys;
	struct slu_engine *engine;
	struct slu_tls_listener *listener;
} f;

static uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* What malloc() gave, from its heap and from mappings of their own. */
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Turns the loop until the condition holds; fails the test if it never does. */
#define RUN_UNTIL(condition)                                                                                           \
	do {                                                                                                           \
		uint64_t give_up_ms = now_ms() + PATIENCE_MS;                                                          \
		while (!(condition)) {                                                                                 \
			assert_true(now_ms() < give_up_ms);                                                            \
			event_base_loop(f.base, EVLOOP_ONCE);                                                          \
		}                                                                                                      \
	} while (0)

static void run_ms(unsigned int ms)
{
	uint64_t until = now_ms() + ms;

	RUN_UNTIL(now_ms() >= until);
}

/* ------------------------------------------------------------------ fixture */

static bool is_connected(uint32_t index)
{
	struct slu_key_client_server server;

	slu_key_client_server(f.keys, index, &server);
	return server.is_open;
}

static void connect_keys(uint32_t servers)
{
	struct slu_key_client_settings settings = {.server_count = servers,
		.identity = {f.worker_party.chain_file, f.worker_party.key_file, f.material.ca_file},
		.deadline_ms = DEADLINE_MS,
		.pending_max = 64};
	char error[256];

	for (uint32_t i = 0; i < servers; i++) {
		struct sockaddr_in address = key_server_fake_address(f.servers[i]);

		memcpy(&settings.servers[i].address, &address, sizeof(address));
		settings.servers[i].address_bytes = sizeof(address);
		settings.servers[i].name = "keys.example";
	}
	assert_int_equal(slu_key_client_create(f.base, &settings, error, sizeof(error), &f.keys), 0);
	assert_int_equal(slu_engine_create(f.base, f.keys, &f.engine), 0);
	for (uint32_t i = 0; i < servers; i++)
		RUN_UNTIL(is_connected(i));
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what, (void)context;
}

static int start(void **state)
{
	const struct timeval tick = {0, 5000};

	(void)state;
	memset(&f, 0, sizeof(f));
	f.base = event_base_new();
	f.tick = event_new(f.base, -1, EV_PERSIST, on_tick, NULL);
	event_add(f.tick, &tick);
	tls_material_create(&f.material);
	tls_material_issue(&f.material, "keys", TLS_P256, "DNS:keys.example", &f.server_party);
	tls_material_issue(
		&f.material, "worker", TLS_P256, "DNS:worker.example,URI:spiffe://sluice/worker", &f.worker_party);
	for (int i = 0; i < TLS_KINDS; i++) {
		char names[128];

		snprintf(names, sizeof(names), "DNS:%s.example,DNS:*.%s.example%s", kind_names[i], kind_names[i],
			i == TLS_RSA2048 ? ",DNS:p256.example" : "");
		tls_material_issue(&f.material, kind_names[i], (enum tls_kind)i, names, &f.sites[i]);
	}
	for (int i = 0; i < 2; i++) {
		f.servers[i] = key_server_fake_create(f.base, &f.material, &f.server_party);
		for (int k = 0; k < TLS_KINDS; k++)
			key_server_fake_add_key(f.servers[i], f.sites[k].key);
	}
	connect_keys(2);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	slu_tls_listener_release(f.listener);
	slu_engine_destroy(f.engine);
	slu_key_client_destroy(f.keys);
	for (int i = 0; i < 2; i++)
		key_server_fake_free(f.servers[i]);
	tls_party_free(&f.server_party);
	tls_party_free(&f.worker_party);
	for (int i = 0; i < TLS_KINDS; i++)
		tls_party_free(&f.sites[i]);
	tls_material_free(&f.material);
	event_free(f.tick);
	event_base_free(f.base);
	return 0;
}

static struct slu_tls_listener *make_listener(struct slu_engine *engine, struct slu_tls_listener_settings settings)
{
	struct slu_tls_certificate_files files[TLS_KINDS];
	struct slu_tls_listener *listener;
	char error[256] = "";

	for (int i = 0; i < TLS_KINDS; i++)
		files[i] = (struct slu_tls_certificate_files){f.sites[i].chain_file, NULL};
	if (settings.name == NULL)
		settings.name = "test";
	if (settings.policy == NULL)
		settings.policy = slu_policy_find(SLU_POLICY_DEFAULT);
	if (settings.certificates == NULL) {
		settings.certificates = files;
		settings.certificate_count = TLS_KINDS;
	}
	if (slu_tls_listener_create(engine, &settings, error, sizeof(error), &listener) != 0)
		fail_msg("%s", error);
	return listener;
}

static void listen_with(struct slu_tls_listener_settings settings)
{
	slu_tls_listener_release(f.listener);
	f.listener = make_listener(f.engine, settings);
}

/* ------------------------------------------------- both ends of a connection */

/* The proxy's end: a channel that gives back what it reads. */
struct host {
	struct slu_channel channel;
	bool is_connected, is_closed;
	int error;
	uint8_t held[4096]; /* read and not written back yet */
	size_t held_bytes;
};

static void on_host(struct slu_channel *channel, unsigned what, void *arg)
{
	struct host *host = arg;
	ssize_t count;

	(void)what;
	host->error = slu_channel_connected(channel);
	if (host->error == -EAGAIN)
		return;
	host->is_connected = host->error == 0;
	while (host->error == 0) {
		const struct iovec part = {host->held, host->held_bytes};

		if (host->held_bytes > 0) {
			count = slu_channel_write(channel, &part, 1);
			if (count < 0)
				break;
			memmove(host->held, host->held + count, host->held_bytes - (size_t)count);
			host->held_bytes -= (size_t)count;
			continue;
		}
		count = slu_channel_read(channel, host->held, sizeof(host->held));
		if (count == 0)
			slu_channel_finish(channel);
		if (count < 0 && count != -EAGAIN)
			host->error = (int)count;
		if (count <= 0)
			break;
		host->held_bytes = (size_t)count;
	}
	if (host->error != 0) {
		slu_channel_close(channel);
		host->is_closed = true;
	}
}

/* The other end: OpenSSL alone, as a client or a server. */
struct visitor {
	SSL *ssl;
	int fd;
	struct event *event;
	int outcome; /* 1: the handshake is done, -1: it failed */
	int alert;   /* that came */
	uint64_t began_ms, ended_ms;
	uint8_t got[256];
	size_t got_bytes;
};

static void on_info(const SSL *ssl, int where, int value)
{
	struct visitor *visitor = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
		visitor->alert = value & 0xff;
}

static void on_visitor(evutil_socket_t fd, short what, void *context)
{
	struct visitor *visitor = context;
	size_t count;
	int result;

	(void)fd, (void)what;
	if (visitor->outcome == 0) {
		result = SSL_do_handshake(visitor->ssl);
		if (result != 1 && SSL_get_error(visitor->ssl, result) == SSL_ERROR_WANT_READ)
			return;
		visitor->outcome = result == 1 ? 1 : -1;
		visitor->ended_ms = now_ms();
		if (result != 1)
			event_del(visitor->event);
	}
	while (visitor->outcome == 1 && visitor->got_bytes < sizeof(visitor->got)) {
		result = SSL_read_ex(visitor->ssl, visitor->got + visitor->got_bytes,
			sizeof(visitor->got) - visitor->got_bytes, &count);
		if (result == 1) {
			visitor->got_bytes += count;
			continue;
		}
		if (SSL_get_error(visitor->ssl, result) != SSL_ERROR_WANT_READ)
			event_del(visitor->event);
		break;
	}
	ERR_clear_error();
}

static SSL_CTX *visitor_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());

	SSL_CTX_load_verify_file(context, f.material.ca_file);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_info_callback(context, on_info);
	return context;
}

/* Takes the context over; *fd is the other end. */
static void visitor_open(struct visitor *visitor, SSL_CTX *context, bool is_client, int *fd)
{
	int pair[2];

	memset(visitor, 0, sizeof(*visitor));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	visitor->fd = pair[0];
	visitor->ssl = SSL_new(context);
	SSL_CTX_free(context);
	SSL_set_app_data(visitor->ssl, visitor);
	SSL_set_fd(visitor->ssl, visitor->fd);
	if (is_client)
		SSL_set_connect_state(visitor->ssl);
	else
		SSL_set_accept_state(visitor->ssl);
	visitor->event = event_new(f.base, visitor->fd, EV_READ | EV_PERSIST, on_visitor, visitor);
	event_add(visitor->event, NULL);
	visitor->began_ms = now_ms();
	*fd = pair[1];
}

static void visitor_close(struct visitor *visitor)
{
	event_free(visitor->event);
	/* Else OpenSSL would not let the session be resumed. */
	SSL_set_shutdown(visitor->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(visitor->ssl);
	close(visitor->fd);
}

/* A client in front of the listener, its first message sent. */
static void visit(struct visitor *visitor, struct host *host, SSL_CTX *context, const char *name)
{
	int fd;

	visitor_open(visitor, context, true, &fd);
	if (name != NULL)
		SSL_set_tlsext_host_name(visitor->ssl, name);
	memset(host, 0, sizeof(*host));
	assert_int_equal(slu_stream_accept(&host->channel, f.engine, f.listener, fd, on_host, host), 0);
	on_visitor(visitor->fd, 0, visitor);
}

static void leave(struct visitor *visitor, struct host *host)
{
	visitor_close(visitor);
	if (!host->is_closed)
		slu_channel_close(&host->channel);
	host->is_closed = true;
}

/* Sends a word and waits until it comes back. */
static void assert_echo(struct visitor *visitor)
{
	static const char word[] = "there and back";

	visitor->got_bytes = 0;
	assert_int_equal(SSL_write(visitor->ssl, word, sizeof(word)), sizeof(word));
	RUN_UNTIL(visitor->got_bytes == sizeof(word));
	assert_memory_equal(visitor->got, word, sizeof(word));
}

/* One whole handshake that must succeed, with an echo. */
static void assert_served(void)
{
	struct visitor visitor;
	struct host host;

	visit(&visitor, &host, visitor_context(), "p256.example");
	RUN_UNTIL(visitor.outcome != 0);
	assert_int_equal(visitor.outcome, 1);
	assert_echo(&visitor);
	leave(&visitor, &host);
}

/* One that must fail with an alert; returns how long that took. */
static uint64_t assert_refused(int alert)
{
	struct visitor visitor;
	struct host host;

	visit(&visitor, &host, visitor_context(), "p256.example");
	RUN_UNTIL(visitor.outcome != 0 && host.is_closed);
	assert_int_equal(visitor.outcome, -1);
	assert_int_equal(visitor.alert, alert);
	leave(&visitor, &host);
	return visitor.ended_ms - visitor.began_ms;
}

/* --------------------------------------------------------------- handshakes */

static void assert_all_kinds(void)
{
	listen_with((struct slu_tls_listener_settings){0});
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
		for (int kind = 0; kind < TLS_KINDS; kind++) {
			SSL_CTX *context = visitor_context();
			char name[64];
			struct visitor visitor;
			struct host host;

			snprintf(name, sizeof(name), "www.%s.example", kind_names[kind]);
			SSL_CTX_set_max_proto_version(context, version);
			visit(&visitor, &host, context, name);
			RUN_UNTIL(visitor.outcome != 0);
			assert_int_equal(visitor.outcome, 1);
			assert_int_equal(SSL_version(visitor.ssl), version);
			assert_int_equal(
				X509_cmp(SSL_get0_peer_certificate(visitor.ssl), f.sites[kind].certificate), 0);
			assert_echo(&visitor);
			leave(&visitor, &host);
		}
}

static void handshake__of_each_version_and_key__is_signed_by_the_key_server(void **state)
{
	(void)state;
	assert_all_kinds();
	assert_int_equal(key_server_fake_asked(f.servers[0]) + key_server_fake_asked(f.servers[1]), 2 * TLS_KINDS);
}

static void rsa_key__signs_pkcs1_in_tls_1_2__when_the_client_knows_no_pss(void **state)
{
	SSL_CTX *context = visitor_context();
	struct visitor visitor;
	struct host host;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set1_sigalgs_list(context, "RSA+SHA384:ECDSA+SHA256");
	visit(&visitor, &host, context, "rsa.example");
	RUN_UNTIL(visitor.outcome != 0);
	assert_int_equal(visitor.outcome, 1);
	leave(&visitor, &host);
}

static void static_rsa__is_decrypted_by_the_key_server__where_the_policy_has_it(void **state)
{
	(void)state;
	for (int allowed = 0; allowed < 2; allowed++) {
		SSL_CTX *context = visitor_context();
		struct visitor visitor;
		struct host host;

		listen_with((struct slu_tls_listener_settings){
			.policy = slu_policy_find(allowed ? "tls-1.2-static-rsa" : "tls-1.2-compatible")});
		SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
		SSL_CTX_set_cipher_list(context, "AES128-GCM-SHA256");
		visit(&visitor, &host, context, "rsa.example");
		RUN_UNTIL(visitor.outcome != 0);
		assert_int_equal(visitor.outcome, allowed ? 1 : -1);
		if (allowed) {
			assert_echo(&visitor);
			assert_int_equal(key_server_fake_last(f.servers[0]) | key_server_fake_last(f.servers[1]),
				SLU_KEY_TLS12_RSA_PREMASTER);
		}
		leave(&visitor, &host);
	}
}

/* ------------------------------------------------------ key servers that fail */

/* Makes the other server so slow that the first is asked. */
static void prefer_first(void)
{
	uint32_t asked = key_server_fake_asked(f.servers[0]);

	key_server_fake_set_delay(f.servers[1], 50);
	while (key_server_fake_asked(f.servers[0]) < asked + 2)
		assert_served();
}

static void key_servers_gone__get_an_alert_at_once(void **state)
{
	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int i = 0; i < 2; i++)
		key_server_fake_stop(f.servers[i]);
	RUN_UNTIL(!is_connected(0) && !is_connected(1));
	/* Not a time-out that just happens to be short: nothing is asked. */
	assert_true(assert_refused(ALERT_INTERNAL_ERROR) < DEADLINE_MS);
	assert_int_equal(slu_key_client_counters(f.keys)->unreachable, 1);
	for (int i = 0; i < 2; i++)
		key_server_fake_start(f.servers[i]);
	RUN_UNTIL(is_connected(0));
	assert_served();
}

static void silent_key_server__is_passed_over_after_the_deadline(void **state)
{
	uint32_t asked;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	prefer_first();
	asked = key_server_fake_asked(f.servers[0]);
	key_server_fake_set_mood(f.servers[0], KEY_SERVER_IS_SILENT, 0);
	for (int i = 0; i < 8; i++)
		assert_served();
	/* Its circuit breaker opened: some waited for it, the others did not. */
	assert_in_range(key_server_fake_asked(f.servers[0]) - asked, 1, 5);
	assert_int_equal(slu_key_client_counters(f.keys)->timeouts, key_server_fake_asked(f.servers[0]) - asked);
	assert_int_equal(slu_key_client_counters(f.keys)->failed, 0);
}

static void all_silent__end_in_an_alert__and_recover_after_a_ping(void **state)
{
	uint64_t ms;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_IS_SILENT, 0);
	ms = assert_refused(ALERT_INTERNAL_ERROR);
	assert_true(ms >= 2 * DEADLINE_MS - 20);
	for (int i = 0; i < 6; i++)
		assert_refused(ALERT_INTERNAL_ERROR);
	assert_int_equal(slu_key_client_counters(f.keys)->breaker_opened, 2);
	/* Nobody is waited for any more. */
	assert_true(assert_refused(ALERT_INTERNAL_ERROR) < DEADLINE_MS);
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_ANSWERS, 0);
	for (uint32_t i = 0; i < 2; i++) {
		struct slu_key_client_server server = {.is_broken = true};

		RUN_UNTIL((slu_key_client_server(f.keys, i, &server), server.is_open && !server.is_broken));
	}
	assert_served();
}

static void bad_answers__are_asked_again_elsewhere(void **state)
{
	static const struct {
		enum key_server_fake_mood mood;
		uint8_t status;
	} rows[] = {{KEY_SERVER_BREAKS, 0}, {KEY_SERVER_REFUSES, SLU_KEY_BUSY}, {KEY_SERVER_REFUSES, SLU_KEY_FAILED},
		{KEY_SERVER_REFUSES, SLU_KEY_UNKNOWN_KEY}, {KEY_SERVER_TALKS_RUBBISH, 0}, {KEY_SERVER_MISTAKES, 0}};

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t repeated = slu_key_client_counters(f.keys)->repeated;

		RUN_UNTIL(is_connected(0) && is_connected(1));
		key_server_fake_set_mood(f.servers[0], rows[i].mood, rows[i].status);
		while (slu_key_client_counters(f.keys)->repeated == repeated) {
			RUN_UNTIL(is_connected(0) && is_connected(1));
			assert_served();
		}
		key_server_fake_set_mood(f.servers[0], KEY_SERVER_ANSWERS, 0);
	}
	assert_int_equal(slu_key_client_counters(f.keys)->failed, 0);
}

static void wrong_signature__fails_at_the_client__not_here(void **state)
{
	struct visitor visitor;
	struct host host;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_SIGNS_WRONGLY, 0);
	visit(&visitor, &host, visitor_context(), "p256.example");
	RUN_UNTIL(visitor.outcome != 0 && host.is_closed);
	assert_int_equal(visitor.outcome, -1);
	leave(&visitor, &host);
}

static void late_answer__is_counted_and_dropped(void **state)
{
	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	prefer_first();
	key_server_fake_set_delay(f.servers[0], 2 * DEADLINE_MS);
	while (slu_key_client_counters(f.keys)->timeouts == 0)
		assert_served();
	RUN_UNTIL(slu_key_client_counters(f.keys)->late > 0);
	assert_served();
}

static void slow_server__gets_few_questions(void **state)
{
	uint32_t before;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	key_server_fake_set_delay(f.servers[0], 40);
	for (int i = 0; i < 10; i++)
		assert_served();
	before = key_server_fake_asked(f.servers[0]);
	for (int i = 0; i < 30; i++)
		assert_served();
	assert_in_range(key_server_fake_asked(f.servers[0]) - before, 0, 10);
}

static void too_many_questions__are_refused_at_once(void **state)
{
	enum { MANY = 80 };
	static struct visitor visitors[MANY];
	static struct host hosts[MANY];
	int refused = 0;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_IS_SILENT, 0);
	for (int i = 0; i < MANY; i++)
		visit(&visitors[i], &hosts[i], visitor_context(), "p256.example");
	for (int i = 0; i < MANY; i++)
		RUN_UNTIL(visitors[i].outcome != 0 && hosts[i].is_closed);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(visitors[i].alert, ALERT_INTERNAL_ERROR);
		refused += visitors[i].ended_ms - visitors[i].began_ms < DEADLINE_MS;
		leave(&visitors[i], &hosts[i]);
	}
	assert_int_equal(slu_key_client_counters(f.keys)->full, MANY - 64);
	assert_int_equal(f.engine->counters.waiting, 0);
	(void)refused;
}

static void unauthenticated_key_server__is_never_asked(void **state)
{
	struct tls_party foreign, other_name;
	const struct tls_party *parties[] = {&foreign, &other_name};

	(void)state;
	tls_material_issue_foreign(&f.material, "foreign", TLS_P256, "DNS:keys.example", &foreign);
	tls_material_issue(&f.material, "other", TLS_P256, "DNS:other.example", &other_name);
	for (int i = 0; i < 2; i++) {
		struct slu_key_client_server server = {0};

		slu_engine_destroy(f.engine);
		slu_key_client_destroy(f.keys);
		f.engine = NULL;
		key_server_fake_free(f.servers[0]);
		f.servers[0] = key_server_fake_create(f.base, &f.material, parties[i]);
		connect_keys(0);
		slu_engine_destroy(f.engine);
		slu_key_client_destroy(f.keys);
		{
			struct slu_key_client_settings settings = {.server_count = 1,
				.identity = {f.worker_party.chain_file, f.worker_party.key_file, f.material.ca_file}};
			struct sockaddr_in address = key_server_fake_address(f.servers[0]);
			char error[256];

			memcpy(&settings.servers[0].address, &address, sizeof(address));
			settings.servers[0].address_bytes = sizeof(address);
			settings.servers[0].name = "keys.example";
			assert_int_equal(slu_key_client_create(f.base, &settings, error, sizeof(error), &f.keys), 0);
		}
		assert_int_equal(slu_engine_create(f.base, f.keys, &f.engine), 0);
		RUN_UNTIL((slu_key_client_server(f.keys, 0, &server), server.link.handshake_failures > 0));
		assert_false(server.is_open);
	}
	tls_party_free(&foreign);
	tls_party_free(&other_name);
}

/* Rounds of clients side by side; in the middle of each one server is killed, and comes back. */
static void key_server_killed_among_many_handshakes__loses_none(void **state)
{
	enum { ROUNDS = 20, SIDE_BY_SIDE = 50, ANSWERED = 10 };
	static struct visitor visitors[SIDE_BY_SIDE];
	static struct host hosts[SIDE_BY_SIDE];

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int round = 0; round < ROUNDS; round++) {
		struct key_server_fake *victim = f.servers[round % 2];
		uint64_t answered;

		RUN_UNTIL(is_connected(0) && is_connected(1));
		answered = slu_key_client_counters(f.keys)->answered;
		for (int i = 0; i < SIDE_BY_SIDE; i++)
			visit(&visitors[i], &hosts[i], visitor_context(), "p256.example");
		RUN_UNTIL(slu_key_client_counters(f.keys)->answered >= answered + ANSWERED);
		key_server_fake_stop(victim);
		for (int i = 0; i < SIDE_BY_SIDE; i++) {
			RUN_UNTIL(visitors[i].outcome != 0 && (hosts[i].is_connected || hosts[i].is_closed));
			assert_int_equal(visitors[i].outcome, 1);
			leave(&visitors[i], &hosts[i]);
		}
		key_server_fake_start(victim);
	}
	assert_int_equal(slu_key_client_counters(f.keys)->failed, 0);
	assert_int_equal(f.engine->counters.handshakes, ROUNDS * SIDE_BY_SIDE);
}

/* ----------------------------------------------------------- clients that go */

/* Links that gave silent servers up have come back: their memory is not what is measured. */
static void settle(void)
{
	for (uint32_t i = 0; i < 2; i++)
		RUN_UNTIL(is_connected(i) && key_server_fake_connections(f.servers[i]) == 1);
}

static void clients_that_leave_while_the_key_server_works__leave_nothing(void **state)
{
	enum { ROUNDS = 1500, SETTLED = 300 };
	size_t before = 0;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_IS_SILENT, 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct visitor visitor;
		struct host host;

		visit(&visitor, &host, visitor_context(), "p256.example");
		RUN_UNTIL(f.engine->counters.waiting == 1 || host.is_closed);
		/* Half of them are closed by the proxy, the others by the client. */
		if (i % 2 == 0 && !host.is_closed) {
			slu_channel_close(&host.channel);
			host.is_closed = true;
		}
		visitor_close(&visitor);
		RUN_UNTIL(f.engine->counters.waiting == 0 && (host.is_closed || host.error != -EAGAIN));
		if (!host.is_closed)
			slu_channel_close(&host.channel);
		if (i == SETTLED) {
			settle();
			before = allocated();
		}
	}
	settle();
	assert_true(f.engine->counters.abandoned > ROUNDS / 2);
	assert_in_range(allocated(), 0, before + (64 << 10));
}

/* --------------------------------------------------------- names and protocols */

static void server_names__choose_the_certificate(void **state)
{
	static const struct {
		const char *name;
		enum tls_kind kind;
	} rows[] = {{NULL, TLS_P256}, {"p384.example", TLS_P384}, {"P384.EXAMPLE", TLS_P384},
		{"a.p384.example", TLS_P384}, {"a.b.p384.example", TLS_P256}, {"*.p384.example", TLS_P256},
		{"unknown.example", TLS_P256}, {"rsa.example.", TLS_RSA2048}};

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct visitor visitor;
		struct host host;

		visit(&visitor, &host, visitor_context(), rows[i].name);
		RUN_UNTIL(visitor.outcome != 0);
		if (visitor.outcome != 1 ||
			X509_cmp(SSL_get0_peer_certificate(visitor.ssl), f.sites[rows[i].kind].certificate) != 0)
			fail_msg("row %zu", i);
		leave(&visitor, &host);
	}
}

static void one_name_with_two_keys__serves_what_the_client_can(void **state)
{
	SSL_CTX *context = visitor_context();
	struct visitor visitor;
	struct host host;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	SSL_CTX_set1_sigalgs_list(context, "rsa_pss_rsae_sha256:RSA+SHA256");
	visit(&visitor, &host, context, "p256.example");
	RUN_UNTIL(visitor.outcome != 0);
	/* The CA's own signature is ECDSA, which this client does not like: it is the key that counts here. */
	assert_int_equal(EVP_PKEY_is_a(X509_get0_pubkey(SSL_get0_peer_certificate(visitor.ssl)), "RSA"), 1);
	leave(&visitor, &host);
}

static void unknown_name__is_an_alert_where_the_listener_says_so(void **state)
{
	struct visitor visitor;
	struct host host;

	(void)state;
	listen_with((struct slu_tls_listener_settings){.refuses_unknown = true});
	visit(&visitor, &host, visitor_context(), "unknown.example");
	RUN_UNTIL(visitor.outcome != 0);
	assert_int_equal(visitor.outcome, -1);
	assert_int_equal(visitor.alert, SSL_AD_UNRECOGNIZED_NAME);
	leave(&visitor, &host);
	assert_served();
}

static void protocols__are_chosen_in_the_listeners_order(void **state)
{
	static const struct {
		bool has_h2;
		const char *offered;
		const char *chosen; /* NULL: the handshake fails */
	} rows[] = {{true, "\x08http/1.1\x02h2", "h2"}, {false, "\x02h2\x08http/1.1", "http/1.1"},
		{true, "\x08http/1.1", "http/1.1"}, {true, "\x04spdy", NULL}, {true, "", ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct visitor visitor;
		struct host host;
		int fd;

		listen_with((struct slu_tls_listener_settings){.has_h2 = rows[i].has_h2});
		visitor_open(&visitor, visitor_context(), true, &fd);
		SSL_set_alpn_protos(
			visitor.ssl, (const unsigned char *)rows[i].offered, (unsigned int)strlen(rows[i].offered));
		memset(&host, 0, sizeof(host));
		assert_int_equal(slu_stream_accept(&host.channel, f.engine, f.listener, fd, on_host, &host), 0);
		on_visitor(visitor.fd, 0, &visitor);
		RUN_UNTIL(visitor.outcome != 0);
		assert_int_equal(visitor.outcome, rows[i].chosen != NULL ? 1 : -1);
		if (rows[i].chosen == NULL) {
			assert_int_equal(visitor.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
		} else {
			const char *protocol;

			RUN_UNTIL(host.is_connected);
			protocol = slu_channel_protocol(&host.channel);
			assert_string_equal(protocol != NULL ? protocol : "", rows[i].chosen);
		}
		leave(&visitor, &host);
	}
}

static void staple__is_sent_while_it_is_good(void **state)
{
	static const struct {
		int status;
		long seconds;
		bool is_taken;
	} rows[] = {{V_OCSP_CERTSTATUS_GOOD, 3600, true}, {V_OCSP_CERTSTATUS_REVOKED, 3600, false},
		{V_OCSP_CERTSTATUS_GOOD, -600, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[TLS_MATERIAL_PATH], error[256];
		struct slu_tls_certificate_files files = {f.sites[TLS_P256].chain_file, path};
		struct slu_tls_listener_settings settings = {.name = "test",
			.policy = slu_policy_find(SLU_POLICY_DEFAULT),
			.certificates = &files,
			.certificate_count = 1};
		struct slu_tls_listener *listener;
		const unsigned char *staple;
		struct visitor visitor;
		struct host host;
		SSL_CTX *context;

		tls_material_staple(&f.material, &f.sites[TLS_P256], rows[i].status, rows[i].seconds, path);
		if (!rows[i].is_taken) {
			assert_int_equal(
				slu_tls_listener_create(f.engine, &settings, error, sizeof(error), &listener), -EINVAL);
			assert_non_null(strstr(error, "OCSP"));
			continue;
		}
		listen_with(settings);
		context = visitor_context();
		SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp);
		visit(&visitor, &host, context, "p256.example");
		RUN_UNTIL(visitor.outcome != 0);
		assert_int_equal(visitor.outcome, 1);
		assert_true(SSL_get_tlsext_status_ocsp_resp(visitor.ssl, &staple) > 100);
		leave(&visitor, &host);
	}
}

static void broken_files__are_refused_by_name(void **state)
{
	char text[TLS_MATERIAL_PATH], error[512];
	struct slu_tls_certificate_files files = {text, NULL};
	struct slu_tls_listener_settings settings = {.name = "test",
		.policy = slu_policy_find(SLU_POLICY_DEFAULT),
		.certificates = &files,
		.certificate_count = 1};
	static const char *const contents[] = {
		"", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	struct slu_tls_listener *listener;

	(void)state;
	snprintf(text, sizeof(text), "%s/broken.pem", f.material.folder);
	assert_int_equal(slu_tls_listener_create(f.engine, &settings, error, sizeof(error), &listener), -EINVAL);
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		FILE *file = fopen(text, "w");

		fputs(contents[i], file);
		fclose(file);
		assert_int_equal(
			slu_tls_listener_create(f.engine, &settings, error, sizeof(error), &listener), -EINVAL);
		assert_non_null(strstr(error, "broken.pem"));
	}
	/* Leaf, then a certificate that did not issue it. */
	snprintf(error, sizeof(error), "cat %s %s > %s", f.sites[0].chain_file, f.sites[1].chain_file, text);
	assert_int_equal(system(error), 0);
	assert_int_equal(slu_tls_listener_create(f.engine, &settings, error, sizeof(error), &listener), -EINVAL);
	assert_non_null(strstr(error, "did not issue"));
}

static void changed_listener__serves_new_connections__and_leaves_the_old(void **state)
{
	struct slu_tls_certificate_files files = {f.sites[TLS_P384].chain_file, NULL};
	struct visitor old, next;
	struct host old_host, next_host;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	visit(&old, &old_host, visitor_context(), "p256.example");
	RUN_UNTIL(old.outcome != 0);
	visit(&next, &next_host, visitor_context(), "p256.example");
	/* The old one is freed in the middle of `next`'s handshake. */
	listen_with((struct slu_tls_listener_settings){.certificates = &files, .certificate_count = 1});
	RUN_UNTIL(next.outcome != 0);
	assert_int_equal(next.outcome, 1);
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(next.ssl), f.sites[TLS_P256].certificate), 0);
	leave(&next, &next_host);
	visit(&next, &next_host, visitor_context(), "p256.example");
	RUN_UNTIL(next.outcome != 0);
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(next.ssl), f.sites[TLS_P384].certificate), 0);
	leave(&next, &next_host);
	assert_echo(&old);
	leave(&old, &old_host);
}

/* ------------------------------------------------------------ sessions resumed */

static void set_ticket_key(struct slu_engine *engine, uint8_t name, int64_t from_s, int64_t until_s, int64_t open_s)
{
	uint64_t now = (uint64_t)time(NULL);
	struct slu_key_ticket ticket;

	memset(&ticket, name, sizeof(ticket));
	ticket.encrypt_from_s = htobe64(now + (uint64_t)from_s);
	ticket.encrypt_until_s = htobe64(now + (uint64_t)until_s);
	ticket.decrypt_until_s = htobe64(now + (uint64_t)open_s);
	assert_int_equal(slu_ticket_ring_set(&engine->tickets, (const uint8_t *)&ticket, sizeof(ticket)), 0);
}

static SSL_SESSION *kept;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

/* Connects, with the kept session if there is one; returns whether it was resumed. */
static bool visit_again(int version, const char *name)
{
	SSL_CTX *context = visitor_context();
	struct visitor visitor;
	struct host host;
	bool resumed;
	int fd;

	SSL_CTX_set_max_proto_version(context, version);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(context, on_session);
	visitor_open(&visitor, context, true, &fd);
	SSL_set_tlsext_host_name(visitor.ssl, name);
	if (kept != NULL)
		SSL_set_session(visitor.ssl, kept);
	memset(&host, 0, sizeof(host));
	assert_int_equal(slu_stream_accept(&host.channel, f.engine, f.listener, fd, on_host, &host), 0);
	on_visitor(visitor.fd, 0, &visitor);
	RUN_UNTIL(visitor.outcome != 0);
	assert_int_equal(visitor.outcome, 1);
	assert_echo(&visitor);
	resumed = SSL_session_reused(visitor.ssl);
	leave(&visitor, &host);
	return resumed;
}

static void sessions__are_resumed_at_another_node_with_the_same_keys(void **state)
{
	struct slu_engine *other, *first = f.engine;

	(void)state;
	assert_int_equal(slu_engine_create(f.base, f.keys, &other), 0);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		uint32_t asked;

		kept = NULL;
		f.engine = first;
		set_ticket_key(first, 1, -10, 100, 200);
		set_ticket_key(other, 1, -10, 100, 200);
		listen_with((struct slu_tls_listener_settings){0});
		assert_false(visit_again(version, "p256.example"));
		asked = key_server_fake_asked(f.servers[0]) + key_server_fake_asked(f.servers[1]);
		f.engine = other;
		listen_with((struct slu_tls_listener_settings){0});
		assert_true(visit_again(version, "p256.example"));
		assert_int_equal(key_server_fake_asked(f.servers[0]) + key_server_fake_asked(f.servers[1]), asked);
		/* Another listener is another service. */
		listen_with((struct slu_tls_listener_settings){.name = "another"});
		assert_false(visit_again(version, "p256.example"));
		SSL_SESSION_free(kept);
	}
	kept = NULL;
	f.engine = first;
	slu_engine_destroy(other);
}

static void ticket_keys__out_of_time__are_not_used(void **state)
{
	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	/* None: no tickets. */
	assert_false(visit_again(TLS1_3_VERSION, "p256.example"));
	assert_false(visit_again(TLS1_3_VERSION, "p256.example"));
	/* Sealing is over, opening is not. */
	set_ticket_key(f.engine, 1, -10, 100, 200);
	visit_again(TLS1_3_VERSION, "p256.example");
	set_ticket_key(f.engine, 1, -100, -1, 100);
	assert_true(visit_again(TLS1_3_VERSION, "p256.example"));
	/* Both are over. */
	set_ticket_key(f.engine, 1, -10, 100, 200);
	visit_again(TLS1_3_VERSION, "p256.example");
	set_ticket_key(f.engine, 1, -100, -2, -1);
	assert_false(visit_again(TLS1_3_VERSION, "p256.example"));
	assert_int_equal(slu_ticket_ring_set(&f.engine->tickets, (const uint8_t *)"", 1), -EBADMSG);
	SSL_SESSION_free(kept);
	kept = NULL;
}

static void ticket_keys__come_from_the_key_servers__and_survive_them(void **state)
{
	struct slu_ticket_refresh *refresh;

	(void)state;
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_REFUSES, SLU_KEY_BUSY);
	listen_with((struct slu_tls_listener_settings){0});
	assert_int_equal(slu_ticket_refresh_create(f.base, f.keys, &f.engine->tickets, &refresh), 0);
	RUN_UNTIL(key_server_fake_asked(f.servers[0]) > 1 && key_server_fake_asked(f.servers[1]) > 1);
	assert_int_equal(f.engine->tickets.count, 0);
	for (int i = 0; i < 2; i++)
		key_server_fake_set_mood(f.servers[i], KEY_SERVER_ANSWERS, 0);
	RUN_UNTIL(f.engine->tickets.count == 1);
	assert_false(visit_again(TLS1_3_VERSION, "p256.example"));
	for (int i = 0; i < 2; i++)
		key_server_fake_stop(f.servers[i]);
	RUN_UNTIL(!is_connected(0) && !is_connected(1));
	/* A session that goes on needs no key server. */
	assert_true(visit_again(TLS1_3_VERSION, "p256.example"));
	slu_ticket_refresh_destroy(refresh);
	SSL_SESSION_free(kept);
	kept = NULL;
}

/* --------------------------------------------------------- client certificates */

static void client_certificates__are_asked_for_and_judged(void **state)
{
	struct tls_party foreign;
	const struct {
		const struct tls_party *party;
		int outcome;
	} rows[] = {{&f.worker_party, 1}, {NULL, -1}, {&foreign, -1}};

	(void)state;
	tls_material_issue_foreign(&f.material, "foreign", TLS_P256, "DNS:a.example", &foreign);
	listen_with((struct slu_tls_listener_settings){.client_ca = f.material.ca_file, .client_is_required = true});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL_CTX *context = visitor_context();
		struct visitor visitor;
		struct host host;

		/* In 1.2 the client learns of it within its handshake. */
		SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
		if (rows[i].party != NULL) {
			SSL_CTX_use_certificate(context, rows[i].party->certificate);
			SSL_CTX_use_PrivateKey(context, rows[i].party->key);
		}
		visit(&visitor, &host, context, "p256.example");
		RUN_UNTIL(visitor.outcome != 0);
		assert_int_equal(visitor.outcome, rows[i].outcome);
		if (rows[i].outcome == 1) {
			RUN_UNTIL(host.is_connected);
			assert_non_null(SSL_get0_peer_certificate(slu_stream_ssl(&host.channel)));
		}
		leave(&visitor, &host);
	}
	tls_party_free(&foreign);
}

/* -------------------------------------------------------------------- backends */

struct backend_row {
	const char *name;
	bool has_certificate;
	int version;
	bool is_good;
};

static void assert_backend(const struct backend_row *row)
{
	struct slu_tls_backend_settings settings = {.policy = slu_policy_find(SLU_POLICY_DEFAULT),
		.ca = f.material.ca_file,
		.certificate_chain = row->has_certificate ? f.sites[TLS_P256].chain_file : NULL};
	SSL_CTX *context = visitor_context();
	struct slu_tls_backend *backend;
	struct visitor visitor;
	struct host host;
	char error[256];
	int fd;

	SSL_CTX_use_certificate(context, f.sites[TLS_RSA2048].certificate);
	SSL_CTX_use_PrivateKey(context, f.sites[TLS_RSA2048].key);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_max_proto_version(context, row->version);
	assert_int_equal(slu_tls_backend_create(&settings, error, sizeof(error), &backend), 0);
	visitor_open(&visitor, context, false, &fd);
	memset(&host, 0, sizeof(host));
	assert_int_equal(slu_stream_connect(&host.channel, f.engine, backend, row->name, fd, false, on_host, &host), 0);
	RUN_UNTIL(visitor.outcome != 0);
	assert_int_equal(visitor.outcome, row->is_good ? 1 : -1);
	if (row->is_good)
		assert_echo(&visitor);
	leave(&visitor, &host);
	slu_tls_backend_free(backend);
}

static void backend__is_verified__and_shown_a_certificate_that_the_key_server_signs_for(void **state)
{
	static const struct backend_row rows[] = {{"rsa.example", true, TLS1_2_VERSION, true},
		{"rsa.example", true, TLS1_3_VERSION, true}, {"rsa.example", false, TLS1_2_VERSION, false},
		{"other.example", true, TLS1_3_VERSION, false}, {"192.0.2.1", true, TLS1_3_VERSION, false}};
	static const uint8_t operations[] = {SLU_KEY_TLS12_CLIENT_CERT_VERIFY, SLU_KEY_TLS13_CERT_VERIFY};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		key_server_fake_set_mood(f.servers[1], KEY_SERVER_BREAKS, 0);
		RUN_UNTIL(is_connected(0));
		assert_backend(&rows[i]);
		if (i < sizeof(operations))
			assert_int_equal(key_server_fake_last(f.servers[0]), operations[i]);
	}
}

/* ----------------------------------------------------------------------- memory */

/* Of the proxy's end alone: the other ends are freed before it is measured. */
static void idle_connection__takes_little_memory(void **state)
{
	enum { MANY = 200, MAX_BYTES = 15 << 10 };
	static struct visitor visitors[MANY];
	static struct host hosts[MANY];
	size_t before, bytes;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	set_ticket_key(f.engine, 1, -10, 100, 200);
	assert_served();
	before = allocated();
	for (int i = 0; i < MANY; i++) {
		visit(&visitors[i], &hosts[i], visitor_context(), "p256.example");
		RUN_UNTIL(visitors[i].outcome != 0 && hosts[i].is_connected);
		assert_echo(&visitors[i]);
		event_free(visitors[i].event);
		SSL_free(visitors[i].ssl);
	}
	bytes = (allocated() - before) / MANY;
	print_message("idle TLS connection: %zu bytes\n", bytes);
	assert_in_range(bytes, 0, MAX_BYTES);
	for (int i = 0; i < MANY; i++) {
		close(visitors[i].fd);
		if (!hosts[i].is_closed)
			slu_channel_close(&hosts[i].channel);
	}
}

/* ------------------------------------------------------------------------ bytes */

#define MUCH (1 << 20)

static void much__arrives_whole_at_a_slow_reader__and_after_close(void **state)
{
	uint8_t *bytes = malloc(MUCH), piece[1500];
	size_t written = 0, got = 0, count;
	struct visitor visitor;
	struct host host;

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 977);
	visit(&visitor, &host, visitor_context(), "p256.example");
	RUN_UNTIL(visitor.outcome != 0 && host.is_connected);
	event_del(visitor.event);
	while (written < MUCH) {
		/* Odd parts, so that they are gathered and cut in all ways. */
		const struct iovec parts[] = {{bytes + written, 1}, {bytes + written + 1, (MUCH - written - 1) / 3 + 1},
			{bytes + written + 1 + (MUCH - written - 1) / 3 + 1,
				MUCH - written - 2 - (MUCH - written - 1) / 3}};
		int parts_count = MUCH - written < 8 ? 1 : 3;
		ssize_t taken = slu_channel_write(&host.channel, parts, parts_count);

		if (taken > 0) {
			written += (size_t)taken;
			continue;
		}
		assert_int_equal(taken, -EAGAIN);
		if (SSL_read_ex(visitor.ssl, piece, sizeof(piece), &count) == 1) {
			assert_memory_equal(piece, bytes + got, count);
			got += count;
		}
		host.channel.writable = true;
	}
	slu_channel_close(&host.channel);
	host.is_closed = true;
	while (got < MUCH) {
		if (SSL_read_ex(visitor.ssl, piece, sizeof(piece), &count) != 1) {
			run_ms(5);
			continue;
		}
		assert_memory_equal(piece, bytes + got, count);
		got += count;
	}
	leave(&visitor, &host);
	free(bytes);
}

static void end__is_told_by_close_notify__and_a_cut_is_an_error(void **state)
{
	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (int orderly = 0; orderly < 2; orderly++) {
		struct visitor visitor;
		struct host host;

		visit(&visitor, &host, visitor_context(), "p256.example");
		RUN_UNTIL(visitor.outcome != 0 && host.is_connected);
		if (orderly)
			SSL_shutdown(visitor.ssl);
		else
			shutdown(visitor.fd, SHUT_WR);
		if (orderly) {
			RUN_UNTIL(SSL_get_shutdown(visitor.ssl) == (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN));
			assert_int_equal(host.error, 0);
		} else {
			RUN_UNTIL(host.is_closed);
			assert_int_equal(host.error, -EPROTO);
		}
		leave(&visitor, &host);
	}
}

static void rubbish__from_a_client_ends_the_handshake(void **state)
{
	static const char *const rubbish[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "\x16\x03\x01\xff\xff\xff\xff",
		"\x80\x2e\x01\x00\x02\x00\x15\x00"};

	(void)state;
	listen_with((struct slu_tls_listener_settings){0});
	for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		struct visitor visitor;
		struct host host;
		int fd;

		visitor_open(&visitor, visitor_context(), true, &fd);
		event_del(visitor.event);
		memset(&host, 0, sizeof(host));
		assert_int_equal(slu_stream_accept(&host.channel, f.engine, f.listener, fd, on_host, &host), 0);
		assert_true(write(visitor.fd, rubbish[i], i == 0 ? strlen(rubbish[i]) : 10) > 0);
		shutdown(visitor.fd, SHUT_WR);
		RUN_UNTIL(host.is_closed);
		assert_true(host.error == -EPROTO || host.error == -ECONNRESET);
		leave(&visitor, &host);
	}
}

/* --------------------------------------------------------- the real key server */

#ifndef SLUICE_KEYD
#define SLUICE_KEYD "build/bin/sluice-keyd"
#endif

static uint16_t free_port(void)
{
	struct sockaddr_in address = key_server_fake_address(f.servers[0]);

	key_server_fake_stop(f.servers[0]);
	return ntohs(address.sin_port);
}

static pid_t start_keyd(uint16_t port)
{
	char path[TLS_MATERIAL_PATH];
	pid_t process;
	FILE *file;

	snprintf(path, sizeof(path), "%s/secrets", f.material.folder);
	file = fopen(path, "w");
	fprintf(file, "%064d\n", 7);
	fclose(file);
	chmod(path, 0600);
	snprintf(path, sizeof(path), "%s/keyd.yaml", f.material.folder);
	file = fopen(path, "w");
	fprintf(file, "listen: 127.0.0.1:%u\naudit: audit.log\n", port);
	fprintf(file, "tls: {certificate: keys.pem, key: keys.key, client_ca: ca.pem}\n");
	fprintf(file, "tickets: {secrets: secrets, period_s: 3600}\nkeys:\n");
	for (int i = 0; i < TLS_KINDS; i++)
		fprintf(file, "  - {name: %s, file: %s.key%s}\n", kind_names[i], kind_names[i],
			i == TLS_RSA2048 ? ", rsa_premaster: true" : "");
	fprintf(file, "clients:\n  - {identity: 'spiffe://sluice/worker', keys: ['*'], tickets: web}\n");
	fclose(file);
	process = fork();
	if (process == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
		execl(SLUICE_KEYD, SLUICE_KEYD, "-c", path, (char *)NULL);
		_exit(127);
	}
	assert_true(process > 0);
	return process;
}

static void real_key_server__signs_for_every_key_and_gives_ticket_keys(void **state)
{
	struct slu_ticket_refresh *refresh;
	pid_t process = start_keyd(free_port());

	(void)state;
	key_server_fake_stop(f.servers[1]);
	RUN_UNTIL(!is_connected(1));
	RUN_UNTIL(is_connected(0));
	assert_all_kinds();
	assert_int_equal(slu_key_client_counters(f.keys)->answered, 2 * TLS_KINDS);
	assert_int_equal(slu_ticket_refresh_create(f.base, f.keys, &f.engine->tickets, &refresh), 0);
	RUN_UNTIL(f.engine->tickets.count > 0);
	slu_ticket_refresh_destroy(refresh);
	assert_false(visit_again(TLS1_3_VERSION, "p256.example"));
	assert_true(visit_again(TLS1_3_VERSION, "p256.example"));
	SSL_SESSION_free(kept);
	kept = NULL;
	assert_int_equal(kill(process, SIGKILL), 0);
	assert_int_equal(waitpid(process, NULL, 0), process);
	RUN_UNTIL(!is_connected(0));
	assert_refused(ALERT_INTERNAL_ERROR);
}

/* ---------------------------------------------------------------- the provider */

static void provider__takes_no_key_over_that_is_not_its_own(void **state)
{
	EVP_PKEY *key = f.sites[TLS_P256].key;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t signature[256];
	size_t bytes = sizeof(signature);

	(void)state;
	assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(context, signature, &bytes, (const uint8_t *)"text", 4), 1);
	EVP_MD_CTX_free(context);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {TEST(handshake__of_each_version_and_key__is_signed_by_the_key_server),
		TEST(rsa_key__signs_pkcs1_in_tls_1_2__when_the_client_knows_no_pss),
		TEST(static_rsa__is_decrypted_by_the_key_server__where_the_policy_has_it),
		TEST(key_servers_gone__get_an_alert_at_once),
		TEST(silent_key_server__is_passed_over_after_the_deadline),
		TEST(all_silent__end_in_an_alert__and_recover_after_a_ping),
		TEST(bad_answers__are_asked_again_elsewhere), TEST(wrong_signature__fails_at_the_client__not_here),
		TEST(late_answer__is_counted_and_dropped), TEST(slow_server__gets_few_questions),
		TEST(too_many_questions__are_refused_at_once), TEST(unauthenticated_key_server__is_never_asked),
		TEST(clients_that_leave_while_the_key_server_works__leave_nothing),
		TEST(server_names__choose_the_certificate), TEST(one_name_with_two_keys__serves_what_the_client_can),
		TEST(unknown_name__is_an_alert_where_the_listener_says_so),
		TEST(protocols__are_chosen_in_the_listeners_order), TEST(staple__is_sent_while_it_is_good),
		TEST(broken_files__are_refused_by_name),
		TEST(changed_listener__serves_new_connections__and_leaves_the_old),
		TEST(sessions__are_resumed_at_another_node_with_the_same_keys),
		TEST(ticket_keys__out_of_time__are_not_used),
		TEST(ticket_keys__come_from_the_key_servers__and_survive_them),
		TEST(key_server_killed_among_many_handshakes__loses_none), TEST(idle_connection__takes_little_memory),
		TEST(client_certificates__are_asked_for_and_judged),
		TEST(backend__is_verified__and_shown_a_certificate_that_the_key_server_signs_for),
		TEST(much__arrives_whole_at_a_slow_reader__and_after_close),
		TEST(end__is_told_by_close_notify__and_a_cut_is_an_error),
		TEST(rubbish__from_a_client_ends_the_handshake),
		TEST(real_key_server__signs_for_every_key_and_gives_ticket_keys),
		TEST(provider__takes_no_key_over_that_is_not_its_own)};

	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
