/*
 * The control plane as a whole: documents put in force or refused, what is kept
 * over a restart, and health that becomes weights.
 */
#define _GNU_SOURCE /* unshare */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "host/config/memory.h"
#include "host/control/control.h"
#include "tests/unit/own_network.h"

#define BODY_ONE                                                                                                       \
	"local_addresses: [198.18.9.100]\n"                                                                            \
	"groups: [{name: g, scheduler: rr, backends: [{name: a, address: 198.18.2.1, weight: 5}, {name: b, address: "  \
	"198.18.2.2, weight: 5}]}]\n"                                                                                  \
	"listeners: [{name: l, address: 198.18.8.9, protocol: tcp, ports: 80, group: g}]\n"

static struct {
	char folder[64], file[96], applied[96];
	struct event_base *base;
	struct slu_control *control;
	unsigned published;
	uint64_t last_number;
	uint64_t sessions; /* of every live index */
	int index_error;   /* what building the index returns */
	unsigned indexes;  /* built and not freed */
	char log[512];
} fixture;

static int index_build(void *ctx, struct slu_generation *generation)
{
	(void)ctx;
	if (fixture.index_error != 0)
		return fixture.index_error;
	generation->index = malloc(1);
	fixture.indexes++;
	return 0;
}

static void index_free(void *ctx, struct slu_generation *generation)
{
	(void)ctx;
	free(generation->index);
	fixture.indexes--;
}

static void publish(void *ctx, struct slu_generation *next, struct slu_generation *previous)
{
	(void)ctx;
	assert_true(next->number > fixture.last_number);
	assert_non_null(next->index);
	fixture.last_number = next->number;
	fixture.published++;
	if (previous != NULL)
		slu_control_release(fixture.control, previous);
}

static uint64_t sessions(void *ctx, uint32_t live)
{
	(void)ctx, (void)live;
	return fixture.sessions;
}

static void log_line(void *ctx, const char *line)
{
	(void)ctx;
	snprintf(fixture.log, sizeof(fixture.log), "%s", line);
}

