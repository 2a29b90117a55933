#include "tests/unit/key_server_fake.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "l7/tls/remote_key.h"
#include "lib/key_message.h"

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			abort();                                                                                       \
	} while (0)
#define ROOM_BYTES (256 << 10)
#define ANSWER_BYTES 4096
#define TICKET_LIFE_S 3600

struct connection {
	LIST_ENTRY(connection) entry;
	struct key_server_fake *server;
	struct event *event;
	SSL *ssl;
	int fd;
	uint8_t in[ROOM_BYTES];
	size_t in_bytes;
};

struct delayed {
	LIST_ENTRY(delayed) entry;
	struct connection *connection;
	struct event *event;
	size_t bytes;
	uint8_t text[ANSWER_BYTES];
};

struct key_server_fake {
	struct event_base *base;
	SSL_CTX *context;
	struct sockaddr_in address;
	int fd;
	struct event *accept;
	LIST_HEAD(, connection) connections;
	LIST_HEAD(, delayed) delayed;
	struct {
		uint8_t id[SLU_KEY_ID_BYTES];
		EVP_PKEY *key;
	} keys[KEY_SERVER_FAKE_KEYS];
	uint32_t key_count, asked, connection_count;
	enum key_server_fake_mood mood;
	uint8_t status, last;
	unsigned int delay_ms;
};

/* ------------------------------------------------------------------- answers */

static void connection_free(struct connection *connection)
{
	struct delayed *delayed, *next;

	for (delayed = LIST_FIRST(&connection->server->delayed); delayed != NULL; delayed = next) {
		next = LIST_NEXT(delayed, entry);
		if (delayed->connection == connection) {
			LIST_REMOVE(delayed, entry);
			event_free(delayed->event);
			free(delayed);
		}
	}
	connection->server->connection_count--;
	LIST_REMOVE(connection, entry);
	event_free(connection->event);
	SSL_free(connection->ssl);
	close(connection->fd);
	free(connection);
}

/* The tests' answers are small: a socket that is full does not happen. */
static void send_now(struct connection *connection, const uint8_t *bytes, size_t count)
{
	size_t written;

	if (count > 0)
		SSL_write_ex(connection->ssl, bytes, count, &written);
}

static void on_delayed(evutil_socket_t fd, short what, void *context)
{
	struct delayed *delayed = context;

	(void)fd, (void)what;
	LIST_REMOVE(delayed, entry);
	send_now(delayed->connection, delayed->text, delayed->bytes);
	event_free(delayed->event);
	free(delayed);
}

static void send_later(struct connection *connection, const uint8_t *bytes, size_t count)
{
	unsigned int ms = connection->server->delay_ms;
	const struct timeval time = {ms / 1000, 1000 * (ms % 1000)};
	struct delayed *delayed = calloc(1, sizeof(*delayed));

	delayed->connection = connection;
	delayed->bytes = count;
	memcpy(delayed->text, bytes, count);
	delayed->event = event_new(connection->server->base, -1, 0, on_delayed, delayed);
	event_add(delayed->event, &time);
	LIST_INSERT_HEAD(&connection->server->delayed, delayed, entry);
}

static EVP_PKEY *find_key(const struct key_server_fake *server, const struct slu_key_message *message)
{
	for (uint32_t i = 0; i < server->key_count; i++)
		if (memcmp(server->keys[i].id, message->fields[SLU_KEY_ID].bytes, SLU_KEY_ID_BYTES) == 0)
			return server->keys[i].key;
	return NULL;
}

