#include "host/dataplane/tcp_state.h"

#include "host/dataplane/session.h"
#include "lib/packet_edit.h"

#define NO SLU_TCP_NONE
#define ES SLU_TCP_ESTABLISHED
#define SS SLU_TCP_SYN_SENT
#define SR SLU_TCP_SYN_RECV
#define FW SLU_TCP_FIN_WAIT
#define TW SLU_TCP_TIME_WAIT
#define CL SLU_TCP_CLOSE
#define CW SLU_TCP_CLOSE_WAIT
#define LA SLU_TCP_LAST_ACK
#define LI SLU_TCP_LISTEN
#define SA SLU_TCP_SYNACK

uint8_t slu_tcp_state_table[2][32][16];

/* By direction and event. Columns: NO ES SS SR FW TW CL CW LA LI SA. */
static const uint8_t transitions[2][4][SLU_TCP_STATES] = {
	{
		/* from the client */
		[SLU_TCP_EVENT_SYN] = {SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},
		[SLU_TCP_EVENT_FIN] = {CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW},
		[SLU_TCP_EVENT_ACK] = {ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
		[SLU_TCP_EVENT_RST] = {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR},
	},
	{
		/* from the backend */
		[SLU_TCP_EVENT_SYN] = {SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR},
		[SLU_TCP_EVENT_FIN] = {TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW},
		[SLU_TCP_EVENT_ACK] = {ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES},
		[SLU_TCP_EVENT_RST] = {CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL},
	},
};

static enum slu_tcp_event event_of(uint8_t flags)
{
	if (flags & SLU_TCP_RST)
		return SLU_TCP_EVENT_RST;
	if (flags & SLU_TCP_SYN)
		return SLU_TCP_EVENT_SYN;
	if (flags & SLU_TCP_FIN)
		return SLU_TCP_EVENT_FIN;
	if (flags & SLU_TCP_ACK)
		return SLU_TCP_EVENT_ACK;
	return SLU_TCP_EVENT_NONE;
}

void slu_tcp_state_init(void)
{
	for (unsigned int dir = 0; dir < 2; dir++)
		for (unsigned int flags = 0; flags < 32; flags++)
			for (uint8_t state = 0; state < SLU_TCP_STATES; state++) {
				enum slu_tcp_event event = event_of(flags);

				slu_tcp_state_table[dir][flags][state] =
					event == SLU_TCP_EVENT_NONE ? state : transitions[dir][event][state];
			}
}

const char *slu_tcp_state_name(uint8_t state)
{
	static const char *const names[SLU_TCP_STATES] = {"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT",
		"TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK"};

	return state < SLU_TCP_STATES ? names[state] : "?";
}

uint32_t slu_tcp_state_timeout_s(const struct slu_timeouts *t, uint8_t protocol, uint8_t state)
{
	static const struct slu_timeouts defaults = {.syn_recv = 60,
		.syn_sent = 120,
		.established = 900,
		.fin_wait = 120,
		.time_wait = 120,
		.close = 10,
		.close_wait = 60,
		.last_ack = 30,
		.udp = 300};
	uint32_t seconds;

	if (!t)
		t = &defaults;
	if (protocol == SLU_PROTO_ICMP || protocol == SLU_PROTO_ICMPV6)
		return SLU_ECHO_TIMEOUT_S;
	switch (protocol == SLU_PROTO_UDP ? SLU_TCP_STATES : state) {
	case SLU_TCP_STATES:
		seconds = t->udp;
		break;
	case ES:
		seconds = t->established;
		break;
	case SS:
		seconds = t->syn_sent;
		break;
	case SR:
		seconds = t->syn_recv;
		break;
	case FW:
		seconds = t->fin_wait;
		break;
	case TW:
		seconds = t->time_wait;
		break;
	case CL:
		seconds = t->close;
		break;
	case CW:
		seconds = t->close_wait;
		break;
	case LA:
		seconds = t->last_ack;
		break;
	case LI:
	case SA:
		seconds = 120;
		break;
	default:
		seconds = 2;
	}
	if (seconds == 0)
		seconds = 1;
	return seconds < SLU_TIMEOUT_MAX_S ? seconds : SLU_TIMEOUT_MAX_S;
}
