#include "key_message.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* ---------------------------------------------------- what stands in which message */

struct rule {
	uint8_t field;
	bool required;
	uint32_t min, max;
	uint32_t step; /* sizes are min plus a multiple of this; 0: any */
};

#define NEED(field, min, max, step)                                                                                    \
	{                                                                                                              \
		field, true, min, max, step                                                                            \
	}
#define MAY(field, min, max, step)                                                                                     \
	{                                                                                                              \
		field, false, min, max, step                                                                           \
	}
#define END                                                                                                            \
	{                                                                                                              \
		0                                                                                                      \
	}
#define RULES_MAX 7

#define SIGN_START NEED(SLU_KEY_ID, SLU_KEY_ID_BYTES, SLU_KEY_ID_BYTES, 0)
#define ENTRY ((uint32_t)sizeof(struct slu_key_entry))
#define TICKET ((uint32_t)sizeof(struct slu_key_ticket))
#define TEXT_MAX (SLU_KEY_BODY_MAX - (uint32_t)sizeof(struct slu_key_field_header))
/* curve type, curve, length, and a point: x25519's is the shortest, P-521's the longest (RFC 8422, section 5.4) */
#define PARAMETERS_MIN 36u
#define PARAMETERS_MAX 137u
#define RSA_BYTES_MIN 128u
#define RSA_BYTES_MAX 1024u

static const struct rule requests[SLU_KEY_OPERATIONS][RULES_MAX] = {
	[SLU_KEY_HELLO] = {NEED(SLU_KEY_VERSION_MIN, 2, 2, 0), NEED(SLU_KEY_VERSION_MAX, 2, 2, 0),
		MAY(SLU_KEY_NAME, 1, SLU_KEY_NAME_MAX, 0), END},
	[SLU_KEY_LIST] = {MAY(SLU_KEY_ID, SLU_KEY_ID_BYTES, SLU_KEY_ID_BYTES, 0), END},
	[SLU_KEY_TLS13_CERT_VERIFY] = {SIGN_START, NEED(SLU_KEY_SCHEME, 2, 2, 0), NEED(SLU_KEY_ROLE, 1, 1, 0),
		NEED(SLU_KEY_TRANSCRIPT_HASH, 32, 48, 16), END},
	[SLU_KEY_TLS12_SERVER_KEY_EXCHANGE] = {SIGN_START, NEED(SLU_KEY_SCHEME, 2, 2, 0),
		NEED(SLU_KEY_CLIENT_RANDOM, SLU_KEY_RANDOM_BYTES, SLU_KEY_RANDOM_BYTES, 0),
		NEED(SLU_KEY_SERVER_RANDOM, SLU_KEY_RANDOM_BYTES, SLU_KEY_RANDOM_BYTES, 0),
		NEED(SLU_KEY_PARAMETERS, PARAMETERS_MIN, PARAMETERS_MAX, 0), END},
	[SLU_KEY_TLS12_RSA_PREMASTER] = {SIGN_START, NEED(SLU_KEY_CLIENT_VERSION, 2, 2, 0),
		NEED(SLU_KEY_ENCRYPTED, RSA_BYTES_MIN, RSA_BYTES_MAX, 0), END},
	[SLU_KEY_TLS12_CLIENT_CERT_VERIFY] = {SIGN_START, NEED(SLU_KEY_SCHEME, 2, 2, 0),
		NEED(SLU_KEY_TRANSCRIPT, 4, SLU_KEY_TRANSCRIPT_MAX, 0), END},
	[SLU_KEY_TICKET_KEYS] = {END},
	[SLU_KEY_CERTIFICATE_CHECK] = {MAY(SLU_KEY_ID, SLU_KEY_ID_BYTES, SLU_KEY_ID_BYTES, 0),
		NEED(SLU_KEY_CERTIFICATES, 4, SLU_KEY_CERTIFICATES_MAX, 0), END},
	[SLU_KEY_CHAIN_VERIFY] = {NEED(SLU_KEY_ROLE, 1, 1, 0),
		NEED(SLU_KEY_CERTIFICATES, 4, SLU_KEY_CERTIFICATES_MAX, 0),
		NEED(SLU_KEY_ANCHORS, 4, SLU_KEY_CERTIFICATES_MAX, 0), END},
	[SLU_KEY_PING] = {MAY(SLU_KEY_ECHO, 0, SLU_KEY_ECHO_MAX, 0), END},
	[SLU_KEY_STATS] = {END},
};

#define SIGNATURE                                                                                                      \
	{                                                                                                              \
		NEED(SLU_KEY_SIGNATURE, 1, SLU_KEY_SIGNATURE_MAX, 0), END                                              \
	}