static char *document(const char *extra, const char *body)
{
	return slu_memory_format("version: 1\nstate_dir: %s/state\nports: [{name: p0, device: d0, tap: t0, addresses: "
				 "[198.18.8.2/24]}]\n%s%s",
		fixture.folder, extra, body);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* As the agent starts: load, create. */
static void boot(void)
{
	const struct slu_control_hooks hooks = {.index_build = index_build,
		.index_free = index_free,
		.publish = publish,
		.backend_sessions = sessions,
		.listener_sessions = sessions,
		.log = log_line};
	struct slu_config *config;
	struct slu_errors errors;
	char *note;

	slu_errors_init(&errors, fixture.file);
	if (slu_control_load(fixture.file, &config, &errors, &note) != 0)
		print_error("%s\n", errors.items[0].rule);
	assert_int_equal(errors.count, 0);
	if (note != NULL)
		log_line(NULL, note);
	free(note);
	fixture.base = event_base_new();
	fixture.last_number = 0;
	if (slu_control_create(fixture.base, config, &hooks, &fixture.control, &errors) != 0)
		print_error("%s\n", errors.items[0].rule);
	assert_non_null(fixture.control);
	slu_errors_clear(&errors);
}

static void shut(void)
{
	slu_control_release(fixture.control, slu_control_generation(fixture.control));
	slu_control_destroy(fixture.control);
	event_base_free(fixture.base);
	fixture.control = NULL;
	assert_int_equal(fixture.indexes, 0);
}

static int start(void **state)
{
	char *text;

	(void)state;
	memset(&fixture, 0, sizeof(fixture));
	strcpy(fixture.folder, "/tmp/slu-test-control-XXXXXX");
	if (mkdtemp(fixture.folder) == NULL)
		return -1;
	snprintf(fixture.file, sizeof(fixture.file), "%s/lb.yaml", fixture.folder);
	snprintf(fixture.applied, sizeof(fixture.applied), "%s/state/applied.json", fixture.folder);
	text = document("", BODY_ONE);
	write_file(fixture.file, text);
	free(text);
	boot();
	return 0;
}

static int stop(void **state)
{
	char command[128];

	(void)state;
	if (fixture.control != NULL)
		shut();
	snprintf(command, sizeof(command), "rm -rf %s", fixture.folder);
	return system(command);
}

static void run_ms(unsigned ms)
{
	const struct timeval time = {ms / 1000, 1000 * (ms % 1000)};

	event_base_loopexit(fixture.base, &time);
	event_base_dispatch(fixture.base);
}

/* Applies; returns what apply returned, and the first error in fixture.log. */
static int apply(const char *text, bool dry_run, struct slu_control_result *result)
{
	struct slu_errors errors;
	int ret;

	slu_errors_init(&errors, "doc");
	ret = slu_control_apply(fixture.control, text, strlen(text), dry_run, result, &errors);
	if (errors.count > 0)
		snprintf(fixture.log, sizeof(fixture.log), "%s: %s", errors.items[0].path, errors.items[0].rule);
	slu_errors_clear(&errors);
	return ret;
}

static const struct slu_backend *backend(uint32_t index)
{
	return &slu_control_generation(fixture.control)->groups[0]->backends[index];
}

static void first_generation__is_published_by_create(void **state)
{
	(void)state;
	assert_int_equal(fixture.published, 1);
	assert_int_equal(slu_control_generation(fixture.control)->number, 1);
	assert_int_equal(backend(0)->weight, 5);
}

static void refused_document__changes_nothing(void **state)
{
	struct slu_control_result result;
	char *bad = document("", BODY_ONE "bogus: 1\n"), *fixed = document("workers: 2\n", BODY_ONE);

	(void)state;
	assert_int_equal(apply(bad, false, &result), -EINVAL);
	assert_string_equal(fixture.log,
		"bogus: unknown key; known here: version, node, state_dir, api, workers, sessions, "
		"eal, ports, local_addresses, groups, listeners, snat, eip, metering, cluster");
	assert_int_equal(apply(fixed, false, &result), -EINVAL);
	assert_string_equal(
		fixture.log, "workers: differs from what the agent started with: this setting needs a restart");
	assert_int_equal(fixture.published, 1);
	assert_int_not_equal(access(fixture.applied, F_OK), 0);
	free(bad);
	free(fixed);
}

#define BODY_TWO                                                                                                       \
	"local_addresses: [198.18.9.100]\n"                                                                            \
	"groups: [{name: g, scheduler: rr, backends: [{name: a, address: 198.18.2.1, weight: 7}, {name: c, address: "  \
	"198.18.2.3, weight: 5}]}]\n"                                                                                  \
	"listeners: [{name: l, address: 198.18.8.9, protocol: tcp, ports: 80, group: g}]\n"

static void good_document__is_told_dry_and_put_in_force_wet(void **state)
{
	struct slu_control_result result;
	char *text = document("", BODY_TWO);
	uint32_t id = backend(0)->id;

	(void)state;
	assert_int_equal(apply(text, true, &result), 0);
	assert_int_equal(result.change_count, 3);
	assert_string_equal(result.changes[0], "backend g/a: weight 5 -> 7");
	assert_int_equal(result.generation, 1);
	assert_int_equal(fixture.published, 1);
	assert_int_not_equal(access(fixture.applied, F_OK), 0);
	slu_control_result_clear(&result);
	assert_int_equal(apply(text, false, &result), 0);
	assert_int_equal(result.generation, 2);
	assert_int_equal(backend(0)->weight, 7);
	assert_int_equal(backend(0)->id, id);
	assert_string_equal(backend(1)->name, "c");
	slu_control_result_clear(&result);
	free(text);
}

static void weight__changes_that_backend_alone_and_outlives_a_restart(void **state)
{
	struct slu_control_result result;
	struct slu_errors errors;
	uint32_t id = backend(1)->id, live = backend(1)->live;

	(void)state;
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_control_weight(fixture.control, "g", "nobody", 1, &result, &errors), -ENOENT);
	assert_int_equal(slu_control_weight(fixture.control, "g", "b", 1001, &result, &errors), -EINVAL);
	assert_int_equal(slu_control_weight(fixture.control, "g", "b", 0, &result, &errors), 0);
	assert_int_equal(result.change_count, 1);
	assert_string_equal(result.changes[0], "backend g/b: weight 5 -> 0");
	slu_control_result_clear(&result);
	slu_errors_clear(&errors);
	shut();
	boot();
	assert_non_null(strstr(fixture.log, "is not older than"));
	assert_int_equal(backend(0)->weight, 5);
	assert_int_equal(backend(1)->weight, 0);
	assert_int_equal(backend(1)->id, id);
	assert_int_equal(backend(1)->live, live);
}

