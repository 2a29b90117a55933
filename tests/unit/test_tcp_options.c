/*
 * lib: tcp_options and proxy_v2. The packing table: what a client's options become.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proxy_v2.h"
#include "lib/tcp_options.h"

#define MSS "\x02\x04\x05\xb4"
#define SACK_OK "\x04\x02"
#define STAMP "\x08\x0a\x01\x02\x03\x04\x05\x06\x07\x08"
#define SCALE "\x03\x03\x07"
#define NOP "\x01"
#define END "\x00"
#define FASTOPEN "\x22\x0a\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8"
#define FASTOPEN_ASKED "\x22\x02"
#define MPTCP "\x1e\x0c\x00\x81\x11\x12\x13\x14\x15\x16\x17\x18"
#define FORGED "\xfe\x08\x9c\x40\x01\x02\x03\x04"
#define TOA4 "\xfe\x08\x9c\x40\xc6\x13\x07\x0a"
#define TOA6 "\xfe\x14\x9c\x40\xfd\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10"
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static const uint8_t client4[4] = {198, 19, 7, 10}, port[2] = {0x9c, 0x40};
static const uint8_t client6[16] = {0xfd, 0x00, 0x00, 0x0c, [15] = 0x10};

/* What a SYN carries, and what it becomes with an address of this family (0: of none). */
static const struct row {
	const char *sentence;
	const uint8_t *options;
	size_t bytes;
	int family;
	bool keep_fastopen;
	const uint8_t *packed;
	size_t packed_bytes;
	bool has_toa, stripped, fastopen_gone;
} rows[] = {
	{"nothing, IPv4", BYTES(""), 4, true, BYTES(TOA4), true},
	{"nothing, IPv6", BYTES(""), 6, true, BYTES(TOA6), true},
	{"Linux, IPv4: the NOP goes, and comes back as the end", BYTES(MSS SACK_OK STAMP NOP SCALE), 4, true,
		BYTES(MSS SACK_OK STAMP SCALE TOA4 END), true},
	{"Linux, IPv6: 39 bytes, one is left", BYTES(MSS SACK_OK STAMP NOP SCALE), 6, true,
		BYTES(MSS SACK_OK STAMP SCALE TOA6 END), true},
	{"Windows", BYTES(MSS NOP SCALE NOP NOP SACK_OK), 4, true, BYTES(MSS SCALE SACK_OK TOA4 END END END), true},
	{"a cookie of Fast Open stays where it fits", BYTES(MSS SACK_OK STAMP NOP SCALE FASTOPEN NOP NOP), 4, true,
		BYTES(MSS SACK_OK STAMP SCALE FASTOPEN TOA4 END END END), true},
	{"a cookie of Fast Open goes before the address does", BYTES(MSS SACK_OK STAMP NOP SCALE FASTOPEN NOP NOP), 6,
		true, BYTES(MSS SACK_OK STAMP SCALE TOA6 END), true, false, true},
	{"timestamps and Multipath TCP never go: no room", BYTES(MSS SACK_OK STAMP NOP SCALE MPTCP), 6, true,
		BYTES(MSS SACK_OK STAMP SCALE MPTCP END), false},
	{"without room Fast Open goes too: it was tried",
		BYTES(MSS SACK_OK STAMP NOP SCALE MPTCP FASTOPEN_ASKED NOP NOP), 6, true,
		BYTES(MSS SACK_OK STAMP SCALE MPTCP END), false, false, true},
	{"a forged address is replaced", BYTES(MSS FORGED), 4, true, BYTES(MSS TOA4), true, true},
	{"several forged ones, of any length", BYTES("\xfe\x02" FORGED "\xfe\x06\x00\x00\x00\x00" MSS), 4, true,
		BYTES(MSS TOA4), true, true},
	{"a forged one goes where there is no room for ours", BYTES(MSS SACK_OK STAMP NOP SCALE MPTCP FORGED), 6, true,
		BYTES(MSS SACK_OK STAMP SCALE MPTCP END), false, true},
	{"a forged one goes where no address is asked for", BYTES(MSS FORGED), 0, true, BYTES(MSS), false, true},
	{"what hides behind the end is left out", BYTES(MSS END FORGED END END END), 4, true, BYTES(MSS TOA4), true},
	{"what hides behind a length of 0 is left out", BYTES(MSS "\x08\x00" FORGED NOP NOP), 4, true, BYTES(MSS TOA4),
		true},
	{"a length of 1 ends the list", BYTES(MSS "\x08\x01" FORGED NOP NOP), 4, true, BYTES(MSS TOA4), true},
	{"a length beyond the header ends the list", BYTES(MSS "\x08\x0a\x01\x02"), 4, true, BYTES(MSS TOA4), true},
	{"a kind without a length ends the list", BYTES(MSS NOP NOP NOP "\x08"), 4, true, BYTES(MSS TOA4), true},
	{"40 bytes of NOPs become none",
		BYTES("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
		      "\1\1\1\1"),
		6, true, BYTES(TOA6), true},
	{"a kind that nobody knows is kept", BYTES("\x63\x04\xaa\xbb"), 4, true, BYTES("\x63\x04\xaa\xbb" TOA4), true},
	{"Fast Open goes where it is not wanted", BYTES(MSS FASTOPEN NOP NOP), 0, false, BYTES(MSS), false, false,
		true},
	{"40 full bytes stay as they are", BYTES(STAMP STAMP STAMP STAMP), 0, true, BYTES(STAMP STAMP STAMP STAMP)},
	{"and have no room", BYTES(STAMP STAMP STAMP STAMP), 4, true, BYTES(STAMP STAMP STAMP STAMP)},
};

