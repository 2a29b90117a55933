/*
 * A session as nodes of a cluster tell it to each other, in memory. Sync
 * (host/sync) turns it into datagrams and back; the data plane fills and takes it.
 * It names nothing that only one node knows: no ids, no live indexes.
 *
 * One shape serves every mode. The packet that opens a session goes from client to
 * virtual; it leaves from local to backend, and the reply comes from backend to
 * local. NAT: local is client. SNAT: backend is virtual.
 */
#ifndef SLU_HOST_SYNC_RECORD_H
#define SLU_HOST_SYNC_RECORD_H

#include <assert.h>
#include <stdint.h>

#include "sluice/types.h"

enum slu_sync_kind {
	SLU_SYNC_SESSION, /* the whole session, from its owner: new, changed, or refreshed */
	SLU_SYNC_REPORT,  /* from a node that is not the owner: state and flags are what it saw; or plain activity */
	SLU_SYNC_END,     /* from the owner: the session has ended */
	SLU_SYNC_ASK,     /* who has the session of which client to virtual is either direction's tuple? */
};

struct slu_sync_record {
	uint8_t kind; /* enum slu_sync_kind */
	uint8_t family;
	uint8_t protocol;
	uint8_t mode;     /* enum slu_mode */
	uint8_t state;    /* number of Linux IPVS */
	uint8_t flags;    /* enum slu_session_flag: FIN_REQ, FIN_REP, RST */
	uint16_t version; /* serial number (RFC 1982) that the owner raises with every change; 0: from a peer without */
	uint32_t vpc;
	uint32_t timeout_s; /* of the state, at the teller; 0: not told */
	uint32_t life_s;    /* without another word of the owner a copy lives so long; 0: not told */
	uint32_t age_ms;    /* since creation; 0: not told (Linux) */
	uint8_t creator;    /* node that created it, 1..255; 0: not told */
	uint8_t sender;     /* node that tells it; 0: Linux */
	uint16_t reserved;
	slu_be16 client_port, virtual_port, local_port, backend_port;
	uint8_t client[16], virtual_ip[16], local[16], backend[16]; /* IPv4: the first four bytes, the rest zero */
};
static_assert(sizeof(struct slu_sync_record) == 100, "of rings: a multiple of four, no holes");

#endif