/* What is signed, built from the parts as RFC 8446, 4.4.3 and RFC 8422, 5.4 say. */
static size_t signed_text(const struct slu_key_message *message, uint8_t *text)
{
	static const enum slu_key_field parts[] = {SLU_KEY_TRANSCRIPT_HASH, SLU_KEY_CLIENT_RANDOM,
		SLU_KEY_SERVER_RANDOM, SLU_KEY_PARAMETERS, SLU_KEY_TRANSCRIPT};
	size_t bytes = 0;

	if (message->type == SLU_KEY_TLS13_CERT_VERIFY) {
		const char *role =
			slu_key_message_number(message, SLU_KEY_ROLE) == SLU_KEY_SERVER ? "server" : "client";

		memset(text, ' ', 64);
		bytes = 64 + (size_t)sprintf((char *)text + 64, "TLS 1.3, %s CertificateVerify", role) + 1;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (slu_key_message_has(message, parts[i])) {
			memcpy(text + bytes, message->fields[parts[i]].bytes, message->fields[parts[i]].count);
			bytes += message->fields[parts[i]].count;
		}
	return bytes;
}

static const EVP_MD *digest_of(uint64_t scheme)
{
	switch (scheme) {
	case 0x0401:
	case 0x0403:
	case 0x0804:
		return EVP_sha256();
	case 0x0501:
	case 0x0503:
	case 0x0805:
		return EVP_sha384();
	case 0x0601:
	case 0x0603:
	case 0x0806:
		return EVP_sha512();
	default:
		return NULL;
	}
}

static size_t sign(const struct key_server_fake *server, const struct slu_key_message *message, uint8_t *signature)
{
	static uint8_t text[SLU_KEY_BODY_MAX];
	uint64_t scheme = slu_key_message_number(message, SLU_KEY_SCHEME);
	EVP_PKEY *key = find_key(server, message);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *parameters;
	size_t bytes = 0, count = signed_text(message, text);

	if (server->mood == KEY_SERVER_SIGNS_WRONGLY)
		text[count - 1] ^= 1;
	if (key != NULL && EVP_DigestSignInit(context, &parameters, digest_of(scheme), NULL, key) == 1) {
		bytes = SLU_KEY_SIGNATURE_MAX;
		if (scheme >> 8 == 8 && scheme != 0x0807) {
			EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
			EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
		}
		if (EVP_DigestSign(context, signature, &bytes, text, count) != 1)
			bytes = 0;
	}
	EVP_MD_CTX_free(context);
	return bytes;
}

static size_t decrypt(const struct key_server_fake *server, const struct slu_key_message *message, uint8_t *premaster)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(find_key(server, message), NULL);
	uint8_t clear[1024];
	size_t bytes = sizeof(clear);

	MUST(RAND_bytes(premaster, SLU_KEY_PREMASTER_BYTES) == 1);
	if (EVP_PKEY_decrypt_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
		EVP_PKEY_decrypt(context, clear, &bytes, message->fields[SLU_KEY_ENCRYPTED].bytes,
			message->fields[SLU_KEY_ENCRYPTED].count) == 1 &&
		bytes == SLU_KEY_PREMASTER_BYTES)
		memcpy(premaster, clear, bytes);
	EVP_PKEY_CTX_free(context);
	return SLU_KEY_PREMASTER_BYTES;
}

/* The same at every server of a test, as of those that share a secret. */
static struct slu_key_ticket ticket_key(void)
{
	uint64_t now = (uint64_t)time(NULL);
	struct slu_key_ticket ticket;

	memset(&ticket, 7, sizeof(ticket));
	ticket.encrypt_from_s = htobe64(now - TICKET_LIFE_S);
	ticket.encrypt_until_s = htobe64(now + TICKET_LIFE_S);
	ticket.decrypt_until_s = htobe64(now + 2 * TICKET_LIFE_S);
	return ticket;
}

