/*
 * A session in memory. The layout is that of the session file: no pointers, and
 * SLU_SESSION_LAYOUT goes up with every change.
 *
 * A packet of IPv4 reads one line (hot), one of IPv6 two (hot, addresses). The
 * cold line is for creation, time-outs, offload and readers.
 */
#ifndef SLU_HOST_SESSION_H
#define SLU_HOST_SESSION_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "sluice/types.h"

#define SLU_SESSION_LAYOUT 3u
#define SLU_SESSION_NONE_LIVE 0xFFFFu
/* No neighbour view has this epoch: the session stays off the fast path while its backend is told who calls
 * (client_address.h). */
#define SLU_EPOCH_OPENING 0xFFFFu

/* A tuple as it stands in a packet. IPv6 leaves the addresses zero here. */
struct slu_tuple {
	slu_be32 src, dst;
	slu_be16 sport, dport;
};

enum slu_session_flag {
	SLU_SESSION_NAT = 0x01,       /* mode NAT; else FULLNAT */
	SLU_SESSION_FIN_REQ = 0x02,   /* the client sent FIN */
	SLU_SESSION_FIN_REP = 0x04,   /* the backend sent FIN */
	SLU_SESSION_RST = 0x08,       /* closed by RST: traffic revives it */
	SLU_SESSION_OFFLOAD = 0x10,   /* wants to be offloaded: look at the cold line */
	SLU_SESSION_ACTIVE = 0x20,    /* counted as active */
	SLU_SESSION_OFFLOADED = 0x40, /* a direction is, or is about to be, the card's */
	SLU_SESSION_TELL = 0x80,      /* the cluster is to be told of it after some more packets */
};

/* One cache line, written by the owning worker only (last_seen also by the control thread). */
struct slu_session_hot {
	struct slu_tuple tuple[2]; /* by enum slu_dir: the packet that arrives */
	uint32_t proto_vpc;        /* protocol | vpc << 8 */
	uint16_t l3_delta;         /* of the request direction; the reply's is the complement */
	uint16_t l4_delta;
	uint64_t bytes_nexthop[2]; /* bytes << 16 | next hop index */
	uint32_t packets_meter[2]; /* low bits of packets, above them half of the meter's number: slu_session_*() */
	uint32_t last_seen;        /* SLU_TICK_US */
	uint16_t nexthop_epoch;    /* of the neighbour view that the indexes belong to; 0: none, or SLU_EPOCH_OPENING */
	uint8_t state;
	uint8_t flags;
};
static_assert(sizeof(struct slu_session_hot) == 64, "one cache line");

/* What IPv6 adds: src and dst of each direction. */
struct slu_session_addresses {
	uint8_t address[2][32];
};
static_assert(sizeof(struct slu_session_addresses) == 64, "one cache line");

enum slu_offload_state {
	SLU_OFFLOAD_NONE,
	SLU_OFFLOAD_PENDING, /* in the worker's list */
	SLU_OFFLOAD_ASKED,   /* in the ring, or with the agent */
	SLU_OFFLOAD_CARD,    /* the card has it */
	SLU_OFFLOAD_TAKING,  /* REMOVE asked for */
	SLU_OFFLOAD_GONE,    /* rule removed; its counters wait to be added up */
	SLU_OFFLOAD_FOLDING, /* being added up */
	SLU_OFFLOAD_REFUSED, /* not now */
};

enum slu_sync_flag {
	SLU_SYNC_TOLD = 0x01,    /* the cluster knows the session, from this node or from another */
	SLU_SYNC_LATE = 0x02,    /* something is still to be told: there was no room */
	SLU_SYNC_YIELDED = 0x04, /* an older session has the request's tuple: only the reply's entry exists */
	SLU_SYNC_FOREIGN = 0x08, /* what stands here came from another node */
	SLU_SYNC_ENDED = 0x10,   /* its owner has ended it; it waits for the card */
	SLU_SYNC_LEFT = 0x20, /* an earlier process left it, and nobody was seen to use it since: perhaps it is over */
};

struct slu_session_cold {
	uint32_t listener_id, backend_id; /* stable ids */
	uint16_t listener_live, backend_live;
	uint32_t created;      /* SLU_TICK_US */
	uint64_t card_low[2];  /* control thread, while the card has the direction: slu_session_card_*() */
			       /* the first, while the session is opening: client_address.c */
	uint32_t card_high[2]; /* the same */
	uint32_t sync_tick;    /* when it was told, or heard of, last; before that: client's packets counted */
	uint16_t version;      /* of the session in the cluster; 0: none yet, or Linux's */
	uint8_t creator;       /* node; 0: not known */
	uint8_t sync;          /* enum slu_sync_flag */
	uint32_t timer_next, timer_prev; /* timer_wheel.h */
	uint16_t packets_high[2];        /* above the SLU_PACKETS_BITS of the hot line */
	uint16_t generation;             /* odd: in use; one more when published and when released */
	uint8_t offload[2];              /* enum slu_offload_state */
};
static_assert(sizeof(struct slu_session_cold) == 64, "one cache line");

