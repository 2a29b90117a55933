/*
 * A place for one connection or flow at a time. When one ends, or is lost, the place
 * opens the next until the client ends.
 */
#ifndef SLU_TESTS_LAB_STAMP_SLOT_H
#define SLU_TESTS_LAB_STAMP_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/stamp/client.h"
#include "tests/lab/stamp/judge.h"
#include "tests/lab/stamp/loop.h"
#include "tests/lab/stamp/stream.h"

enum stamp_slot_state { STAMP_SLOT_FREE, STAMP_SLOT_CONNECTING, STAMP_SLOT_OPEN, STAMP_SLOT_ENDING };

struct stamp_slot {
	struct stamp_watch watch; /* first: the address of one is that of the other */
	struct stamp_timer timer;
	struct stamp_subject subject;
	const struct stamp_client_target *target;
	const struct stamp_address *from;
	uint32_t number; /* of the target */
	enum stamp_slot_state state;
	uint64_t send_us; /* next time */
	uint64_t die_us;  /* its life's end */
	/* TCP */
	uint64_t acked, acked_us; /* bytes, and when that grew */
	uint8_t held[sizeof(struct stamp_farewell)];
	uint32_t held_count; /* last bytes received: the farewell, if the end comes now */
	uint64_t checked;    /* bytes of the server's stream that were found right */
	/* UDP */
	uint64_t requests, answers, answered; /* answered: highest sequence */
	uint64_t window;                      /* bit i: answered - i has come */
	uint64_t peer;
};

/* Of client.c, for tcp.c and udp.c. */
extern struct stamp_client_options stamp_options;
bool stamp_slot_is_quiet(void);
/* The place is free: what was there has been judged. */
void stamp_slot_free(struct stamp_slot *slot);
/* No subject was judged: try again soon. */
void stamp_slot_failed(struct stamp_slot *slot);
void stamp_slot_lost(struct stamp_slot *slot, enum stamp_loss loss, const char *text);
void stamp_slot_ended(struct stamp_slot *slot);

/* Opens, subject.id is set; 0 or -errno. Work at its time. Begin the end. */
int stamp_tcp_open(struct stamp_slot *slot);
void stamp_tcp_work(struct stamp_slot *slot);
void stamp_tcp_end(struct stamp_slot *slot);
int stamp_udp_open(struct stamp_slot *slot);
void stamp_udp_work(struct stamp_slot *slot);
void stamp_udp_end(struct stamp_slot *slot);
extern struct stamp_client_udp stamp_udp_figures;

#endif
