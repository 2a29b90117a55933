#include "l7/keys/key_text.h"

#include <errno.h>
#include <string.h>

/* Frame, headers of fields, and all fields of fixed size. */
#define FIXED_BYTES 256

size_t slu_key_text_room(const struct slu_key_call *call)
{
	return FIXED_BYTES + call->body_bytes;
}

static void add_signing(struct slu_key_message_writer *w, const struct slu_key_call *call)
{
	slu_key_message_add(w, SLU_KEY_ID, call->key_id, SLU_KEY_ID_BYTES);
	slu_key_message_add_number(w, SLU_KEY_SCHEME, call->scheme, 2);
}

static bool add_fields(struct slu_key_message_writer *w, const struct slu_key_call *call)
{
	uint32_t body_bytes = (uint32_t)call->body_bytes;

	switch (call->operation) {
	case SLU_KEY_TLS13_CERT_VERIFY:
		add_signing(w, call);
		slu_key_message_add_number(w, SLU_KEY_ROLE, call->is_client ? SLU_KEY_CLIENT : SLU_KEY_SERVER, 1);
		slu_key_message_add(w, SLU_KEY_TRANSCRIPT_HASH, call->body, body_bytes);
		return true;
	case SLU_KEY_TLS12_SERVER_KEY_EXCHANGE:
		add_signing(w, call);
		slu_key_message_add(w, SLU_KEY_CLIENT_RANDOM, call->client_random, SLU_KEY_RANDOM_BYTES);
		slu_key_message_add(w, SLU_KEY_SERVER_RANDOM, call->server_random, SLU_KEY_RANDOM_BYTES);
		slu_key_message_add(w, SLU_KEY_PARAMETERS, call->body, body_bytes);
		return true;
	case SLU_KEY_TLS12_CLIENT_CERT_VERIFY:
		add_signing(w, call);
		slu_key_message_add(w, SLU_KEY_TRANSCRIPT, call->body, body_bytes);
		return true;
	case SLU_KEY_TLS12_RSA_PREMASTER:
		slu_key_message_add(w, SLU_KEY_ID, call->key_id, SLU_KEY_ID_BYTES);
		slu_key_message_add_number(w, SLU_KEY_CLIENT_VERSION, call->client_version, 2);
		slu_key_message_add(w, SLU_KEY_ENCRYPTED, call->body, body_bytes);
		return true;
	case SLU_KEY_TICKET_KEYS:
		return true;
	default:
		return false;
	}
}

size_t slu_key_text_ask(const struct slu_key_call *call, uint64_t id, uint8_t *bytes, size_t room)
{
	struct slu_key_message_writer w;

	if (call->body_bytes > SLU_KEY_TRANSCRIPT_MAX)
		return 0;
	slu_key_message_request(&w, bytes, room, call->operation, id);
	return add_fields(&w, call) ? slu_key_message_end(&w) : 0;
}

size_t slu_key_text_hello(uint64_t id, uint8_t bytes[SLU_KEY_TEXT_SMALL_BYTES])
{
	struct slu_key_message_writer w;

	slu_key_message_request(&w, bytes, SLU_KEY_TEXT_SMALL_BYTES, SLU_KEY_HELLO, id);
	slu_key_message_add_number(&w, SLU_KEY_VERSION_MIN, SLU_KEY_VERSION, 2);
	slu_key_message_add_number(&w, SLU_KEY_VERSION_MAX, SLU_KEY_VERSION, 2);
	return slu_key_message_end(&w);
}

size_t slu_key_text_ping(uint64_t id, uint8_t bytes[SLU_KEY_TEXT_SMALL_BYTES])
{
	struct slu_key_message_writer w;

	slu_key_message_request(&w, bytes, SLU_KEY_TEXT_SMALL_BYTES, SLU_KEY_PING, id);
	return slu_key_message_end(&w);
}

static int error_of(uint8_t status)
{
	switch (status) {
	case SLU_KEY_OK:
		return 0;
	case SLU_KEY_UNKNOWN_KEY:
		return -ENOKEY;
	case SLU_KEY_REFUSED:
		return -EACCES;
	case SLU_KEY_BAD_MESSAGE:
	case SLU_KEY_BAD_SCHEME:
	case SLU_KEY_BAD_CONTENT:
		return -EINVAL;
	case SLU_KEY_LIMITED:
	case SLU_KEY_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

int slu_key_text_take(struct slu_key_call *call, const struct slu_key_message *message)
{
	enum slu_key_field field = call->operation == SLU_KEY_TLS12_RSA_PREMASTER ? SLU_KEY_PREMASTER
				   : call->operation == SLU_KEY_TICKET_KEYS       ? SLU_KEY_TICKETS
										  : SLU_KEY_SIGNATURE;

	if (message->type != call->operation)
		return -EPROTO;
	if (message->status != SLU_KEY_OK)
		return error_of(message->status);
	if (!slu_key_message_has(message, field))
		return -EPROTO;
	if (message->fields[field].count > call->answer_room)
		return -EMSGSIZE;
	call->answer_bytes = message->fields[field].count;
	memcpy(call->answer, message->fields[field].bytes, call->answer_bytes);
	call->refresh_s = (uint32_t)slu_key_message_number(message, SLU_KEY_REFRESH_S);
	return 0;
}

/* A key or a right may come to one server before the other. */
bool slu_key_text_may_repeat(int error)
{
	return error == -ENOKEY || error == -EACCES || error == -EBUSY || error == -EIO || error == -EPROTO;
}
