/*
 * Datagrams of session sync: the verdicts of tests/vectors/sync, round trips, and
 * bytes written by hand.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/control/generation.h"
#include "host/dataplane/session.h"
#include "host/sync/codec.h"

#define GROUP 7
#define ROWS_MIN 30

static struct slu_codec_datagram in;

/* -------------------------------------------------------- the vector file */

struct row {
	char sentence[160];
	uint16_t expected[SLU_CODEC_VERDICTS];
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	uint32_t count;
};

static void parse_expectation(struct row *row, char *line)
{
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		uint16_t count = (uint16_t)atoi(strtok(NULL, " \n"));
		unsigned int v = 0;

		if (strcmp(word, "linux") == 0)
			continue;
		while (v < SLU_CODEC_VERDICTS && strcmp(word, slu_codec_verdict_name(v)) != 0)
			v++;
		assert_true(v < SLU_CODEC_VERDICTS);
		row->expected[v] = count;
	}
}

static void parse_hex(struct row *row, const char *line)
{
	unsigned int byte;

	for (; sscanf(line, "%2x", &byte) == 1; line += 2)
		row->bytes[row->count++] = (uint8_t)byte;
}

/* Reads the next row. Returns false at the end. */
static bool next_row(FILE *file, struct row *row)
{
	char line[512];

	memset(row, 0, sizeof(*row));
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '\n' && row->count > 0)
			return true;
		if (line[0] == '#')
			snprintf(row->sentence, sizeof(row->sentence), "%.150s", line + 2);
		else if (line[0] == '=')
			parse_expectation(row, line + 2);
		else if (line[0] != '\n')
			parse_hex(row, line);
	}
	return row->count > 0;
}

static void codec_read__every_row_of_the_vectors__has_its_verdicts(void **state)
{
	FILE *file = fopen("tests/vectors/sync/datagrams.txt", "r");
	unsigned int rows = 0, wrong = 0;
	struct row row;

	(void)state;
	assert_non_null(file);
	while (next_row(file, &row)) {
		uint8_t *copy = malloc(row.count); /* so that a sanitizer sees a byte too far */

		memcpy(copy, row.bytes, row.count);
		slu_codec_read(copy, row.count, GROUP, &in);
		free(copy);
		rows++;
		for (unsigned int v = 0; v < SLU_CODEC_VERDICTS; v++) {
			if (in.count[v] == row.expected[v])
				continue;
			print_error("%s  %s: %u, expected %u\n", row.sentence, slu_codec_verdict_name(v), in.count[v],
				row.expected[v]);
			wrong++;
		}
		assert_int_equal(in.record_count, in.count[SLU_CODEC_TAKEN]);
	}
	fclose(file);
	assert_true(rows >= ROWS_MIN);
	assert_int_equal(wrong, 0);
}

static void codec_read__every_row_cut_anywhere__stays_inside(void **state)
{
	FILE *file = fopen("tests/vectors/sync/datagrams.txt", "r");
	struct row row;

	(void)state;
	assert_non_null(file);
	while (next_row(file, &row))
		for (uint32_t count = 0; count < row.count; count++) {
			uint8_t *copy = malloc(count + 1);

			memcpy(copy, row.bytes, count);
			slu_codec_read(copy, count, 0, &in);
			/* Once more with a size that agrees, so that the sessions are reached. */
			if (count >= 4) {
				copy[2] = (uint8_t)(count >> 8);
				copy[3] = (uint8_t)count;
				slu_codec_read(copy, count, 0, &in);
			}
			assert_true(in.record_count <= SLU_CODEC_RECORDS_MAX);
			free(copy);
		}
	fclose(file);
}

/* ---------------------------------------------------------------- records */

static void set_address(uint8_t *address, uint8_t family, uint8_t last)
{
	memset(address, 0, 16);
	if (family == 4) {
		memcpy(address, (uint8_t[]){198, 18, 90, last}, 4);
	} else {
		address[0] = 0xFD;
		address[15] = last;
	}
}

static struct slu_sync_record record(uint8_t family, uint8_t mode)
{
	struct slu_sync_record r = {.kind = SLU_SYNC_SESSION,
		.family = family,
		.protocol = 6,
		.mode = mode,
		.state = 1,
		.flags = SLU_SESSION_FIN_REQ | SLU_SESSION_RST,
		.version = 0xABCD,
		.vpc = mode == SLU_MODE_FULLNAT ? 0xFEDCBA : 0,
		.timeout_s = 900,
		.age_ms = 123456,
		.creator = 3,
		.client_port = __builtin_bswap16(40000),
		.virtual_port = __builtin_bswap16(80),
		.local_port = __builtin_bswap16(40000),
		.backend_port = __builtin_bswap16(8080)};

