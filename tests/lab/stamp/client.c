#include "tests/lab/stamp/client.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/stamp/slot.h"

#define AGAIN_US 200000u
#define YOUNG_US 10000u
#define LOOK_US 500000u /* at a subject that counts, whatever its interval */

struct stamp_client_options stamp_options;

static struct {
	struct stamp_slot *slots;
	uint32_t slot_count, busy;
	uint64_t opened, failed;
	bool quiet, ending;
} client;

static struct stamp_slot *slot_of_timer(struct stamp_timer *timer)
{
	return (struct stamp_slot *)((char *)timer - offsetof(struct stamp_slot, timer));
}

bool stamp_slot_is_quiet(void)
{
	return client.quiet && !client.ending;
}

uint64_t stamp_client_failed_connects(void)
{
	return client.failed;
}

void stamp_slot_free(struct stamp_slot *slot)
{
	stamp_loop_close(&slot->watch);
	slot->state = STAMP_SLOT_FREE;
	client.busy--;
	if (client.ending)
		stamp_loop_unset(&slot->timer);
	else
		stamp_loop_set(&slot->timer, stamp_loop_now_us() + AGAIN_US);
	if (client.ending && client.busy == 0)
		stamp_loop_stop();
}

void stamp_slot_failed(struct stamp_slot *slot)
{
	client.failed++;
	stamp_slot_free(slot);
}

void stamp_slot_lost(struct stamp_slot *slot, enum stamp_loss loss, const char *text)
{
	stamp_judge_lost(&slot->subject, loss, text);
	stamp_slot_free(slot);
}

void stamp_slot_ended(struct stamp_slot *slot)
{
	stamp_judge_ended(&slot->subject);
	stamp_slot_free(slot);
}

static bool is_tcp(const struct stamp_slot *slot)
{
	return slot->target->protocol == STAMP_TCP;
}

static uint64_t life_us(void)
{
	uint64_t life = stamp_options.life_ms * 1000ull;

	return life == 0 ? UINT64_MAX / 2 : life / 2 + life * (uint64_t)(random() % 1024) / 1024;
}

static void slot_open(struct stamp_slot *slot)
{
	uint64_t now = stamp_loop_now_us();
	int result;

	memset(&slot->subject, 0, sizeof(slot->subject));
	slot->subject.id = (stamp_options.seed << 24) + ++client.opened;
	slot->subject.protocol = slot->target->protocol;
	slot->subject.target = slot->number;
	slot->acked = slot->held_count = slot->checked = 0;
	slot->requests = slot->answers = slot->answered = slot->window = slot->peer = 0;
	slot->acked_us = slot->send_us = now;
	slot->die_us = now + life_us();
	client.busy++;
	result = is_tcp(slot) ? stamp_tcp_open(slot) : stamp_udp_open(slot);
	if (result < 0) {
		stamp_slot_failed(slot);
		return;
	}
	stamp_socket_name(slot->watch.fd, slot->subject.local, sizeof(slot->subject.local));
	stamp_loop_set(&slot->timer, now + YOUNG_US);
}

/* Until it counts a subject is looked at often: it counts from the moment on when it may. */
static uint64_t next_look(const struct stamp_slot *slot)
{
	uint64_t next = stamp_loop_now_us() + (slot->subject.counts ? LOOK_US : YOUNG_US);

	return slot->state != STAMP_SLOT_CONNECTING && slot->send_us < next ? slot->send_us : next;
}

static void slot_end(struct stamp_slot *slot)
{
	if (is_tcp(slot))
		stamp_tcp_end(slot);
	else
		stamp_udp_end(slot);
}

static void on_time(struct stamp_timer *timer)
{
	struct stamp_slot *slot = slot_of_timer(timer);
	uint64_t now = stamp_loop_now_us();

	if (slot->state == STAMP_SLOT_FREE) {
		slot_open(slot);
		return;
	}
	if (stamp_slot_is_quiet())
		slot->subject.heard_us = slot->acked_us = now;
	else if (now >= slot->die_us && slot->state == STAMP_SLOT_OPEN)
		slot_end(slot);
	if (slot->state != STAMP_SLOT_FREE && is_tcp(slot))
		stamp_tcp_work(slot);
	else if (slot->state != STAMP_SLOT_FREE)
		stamp_udp_work(slot);
	if (slot->state != STAMP_SLOT_FREE)
		stamp_loop_set(timer, next_look(slot));
}

int stamp_client_open(const struct stamp_client_options *options, const struct stamp_client_target *targets,
	uint32_t target_count, const struct stamp_address *sources, uint32_t source_count)
{
	uint32_t t, i, n = 0, s = 0;
	struct stamp_slot *slot;

	stamp_options = *options;
	srandom((unsigned int)options->seed);
	for (t = 0; t < target_count; t++)
		client.slot_count += targets[t].count;
	client.slots = calloc(client.slot_count, sizeof(*client.slots));
	if (client.slots == NULL)
		return -ENOMEM;
	for (t = 0; t < target_count; t++)
		for (i = 0; i < targets[t].count; i++, n++) {
			slot = &client.slots[n];
			slot->watch.fd = -1;
			slot->target = &targets[t];
			slot->number = t;
			slot->timer.run = on_time;
			/* The next source of the target's family, if there is one. */
			while (source_count > 0 &&
				sources[s % source_count].storage.ss_family != targets[t].to.storage.ss_family &&
				s < n + 2 * source_count)
				s++;
			if (source_count > 0 &&
				sources[s % source_count].storage.ss_family == targets[t].to.storage.ss_family)
				slot->from = &sources[s++ % source_count];
			stamp_loop_set(
				&slot->timer, stamp_loop_now_us() + options->ramp_ms * 1000ull * n / client.slot_count);
		}
	return 0;
}

void stamp_client_quiet(bool quiet)
{
	uint32_t i;

	/* Neither the silence that was asked for nor its rest is a gap. */
	for (i = 0; i < client.slot_count; i++)
		client.slots[i].subject.heard_us = client.slots[i].acked_us = stamp_loop_now_us();
	client.quiet = quiet;
}

bool stamp_client_can_rest(void)
{
	return stamp_options.quiet;
}

bool stamp_client_end(void)
{
	uint32_t i;

	stamp_client_quiet(false);
	client.ending = true;
	for (i = 0; i < client.slot_count; i++) {
		struct stamp_slot *slot = &client.slots[i];

		if (slot->state == STAMP_SLOT_FREE)
			stamp_loop_unset(&slot->timer);
		else if (slot->state == STAMP_SLOT_CONNECTING)
			stamp_slot_failed(slot);
		else if (slot->state == STAMP_SLOT_OPEN)
			slot_end(slot);
	}
	return client.busy == 0;
}

void stamp_client_break_off(void)
{
	uint32_t i;

	for (i = 0; i < client.slot_count; i++)
		if (client.slots[i].state == STAMP_SLOT_ENDING)
			stamp_slot_lost(&client.slots[i], STAMP_SHORT, "not through when it was broken off");
}
