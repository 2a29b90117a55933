#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "host/config/memory.h"
#include "host/control/compile.h"
#include "host/control/control.h"
#include "host/control/difference.h"
#include "host/control/store.h"

#define APPLIED_FILE "applied.json"
#define IDS_FILE "ids"
#define BATCH_MS 10 /* changes of health within this make one generation */
#define SWEEP_S 1   /* between looks at tombstones */
#define SHARED_RULE "come from etcd for the whole cluster: change them with sluicectl cluster apply"

struct slu_control {
	struct event_base *base;
	struct slu_control_hooks hooks;
	struct slu_config *config;
	struct slu_ids *ids;
	struct slu_health *health;
	struct slu_generation *generation;
	struct event batch, sweep;
	struct slu_control_result last; /* of the document in force */
	uint64_t documents, applied_ms, published_ms;
	uint32_t tombstones;
};

static const struct slu_place nowhere;

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_line(void *ctx, const char *line)
{
	struct slu_control *control = ctx;

	if (control->hooks.log != NULL)
		control->hooks.log(control->hooks.ctx, line);
	else
		fprintf(stderr, "%s\n", line);
}

/* The document at start. */

/* Whether there is an applied document and the file was not written after it. */
static bool applied_rules(const char *applied, const char *path)
{
	struct stat a, b;

	if (stat(applied, &a) != 0 || stat(path, &b) != 0)
		return false;
	if (a.st_mtim.tv_sec != b.st_mtim.tv_sec)
		return a.st_mtim.tv_sec > b.st_mtim.tv_sec;
	return a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec;
}

/* Puts the applied document in place of *config if it can be; tells in *note what was done. */
static void prefer_applied(const char *applied, const char *path, struct slu_config **config, char **note)
{
	struct slu_config *other;
	struct slu_errors errors;

	slu_errors_init(&errors, applied);
	if (slu_config_load(applied, &other, &errors) == 0 && slu_config_restart_check(*config, other, &errors) == 0) {
		slu_config_free(*config);
		*config = other;
		*note = slu_memory_format("%s is not older than %s and is used", applied, path);
	} else {
		char *first = slu_errors_format(&errors, 0);

		*note = slu_memory_format("the document applied last cannot be used, %s is: %s", path, first);
		slu_config_free(other);
		free(first);
	}
	slu_errors_clear(&errors);
}

/* Whether listeners, groups and outbound services come from etcd. */
static bool is_shared(const struct slu_config *config)
{
	return config->cluster != NULL && config->cluster->etcd_count > 0;
}

/* Refuses what comes from elsewhere. Returns 0 or -EINVAL. */
static int refuse_shared_parts(const struct slu_config *config, struct slu_errors *errors)
{
	int ret = 0;

	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++) {
		if (slu_config_part_count(config, kind) == 0)
			continue;
		slu_errors_add(errors, nowhere, slu_config_kinds[kind], SHARED_RULE);
		ret = -EINVAL;
	}
	return ret;
}

/* Puts a configuration that has the parts of `from` in place of *config, which has none. */
static int keep_shared_parts(struct slu_config **config, const struct slu_config *from, struct slu_errors *errors)
{
	char *text = slu_config_dump_shared(from);
	struct slu_config *merged;
	int ret = -ENOMEM;

	if (text == NULL)
		slu_errors_add(errors, nowhere, "", "out of memory");
	else
		ret = slu_config_parse_shared(*config, text, strlen(text), &merged, errors);
	free(text);
	if (ret != 0)
		return ret;
	slu_config_free(*config);
	*config = merged;
	return 0;
}

/* At start: what the cluster had when this node saw it last, so that it serves without etcd. */
static void take_last_shared(const char *applied, struct slu_config **config, char **note)
{
	struct slu_config *other;
	struct slu_errors errors;

	slu_errors_init(&errors, applied);
	if (access(applied, F_OK) == 0 && slu_config_load(applied, &other, &errors) == 0) {
		if (keep_shared_parts(config, other, &errors) == 0)
			*note = slu_memory_format(
				"listeners, groups and outbound services of %s serve until etcd is heard", applied);
		slu_config_free(other);
	}
	if (errors.count > 0) {
		char *first = slu_errors_format(&errors, 0);

		*note = slu_memory_format("the document applied last cannot be used: %s", first);
		free(first);
	}
	slu_errors_clear(&errors);
}

