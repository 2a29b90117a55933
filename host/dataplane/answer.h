/*
 * Answers of our own: RST and ICMP errors, built in the packet that caused them
 * and sent back the way it came. Rate-limited per worker; what is over the limit
 * is only dropped. The packet is taken either way and counted as dropped by why.
 */
#ifndef SLU_HOST_ANSWER_H
#define SLU_HOST_ANSWER_H

#include "host/dataplane/worker.h"

/* RFC 9293, section 3.5.2, group 1. Never answers an RST. */
void slu_answer_rst(struct slu_worker *w, struct slu_packet *p, enum slu_counter why);

/* The source of the ICMP error is the destination of the packet: a listener's or local address. */
void slu_answer_time_exceeded(struct slu_worker *w, struct slu_packet *p);
void slu_answer_too_big(struct slu_worker *w, struct slu_packet *p, uint16_t mtu);

#endif
