/*
 * Stable ids: the same over transactions and restarts, never given twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/control/ids.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/slu-test-ids-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/ids", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static struct slu_ids *load(void)
{
	struct slu_ids *ids;
	char *why;

	assert_int_equal(slu_ids_load(path, &ids, &why), 0);
	return ids;
}

/* One transaction that takes backends `keys`, a word each; returns the ids in `id` and live indexes in `live`. */
static void take(struct slu_ids *ids, const char *const *keys, uint32_t *id, uint32_t *live)
{
	slu_ids_begin(ids);
	for (size_t i = 0; keys[i] != NULL; i++)
		assert_int_equal(slu_ids_take(ids, SLU_IDS_BACKEND, keys[i], &id[i], &live[i]), 0);
	assert_int_equal(slu_ids_commit(ids), 0);
}

static bool never_in_use(void *ctx, enum slu_ids_kind kind, uint32_t live)
{
	(void)ctx, (void)kind, (void)live;
	return false;
}

static bool always_in_use(void *ctx, enum slu_ids_kind kind, uint32_t live)
{
	(void)ctx, (void)kind, (void)live;
	return true;
}

static void ids__are_the_same_after_a_restart(void **state)
{
	static const char *const first[] = {"a", "b", "c", NULL}, *const second[] = {"c", "d", "a", NULL};
	uint32_t id[3], live[3], id2[3], live2[3];
	struct slu_ids *ids = load();

	(void)state;
	take(ids, first, id, live);
	slu_ids_free(ids);
	ids = load();
	take(ids, second, id2, live2);
	assert_int_equal(id2[0], id[2]);
	assert_int_equal(live2[0], live[2]);
	assert_int_equal(id2[2], id[0]);
	assert_int_equal(live2[2], live[0]);
	assert_int_not_equal(id2[1], id[1]);
	assert_int_not_equal(live2[1], live[1]); /* b is a tombstone and keeps its index */
	slu_ids_free(ids);
}

static void tombstone__keeps_index_until_its_last_session_ended(void **state)
{
	static const char *const both[] = {"a", "b", NULL}, *const one[] = {"a", NULL},
				 *const other[] = {"a", "c", NULL};
	uint32_t id[2], live[2], id2[2], live2[2];
	struct slu_ids *ids = load();
	struct slu_ids_entry entry;

	(void)state;
	take(ids, both, id, live);
	take(ids, one, id2, live2);
	assert_int_equal(slu_ids_sweep(ids, always_in_use, NULL), 1);
	assert_true(slu_ids_find(ids, id[1], &entry));
	assert_string_equal(entry.key, "b");
	take(ids, other, id2, live2);
	assert_int_not_equal(live2[1], live[1]);
	assert_int_equal(slu_ids_sweep(ids, never_in_use, NULL), 0);
	assert_false(slu_ids_find(ids, id[1], &entry));
	take(ids, both, id2, live2);
	assert_int_not_equal(id2[1], id[1]); /* an id is never given twice */
	assert_int_equal(live2[1], live[1]); /* an index is, when it is free */
	slu_ids_free(ids);
}

static void aborted_transaction__leaves_nothing_behind(void **state)
{
	static const char *const one[] = {"a", NULL};
	uint32_t id[1], live[1], other_id, other_live;
	struct slu_ids *ids = load();
	struct slu_ids_entry entry;

	(void)state;
	take(ids, one, id, live);
	slu_ids_begin(ids);
	assert_int_equal(slu_ids_take(ids, SLU_IDS_BACKEND, "b", &other_id, &other_live), 0);
	slu_ids_abort(ids);
	assert_false(slu_ids_find(ids, other_id, &entry));
	assert_int_equal(slu_ids_live_limit(ids, SLU_IDS_BACKEND), 1);
	assert_int_equal(slu_ids_sweep(ids, always_in_use, NULL), 0); /* a is no tombstone */
	assert_true(slu_ids_find(ids, id[0], &entry));
	slu_ids_free(ids);
}

