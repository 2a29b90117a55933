/*
 * Messages of the key protocol: round trips, and bytes written by hand.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/key_message.h"

#define ID 0x1122334455667788u

static uint8_t bytes[SLU_KEY_FRAME_MAX + 1];
static const uint8_t filler[SLU_KEY_TRANSCRIPT_MAX];
static struct slu_key_message message;
static const char *why;
static size_t used;

static int read_request(size_t count)
{
	return slu_key_message_read(bytes, count, SLU_KEY_MESSAGE_REQUEST, &message, &used, &why);
}

static int read_answer(size_t count)
{
	return slu_key_message_read(bytes, count, SLU_KEY_MESSAGE_ANSWER, &message, &used, &why);
}

/* A good TLS13_CERT_VERIFY; its hash has this size. */
static size_t write_cert_verify(uint32_t hash_bytes)
{
	struct slu_key_message_writer w;

	slu_key_message_request(&w, bytes, sizeof(bytes), SLU_KEY_TLS13_CERT_VERIFY, ID);
	slu_key_message_add(&w, SLU_KEY_ID, filler, SLU_KEY_ID_BYTES);
	slu_key_message_add_number(&w, SLU_KEY_SCHEME, 0x0403, 2);
	slu_key_message_add_number(&w, SLU_KEY_ROLE, SLU_KEY_SERVER, 1);
	slu_key_message_add(&w, SLU_KEY_TRANSCRIPT_HASH, filler, hash_bytes);
	return slu_key_message_end(&w);
}

/* A PING whose body is these bytes. */
static size_t write_ping(const void *body, uint32_t count)
{
	struct slu_key_message_writer w;

	slu_key_message_request(&w, bytes, sizeof(bytes), SLU_KEY_PING, ID);
	slu_key_message_end(&w);
	memcpy(bytes + sizeof(struct slu_key_frame), body, count);
	bytes[2] = (uint8_t)(count >> 8);
	bytes[3] = (uint8_t)count;
	return sizeof(struct slu_key_frame) + count;
}

static void expect_wrong(int result, int error, const char *reason)
{
	assert_int_equal(result, -error);
	assert_string_equal(why, reason);
}

/* ---------------------------------------------------------------- what is right */

static void key_message_read__what_was_written__is_the_same(void **state)
{
	size_t count = write_cert_verify(48);

	(void)state;
	assert_int_equal(read_request(count), 0);
	assert_int_equal(used, count);
	assert_int_equal(message.id, ID);
	assert_int_equal(message.type, SLU_KEY_TLS13_CERT_VERIFY);
	assert_int_equal(slu_key_message_number(&message, SLU_KEY_SCHEME), 0x0403);
	assert_int_equal(slu_key_message_number(&message, SLU_KEY_ROLE), SLU_KEY_SERVER);
	assert_int_equal(message.fields[SLU_KEY_TRANSCRIPT_HASH].count, 48);
	assert_false(slu_key_message_has(&message, SLU_KEY_TRANSCRIPT));
}

static void key_message_read__bytes_behind_a_message__are_left(void **state)
{
	size_t count = write_cert_verify(32);

	(void)state;
	memcpy(bytes + count, bytes, count);
	assert_int_equal(read_request(2 * count), 0);
	assert_int_equal(used, count);
}

static void key_message_read__every_shorter_prefix__needs_more(void **state)
{
	size_t count = write_cert_verify(32);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(read_request(i), -EAGAIN);
		assert_int_equal(used, 0);
	}
}

static void key_message_read__largest_transcript__is_taken(void **state)
{
	struct slu_key_message_writer w;
	size_t count;

	(void)state;
	slu_key_message_request(&w, bytes, sizeof(bytes), SLU_KEY_TLS12_CLIENT_CERT_VERIFY, 1);
	slu_key_message_add(&w, SLU_KEY_ID, filler, SLU_KEY_ID_BYTES);
	slu_key_message_add_number(&w, SLU_KEY_SCHEME, 0x0804, 2);
	slu_key_message_add(&w, SLU_KEY_TRANSCRIPT, filler, SLU_KEY_TRANSCRIPT_MAX);
	count = slu_key_message_end(&w);
	assert_int_equal(read_request(count), 0);
	assert_int_equal(message.fields[SLU_KEY_TRANSCRIPT].count, SLU_KEY_TRANSCRIPT_MAX);
}

static void key_message_read__unknown_optional_field__is_skipped(void **state)
{
	const uint8_t body[] = {SLU_KEY_ECHO, 0, 0, 1, 'e', 0x80 | 5, 0, 0, 2, 'x', 'y', 0xFF, 0, 0, 0};

	(void)state;
	assert_int_equal(read_request(write_ping(body, sizeof(body))), 0);
	assert_int_equal(message.fields[SLU_KEY_ECHO].count, 1);
	assert_int_equal(message.fields[SLU_KEY_ECHO].bytes[0], 'e');
}