/* Of answers whose status is SLU_KEY_OK. */
static const struct rule answers[SLU_KEY_OPERATIONS][RULES_MAX] = {
	[SLU_KEY_HELLO] = {NEED(SLU_KEY_VERSION_CHOSEN, 2, 2, 0), NEED(SLU_KEY_NAME, 1, SLU_KEY_NAME_MAX, 0),
		NEED(SLU_KEY_OPERATIONS_MASK, 4, 4, 0), NEED(SLU_KEY_IN_FLIGHT, 4, 4, 0),
		NEED(SLU_KEY_GENERATION, 8, 8, 0), END},
	[SLU_KEY_LIST] = {NEED(SLU_KEY_GENERATION, 8, 8, 0), NEED(SLU_KEY_ENTRIES, 0, SLU_KEY_LIST_MAX *ENTRY, ENTRY),
		MAY(SLU_KEY_MORE, 0, 0, 0), END},
	[SLU_KEY_TLS13_CERT_VERIFY] = SIGNATURE,
	[SLU_KEY_TLS12_SERVER_KEY_EXCHANGE] = SIGNATURE,
	[SLU_KEY_TLS12_RSA_PREMASTER] = {NEED(SLU_KEY_PREMASTER, SLU_KEY_PREMASTER_BYTES, SLU_KEY_PREMASTER_BYTES, 0),
		END},
	[SLU_KEY_TLS12_CLIENT_CERT_VERIFY] = SIGNATURE,
	[SLU_KEY_TICKET_KEYS] = {NEED(SLU_KEY_TICKETS, TICKET, SLU_KEY_TICKETS_MAX *TICKET, TICKET),
		NEED(SLU_KEY_REFRESH_S, 4, 4, 0), END},
	[SLU_KEY_CERTIFICATE_CHECK] = {NEED(SLU_KEY_ID, SLU_KEY_ID_BYTES, SLU_KEY_ID_BYTES, 0),
		MAY(SLU_KEY_TEXT, 0, TEXT_MAX, 0), END},
	[SLU_KEY_CHAIN_VERIFY] = {MAY(SLU_KEY_TEXT, 0, TEXT_MAX, 0), END},
	[SLU_KEY_PING] = {NEED(SLU_KEY_GENERATION, 8, 8, 0), MAY(SLU_KEY_ECHO, 0, SLU_KEY_ECHO_MAX, 0), END},
	[SLU_KEY_STATS] = {NEED(SLU_KEY_TEXT, 0, TEXT_MAX, 0), END},
};

/* Of every other answer. The versions say what the server speaks, in one that ends a connection for that. */
static const struct rule refusal[RULES_MAX] = {
	MAY(SLU_KEY_VERSION_MIN, 2, 2, 0), MAY(SLU_KEY_VERSION_MAX, 2, 2, 0), MAY(SLU_KEY_TEXT, 0, TEXT_MAX, 0), END};

/* ---------------------------------------------------------------- numbers */

static uint64_t get_number(const uint8_t *bytes, uint32_t count)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

static void put_number(uint8_t *bytes, uint64_t value, uint32_t count)
{
	for (uint32_t i = count; i > 0; i--, value >>= 8)
		bytes[i - 1] = (uint8_t)value;
}

/* ---------------------------------------------------------------- reading */

static int complain(const char **why, int error, const char *text)
{
	if (why)
		*why = text;
	return -error;
}

/* Whether these can be the first bytes of a frame. Returns 0 with its header, -EAGAIN, or -EPROTO. */
static int read_frame(const uint8_t *bytes, size_t count, enum slu_key_message_direction direction,
	struct slu_key_frame *frame, const char **why)
{
	bool answer = direction == SLU_KEY_MESSAGE_ANSWER;

	if (count < sizeof(frame->bytes))
		return -EAGAIN;
	/* Before the rest is here: who speaks something else is told at once. */
	if (get_number(bytes, sizeof(frame->bytes)) > SLU_KEY_BODY_MAX)
		return complain(why, EPROTO, "the frame is too long");
	if (count < sizeof(*frame))
		return -EAGAIN;
	memcpy(frame, bytes, sizeof(*frame));
	if (((frame->type & SLU_KEY_ANSWER) != 0) != answer)
		return complain(why, EPROTO, answer ? "a request came for an answer" : "an answer came for a request");
	if (!answer && frame->status != 0)
		return complain(why, EPROTO, "a request has a status");
	if (frame->reserved != 0)
		return complain(why, EPROTO, "the reserved bytes are not zero");
	if ((get_number(frame->id, sizeof(frame->id)) == 0) != (frame->type == (SLU_KEY_ANSWER | SLU_KEY_FATAL)))
		return complain(why, EPROTO, "the id is zero where it must not be, or not where it must");
	return count - sizeof(*frame) < be32toh(frame->bytes) ? -EAGAIN : 0;
}

