#include "proxy_v2.h"

#include <string.h>

#include "packet_edit.h"

#define FIXED_BYTES 16u
#define VERSION_2_PROXY 0x21
#define FAMILY_INET 0x10
#define FAMILY_INET6 0x20
#define TRANSPORT_STREAM 0x01
#define TRANSPORT_DGRAM 0x02

uint32_t slu_proxy_v2_write(uint8_t *header, uint8_t family, uint8_t protocol, const void *src, const void *dst,
	const void *sport, const void *dport)
{
	static const uint8_t signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
	uint32_t bytes = slu_proxy_v2_bytes(family), address_bytes = family == 4 ? 4 : 16;
	uint8_t *addresses = header + FIXED_BYTES;

	memcpy(header, signature, sizeof(signature));
	header[12] = VERSION_2_PROXY;
	header[13] = (uint8_t)((family == 4 ? FAMILY_INET : FAMILY_INET6) |
			       (protocol == SLU_PROTO_TCP ? TRANSPORT_STREAM : TRANSPORT_DGRAM));
	header[14] = 0;
	header[15] = (uint8_t)(bytes - FIXED_BYTES);
	memcpy(addresses, src, address_bytes);
	memcpy(addresses + address_bytes, dst, address_bytes);
	memcpy(addresses + 2 * address_bytes, sport, 2);
	memcpy(addresses + 2 * address_bytes + 2, dport, 2);
	return bytes;
}