/*
 * Time of sessions: the card's unit, 1.024 ms, in 32 bits. Differences are signed, so a time-out stays below 25 days;
 * SLU_TIMEOUT_MAX_S bounds it.
 */
#define SLU_TICK_SHIFT 10
#define SLU_TIMEOUT_MAX_S 1728000u

static inline uint32_t slu_session_tick(uint64_t time_us)
{
	return (uint32_t)(time_us >> SLU_TICK_SHIFT);
}

/* The meter's number has nine bits above the packets of either direction (meter.h). */
#define SLU_PACKETS_BITS 23
#define SLU_PACKETS_MASK ((1u << SLU_PACKETS_BITS) - 1)
#define SLU_METER_BITS (2 * (32 - SLU_PACKETS_BITS))

static inline uint32_t slu_session_packets_low(const struct slu_session_hot *hot, unsigned int dir)
{
	return __atomic_load_n(&hot->packets_meter[dir], __ATOMIC_RELAXED) & SLU_PACKETS_MASK;
}

static inline uint64_t slu_session_packets(
	const struct slu_session_hot *hot, const struct slu_session_cold *cold, unsigned int dir)
{
	uint64_t high = __atomic_load_n(&cold->packets_high[dir], __ATOMIC_ACQUIRE);

	return high << SLU_PACKETS_BITS | slu_session_packets_low(hot, dir);
}

static inline void slu_session_set_packets(
	struct slu_session_hot *hot, struct slu_session_cold *cold, unsigned int dir, uint64_t packets)
{
	hot->packets_meter[dir] =
		(hot->packets_meter[dir] & ~SLU_PACKETS_MASK) | ((uint32_t)packets & SLU_PACKETS_MASK);
	cold->packets_high[dir] = (uint16_t)(packets >> SLU_PACKETS_BITS);
}

static inline uint32_t slu_session_meter(const struct slu_session_hot *hot)
{
	return hot->packets_meter[0] >> SLU_PACKETS_BITS | hot->packets_meter[1] >> SLU_PACKETS_BITS
											    << (32 - SLU_PACKETS_BITS);
}

static inline void slu_session_set_meter(struct slu_session_hot *hot, uint32_t meter)
{
	hot->packets_meter[0] = (hot->packets_meter[0] & SLU_PACKETS_MASK) | meter << SLU_PACKETS_BITS;
	hot->packets_meter[1] = (hot->packets_meter[1] & SLU_PACKETS_MASK) | meter >> (32 - SLU_PACKETS_BITS)
											      << SLU_PACKETS_BITS;
}

static inline uint64_t slu_session_bytes(uint64_t bytes_nexthop)
{
	return bytes_nexthop >> 16;
}

/*
 * A rule's counters in twelve bytes. Bytes have 48 bits, as the session's own, and so many bytes are fewer than 2^44
 * packets: their low 16 bits stand above the bytes, the high ones in a word of their own. Four bits stand in both
 * words, so that a reader sees when it read between the two stores.
 */
#define SLU_CARD_HIGH_SHIFT 12

static inline void slu_session_card_store(
	struct slu_session_cold *cold, unsigned int dir, uint64_t packets, uint64_t bytes)
{
	__atomic_store_n(&cold->card_low[dir], packets << 48 | (bytes & 0xFFFFFFFFFFFF), __ATOMIC_RELAXED);
	__atomic_store_n(&cold->card_high[dir], (uint32_t)(packets >> SLU_CARD_HIGH_SHIFT), __ATOMIC_RELEASE);
}

static inline void slu_session_card_load(
	const struct slu_session_cold *cold, unsigned int dir, uint64_t *packets, uint64_t *bytes)
{
	uint64_t low;
	uint32_t high;

	do {
		high = __atomic_load_n(&cold->card_high[dir], __ATOMIC_ACQUIRE);
		low = __atomic_load_n(&cold->card_low[dir], __ATOMIC_ACQUIRE);
	} while ((high & 0xF) != low >> 60);
	*packets = (uint64_t)high << SLU_CARD_HIGH_SHIFT | (low >> 48 & ((1 << SLU_CARD_HIGH_SHIFT) - 1));
	*bytes = low & 0xFFFFFFFFFFFF;
}

#endif