/* Makes a file as old as can be told apart. */
static void make_newer(const char *path, const char *than)
{
	struct stat status;
	struct timespec times[2];

	assert_int_equal(stat(than, &status), 0);
	times[0] = times[1] = status.st_mtim;
	times[0].tv_sec++;
	times[1].tv_sec++;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void file_newer_than_the_applied_document__rules(void **state)
{
	struct slu_control_result result;
	char *text = document("", BODY_TWO);

	(void)state;
	assert_int_equal(apply(text, false, &result), 0);
	slu_control_result_clear(&result);
	free(text);
	shut();
	make_newer(fixture.file, fixture.applied);
	boot();
	assert_string_equal(backend(1)->name, "b");
}

static void applied_document_that_cannot_be_used__is_passed_over(void **state)
{
	char *text;

	(void)state;
	write_file(fixture.applied, "{}");
	make_newer(fixture.applied, fixture.file);
	shut();
	boot();
	assert_non_null(strstr(fixture.log, "the document applied last cannot be used"));
	assert_non_null(strstr(fixture.log, "key ports is missing"));
	text = document("workers: 3\n", BODY_TWO);
	write_file(fixture.applied, text);
	make_newer(fixture.applied, fixture.file);
	free(text);
	shut();
	boot();
	assert_non_null(strstr(fixture.log, "workers: differs from what the agent started with"));
	assert_string_equal(backend(1)->name, "b");
}

static void state_that_cannot_be_written__refuses_the_document(void **state)
{
	struct slu_control_result result;
	char *text = document("", BODY_TWO), command[160];

	(void)state;
	snprintf(command, sizeof(command), "mv %s/state %s/elsewhere", fixture.folder, fixture.folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(apply(text, false, &result), -ENOENT);
	assert_non_null(strstr(fixture.log, "cannot be written: No such file or directory"));
	assert_int_equal(fixture.published, 1);
	assert_string_equal(backend(1)->name, "b");
	snprintf(command, sizeof(command), "mv %s/elsewhere %s/state", fixture.folder, fixture.folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(apply(text, false, &result), 0); /* nothing was left behind */
	slu_control_result_clear(&result);
	free(text);
}

static void index_that_cannot_be_built__refuses_the_document(void **state)
{
	struct slu_control_result result;
	char *text = document("", BODY_TWO);

	(void)state;
	fixture.index_error = -ENOMEM;
	assert_int_equal(apply(text, false, &result), -ENOMEM);
	assert_int_equal(fixture.published, 1);
	assert_int_equal(fixture.indexes, 1);
	assert_int_not_equal(access(fixture.applied, F_OK), 0);
	fixture.index_error = 0;
	free(text);
}

static void removed_backend__is_a_tombstone_while_it_has_sessions(void **state)
{
	struct slu_control_status status;
	struct slu_control_result result;
	char *text = document("", BODY_TWO), name[2 * SLU_NAME_BYTES];
	uint32_t id = backend(1)->id, live = backend(1)->live;

	(void)state;
	fixture.sessions = 1;
	assert_int_equal(apply(text, false, &result), 0);
	slu_control_result_clear(&result);
	free(text);
	run_ms(1200);
	slu_control_status(fixture.control, &status);
	assert_int_equal(status.tombstones, 1);
	assert_true(slu_control_name(fixture.control, id, name));
	assert_string_equal(name, "g/b");
	assert_int_not_equal(backend(1)->live, live);
	assert_null(slu_control_generation(fixture.control)->by_live[live]);
	fixture.sessions = 0;
	run_ms(1200);
	slu_control_status(fixture.control, &status);
	assert_int_equal(status.tombstones, 0);
	assert_false(slu_control_name(fixture.control, id, name));
}

static int listen_on(const char *address, uint16_t port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	inet_pton(AF_INET, address, &name.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 4096), 0); /* nobody accepts: the check is content with a connection */
	return fd;
}

#define CHECKED                                                                                                        \
	"local_addresses: [198.18.9.100]\n"                                                                            \
	"groups: [{name: g, scheduler: rr, check: {type: tcp, port: 80, interval_ms: 30, fall: 2}, backends: [{name: " \
	"a, address: 198.18.2.1, weight: 5}, {name: b, address: 198.18.2.2, weight: 5}]}]\n"                           \
	"listeners: [{name: l, address: 198.18.8.9, protocol: tcp, ports: 80, group: g}]\n"

static void check_added_to_a_group__does_not_interrupt_it(void **state)
{
	struct slu_control_result result;
	struct slu_health_status status;
	char *text = document("", CHECKED);
	int fd = listen_on("198.18.2.1", 80);

	(void)state;
	assert_int_equal(apply(text, false, &result), 0);
	slu_control_result_clear(&result);
	assert_int_equal(backend(0)->weight, 5);
	assert_int_equal(backend(1)->weight, 5);
	run_ms(300);
	assert_int_equal(backend(0)->weight, 5);
	assert_int_equal(backend(1)->weight, 0); /* nobody listens there */
	assert_int_equal(slu_control_health(fixture.control, backend(1)->id, &status), 0);
	assert_int_equal(status.state, SLU_HEALTH_DOWN);
	assert_string_equal(status.reason, "connect: Connection refused");
	close(fd);
	free(text);
}

static void health__becomes_weights_in_one_generation_a_batch(void **state)
{
	char *text = document("", CHECKED);
	int a = listen_on("198.18.2.1", 80), b = listen_on("198.18.2.2", 80);

	(void)state;
	shut();
	write_file(fixture.file, text);
	make_newer(fixture.file, fixture.file);
	boot();
	assert_int_equal(backend(0)->weight, 0); /* checking */
	fixture.published = 0;
	run_ms(100);
	assert_int_equal(backend(0)->weight, 5);
	assert_int_equal(backend(1)->weight, 5);
	assert_int_equal(fixture.published, 1);
	close(a);
	run_ms(300);
	assert_int_equal(backend(0)->weight, 0);
	assert_int_equal(backend(1)->weight, 5);
	assert_int_equal(fixture.published, 2);
	assert_int_equal(slu_control_generation(fixture.control)->groups[0]->wrr_count, 1);
	close(b);
	free(text);
}

static void damaged_table_of_ids__stops_the_start(void **state)
{
	const struct slu_control_hooks hooks = {.publish = publish};
	struct slu_control *control;
	struct slu_config *config;
	struct slu_errors errors;
	char path[128], *note;
	struct event_base *base = event_base_new();

	(void)state;
	shut();
	snprintf(path, sizeof(path), "%s/state/ids", fixture.folder);
	write_file(path, "sluice-ids 1\nnext 5\n");
	slu_errors_init(&errors, fixture.file);
	assert_int_equal(slu_control_load(fixture.file, &config, &errors, &note), 0);
	assert_int_equal(slu_control_create(base, config, &hooks, &control, &errors), -EINVAL);
	assert_null(control);
	assert_non_null(strstr(errors.items[0].rule, "the table of ids is damaged"));
	slu_errors_clear(&errors);
	event_base_free(base);
}

#define NODE_OF_ETCD                                                                                                   \
	"local_addresses: [198.18.64.9]\n"                                                                             \
	"cluster: {id: 1, interface: s, address: 198.18.7.1, local_prefixes: [198.18.64.0/24], "                       \
	"etcd: {endpoints: [\"http://198.18.7.9:1\"]}}\n"
#define SHARED                                                                                                         \
	"version: 1\n"                                                                                                 \
	"groups: [{name: g, scheduler: rr, backends: [{name: a, address: 198.18.2.1, weight: 5}]}]\n"                  \
	"listeners: [{name: l, address: 198.18.8.9, protocol: tcp, ports: 80, group: g}]\n"

/* Starts again as a node whose listeners and groups come from etcd. */
static void reboot_with_etcd(void)
{
	char *text = document(NODE_OF_ETCD, "");

	shut();
	write_file(fixture.file, text);
	boot();
	free(text);
}

/* Applies a document of the cluster; the first error is in fixture.log. */
static int apply_shared(const char *text, struct slu_control_result *result)
{
	struct slu_errors errors;
	int ret;

	slu_errors_init(&errors, "doc");
	ret = slu_control_apply_shared(fixture.control, text, strlen(text), false, result, &errors);
	if (errors.count > 0)
		snprintf(fixture.log, sizeof(fixture.log), "%s: %s", errors.items[0].path, errors.items[0].rule);
	slu_errors_clear(&errors);
	return ret;
}

#define OUTBOUND                                                                                                       \
	"snat: [{name: nat, sources: [198.18.8.0/24], addresses: [198.18.8.80]}]\n"                                    \
	"eip: [{name: e, public: 198.18.8.81, private: 198.18.8.7}]\n"                                                 \
	"metering: {internal: [198.18.0.0/16]}\n"

/* What is the cluster's is refused in a node's own document, each with its key; and it is kept over an apply of that.
 */
static void outbound_services_of_the_cluster__are_not_the_nodes(void **state)
{
	static const char *const keys[] = {"snat", "eip", "metering"};
	struct slu_control_result result;
	struct slu_errors errors;
	char *text;

	(void)state;
	reboot_with_etcd();
	assert_int_equal(apply_shared(SHARED OUTBOUND, &result), 0);
	slu_control_result_clear(&result);
	text = document(NODE_OF_ETCD OUTBOUND, "");
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_control_apply(fixture.control, text, strlen(text), false, &result, &errors), -EINVAL);
	free(text);
	assert_int_equal(errors.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(errors.items[i].path, keys[i]);
		assert_non_null(strstr(errors.items[i].rule, "sluicectl cluster apply"));
	}
	slu_errors_clear(&errors);
	text = document(NODE_OF_ETCD, "");
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_control_apply(fixture.control, text, strlen(text), false, &result, &errors), 0);
	slu_control_result_clear(&result);
	slu_errors_clear(&errors);
	free(text);
	assert_int_equal(slu_control_config(fixture.control)->snat_count, 1);
	shut();
	boot();
	assert_int_equal(slu_control_config(fixture.control)->snat_count, 1);
	assert_int_equal(slu_control_config(fixture.control)->eip_count, 1);
	assert_int_equal(slu_control_config(fixture.control)->internal_count, 1);
}