int slu_control_load(const char *path, struct slu_config **config, struct slu_errors *errors, char **note)
{
	char *applied;
	int ret = slu_config_load(path, config, errors);

	*note = NULL;
	if (ret != 0)
		return ret;
	if (is_shared(*config) && refuse_shared_parts(*config, errors) != 0) {
		slu_config_free(*config);
		*config = NULL;
		return -EINVAL;
	}
	applied = slu_memory_format("%s/%s", (*config)->state_dir, APPLIED_FILE);
	if (is_shared(*config))
		take_last_shared(applied, config, note);
	else if (applied_rules(applied, path))
		prefer_applied(applied, path, config, note);
	free(applied);
	return 0;
}

/* Health. */

/* Whether the generation in force has this backend. */
static bool serves(const struct slu_control *control, uint32_t id)
{
	const struct slu_generation *generation = control->generation;
	struct slu_ids_entry entry;

	return generation != NULL && slu_ids_find(control->ids, id, &entry) && entry.kind == SLU_IDS_BACKEND &&
	       entry.live < generation->live_limit && generation->by_live[entry.live] != NULL &&
	       generation->by_live[entry.live]->id == id;
}

/*
 * The state of a backend that has a check. One that served unchecked before
 * goes on serving until its first results: a check that is added to a group
 * must not interrupt it.
 */
static enum slu_health_state health_of(void *ctx, uint32_t id)
{
	struct slu_control *control = ctx;
	struct slu_health_status status;

	if (slu_health_status(control->health, id, &status) == 0)
		return status.state;
	return serves(control, id) ? SLU_HEALTH_UP : SLU_HEALTH_CHECKING;
}

/* Makes the checks follow the configuration; its keys are all in the table of ids. */
static void update_health(
	struct slu_control *control, const struct slu_config *config, const struct slu_generation *generation)
{
	struct slu_health_target *targets = slu_memory_zeroed(generation->backend_count, sizeof(*targets));
	size_t count = 0;

	for (uint32_t i = 0; i < config->group_count; i++) {
		const struct slu_config_group *group = &config->groups[i];

		for (uint32_t j = 0; j < group->backend_count && group->check.type != SLU_CHECK_NONE; j++) {
			const struct slu_backend *backend = &generation->groups[i]->backends[j];

			targets[count++] = (struct slu_health_target){.id = backend->id,
				.address = backend->address,
				.port = backend->port,
				.initial = health_of(control, backend->id),
				.check = &group->check,
				.group = group->name,
				.name = backend->name};
		}
	}
	slu_health_update(control->health, targets, count);
	free(targets);
}

/* Generations. */

/* Compiles within an open transaction of ids. On failure the errors say why. */
static int compile(struct slu_control *control, const struct slu_config *config, struct slu_generation **generation,
	struct slu_errors *errors)
{
	const struct slu_compile request = {.config = config,
		.ids = control->ids,
		.health = health_of,
		.ctx = control,
		.previous = control->generation,
		.number = control->generation != NULL ? control->generation->number + 1 : 1};
	int ret = slu_compile_generation(&request, generation);

	if (ret != 0) {
		slu_errors_add(errors, nowhere, "", "cannot be compiled: %s",
			ret == -ENOSPC   ? "ids or live indexes have run out (removed backends still have sessions)"
			: ret == -EINVAL ? "two backends of a maglev group have names of one hash; rename one"
					 : strerror(-ret));
		return ret;
	}
	if (control->hooks.index_build != NULL)
		ret = control->hooks.index_build(control->hooks.ctx, *generation);
	if (ret != 0) {
		slu_errors_add(errors, nowhere, "", "the index of listeners cannot be built: %s", strerror(-ret));
		slu_compile_free(*generation);
		*generation = NULL;
	}
	return ret;
}

void slu_control_release(struct slu_control *control, struct slu_generation *generation)
{
	if (generation == NULL)
		return;
	if (control->hooks.index_free != NULL)
		control->hooks.index_free(control->hooks.ctx, generation);
	slu_compile_free(generation);
}