	set_address(r.client, family, 2);
	set_address(r.virtual_ip, family, 100);
	set_address(r.backend, family, 200);
	set_address(r.local, family, mode == SLU_MODE_FULLNAT ? 7 : 2);
	if (mode == SLU_MODE_FULLNAT)
		r.local_port = __builtin_bswap16(2000);
	return r;
}

static const struct slu_codec_trailer plain_trailer = {.sender = 9, .epoch = 0x0102030405060708, .sequence = 5};

static uint32_t write_one(uint8_t *bytes, const struct slu_sync_record *r, uint8_t revision)
{
	struct slu_codec_writer w;

	slu_codec_begin(&w, bytes, SLU_SYNC_WIRE_DATAGRAM_MAX, GROUP);
	assert_int_equal(slu_codec_add(&w, r, revision), 0);
	return slu_codec_end(&w, revision ? &plain_trailer : NULL);
}

static void codec_add__every_family_mode_and_kind__reads_back_equal(void **state)
{
	static const uint8_t modes[] = {
		SLU_MODE_FULLNAT, SLU_MODE_NAT, SLU_MODE_SNAT, SLU_MODE_EIP, SLU_MODE_DR, SLU_MODE_TUN};
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];

	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2)
		for (unsigned int m = 0; m < sizeof(modes); m++)
			for (uint8_t kind = SLU_SYNC_SESSION; kind <= SLU_SYNC_ASK; kind++) {
				struct slu_sync_record r = record(family, modes[m]);

				r.kind = kind;
				slu_codec_read(bytes, write_one(bytes, &r, SLU_SYNC_WIRE_REVISION), GROUP, &in);
				assert_int_equal(in.verdict, SLU_CODEC_TAKEN);
				assert_int_equal(in.record_count, 1);
				r.sender = plain_trailer.sender;
				assert_memory_equal(&in.records[0], &r, sizeof(r));
			}
}

static void codec_add__question__is_of_revision_2(void **state)
{
	struct slu_sync_record r = record(4, SLU_MODE_FULLNAT);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;

	(void)state;
	r.kind = SLU_SYNC_ASK;
	slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
	assert_int_equal(slu_codec_add(&w, &r, 1), -ENOTSUP);
	assert_int_equal(w.count, 0);
	assert_int_equal(slu_codec_add(&w, &r, 2), 0);
}

static void codec_add__without_extensions__tells_what_linux_tells_and_nothing_else(void **state)
{
	struct slu_sync_record nat = record(4, SLU_MODE_NAT), fullnat = record(4, SLU_MODE_FULLNAT), end = nat;
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;

	(void)state;
	assert_int_equal(write_one(bytes, &nat, 0), 8 + SLU_SYNC_WIRE_SESSION4);
	slu_codec_read(bytes, 8 + SLU_SYNC_WIRE_SESSION4, GROUP, &in);
	assert_int_equal(in.record_count, 1);
	assert_int_equal(in.records[0].version, 0);
	assert_int_equal(in.records[0].sender, 0);
	assert_int_equal(in.records[0].mode, SLU_MODE_NAT);
	end.kind = SLU_SYNC_END;
	slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
	assert_int_equal(slu_codec_add(&w, &fullnat, false), -ENOTSUP);
	assert_int_equal(slu_codec_add(&w, &end, false), -ENOTSUP);
}

static void codec_add__records_that_are_none__are_refused_and_write_nothing(void **state)
{
	struct slu_sync_record family = record(4, SLU_MODE_NAT), kind = family, mode = family;
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;

	(void)state;
	family.family = 5;
	kind.kind = 9;
	mode.mode = 99;
	slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
	assert_int_equal(slu_codec_add(&w, &family, true), -EINVAL);
	assert_int_equal(slu_codec_add(&w, &kind, true), -EINVAL);
	assert_int_equal(slu_codec_add(&w, &mode, true), -EINVAL);
	assert_int_equal(w.count, 0);
	assert_int_equal(w.used, sizeof(struct slu_sync_wire_header));
}

