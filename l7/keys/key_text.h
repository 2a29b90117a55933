/*
 * Questions and answers of the key client as messages of the key protocol
 * (lib/key_message.h). Pure.
 */
#ifndef SLU_L7_KEY_TEXT_H
#define SLU_L7_KEY_TEXT_H

#include "l7/keys/key_call.h"
#include "lib/key_message.h"

/* Room that a message of `call` surely fits in. */
size_t slu_key_text_room(const struct slu_key_call *call);

/* Writes the question. Returns its bytes; 0: it does not fit. */
size_t slu_key_text_ask(const struct slu_key_call *call, uint64_t id, uint8_t *bytes, size_t room);

#define SLU_KEY_TEXT_SMALL_BYTES 64
/* HELLO and PING, SLU_KEY_TEXT_SMALL_BYTES at most. */
size_t slu_key_text_hello(uint64_t id, uint8_t bytes[SLU_KEY_TEXT_SMALL_BYTES]);
size_t slu_key_text_ping(uint64_t id, uint8_t bytes[SLU_KEY_TEXT_SMALL_BYTES]);

/*
 * Takes an answer to `call` over. Returns 0 or the error of key_call.h; -EPROTO if the
 * answer is none to this question.
 */
int slu_key_text_take(struct slu_key_call *call, const struct slu_key_message *message);

/* Whether another server may know better. */
bool slu_key_text_may_repeat(int error);

#endif