static void publish(struct slu_control *control, struct slu_generation *next)
{
	struct slu_generation *previous = control->generation;

	control->generation = next;
	control->published_ms = wall_ms();
	control->hooks.publish(control->hooks.ctx, next, previous);
}

static bool in_use(void *ctx, enum slu_ids_kind kind, uint32_t live)
{
	struct slu_control *control = ctx;
	uint64_t (*ask)(void *ctx, uint32_t live) =
		kind == SLU_IDS_BACKEND ? control->hooks.backend_sessions : control->hooks.listener_sessions;

	return ask != NULL && ask(control->hooks.ctx, live) > 0;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval delay = {SWEEP_S, 0};
	struct slu_control *control = arg;

	(void)fd, (void)what;
	control->tombstones = slu_ids_sweep(control->ids, in_use, control);
	if (control->tombstones > 0)
		event_add(&control->sweep, &delay);
}

/* Health changed: the same document, other effective weights. */
static void on_batch(evutil_socket_t fd, short what, void *arg)
{
	struct slu_control *control = arg;
	struct slu_generation *generation;
	struct slu_errors errors;

	(void)fd, (void)what;
	slu_errors_init(&errors, "health");
	slu_ids_begin(control->ids);
	if (compile(control, control->config, &generation, &errors) == 0) {
		publish(control, generation);
	} else {
		char *line = slu_errors_format(&errors, 0);

		log_line(control, line);
		free(line);
	}
	/* Every key was there already, so nothing is lost. */
	slu_ids_abort(control->ids);
	slu_errors_clear(&errors);
}

static void on_health_changed(void *ctx)
{
	const struct timeval delay = {0, 1000 * BATCH_MS};
	struct slu_control *control = ctx;

	if (!evtimer_pending(&control->batch, NULL))
		event_add(&control->batch, &delay);
}

/*
 * Writes what must be on disk before workers see the generation: ids, because
 * sessions keep them, and the document, of which `aside` is written here and
 * takes its name when nothing can fail any more.
 */
static int write_state(
	struct slu_control *control, const struct slu_config *config, const char *aside, struct slu_errors *errors)
{
	char *text = NULL;
	int ret = 0;

	if (aside != NULL) {
		text = slu_config_dump(config);
		/* What is stored must be read again at the next start. */
		if (text == NULL || strlen(text) > SLU_CONFIG_MAX_BYTES)
			ret = text == NULL ? -ENOMEM : -EFBIG;
		else
			ret = slu_store_write(aside, text, strlen(text));
	}
	free(text);
	if (ret == 0)
		ret = slu_ids_commit(control->ids);
	if (ret != 0)
		slu_errors_add(
			errors, nowhere, "state_dir", "%s cannot be written: %s", config->state_dir, strerror(-ret));
	return ret;
}

static void name_applied(struct slu_control *control, const struct slu_config *config, const char *aside)
{
	char *path = slu_memory_format("%s/%s", config->state_dir, APPLIED_FILE);

	if (rename(aside, path) != 0) {
		char *line = slu_memory_format(
			"%s: %s: the document applied is lost at the next start", path, strerror(errno));

		log_line(control, line);
		free(line);
	}
	free(path);
}

/* Compiles, stores and publishes a configuration that is valid. Takes it on success only. */
static int put_in_force(struct slu_control *control, struct slu_config *config, bool store, struct slu_errors *errors)
{
	const struct timeval soon = {SWEEP_S, 0};
	char *aside = store ? slu_memory_format("%s/%s.next", config->state_dir, APPLIED_FILE) : NULL;
	struct slu_generation *generation;
	int ret;

	slu_ids_begin(control->ids);
	ret = compile(control, config, &generation, errors);
	if (ret == 0) {
		ret = write_state(control, config, aside, errors);
		if (ret != 0)
			slu_control_release(control, generation);
	}
	if (ret != 0) {
		slu_ids_abort(control->ids);
		free(aside);
		return ret;
	}
	if (store)
		name_applied(control, config, aside);
	free(aside);
	update_health(control, config, generation);
	slu_config_free(control->config);
	control->config = config;
	control->documents++;
	control->applied_ms = wall_ms();
	publish(control, generation);
	event_add(&control->sweep, &soon);
	return 0;
}

/* Life. */