static void codec_add__life__is_told_from_revision_2_on_and_of_whole_sessions_only(void **state)
{
	static const struct {
		uint8_t revision, kind;
		uint32_t life_s, read_life_s;
		uint8_t read_revision;
	} rows[] = {{2, SLU_SYNC_SESSION, 0x01020304, 0x01020304, 2}, {1, SLU_SYNC_SESSION, 1200, 0, 1},
		{2, SLU_SYNC_REPORT, 1200, 0, 1}, {2, SLU_SYNC_END, 1200, 0, 1}, {2, SLU_SYNC_SESSION, 0, 0, 1}};
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint8_t family = 4; family <= 6; family += 2)
			for (uint8_t mode = SLU_MODE_FULLNAT; mode <= SLU_MODE_NAT; mode++) {
				struct slu_sync_record r = record(family, mode);

				r.kind = rows[i].kind;
				r.life_s = rows[i].life_s;
				slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
				assert_int_equal(slu_codec_add(&w, &r, rows[i].revision), 0);
				assert_int_equal(w.revision, rows[i].read_revision);
				slu_codec_read(bytes, slu_codec_end(&w, &plain_trailer), GROUP, &in);
				assert_int_equal(in.record_count, 1);
				assert_int_equal(in.revision, rows[i].read_revision);
				r.life_s = rows[i].read_life_s;
				r.sender = plain_trailer.sender;
				assert_memory_equal(&in.records[0], &r, sizeof(r));
			}
}

static void codec_read__revision_2_without_its_life__drops_the_session(void **state)
{
	struct slu_sync_record r = record(4, SLU_MODE_FULLNAT);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	uint32_t count = write_one(bytes, &r, 1);

	(void)state;
	bytes[8 + SLU_SYNC_WIRE_SESSION4 + SLU_SYNC_WIRE_PARAMETER] = 2;
	slu_codec_read(bytes, count, GROUP, &in);
	assert_int_equal(in.record_count, 0);
	assert_int_equal(in.count[SLU_CODEC_DROP_EXTENSION], 1);
}

/* Every byte by hand, from docs/session-sync.md. */
static void codec_end__fullnat_session_with_trailer__has_the_documented_bytes(void **state)
{
	static const uint8_t golden[] = {/* header: reserved, group 7, size 102, count 1, version 1, spare */
		0, 7, 0, 102, 1, 1, 0, 0,
		/* IPv4, TCP, version 0 size 94, flags, state 1, ports 40000 80 8080 */
		0, 6, 0, 94, 0, 0, 0, 0, 0, 1, 0x9C, 0x40, 0, 80, 0x1F, 0x90,
		/* fwmark, time-out 900 s */
		0, 0, 0, 0, 0, 0, 3, 0x84,
		/* client, virtual, backend */
		198, 18, 90, 2, 198, 18, 90, 100, 198, 18, 90, 200,
		/* extension, mandatory, 20 bytes: revision 1, whole, FULLNAT, flags FIN of the client, RST, local */
		0x30, 20, 1, 0, 0, 0x85,
		/* version, local port 2000, creator 3 and vpc, age */
		0xAB, 0xCD, 0x07, 0xD0, 3, 0xFE, 0xDC, 0xBA, 0, 1, 0xE2, 0x40,
		/* local address */
		198, 18, 90, 7,
		/* trailer, optional, 34 bytes: sender 9, HMAC, epoch, sequence, tag */
		0x73, 34, 9, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0};
	struct slu_codec_trailer trailer = plain_trailer;
	struct slu_sync_record r = record(4, SLU_MODE_FULLNAT);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;

	(void)state;
	trailer.algorithm = SLU_SYNC_WIRE_HMAC_SHA256;
	memset(bytes, 0xEE, sizeof(bytes));
	slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
	assert_int_equal(slu_codec_add(&w, &r, true), 0);
	assert_int_equal(slu_codec_end(&w, &trailer), sizeof(golden));
	assert_memory_equal(bytes, golden, sizeof(golden));
}

