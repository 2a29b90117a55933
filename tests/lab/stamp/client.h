/* The near end: keeps connections and flows going to its targets until it is told to end, and has them judged. */
#ifndef SLU_TESTS_LAB_STAMP_CLIENT_H
#define SLU_TESTS_LAB_STAMP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/stamp/judge.h"
#include "tests/lab/stamp/socket.h"

struct stamp_client_options {
	uint32_t chunk_bytes; /* each connection and flow sends so many ... */
	uint32_t interval_ms; /* ... so often, and so does the server */
	uint32_t life_ms;     /* 0: until the end; else half to one and a half of it, then a new one */
	uint32_t ramp_ms;     /* first ones are opened spread over so long */
	bool quiet;           /* the server falls silent with the client */
	uint64_t seed;        /* of ids and lives */
};

struct stamp_client_target {
	enum stamp_protocol protocol;
	struct stamp_address to;
	uint32_t count; /* connections or flows at a time */
};

/* Targets are numbered as they come; sources are used in turn, none: the kernel chooses. Arrays must live on. 0 or
 * -errno. */
int stamp_client_open(const struct stamp_client_options *options, const struct stamp_client_target *targets,
	uint32_t target_count, const struct stamp_address *sources, uint32_t source_count);

/* No bytes from here on, or again. */
void stamp_client_quiet(bool quiet);

/* Whether the servers fall silent too: else silence of the client alone would be half a test. */
bool stamp_client_can_rest(void);

/* Ends everything in order: a half-close, and the server's rest. True: nothing is left; else the loop stops then. */
bool stamp_client_end(void);
/* Who is not through with it is lost. */
void stamp_client_break_off(void);

struct stamp_client_udp {
	uint64_t requests, answers, late, twice; /* late: not the last request's; twice: one that had come already */
	uint64_t moved; /* flows whose address changed in the server's eyes: a session was made anew */
};
void stamp_client_udp(struct stamp_client_udp *udp);
uint64_t stamp_client_failed_connects(void);

#endif
