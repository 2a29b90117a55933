/*
 * The key that the nodes of a cluster share.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/cluster/key_file.h"

static char path[] = "/tmp/slu_key_file_XXXXXX";
static uint8_t key[SLU_KEY_FILE_BYTES];

static int read_of(size_t size, uint32_t *bytes)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		assert_int_not_equal(putc((int)(i % 251), file), EOF);
	assert_int_equal(fclose(file), 0);
	return slu_key_file_read(path, key, bytes);
}

static void key__is_the_bytes_of_the_file_whatever_they_are(void **state)
{
	uint32_t bytes = 99;

	(void)state;
	assert_int_equal(read_of(16, &bytes), 0);
	assert_int_equal(bytes, 16);
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(key[i], i);
}

static void short_key__is_refused(void **state)
{
	uint32_t bytes = 99;

	(void)state;
	assert_int_equal(read_of(15, &bytes), -EINVAL);
	assert_int_equal(bytes, 0);
	assert_int_equal(read_of(0, &bytes), -EINVAL);
	assert_int_equal(bytes, 0);
}

static void long_file__gives_its_beginning(void **state)
{
	uint32_t bytes = 0;

	(void)state;
	assert_int_equal(read_of(SLU_KEY_FILE_BYTES + 1, &bytes), 0);
	assert_int_equal(bytes, SLU_KEY_FILE_BYTES);
	assert_int_equal(key[SLU_KEY_FILE_BYTES - 1], (SLU_KEY_FILE_BYTES - 1) % 251);
}

static void file_that_cannot_be_read__is_an_error_and_none_is_no_key(void **state)
{
	uint32_t bytes = 99;

	(void)state;
	assert_int_equal(slu_key_file_read("/nonexistent/key", key, &bytes), -ENOENT);
	assert_int_equal(bytes, 0);
	bytes = 99;
	assert_int_equal(slu_key_file_read("/tmp", key, &bytes), -EISDIR);
	assert_int_equal(bytes, 0);
	bytes = 99;
	assert_int_equal(slu_key_file_read(NULL, key, &bytes), 0);
	assert_int_equal(bytes, 0);
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(key__is_the_bytes_of_the_file_whatever_they_are),
		cmocka_unit_test(short_key__is_refused),
		cmocka_unit_test(long_file__gives_its_beginning),
		cmocka_unit_test(file_that_cannot_be_read__is_an_error_and_none_is_no_key),
	};

	return cmocka_run_group_tests_name("key_file", tests, make_file, remove_file);
}