static int prepare(struct slu_control *control, const struct slu_config *config, struct slu_errors *errors)
{
	char *path = slu_memory_format("%s/%s", config->state_dir, IDS_FILE), *why;
	int ret = slu_store_folder(config->state_dir);

	if (ret != 0) {
		slu_errors_add(errors, nowhere, "state_dir", "%s: %s", config->state_dir, strerror(-ret));
	} else {
		ret = slu_ids_load(path, &control->ids, &why);
		if (ret != 0)
			slu_errors_add(errors, nowhere, "state_dir", "%s", why);
		free(why);
	}
	free(path);
	return ret;
}

int slu_control_create(struct event_base *base, struct slu_config *config, const struct slu_control_hooks *hooks,
	struct slu_control **result, struct slu_errors *errors)
{
	struct slu_control *control = slu_memory_zeroed(1, sizeof(*control));
	const struct slu_health_events events = {control, on_health_changed, log_line};
	int ret;

	*result = NULL;
	control->base = base;
	control->hooks = *hooks;
	control->health = slu_health_create(base, &events);
	evtimer_assign(&control->batch, base, on_batch, control);
	evtimer_assign(&control->sweep, base, on_sweep, control);
	ret = prepare(control, config, errors);
	if (ret == 0)
		ret = put_in_force(control, config, false, errors);
	if (ret == 0) {
		*result = control;
		return 0;
	}
	slu_config_free(config);
	slu_control_destroy(control);
	return ret;
}

void slu_control_destroy(struct slu_control *control)
{
	if (control == NULL)
		return;
	event_del(&control->batch);
	event_del(&control->sweep);
	slu_health_destroy(control->health);
	slu_ids_free(control->ids);
	slu_config_free(control->config);
	slu_control_result_clear(&control->last);
	free(control);
}

/* Changes. */

void slu_control_result_clear(struct slu_control_result *result)
{
	for (size_t i = 0; i < result->change_count; i++)
		free(result->changes[i]);
	free(result->changes);
	*result = (struct slu_control_result){0};
}

static void fill_result(
	struct slu_control_result *result, const struct slu_config *before, const struct slu_config *after)
{
	struct slu_difference difference;

	slu_difference_report(before, after, &difference);
	result->changes = slu_memory_zeroed(difference.count + 1, sizeof(*result->changes));
	for (size_t i = 0; i < difference.count; i++)
		result->changes[result->change_count++] = slu_memory_copy(difference.lines[i]);
	if (difference.more > 0)
		result->changes[result->change_count++] = slu_memory_format("and %zu changes more", difference.more);
	slu_difference_clear(&difference);
}

static void copy_result(struct slu_control_result *to, const struct slu_control_result *from)
{
	slu_control_result_clear(to);
	to->generation = from->generation;
	to->change_count = from->change_count;
	to->changes = slu_memory_zeroed(from->change_count, sizeof(*to->changes));
	for (size_t i = 0; i < from->change_count; i++)
		to->changes[i] = slu_memory_copy(from->changes[i]);
}

/* Takes `config`: puts it in force, or only says what it would change. */
static int apply(struct slu_control *control, struct slu_config *config, bool dry_run,
	struct slu_control_result *result, struct slu_errors *errors)
{
	int ret = 0;

	fill_result(result, control->config, config);
	if (dry_run)
		slu_config_free(config);
	else
		ret = put_in_force(control, config, true, errors);
	if (ret != 0) {
		slu_config_free(config);
		slu_control_result_clear(result);
		return ret;
	}
	result->generation = control->generation->number;
	if (!dry_run) {
		char *line = slu_memory_format("document applied as generation %llu: %zu change%s",
			(unsigned long long)result->generation, result->change_count,
			result->change_count == 1 ? "" : "s");

		copy_result(&control->last, result);
		log_line(control, line);
		free(line);
	}
	return 0;
}

int slu_control_apply(struct slu_control *control, const void *text, size_t bytes, bool dry_run,
	struct slu_control_result *result, struct slu_errors *errors)
{
	struct slu_config *config;
	int ret = slu_config_parse(text, bytes, &config, errors);

