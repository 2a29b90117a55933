/*
 * What a head changes when it goes on: forwarding fields, rewritten path, sticky cookie.
 */
#ifndef SLU_L7_FORWARD_H
#define SLU_L7_FORWARD_H

#include "l7/proxy/exchange.h"

/* The request for its server: sets path and added fields. */
void slu_forward_request(struct slu_exchange *exchange);

/* The response for its client. */
void slu_forward_response(struct slu_exchange *exchange);

#endif