static const struct rule *rules_of(const struct slu_key_message *message, enum slu_key_message_direction direction)
{
	if (direction == SLU_KEY_MESSAGE_REQUEST)
		return requests[message->type];
	return message->status == SLU_KEY_OK ? answers[message->type] : refusal;
}

static bool fits(const struct rule *rule, uint32_t count)
{
	return count >= rule->min && count <= rule->max && (rule->step == 0 || (count - rule->min) % rule->step == 0);
}

/* Passes by what rules there are before a field; one that is required is missing then. */
static bool skip_rules(const struct rule **rule, uint8_t field)
{
	for (; (*rule)->field != 0 && (*rule)->field < field; (*rule)++)
		if ((*rule)->required)
			return false;
	return true;
}

static int read_fields(
	const uint8_t *p, uint32_t left, const struct rule *rule, struct slu_key_message *message, const char **why)
{
	struct slu_key_field_header header;
	uint8_t last = 0;
	uint32_t count;

	for (; left > 0; p += count, left -= count) {
		if (left < sizeof(header))
			return complain(why, EBADMSG, "a field is cut");
		memcpy(&header, p, sizeof(header));
		p += sizeof(header);
		left -= (uint32_t)sizeof(header);
		count = (uint32_t)get_number(header.bytes, sizeof(header.bytes));
		if (count > left)
			return complain(why, EBADMSG, "a field reaches behind the end");
		if (header.type <= last)
			return complain(why, EBADMSG, "a field is there twice, or out of order");
		last = header.type;
		if (header.type & SLU_KEY_OPTIONAL)
			continue;
		if (!skip_rules(&rule, header.type))
			return complain(why, EBADMSG, "a field is missing");
		if (rule->field != header.type)
			return complain(why, EBADMSG, "a field is unknown here");
		if (!fits(rule, count))
			return complain(why, EBADMSG, "a field has a wrong size");
		message->fields[header.type].bytes = p;
		message->fields[header.type].count = count;
		rule++;
	}
	return skip_rules(&rule, UINT8_MAX) ? 0 : complain(why, EBADMSG, "a field is missing");
}

int slu_key_message_read(const uint8_t *bytes, size_t count, enum slu_key_message_direction direction,
	struct slu_key_message *message, size_t *used, const char **why)
{
	struct slu_key_frame frame;
	int result;

	*used = 0;
	memset(message, 0, sizeof(*message));
	result = read_frame(bytes, count, direction, &frame, why);
	if (result != 0)
		return result;
	*used = sizeof(frame) + be32toh(frame.bytes);
	message->id = get_number(frame.id, sizeof(frame.id));
	message->type = frame.type & ~SLU_KEY_ANSWER;
	message->status = frame.status;
	if (direction == SLU_KEY_MESSAGE_REQUEST &&
		(message->type == SLU_KEY_FATAL || message->type >= SLU_KEY_OPERATIONS))
		return complain(why, EOPNOTSUPP, "the operation is unknown");
	if (message->type >= SLU_KEY_OPERATIONS && message->status == SLU_KEY_OK)
		return complain(why, EOPNOTSUPP, "the operation is unknown");
	if (message->type == SLU_KEY_FATAL && message->status == SLU_KEY_OK)
		return complain(why, EBADMSG, "an end without a reason");
	return read_fields(bytes + sizeof(frame), be32toh(frame.bytes), rules_of(message, direction), message, why);
}

uint64_t slu_key_message_number(const struct slu_key_message *message, enum slu_key_field field)
{
	assert(message->fields[field].count <= sizeof(uint64_t));
	return get_number(message->fields[field].bytes, message->fields[field].count);
}

#define CERTIFICATE_HEADER 3u

int slu_key_message_next_certificate(struct slu_key_message_list *list, const uint8_t **der, uint32_t *bytes)
{
	uint32_t count;

	if (list->count == 0)
		return 0;
	if (list->count < CERTIFICATE_HEADER)
		return -EBADMSG;
	count = (uint32_t)get_number(list->bytes, CERTIFICATE_HEADER);
	if (count == 0 || count > list->count - CERTIFICATE_HEADER)
		return -EBADMSG;
	*der = list->bytes + CERTIFICATE_HEADER;
	*bytes = count;
	list->bytes += CERTIFICATE_HEADER + count;
	list->count -= CERTIFICATE_HEADER + count;
	return 1;
}