	*result = (struct slu_control_result){0};
	if (ret != 0)
		return ret;
	if (slu_config_restart_check(control->config, config, errors) > 0)
		ret = -EINVAL;
	if (ret == 0 && is_shared(config)) {
		ret = refuse_shared_parts(config, errors);
		if (ret == 0)
			ret = keep_shared_parts(&config, control->config, errors);
	}
	if (ret == 0)
		return apply(control, config, dry_run, result, errors);
	slu_config_free(config);
	return ret;
}

int slu_control_apply_shared(struct slu_control *control, const void *text, size_t bytes, bool dry_run,
	struct slu_control_result *result, struct slu_errors *errors)
{
	struct slu_config *config;
	int ret;

	*result = (struct slu_control_result){0};
	if (!is_shared(control->config)) {
		slu_errors_add(errors, nowhere, "cluster.etcd", "is not there: this node's document has everything");
		return -EINVAL;
	}
	ret = slu_config_parse_shared(control->config, text, bytes, &config, errors);
	return ret == 0 ? apply(control, config, dry_run, result, errors) : ret;
}

static struct slu_config_backend *find_backend(struct slu_config *config, const char *group, const char *backend)
{
	for (uint32_t i = 0; i < config->group_count; i++) {
		if (strcmp(config->groups[i].name, group) != 0)
			continue;
		for (uint32_t j = 0; j < config->groups[i].backend_count; j++)
			if (strcmp(config->groups[i].backends[j].name, backend) == 0)
				return &config->groups[i].backends[j];
	}
	return NULL;
}

int slu_control_weight(struct slu_control *control, const char *group, const char *backend, uint64_t weight,
	struct slu_control_result *result, struct slu_errors *errors)
{
	struct slu_config_backend *found = find_backend(control->config, group, backend);
	uint16_t before;
	char *text;
	int ret;

	*result = (struct slu_control_result){0};
	if (found == NULL) {
		slu_errors_add(errors, nowhere, "", "there is no backend \"%s\" in a group \"%s\"", backend, group);
		return -ENOENT;
	}
	if (is_shared(control->config)) {
		slu_errors_add(errors, nowhere, "weight", SHARED_RULE);
		return -EINVAL;
	}
	if (weight > SLU_CONFIG_MAX_WEIGHT) {
		slu_errors_add(errors, nowhere, "weight", "%llu is out of range, must be 0..%u",
			(unsigned long long)weight, SLU_CONFIG_MAX_WEIGHT);
		return -EINVAL;
	}
	/* The document with the new weight, as text: from here on it is an apply like any other. */
	before = found->weight;
	found->weight = (uint16_t)weight;
	text = slu_config_dump(control->config);
	found->weight = before;
	if (text == NULL) {
		slu_errors_add(errors, nowhere, "", "out of memory");
		return -ENOMEM;
	}
	ret = slu_control_apply(control, text, strlen(text), false, result, errors);
	free(text);
	return ret;
}

/* Reading. */

const struct slu_config *slu_control_config(const struct slu_control *control)
{
	return control->config;
}

struct slu_generation *slu_control_generation(const struct slu_control *control)
{
	return control->generation;
}

int slu_control_health(const struct slu_control *control, uint32_t id, struct slu_health_status *status)
{
	if (slu_health_status(control->health, id, status) == 0)
		return 0;
	*status = (struct slu_health_status){.state = SLU_HEALTH_UNCHECKED, .reason = ""};
	return serves(control, id) ? 0 : -ENOENT;
}

bool slu_control_name(const struct slu_control *control, uint32_t id, char name[2 * SLU_NAME_BYTES])
{
	struct slu_ids_entry entry;
	size_t bytes;

	if (!slu_ids_find(control->ids, id, &entry))
		return false;
	/* Keys begin with the name, a backend's with group and name. */
	bytes = strcspn(entry.key, "/");
	if (entry.kind == SLU_IDS_BACKEND)
		bytes += 1 + strcspn(entry.key + bytes + 1, "/");
	snprintf(name, 2 * SLU_NAME_BYTES, "%.*s", (int)bytes, entry.key);
	return true;
}

void slu_control_status(const struct slu_control *control, struct slu_control_status *status)
{
	*status = (struct slu_control_status){.generation = control->generation->number,
		.documents = control->documents,
		.applied_ms = control->applied_ms,
		.published_ms = control->published_ms,
		.tombstones = control->tombstones,
		.changes = (const char *const *)control->last.changes,
		.change_count = control->last.change_count};
}
