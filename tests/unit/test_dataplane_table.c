/*
 * The session table by itself, and its file across SIGKILL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/dataplane/session_file.h"
#include "host/dataplane/session_table.h"

static const uint64_t keys[4] = {0x123456789ABCDEF1u, 0xFEDCBA9876543211u, 0x0F1E2D3C4B5A6979u, 0x1111222233334445u};

struct table {
	struct slu_session_table t;
	void *memory;
};

static void open_table(struct table *x, uint32_t capacity)
{
	x->memory = aligned_alloc(4096, slu_session_table_bytes(capacity));
	memset(x->memory, 0, slu_session_table_bytes(capacity));
	assert_int_equal(slu_session_table_init(&x->t, x->memory, capacity, keys), 0);
}

static void close_table(struct table *x)
{
	slu_session_table_fini(&x->t);
	free(x->memory);
}

/* A session that its number decides, of either family. */
static void fill(struct slu_session_table *t, uint32_t sid, uint32_t n)
{
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);

	hot->tuple[0] = (struct slu_tuple){n * 3, 7, (uint16_t)n, 80};
	hot->tuple[1] = (struct slu_tuple){9, n * 5, 8080, (uint16_t)(n >> 16)};
	hot->proto_vpc = 6;
	hot->packets_meter[0] = n;
	if (sid & SLU_ENTRY_IPV6) {
		struct slu_session_addresses *a = slu_session_table_addresses(t, sid);

		memset(a, 0, sizeof(*a));
		memcpy(a->address[0], &n, 4);
		memcpy(a->address[1] + 16, &n, 4);
		memset(&hot->tuple[0], 0, 8);
		memset(&hot->tuple[1], 0, 8);
	}
	slu_session_table_cold(t, sid)->created = n;
}

static uint32_t add(struct slu_session_table *t, uint32_t n, bool ipv6)
{
	uint32_t sid = slu_session_table_alloc(t, ipv6);

	if (!sid)
		return 0;
	fill(t, sid, n);
	if (slu_session_table_publish(t, sid)) {
		slu_session_table_release(t, sid);
		return 0;
	}
	return sid;
}

static uint32_t find(const struct slu_session_table *t, const struct slu_session_key *key)
{
	return slu_session_table_find(t, slu_session_table_hash(t, key), key);
}

/* Both directions of a session are found, or neither. */
static bool present(const struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_key request = slu_session_table_key(t, sid, 0), reply = slu_session_table_key(t, sid, 1);

	return SLU_SID(find(t, &request)) == sid && !(find(t, &request) & SLU_ENTRY_REPLY) &&
	       SLU_SID(find(t, &reply)) == sid && find(t, &reply) & SLU_ENTRY_REPLY;
}

static void table__inserted_sessions__are_found_by_both_tuples(void **state)
{
	struct table x;
	uint32_t sids[2000];

	(void)state;
	open_table(&x, 2000);
	for (uint32_t i = 0; i < 2000; i++) {
		sids[i] = add(&x.t, i + 1, i & 1);
		assert_int_not_equal(sids[i], 0);
	}
	for (uint32_t i = 0; i < 2000; i++) {
		struct slu_session_key key = slu_session_table_key(&x.t, sids[i], 1);
		uint32_t entry = find(&x.t, &key);

		assert_true(present(&x.t, sids[i]));
		assert_true(entry & SLU_ENTRY_REPLY);
	}
	assert_int_equal(x.t.count, 2000);
	close_table(&x);
}

static void table__removed_session__is_gone_and_its_place_is_used_again(void **state)
{
	struct table x;
	struct slu_session_key key;
	uint32_t sid, again;
	uint16_t generation;

	(void)state;
	open_table(&x, 10);
	sid = add(&x.t, 1, false);
	generation = slu_session_table_cold(&x.t, sid)->generation;
	key = slu_session_table_key(&x.t, sid, 0);
	slu_session_table_remove(&x.t, sid);
	assert_int_equal(find(&x.t, &key), 0);
	assert_int_equal(x.t.count, 0);
	again = add(&x.t, 2, false);
	assert_int_equal(again, sid);
	assert_int_equal(slu_session_table_cold(&x.t, sid)->generation, generation + 2);
	close_table(&x);
}