static void add_answer(
	const struct key_server_fake *server, struct slu_key_message_writer *w, const struct slu_key_message *message)
{
	uint8_t result[SLU_KEY_SIGNATURE_MAX];
	struct slu_key_ticket ticket = ticket_key();

	switch (message->type) {
	case SLU_KEY_HELLO:
		slu_key_message_add_number(w, SLU_KEY_VERSION_CHOSEN, SLU_KEY_VERSION, 2);
		slu_key_message_add(w, SLU_KEY_NAME, "fake", 4);
		slu_key_message_add_number(w, SLU_KEY_OPERATIONS_MASK, 0xfff, 4);
		slu_key_message_add_number(w, SLU_KEY_IN_FLIGHT, 1024, 4);
		slu_key_message_add_number(w, SLU_KEY_GENERATION, 1, 8);
		break;
	case SLU_KEY_PING:
		slu_key_message_add_number(w, SLU_KEY_GENERATION, 1, 8);
		break;
	case SLU_KEY_TLS12_RSA_PREMASTER:
		slu_key_message_add(w, SLU_KEY_PREMASTER, result, (uint32_t)decrypt(server, message, result));
		break;
	case SLU_KEY_TICKET_KEYS:
		slu_key_message_add(w, SLU_KEY_TICKETS, &ticket, sizeof(ticket));
		slu_key_message_add_number(w, SLU_KEY_REFRESH_S, 60, 4);
		break;
	default:
		slu_key_message_add(w, SLU_KEY_SIGNATURE, result, (uint32_t)sign(server, message, result));
	}
}

static size_t write_answer(const struct key_server_fake *server, const struct slu_key_message *message, uint8_t *text)
{
	struct slu_key_message_writer w;
	bool is_question = message->type != SLU_KEY_HELLO && message->type != SLU_KEY_PING;
	uint8_t type = is_question && server->mood == KEY_SERVER_MISTAKES ? SLU_KEY_PING : message->type;
	bool refused = is_question && server->mood == KEY_SERVER_REFUSES;
	struct slu_key_message as = *message;

	if (is_question && message->type != SLU_KEY_TICKET_KEYS && !refused && find_key(server, message) == NULL) {
		slu_key_message_answer(&w, text, ANSWER_BYTES, type, message->id, SLU_KEY_UNKNOWN_KEY);
		return slu_key_message_end(&w);
	}
	slu_key_message_answer(&w, text, ANSWER_BYTES, type, message->id, refused ? server->status : SLU_KEY_OK);
	as.type = type;
	if (!refused)
		add_answer(server, &w, &as);
	return slu_key_message_end(&w);
}

/* ----------------------------------------------------------------- questions */

/* Returns false when the connection is gone. */
static bool on_message(struct connection *connection, const struct slu_key_message *message)
{
	struct key_server_fake *server = connection->server;
	bool is_question = message->type != SLU_KEY_HELLO && message->type != SLU_KEY_PING;
	uint8_t text[ANSWER_BYTES];
	size_t bytes;

	server->asked += is_question;
	if (is_question)
		server->last = message->type;
	if (server->mood == KEY_SERVER_IS_SILENT && message->type != SLU_KEY_HELLO)
		return true;
	if (is_question && server->mood == KEY_SERVER_BREAKS) {
		connection_free(connection);
		return false;
	}
	bytes = write_answer(server, message, text);
	if (is_question && server->mood == KEY_SERVER_TALKS_RUBBISH)
		memset(text, 0xee, bytes);
	if (server->delay_ms > 0 && message->type != SLU_KEY_HELLO)
		send_later(connection, text, bytes);
	else
		send_now(connection, text, bytes);
	return true;
}

static bool take_messages(struct connection *connection)
{
	size_t used = 0, frame;
	struct slu_key_message message;

	for (;;) {
		int error = slu_key_message_read(connection->in + used, connection->in_bytes - used,
			SLU_KEY_MESSAGE_REQUEST, &message, &frame, NULL);

		if (error == -EAGAIN)
			break;
		MUST(error == 0);
		used += frame;
		if (!on_message(connection, &message))
			return false;
	}
	memmove(connection->in, connection->in + used, connection->in_bytes - used);
	connection->in_bytes -= used;
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	size_t count;

	(void)fd, (void)what;
	while (SSL_read_ex(connection->ssl, connection->in + connection->in_bytes, ROOM_BYTES - connection->in_bytes,
		       &count) == 1) {
		connection->in_bytes += count;
		if (!take_messages(connection))
			return;
	}
	if (SSL_get_error(connection->ssl, 0) != SSL_ERROR_WANT_READ)
		connection_free(connection);
}

