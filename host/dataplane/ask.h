/*
 * Asks the other members for a session. A TCP segment that has none here may belong to a
 * connection that the network has just moved, too young to have been told: its owner
 * answers within milliseconds, and the sender's next try finds the session. Only who gets
 * no answer is answered with RST.
 */
#ifndef SLU_HOST_ASK_H
#define SLU_HOST_ASK_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_ASK_PLACES 1024u /* a power of two */
#define SLU_ASKS_PER_S 20000u
#define SLU_ASKS_BURST 4096u

/* What a worker has asked for. A place is overwritten by the next key of the same place. */
struct slu_ask {
	uint32_t tokens;
	uint64_t time_us;
	struct {
		uint32_t tag; /* of the key's hash; 0: none */
		uint32_t tick;
	} place[SLU_ASK_PLACES];
};

struct slu_worker;
struct slu_packet;

/*
 * A segment without a session. Returns true if an answer may still come: then the caller drops it silently, and the
 * sender tries again. False: nobody is there to be asked, nobody answered, or too many were asked for this second.
 */
bool slu_ask_others(struct slu_worker *w, const struct slu_packet *p);

#endif