static void table__at_capacity__every_session_fits_and_one_more_is_refused(void **state)
{
	struct table x;
	const uint32_t capacity = 100000;

	(void)state;
	open_table(&x, capacity);
	for (uint32_t i = 0; i < capacity; i++)
		assert_int_not_equal(add(&x.t, i + 1, i % 3 == 0), 0);
	assert_int_equal(add(&x.t, capacity + 1, false), 0);
	assert_int_equal(add(&x.t, capacity + 1, true), 0);
	for (uint32_t i = 1, sid = 0; i <= capacity; i++) {
		assert_true(slu_session_table_next(&x.t, &sid));
		assert_true(present(&x.t, sid));
	}
	close_table(&x);
}

/* One bucket's worth of equal primaries: the alternative, then moves, must take them. */
static void table__crowded_bucket__overflows_and_finds_everything(void **state)
{
	struct table x;
	uint32_t sids[40], count = 0;

	(void)state;
	open_table(&x, 1000);
	for (uint32_t n = 1; count < 14; n++) {
		uint32_t sid = slu_session_table_alloc(&x.t, false);
		struct slu_session_key key;

		fill(&x.t, sid, n);
		key = slu_session_table_key(&x.t, sid, 0);
		if (slu_session_table_bucket(&x.t, slu_session_table_hash(&x.t, &key)) == 5) {
			assert_int_equal(slu_session_table_publish(&x.t, sid), 0);
			sids[count++] = sid;
		} else {
			slu_session_table_release(&x.t, sid);
		}
	}
	assert_true(x.t.buckets[5].overflow >= 4);
	for (uint32_t i = 0; i < count; i++)
		assert_true(present(&x.t, sids[i]));
	for (uint32_t i = 0; i < count; i++) {
		slu_session_table_remove(&x.t, sids[i]);
		for (uint32_t j = i + 1; j < count; j++)
			assert_true(present(&x.t, sids[j]));
	}
	assert_int_equal(x.t.buckets[5].overflow, 0);
	close_table(&x);
}

/* Far fuller than a table ever is: entries have to move, and the counts of overflow must stay right. */
static void table__overloaded__moves_entries_and_loses_none(void **state)
{
	struct table x;
	uint32_t sids[2001], count = 0, moved = 0;

	(void)state;
	open_table(&x, 2000);
	x.t.bucket_count = 430; /* 93 % of the places */
	for (uint32_t n = 1; n <= 2000; n++) {
		uint32_t sid = add(&x.t, n, n & 1);

		if (sid)
			sids[count++] = sid;
	}
	assert_true(count > 1950);
	for (uint32_t b = 0; b < 430; b++)
		moved += x.t.buckets[b].overflow;
	assert_true(moved > 300);
	srand(5);
	for (uint32_t i = 0; i < 50000; i++) {
		uint32_t at = (uint32_t)rand() % count, sid;

		slu_session_table_remove(&x.t, sids[at]);
		sid = add(&x.t, 3000 + i, i & 1);
		if (sid)
			sids[at] = sid;
		else
			sids[at] = sids[--count];
	}
	assert_true(count > 1800);
	for (uint32_t i = 0; i < count; i++)
		assert_true(present(&x.t, sids[i]));
	for (uint32_t i = 0; i < count; i++) {
		slu_session_table_remove(&x.t, sids[i]);
		if (i + 1 < count)
			assert_true(present(&x.t, sids[count - 1]));
	}
	for (uint32_t b = 0; b < 430; b++)
		assert_int_equal(x.t.buckets[b].overflow, 0);
	close_table(&x);
}

static void table__families__never_match_each_other(void **state)
{
	struct table x;
	struct slu_session_key key;
	uint32_t sid;

	(void)state;
	open_table(&x, 10);
	sid = add(&x.t, 1, true);
	key = slu_session_table_key(&x.t, sid, 0);
	key.address6 = NULL;
	assert_int_equal(find(&x.t, &key), 0);
	close_table(&x);
}

