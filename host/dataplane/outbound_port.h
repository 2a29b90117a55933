/*
 * SNAT's source: a public address and port (for ICMP an identifier), unique
 * together with the remote's, whose return traffic comes back to this worker.
 *
 * An inside host keeps to one public address while that has a port for it
 * (RFC 4787, REQ-2). UDP and ICMP: the port follows from the inside host's
 * address and port alone, so that all remotes see the same one (endpoint-
 * independent mapping, REQ-1; RFC 5508, REQ-1) unless another inside host has it
 * towards that very remote already. TCP: any free one (RFC 6056, algorithm 3).
 */
#ifndef SLU_HOST_OUTBOUND_PORT_H
#define SLU_HOST_OUTBOUND_PORT_H

#include "host/dataplane/worker.h"

/*
 * Chooses for a session whose hot->tuple[0], and source of tuple[1], (and addresses) and proto_vpc are there. Sets the
 * destination of tuple[1]. in_port: where return traffic will enter. Returns 0 or the reason as enum slu_counter.
 */
int slu_outbound_port_choose(struct slu_worker *w, uint32_t sid, const struct slu_outbound *snat, uint16_t in_port);

/* The worker that a packet for a public address belongs to, by its tuple. */
uint32_t slu_outbound_port_owner(const struct slu_dataplane *dp, uint16_t in_port, const struct slu_session_key *reply);

/* The worker that a datagram of an inside host belongs to, so that one worker chooses its port towards every remote. */
uint32_t slu_outbound_port_chooser(const struct slu_worker *w, const struct slu_session_key *request);

#endif
