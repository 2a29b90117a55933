/*
 * Text and order of struct slu_ip. Pure functions.
 */
#ifndef SLU_HOST_IP_H
#define SLU_HOST_IP_H

#include <stddef.h>

#include "host/control/generation.h"

#define SLU_IP_TEXT_BYTES 46

/* Reads a numeric address; no name, no zone, no prefix. Returns 0; -EINVAL, *ip unchanged. */
int slu_ip_parse(const char *text, struct slu_ip *ip);

/* Writes the canonical text ("-" for family 0) and returns `text`. */
const char *slu_ip_format(const struct slu_ip *ip, char text[SLU_IP_TEXT_BYTES]);

/* Orders by family, then numerically: negative, 0, positive. */
int slu_ip_compare(const struct slu_ip *a, const struct slu_ip *b);

/* The next higher address; false, *ip unchanged, behind the last one. */
bool slu_ip_increment(struct slu_ip *ip);

/* The address with all bits behind the first `bits` cleared. */
struct slu_ip slu_ip_network(const struct slu_ip *ip, unsigned bits);

/* Whether the first `bits` bits are those of `network`; false across families. */
bool slu_ip_within(const struct slu_ip *ip, const struct slu_ip *network, unsigned bits);

#endif
