/*
 * The offload engine: takes the data plane's requests, keeps one rule a
 * direction in the cards, feeds their counters back, and follows changes of
 * neighbours and routes. A direction that a card does not take stays in
 * software; each reason is counted. Control thread only; work is bounded a call.
 */
#ifndef SLU_HOST_ENGINE_H
#define SLU_HOST_ENGINE_H

#include "host/offload/flow_port.h"
#include "host/ports/kernel.h"

struct slu_engine;

struct slu_engine_settings {
	struct slu_dataplane *dp;
	struct slu_kernel *kernel;
	struct slu_port *ports;
	uint32_t port_count;
};

struct slu_engine_counters {
	uint64_t installed, adopted, removed;
	uint64_t refused_full;      /* no room in the card */
	uint64_t refused_clash;     /* the driver found two keys too alike (-EEXIST) */
	uint64_t refused_rule;      /* this card cannot do it */
	uint64_t refused_neighbour; /* next hop not resolved */
	uint64_t refused_port;      /* the port does not offload, or is gone */
	uint64_t refused_memory;
	uint64_t session_gone; /* rules made for nothing: the session ended meanwhile */
	uint64_t rewritten;    /* next hops whose MAC changed under their rules */
	uint64_t moved;        /* rules taken back because their route changed */
	uint64_t queries, query_errors, destroy_errors;
	uint64_t lost;        /* rules of a card that is gone */
	uint32_t flows, hops; /* now */
};

/*
 * Asks every port what it can do and enables offloading if one can.
 * Returns 0 or -ENOMEM.
 */
int slu_engine_create(const struct slu_engine_settings *settings, struct slu_engine **engine);

/* Rules stay in the cards: the sessions file says that they are there. */
void slu_engine_destroy(struct slu_engine *engine);

/* Takes every rule back with its final counters. */
void slu_engine_take_back_all(struct slu_engine *engine);

/* Rules that the last agent's sessions had in cards. */
struct slu_engine_recovered {
	struct slu_offload_request *list;
	uint32_t count;
};

/*
 * After a restart, before workers run and after both views were published: what is to be adopted. Until it is, its
 * sessions wait for the cards as if they had just asked. Returns 0 or -ENOMEM.
 */
int slu_engine_recover(struct slu_dataplane *dp, struct slu_engine_recovered *recovered);

/*
 * Adopts or makes these rules, then has each card of ours remove what nobody claimed. Workers may run: reading a card
 * takes a while. Takes the list. Returns how many directions the cards have.
 */
uint32_t slu_engine_adopt(struct slu_engine *engine, struct slu_engine_recovered *recovered);

enum slu_engine_state {
	SLU_ENGINE_IDLE,  /* nothing to do until a worker asks */
	SLU_ENGINE_WAITS, /* cards are at work: look again in SLU_ENGINE_LOOK_US */
	SLU_ENGINE_MORE,  /* call again at once */
};
#define SLU_ENGINE_LOOK_US 100

/* Serves requests of the workers and takes the cards' results, some at a time. */
enum slu_engine_state slu_engine_turn(struct slu_engine *engine);

/* Reads some counters and goes on with sweeps; call every SLU_ENGINE_POLL_MS. */
#define SLU_ENGINE_POLL_MS 20
void slu_engine_poll(struct slu_engine *engine);

/* Neighbours or routes changed. */
void slu_engine_hops_changed(struct slu_engine *engine);

void slu_engine_read_counters(const struct slu_engine *engine, struct slu_engine_counters *counters);
const struct slu_flow_port *slu_engine_port(const struct slu_engine *engine, uint32_t port);

#endif
