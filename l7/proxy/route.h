/*
 * Which rule of a listener a request meets. Pure.
 */
#ifndef SLU_L7_ROUTE_H
#define SLU_L7_ROUTE_H

#include "l7/config/site.h"
#include "l7/http/message.h"

/* The first rule that matches (rules are in the order of their precedence); NULL: none. `source` is 4 or 16 bytes. */
const struct slu_site_rule *slu_route_find(
	const struct slu_site_listener *listener, const struct slu_message *request, const struct sockaddr *source);

/* The value of a cookie of the request; bytes 0 and at NULL when there is none. */
struct slu_span slu_route_cookie(const struct slu_message *request, struct slu_span name);

#endif