static void table__half_written_entries__are_dropped_by_the_scan(void **state)
{
	struct table x;
	uint32_t a, b, c, dropped, next = 0;
	struct slu_session_key key;

	(void)state;
	open_table(&x, 100);
	a = add(&x.t, 1, false);
	b = add(&x.t, 2, false);
	c = add(&x.t, 3, true);
	/* As if the process had died between the two entries of b, and within a store of c's tag. */
	key = slu_session_table_key(&x.t, b, 0);
	for (int i = 0; i < SLU_BUCKET_ENTRIES; i++) {
		struct slu_bucket *bucket =
			&x.t.buckets[slu_session_table_bucket(&x.t, slu_session_table_hash(&x.t, &key))];

		if (bucket->entry[i] == b)
			bucket->entry[i] = 0;
	}
	key = slu_session_table_key(&x.t, c, 1);
	for (int i = 0; i < SLU_BUCKET_ENTRIES; i++) {
		struct slu_bucket *bucket =
			&x.t.buckets[slu_session_table_bucket(&x.t, slu_session_table_hash(&x.t, &key))];

		if (SLU_SID(bucket->entry[i]) == c)
			bucket->tag[i] ^= 1;
	}
	slu_session_table_fini(&x.t);
	assert_int_equal(slu_session_table_init(&x.t, x.memory, 100, keys), 0);
	assert_int_equal(slu_session_table_recover(&x.t, &dropped), 1);
	assert_int_equal(dropped, 2);
	assert_true(present(&x.t, a));
	assert_true(slu_session_table_next(&x.t, &next));
	assert_int_equal(next, a);
	assert_false(slu_session_table_next(&x.t, &next));
	for (uint32_t i = 0; i < 99; i++)
		assert_int_not_equal(add(&x.t, 10 + i, false), 0);
	close_table(&x);
}

/* ------------------------------------------------------------------- file */

#define FILE_CAPACITY 600

static char path[64];

static int make_path(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/dev/shm/slu_table_test_%d", getpid());
	unlink(path);
	return 0;
}

static int remove_path(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void file__of_another_layout_or_size__is_discarded_and_says_why(void **state)
{
	struct slu_session_file f;
	int fd;

	(void)state;
	assert_int_equal(slu_session_file_open(&f, path, 1, FILE_CAPACITY), 0);
	assert_false(f.reused);
	slu_session_file_close(&f, true);
	assert_int_equal(slu_session_file_open(&f, path, 1, FILE_CAPACITY), 0);
	assert_true(f.reused && f.clean);
	slu_session_file_close(&f, false);
	assert_int_equal(slu_session_file_open(&f, path, 1, FILE_CAPACITY), 0);
	assert_true(f.reused);
	assert_false(f.clean);
	slu_session_file_close(&f, true);
	assert_int_equal(slu_session_file_open(&f, path, 2, FILE_CAPACITY), 0);
	assert_false(f.reused);
	assert_string_equal(f.discarded, "another number of workers");
	slu_session_file_close(&f, true);

	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "\x63", 1, 8), 1); /* the layout version */
	close(fd);
	assert_int_equal(slu_session_file_open(&f, path, 2, FILE_CAPACITY), 0);
	assert_string_equal(f.discarded, "another layout version");
	slu_session_file_close(&f, true);

	fd = open(path, O_RDWR | O_TRUNC);
	assert_int_equal(write(fd, "rubbish", 7), 7);
	close(fd);
	assert_int_equal(slu_session_file_open(&f, path, 1, FILE_CAPACITY), 0);
	assert_string_equal(f.discarded, "not a session file");
	slu_session_file_close(&f, true);
}

static void file__in_use_or_with_a_forbidden_name__is_refused(void **state)
{
	struct slu_session_file a, b;

	(void)state;
	assert_int_equal(slu_session_file_open(&a, path, 1, FILE_CAPACITY), 0);
	assert_int_equal(slu_session_file_open(&b, path, 1, FILE_CAPACITY), -EBUSY);
	slu_session_file_close(&a, true);
	assert_int_equal(slu_session_file_open(&b, "/dev/shm/slu_map_1", 1, FILE_CAPACITY), -EINVAL);
	assert_int_equal(slu_session_file_open(&b, "/nonexistent/x", 1, FILE_CAPACITY), -ENOENT);
}

/*
 * What the child says about each session number: odd while it is published for certain (set after publish, cleared
 * before remove), even while it is not or may be changing.
 */
struct diary {
	volatile uint32_t certain[FILE_CAPACITY + 1]; /* sid of the session with this number, 0: not certain */
	volatile uint32_t absent[FILE_CAPACITY + 1];  /* 1: certainly not there */
	volatile uint64_t steps;
};