const char *slu_key_message_operation_name(uint8_t type)
{
	static const char *const names[SLU_KEY_OPERATIONS] = {
		[SLU_KEY_FATAL] = "fatal",
		[SLU_KEY_HELLO] = "hello",
		[SLU_KEY_LIST] = "list",
		[SLU_KEY_TLS13_CERT_VERIFY] = "tls13_cert_verify",
		[SLU_KEY_TLS12_SERVER_KEY_EXCHANGE] = "tls12_server_key_exchange",
		[SLU_KEY_TLS12_RSA_PREMASTER] = "tls12_rsa_premaster",
		[SLU_KEY_TLS12_CLIENT_CERT_VERIFY] = "tls12_client_cert_verify",
		[SLU_KEY_TICKET_KEYS] = "ticket_keys",
		[SLU_KEY_CERTIFICATE_CHECK] = "certificate_check",
		[SLU_KEY_CHAIN_VERIFY] = "chain_verify",
		[SLU_KEY_PING] = "ping",
		[SLU_KEY_STATS] = "stats",
	};

	return type < SLU_KEY_OPERATIONS ? names[type] : "?";
}

const char *slu_key_message_status_name(uint8_t status)
{
	static const char *const names[SLU_KEY_STATUSES] = {
		[SLU_KEY_OK] = "ok",
		[SLU_KEY_BAD_MESSAGE] = "bad_message",
		[SLU_KEY_UNKNOWN_OPERATION] = "unknown_operation",
		[SLU_KEY_UNKNOWN_KEY] = "unknown_key",
		[SLU_KEY_REFUSED] = "refused",
		[SLU_KEY_BAD_SCHEME] = "bad_scheme",
		[SLU_KEY_BAD_CONTENT] = "bad_content",
		[SLU_KEY_MISMATCH] = "mismatch",
		[SLU_KEY_LIMITED] = "limited",
		[SLU_KEY_BUSY] = "busy",
		[SLU_KEY_FAILED] = "failed",
		[SLU_KEY_BAD_VERSION] = "bad_version",
		[SLU_KEY_BAD_FRAME] = "bad_frame",
	};

	return status < SLU_KEY_STATUSES ? names[status] : "?";
}

/* ---------------------------------------------------------------- writing */

static void begin(
	struct slu_key_message_writer *w, uint8_t *bytes, size_t room, uint8_t type, uint8_t status, uint64_t id)
{
	struct slu_key_frame frame = {.type = type, .status = status};

	*w = (struct slu_key_message_writer){.bytes = bytes, .room = room};
	if (room > SLU_KEY_FRAME_MAX)
		w->room = SLU_KEY_FRAME_MAX;
	if (room < sizeof(frame)) {
		w->full = true;
		return;
	}
	put_number(frame.id, id, sizeof(frame.id));
	memcpy(bytes, &frame, sizeof(frame));
	w->used = sizeof(frame);
}

void slu_key_message_request(
	struct slu_key_message_writer *w, uint8_t *bytes, size_t room, enum slu_key_operation type, uint64_t id)
{
	begin(w, bytes, room, (uint8_t)type, 0, id);
}

void slu_key_message_answer(struct slu_key_message_writer *w, uint8_t *bytes, size_t room, uint8_t type, uint64_t id,
	enum slu_key_status status)
{
	begin(w, bytes, room, type | SLU_KEY_ANSWER, (uint8_t)status, id);
}

uint8_t *slu_key_message_open(struct slu_key_message_writer *w, enum slu_key_field field, uint32_t count)
{
	assert((uint8_t)field > w->last);
	if (w->full || w->room - w->used < sizeof(struct slu_key_field_header) + count) {
		w->full = true;
		return NULL;
	}
	w->last = (uint8_t)field;
	return w->bytes + w->used + sizeof(struct slu_key_field_header);
}

void slu_key_message_close(struct slu_key_message_writer *w, uint32_t count)
{
	struct slu_key_field_header header = {.type = w->last};

	put_number(header.bytes, count, sizeof(header.bytes));
	memcpy(w->bytes + w->used, &header, sizeof(header));
	w->used += sizeof(header) + count;
}

void slu_key_message_add(struct slu_key_message_writer *w, enum slu_key_field field, const void *data, uint32_t count)
{
	uint8_t *place = slu_key_message_open(w, field, count);

	if (!place)
		return;
	if (count > 0)
		memcpy(place, data, count);
	slu_key_message_close(w, count);
}

void slu_key_message_add_number(
	struct slu_key_message_writer *w, enum slu_key_field field, uint64_t value, uint32_t count)
{
	uint8_t data[sizeof(value)];

	assert(count >= 1 && count <= sizeof(value));
	put_number(data, value, count);
	slu_key_message_add(w, field, data, count);
}

size_t slu_key_message_end(struct slu_key_message_writer *w)
{
	if (w->full)
		return 0;
	put_number(w->bytes, w->used - sizeof(struct slu_key_frame), sizeof(slu_be32));
	return w->used;
}