static void commit_to_a_folder_that_is_gone__fails_and_changes_nothing(void **state)
{
	struct slu_ids *ids = load();
	struct slu_ids_entry entry;
	uint32_t id, live;

	(void)state;
	assert_int_equal(rmdir(folder), 0);
	slu_ids_begin(ids);
	assert_int_equal(slu_ids_take(ids, SLU_IDS_GROUP, "g", &id, &live), 0);
	assert_true(slu_ids_commit(ids) < 0);
	slu_ids_abort(ids);
	assert_false(slu_ids_find(ids, id, &entry));
	slu_ids_free(ids);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void live_indexes__run_out_with_an_error(void **state)
{
	struct slu_ids *ids = load();
	uint32_t id, live;
	char key[16];

	(void)state;
	slu_ids_begin(ids);
	for (uint32_t i = 0; i < SLU_IDS_LIVE_MAX; i++) {
		snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(slu_ids_take(ids, SLU_IDS_LISTENER, key, &id, &live), 0);
		assert_int_equal(live, i);
	}
	assert_true(slu_ids_take(ids, SLU_IDS_LISTENER, "one more", &id, &live) < 0);
	assert_int_equal(slu_ids_take(ids, SLU_IDS_BACKEND, "another kind", &id, &live), 0);
	slu_ids_abort(ids);
	slu_ids_free(ids);
}

static void damaged_file__is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", ":0: the table of ids is damaged: this line is missing: the file has no end"},
		{"sluice-ids 2\n", ":1: the table of ids is damaged: this line is no heading of this version"},
		{"sluice-ids 1\nnext 0\nend 0\n",
			":2: the table of ids is damaged: this line does not tell the next id"},
		{"sluice-ids 1\nnext 9\n",
			":2: the table of ids is damaged: this line is missing: the file has no end"},
		{"sluice-ids 1\nnext 9\nbackend 1 0 a\nend 2\n",
			":4: the table of ids is damaged: this line counts other entries than there are"},
		{"sluice-ids 1\nnext 9\nbackend 9 0 a\nend 1\n",
			":3: the table of ids is damaged: this line has an id out of order"},
		{"sluice-ids 1\nnext 9\nbackend 2 0 a\nbackend 2 1 b\nend 2\n",
			":4: the table of ids is damaged: this line has an id out of order"},
		{"sluice-ids 1\nnext 9\nbackend 2 0 a\nbackend 3 0 b\nend 2\n",
			":4: the table of ids is damaged: this line has a live index that is taken"},
		{"sluice-ids 1\nnext 9\nbackend 2 65534 a\nend 1\n",
			":3: the table of ids is damaged: this line has a live index that is taken"},
		{"sluice-ids 1\nnext 9\nbackend 2 0 a\nbackend 3 1 a\nend 2\n",
			":4: the table of ids is damaged: this line is there twice"},
		{"sluice-ids 1\nnext 9\nvirus 2 0 a\nend 1\n",
			":3: the table of ids is damaged: this line is of an unknown kind"},
		{"sluice-ids 1\nnext 9\nbackend two 0 a\nend 1\n",
			":3: the table of ids is damaged: this line cannot be read"},
		{"sluice-ids 1\nnext 9\nend 0\nmore\n",
			":4: the table of ids is damaged: this line stands behind the end"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *file = fopen(path, "w");
		struct slu_ids *ids;
		char *why;

		assert_non_null(file);
		fputs(rows[i].text, file);
		fclose(file);
		assert_true(slu_ids_load(path, &ids, &why) < 0);
		assert_null(ids);
		assert_string_equal(why + strlen(path), rows[i].why);
		free(why);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ids__are_the_same_after_a_restart, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			tombstone__keeps_index_until_its_last_session_ended, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(aborted_transaction__leaves_nothing_behind, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			commit_to_a_folder_that_is_gone__fails_and_changes_nothing, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(live_indexes__run_out_with_an_error, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(damaged_file__is_refused_with_its_line, make_folder, remove_folder),
	};

	return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}
