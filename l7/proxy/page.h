/*
 * Answers of the proxy itself: error pages, redirects, fixed responses.
 */
#ifndef SLU_L7_PAGE_H
#define SLU_L7_PAGE_H

#include "l7/proxy/exchange.h"

/* Fills exchange->response and returns its body, which the caller drops; NULL: none. */
struct slu_buffer *slu_page_error(struct slu_exchange *exchange, unsigned status, const char *text);
struct slu_buffer *slu_page_redirect(struct slu_exchange *exchange, const struct slu_site_rule *rule);
struct slu_buffer *slu_page_fixed(struct slu_exchange *exchange, const struct slu_site_rule *rule);

const char *slu_page_reason(unsigned status);

#endif
