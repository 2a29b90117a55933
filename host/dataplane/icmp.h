/*
 * ICMP and ICMPv6 errors about a session's packets: translated outside and
 * inside, so that path MTU discovery and unreachables work through the balancer.
 */
#ifndef SLU_HOST_ICMP_H
#define SLU_HOST_ICMP_H

#include "host/dataplane/worker.h"

/*
 * Takes an ICMP error. The packet inside was sent by us; turned around it is the key of the direction that the error
 * travels in. An error that fits no session goes to the next worker, then to the kernel if it is for an address that is
 * not ours.
 */
void slu_icmp_error(struct slu_worker *w, struct slu_packet *p);

#endif