static void on_accept(evutil_socket_t fd, short what, void *context)
{
	struct key_server_fake *server = context;
	struct connection *connection = calloc(1, sizeof(*connection));

	(void)what;
	connection->server = server;
	connection->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	MUST(connection->fd >= 0);
	connection->ssl = SSL_new(server->context);
	SSL_set_fd(connection->ssl, connection->fd);
	SSL_set_accept_state(connection->ssl);
	connection->event = event_new(server->base, connection->fd, EV_READ | EV_PERSIST, on_readable, connection);
	event_add(connection->event, NULL);
	LIST_INSERT_HEAD(&server->connections, connection, entry);
	server->connection_count++;
}

/* ---------------------------------------------------------------------- life */

static int on_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *bytes, const unsigned char *offered,
	unsigned int offered_bytes, void *context)
{
	static const char ours[] = SLU_KEY_ALPN;

	(void)ssl, (void)context;
	MUST(offered_bytes == sizeof(ours) && offered[0] == sizeof(ours) - 1 &&
		memcmp(offered + 1, ours, sizeof(ours) - 1) == 0);
	*chosen = offered + 1;
	*bytes = offered[0];
	return SSL_TLSEXT_ERR_OK;
}

void key_server_fake_start(struct key_server_fake *server)
{
	socklen_t bytes = sizeof(server->address);
	int one = 1;

	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	MUST(bind(server->fd, (struct sockaddr *)&server->address, bytes) == 0 && listen(server->fd, 16) == 0);
	getsockname(server->fd, (struct sockaddr *)&server->address, &bytes);
	server->accept = event_new(server->base, server->fd, EV_READ | EV_PERSIST, on_accept, server);
	event_add(server->accept, NULL);
}

void key_server_fake_stop(struct key_server_fake *server)
{
	while (!LIST_EMPTY(&server->connections))
		connection_free(LIST_FIRST(&server->connections));
	if (server->accept != NULL) {
		event_free(server->accept);
		close(server->fd);
	}
	server->accept = NULL;
}

struct key_server_fake *key_server_fake_create(
	struct event_base *base, const struct tls_material *material, const struct tls_party *party)
{
	struct key_server_fake *server = calloc(1, sizeof(*server));

	server->base = base;
	server->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	server->context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_min_proto_version(server->context, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(server->context, 0);
	SSL_CTX_set_alpn_select_cb(server->context, on_protocol, NULL);
	SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	MUST(SSL_CTX_use_certificate(server->context, party->certificate) == 1 &&
		SSL_CTX_use_PrivateKey(server->context, party->key) == 1 &&
		SSL_CTX_load_verify_file(server->context, material->ca_file) == 1);
	key_server_fake_start(server);
	return server;
}

void key_server_fake_free(struct key_server_fake *server)
{
	key_server_fake_stop(server);
	SSL_CTX_free(server->context);
	free(server);
}

struct sockaddr_in key_server_fake_address(const struct key_server_fake *server)
{
	return server->address;
}

void key_server_fake_add_key(struct key_server_fake *server, EVP_PKEY *key)
{
	MUST(slu_remote_key_id(key, server->keys[server->key_count].id) == 0);
	server->keys[server->key_count++].key = key;
}

void key_server_fake_set_mood(struct key_server_fake *server, enum key_server_fake_mood mood, uint8_t status)
{
	server->mood = mood;
	server->status = status;
}

void key_server_fake_set_delay(struct key_server_fake *server, unsigned int ms)
{
	server->delay_ms = ms;
}

uint32_t key_server_fake_asked(const struct key_server_fake *server)
{
	return server->asked;
}

uint32_t key_server_fake_connections(const struct key_server_fake *server)
{
	return server->connection_count;
}

uint8_t key_server_fake_last(const struct key_server_fake *server)
{
	return server->last;
}
