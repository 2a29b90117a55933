/*
 * Totals that are kept for ever: what survives a restart, a lost session file, a
 * removed listener, torn and damaged files.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/metering/metering.h"
#include "host/metering/metering_file.h"
#include "tests/unit/dataplane_fixture.h"

static struct fixture f;
static struct slu_metering *metering;
static char folder[] = "/tmp/metering_XXXXXX", session_file[64];

static void start(bool with_session_file)
{
	fixture_create(&f, 4, 1, with_session_file ? session_file : NULL);
	strcpy(f.listeners[LISTENER_UDP].name, "dns");
	strcpy(f.listeners[LISTENER_TCP].name, "web");
	assert_int_equal(slu_metering_create(NULL, f.dp, folder, &metering), 0);
	slu_metering_set_generation(metering, &f.generation);
}

static void stop(void)
{
	slu_metering_destroy(metering);
	fixture_destroy(&f);
}

/* As if the process had been killed: nothing is kept any more. */
static void die(void)
{
	char aside[2][96], path[2][96];

	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/metering.%d", folder, i);
		snprintf(aside[i], sizeof(aside[i]), "%s/aside.%d", folder, i);
		rename(path[i], aside[i]);
	}
	stop();
	for (int i = 0; i < 2; i++) {
		unlink(path[i]);
		rename(aside[i], path[i]);
	}
}