/* Adds and removes sessions until it is killed. The crowded table makes entries move. */
static void churn(struct diary *d, uint64_t seed)
{
	struct slu_session_file f;
	struct slu_session_table t;
	uint32_t dropped, sids[FILE_CAPACITY + 1] = {0}, sid = 0;

	if (slu_session_file_open(&f, path, 1, FILE_CAPACITY) ||
		slu_session_table_init(&t, slu_session_file_table(&f, 0), FILE_CAPACITY, f.keys))
		_exit(1);
	if (f.reused && slu_session_table_recover(&t, &dropped) < 0)
		_exit(1);
	while (slu_session_table_next(&t, &sid))
		sids[slu_session_table_cold(&t, sid)->created] = sid;
	for (uint32_t n = 1; n <= FILE_CAPACITY; n++) {
		d->certain[n] = sids[n];
		d->absent[n] = !sids[n];
	}
	for (;;) {
		uint32_t n;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		n = (uint32_t)(seed >> 33) % FILE_CAPACITY + 1;
		d->certain[n] = d->absent[n] = 0;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		if (sids[n]) {
			slu_session_table_remove(&t, sids[n]);
			sids[n] = 0;
		} else {
			sids[n] = add(&t, n, n % 3 == 0);
		}
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		d->certain[n] = sids[n];
		d->absent[n] = !sids[n];
		d->steps++;
	}
}

static void check_after_kill(const struct diary *d, uint64_t *dropped_all)
{
	struct slu_session_file f;
	struct slu_session_table t;
	uint32_t dropped = 0, sid = 0, seen = 0, numbers[FILE_CAPACITY + 1] = {0};
	int64_t kept;

	assert_int_equal(slu_session_file_open(&f, path, 1, FILE_CAPACITY), 0);
	assert_true(f.reused);
	assert_false(f.clean);
	assert_int_equal(slu_session_table_init(&t, slu_session_file_table(&f, 0), FILE_CAPACITY, f.keys), 0);
	kept = slu_session_table_recover(&t, &dropped);
	*dropped_all += dropped;
	assert_true(kept >= 0 && dropped <= 1);
	while (slu_session_table_next(&t, &sid)) {
		uint32_t n = slu_session_table_cold(&t, sid)->created;

		seen++;
		assert_in_range(n, 1, FILE_CAPACITY);
		assert_int_equal(numbers[n], 0);
		numbers[n] = sid;
		assert_int_equal(slu_session_table_hot(&t, sid)->packets_meter[0], n);
		assert_true(present(&t, sid));
		assert_false(d->absent[n]);
	}
	assert_int_equal(seen, kept);
	for (uint32_t n = 1; n <= FILE_CAPACITY; n++)
		if (d->certain[n])
			assert_int_equal(numbers[n], d->certain[n]);
	/* Every place is free or used, none lost. */
	assert_int_equal(t.free_count[0] + t.free_count[1] + seen, t.used[0] + t.used[1]);
	slu_session_table_fini(&t);
	slu_session_file_close(&f, false);
}

static void file__killed_at_1000_random_points_under_churn__loses_and_invents_nothing(void **state)
{
	struct diary *d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t dropped = 0;

	(void)state;
	assert_ptr_not_equal(d, MAP_FAILED);
	srand(1);
	for (int i = 0; i < 1000; i++) {
		uint64_t before = d->steps, wanted = before + 1 + (uint64_t)rand() % 300;
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0)
			churn(d, (uint64_t)i * 77 + 1);
		while (d->steps < wanted && waitpid(child, &status, WNOHANG) == 0) {
			const struct timespec moment = {.tv_nsec = rand() % 20000};

			nanosleep(&moment, NULL);
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		check_after_kill(d, &dropped);
	}
	printf("# %lu changes, %lu half-written sessions dropped\n", (unsigned long)d->steps, (unsigned long)dropped);
	munmap(d, sizeof(*d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table__inserted_sessions__are_found_by_both_tuples),
		cmocka_unit_test(table__removed_session__is_gone_and_its_place_is_used_again),
		cmocka_unit_test(table__at_capacity__every_session_fits_and_one_more_is_refused),
		cmocka_unit_test(table__crowded_bucket__overflows_and_finds_everything),
		cmocka_unit_test(table__overloaded__moves_entries_and_loses_none),
		cmocka_unit_test(table__families__never_match_each_other),
		cmocka_unit_test(table__half_written_entries__are_dropped_by_the_scan),
		cmocka_unit_test_setup_teardown(
			file__of_another_layout_or_size__is_discarded_and_says_why, make_path, remove_path),
		cmocka_unit_test_setup_teardown(
			file__in_use_or_with_a_forbidden_name__is_refused, make_path, remove_path),
		cmocka_unit_test_setup_teardown(
			file__killed_at_1000_random_points_under_churn__loses_and_invents_nothing, make_path,
			remove_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
