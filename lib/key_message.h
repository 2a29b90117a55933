/*
 * Messages of the key protocol (include/sluice/key_protocol.h): bytes to fields and back, for
 * both ends. Pure: no sockets, no memory of its own.
 *
 * The reader takes a message only if each of its fields is known to its type and direction, has
 * a size that may be, stands in order and once, and none is missing. What the values mean, beyond that, its caller
 * judges.
 */
#ifndef SLU_LIB_KEY_MESSAGE_H
#define SLU_LIB_KEY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/key_protocol.h"

enum slu_key_message_direction { SLU_KEY_MESSAGE_REQUEST, SLU_KEY_MESSAGE_ANSWER };

/* A message that was read. Fields point into the caller's bytes, and live as long as those. */
struct slu_key_message {
	uint64_t id;
	uint8_t type;   /* enum slu_key_operation, without SLU_KEY_ANSWER */
	uint8_t status; /* enum slu_key_status; of an answer */
	struct {
		const uint8_t *bytes; /* NULL: not there */
		uint32_t count;
	} fields[SLU_KEY_FIELDS]; /* by enum slu_key_field */
};

/* ---------------------------------------------------------------- reading */

/*
 * Reads the first message of count bytes that came from the other end, which sends messages of this direction. Any
 * bytes may be given.
 *
 * Returns 0 and the bytes that the message has in *used. Else:
 * -EAGAIN: more bytes are needed, *used is 0;
 * -EPROTO: this is no frame, nothing behind it can be read, *used is 0: the connection must end;
 * -EBADMSG: the message is wrong, its frame is not: type and id stand in *message, *used is its size, and
 *   a request is answered with SLU_KEY_BAD_MESSAGE;
 * -EOPNOTSUPP: the same of an unknown type, answered with SLU_KEY_UNKNOWN_OPERATION.
 * After -EPROTO, -EBADMSG, -EOPNOTSUPP *why is what is wrong, a constant text; why may be NULL.
 */
int slu_key_message_read(const uint8_t *bytes, size_t count, enum slu_key_message_direction direction,
	struct slu_key_message *message, size_t *used, const char **why);

/* The number in a field of 1 to 8 bytes; 0 if it is not there. */
uint64_t slu_key_message_number(const struct slu_key_message *message, enum slu_key_field field);

static inline bool slu_key_message_has(const struct slu_key_message *message, enum slu_key_field field)
{
	return message->fields[field].bytes != NULL;
}

/* A list of certificates (SLU_KEY_CERTIFICATES, SLU_KEY_ANCHORS) that is being walked through. */
struct slu_key_message_list {
	const uint8_t *bytes;
	uint32_t count;
};

/*
 * Takes the next certificate off the list. Returns 1 and the certificate's DER; 0 at the end; -EBADMSG if the rest is
 * none. The bytes are not looked into.
 */
int slu_key_message_next_certificate(struct slu_key_message_list *list, const uint8_t **der, uint32_t *bytes);

/* A word each, for logs and metrics; "?" for one that is unknown. */
const char *slu_key_message_operation_name(uint8_t type);
const char *slu_key_message_status_name(uint8_t status);

/* ---------------------------------------------------------------- writing */

/* A message being written into the caller's memory. Opaque. */
struct slu_key_message_writer {
	uint8_t *bytes;
	size_t room, used;
	uint8_t last; /* type of the last field */
	bool full;
};

/* Starts a message in room bytes, which stay the caller's. */
void slu_key_message_request(
	struct slu_key_message_writer *w, uint8_t *bytes, size_t room, enum slu_key_operation type, uint64_t id);
void slu_key_message_answer(struct slu_key_message_writer *w, uint8_t *bytes, size_t room, uint8_t type, uint64_t id,
	enum slu_key_status status);

/* Adds a field; types must rise. A field that has no room is noted, and told by slu_key_message_end(). */
void slu_key_message_add(struct slu_key_message_writer *w, enum slu_key_field field, const void *data, uint32_t count);
/* The same of a number, in count bytes: 1 to 8. */
void slu_key_message_add_number(
	struct slu_key_message_writer *w, enum slu_key_field field, uint64_t value, uint32_t count);

/*
 * Opens a field whose data the caller writes itself: room for at most count bytes, or NULL if there is not so much. He
 * closes it with what he wrote, before anything else is added.
 */
uint8_t *slu_key_message_open(struct slu_key_message_writer *w, enum slu_key_field field, uint32_t count);
void slu_key_message_close(struct slu_key_message_writer *w, uint32_t count);

/* Ends the message. Returns its bytes; 0 if a field found no room: the bytes are worth nothing then. */
size_t slu_key_message_end(struct slu_key_message_writer *w);

#endif
