/*
 * TCP states and time-outs after Linux IPVS: same names and numbers, because
 * they travel in session sync messages (include/uapi/linux/ip_vs.h).
 */
#ifndef SLU_HOST_TCP_STATE_H
#define SLU_HOST_TCP_STATE_H

#include <stdint.h>

#include "host/control/generation.h"

enum slu_tcp_state {
	SLU_TCP_NONE,
	SLU_TCP_ESTABLISHED,
	SLU_TCP_SYN_SENT,
	SLU_TCP_SYN_RECV,
	SLU_TCP_FIN_WAIT,
	SLU_TCP_TIME_WAIT,
	SLU_TCP_CLOSE,
	SLU_TCP_CLOSE_WAIT,
	SLU_TCP_LAST_ACK,
	SLU_TCP_LISTEN,
	SLU_TCP_SYNACK,
	SLU_TCP_STATES
};

#define SLU_TCP_FIN 0x01
#define SLU_TCP_SYN 0x02
#define SLU_TCP_RST 0x04
#define SLU_TCP_ACK 0x10

/* Which row of the table a segment uses; RST before SYN before FIN before ACK, as IPVS does. */
enum slu_tcp_event { SLU_TCP_EVENT_SYN, SLU_TCP_EVENT_FIN, SLU_TCP_EVENT_ACK, SLU_TCP_EVENT_RST, SLU_TCP_EVENT_NONE };

/* [direction][flags & 0x1F][state] */
extern uint8_t slu_tcp_state_table[2][32][16];

/* Fills slu_tcp_state_table; idempotent. */
void slu_tcp_state_init(void);

static inline uint8_t slu_tcp_state_next(unsigned int dir, uint8_t flags, uint8_t state)
{
	return slu_tcp_state_table[dir][flags & 0x1F][state];
}

const char *slu_tcp_state_name(uint8_t state);

#define SLU_ECHO_TIMEOUT_S 60 /* of an ICMP query session (RFC 5508, REQ-2: not less) */

/* Seconds a session may stay idle in a state. timeouts NULL: the defaults of IPVS. */
uint32_t slu_tcp_state_timeout_s(const struct slu_timeouts *timeouts, uint8_t protocol, uint8_t state);

#endif
