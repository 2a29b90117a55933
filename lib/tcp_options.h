/*
 * Options of a TCP header: walked as far as they are sound, packed anew, and the
 * client's address among them (TOA, docs/client-address.md).
 */
#ifndef SLU_LIB_TCP_OPTIONS_H
#define SLU_LIB_TCP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_TCP_OPTIONS_MAX 40u /* bytes of a header (RFC 9293, section 3.1) */

#define SLU_TCP_OPTION_END 0
#define SLU_TCP_OPTION_NOP 1
#define SLU_TCP_OPTION_SACK 5
#define SLU_TCP_OPTION_FASTOPEN 34
/*
 * The client's address: kind, length, port, address of 4 or 16 bytes. Experiments share the number (RFC 6994), an early
 * TCP Fast Open among them.
 */
#define SLU_TCP_OPTION_TOA 254
#define SLU_TCP_OPTION_TOA_BYTES4 8u
#define SLU_TCP_OPTION_TOA_BYTES6 20u

/* Ready to stand in a header: count is a multiple of four. */
struct slu_tcp_options {
	uint8_t bytes[SLU_TCP_OPTIONS_MAX];
	uint8_t count;
	bool stripped;      /* there was an option 254 */
	bool fastopen_gone; /* there was a TCP Fast Open */
	bool has_toa;       /* the client's address is in */
};

/*
 * Packs options anew: every sound one in its order, without NOP, END, those numbered 254, and with keep_fastopen false
 * Fast Open. What follows a malformed option is left out, since no receiver reads it.
 *
 * Then adds toa (of toa_bytes; 0: none). If that does not fit, Fast Open goes; if it still does not, toa stays out and
 * has_toa is false. Any options[bytes] may be given, bytes at most SLU_TCP_OPTIONS_MAX; out must be elsewhere. Without
 * toa count never exceeds bytes.
 */
void slu_tcp_options_pack(const uint8_t *options, uint32_t bytes, bool keep_fastopen, const uint8_t *toa,
	uint32_t toa_bytes, struct slu_tcp_options *out);

/* The client's address as an option, as the kernel modules of DPVS read it. ip: 4 or 16 bytes; returns the option's. */
uint32_t slu_tcp_options_write_toa(uint8_t *option, uint8_t family, const void *ip, const void *port);

/* The first sound option of a kind, or NULL; its length stands in its second byte. Not for NOP and END. */
const uint8_t *slu_tcp_options_find(const uint8_t *options, uint32_t bytes, uint8_t kind);

#endif
