#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "host/config/memory.h"
#include "host/control/ip.h"
#include "host/health/health.h"
#include "host/health/probe.h"

#define IN_FLIGHT_MAX 4096u /* sockets at once; what is over waits */
#define WAIT_MS 10u         /* for a socket */
#define SPREAD_PER_MS 10u   /* first checks begun in a millisecond */
#define JITTER_PERCENT 10u  /* of the interval, either way */
#define REASON_BYTES 128

struct patient {
	struct slu_health *health;
	uint32_t id;
	struct slu_ip address;
	uint16_t port;
	struct slu_config_check check;
	char group[SLU_NAME_BYTES], name[SLU_NAME_BYTES];
	struct slu_probe *probe;
	struct event timer; /* to the next check */
	bool in_flight;
	uint64_t started_ms;
	enum slu_health_state state;
	uint32_t run; /* results in a row that speak against the state */
	uint64_t checks, failures, changed_ms;
	char reason[REASON_BYTES];
};

struct slu_health {
	struct event_base *base;
	struct slu_health_events events;
	struct patient **patients; /* ascending ids */
	size_t count;
	uint32_t in_flight, in_flight_max;
	uint64_t random;
	uint64_t scarce_logged_ms;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* xorshift64*: spreads checks over time, nothing secret. */
static uint32_t random_below(struct slu_health *health, uint32_t limit)
{
	health->random ^= health->random >> 12;
	health->random ^= health->random << 25;
	health->random ^= health->random >> 27;
	return limit ? (uint32_t)((health->random * 0x2545F4914F6CDD1Dull >> 32) % limit) : 0;
}

static void schedule(struct patient *patient, uint64_t delay_ms)
{
	const struct timeval delay = {(time_t)(delay_ms / 1000), (suseconds_t)(1000 * (delay_ms % 1000))};

	event_add(&patient->timer, &delay);
}

/* Intervals count from the beginning of a check, so that a slow backend is not checked less often. */
static void schedule_next(struct patient *patient)
{
	uint32_t interval = patient->check.interval_ms, jitter = interval * JITTER_PERCENT / 100;
	uint64_t due = patient->started_ms + interval - jitter + random_below(patient->health, 2 * jitter + 1);
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	schedule(patient, due > now ? due - now : 0);
}

static void change_state(struct patient *patient, enum slu_health_state state)
{
	struct slu_health *health = patient->health;
	char address[SLU_IP_TEXT_BYTES], line[512];
	uint32_t run = patient->run;

	patient->state = state;
	patient->run = 0;
	patient->changed_ms = clock_ms(CLOCK_REALTIME);
	snprintf(line, sizeof(line), "backend %s/%s %s port %u is %s%s%s (%u in a row)", patient->group, patient->name,
		slu_ip_format(&patient->address, address), patient->port, slu_health_state_name(state),
		state == SLU_HEALTH_DOWN ? ": " : "", state == SLU_HEALTH_DOWN ? patient->reason : "", run);
	health->events.log(health->events.ctx, line);
	health->events.changed(health->events.ctx);
}

static void count_result(struct patient *patient, bool good)
{
	enum slu_health_state other = good ? SLU_HEALTH_UP : SLU_HEALTH_DOWN;
	uint32_t needed = good ? patient->check.rise : patient->check.fall;

	if (patient->state == other) {
		patient->run = 0;
		return;
	}
	patient->run++;
	if (patient->state == SLU_HEALTH_CHECKING || patient->run >= needed)
		change_state(patient, other);
}

/* The machine's shortage is told, but not to the backend's account, and not for each check. */
static void log_scarce(struct slu_health *health, const char *reason)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	char line[256];

	if (health->scarce_logged_ms != 0 && now - health->scarce_logged_ms < 10000)
		return;
	health->scarce_logged_ms = now;
	snprintf(line, sizeof(line), "health checks are delayed: %s", reason);
	health->events.log(health->events.ctx, line);
}

static void on_verdict(void *arg, enum slu_probe_verdict verdict, const char *reason)
{
	struct patient *patient = arg;

	patient->in_flight = false;
	patient->health->in_flight--;
	schedule_next(patient);
	if (verdict == SLU_PROBE_SHORT) {
		log_scarce(patient->health, reason);
		return;
	}
	patient->checks++;
	if (verdict == SLU_PROBE_BAD) {
		patient->failures++;
		snprintf(patient->reason, sizeof(patient->reason), "%s", reason);
	}
	count_result(patient, verdict == SLU_PROBE_GOOD);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct patient *patient = arg;

	(void)fd, (void)what;
	if (patient->health->in_flight >= patient->health->in_flight_max) {
		schedule(patient, WAIT_MS + random_below(patient->health, WAIT_MS));
		return;
	}
	patient->health->in_flight++;
	patient->in_flight = true;
	patient->started_ms = clock_ms(CLOCK_MONOTONIC);
	slu_probe_start(patient->probe);
}

struct slu_health *slu_health_create(struct event_base *base, const struct slu_health_events *events)
{
	struct slu_health *health = slu_memory_zeroed(1, sizeof(*health));
	struct rlimit files;

