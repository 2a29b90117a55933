#include "tests/lab/stamp/judge.h"

#include <string.h>

#include "tests/lab/stamp/loop.h"

#define TARGETS 64u
#define FAULTS 4096u
#define OFFENCES 50u

static const char *const PROTOCOL[STAMP_PROTOCOLS] = {"tcp", "udp"};
static const char *const LOSS[STAMP_LOSSES] = {"reset", "stall", "wrong", "short", "server"};

struct fault {
	char name[48];
	uint64_t at_us, gap_us;
};

static struct {
	uint64_t epoch; /* changes with everything that is told */
	bool cut;
	uint64_t healed_us;
	struct stamp_subject *first;
	struct stamp_tally tally[STAMP_PROTOCOLS][TARGETS];
	uint64_t fault_count;
	struct fault fault[FAULTS];
	uint64_t offence_count;
	char offence[OFFENCES][400];
	FILE *log;
} judge;

static struct stamp_tally *tally_of(const struct stamp_subject *s)
{
	return &judge.tally[s->protocol][s->target];
}

void stamp_judge_log(FILE *log)
{
	judge.log = log;
}

void stamp_judge_open(struct stamp_subject *s)
{
	s->live = true;
	s->epoch = judge.epoch;
	s->opened_us = s->heard_us = stamp_loop_now_us();
	s->apart = judge.cut;
	s->prev = NULL;
	s->next = judge.first;
	if (s->next != NULL)
		s->next->prev = s;
	judge.first = s;
	tally_of(s)->opened++;
	tally_of(s)->live++;
	tally_of(s)->apart += s->apart;
}

static void count(struct stamp_subject *s)
{
	if (s->counts || s->goal_us == 0 || s->epoch != judge.epoch || judge.cut)
		return;
	if (stamp_loop_now_us() < s->goal_us + STAMP_SETTLE_US)
		return;
	if (s->apart && stamp_loop_now_us() < judge.healed_us + STAMP_RESYNC_US)
		return;
	s->counts = true;
	tally_of(s)->counted++;
	tally_of(s)->resynced += s->apart;
}

static void renew(struct stamp_subject *s)
{
	if (s->counts || s->epoch == judge.epoch)
		return;
	s->epoch = judge.epoch;
	s->packets = s->goal = s->goal_us = 0;
}

void stamp_judge_sent(struct stamp_subject *s, uint64_t offset)
{
	renew(s);
	if (s->packets < STAMP_PACKETS && ++s->packets == STAMP_PACKETS)
		s->goal = offset;
}

void stamp_judge_confirmed(struct stamp_subject *s, uint64_t offset)
{
	if (s->counts)
		return;
	renew(s);
	if (s->packets == STAMP_PACKETS && s->goal_us == 0 && offset >= s->goal)
		s->goal_us = stamp_loop_now_us();
	count(s);
}

void stamp_judge_gap(struct stamp_subject *s, uint64_t us)
{
	if (!s->counts)
		return;
	if (us > s->gap_us)
		s->gap_us = us;
	if (judge.fault_count > 0 && us > judge.fault[(judge.fault_count - 1) % FAULTS].gap_us)
		judge.fault[(judge.fault_count - 1) % FAULTS].gap_us = us;
}

void stamp_judge_heard(struct stamp_subject *s)
{
	if (!s->established) {
		s->established = true;
		tally_of(s)->established++;
	}
	stamp_judge_gap(s, stamp_loop_now_us() - s->heard_us);
	s->heard_us = stamp_loop_now_us();
}

static void print_subject(FILE *out, const struct stamp_subject *s)
{
	fprintf(out,
		"\"id\": %llu, \"protocol\": \"%s\", \"target\": %u, \"local\": \"%s\", \"server\": %u, "
		"\"counts\": %s, \"apart\": %s, \"age_ms\": %llu, \"sent\": %llu, \"received\": %llu, "
		"\"silent_ms\": %llu, \"longest_gap_ms\": %llu",
		(unsigned long long)s->id, PROTOCOL[s->protocol], s->target, s->local, s->server,
		s->counts ? "true" : "false", s->apart ? "true" : "false",
		(unsigned long long)(stamp_loop_now_us() - s->opened_us) / 1000, (unsigned long long)s->sent,
		(unsigned long long)s->received, (unsigned long long)(stamp_loop_now_us() - s->heard_us) / 1000,
		(unsigned long long)s->gap_us / 1000);
}

static void leave(struct stamp_subject *s, const char *result, const char *text)
{
	struct stamp_tally *t = tally_of(s);

	if (s->counts) {
		if (s->gap_us > t->longest_gap_us)
			t->longest_gap_us = s->gap_us;
		t->gaps_1s += s->gap_us > 1000000;
	}
	t->sent += s->sent;
	t->received += s->received;
	t->live--;
	s->live = false;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		judge.first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	if (judge.log == NULL)
		return;
	fprintf(judge.log, "{\"result\": \"%s\", \"text\": \"%s\", ", result, text);
	print_subject(judge.log, s);
	fprintf(judge.log, "}\n");
	fflush(judge.log);
}