static int setup(void **state)
{
	(void)state;
	strcpy(strrchr(folder, '_'), "_XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(session_file, sizeof(session_file), "%s/sessions", folder);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"metering.0", "metering.1", "sessions"};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(names); i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

/* Datagrams of 42 bytes in, and as many of 142 out. */
static void exchange(unsigned int times)
{
	struct flow in = fixture_request(&f, 17, 53, 0), back;
	struct seen s;

	for (unsigned int i = 0; i < times; i++) {
		s = fixture_send(&f, CLIENT_PORT, &in);
		assert_true(s.sent);
		back = fixture_reply(&s.flow, 0);
		back.payload = 100;
		assert_true(fixture_send(&f, BACKEND_PORT, &back).sent);
	}
}

static const struct slu_metering_total *dns(void)
{
	slu_metering_refresh(metering);
	return slu_metering_find(metering, 500 + LISTENER_UDP);
}

static void assert_exchanged(const struct slu_metering_total *total, unsigned int times)
{
	const struct slu_meter_count *in = &total->count[SLU_METERING_IN][SLU_METERING_INTERNET];
	const struct slu_meter_count *out = &total->count[SLU_METERING_OUT][SLU_METERING_INTERNET];

	assert_int_equal(in->packets, times);
	assert_int_equal(in->bytes, 42 * times);
	assert_int_equal(out->packets, times);
	assert_int_equal(out->bytes, 142 * times);
	assert_int_equal(total->count[SLU_METERING_IN][SLU_METERING_INTERNAL].packets, 0);
}

static void totals__have_names_sides_and_backends(void **state)
{
	struct slu_meter_count of_backend[2], sum = {0};
	const struct slu_metering_total *total;

	(void)state;
	start(false);
	exchange(5);
	total = dns();
	assert_exchanged(total, 5);
	assert_string_equal(total->name, "dns");
	assert_false(total->removed);
	assert_true(total->since_ms > 1600000000000);
	for (uint32_t id = 1000; id < 1004; id++) {
		slu_metering_backend(metering, id, of_backend);
		sum.packets += of_backend[SLU_DIR_REPLY].packets;
		sum.bytes += of_backend[SLU_DIR_REPLY].bytes;
	}
	assert_int_equal(sum.packets, 5);
	assert_int_equal(sum.bytes, 5 * 142);
	stop();
}

static void agent_killed__next_one_goes_on_to_the_packet(void **state)
{
	uint64_t since;

	(void)state;
	start(true);
	exchange(3);
	assert_int_equal(slu_metering_keep(metering), 0);
	exchange(4); /* kept nowhere but in the session file */
	since = dns()->since_ms;
	die();
	usleep(2000);
	start(true);
	assert_exchanged(dns(), 7);
	assert_int_equal(dns()->since_ms, since);
	exchange(1);
	assert_exchanged(dns(), 8);
	stop();
}

static void session_file_lost__what_was_kept_last_is_there(void **state)
{
	(void)state;
	start(true);
	exchange(3);
	assert_int_equal(slu_metering_keep(metering), 0);
	exchange(4);
	die();
	unlink(session_file);
	start(true);
	assert_exchanged(dns(), 3);
	exchange(2);
	assert_exchanged(dns(), 5);
	stop();
	/* And again, with the session file: nothing is added twice. */
	start(true);
	assert_exchanged(dns(), 5);
	stop();
	unlink(session_file);
	start(true);
	assert_exchanged(dns(), 5);
	stop();
}

static void removed_listener__keeps_its_total_and_name(void **state)
{
	const struct slu_metering_total *total;

	(void)state;
	start(false);
	exchange(2);
	f.generation.listener_count = LISTENER_UDP;
	slu_metering_set_generation(metering, &f.generation);
	total = dns();
	assert_true(total->removed);
	assert_exchanged(total, 2);
	stop();
	start(false);
	f.generation.listener_count = LISTENER_UDP;
	slu_metering_set_generation(metering, &f.generation);
	total = dns();
	assert_true(total->removed);
	assert_string_equal(total->name, "dns");
	assert_exchanged(total, 2);
	stop();
}

static void id_of_another_name__is_kept_apart(void **state)
{
	const struct slu_metering_total *totals;
	uint32_t count, found = 0;

	(void)state;
	start(false);
	exchange(2);
	stop();
	fixture_create(&f, 4, 1, NULL);
	strcpy(f.listeners[LISTENER_UDP].name, "other");
	assert_int_equal(slu_metering_create(NULL, f.dp, folder, &metering), 0);
	slu_metering_set_generation(metering, &f.generation);
	assert_exchanged(dns(), 0);
	totals = slu_metering_totals(metering, &count);
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(totals[i].name, "dns") == 0) {
			assert_exchanged(&totals[i], 2);
			found++;
		}
	assert_int_equal(found, 1);
	stop();
}

static void damage(const char *name, off_t at)
{
	char path[96];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	if (at < 0) {
		struct stat st;

		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(ftruncate(fd, st.st_size + at), 0);
	} else {
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

/* Whatever happens to the file that was written last, the one before it rules. */
static void damaged_file__gives_way_to_the_other(void **state)
{
	static const off_t where[] = {0, 9, 17, 25, 33, 40, 120, -1, -144};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(where); i++) {
		struct slu_metering_record *records;
		struct slu_metering_file file;
		uint64_t written;
		uint32_t count;

		start(false);
		exchange(3);
		assert_int_equal(slu_metering_keep(metering), 0);
		exchange(1);
		stop();
		assert_int_equal(slu_metering_file_open(&file, folder, &records, &count, &written), 0);
		damage(file.number % 2 ? "metering.1" : "metering.0", where[i]);
		free(records);
		slu_metering_file_close(&file);
		start(false);
		assert_exchanged(dns(), 3);
		stop();
		for (int k = 0; k < 2; k++) {
			char path[96];

			snprintf(path, sizeof(path), "%s/metering.%d", folder, k);
			unlink(path);
		}
	}
}

static void both_files_damaged__start_from_nothing(void **state)
{
	(void)state;
	start(false);
	exchange(3);
	assert_int_equal(slu_metering_keep(metering), 0);
	exchange(1);
	stop();
	damage("metering.0", 60);
	damage("metering.1", 60);
	start(false);
	assert_exchanged(dns(), 0);
	stop();
}

static void folder_gone__is_an_error_that_loses_nothing(void **state)
{
	char other[64];

	(void)state;
	start(false);
	exchange(3);
	snprintf(other, sizeof(other), "%s.away", folder);
	assert_int_equal(rename(folder, other), 0);
	assert_int_equal(slu_metering_keep(metering), -ENOENT);
	assert_int_equal(rename(other, folder), 0);
	assert_int_equal(slu_metering_keep(metering), 0);
	stop();
	start(false);
	assert_exchanged(dns(), 3);
	stop();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(totals__have_names_sides_and_backends, setup, teardown),
		cmocka_unit_test_setup_teardown(agent_killed__next_one_goes_on_to_the_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(session_file_lost__what_was_kept_last_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(removed_listener__keeps_its_total_and_name, setup, teardown),
		cmocka_unit_test_setup_teardown(id_of_another_name__is_kept_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_file__gives_way_to_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(both_files_damaged__start_from_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(folder_gone__is_an_error_that_loses_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