static void key_message_read__refusal__needs_no_field_of_its_operation(void **state)
{
	struct slu_key_message_writer w;
	size_t count;

	(void)state;
	slu_key_message_answer(&w, bytes, sizeof(bytes), SLU_KEY_TLS13_CERT_VERIFY, ID, SLU_KEY_LIMITED);
	slu_key_message_add(&w, SLU_KEY_TEXT, "slow", 4);
	count = slu_key_message_end(&w);
	assert_int_equal(read_answer(count), 0);
	assert_int_equal(message.status, SLU_KEY_LIMITED);
	assert_int_equal(message.fields[SLU_KEY_TEXT].count, 4);
}

static void key_message_read__end_of_a_connection__tells_the_versions(void **state)
{
	struct slu_key_message_writer w;
	size_t count;

	(void)state;
	slu_key_message_answer(&w, bytes, sizeof(bytes), SLU_KEY_FATAL, 0, SLU_KEY_BAD_VERSION);
	slu_key_message_add_number(&w, SLU_KEY_VERSION_MIN, 1, 2);
	slu_key_message_add_number(&w, SLU_KEY_VERSION_MAX, 3, 2);
	count = slu_key_message_end(&w);
	assert_int_equal(read_answer(count), 0);
	assert_int_equal(slu_key_message_number(&message, SLU_KEY_VERSION_MAX), 3);
}

static void key_message_read__refusal_of_an_operation_of_the_future__is_taken(void **state)
{
	struct slu_key_message_writer w;
	size_t count;

	(void)state;
	slu_key_message_answer(&w, bytes, sizeof(bytes), 99, ID, SLU_KEY_UNKNOWN_OPERATION);
	count = slu_key_message_end(&w);
	assert_int_equal(read_answer(count), 0);
	assert_int_equal(message.type, 99);
	bytes[5] = SLU_KEY_OK;
	assert_int_equal(read_answer(count), -EOPNOTSUPP);
}

static void key_message_read__empty_list_of_keys__has_its_field(void **state)
{
	struct slu_key_message_writer w;
	size_t count;

	(void)state;
	slu_key_message_answer(&w, bytes, sizeof(bytes), SLU_KEY_LIST, ID, SLU_KEY_OK);
	slu_key_message_add_number(&w, SLU_KEY_GENERATION, 7, 8);
	slu_key_message_add(&w, SLU_KEY_ENTRIES, NULL, 0);
	count = slu_key_message_end(&w);
	assert_int_equal(read_answer(count), 0);
	assert_true(slu_key_message_has(&message, SLU_KEY_ENTRIES));
	assert_int_equal(message.fields[SLU_KEY_ENTRIES].count, 0);
}

/* ---------------------------------------------------------------- what is no frame */

static void key_message_read__overlong_body__is_refused_by_its_first_bytes(void **state)
{
	(void)state;
	write_cert_verify(32);
	memcpy(bytes, (const uint8_t[]){0, 2, 0, 1}, 4);
	expect_wrong(read_request(4), EPROTO, "the frame is too long");
	memcpy(bytes, (const uint8_t[]){0, 2, 0, 0}, 4);
	assert_int_equal(read_request(4), -EAGAIN);
}

