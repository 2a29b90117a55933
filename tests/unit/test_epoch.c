/*
 * The number of a start: it grows, whatever happens between.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/cluster/epoch.h"

static char folder[] = "/tmp/slu_epoch_XXXXXX";

static void write_file(const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/epoch", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void epoch__grows_with_every_start_and_is_never_below_the_floor(void **state)
{
	uint64_t epoch = 0;

	(void)state;
	assert_int_equal(slu_epoch_raise(folder, 0, &epoch), 0);
	assert_int_equal(epoch, 1);
	assert_int_equal(slu_epoch_raise(folder, 0, &epoch), 0);
	assert_int_equal(epoch, 2);
	assert_int_equal(slu_epoch_raise(folder, 1000, &epoch), 0);
	assert_int_equal(epoch, 1000);
	assert_int_equal(slu_epoch_raise(folder, 7, &epoch), 0);
	assert_int_equal(epoch, 1001);
}

static void file_with_something_else__is_refused_and_kept(void **state)
{
	static const char *const texts[] = {
		"", "x\n", "-1\n", " 1\n", "1", "1 2\n", "18446744073709551615\n", "99999999999999999999\n"};
	uint64_t epoch;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(texts[i]);
		assert_int_equal(slu_epoch_raise(folder, 0, &epoch), -EINVAL);
	}
	write_file("41\n");
	assert_int_equal(slu_epoch_raise(folder, 0, &epoch), 0);
	assert_int_equal(epoch, 42);
}

static void folder_that_is_missing__is_an_error(void **state)
{
	uint64_t epoch;

	(void)state;
	assert_int_equal(slu_epoch_raise("/nonexistent", 0, &epoch), -ENOENT);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/epoch", folder);
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(epoch__grows_with_every_start_and_is_never_below_the_floor),
		cmocka_unit_test(file_with_something_else__is_refused_and_kept),
		cmocka_unit_test(folder_that_is_missing__is_an_error),
	};

	return cmocka_run_group_tests_name("epoch", tests, make_folder, remove_folder);
}
