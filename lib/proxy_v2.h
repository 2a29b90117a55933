/*
 * Header of the PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, section
 * 2.2): who called, and which address. Without TLVs.
 */
#ifndef SLU_LIB_PROXY_V2_H
#define SLU_LIB_PROXY_V2_H

#include <stdint.h>

/* Both even, so that what follows a header keeps its place in checksums. */
#define SLU_PROXY_V2_BYTES4 28u
#define SLU_PROXY_V2_BYTES6 52u
#define SLU_PROXY_V2_BYTES_MAX SLU_PROXY_V2_BYTES6

static inline uint32_t slu_proxy_v2_bytes(uint8_t family)
{
	return family == 4 ? SLU_PROXY_V2_BYTES4 : SLU_PROXY_V2_BYTES6;
}

/*
 * Writes the header of a connection that is proxied: family 4 or 6, protocol of IP (TCP, else UDP), addresses of 4 or
 * 16 bytes, ports as in a packet. Returns its bytes.
 */
uint32_t slu_proxy_v2_write(uint8_t *header, uint8_t family, uint8_t protocol, const void *src, const void *dst,
	const void *sport, const void *dport);

#endif
