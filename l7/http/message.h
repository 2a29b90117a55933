/*
 * The head of a request or a response, whatever carried it: HTTP/1 text or
 * HTTP/2 frames. Spans point into memory that the exchange holds.
 */
#ifndef SLU_L7_MESSAGE_H
#define SLU_L7_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slu_span {
	const char *at;
	uint32_t bytes;
};

#define SLU_SPAN(text) ((struct slu_span){(text), sizeof(text) - 1})

/* Fields that the proxy itself looks at. */
enum slu_field_id {
	SLU_FIELD_OTHER,
	SLU_FIELD_CONNECTION,
	SLU_FIELD_CONTENT_LENGTH,
	SLU_FIELD_COOKIE,
	SLU_FIELD_EXPECT,
	SLU_FIELD_HOST,
	SLU_FIELD_KEEP_ALIVE,
	SLU_FIELD_PROXY_CONNECTION,
	SLU_FIELD_SET_COOKIE,
	SLU_FIELD_TE,
	SLU_FIELD_TRAILER,
	SLU_FIELD_TRANSFER_ENCODING,
	SLU_FIELD_UPGRADE,
	SLU_FIELD_X_FORWARDED_FOR,
	SLU_FIELD_X_FORWARDED_PORT,
	SLU_FIELD_X_FORWARDED_PROTO,
	SLU_FIELD_X_REAL_IP,
};

struct slu_http_field {
	struct slu_span name, value;
	uint8_t id;
	bool hop; /* for this hop only: not forwarded */
};

enum slu_method {
	SLU_METHOD_OTHER,
	SLU_METHOD_GET,
	SLU_METHOD_HEAD,
	SLU_METHOD_POST,
	SLU_METHOD_PUT,
	SLU_METHOD_DELETE,
	SLU_METHOD_OPTIONS,
	SLU_METHOD_CONNECT,
	SLU_METHOD_TRACE,
};

enum slu_body {
	SLU_BODY_NONE,
	SLU_BODY_LENGTH,
	SLU_BODY_CHUNKED,     /* ends by its own framing: last chunk, or END_STREAM */
	SLU_BODY_UNTIL_CLOSE, /* responses: ends with the connection */
	SLU_BODY_TUNNEL,      /* both ways, no longer HTTP */
};

#define SLU_MESSAGE_FIELDS_MAX 128u

struct slu_message {
	uint8_t minor;   /* HTTP/1.minor */
	uint8_t method;  /* enum slu_method */
	uint8_t body;    /* enum slu_body */
	bool close;      /* the connection ends with this message */
	bool upgrade;    /* asks for, or grants, WebSocket */
	bool expects;    /* 100-continue */
	uint16_t status; /* responses */
	uint16_t field_count;
	uint64_t length;                                 /* SLU_BODY_LENGTH */
	struct slu_span method_name, path, host, reason; /* path: with the query; host: with the port */
	struct slu_http_field fields[SLU_MESSAGE_FIELDS_MAX];
};

/* Everything but the table of fields is zeroed. */
static inline void slu_message_reset(struct slu_message *message)
{
	memset(message, 0, offsetof(struct slu_message, fields));
}

/* May be sent a second time without harm (RFC 9110, section 9.2.2). */
static inline bool slu_message_idempotent(const struct slu_message *request)
{
	return request->method != SLU_METHOD_OTHER && request->method != SLU_METHOD_POST &&
	       request->method != SLU_METHOD_CONNECT;
}

/* Adds a field; false when the table is full. */
bool slu_message_add(struct slu_message *message, struct slu_span name, struct slu_span value);

/* Which field this name is; letters of either case. */
enum slu_field_id slu_message_field_id(struct slu_span name);
enum slu_method slu_message_method(struct slu_span name);

/* Letters of either case. */
bool slu_span_same(struct slu_span a, struct slu_span b);

static inline bool slu_span_equals(struct slu_span a, struct slu_span b)
{
	return a.bytes == b.bytes && memcmp(a.at, b.at, a.bytes) == 0;
}

/*
 * Takes the next member of a comma-separated list off `rest`, without blanks
 * around it; empty members are passed over. Returns false at the end.
 */
bool slu_span_list_next(struct slu_span *rest, struct slu_span *member);

/* What is wrong with a message, and what its sender is told. */
enum slu_refusal {
	SLU_REFUSAL_NONE,
#define SLU_REFUSAL(name, status, text) SLU_REFUSAL_##name,
#include "l7/http/refusals.h"
#undef SLU_REFUSAL
	SLU_REFUSAL_COUNT
};

unsigned slu_refusal_status(enum slu_refusal refusal);
/* One word for counters and logs: "length_and_encoding". */
const char *slu_refusal_name(enum slu_refusal refusal);
const char *slu_refusal_text(enum slu_refusal refusal);

#endif