static void document_of_the_cluster__outlives_a_restart_and_a_newer_file(void **state)
{
	struct slu_control_result result;

	(void)state;
	assert_int_equal(apply_shared(SHARED, &result), -EINVAL);
	assert_non_null(strstr(fixture.log, "this node's document has everything"));
	reboot_with_etcd();
	assert_int_equal(slu_control_config(fixture.control)->listener_count, 0);
	assert_int_equal(apply_shared(SHARED, &result), 0);
	assert_int_equal(result.change_count, 3);
	slu_control_result_clear(&result);
	assert_int_equal(backend(0)->weight, 5);
	shut();
	make_newer(fixture.file, fixture.applied);
	boot();
	assert_non_null(strstr(fixture.log, "serve until etcd is heard"));
	assert_int_equal(slu_control_config(fixture.control)->listener_count, 1);
	assert_int_equal(backend(0)->weight, 5);
}

static void damaged_last_document_of_the_cluster__does_not_stop_the_start(void **state)
{
	struct slu_control_result result;

	(void)state;
	reboot_with_etcd();
	assert_int_equal(apply_shared(SHARED, &result), 0);
	slu_control_result_clear(&result);
	shut();
	write_file(fixture.applied, "{");
	boot();
	assert_non_null(strstr(fixture.log, "the document applied last cannot be used"));
	assert_int_equal(slu_control_config(fixture.control)->listener_count, 0);
}