	health->base = base;
	health->events = *events;
	health->in_flight_max = IN_FLIGHT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < IN_FLIGHT_MAX)
		health->in_flight_max = (uint32_t)(files.rlim_cur / 2);
	if (getrandom(&health->random, sizeof(health->random), 0) != sizeof(health->random) || health->random == 0)
		health->random = clock_ms(CLOCK_REALTIME) | 1;
	return health;
}

static void stop(struct patient *patient)
{
	event_del(&patient->timer);
	slu_probe_free(patient->probe);
	patient->probe = NULL;
	if (patient->in_flight)
		patient->health->in_flight--;
	patient->in_flight = false;
	free(patient->check.path);
	free(patient->check.host);
	patient->check.path = patient->check.host = NULL;
}

/* Takes the target's check over; `delay_ms` is to the first one. */
static void begin(struct patient *patient, const struct slu_health_target *target, uint32_t delay_ms)
{
	patient->check = *target->check;
	if (target->check->path != NULL)
		patient->check.path = slu_memory_copy(target->check->path);
	if (target->check->host != NULL)
		patient->check.host = slu_memory_copy(target->check->host);
	patient->probe = slu_probe_create(patient->health->base, &patient->check, &patient->address,
		patient->check.port != 0 ? patient->check.port : patient->port, on_verdict, patient);
	schedule(patient, delay_ms);
}

static struct patient *admit(struct slu_health *health, const struct slu_health_target *target, size_t newcomers)
{
	struct patient *patient = slu_memory_zeroed(1, sizeof(*patient));
	size_t spread = newcomers / SPREAD_PER_MS;

	patient->health = health;
	patient->id = target->id;
	patient->address = target->address;
	patient->port = target->port;
	patient->state = target->initial;
	snprintf(patient->group, sizeof(patient->group), "%s", target->group);
	snprintf(patient->name, sizeof(patient->name), "%s", target->name);
	evtimer_assign(&patient->timer, health->base, on_due, patient);
	if (spread > target->check->interval_ms)
		spread = target->check->interval_ms;
	begin(patient, target, random_below(health, (uint32_t)spread));
	return patient;
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_check(const struct slu_config_check *a, const struct slu_config_check *b)
{
	return a->type == b->type && a->port == b->port && a->interval_ms == b->interval_ms &&
	       a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall &&
	       same_text(a->path, b->path) && same_text(a->host, b->host) && a->status_first == b->status_first &&
	       a->status_last == b->status_last && a->send_bytes == b->send_bytes &&
	       memcmp(a->send, b->send, a->send_bytes) == 0 && a->expect_bytes == b->expect_bytes &&
	       memcmp(a->expect, b->expect, a->expect_bytes) == 0;
}

static int compare_targets(const void *left, const void *right)
{
	const struct slu_health_target *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static void discharge(struct patient *patient)
{
	stop(patient);
	free(patient);
}

void slu_health_update(struct slu_health *health, struct slu_health_target *targets, size_t count)
{
	struct patient **patients = slu_memory_zeroed(count, sizeof(*patients));
	size_t old = 0, newcomers = count > health->count ? count - health->count : 0;

	if (count > 1)
		qsort(targets, count, sizeof(*targets), compare_targets);
	for (size_t i = 0; i < count; i++) {
		while (old < health->count && health->patients[old]->id < targets[i].id)
			discharge(health->patients[old++]);
		if (old == health->count || health->patients[old]->id != targets[i].id) {
			patients[i] = admit(health, &targets[i], newcomers);
			continue;
		}
		patients[i] = health->patients[old++];
		if (!same_check(&patients[i]->check, targets[i].check)) {
			stop(patients[i]);
			patients[i]->run = 0;
			begin(patients[i], &targets[i], 0);
		}
	}
	while (old < health->count)
		discharge(health->patients[old++]);
	free(health->patients);
	health->patients = patients;
	health->count = count;
}

void slu_health_destroy(struct slu_health *health)
{
	if (health == NULL)
		return;
	for (size_t i = 0; i < health->count; i++)
		discharge(health->patients[i]);
	free(health->patients);
	free(health);
}

int slu_health_status(const struct slu_health *health, uint32_t id, struct slu_health_status *status)
{
	size_t low = 0, high = health->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (health->patients[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == health->count || health->patients[low]->id != id)
		return -ENOENT;
	*status = (struct slu_health_status){.state = health->patients[low]->state,
		.reason = health->patients[low]->reason,
		.checks = health->patients[low]->checks,
		.failures = health->patients[low]->failures,
		.changed_ms = health->patients[low]->changed_ms};
	return 0;
}

const char *slu_health_state_name(enum slu_health_state state)
{
	static const char *const names[] = {[SLU_HEALTH_UNCHECKED] = "unchecked",
		[SLU_HEALTH_CHECKING] = "checking",
		[SLU_HEALTH_UP] = "up",
		[SLU_HEALTH_DOWN] = "down"};

	return names[state];
}