static void codec_add__until_full__fits_a_datagram_and_reads_back_whole(void **state)
{
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_trailer trailer = plain_trailer;
	struct slu_codec_writer w;
	uint32_t count = 0, used;

	(void)state;
	trailer.algorithm = SLU_SYNC_WIRE_HMAC_SHA256;
	slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
	for (;; count++) {
		struct slu_sync_record r = record(count & 1 ? 6 : 4, SLU_MODE_FULLNAT);
		int result;

		r.client_port = (slu_be16)count;
		result = slu_codec_add(&w, &r, true);
		if (result) {
			assert_int_equal(result, -ENOSPC);
			break;
		}
	}
	used = slu_codec_end(&w, &trailer);
	assert_true(used <= SLU_SYNC_WIRE_DATAGRAM_MAX);
	assert_true(used + 108 > SLU_SYNC_WIRE_DATAGRAM_MAX - SLU_CODEC_TRAILER_ROOM);
	slu_codec_read(bytes, used, GROUP, &in);
	assert_int_equal(in.record_count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(in.records[i].client_port, i);
	assert_true(in.has_trailer);
}

static void codec_add__frame_of_64_kib__stops_at_255_sessions(void **state)
{
	struct slu_sync_record r = record(4, SLU_MODE_NAT);
	uint8_t *bytes = malloc(UINT16_MAX);
	struct slu_codec_writer w;

	(void)state;
	slu_codec_begin(&w, bytes, UINT16_MAX, GROUP);
	for (int i = 0; i < 255; i++)
		assert_int_equal(slu_codec_add(&w, &r, true), 0);
	assert_int_equal(slu_codec_add(&w, &r, true), -ENOSPC);
	slu_codec_read(bytes, slu_codec_end(&w, NULL), GROUP, &in);
	assert_int_equal(in.record_count, 255);
	free(bytes);
}

static void codec_add__state_that_is_not_established__is_inactive_for_linux(void **state)
{
	struct slu_sync_record r = record(4, SLU_MODE_NAT);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];

	(void)state;
	r.state = 4;
	write_one(bytes, &r, 0);
	assert_int_equal(bytes[8 + 6], 1);
	r.state = 1;
	write_one(bytes, &r, 0);
	assert_int_equal(bytes[8 + 6], 0);
}

/* -------------------------------------------------------------- heartbeats */

static void codec_heartbeat__longest_text__reads_back_and_fits(void **state)
{
	const struct slu_sync_wire_heartbeat heartbeat = {.revision = 1, .flags = SLU_SYNC_WIRE_JOINED};
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX], text[SLU_SYNC_WIRE_TEXT_MAX];
	struct slu_codec_writer w;

	(void)state;
	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
	assert_int_equal(slu_codec_add_heartbeat(&w, &heartbeat, text, sizeof(text)), 0);
	slu_codec_read(bytes, slu_codec_end(&w, &plain_trailer), GROUP, &in);
	assert_true(in.has_heartbeat && in.has_trailer);
	assert_int_equal(in.record_count, 0);
	assert_int_equal(in.heartbeat.flags, SLU_SYNC_WIRE_JOINED);
	assert_int_equal(in.text_bytes, sizeof(text));
	assert_memory_equal(in.text, text, sizeof(text));
	assert_int_equal(in.trailer.epoch, plain_trailer.epoch);
	assert_int_equal(in.trailer.sequence, 5);
}

static void codec_find_trailer__only_where_the_datagram_ends(void **state)
{
	struct slu_codec_trailer trailer = plain_trailer, found;
	struct slu_sync_record r = record(6, SLU_MODE_FULLNAT);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;
	uint32_t count;

	(void)state;
	for (trailer.algorithm = 0; trailer.algorithm <= 1; trailer.algorithm++) {
		slu_codec_begin(&w, bytes, sizeof(bytes), GROUP);
		assert_int_equal(slu_codec_add(&w, &r, true), 0);
		count = slu_codec_end(&w, &trailer);
		memset(&found, 0, sizeof(found));
		assert_true(slu_codec_find_trailer(bytes, count, &found));
		assert_memory_equal(&found, &trailer, sizeof(found));
		assert_false(slu_codec_find_trailer(bytes, count - 1, &found));
		assert_false(slu_codec_find_trailer(bytes, 0, &found));
	}
	assert_false(slu_codec_find_trailer(bytes, write_one(bytes, &r, 1) - 18, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codec_read__every_row_of_the_vectors__has_its_verdicts),
		cmocka_unit_test(codec_read__every_row_cut_anywhere__stays_inside),
		cmocka_unit_test(codec_add__every_family_mode_and_kind__reads_back_equal),
		cmocka_unit_test(codec_add__question__is_of_revision_2),
		cmocka_unit_test(codec_add__without_extensions__tells_what_linux_tells_and_nothing_else),
		cmocka_unit_test(codec_add__records_that_are_none__are_refused_and_write_nothing),
		cmocka_unit_test(codec_add__life__is_told_from_revision_2_on_and_of_whole_sessions_only),
		cmocka_unit_test(codec_read__revision_2_without_its_life__drops_the_session),
		cmocka_unit_test(codec_end__fullnat_session_with_trailer__has_the_documented_bytes),
		cmocka_unit_test(codec_add__until_full__fits_a_datagram_and_reads_back_whole),
		cmocka_unit_test(codec_add__frame_of_64_kib__stops_at_255_sessions),
		cmocka_unit_test(codec_add__state_that_is_not_established__is_inactive_for_linux),
		cmocka_unit_test(codec_heartbeat__longest_text__reads_back_and_fits),
		cmocka_unit_test(codec_find_trailer__only_where_the_datagram_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