static void offence(const struct stamp_subject *s, enum stamp_loss loss, const char *text)
{
	uint64_t now = stamp_loop_now_us();
	const struct fault *f = judge.fault_count > 0 ? &judge.fault[(judge.fault_count - 1) % FAULTS] : NULL;

	if (judge.offence_count < OFFENCES)
		snprintf(judge.offence[judge.offence_count], sizeof(judge.offence[0]),
			"{\"id\": %llu, \"protocol\": \"%s\", \"target\": %u, \"local\": \"%s\", \"server\": %u, "
			"\"loss\": \"%s\", \"text\": \"%s\", \"apart\": %s, \"age_ms\": %llu, \"silent_ms\": %llu, "
			"\"fault\": \"%s\", \"after_fault_ms\": %llu}",
			(unsigned long long)s->id, PROTOCOL[s->protocol], s->target, s->local, s->server, LOSS[loss],
			text, s->apart ? "true" : "false", (unsigned long long)(now - s->opened_us) / 1000,
			(unsigned long long)(now - s->heard_us) / 1000, f != NULL ? f->name : "",
			(unsigned long long)(f != NULL ? now - f->at_us : 0) / 1000);
	judge.offence_count++;
}

void stamp_judge_lost(struct stamp_subject *s, enum stamp_loss loss, const char *text)
{
	struct stamp_tally *t = tally_of(s);

	/* What may never happen counts from the first byte: no fault makes a wrong byte right. */
	if (loss == STAMP_WRONG && !s->counts) {
		s->counts = true;
		t->counted++;
	}
	stamp_judge_gap(s, stamp_loop_now_us() - s->heard_us);
	if (s->counts) {
		t->lost[loss]++;
		t->resynced_lost += s->apart;
		offence(s, loss, text);
	} else if (s->apart) {
		t->apart_lost++;
	} else {
		t->young_lost++;
	}
	leave(s, LOSS[loss], text);
}

void stamp_judge_ended(struct stamp_subject *s)
{
	tally_of(s)->ended++;
	leave(s, "ended", "");
}

/* Judges by the rules until now; then others hold. */
static void change(void)
{
	struct stamp_subject *s;

	for (s = judge.first; s != NULL; s = s->next)
		count(s);
	judge.epoch++;
}

void stamp_judge_fault(const char *name)
{
	struct fault *f = &judge.fault[judge.fault_count % FAULTS];

	change();
	judge.fault_count++;
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->at_us = stamp_loop_now_us();
	f->gap_us = 0;
}

void stamp_judge_cut(void)
{
	struct stamp_subject *s;

	if (judge.cut)
		return;
	change();
	judge.cut = true;
	for (s = judge.first; s != NULL; s = s->next) {
		if (s->counts || s->apart)
			continue;
		s->apart = true;
		tally_of(s)->apart++;
	}
}

void stamp_judge_healed(void)
{
	if (!judge.cut)
		return;
	judge.cut = false;
	judge.healed_us = stamp_loop_now_us();
	judge.epoch++;
}

void stamp_judge_tally(enum stamp_protocol protocol, uint32_t target, struct stamp_tally *tally)
{
	const struct stamp_subject *s;
	uint64_t us;

	*tally = judge.tally[protocol][target];
	for (s = judge.first; s != NULL; s = s->next) {
		if (s->protocol != protocol || s->target != target)
			continue;
		tally->sent += s->sent;
		tally->received += s->received;
		us = stamp_loop_now_us() - s->heard_us;
		if (us < s->gap_us)
			us = s->gap_us;
		if (!s->counts)
			continue;
		tally->gaps_1s += us > 1000000;
		if (us > tally->longest_gap_us)
			tally->longest_gap_us = us;
	}
}

static uint64_t total(uint64_t (*part)(const struct stamp_tally *tally))
{
	uint64_t sum = 0;
	uint32_t p, t;

	for (p = 0; p < STAMP_PROTOCOLS; p++)
		for (t = 0; t < TARGETS; t++)
			sum += part(&judge.tally[p][t]);
	return sum;
}

uint64_t stamp_judge_lost_of(const struct stamp_tally *tally)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < STAMP_LOSSES; i++)
		sum += tally->lost[i];
	return sum;
}

static uint64_t part_counted(const struct stamp_tally *tally)
{
	return tally->counted;
}

uint64_t stamp_judge_lost_total(void)
{
	return total(stamp_judge_lost_of);
}

uint64_t stamp_judge_counted_total(void)
{
	return total(part_counted);
}

uint64_t stamp_judge_gap_us(void)
{
	const struct stamp_subject *s;
	uint64_t us, longest = judge.fault_count > 0 ? judge.fault[(judge.fault_count - 1) % FAULTS].gap_us : 0;

	for (s = judge.first; s != NULL; s = s->next) {
		us = stamp_loop_now_us() - s->heard_us;
		if (s->counts && us > longest)
			longest = us;
	}
	return longest;
}

void stamp_judge_print_faults(FILE *out)
{
	uint64_t i = judge.fault_count > FAULTS ? judge.fault_count - FAULTS : 0;
	const char *comma = "";

	fprintf(out, "[");
	for (; i < judge.fault_count; i++, comma = ", ")
		fprintf(out, "%s{\"name\": \"%s\", \"longest_gap_ms\": %llu}", comma, judge.fault[i % FAULTS].name,
			(unsigned long long)judge.fault[i % FAULTS].gap_us / 1000);
	fprintf(out, "]");
}

void stamp_judge_print_offences(FILE *out)
{
	uint64_t i;

	fprintf(out, "[");
	for (i = 0; i < judge.offence_count && i < OFFENCES; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", judge.offence[i]);
	fprintf(out, "]");
}

void stamp_judge_print_live(FILE *out)
{
	const struct stamp_subject *s;

	fprintf(out, "[");
	for (s = judge.first; s != NULL; s = s->next) {
		fprintf(out, "{");
		print_subject(out, s);
		fprintf(out, "}%s", s->next != NULL ? ",\n" : "");
	}
	fprintf(out, "]");
}
