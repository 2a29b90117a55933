/*
 * AGE: a rule is looked at when its time-out could have passed at the earliest,
 * not before. Rules wait in a wheel of one-second slots; when a rule's turn
 * comes, the card says when it saw the flow last.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "flow.h"

#define SLOTS 1024u
#define AGED SLOTS /* the list of rules to report */
#define NOWHERE UINT32_MAX
#define SECOND_US 1000000u

TAILQ_HEAD(slu_flow_age_list, rte_flow);

struct slu_flow_ager {
	uint64_t done_s;  /* slots up to this second of the card's time have been looked at */
	uint64_t now_us;  /* the card's time, as last read */
	uint64_t host_us; /* the host's, then */
	struct slu_flow_age_list slots[SLOTS + 1];
};

static uint64_t host_time_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_US + (uint64_t)t.tv_nsec / 1000;
}

static int read_time(struct slu_device *d)
{
	uint32_t words[2]; /* reading the low half latches the high one */
	int error = d->hw.ops->read(d->hw.context, SLU_NIC_ID_BASE + SLU_NIC_ID_TIME_US_LO, words, 2);

	if (!error) {
		d->ager->now_us = (uint64_t)words[1] << 32 | words[0];
		d->ager->host_us = host_time_us();
	}
	return error;
}

int slu_flow_age_create(struct slu_device *device)
{
	struct slu_flow_ager *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	for (uint32_t i = 0; i <= SLOTS; i++)
		TAILQ_INIT(&a->slots[i]);
	device->ager = a;
	int error = read_time(device);
	a->done_s = a->now_us / SECOND_US;
	return error;
}

void slu_flow_age_destroy(struct slu_device *device)
{
	free(device->ager);
	device->ager = NULL;
}

static void move_to(struct rte_flow *flow, uint32_t slot)
{
	struct slu_flow_ager *a = flow->port->device->ager;

	slu_flow_age_forget(flow);
	flow->age_slot = slot;
	TAILQ_INSERT_TAIL(&a->slots[slot], flow, age_next);
}

/* Until the first whole second in which the rule can have aged; further away than the wheel is long: on its last slot.
 */
static void schedule(struct rte_flow *flow)
{
	struct slu_flow_ager *a = flow->port->device->ager;
	uint64_t due_s = flow->age_from_us / SECOND_US + flow->age_timeout_s + 1;

	if (due_s <= a->done_s)
		due_s = a->done_s + 1;
	if (due_s >= a->done_s + SLOTS)
		due_s = a->done_s + SLOTS - 1;
	move_to(flow, (uint32_t)(due_s % SLOTS));
}

void slu_flow_age_watch(struct rte_flow *flow)
{
	const struct slu_flow_ager *a = flow->port->device->ager;

	flow->age_slot = NOWHERE;
	/* By the host's clock since the card's was read: asking the card for every rule would cost a round trip. */
	flow->age_from_us = a->now_us + (host_time_us() - a->host_us);
	schedule(flow);
}

void slu_flow_age_forget(struct rte_flow *flow)
{
	struct slu_flow_ager *a = flow->port->device->ager;

	if (!flow->ages || flow->age_slot == NOWHERE || !flow->age_next.tqe_prev)
		return;
	TAILQ_REMOVE(&a->slots[flow->age_slot], flow, age_next);
	flow->age_next.tqe_prev = NULL;
	flow->age_slot = NOWHERE;
}

/* The later of creation and the last packet. */
static int last_seen(struct rte_flow *flow, uint64_t *seen_us)
{
	struct slu_flow_stats stats;
	int error = slu_flow_table_stats(flow->port->device->table, flow->base.id, &stats);

	if (error)
		return error;
	*seen_us = stats.last_seen_us > flow->age_from_us ? stats.last_seen_us : flow->age_from_us;
	return 0;
}

static int look_at(struct rte_flow *flow)
{
	const struct slu_flow_ager *a = flow->port->device->ager;
	uint64_t seen_us;
	int error = last_seen(flow, &seen_us);

	if (error)
		return error;
	flow->age_from_us = seen_us;
	if (a->now_us >= seen_us + (uint64_t)flow->age_timeout_s * SECOND_US) {
		flow->aged = true;
		move_to(flow, AGED);
	} else {
		schedule(flow);
	}
	return 0;
}

static int turn(struct slu_device *d)
{
	struct slu_flow_ager *a = d->ager;
	int error = read_time(d);

	for (unsigned steps = 0; !error && a->done_s < a->now_us / SECOND_US && steps < SLOTS; steps++) {
		struct slu_flow_age_list *slot = &a->slots[(a->done_s + 1) % SLOTS];
		struct rte_flow *flow, *last = TAILQ_LAST(slot, slu_flow_age_list);

		a->done_s++;
		while (!error && (flow = TAILQ_FIRST(slot))) {
			bool end = flow == last;

			error = look_at(flow); /* takes it off this slot, or puts it at its end */
			if (end)
				break;
		}
	}
	if (!error)
		a->done_s = a->now_us / SECOND_US;
	return error;
}

int slu_flow_age_query(struct rte_flow *flow, struct rte_flow_query_age *query)
{
	uint64_t seen_us;
	int error = read_time(flow->port->device);

	if (!error)
		error = last_seen(flow, &seen_us);
	if (error)
		return error;
	uint64_t now_us = flow->port->device->ager->now_us;
	uint64_t idle_s = now_us > seen_us ? (now_us - seen_us) / SECOND_US : 0;
	memset(query, 0, sizeof(*query));
	query->aged = flow->aged;
	query->sec_since_last_hit_valid = 1;
	query->sec_since_last_hit = idle_s > 0xFFFFFF ? 0xFFFFFF : (uint32_t)idle_s;
	return 0;
}

int slu_flow_age_get(struct rte_eth_dev *dev, void **contexts, uint32_t count, struct rte_flow_error *error)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_device *d = port->device;
	struct rte_flow *flow, *next;
	uint32_t found = 0;

	pthread_mutex_lock(&d->lock);
	int code = turn(d);
	for (flow = TAILQ_FIRST(&d->ager->slots[AGED]); flow && !code && (count == 0 || found < count); flow = next) {
		next = TAILQ_NEXT(flow, age_next);
		if (flow->port != port)
			continue;
		if (count) {
			contexts[found] = flow->age_context;
			slu_flow_age_forget(flow); /* told once */
		}
		found++;
	}
	slu_flow_check_card(d);
	pthread_mutex_unlock(&d->lock);
	if (code)
		return rte_flow_error_set(
			error, EIO, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, "the card does not answer");
	return (int)found;
}