static void tcp_options__each_row__is_packed_as_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct slu_tcp_options out;
		uint8_t toa[20];
		uint32_t toa_bytes = 0;

		if (r->family)
			toa_bytes = slu_tcp_options_write_toa(
				toa, (uint8_t)r->family, r->family == 4 ? client4 : client6, port);
		slu_tcp_options_pack(r->options, (uint32_t)r->bytes, r->keep_fastopen, toa, toa_bytes, &out);
		if (out.count != r->packed_bytes || memcmp(out.bytes, r->packed, out.count) ||
			out.has_toa != r->has_toa || out.stripped != r->stripped ||
			out.fastopen_gone != r->fastopen_gone)
			fail_msg("row %zu: %s (%u bytes, toa %d, stripped %d, fastopen gone %d)", i, r->sentence,
				out.count, out.has_toa, out.stripped, out.fastopen_gone);
	}
}

static void tcp_options__found__is_the_first_sound_one(void **state)
{
	const uint8_t options[] = {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 2, 0, 0};

	(void)state;
	assert_ptr_equal(slu_tcp_options_find(options, sizeof(options), 5), options + 2);
	assert_null(slu_tcp_options_find(options, sizeof(options), 8));
	assert_null(slu_tcp_options_find(options, 8, 5)); /* cut */
	assert_null(slu_tcp_options_find(options, 0, 5));
}

/* By the document's example of fields, written out by hand. */
static void proxy_v2__ipv4_stream__is_what_the_document_says(void **state)
{
	static const char wanted[] = "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a" /* signature */
				     "\x21\x11\x00\x0c" /* version 2, PROXY; TCP over IPv4; 12 */
				     "\xc6\x13\x07\x0a\xc6\x12\x01\x64\x9c\x40\x00\x50";
	const uint8_t vip[4] = {198, 18, 1, 100}, vport[2] = {0, 80};
	uint8_t out[SLU_PROXY_V2_BYTES_MAX];

	(void)state;
	assert_int_equal(slu_proxy_v2_write(out, 4, 6, client4, vip, port, vport), 28);
	assert_memory_equal(out, wanted, 28);
}

static void proxy_v2__ipv6_datagram__is_what_the_document_says(void **state)
{
	static const char wanted[] = "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
				     "\x21\x22\x00\x24"
				     "\xfd\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10"
				     "\xfd\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x64"
				     "\x9c\x40\x00\x35";
	const uint8_t vip[16] = {0xfd, 0, 0, 1, [15] = 0x64}, vport[2] = {0, 53};
	uint8_t out[SLU_PROXY_V2_BYTES_MAX];

	(void)state;
	assert_int_equal(slu_proxy_v2_write(out, 6, 17, client6, vip, port, vport), 52);
	assert_memory_equal(out, wanted, 52);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_options__each_row__is_packed_as_it_says),
		cmocka_unit_test(tcp_options__found__is_the_first_sound_one),
		cmocka_unit_test(proxy_v2__ipv4_stream__is_what_the_document_says),
		cmocka_unit_test(proxy_v2__ipv6_datagram__is_what_the_document_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