static void node_with_etcd__refuses_parts_of_its_own_and_keeps_the_clusters(void **state)
{
	char *own = document(NODE_OF_ETCD, "groups: [{name: h, backends: []}]\n"),
	     *other = document(NODE_OF_ETCD, "snat: []\n");
	struct slu_control_result result;
	struct slu_errors errors;

	(void)state;
	reboot_with_etcd();
	assert_int_equal(apply_shared(SHARED, &result), 0);
	slu_control_result_clear(&result);
	assert_int_equal(apply(own, false, &result), -EINVAL);
	assert_string_equal(
		fixture.log, "groups: come from etcd for the whole cluster: change them with sluicectl cluster apply");
	assert_int_equal(apply(other, false, &result), 0);
	slu_control_result_clear(&result);
	assert_int_equal(slu_control_config(fixture.control)->listener_count, 1);
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_control_weight(fixture.control, "g", "a", 1, &result, &errors), -EINVAL);
	assert_int_equal(backend(0)->weight, 5);
	slu_errors_clear(&errors);
	/* Nor can it start with some. */
	shut();
	write_file(fixture.file, own);
	slu_errors_init(&errors, fixture.file);
	{
		struct slu_config *config;
		char *note;

		assert_int_equal(slu_control_load(fixture.file, &config, &errors, &note), -EINVAL);
		assert_null(config);
		assert_string_equal(errors.items[0].path, "groups");
	}
	slu_errors_clear(&errors);
	free(own);
	free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(first_generation__is_published_by_create),
		TEST(refused_document__changes_nothing),
		TEST(good_document__is_told_dry_and_put_in_force_wet),
		TEST(weight__changes_that_backend_alone_and_outlives_a_restart),
		TEST(file_newer_than_the_applied_document__rules),
		TEST(applied_document_that_cannot_be_used__is_passed_over),
		TEST(state_that_cannot_be_written__refuses_the_document),
		TEST(index_that_cannot_be_built__refuses_the_document),
		TEST(removed_backend__is_a_tombstone_while_it_has_sessions),
		TEST(check_added_to_a_group__does_not_interrupt_it),
		TEST(health__becomes_weights_in_one_generation_a_batch),
		TEST(damaged_table_of_ids__stops_the_start),
		TEST(document_of_the_cluster__outlives_a_restart_and_a_newer_file),
		TEST(outbound_services_of_the_cluster__are_not_the_nodes),
		TEST(damaged_last_document_of_the_cluster__does_not_stop_the_start),
		TEST(node_with_etcd__refuses_parts_of_its_own_and_keeps_the_clusters),
	};

	if (own_network_enter() != 0)
		return 0;
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