static void key_message_read__another_protocol__is_refused_at_once(void **state)
{
	(void)state;
	memcpy(bytes, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(read_request(4), -EPROTO);
	memcpy(bytes, "\x16\x03\x01\x02\x00\x01\x00\x01", 8);
	assert_int_equal(read_request(8), -EPROTO);
}

static void key_message_read__wrong_header__is_no_frame(void **state)
{
	size_t count = write_cert_verify(32);

	(void)state;
	bytes[4] |= SLU_KEY_ANSWER;
	expect_wrong(read_request(count), EPROTO, "an answer came for a request");
	write_cert_verify(32);
	expect_wrong(read_answer(count), EPROTO, "a request came for an answer");
	bytes[5] = SLU_KEY_FAILED;
	expect_wrong(read_request(count), EPROTO, "a request has a status");
	write_cert_verify(32);
	bytes[7] = 1;
	expect_wrong(read_request(count), EPROTO, "the reserved bytes are not zero");
	write_cert_verify(32);
	memset(bytes + 8, 0, 8);
	assert_int_equal(read_request(count), -EPROTO);
}

/* ---------------------------------------------------------------- what is a wrong message */

static void key_message_read__wrong_message__keeps_id_and_size(void **state)
{
	const uint8_t body[] = {SLU_KEY_ECHO, 0, 0, 9, 'e'};
	size_t count = write_ping(body, sizeof(body));

	(void)state;
	expect_wrong(read_request(count), EBADMSG, "a field reaches behind the end");
	assert_int_equal(used, count);
	assert_int_equal(message.id, ID);
	assert_int_equal(message.type, SLU_KEY_PING);
}

static void key_message_read__truncated_field_header__is_wrong(void **state)
{
	(void)state;
	for (uint32_t count = 1; count < 4; count++)
		expect_wrong(read_request(write_ping("\x1A\x00\x00", count)), EBADMSG, "a field is cut");
}

static void key_message_read__field_there_twice_or_out_of_order__is_wrong(void **state)
{
	const uint8_t twice[] = {SLU_KEY_ECHO, 0, 0, 0, SLU_KEY_ECHO, 0, 0, 0};
	const uint8_t optional_twice[] = {0x81, 0, 0, 0, 0x81, 0, 0, 0};
	const uint8_t behind[] = {0x81, 0, 0, 0, SLU_KEY_ECHO, 0, 0, 0};
	const uint8_t zero[] = {0, 0, 0, 0};

	(void)state;
	expect_wrong(
		read_request(write_ping(twice, sizeof(twice))), EBADMSG, "a field is there twice, or out of order");
	expect_wrong(read_request(write_ping(optional_twice, sizeof(optional_twice))), EBADMSG,
		"a field is there twice, or out of order");
	expect_wrong(
		read_request(write_ping(behind, sizeof(behind))), EBADMSG, "a field is there twice, or out of order");
	expect_wrong(read_request(write_ping(zero, sizeof(zero))), EBADMSG, "a field is there twice, or out of order");
}

static void key_message_read__field_of_another_operation__is_unknown(void **state)
{
	const uint8_t body[] = {SLU_KEY_ROLE, 0, 0, 1, 1};
	const uint8_t future[] = {0x7F, 0, 0, 0};

	(void)state;
	expect_wrong(read_request(write_ping(body, sizeof(body))), EBADMSG, "a field is unknown here");
	expect_wrong(read_request(write_ping(future, sizeof(future))), EBADMSG, "a field is unknown here");
}

static void key_message_read__each_field_left_out__is_missed(void **state)
{
	static const uint8_t fields[] = {SLU_KEY_ID, SLU_KEY_SCHEME, SLU_KEY_ROLE, SLU_KEY_TRANSCRIPT_HASH};
	static const uint32_t sizes[] = {32, 2, 1, 32};
	struct slu_key_message_writer w;

	(void)state;
	for (unsigned int without = 0; without < 4; without++) {
		slu_key_message_request(&w, bytes, sizeof(bytes), SLU_KEY_TLS13_CERT_VERIFY, ID);
		for (unsigned int i = 0; i < 4; i++)
			if (i != without)
				slu_key_message_add(&w, fields[i], filler, sizes[i]);
		expect_wrong(read_request(slu_key_message_end(&w)), EBADMSG, "a field is missing");
	}
}

static void key_message_read__transcript_hash_of_a_size_that_tls_has_not__is_wrong(void **state)
{
	(void)state;
	for (uint32_t size = 0; size < 70; size++) {
		int expected = size == 32 || size == 48 ? 0 : -EBADMSG;

		assert_int_equal(read_request(write_cert_verify(size)), expected);
	}
}

static void key_message_read__entries_of_a_broken_size__are_wrong(void **state)
{
	struct slu_key_message_writer w;

	(void)state;
	for (uint32_t size = 0; size <= 2 * sizeof(struct slu_key_entry); size++) {
		slu_key_message_answer(&w, bytes, sizeof(bytes), SLU_KEY_LIST, ID, SLU_KEY_OK);
		slu_key_message_add_number(&w, SLU_KEY_GENERATION, 7, 8);
		slu_key_message_add(&w, SLU_KEY_ENTRIES, filler, size);
		assert_int_equal(
			read_answer(slu_key_message_end(&w)), size % sizeof(struct slu_key_entry) == 0 ? 0 : -EBADMSG);
	}
}

static void key_message_read__premaster_of_any_other_size__is_wrong(void **state)
{
	struct slu_key_message_writer w;

	(void)state;
	for (uint32_t size = 0; size < 64; size++) {
		slu_key_message_answer(&w, bytes, sizeof(bytes), SLU_KEY_TLS12_RSA_PREMASTER, ID, SLU_KEY_OK);
		slu_key_message_add(&w, SLU_KEY_PREMASTER, filler, size);
		assert_int_equal(read_answer(slu_key_message_end(&w)), size == 48 ? 0 : -EBADMSG);
	}
}

static void key_message_read__unknown_operation__is_told_apart(void **state)
{
	size_t count = write_cert_verify(32);

	(void)state;
	for (unsigned int type = SLU_KEY_OPERATIONS; type < 128; type++) {
		bytes[4] = (uint8_t)type;
		expect_wrong(read_request(count), EOPNOTSUPP, "the operation is unknown");
		assert_int_equal(used, count);
	}
	bytes[4] = SLU_KEY_FATAL;
	assert_int_equal(read_request(count), -EOPNOTSUPP);
}

/* ---------------------------------------------------------------- lists, writing */

static void key_message_next_certificate__list__is_walked_to_its_end(void **state)
{
	const uint8_t two[] = {0, 0, 2, 'a', 'b', 0, 0, 1, 'c'};
	struct slu_key_message_list list = {two, sizeof(two)};
	const uint8_t *der;
	uint32_t count;

	(void)state;
	assert_int_equal(slu_key_message_next_certificate(&list, &der, &count), 1);
	assert_int_equal(count, 2);
	assert_int_equal(slu_key_message_next_certificate(&list, &der, &count), 1);
	assert_int_equal(der[0], 'c');
	assert_int_equal(slu_key_message_next_certificate(&list, &der, &count), 0);
}

static void key_message_next_certificate__cut_or_empty__is_wrong(void **state)
{
	const uint8_t cut[] = {0, 0, 2, 'a'}, empty[] = {0, 0, 0, 0}, huge[] = {0xFF, 0xFF, 0xFF, 'a'};
	struct slu_key_message_list list;
	const uint8_t *der;
	uint32_t count;

	(void)state;
	for (uint32_t size = 1; size <= 4; size++) {
		list = (struct slu_key_message_list){cut, size};
		assert_int_equal(slu_key_message_next_certificate(&list, &der, &count), -EBADMSG);
	}
	list = (struct slu_key_message_list){empty, sizeof(empty)};
	assert_int_equal(slu_key_message_next_certificate(&list, &der, &count), -EBADMSG);
	list = (struct slu_key_message_list){huge, sizeof(huge)};
	assert_int_equal(slu_key_message_next_certificate(&list, &der, &count), -EBADMSG);
}

static void key_message_end__no_room__says_so_and_writes_nothing_behind(void **state)
{
	struct slu_key_message_writer w;

	(void)state;
	for (size_t room = 0; room < 24; room++) {
		memset(bytes, 0xEE, 64);
		slu_key_message_request(&w, bytes, room, SLU_KEY_PING, ID);
		slu_key_message_add(&w, SLU_KEY_ECHO, "echo", 4);
		assert_int_equal(slu_key_message_end(&w), 0);
		for (size_t i = room; i < 64; i++)
			assert_int_equal(bytes[i], 0xEE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_message_read__what_was_written__is_the_same),
		cmocka_unit_test(key_message_read__bytes_behind_a_message__are_left),
		cmocka_unit_test(key_message_read__every_shorter_prefix__needs_more),
		cmocka_unit_test(key_message_read__largest_transcript__is_taken),
		cmocka_unit_test(key_message_read__unknown_optional_field__is_skipped),
		cmocka_unit_test(key_message_read__refusal__needs_no_field_of_its_operation),
		cmocka_unit_test(key_message_read__end_of_a_connection__tells_the_versions),
		cmocka_unit_test(key_message_read__refusal_of_an_operation_of_the_future__is_taken),
		cmocka_unit_test(key_message_read__empty_list_of_keys__has_its_field),
		cmocka_unit_test(key_message_read__overlong_body__is_refused_by_its_first_bytes),
		cmocka_unit_test(key_message_read__another_protocol__is_refused_at_once),
		cmocka_unit_test(key_message_read__wrong_header__is_no_frame),
		cmocka_unit_test(key_message_read__wrong_message__keeps_id_and_size),
		cmocka_unit_test(key_message_read__truncated_field_header__is_wrong),
		cmocka_unit_test(key_message_read__field_there_twice_or_out_of_order__is_wrong),
		cmocka_unit_test(key_message_read__field_of_another_operation__is_unknown),
		cmocka_unit_test(key_message_read__each_field_left_out__is_missed),
		cmocka_unit_test(key_message_read__transcript_hash_of_a_size_that_tls_has_not__is_wrong),
		cmocka_unit_test(key_message_read__entries_of_a_broken_size__are_wrong),
		cmocka_unit_test(key_message_read__premaster_of_any_other_size__is_wrong),
		cmocka_unit_test(key_message_read__unknown_operation__is_told_apart),
		cmocka_unit_test(key_message_next_certificate__list__is_walked_to_its_end),
		cmocka_unit_test(key_message_next_certificate__cut_or_empty__is_wrong),
		cmocka_unit_test(key_message_end__no_room__says_so_and_writes_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
